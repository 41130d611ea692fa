"""One table of a backup: the same rows as the whole gives, from no other bytes, and proved like the whole."""

import copy
import io
import random
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.backups import HEADER, assemble, row, small, take_apart, write_backup
from support.cli import Cli
from support.longer import fewer_examples

import dlbackup
from dlbackup.backupfile.manifest import Entry
from dlbackup.backupfile.reader import BackupReader
from dlbackup.backupfile.scanner import RowBlock
from dlbackup.backupfile.writer import BackupWriter
from dlbackup.cli.terminal import Output
from dlbackup.errors import BackupError, Corrupt, StorageError, UsageError
from dlbackup.stores.contract import Where
from dlbackup.stores.folder import local
from dlbackup.stores.in_memory import InMemory
from dlbackup.tables.definition import Column, Index, Table

TABLES = [
    Table(
        name=f"ducklake_{name}",
        columns=(Column(name="n", type="bigint"), Column(name="t", type="text")),
        comment="it's",
    )
    for name in ("a", "b", "c", "d", "e")
]


def rows_of(reader: BackupReader, entry: Entry) -> list[bytes]:
    return [row for block in reader.scan_table(entry) for row in block.rows]


def all_rows(reader: BackupReader) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for item in reader.scan():
        if isinstance(item, RowBlock):
            found[item.entry.table.name] += item.rows
        else:
            found[item.table.name] = []
    return found


def write_cut(path: Path, counts: list[list[tuple[bool, int]]]) -> None:
    """Write a backup whose frames end where the booleans say: before each table, and before each of its blocks."""
    with path.open("wb") as file, BackupWriter(file, HEADER) as writer:

        def blocks(table: int, sizes: list[tuple[bool, int]]) -> Iterator[list[bytes]]:
            for number, (cut, size) in enumerate(sizes):
                if cut:
                    writer._out._packer.cut()
                yield [row(n, f"{table}, {number}") for n in range(size)]

        for number, ((cut, _), *sizes) in enumerate(counts):
            if cut:
                writer._out._packer.cut()
            writer.write_table(TABLES[number], blocks(number, sizes))
        writer.finish()


layouts = st.lists(
    st.lists(st.tuples(st.booleans(), st.integers(1, 3)), min_size=1, max_size=5), min_size=1, max_size=5
)


@fewer_examples(12)
@given(layouts)
def test_each_table_reads_as_in_the_whole(
    tmp_path_factory: pytest.TempPathFactory, counts: list[list[tuple[bool, int]]]
) -> None:
    """However tables and frames lie, a table read by itself has the rows that it has when all is read."""
    path = tmp_path_factory.mktemp("cut") / "backup"
    write_cut(path, counts)

    with BackupReader(local(path)) as reader:
        whole = all_rows(reader)
        assert {entry.table.name: rows_of(reader, entry) for entry in reader.manifest.tables} == whole
        assert [len(rows) for rows in whole.values()] == [sum(size for _, size in found[1:]) for found in counts]


@fewer_examples(12)
@given(layouts, st.integers(0, 4), st.sampled_from(["first_frame", "last_frame"]), st.sampled_from([-1, 1, 2]))
def test_a_manifest_that_lies_about_frames_is_found(
    tmp_path_factory: pytest.TempPathFactory, counts: list[list[tuple[bool, int]]], which: int, key: str, by: int
) -> None:
    """A table that is not in the frames that the manifest says can't be read, alone or in the whole."""
    path = tmp_path_factory.mktemp("lie") / "backup"
    write_cut(path, counts)
    texts, manifest = take_apart(path)
    entry = manifest["tables"][which % len(counts)]
    entry[key] += by
    path.write_bytes(assemble(texts, manifest))

    with pytest.raises(BackupError), BackupReader(local(path)) as reader:
        rows_of(reader, reader.manifest.tables[which % len(counts)])
    with pytest.raises(BackupError), BackupReader(local(path)) as reader:
        all_rows(reader)


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: entry.update(rows=entry["rows"] + 1),
        lambda entry: entry.update(digest="0123456789abcdef"),
        lambda entry: entry["table"].update(comment="another"),
        lambda entry: entry["table"]["columns"][0].update(type="text"),
        lambda entry: entry["table"]["columns"][0].update(default="pg_sleep(1)"),
    ],
)
def test_a_manifest_that_lies_about_the_table_is_found(tmp_path: Path, change: Any) -> None:
    """Rows, digest and definition of the table are held against what the frames hold, with all SHA-256 right."""
    path = tmp_path / "backup"
    write_cut(path, [[(True, 1), (False, 2)], [(True, 1), (True, 2), (True, 1)]])
    texts, manifest = take_apart(path)
    told = copy.deepcopy(manifest)
    change(told["tables"][1])
    path.write_bytes(assemble(texts, told))

    with BackupReader(local(path)) as reader, pytest.raises(BackupError):
        rows_of(reader, reader.manifest.tables[1])


