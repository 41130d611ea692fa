"""Frames that are proved side by side: the same findings as one after the other, with one process and with several."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from support.backups import Json, assemble, row, small, take_apart, write_backup

from dlbackup import verify
from dlbackup.tables.definition import Column, Table

TABLE = Table(name="ducklake_0", columns=(Column(name="id", type="bigint"), Column(name="t", type="text")))
INLINED = Table(
    name="ducklake_inlined_data_1_1", columns=(Column(name="row_id", type="bigint"), Column(name="t", type="real"))
)
HEADER = b'INSERT INTO "ducklake_0" ("id", "t") VALUES (\n'

Change = Callable[[list[bytes], Json], object]


@pytest.fixture
def divided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A backup with two tables of many frames each."""
    monkeypatch.setattr("dlbackup.backupfile.frames.FRAME_BYTES", 1000)
    monkeypatch.setattr("dlbackup.backupfile.prover.FRAMES_AT_ONCE", 2)
    monkeypatch.setattr("dlbackup.backupfile.prover.FRAMES_A_HELPER", 4)
    path = tmp_path / "backup"
    text = [row(n, f"it's {n * n}, '),(\n'" if n % 3 else None) for n in range(400)]
    numbers = [row(n, str(n / 7)) for n in range(300)]
    manifest = write_backup(path, [*small("0.3"), (TABLE, text), (INLINED, numbers)], block=7)
    assert len(manifest.frames) > 20
    return path


def _in(number: int, change: Callable[[bytes], bytes]) -> Change:
    """Return a change of the text of one frame, counted from the first with nothing but rows of the first table."""

    def changed(texts: list[bytes], _: Json) -> None:
        inner = [place for place, text in enumerate(texts) if text.startswith(HEADER)]
        texts[inner[number]] = change(texts[inner[number]])

    return changed


def _counts_moved(_: list[bytes], manifest: Json) -> None:
    manifest["frames"][5]["rows"] += 1
    manifest["frames"][6]["rows"] -= 1


def _entry(name: str, **changes: object) -> Change:
    def changed(_: list[bytes], manifest: Json) -> None:
        next(entry for entry in manifest["tables"] if entry["table"]["name"] == name).update(changes)

    return changed


DAMAGE: dict[str, Change] = {
    "another value": _in(3, lambda text: text.replace(b"'it''s ", b"'it''z ", 1)),
    "a row twice": _in(3, lambda text: text.replace(b"\n),(\n", b"\n),(\n1,NULL\n),(\n", 1)),
    "no rows": _in(3, lambda _: b""),
    "a statement behind the rows": _in(3, lambda text: text + b"DROP TABLE x;\n"),
    "a statement before the rows": _in(3, lambda text: b"DROP TABLE x;\n" + text),
    "a statement behind the first frame": _in(0, lambda text: text + b"SELECT 1;\n"),
    "a statement behind the last inner frame": _in(-2, lambda text: text + b"SELECT 1;\n"),
    "rows of another table": _in(3, lambda text: text.replace(b'"ducklake_0"', b'"ducklake_1"')),
    "a call": _in(3, lambda text: text.replace(b"NULL", b"f()", 1)),
    "an open literal": _in(3, lambda text: text.replace(b"'it''s ", b"'it's ", 1)),
    "text that is not UTF-8": _in(3, lambda text: text.replace(b"'it''s ", b"'it\xff\xffs ", 1)),
    "a moved count": _counts_moved,
    "a later last frame": _entry("ducklake_0", last_frame=10_000_000),
    "a negative first frame": _entry("ducklake_0", first_frame=-3),
    "frames the wrong way round": _entry("ducklake_0", first_frame=9, last_frame=2),
    "an earlier first frame": _entry("ducklake_inlined_data_1_1", first_frame=2),
    "another number of rows": _entry("ducklake_0", rows=399),
    "another digest": _entry("ducklake_0", digest="0" * 16),
}


@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_a_good_backup_is_good(divided: Path, jobs: int) -> None:
    """Rows, shapes and findings are the same whoever proves them."""
    report = verify(divided, jobs=jobs)

    assert report.rows == 704
    assert report.row_shapes == 5
    assert not any(finding.rule in ("corrupt", "unsafe-statement") for finding in report.findings)


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found_whoever_looks(divided: Path, damage: str, jobs: int) -> None:
    """What is wrong in a frame that is proved on its own, or with its place, is found, digests made right or not."""
    texts, manifest = take_apart(divided)
    divided.write_bytes(assemble(texts, manifest))
    assert verify(divided, jobs=1).row_shapes == 5  # so what is found below is the damage

    DAMAGE[damage](texts, manifest)
    divided.write_bytes(assemble(texts, manifest))

    (finding,) = verify(divided, jobs=jobs).findings
    assert finding.rule in ("corrupt", "unsafe-statement")


def test_flipped_bits_are_found(divided: Path, pytestconfig: pytest.Config) -> None:
    """A flipped bit at any of a hundred places is found; with --long at three hundred."""
    file = divided.read_bytes()
    dice = random.Random(5)
    unnoticed = []
    for _ in range(300 if pytestconfig.option.long else 100):
        place, bit = dice.randrange(len(file)), dice.randrange(8)
        divided.write_bytes(file[:place] + bytes([file[place] ^ 1 << bit]) + file[place + 1 :])
        if verify(divided, jobs=1).row_shapes:
            unnoticed.append((place, bit))

    assert unnoticed == []


def test_a_fingerprint_that_is_not_that_of_the_rows_is_refused(divided: Path) -> None:
    """The parts that are counted side by side are compared with the manifest."""
    texts, manifest = take_apart(divided)
    manifest["fingerprint"] = {"value": "0" * 32, "parts": []}
    divided.write_bytes(assemble(texts, manifest))

    (finding,) = verify(divided, jobs=2).findings
    assert "fingerprint" in finding.message
