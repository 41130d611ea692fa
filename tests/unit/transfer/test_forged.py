"""Forged backups: nobody is asked anything for definitions that dlbackup would not have written."""

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from support.backups import HEADER, METADATA, SEQUENCE, row, small, write_backup

from dlbackup import RestoreOptions, restore
from dlbackup.backupfile.manifest import Header
from dlbackup.backupfile.reader import BackupReader
from dlbackup.catalogs.postgres.bulk.copy_text import copy_text
from dlbackup.errors import UnsafeStatement
from dlbackup.stores.folder import local
from dlbackup.tables.definition import Column, Constraint, Grant, Index, SchemaRights, Table
from dlbackup.transfer.feed import feeding
from dlbackup.verbs.cat import write

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
"""No server is there: who is asked anything says so, by another error."""
EVIL = "x); commit; create table evil (); --"
TABLES = {
    "a type": replace(METADATA, columns=(Column(name="key", type=f"bigint {EVIL}"), *METADATA.columns[1:])),
    "a default": replace(METADATA, columns=(replace(METADATA.columns[0], default=EVIL), *METADATA.columns[1:])),
    "a collation": replace(METADATA, columns=(replace(METADATA.columns[0], collation=""), *METADATA.columns[1:])),
    "a constraint": replace(METADATA, constraints=(Constraint("k", f"CHECK ((true)) {EVIL}"),)),
    "an index": replace(METADATA, indexes=(Index(name="i", definition=f"USING btree (key) {EVIL}"),)),
    "the name of a storage parameter": replace(METADATA, options=((f"fillfactor = 70{EVIL}", "1"),)),
    "a privilege": replace(METADATA, grants=(Grant("", (f"SELECT {EVIL}",)),)),
    "a privilege on a column": replace(
        METADATA, columns=(replace(METADATA.columns[0], grants=(Grant("", (EVIL,)),)), *METADATA.columns[1:])
    ),
    "the replica identity": replace(METADATA, replica_identity=f"full {EVIL}"),
    "the type of a sequence": replace(METADATA, sequences=(replace(SEQUENCE, type=EVIL),)),
    "the column of a sequence": replace(METADATA, sequences=(replace(SEQUENCE, column="other"),)),
    "the access method": replace(METADATA, access_method="a\0b"),
    "a tablespace": replace(METADATA, tablespace="a\0b"),
    "the tablespace of an index": replace(METADATA, index_tablespaces=(("a\0b", "x"),)),
    "a key that later servers know": replace(
        METADATA, constraints=(Constraint("k", f"UNIQUE NULLS NOT DISTINCT {EVIL}"),)
    ),
}
HEADERS: dict[str, Callable[[Header], Header]] = {
    "a privilege on the schema": lambda header: with_rights(header, Grant("", (f"USAGE {EVIL}",))),
    "no privilege on the schema": lambda header: with_rights(header, Grant("", ())),
    "an owner of the schema": lambda header: with_rights(header, owner=""),
    "a role with a NUL": lambda header: with_rights(header, Grant("a\0b", ("USAGE",))),
    "the schema": lambda header: replace(header, source=replace(header.source, schema="a\0b")),
    "no schema": lambda header: replace(header, source=replace(header.source, schema="")),
}


def with_rights(header: Header, *grants: Grant, owner: str = "o") -> Header:
    return replace(header, source=replace(header.source, rights=SchemaRights(owner, grants)))


def forged(path: Path, table: Table, header: Header = HEADER, rows: int = 1) -> Path:
    key = row("version", "9.9", None, None)
    write_backup(path, [(table, [key] * rows), *small()[1:]], header)
    return path


@pytest.mark.parametrize("part", TABLES)
def test_nobody_is_asked_for_what_was_not_checked(tmp_path: Path, part: str) -> None:
    """A hostile definition in any part of a table is refused before a server is connected to, and by cat."""
    path = forged(tmp_path / "backup", TABLES[part])

    for options in (RestoreOptions(), RestoreOptions(replace=True, terminate_clients=True)):
        with pytest.raises(UnsafeStatement, match="ducklake_metadata"):
            restore(path, NOWHERE, options)
    with BytesIO() as sink:
        with pytest.raises(UnsafeStatement):
            write(path, "ducklake_metadata", "sql", sink)
        assert not sink.getvalue()


@pytest.mark.parametrize("part", HEADERS)
def test_nobody_is_asked_for_a_schema_that_was_not_checked(tmp_path: Path, part: str) -> None:
    """What a header says of its schema is refused where dlbackup would not have written it, by every reader."""
    path = forged(tmp_path / "backup", METADATA, HEADERS[part](HEADER))

    with pytest.raises(UnsafeStatement, match="schema"):
        restore(path, NOWHERE)
    with pytest.raises(UnsafeStatement, match="schema"):
        BackupReader(local(path))


def test_a_child_reads_what_its_parent_checks(tmp_path: Path) -> None:
    """With a child that reads the rows, definitions are refused all the same, before it has sent anything."""
    path = forged(tmp_path / "backup", TABLES["a privilege"], rows=1000)

    with (
        BackupReader(local(path)) as reader,
        feeding(reader, copy_text, child=True) as feed,
        pytest.raises(UnsafeStatement),
    ):
        next(feed)


def test_definitions_are_checked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a backup is opened, its definitions are checked once; those of another one are checked too."""
    checked = []
    monkeypatch.setattr("dlbackup.backupfile.reader.check_table", lambda table, dialect: checked.append(table.name))
    for name in ("one", "two"):
        write_backup(tmp_path / name, small(), replace(HEADER, tool=f"{tmp_path} {name}"))
        for _ in range(2):
            with BackupReader(local(tmp_path / name)) as reader:
                assert len(list(reader.scan())) > len(reader.manifest.tables)

    assert checked == ["ducklake_metadata", "ducklake_snapshot"] * 2


def test_what_was_refused_is_refused_again(tmp_path: Path) -> None:
    """That a backup was looked at once says nothing of it."""
    path = forged(tmp_path / "backup", TABLES["a type"])
    for _ in range(2):
        with BackupReader(local(path)) as reader, pytest.raises(UnsafeStatement):
            _ = reader.manifest