def test_text_between_the_tables_of_a_frame_is_found(tmp_path: Path) -> None:
    """A statement that dlbackup would not have written, in a frame of the table, is refused."""
    path = tmp_path / "backup"
    write_cut(path, [[(False, 1), (False, 2)], [(False, 1), (False, 2)], [(False, 1), (True, 2)]])
    texts, manifest = take_apart(path)
    place = texts[0].index(b'CREATE TABLE "ducklake_b"')
    path.write_bytes(assemble([texts[0][:place] + b"DROP TABLE x;\n" + texts[0][place:], *texts[1:]], manifest))

    with BackupReader(local(path)) as reader:
        for entry in reader.manifest.tables:
            with pytest.raises(BackupError):
                rows_of(reader, entry)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of more than ten frames, one table of which has most, between small ones."""
    path = tmp_path_factory.mktemp("large") / "backup"
    dice = random.Random(7)
    big = Table(
        name="ducklake_big",
        columns=(Column(name="id", type="bigint"), Column(name="t", type="text")),
        indexes=(Index(name="i", definition="USING btree (id)"),),
    )
    rows = [row(n, dice.randbytes(2000).hex()) for n in range(5000)]
    after = [(table, [row(1, "x"), row(None, None)]) for table in TABLES]
    manifest = write_backup(path, [*small(), (big, rows), *after], block=50)
    assert len(manifest.frames) > 8
    return path


class Counting:
    """A backup whose file remembers which bytes of it were read."""

    def __init__(self, path: Path) -> None:
        self.data, self.ranges = path.read_bytes(), list[tuple[int, int]]()

    @property
    def size(self) -> int:
        """All bytes."""
        return len(self.data)

    def read_at(self, offset: int, size: int) -> bytes:
        """Read, and remember where."""
        self.ranges.append((offset, min(offset + size, self.size)))
        return self.data[offset : offset + size]


def joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return ranges of bytes in order, those that touch as one."""
    whole: list[tuple[int, int]] = []
    for begin, end in sorted(ranges):
        if whole and begin <= whole[-1][1]:
            whole[-1] = (whole[-1][0], max(end, whole[-1][1]))
        else:
            whole.append((begin, end))
    return whole


class CountingStore(InMemory):
    """A store that gives one file whatever is asked for."""

    def __init__(self, file: Counting) -> None:
        super().__init__()
        self.file = file

    @contextmanager
    def open(self, name: str) -> Iterator[Counting]:
        """Open the file that counts."""
        yield self.file


@pytest.mark.parametrize("name", ["ducklake_metadata", "ducklake_big", "ducklake_c"])
def test_only_the_table_s_frames_are_read(large: Path, name: str) -> None:
    """Of a file only the first four bytes, the end with the manifest, and the frames of the table are read."""
    file = Counting(large)
    with BackupReader(Where(CountingStore(file), "backup")) as reader:
        (entry,) = (entry for entry in reader.manifest.tables if entry.table.name == name)
        frames = reader.manifest.frames[entry.first_frame : entry.last_frame + 1]
        end = reader.manifest.frames[-1].offset + reader.manifest.frames[-1].size
        assert joined(file.ranges) == [(0, 4), (end, file.size)]
        file.ranges.clear()
        rows_of(reader, entry)

    assert joined(file.ranges) == joined([(frame.offset, frame.offset + frame.size) for frame in frames])


def test_damage_elsewhere_does_no_harm(large: Path, tmp_path: Path) -> None:
    """A table comes out whole of a backup whose other frames are gone."""
    file = bytearray(large.read_bytes())
    with BackupReader(local(large)) as reader:
        entry = reader.manifest.tables[-1]
        first = reader.manifest.frames[entry.first_frame]
    file[4 : first.offset] = bytes(first.offset - 4)
    path = tmp_path / "damaged"
    path.write_bytes(file)

    assert list(dlbackup.cat(path, "ducklake_e")) == [(1, "x"), (None, None)]
    with pytest.raises(Corrupt):
        list(dlbackup.cat(path, "ducklake_big"))


