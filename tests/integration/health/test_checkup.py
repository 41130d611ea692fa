"""`check` without a server: what a backup's catalog is found to be, and how that is said."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from support.backups import HEADER, Record, Value, record, row, tables_with, write_backup
from support.plans import plain_plans
from support.rules.scenes import Stage, broken, statements_before

from dlbackup.backupfile.manifest import Source
from dlbackup.health.checkup import MENDED_TABLES, Check
from dlbackup.health.evidence import EVIDENCE
from dlbackup.health.rules import RULES
from dlbackup.lake import spec
from dlbackup.lake.findings import Finding
from dlbackup.runtime.progress import Event, OnEvent, ignore
from dlbackup.tables.definition import Column, Constraint, Table
from dlbackup.verbs.check import check

Tables = Sequence[tuple[Table, Sequence[bytes]]]

_SYSTEM = tuple(Column(name=name, type="bigint") for name in ("row_id", "begin_snapshot", "end_snapshot"))
_NO_MEND = "dump what is there, then restore a backup from before the damage, or put the rows right by hand"


def _healthy(version: str, *more: Record) -> list[tuple[Table, list[bytes]]]:
    """Return the tables of an empty lake at snapshot 1, with more rows."""
    settings = {"version": version, "data_path": "lake/", "encrypted": "false", "created_by": "DuckDB"}
    counters: dict[str, Value] = {"schema_version": 1, "next_catalog_id": 100, "next_file_id": 100}
    return tables_with(
        version,
        *(record("metadata", key=key, value=value) for key, value in settings.items()),
        *(record("snapshot", snapshot_id=n, snapshot_time="2026-03-23 17:50:00+00", **counters) for n in (0, 1)),
        *(record("snapshot_changes", snapshot_id=n, changes_made="") for n in (0, 1)),
        *more,
    )


def _check(
    folder: Path, tables: Tables, version: str = "1.0", *, schema: str = "public", on_event: OnEvent = ignore
) -> Check:
    path = folder / "backup"
    write_backup(
        path,
        tables,
        replace(HEADER, spec_version=version, source=Source(database="lake", schema=schema, server_version="16.4")),
    )
    return check(str(path), on_event=on_event)


@pytest.fixture(scope="module", autouse=True)
def _plain_plans() -> Iterator[None]:
    with plain_plans():
        yield


def _rule(found: Check, name: str) -> Finding:
    (finding,) = (finding for finding in found.findings if finding.rule == name)
    return finding


def _inlined(name: str, *columns: Column) -> Table:
    return Table(name=name, columns=(*_SYSTEM, *columns))


def _registered(*names: str) -> list[Record]:
    return [
        record("inlined_data_tables", table_id=int(name.split("_")[3]), table_name=name, schema_version=1)
        for name in names
    ]


def _old_inlined(number: int) -> tuple[list[Record], Table]:
    """Return an inlined table as DuckDB 1.4 made it, and the lake table that it is of."""
    name = f"ducklake_inlined_data_{number}_1"
    columns: dict[str, tuple[str, str]] = {"{s}": ("varchar", "character varying"), "a'b": ("date", "date")}
    records = [
        *_registered(name),
        record("table", table_id=number, table_uuid=f"{number:032}", begin_snapshot=0, table_name=f"t{number}"),
        *(
            record("column", table_id=number, column_id=n, column_name=column, column_type=lake, begin_snapshot=0)
            for n, (column, (lake, _)) in enumerate(columns.items())
        ),
    ]
    return records, _inlined(name, *(Column(name=column, type=stored) for column, (_, stored) in columns.items()))


_TEXTS = {"x" * 60: "x" * 60, "x" * 61: "x" * 60 + "...", "a\nb\x1b": r"'a\nb\x1b'", "é": "é"}
"""Of changes, and how evidence shows them."""


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Check:
    """What is found of a catalog with many damages that have nothing to do with one another."""
    made = [_old_inlined(number) for number in range(100, MENDED_TABLES + 101)]
    kept, of_earlier_version = _old_inlined(300)
    unordered = [f"ducklake_inlined_data_{number}_1" for number in (10, 2)]
    tables = _healthy(
        "1.0",
        *(record("snapshot_changes", snapshot_id=n, changes_made=text) for n, text in enumerate(_TEXTS, 2)),
        record("column_mapping", mapping_id=7, table_id=7),
        *(record("files_scheduled_for_deletion", data_file_id=n, path=f"{n}.parquet") for n in (1, 2)),
        *(record("data_file", data_file_id=n, encryption_key="k", path=f"{n}.parquet") for n in range(1, 10)),
        record("name_mapping", mapping_id=1, column_id=1),
        *(one for records, _ in made for one in records),
        *kept,
        record("inlined_data_tables", table_id=300, table_name="ducklake_inlined_data_300_2", schema_version=2),
        *_registered(*unordered),
        *(record("table_stats", table_id=number) for number in (2, 10)),
    )
    return _check(
        tmp_path_factory.mktemp("damaged"),
        [
            *((replace(it, constraints=()) if it.name == "ducklake_snapshot" else it, rows) for it, rows in tables),
            *((it, []) for _, it in made),
            *((it, []) for it in (of_earlier_version, _inlined("ducklake_inlined_data_300_2"))),
            *((_inlined(name), [row(1, 5, None), row(0, 1, 0)]) for name in sorted(unordered)),
        ],
        schema='od"d',
    )


_BETWEEN = ("0.3", "0.4", "1.0")


@pytest.mark.parametrize(
    "version",
    [pytest.param(it, marks=[pytest.mark.long] if it in _BETWEEN else []) for it in spec.described()],
)
def test_healthy_catalog_has_no_finding(tmp_path: Path, version: str) -> None:
    """An empty lake of each version is fine."""
    found = _check(tmp_path, _healthy(version), version)

    assert (found.ok, found.spec_version, found.findings) == (True, version, ())


def test_errors_come_first_and_say_what_to_do(damaged: Check) -> None:
    """An error makes a catalog unsound and has a mend or advice; a warning does neither."""
    severities = [finding.severity for finding in damaged.findings]
    assert not damaged.ok
    assert severities == sorted(severities)
    assert set(severities) == {"error", "warning"}
    assert all(finding.mend or finding.advice for finding in damaged.findings if finding.severity == "error")
    assert _rule(damaged, "change-words").severity == "warning"
    assert _rule(damaged, "change-words").advice == ""
    assert _rule(damaged, "snapshot-changes").advice == _rule(damaged, "file-without-table").advice == _NO_MEND


@pytest.fixture(scope="module")
def warned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Check, list[Event]]:
    """What is found of a catalog with one warning, and what who listened heard meanwhile."""
    heard: list[Event] = []
    mapping = record("column_mapping", mapping_id=1, table_id=7)
    return _check(tmp_path_factory.mktemp("warned"), _healthy("1.0", mapping), on_event=heard.append), heard


def test_warnings_alone_are_sound(warned: tuple[Check, list[Event]]) -> None:
    """A catalog with nothing but warnings is ok."""
    found, _ = warned

    assert (found.ok, [finding.rule for finding in found.findings]) == (True, ["mapping-of-dropped-table"])
    assert found.findings[0] == Finding(
        severity="warning",
        rule="mapping-of-dropped-table",
        message="a name mapping belongs to a table that is gone: mapping_id 1, table_id 7",
        count=1,
        evidence=("mapping_id 1, table_id 7",),
        why="harmless; DuckDB up to 1.5.4 leaves them behind when snapshots expire",
    )


def test_rules_are_counted_while_they_run(warned: tuple[Check, list[Event]]) -> None:
    """Who listens hears the name of each rule before it runs, and how far the check is."""
    _, heard = warned
    rules = [event for event in heard if not event.rate]
    assert rules[0] == Event(stage="check", message="one-version", done=0, total=rules[0].total)
    assert rules[-1] == Event(stage="check", message="all rules", done=rules[-1].total, total=rules[-1].total)
    assert [event.done for event in rules] == list(range(len(rules)))


def test_many_rows_are_counted_and_few_shown(damaged: Check) -> None:
    """A finding says how many rows break the rule, and shows the first of them."""
    one, two, many = (
        _rule(damaged, name) for name in ("mapping-of-dropped-table", "scheduled-file-in-use", "file-key")
    )
    assert (one.count, two.count, many.count) == (1, 2, 9)
    assert one.message.endswith(f": {one.evidence[0]}")
    assert two.message.endswith(f": {two.evidence[0]} (and 1 more)")
    assert many.message.endswith(f": {many.evidence[0]} (and 8 more)")
    assert many.evidence == tuple(f"data file, id {n}" for n in range(1, EVIDENCE + 1))


class _Batches(Stage):
    """A catalog that is asked for one inlined table at a time."""

    def inlined(self, tables: Sequence[Table], registered: frozenset[str]) -> Iterator[str]:
        for table in tables:
            yield from super().inlined([table], registered)


def test_counts_of_batches_are_added() -> None:
    """Where inlined tables are read in batches, the counts are added up, and the first few rows shown."""
    (rule,) = (rule for rule in RULES if rule.name == "inlined-row-range")
    with duckdb.connect() as connection:
        for statement in statements_before("1.0"):
            connection.execute(statement)
        for number in range(1, 8):
            name = f"ducklake_inlined_data_{number}_1"
            connection.execute(f"create table {name} (row_id bigint, begin_snapshot bigint, end_snapshot bigint)")
            connection.execute(f"insert into {name} values (1, 20, null), (2, 20, null)")
            connection.execute(f"insert into ducklake_inlined_data_tables values ({number}, '{name}', 1)")

        finding = broken(_Batches(connection, "1.0"), "1.0", rule)

    assert finding is not None
    assert finding.count == 14
    assert [text.split(",")[0] for text in finding.evidence] == [f"table_id {n}" for n in (1, 1, 2, 2, 3)]


def test_advice_of_a_rule_is_passed_on(damaged: Check) -> None:
    """Where no SQL helps, the finding says what does."""
    assert _rule(damaged, "file-key").advice == "restore the key column from a backup; nothing else can read the file"


def test_evidence_is_readable(damaged: Check) -> None:
    """Evidence is cut where it is long, and escaped where it can't be printed."""
    assert _rule(damaged, "change-words").evidence == tuple(
        f"snapshot_id {n}, changes_made {shown}" for n, shown in enumerate(_TEXTS.values(), 2)
    )


