"""The decisions of a migration, which need no server."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.backups import METADATA, SNAPSHOT, row, write_backup

from dlbackup.backupfile.backup import VERIFIER, VerifiedBackup
from dlbackup.catalogs.contract import Client, clients_connected
from dlbackup.errors import CannotMigrate, DlbackupError, UnknownVersion
from dlbackup.lake import spec
from dlbackup.lake.fingerprint import Fingerprint, Part
from dlbackup.migration.comparison import changed_meaning, lost_rows, state_of
from dlbackup.migration.steps import Step, next_step
from dlbackup.stores.folder import local
from dlbackup.tables.definition import Column, Table
from dlbackup.tables.digest import Rows, digest

REFUSED: list[tuple[tuple[str, ...], str, str, str | None, type[DlbackupError], str]] = [
    ((), "1.5.5", "1.0", None, UnknownVersion, "0 spec versions"),
    (("0.3", "0.3"), "1.5.5", "1.0", None, UnknownVersion, "2 spec versions"),
    (("0.3", "1.0"), "1.5.5", "1.0", None, UnknownVersion, "2 spec versions"),
    (("",), "1.5.5", "1.0", None, UnknownVersion, "spec version"),
    (("2.0",), "1.5.5", "1.0", None, UnknownVersion, "2.0"),
    (("0.30",), "1.5.5", "1.0", None, UnknownVersion, "0.30"),
    (("1.0 ",), "1.5.5", "1.0", None, UnknownVersion, "1.0 "),
    (("0.3",), "9.9.9", "3.0", None, UnknownVersion, "DuckDB 9.9.9 writes spec version 3.0"),
    (("0.3",), "1.5.5", "1.0", "0.4", CannotMigrate, "1.0 only, not to 0.4"),
    (("1.0",), "1.5.5", "1.0", "0.4", CannotMigrate, "1.0 only, not to 0.4"),
    (("1.0",), "1.4.4", "0.3", None, CannotMigrate, "no way back but a restore"),
    (("1.1-dev1",), "1.5.5", "1.0", None, CannotMigrate, "newer than 1.0"),
    (("0.4",), "1.4.4", "0.3", None, CannotMigrate, "newer than 0.3"),
    (("1.1",), "2.0.0", "1.1", "1.0", CannotMigrate, "newer than 1.0, what was asked for"),
    (("1.1",), "1.5.5", "1.0", None, CannotMigrate, "newer than 1.0"),
    (("1.0",), "2.0.0", "1.1", "0.4", CannotMigrate, "1.0 or 1.1 only, not to 0.4"),
    (("0.2",), "1.5.5", "1.0", None, CannotMigrate, "can't migrate a catalog of spec version 0.2"),
    (("0.1",), "1.5.5", "1.0", None, CannotMigrate, "spec version 0.1 where it is"),
    (("0.1",), "1.4.4", "0.3", None, UnknownVersion, "tables of spec version 0.1, made by DuckDB 1.3.0"),
    (("0.3-dev1",), "1.5.5", "1.0", None, CannotMigrate, "spec version 0.3-dev1 where it is"),
    (("0.4-dev1",), "1.5.5", "1.0", None, UnknownVersion, "0.4-dev1, a development version"),
]


@pytest.mark.parametrize(("versions", "duckdb", "newest", "to", "error", "words"), REFUSED)
def test_what_cannot_be_migrated_is_refused(
    versions: tuple[str, ...], duckdb: str, newest: str, to: str | None, error: type[DlbackupError], words: str
) -> None:
    """A catalog that this engine can't bring there is refused in words that name both."""
    with pytest.raises(error, match=words.replace(".", r"\.")) as caught:
        next_step(versions, duckdb, newest, to)
    assert type(caught.value) is error


