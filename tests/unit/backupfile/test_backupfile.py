"""Whole backups: what is written comes back, and whatever was changed in a file is found."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from support.backups import HEADER, assemble, row, small, take_apart, write_backup
from support.longer import fewer_examples, runs_all

from dlbackup.backupfile.manifest import Entry, Manifest, Source
from dlbackup.backupfile.reader import BackupReader
from dlbackup.backupfile.scanner import RowBlock
from dlbackup.errors import BackupError, Corrupt, StorageError, Unfinished, UnknownFormat
from dlbackup.stores.folder import local
from dlbackup.tables.definition import Column, Constraint, Grant, Index, Table
from dlbackup.tables.digest import Rows, digest
from dlbackup.tables.rows import SEPARATOR
from dlbackup.tables.statements import definition, ownership
from dlbackup.verbs.verify import verify

Contents = list[tuple[Table, list[bytes]]]


def read(path: Path) -> tuple[Manifest, Contents]:
    """Read a whole backup: its manifest, and each table with all its rows."""
    found: Contents = []
    with BackupReader(local(path)) as reader:
        for item in reader.scan():
            if isinstance(item, RowBlock):
                found[-1][1].extend(item.rows)
            else:
                found.append((item.table, []))
        return reader.manifest, found


def fails(path: Path) -> bool:
    """Tell whether reading the file fails, as only a damaged backup may."""
    try:
        read(path)
    except BackupError:
        return True
    return False


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
hostile = st.sampled_from(
    ["'", '"', "a'b", 'a"b', "\n", "\n);\n", "\n),(\n", "-- x", "/*", "\\", "é" * 31, "x" * 63, "😀"]
)
names = hostile | texts.filter(bool)
values = st.none() | texts | st.sampled_from(["\n),(\n", "'\n),(\n'", "\n);\n", "'\n);\n'", "NULL", "", "''", "\\."])
grants = st.builds(Grant, names, st.just(("INSERT", "SELECT")), st.booleans())


checks = st.builds(Constraint, names, st.just("CHECK ((a > 0))"), st.none() | names)


@st.composite
def catalogs(draw: st.DrawFn) -> Contents:
    contents = []
    for number in range(draw(st.integers(1, 4))):
        kinds = draw(st.lists(st.sampled_from(["bigint", "boolean", "text", "numeric(10,2)", "bytea"]), min_size=1))
        columns = tuple(
            Column(
                name=f"{number}{draw(names)}",
                type=kind,
                not_null=draw(st.booleans()),
                default=draw(st.sampled_from([None, "'x'::text", "0"])),
                comment=draw(st.none() | names),
                grants=draw(st.lists(grants, max_size=1).map(tuple)),
            )
            for number, kind in enumerate(kinds)
        )
        table = Table(
            name=f"ducklake_{number}{draw(names)}",
            columns=columns,
            constraints=draw(st.lists(checks, max_size=2).map(tuple)),
            indexes=draw(
                st.lists(
                    st.builds(Index, name=names, definition=st.just("USING btree (a)"), unique=st.booleans()),
                    max_size=2,
                ).map(tuple)
            ),
            comment=draw(st.none() | texts),
            owner=draw(st.just("") | names),
            grants=draw(st.none() | st.lists(grants, max_size=2).map(tuple)),
            options=draw(st.sampled_from([(), (("fillfactor", "70"),)])),
            replica_identity=draw(st.sampled_from(["default", "full", "index i"])),
        )
        kinds_of = {"bigint": st.none() | st.integers(-(2**63), 2**63 - 1), "boolean": st.none() | st.booleans()}
        rows = draw(st.lists(st.tuples(*(kinds_of.get(kind, values) for kind in kinds)), max_size=5))
        contents.append((table, [row(*found) for found in rows]))
    return contents


@fewer_examples(12)
@given(catalogs(), st.integers(1, 3), st.lists(texts, max_size=2), st.none() | st.integers(0, 99))
def test_any_catalog_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    contents: Contents,
    block: int,
    left_out: list[str],
    snapshot_id: int | None,
) -> None:
    """Definitions, rows, header and counts of any catalog come back from a backup as they went in."""
    path = tmp_path_factory.mktemp("any") / "backup"
    header = replace(
        HEADER, snapshot_id=snapshot_id, source=Source(database="d'b\n", schema='s"c', server_version="18.0")
    )
    written = write_backup(path, contents, header, block=block, left_out=left_out)

    manifest, found = read(path)
    assert found == contents
    assert manifest == written
    assert manifest.header == header
    assert manifest.left_out == tuple(left_out)
    assert manifest.rows == sum(len(rows) for _, rows in contents)
    assert manifest.contents == {table.name: Rows(len(rows), digest(rows)) for table, rows in contents}


def test_any_zstd_gives_the_script(tmp_path: Path) -> None:
    """The decompressed file is the script that the format describes, from the first line to the manifest."""
    path = tmp_path / "backup"
    contents = small()
    write_backup(path, contents)

    with zstandard.ZstdDecompressor().stream_reader(path.open("rb"), read_across_frames=True, closefd=True) as stream:
        script = stream.read().decode()
    lines = script.splitlines()
    assert lines[0] == "-- dlbackup 1"
    assert lines[1].startswith('-- {"created":"2026-03-24T08:00:00Z","format":1,')
    assert lines[-2] == "-- dlbackup manifest"
    assert script.index("SET standard_conforming_strings = on;\n") < script.index("BEGIN;\n")
    at = script.index("BEGIN;\n")
    for table, rows in contents:
        at = script.index(definition(table), at)
        at = script.index(SEPARATOR.join(rows).decode() + ");\n", at)
    assert script.index("COMMENT ON TABLE", at) < script.index("COMMIT;\n", at)


def test_tables_can_be_written_without_rows(tmp_path: Path) -> None:
    """A table without rows has no INSERT and comes back empty."""
    path = tmp_path / "backup"
    contents: Contents = [(table, []) for table, _ in small()]
    write_backup(path, contents)

    manifest, found = read(path)
    assert found == contents
    assert b"INSERT" not in b"".join(take_apart(path)[0])
    assert manifest.rows == 0


def test_entries_come_before_their_rows(tmp_path: Path) -> None:
    """Scanning yields each table's entry, then its rows in the blocks that they were written in."""
    path = tmp_path / "backup"
    write_backup(path, small(), block=1)

    with BackupReader(local(path)) as reader:
        items = [(type(item), item.table.name if isinstance(item, Entry) else item.rows) for item in reader.scan()]
    (metadata, one), (snapshot, two) = small()
    assert items == [
        (Entry, metadata.name),
        *((RowBlock, [text]) for text in one),
        (Entry, snapshot.name),
        *((RowBlock, [text]) for text in two),
    ]