def test_mends_name_the_schema_that_the_backup_came_from(damaged: Check) -> None:
    """The SQL of a mend names the quoted schema of the catalog, and a lost key is given back."""
    assert _rule(damaged, "mapping-is-partition").mend == (
        'UPDATE "od""d".ducklake_name_mapping SET is_partition = false WHERE is_partition IS NULL;'
    )
    key = _rule(damaged, "missing-key")
    assert key.mend == 'ALTER TABLE "od""d"."ducklake_snapshot" ADD PRIMARY KEY (snapshot_id);'
    assert (key.severity, key.message, key.count, key.advice) == (
        "error",
        "table ducklake_snapshot has no primary key on (snapshot_id)",
        1,
        "",
    )
    assert key.why


@pytest.mark.parametrize(
    ("version", "ran"),
    [
        *(("0.4-dev1", True), ("0.1", False)),
        *(pytest.param(it, True, marks=pytest.mark.long) for it in ("1.1-dev1", "7.5", "")),
    ],
)
def test_rules_of_the_next_version_before_apply(tmp_path: Path, version: str, ran: bool) -> None:
    """A version without a schema is checked by the rules of the one before it, an unknown one by what it looks like."""
    layout = "0.3" if version == "0.4-dev1" else "1.0"

    found = _check(tmp_path, _healthy(layout, record("column_mapping", mapping_id=1, table_id=7)), version)

    rules = {finding.rule for finding in found.findings}
    assert found.spec_version == version
    assert ("mapping-of-dropped-table" in rules) is ran
    assert "unknown-version" in rules