def test_an_old_catalog_gets_a_way_out() -> None:
    """A refused 0.2 catalog is told which engine brings it on."""
    with pytest.raises(CannotMigrate) as caught:
        next_step(("0.2",), "1.5.5", "1.0", None)

    assert "DuckDB 1.4.x" in caught.value.hint
    assert caught.value.exit_code == 4


HINTS = [
    (
        ("0.1",),
        "1.0",
        None,
        "dump it, then let DuckDB 1.3.2 attach it, which migrates it to 0.2; dlbackup goes on from there",
    ),
    ((), "1.0", None, "a catalog without exactly one version can be dumped and restored, but not migrated"),
    (("7.5",), "1.0", None, "use a newer dlbackup"),
    (("0.3",), "7.5", None, "use a newer dlbackup, or an older engine with --engine"),
    (("0.3",), "1.0", "0.4", "name an environment with another DuckDB with --engine"),
    (("1.0",), "0.3", None, "use a newer engine, or restore a backup of the older version"),
    (
        ("0.2",),
        "1.0",
        None,
        "name the python of an environment with DuckDB 1.4.x by --engine: migrate then goes over 0.3 in two steps",
    ),
]


@pytest.mark.parametrize(("versions", "newest", "to", "hint"), HINTS)
def test_a_refusal_says_what_to_do(versions: tuple[str, ...], newest: str, to: str | None, hint: str) -> None:
    """Whoever is refused is told the next step."""
    with pytest.raises(DlbackupError) as caught:
        next_step(versions, "1.5.5", newest, to)

    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("version", "duckdb", "newest", "to"),
    [
        ("0.3", "1.5.5", "1.0", None),
        ("0.3", "1.5.5", "1.0", "1.0"),
        ("0.4", "1.5.5", "1.0", None),
        ("0.3", "1.5.1", "0.4", None),
        ("1.0", "1.6.0", "1.1-dev1", None),
    ],
)
def test_an_older_catalog_is_migrated(version: str, duckdb: str, newest: str, to: str | None) -> None:
    """A known catalog older than the engine's version is migrated to that version."""
    assert next_step((version,), duckdb, newest, to) == Step(version, newest, duckdb)


@pytest.mark.parametrize(
    ("version", "to", "step"),
    [
        ("1.0", None, Step("1.0", "1.1", "2.0.0")),
        ("1.0", "1.0", None),
        ("0.3", "1.0", Step("0.3", "1.0", "2.0.0")),
        ("0.3", "1.1", Step("0.3", "1.1", "2.0.0")),
    ],
)
def test_an_engine_that_opens_two_versions_goes_where_it_is_told(version: str, to: str | None, step: Step) -> None:
    """An engine of 1.1 leaves 1.0 as it is where that is asked for, and stops there on its way from older ones."""
    assert next_step((version,), "2.0.0", "1.1", to) == step


@pytest.mark.parametrize("version", [v for v in spec.ORDER if v not in ("0.1", "0.2")])
def test_a_current_catalog_is_left_alone(version: str) -> None:
    """A catalog that has the engine's version already needs nothing."""
    assert next_step((version,), "1.5.5", version, None) is None
    assert next_step((version,), "1.5.5", version, version) is None


@pytest.mark.parametrize("version", spec.ORDER)
@pytest.mark.parametrize("newest", spec.ORDER)
def test_every_pair_of_versions_is_decided(version: str, newest: str) -> None:
    """For each pair of known versions there is a step upwards, nothing to do, or a refusal."""
    try:
        step = next_step((version,), "1.5.5", newest, None)
    except (CannotMigrate, UnknownVersion):
        return

    if step is None:
        assert version == newest
    else:
        assert spec.is_older(version, newest)
        assert version in spec.described()