def test_memory_does_not_grow_with_the_table(large: Path) -> None:
    """Reading a table of 20 MB takes a few frames of memory."""
    assert list(dlbackup.cat(large, "ducklake_e"))  # what is imported for that takes no memory of the table's
    tracemalloc.start()
    try:
        count = sum(1 for _ in dlbackup.cat(large, "ducklake_big"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert count == 5000
    assert peak < 15_000_000


def test_the_api_gives_values(tmp_path: Path) -> None:
    """`cat` gives the columns, the count, and tuples of Python values, as often as they are asked for."""
    path = tmp_path / "backup"
    write_backup(path, small())
    found = dlbackup.cat(path, "ducklake_metadata")

    assert (found.columns, found.rows) == (("key", "value", "scope", "scope_id"), 2)
    assert list(found) == [("version", "9.9", None, None), ("data_path", "s3://lake/),(", None, None)]
    assert list(found) == list(found)
    assert [snapshot for snapshot, _ in dlbackup.cat(str(path), "ducklake_snapshot")] == [0, 1]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("snapshot", "did you mean ducklake_snapshot?"),
        ("ducklake_snapshots", "did you mean ducklake_snapshot?"),
        ("DUCKLAKE_METADATA", "did you mean ducklake_metadata?"),
        ("nope", "it has ducklake_metadata, ducklake_snapshot and 1 more"),
        ("", "it has ducklake_metadata, ducklake_snapshot and 1 more"),
    ],
)
def test_an_unknown_table_is_wrong_usage(tmp_path: Path, cli: Cli, name: str, hint: str) -> None:
    """A table that isn't there ends in 2, with the names that may have been meant or those that there are."""
    path = tmp_path / "backup"
    write_backup(
        path, [*small(), (Table(name="ducklake_inlined_data_1_1", columns=(Column(name="n", type="bigint"),)), [])]
    )
    with pytest.raises(UsageError) as caught:
        dlbackup.cat(path, name)
    assert caught.value.hint == hint

    done = cli("cat", path, name)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == f"error: the backup has no table {name}\nhint: {hint}\n"


def test_a_file_that_is_not_there_is_no_damage(tmp_path: Path) -> None:
    """A path that can't be read is a StorageError, before anything is iterated over."""
    with pytest.raises(StorageError):
        dlbackup.cat(tmp_path / "missing", "ducklake_snapshot")


@pytest.mark.parametrize("form", ["csv", "jsonl", "sql"])
def test_the_command_prints_the_table(tmp_path: Path, cli: Cli, form: str) -> None:
    """Each format comes on standard output and nothing else does; CSV is the default."""
    path = tmp_path / "backup"
    write_backup(path, small())
    wanted = {
        "csv": 'key,value,scope,scope_id\n"version","9.9",,\n"data_path","s3://lake/),(",,\n',
        "jsonl": '{"key": "version", "value": "9.9", "scope": null, "scope_id": null}\n'
        '{"key": "data_path", "value": "s3://lake/),(", "scope": null, "scope_id": null}\n',
        "sql": take_apart(path)[0][0].split(b"BEGIN;\n")[1].split(b'CREATE TABLE "ducklake_snapshot"')[0].decode(),
    }

    done = cli("cat", path, "ducklake_metadata", "--format", form)
    assert (done.exit_code, done.stdout, done.stderr) == (0, wanted[form], "")
    if form == "csv":
        assert cli("cat", path, "ducklake_metadata").stdout == wanted["csv"]


def test_damage_ends_the_output(large: Path, tmp_path: Path, cli: Cli) -> None:
    """A damaged frame ends in exit 3: what was printed is the rows before it, and the rest is said to be missing."""
    file = bytearray(large.read_bytes())
    with BackupReader(local(large)) as reader:
        (entry,) = (entry for entry in reader.manifest.tables if entry.table.name == "ducklake_big")
        damaged = reader.manifest.frames[entry.first_frame + 3]
    file[damaged.offset + damaged.size // 2] ^= 1
    path = tmp_path / "damaged"
    path.write_bytes(file)
    whole = cli("cat", large, "ducklake_big").stdout.splitlines()

    done = cli("cat", path, "ducklake_big")
    found = done.stdout.splitlines()
    assert done.exit_code == 3
    assert 1000 < len(found) < len(whole)
    assert found == whole[: len(found)]
    error, hint = done.stderr.splitlines()
    assert error == f"error: the frame at byte {damaged.offset} is damaged: its SHA-256 is not the one in the manifest"
    assert hint.startswith("hint: the output is incomplete")


def test_a_damaged_manifest_gives_nothing(large: Path, tmp_path: Path, cli: Cli) -> None:
    """Without a good manifest nothing is printed, and the exit code is 3."""
    path = tmp_path / "damaged"
    path.write_bytes(large.read_bytes()[:-1])

    done = cli("cat", path, "ducklake_big")
    assert (done.exit_code, done.stdout) == (3, "")


class Screen(io.TextIOWrapper):
    """Standard output that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


@pytest.mark.parametrize(("kind", "shown"), [(Screen, b"a?[2J\xc3\xa9\n"), (io.TextIOWrapper, b"a\x1b[2J\xc3\xa9\n")])
def test_nothing_steers_the_terminal(
    monkeypatch: pytest.MonkeyPatch, kind: type[io.TextIOWrapper], shown: bytes
) -> None:
    """Control characters of a value reach a file or a pipe, but no terminal."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", kind(written))
    Output().write("a\x1b[2Jé\n".encode())

    assert written.getvalue() == shown