@pytest.mark.parametrize("layout", ["0.2", pytest.param("0.3", marks=pytest.mark.long), "1.0"])
def test_unknown_version_is_taken_for_what_it_looks_like(tmp_path: Path, layout: str) -> None:
    """Where no version is named, the rules are those of the version whose tables are there."""
    partial = {"0.2": "partial_file_info", "0.3": "partial_file_info", "1.0": "partial_max"}[layout]
    value: Value = 7 if layout == "1.0" else "1:2"
    more: list[Record] = [("ducklake_data_file", {"data_file_id": 1, "begin_snapshot": 1, partial: value})]
    if layout != "0.2":
        more.append(record("name_mapping", mapping_id=1))

    found = _check(tmp_path, _healthy(layout, *more), "9.9")
    rules = {finding.rule for finding in found.findings}

    assert found.spec_version == "9.9"
    assert "unknown-version" in rules
    assert ("partial-file-lists" in rules) is (layout != "1.0")
    assert ("partial-range" in rules) is (layout == "1.0")
    assert ("mapping-is-partition" in rules) is (layout != "0.2")


def test_rules_over_a_damaged_table_do_not_run(tmp_path: Path) -> None:
    """A rule whose table lacks a column, or has one of another type, doesn't run; that is a finding, and others run."""
    tables = []
    for table, rows in _healthy("1.0", record("files_scheduled_for_deletion", data_file_id=1)):
        last = table.columns[-1]
        if table.name == "ducklake_column_mapping":
            tables.append((replace(table, columns=table.columns[:-1]), [row(1, 7)]))
        elif table.name == "ducklake_name_mapping":
            other = replace(table, columns=(*table.columns[:-1], replace(last, type="bytea")))
            tables.append((other, [row(1, 1, *[None] * (len(table.columns) - 2))]))
        else:
            tables.append((table, rows))

    found = _check(tmp_path, tables)
    assert {finding.rule for finding in found.findings} == {"missing-column", "wrong-type", "scheduled-file-in-use"}