@pytest.mark.parametrize(
    ("step", "crossed"),
    [
        (Step("0.3", "1.0", "x"), ["0.4-dev1", "0.4", "1.0"]),
        (Step("0.3", "0.4", "x"), ["0.4-dev1", "0.4"]),
        (Step("0.4", "1.0", "x"), ["1.0"]),
    ],
)
def test_a_step_crosses_what_lies_between(step: Step, crossed: list[str]) -> None:
    """A step crosses the versions after where it begins, up to where it ends."""
    assert [version for version in spec.ORDER if step.crosses(version)] == crossed


OLD = Table(name="ducklake_file_column_statistics", columns=(Column(name="a", type="bigint"),))
DATA = Table(name="ducklake_data_file", columns=(Column(name="a", type="bigint"), Column(name="b", type="text")))


@pytest.fixture
def backup(tmp_path: Path) -> VerifiedBackup:
    path = tmp_path / "backup"
    tables = [
        (METADATA, [row("version", "0.3", None, None)]),
        (SNAPSHOT, [row(1, "2026-03-23 17:51:00+00")]),
        (OLD, [row(1), row(2)]),
        (DATA, [row(1, "x"), row(2, "y")]),
    ]
    return VerifiedBackup(local(path), "", write_backup(path, tables), proof=VERIFIER)


def after(backup: VerifiedBackup) -> tuple[dict[str, Table], dict[str, Rows]]:
    """Return a catalog as a good migration leaves it."""
    tables, contents = state_of(backup)
    found = {table.name: table for table in tables}
    found["ducklake_file_column_stats"] = replace(found.pop(OLD.name), name="ducklake_file_column_stats")
    rows = dict(contents)
    rows["ducklake_file_column_stats"] = rows.pop(OLD.name)
    rows["ducklake_metadata"] = Rows(3, 99)
    return found, rows


def problems(backup: VerifiedBackup, tables: dict[str, Table], rows: dict[str, Rows]) -> list[str]:
    return lost_rows(backup, tuple(tables.values()), rows)


def test_a_good_migration_lost_nothing(backup: VerifiedBackup) -> None:
    """Renamed tables, new tables, new columns and other metadata are no loss."""
    tables, rows = after(backup)
    assert problems(backup, tables, rows) == []

    tables["ducklake_new"] = Table(name="ducklake_new", columns=(Column(name="a", type="bigint"),))
    rows["ducklake_new"] = Rows(5, 5)
    tables[DATA.name] = replace(DATA, columns=(*DATA.columns, Column(name="c", type="bigint")))
    rows[DATA.name] = Rows(2, 12345)
    assert problems(backup, tables, rows) == []


def test_a_lost_table_is_found(backup: VerifiedBackup) -> None:
    """A table that is gone is named."""
    tables, rows = after(backup)
    del tables[DATA.name], rows[DATA.name]

    assert problems(backup, tables, rows) == ["table ducklake_data_file is gone"]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_another_number_of_rows_is_found(backup: VerifiedBackup, count: int) -> None:
    """A table with more or fewer rows is named with both numbers, also when its columns changed."""
    tables, rows = after(backup)
    rows[DATA.name] = Rows(count, 0)
    for columns in (DATA.columns, (*DATA.columns, Column(name="c", type="bigint"))):
        tables[DATA.name] = replace(DATA, columns=columns)
        assert problems(backup, tables, rows) == [f"table ducklake_data_file has {count} rows, not 2"]


def test_other_rows_are_found(backup: VerifiedBackup) -> None:
    """As many rows, but others, in unchanged columns are found, under the new name of a renamed table too."""
    tables, rows = after(backup)
    rows[DATA.name] = Rows(2, digest([row(1, "x"), row(2, "z")]))
    rows["ducklake_file_column_stats"] = Rows(2, 0)

    assert problems(backup, tables, rows) == [
        "table ducklake_file_column_stats has other rows than before",
        "table ducklake_data_file has other rows than before",
    ]