@pytest.mark.parametrize("change", [0x01, *(pytest.param(it, marks=pytest.mark.long) for it in (0x80, 0xFF))])
def test_every_flipped_byte_is_found(backup: Path, change: int) -> None:
    """Whichever byte of a backup is changed, it doesn't verify, and fails with nothing but that."""
    file = backup.read_bytes()
    unnoticed = []
    for place in range(len(file)):
        backup.write_bytes(file[:place] + bytes([file[place] ^ change]) + file[place + 1 :])
        if verify(backup).ok:
            unnoticed.append(place)

    assert unnoticed == []


def test_flipped_bits_are_found_by_reading(backup: Path) -> None:
    """A single flipped bit, here every thirteenth of the file, ends reading in a BackupError."""
    file = backup.read_bytes()
    unnoticed = []
    for place in range(0, len(file) * 8, 13):
        changed = bytearray(file)
        changed[place // 8] ^= 1 << place % 8
        backup.write_bytes(changed)
        if not fails(backup):
            unnoticed.append(place)

    assert unnoticed == []


def test_every_cut_is_found(backup: Path) -> None:
    """Whatever is missing at the end, at the beginning or in the middle, the file doesn't verify."""
    file = backup.read_bytes()
    for place in range(len(file)):
        backup.write_bytes(file[:place])
        assert fails(backup), f"cut at {place}"
    for place in range(0, len(file), 7):
        backup.write_bytes(file[place + 1 :])
        assert not verify(backup).ok, f"the first {place + 1} bytes are gone"
        backup.write_bytes(file[:place] + file[place + 1 :])
        assert not verify(backup).ok, f"byte {place} is gone"


def test_every_appended_byte_is_found(backup: Path) -> None:
    """A single byte after the end, or before the beginning, is found, whichever it is."""
    file = backup.read_bytes()
    for more in (bytes([number]) for number in range(256)):
        for changed in (file + more, more + file):
            backup.write_bytes(changed)
            assert not verify(backup).ok


def test_two_backups_in_one_file_are_no_backup(backup: Path) -> None:
    """Backups one after the other, the same or not, whole or in part, are refused."""
    file = backup.read_bytes()
    write_backup(backup.with_name("other"), small("8.8"))
    other = backup.with_name("other").read_bytes()

    for changed in (file + file, file + other, other + file, file[:-9] + file, file + file[-9:], file + b"\0" * 4096):
        backup.write_bytes(changed)
        assert not verify(backup).ok


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of several frames: almost 5 MB of text that hardly compresses."""
    path = tmp_path_factory.mktemp("large") / "backup"
    dice = random.Random(7)
    contents = small()
    for number in range(2):
        table = Table(
            name=f"ducklake_{number}", columns=(Column(name="id", type="bigint"), Column(name="t", type="text"))
        )
        rows = [row(n, dice.randbytes(4000).hex()) for n in range(300)]
        contents.append((table, rows))
    manifest = write_backup(path, contents, block=20)
    assert len(manifest.frames) >= 3
    assert verify(path).ok
    return path


def pieces(path: Path) -> tuple[list[bytes], bytes]:
    """Return the bytes of each frame and of all that comes after them."""
    with BackupReader(local(path)) as reader:
        frames = reader.manifest.frames
    file = path.read_bytes()
    end = frames[-1].offset + frames[-1].size
    return [file[frame.offset : frame.offset + frame.size] for frame in frames], file[end:]


def test_random_places_of_a_large_backup(large: Path, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """A flipped bit at 30 random places of several frames is found; with --all at 100, with --long at 1,000."""
    file = large.read_bytes()
    dice = random.Random(pytestconfig.option.seed)
    path = tmp_path / "flipped"
    path.write_bytes(file)
    unnoticed = []
    with path.open("r+b", buffering=0) as flipped:
        for _ in range(1000 if pytestconfig.option.long else 100 if runs_all(pytestconfig) else 30):
            place, bit = dice.randrange(len(file)), dice.randrange(8)
            flipped.seek(place)
            flipped.write(bytes([file[place] ^ 1 << bit]))
            if not fails(path):
                unnoticed.append((place, bit))
            flipped.seek(place)
            flipped.write(file[place : place + 1])

    assert unnoticed == []
    assert not fails(path)


def test_frames_in_another_order_are_found(large: Path, tmp_path: Path) -> None:
    """Frames that changed places, came twice or went missing are found."""
    frames, rest = pieces(large)
    path = tmp_path / "backup"
    orders = [[1, 0, *range(2, len(frames))], [*range(len(frames))][::-1], [0, *range(len(frames))], [0], []]
    orders += [[*range(len(frames) - 2), len(frames) - 1, len(frames) - 2], [*range(1, len(frames))]]

    for order in orders:
        path.write_bytes(b"".join(frames[number] for number in order) + rest)
        assert fails(path)


def test_frames_in_another_order_are_found_with_all_digests_right(large: Path, tmp_path: Path) -> None:
    """The order of the frames is proved by what they hold, not only by the manifest's numbers."""
    texts, manifest = take_apart(large)
    path = tmp_path / "backup"
    path.write_bytes(assemble(texts, manifest))
    assert not fails(path)

    for one in range(len(texts) - 1):
        changed = list(texts)
        changed[one], changed[one + 1] = changed[one + 1], changed[one]
        told = {**manifest, "frames": list(manifest["frames"])}
        told["frames"][one], told["frames"][one + 1] = told["frames"][one + 1], told["frames"][one]
        path.write_bytes(assemble(changed, told))
        assert fails(path)
    path.write_bytes(assemble(texts[:-1], manifest))
    assert fails(path)
    path.write_bytes(assemble([*texts[:1], *texts], manifest))
    assert fails(path)


def test_privileges_of_later_servers_stood_among_the_others(tmp_path: Path) -> None:
    """A backup that has them there, as those of an older dlbackup, is read, and is another one than it says if not."""
    path = tmp_path / "backup"
    grants = (Grant("it's", ("MAINTAIN", "SELECT")),)
    contents = [(replace(table, owner="o", grants=grants), rows) for table, rows in small()]
    write_backup(path, contents)
    (text,), manifest = take_apart(path)
    assert manifest.pop("guarded")
    assert b"GRANT MAINTAIN ON" in text
    end = text.index(b"COMMIT;\n") + len(b"COMMIT;\n")
    older = text[:end] + "".join(line for table, _ in contents for line in ownership(table)).encode()

    path.write_bytes(assemble([text], manifest))
    assert fails(path)
    path.write_bytes(assemble([older], {**manifest, "guarded": True}))
    assert fails(path)
    path.write_bytes(assemble([older], manifest))
    assert read(path)[1] == contents


def test_a_hidden_skippable_frame_is_found(backup: Path) -> None:
    """A frame that decompresses to nothing can't be hidden between the others."""
    (text,), manifest = take_apart(backup)
    hidden = b"\x50\x2a\x4d\x18\x05\0\0\0hello"

    for place in (0, 1):
        texts = [text]
        texts.insert(place, b"")
        told = {**manifest, "frames": [{"rows": 0}, *manifest["frames"]] if place == 0 else manifest["frames"]}
        told["tables"] = [{**e, "first_frame": 1 - place, "last_frame": 1 - place} for e in manifest["tables"]]
        backup.write_bytes(assemble(texts, told, raw={place: hidden}))
        assert fails(backup)


def test_two_places_of_one_frame_are_one_frame_too_many(backup: Path) -> None:
    """A text that is cut into more frames than the manifest's tables say is refused."""
    (text,), manifest = take_apart(backup)
    place = text.index(b"CREATE TABLE")

    backup.write_bytes(assemble([text[:place], text[place:]], manifest))
    assert fails(backup)


def test_a_file_that_is_not_there_is_no_damage(tmp_path: Path) -> None:
    """A path that can't be read is a StorageError, which names it."""
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(StorageError, match=str(path)):
            BackupReader(local(path))


def test_another_zstd_file_is_not_a_backup(tmp_path: Path) -> None:
    """A plain zstd file is unfinished, and one in the seekable format with other contents is no backup."""
    path = tmp_path / "backup"
    path.write_bytes(zstandard.compress(b"hello"))
    with pytest.raises(Unfinished):
        BackupReader(local(path))
    path.write_bytes(b"hello")
    with pytest.raises(UnknownFormat):
        BackupReader(local(path))


def test_an_unfinished_backup_says_so(backup: Path) -> None:
    """A backup whose manifest or seek table is missing is called unfinished or damaged, never good."""
    frames, rest = pieces(backup)
    for end in (0, 20, len(rest) // 2):
        backup.write_bytes(b"".join(frames) + rest[:end])
        with pytest.raises(Unfinished):
            BackupReader(local(backup))


def test_a_newer_format_is_named(backup: Path) -> None:
    """A backup of another format is refused with its number and a hint, before anything else in it is read."""
    texts, manifest = take_apart(backup)
    manifest["header"]["format"] = 3
    manifest["header"]["shiny"] = True
    backup.write_bytes(assemble(texts, manifest))

    with pytest.raises(UnknownFormat, match="format 3") as caught:
        BackupReader(local(backup))
    assert "newer dlbackup" in caught.value.hint


def test_format_and_dialect_go_together(backup: Path) -> None:
    """A script of one backend is not taken for that of another."""
    for found, dialect in ((1, "duckdb"), (2, "postgres"), (2, "other")):
        texts, manifest = take_apart(backup)
        manifest["header"]["format"] = found
        manifest["header"]["dialect"] = dialect
        backup.write_bytes(assemble(texts, manifest))

        with pytest.raises(Corrupt):
            BackupReader(local(backup))


def test_reading_stops_at_the_first_damage(large: Path, tmp_path: Path) -> None:
    """Rows before a damaged frame are given, none of that frame or after."""
    file = bytearray(large.read_bytes())
    with BackupReader(local(large)) as reader:
        frame = reader.manifest.frames[-1]
    file[frame.offset + frame.size // 2] ^= 1
    path = tmp_path / "damaged"
    path.write_bytes(file)

    def rows() -> Iterator[int]:
        with BackupReader(local(path)) as damaged:
            for item in damaged.scan():
                if isinstance(item, RowBlock):
                    yield len(item.rows)

    seen: list[int] = []
    with pytest.raises(Corrupt, match=f"at byte {frame.offset} is damaged"):
        seen.extend(rows())
    whole, _ = read(large)
    assert sum(seen) <= whole.rows - frame.rows


@fewer_examples(50)
@given(st.binary(max_size=200), st.integers(0, 1400), st.integers(0, 300))
def test_no_change_makes_any_other_error(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, place: int, length: int
) -> None:
    """Whatever replaces a part of a backup, reading it works or ends in a BackupError."""
    path = tmp_path_factory.mktemp("noise") / "backup"
    write_backup(path, small())
    file = path.read_bytes()
    changed = file[:place] + noise + file[place + length :]
    path.write_bytes(changed)

    assert fails(path) == (changed != file)
