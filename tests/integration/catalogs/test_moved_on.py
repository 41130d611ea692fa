"""What a snapshot doesn't protect is noticed: tables that bear another's name by now, or whose columns do."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.comparison import contents, execute
from support.lakes.lakes import Lake

from dlbackup import MovedOn, RestoreOptions, Unreachable, dump, restore
from dlbackup.addresses.address import parse_address
from dlbackup.catalogs.open import open_catalog
from dlbackup.catalogs.postgres.snapshot import SharedSnapshot
from dlbackup.runtime.progress import Event

_TABLE = "ducklake_schema"
_ASIDE = f"create schema aside; alter table {_TABLE} set schema aside"
_SWAPPED = f"""
    alter table {_TABLE} rename schema_name to passing;
    alter table {_TABLE} rename path to schema_name;
    alter table {_TABLE} rename passing to path
"""


@pytest.mark.every_major
@pytest.mark.parametrize(
    "happens",
    [
        f"{_ASIDE}; create table {_TABLE} (like aside.{_TABLE})",
        f"{_ASIDE}; create table {_TABLE} (like aside.{_TABLE}); drop schema aside cascade",
        f"alter table {_TABLE} rename to passing; create table {_TABLE} (like passing)",
        f"alter schema public rename to aside; create schema public; create table {_TABLE} (like aside.{_TABLE})",
        _SWAPPED,
        f"alter table {_TABLE} drop path, add path varchar",
    ],
)
def test_another_table_or_column_of_the_name_is_not_read(plain: Lake, happens: str) -> None:
    """A query finds tables and columns by the names that they have at present, whatever its snapshot."""
    with open_catalog(parse_address(plain.url)) as catalog, catalog.snapshot() as snapshot:
        (table,) = (table for table in snapshot.tables if table.name == _TABLE)
        execute(plain.url, happens)
        with pytest.raises(MovedOn, match=f"{_TABLE} was replaced or altered"):
            list(snapshot.rows(table))


@pytest.mark.every_major
def test_a_dump_begins_again_when_a_restore_comes_between(plain: Lake, tmp_path: Path) -> None:
    """A restore that keeps what it replaces leaves the tables as they were, elsewhere; the dump holds what is there."""
    kept = dump(plain.url, tmp_path / "kept.zst")
    (tmp_path / "garbage.zst").write_bytes(b"garbage")
    said: list[str] = []

    def disturb(event: Event) -> None:
        said.append(event.message)
        if "can't be the base" in event.message and len(said) == 1:  # the snapshot is taken, and no row read
            restore(kept.path, plain.url, RestoreOptions(replace=True, data_files=False))

    found = dump(plain.url, tmp_path / "found.zst", base=tmp_path / "garbage.zst", on_event=disturb)

    assert any("beginning again" in text for text in said)
    assert contents(found.path) == contents(kept.path)


@pytest.mark.every_major
def test_a_helper_sees_what_the_first_session_does(plain: Lake) -> None:
    """Snapshots of two servers may have one name; the session that joins says what it sees."""
    address = parse_address(plain.url)
    with open_catalog(address) as catalog, catalog.snapshot(share=True) as snapshot:
        execute(plain.url, f"delete from {_TABLE}")
        with open_catalog(address) as other, other.snapshot(share=True) as later:
            ours, theirs = snapshot.joinable(snapshot.tables), later.joinable(later.tables)
            assert isinstance(ours, SharedSnapshot)
            assert isinstance(theirs, SharedSnapshot)
            with ours.join() as joined:
                assert joined.counts(joined.tables) == snapshot.counts(snapshot.tables)
            with pytest.raises(Unreachable, match="another server"), replace(ours, exported=theirs.exported).join():
                pass