@pytest.mark.parametrize("last", ["z", "w"])
def test_only_rows_that_mends_add_may_be_more(backup: VerifiedBackup, last: str) -> None:
    """A table may have the rows that a mend has added, and no others, in its rows as in what they mean."""
    tables, rows = after(backup)
    added = {DATA.name: Rows(1, digest([row(3, "z")]))}
    rows[DATA.name] = Rows(3, digest([row(1, "x"), row(2, "y"), row(3, last)]))
    found = lost_rows(backup, tuple(tables.values()), rows, added=added)
    assert found == ([] if last == "z" else ["table ducklake_data_file has other rows than before"])

    before = Fingerprint("1", (Part(DATA.name, 2, f"{digest([row(1, 'x'), row(2, 'y')]):016x}"),))
    later = Fingerprint("2", (Part(DATA.name, 3, f"{rows[DATA.name].digest:016x}"),))
    made = VerifiedBackup(local(backup.kept_at), "", replace(backup.manifest, fingerprint=before), proof=VERIFIER)
    assert list(changed_meaning(made, later, frozenset(), added)) == ([] if last == "z" else [DATA.name])
    assert list(changed_meaning(made, later, frozenset())) == [DATA.name]


def test_changed_meaning_names_its_parts(backup: VerifiedBackup) -> None:
    """What a migration changed is told by part, with both sides; what the user accepted is left out."""
    before = Fingerprint("1", (Part("a", 1, "aa"), Part("b", 2, "bb"), Part("c", 3, "cc")))
    after = Fingerprint("2", (Part("a", 1, "aa"), Part("b", 2, "b0"), Part("d", 4, "dd")))
    made = VerifiedBackup(local(backup.kept_at), "", replace(backup.manifest, fingerprint=before), proof=VERIFIER)

    assert changed_meaning(made, before, frozenset()) == {}
    assert changed_meaning(made, after, frozenset({"c", "x"})) == {
        "b": "b: 2 rows (bb) before, 2 rows (b0) after",
        "d": "d: nothing before, 4 rows (dd) after",
    }
    assert changed_meaning(backup, after, frozenset()) == {}


def test_other_clients_are_named_in_the_refusal() -> None:
    """The refusal names up to five clients, and how many there are."""
    clients = tuple(
        Client(pid=pid, user="me", application="", address="", state="idle", connected_s=1.0, uses_catalog=False)
        for pid in range(1, 8)
    )

    one, all_of_them = clients_connected(clients[:1]), clients_connected(clients)

    assert one.message == "1 other client is connected to the database: pid 1: me, idle, for 1 s"
    assert all_of_them.message.startswith("7 other clients are connected to the database: pid 1: me")
    assert all_of_them.message.endswith("; pid 5: me, idle, for 1 s; and 2 more")
    assert clients_connected(clients[:5]).message.endswith("pid 5: me, idle, for 1 s")
    assert clients_connected(clients[:6]).message.endswith("pid 5: me, idle, for 1 s; and 1 more")
    assert one.hint == (
        "close them, or end them with --terminate-clients, or accept with --ignore-clients that attached"
        " DuckLake clients go on with a stale view of the catalog"
    )


def test_the_state_of_a_backup_is_its_definitions_and_rows(backup: VerifiedBackup) -> None:
    """What is compared under the fence is every definition, count and digest."""
    tables, rows = state_of(backup)

    assert tables == (METADATA, SNAPSHOT, OLD, DATA)
    assert rows[DATA.name] == Rows(2, digest([row(2, "y"), row(1, "x")]))


def test_a_client_is_shown_in_one_line() -> None:
    """A client is named by its process, user, place, program, state and age."""
    client = Client(
        pid=7, user="bob", application="psql", address="10.0.0.1", state="idle", connected_s=61.7, uses_catalog=False
    )

    assert str(client) == "pid 7: bob from 10.0.0.1 (psql), idle, for 62 s"
    assert (
        str(Client(pid=7, user="bob", application="", address="", state="", connected_s=1.2, uses_catalog=True))
        == "pid 7: bob, active, for 1 s"
    )