def test_more_columns_and_keys_stop_no_rule(tmp_path: Path) -> None:
    """A column that is not in the specification keeps no rule from running; a key that isn't is no finding."""
    more, key = Column(name="more", type="text"), Constraint("more", "PRIMARY KEY (mapping_id)")
    tables = [
        (replace(t, columns=(*t.columns, more), constraints=(key,)), [row(1, 7, None, None)])
        if t.name == "ducklake_column_mapping"
        else (t, rows)
        for t, rows in _healthy("1.0")
    ]

    rules = [finding.rule for finding in _check(tmp_path, tables).findings]
    assert sorted(rules) == ["extra-column", "mapping-of-dropped-table"]


def test_missing_tables_stop_no_check(tmp_path: Path) -> None:
    """Whatever tables are missing, the others are checked, inlined ones included."""
    records, inlined = _old_inlined(5)
    deletes = Table(
        name="ducklake_inlined_delete_5",
        columns=tuple(Column(name=n, type="bigint") for n in ("file_id", "row_id", "begin_snapshot")),
    )
    for gone in ({"table"}, {"snapshot", "table", "data_file", "delete_file"}):
        lost = {f"ducklake_{name}" for name in gone}
        tables = [(t, rows) for t, rows in _healthy("1.0", *records) if t.name not in lost]
        tables += [(inlined, [row(1, 9, None, None, None)]), (deletes, [row(1, 1, 1)])]
        messages = {finding.message for finding in _check(tmp_path, tables).findings}
        assert {f"table {name} is missing" for name in lost} <= messages


