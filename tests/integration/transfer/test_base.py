"""Dumps with a base: the bytes of a plain dump, whatever happened in between, and less of it read."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.comparison import execute
from support.faults.faults import new_role
from support.lakes.divided import ROWS, STATISTICS, same_bytes
from support.lakes.lakes import Lake, LakeFactory
from support.longer import long
from support.servers.servers import Server

from dlbackup import UsageError, dump, verify
from dlbackup.addresses.address import parse_address
from dlbackup.backupfile.reader import BackupReader
from dlbackup.catalogs.contract import Change, Claim
from dlbackup.catalogs.open import open_catalog
from dlbackup.errors import StorageError
from dlbackup.runtime.progress import Event
from dlbackup.stores.folder import local


@pytest.mark.every_major
@pytest.mark.parametrize("jobs", [long(1), 3])
def test_what_did_not_change_is_taken_from_the_base(divided: str, tmp_path: Path, jobs: int) -> None:
    """Nothing changed: all pieces are taken over; a few rows changed: all but theirs. The bytes are a plain dump's."""
    first = dump(divided, tmp_path / "first.zst", jobs=jobs)
    again = dump(divided, tmp_path / "again.zst", base=first.path, jobs=jobs)

    assert (first.base, first.reused_rows) == (None, 0)
    assert again.base == first.path
    assert again.reused_rows >= ROWS
    assert same_bytes(first, again)

    execute(divided, f"update {STATISTICS} set max_value = 'x' where data_file_id in (1000001, 1006000)")
    execute(divided, f"delete from {STATISTICS} where data_file_id = 1009000")
    changed = dump(divided, tmp_path / "changed.zst", base=again.path, jobs=jobs)

    assert ROWS // 2 < changed.reused_rows < ROWS
    assert 0 < changed.reused_bytes < changed.file_bytes
    assert same_bytes(changed, dump(divided, tmp_path / "plain.zst", jobs=jobs))
    assert verify(changed.path).ok


def test_auto_takes_the_newest_of_the_same_catalog(divided: str, lake: LakeFactory, tmp_path: Path) -> None:
    """A folder may hold backups of others, and things that are none; the first dump has no base, and needs none."""
    other = lake("plain", "0.3")
    first = dump(divided, tmp_path, base="auto")
    second = dump(divided, tmp_path, base="auto")
    dump(other.url, tmp_path, base="auto")
    (tmp_path / "broken.sql.zst").write_bytes(b"not a backup")
    third = dump(divided, tmp_path, base="auto")

    assert [first.base, second.base, third.base] == [None, first.path, second.path]
    assert third.reused_rows >= ROWS


def test_auto_needs_a_folder(divided: str) -> None:
    """On standard output there is nothing beside the new backup."""
    with pytest.raises(UsageError, match="--base auto"):
        dump(divided, "-", base="auto")


def test_a_clone_is_another_database(divided: str, server: Server, tmp_path: Path) -> None:
    """It has the same tables, numbers and all, and a life of its own."""
    base = dump(divided, tmp_path / "base.zst")
    said: list[str] = []
    with server.database(template=divided.rpartition("/")[2]) as clone:
        execute(clone, f"update {STATISTICS} set max_value = 'c' where data_file_id = 1000001")
        taken = dump(clone, tmp_path / "taken.zst", base=base.path, on_event=lambda event: said.append(event.message))

        assert same_bytes(taken, dump(clone, tmp_path / "plain.zst"))
    assert taken.base is None
    assert any("of another server or database" in text for text in said)


def test_a_base_that_is_damaged_gives_what_is_whole(divided: str, tmp_path: Path) -> None:
    """A flipped bit in a piece is seen, said once, and read from the catalog; the new backup is good."""
    base = Path(dump(divided, tmp_path / "base.zst").path)
    data = bytearray(base.read_bytes())
    data[len(data) // 2] ^= 1
    base.write_bytes(data)
    said: list[str] = []
    taken = dump(divided, tmp_path / "taken.zst", base=base, on_event=lambda event: said.append(event.message))

    assert len([text for text in said if "not to be relied on" in text]) == 1
    assert 0 < taken.reused_rows < ROWS
    assert same_bytes(taken, dump(divided, tmp_path / "plain.zst"))


def test_bases_of_no_use(divided: str, tmp_path: Path) -> None:
    """What can't be a base is a warning, and everything is read."""
    (tmp_path / "garbage.zst").write_bytes(b"garbage")
    dump(divided, tmp_path / "packed.zst", level=3)
    for name, word in (("garbage.zst", "not a dlbackup backup"), ("packed.zst", "level 3")):
        warnings: list[Event] = []
        taken = dump(divided, tmp_path / f"with-{name}", base=tmp_path / name, on_event=warnings.append)

        assert (taken.base, taken.reused_rows) == (None, 0)
        assert [word in event.message for event in warnings if event.warning] == [True]
        assert verify(taken.path).ok


def test_a_base_that_is_not_there(divided: str, tmp_path: Path) -> None:
    """A name that is mistyped every night is no base for ever; nothing is written."""
    with pytest.raises(StorageError, match="nowhere"):
        dump(divided, tmp_path / "x.zst", base=tmp_path / "nowhere.zst")
    assert list(tmp_path.iterdir()) == []


def test_numbers_that_can_t_be(divided: str, tmp_path: Path) -> None:
    """Fewer rows then than there are old ones now would be another history: nothing is said of that table."""
    with BackupReader(local(dump(divided, tmp_path / "base.zst").path)) as reader:
        entry = next(entry for entry in reader.manifest.tables if entry.table.name == STATISTICS)
        moment = reader.manifest.header.moment
    assert moment is not None
    assert entry.origin is not None
    claims = [Claim(table=entry.table, origin=entry.origin, rows=entry.rows + more) for more in (-1, 0, 1)]
    with open_catalog(parse_address(divided)) as catalog, catalog.snapshot() as snapshot:
        assert snapshot.since(moment, claims) == [None, Change(0, 0), Change(0, 1)]


def test_a_server_that_does_not_name_itself(plain: Lake, divided: str, tmp_path: Path) -> None:
    """A role that may not ask for the system identifier takes over what did not change all the same."""
    with new_role(replace(plain, url=divided), "secret-9", owner=True) as url:
        execute(divided, "revoke execute on function pg_control_system() from public")
        base = dump(url, tmp_path / "base.zst")
        taken = dump(url, tmp_path / "taken.zst", base=base.path)

    with BackupReader(local(base.path)) as reader:
        moment = reader.manifest.header.moment
    assert moment is not None
    assert moment.server == ""
    assert taken.reused_rows >= ROWS
