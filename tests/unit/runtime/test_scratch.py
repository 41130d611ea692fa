"""Folders for what is gone at the end."""

import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from support.waiting import wait_until

from dlbackup.runtime.scratch import scratch_folder


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files of this test's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_it_is_gone_with_the_block(place: Path) -> None:
    with scratch_folder("dlbackup-test-") as folder:
        (folder / "in" / "it").mkdir(parents=True)
    assert list(place.iterdir()) == []


def test_what_a_killed_maker_left_goes_and_what_one_that_lives_made_stays(place: Path) -> None:
    (place / "dlbackup-test-left.scratch").mkdir()
    (place / "other").mkdir()
    with scratch_folder("dlbackup-test-") as lives, scratch_folder("dlbackup-test-") as folder:
        assert set(place.iterdir()) == {place / "other", lives, folder}


def test_folders_of_others_stay(place: Path) -> None:
    """Batch systems call the folders of their jobs so; nobody has locked them, and they are not ours."""
    (others := place / "job-4711.scratch").mkdir()
    (others / "results").touch()
    with scratch_folder("dlbackup-test-"):
        pass
    assert (others / "results").exists()


def test_a_killed_maker_takes_nothing_away_and_it_goes_all_the_same(place: Path) -> None:
    program = (
        "import tempfile, time; from dlbackup.runtime.scratch import scratch_folder\n"
        f"tempfile.tempdir = {str(place)!r}\n"
        "with scratch_folder('dlbackup-test-') as folder: (folder / 'rows').touch(); print(flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as maker:
        assert maker.stdout is not None
        maker.stdout.readline()
        assert len(list(place.iterdir())) == 1
        maker.kill()
    wait_until(lambda: not list(place.iterdir()))


def test_what_is_left_may_still_be_in_use(place: Path) -> None:
    """A server whose maker was killed writes once more, while its folder is being removed."""
    data = place / "dlbackup-test-left.scratch" / "data"
    data.mkdir(parents=True)
    for number in range(1_000):
        (data / str(number)).touch()

    def end() -> None:
        with suppress(FileNotFoundError):
            wait_until(lambda: len(list(data.iterdir())) < 1_000)
            (place / "dlbackup-test-left.scratch" / "log").touch()

    server = threading.Thread(target=end)
    server.start()
    with scratch_folder("dlbackup-test-") as folder:
        server.join()
        assert list(place.iterdir()) == [folder]