def test_inlined_tables_come_in_the_order_of_their_numbers(damaged: Check) -> None:
    """Evidence of inlined rows is ordered by the lake table's number, not by the table's name."""
    finding = _rule(damaged, "inlined-row-range")
    assert (finding.count, finding.evidence) == (
        4,
        tuple(
            f"table_id {n}, name ducklake_inlined_data_{n}_1, row_id {at}"
            for n in (2, 10)
            for at in ("0, begin_snapshot 1, end_snapshot 0", "1, begin_snapshot 5, end_snapshot NULL")
        ),
    )


def test_inlined_rows_without_a_registry_are_not_read(tmp_path: Path) -> None:
    """Without its registry inlined rows can't be judged, which is said; inlined deletes still are."""
    deletes = Table(
        name="ducklake_inlined_delete_5",
        columns=tuple(Column(name=n, type="bigint") for n in ("file_id", "row_id", "begin_snapshot")),
    )
    tables = [(t, rows) for t, rows in _healthy("1.0") if t.name != "ducklake_inlined_data_tables"]
    tables += [(_inlined("ducklake_inlined_data_5_1"), [row(1, 9, None)]), (deletes, [row(1, 1, 1)])]

    rules = {finding.rule for finding in _check(tmp_path, tables).findings}
    assert rules == {"missing-table", "inlined-delete-without-file", "inlined-deletes-of-dropped-table"}


def test_inlined_table_of_another_layout_is_left_out(tmp_path: Path) -> None:
    """An inlined table that does not begin with DuckLake's columns is named, and its rows are not read."""
    name = "ducklake_inlined_data_5_1"
    odd = Table(name=name, columns=(Column(name="x", type="bigint"), *_SYSTEM))
    tables = [*_healthy("1.0", *_registered(name)), (odd, [row(1, 9, 9, None)])]

    rules = {finding.rule for finding in _check(tmp_path, tables).findings}
    assert rules == {"inlined-layout", "inlined-table-of-dropped-table"}


def test_old_inlined_tables_get_exact_statements(damaged: Check) -> None:
    """The mend of inlined tables of 1.4 names every column with its conversion, whatever the columns are called."""
    assert _rule(damaged, "inlined-types").mend.startswith(
        "SET timezone = 'UTC'; SET datestyle = 'ISO';\n"
        'ALTER TABLE "od""d"."ducklake_inlined_data_100_1"'
        ' ALTER COLUMN "{s}" TYPE bytea USING convert_to("{s}"::text, \'UTF8\'),'
        ' ALTER COLUMN "a\'b" TYPE character varying USING'
        " regexp_replace(\"a'b\"::text, '^(\\S+)( .*)? BC$', '\\1 (BC)\\2');\n"
        'ALTER TABLE "od""d"."ducklake_inlined_data_101_1" ALTER COLUMN "{s}" '
    )


def test_statements_for_many_inlined_tables_are_bounded(damaged: Check) -> None:
    """At most so many inlined tables are mended at once; the next check names the others."""
    finding = _rule(damaged, "inlined-types")

    assert finding.count == 2 * (MENDED_TABLES + 1)
    assert finding.mend.count("ALTER TABLE") == MENDED_TABLES
    assert f'"ducklake_inlined_data_{MENDED_TABLES + 99}_1"' in finding.mend
    assert f'"ducklake_inlined_data_{MENDED_TABLES + 100}_1"' not in finding.mend


def test_only_tables_that_new_rows_go_into_are_converted(damaged: Check) -> None:
    """An inlined table of an earlier schema version keeps its types."""
    assert _rule(damaged, "inlined-types").count == 2 * (MENDED_TABLES + 1)
    assert "ducklake_inlined_data_300" not in _rule(damaged, "inlined-types").mend
