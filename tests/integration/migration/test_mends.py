"""What aftercare finds in a catalog and what its mends leave: rows on both sides of each border, without engines."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg
import pytest
from support.servers.servers import Servers, middle_major

from dlbackup.catalogs.postgres.mending import PostgresMending
from dlbackup.catalogs.postgres.ready import NOTHING
from dlbackup.catalogs.postgres.snapshot import PostgresSnapshot
from dlbackup.lake import spec
from dlbackup.migration.losses.known import RULES, known_losses, mend
from dlbackup.migration.losses.loss import Loss
from dlbackup.migration.steps import Step
from dlbackup.tables.quoting import quote_identifier

Session = psycopg.Connection[tuple[Any, ...]]

_INLINED = "row_id bigint, begin_snapshot bigint, end_snapshot bigint"


@dataclass(frozen=True, slots=True)
class _Catalog:
    """A catalog of a spec version, in a schema whose name wants quoting."""

    session: Session
    version: str

    @property
    def schema(self) -> str:
        """The name of its schema."""
        return f'od"d 5%s {self.version}'

    def make(self) -> None:
        """Make the tables, with nothing in them but the version and one snapshot."""
        self.run("create schema {s}")
        for table in spec.load(self.version).values():
            self.run(f"create table {{s}}.{table.name} ({', '.join(f'{c.name} {c.type}' for c in table.columns)})")
        self.put("metadata", key="version", value=self.version)
        self.put("snapshot", snapshot_id=9)

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        """Execute a statement in which `{s}` stands for the schema; return its rows."""
        cursor = self.session.execute(sql.replace("{s}", quote_identifier(self.schema)).encode())
        return cursor.fetchall() if cursor.description else []

    def put(self, table: str, **values: int | str | bool | None) -> None:
        """Insert a row into the table `ducklake_<table>`; what is not named is NULL."""
        marks = ", ".join(["%s"] * len(values))
        statement = (
            f"insert into {quote_identifier(self.schema).replace('%', '%%')}.ducklake_{table} ({', '.join(values)})"
        )
        self.session.execute(f"{statement} values ({marks})".encode(), list(values.values()))

    def losses(self, to: str = "1.0", duckdb_version: str = "1.5.5") -> tuple[Loss, ...]:
        """Return what a migration of it would lose."""
        snapshot = PostgresSnapshot.begin(self.session, self.schema)
        # No engine made these catalogs, and none would load them.
        return known_losses(snapshot, Step(self.version, to, duckdb_version), unreadable=False)

    def loss(self, rule: str, to: str = "1.0") -> Loss:
        """Return the loss that goes by the name."""
        (loss,) = (loss for loss in self.losses(to) if loss.rule == rule)
        return loss

    def found(self, rule: str) -> list[Any]:
        """Return what one rule finds."""
        return next((list(loss.before) for loss in self.losses() if loss.rule == rule), [])

    def mend(self, *losses: Loss) -> list[tuple[str, int]]:
        """Mend losses as `migrate` does once the engine is done."""
        return mend(PostgresMending(self.session, self.schema, NOTHING), losses)


@pytest.fixture(scope="module")
def session(servers: Servers) -> Iterator[Session]:
    """A session on a database with a catalog of each spec version."""
    with servers[middle_major()].database() as url, psycopg.connect(url, autocommit=True) as session:
        session.execute("set search_path = ''")
        for version in spec.described():
            _Catalog(session, version).make()
        yield session


@pytest.fixture
def catalog(session: Session) -> Iterator[Callable[[str], _Catalog]]:
    """The catalogs by spec version; what a test does to them is rolled back."""
    with session.transaction(force_rollback=True):
        yield partial(_Catalog, session)


def _put_inlined(catalog: _Catalog, table: int, version: int, *columns: str, end: int | None = None) -> str:
    """Make an inlined table with columns such as `"d" date`, and register it for a lake table."""
    name = f"ducklake_inlined_data_{table}_{version}"
    catalog.run(f"create table {{s}}.{name} ({', '.join((_INLINED, *columns))})")
    catalog.put("inlined_data_tables", table_id=table, table_name=name, schema_version=version)
    catalog.put("table", table_id=table, begin_snapshot=1, end_snapshot=end)
    return name


_UNTIL_0_4 = {"name-mapping-partition", "inlined-versions", "unknown-statistics"}
_OF_1_5_0 = ("schema-versions-at-one-snapshot", "unreadable-defaults")
"""What only DuckDB 1.5.0 and 1.5.1 lose."""


def _put_everything(catalog: _Catalog, version: str) -> None:
    """Put something in for each loss that the version's layout can have."""
    if version in ("0.2", "0.3"):
        for file, text in enumerate(("2:5|3:10", "4:5|3:10", "2:5|4:10")):
            catalog.put("data_file", data_file_id=file, table_id=1, begin_snapshot=2, partial_file_info=text)
        catalog.put("data_file", data_file_id=8, table_id=1, begin_snapshot=1, end_snapshot=4)
        catalog.put("data_file", data_file_id=9, table_id=5, begin_snapshot=6, partial_file_info="6:1|9:2")
    if version == "0.3":
        catalog.put("schema_versions", begin_snapshot=4, schema_version=2)
    if version == "0.4":
        catalog.put("schema_versions", begin_snapshot=4, schema_version=2, table_id=6)
    _put_inlined(catalog, 6, 3)
    catalog.put("column", table_id=6, column_id=1, begin_snapshot=5)
    catalog.put("snapshot_changes", snapshot_id=6, changes_made="inlined_insert:5")
    catalog.put("snapshot_changes", snapshot_id=9)
    _put_inlined(catalog, 5, 1, "t character varying")
    catalog.put("name_mapping", mapping_id=1)
    catalog.put("column", table_id=5, column_id=1, column_name="t", column_type="varchar", default_value="NULL")
    catalog.put("table_column_stats", table_id=5, column_id=1)
    _put_wide(catalog, 7, 1598)
    for table in (8, 9):
        _put_inlined(catalog, table, 1)
        catalog.put("column", table_id=table, column_id=1, begin_snapshot=5)
    catalog.run("insert into {s}.ducklake_inlined_data_9_1 values (0, 1, null)")


def _put_wide(catalog: _Catalog, table: int, columns: int) -> None:
    """Put in a lake's table of so many columns."""
    catalog.put("table", table_id=table, schema_id=3, begin_snapshot=9)
    catalog.run(
        "insert into {s}.ducklake_column (column_id, begin_snapshot, table_id, column_name, column_type)"
        f" select n, 9, {table}, 'c' || n, 'int32' from generate_series(1, {columns}) n"
    )


_ON_POSTGRESQL = {rule.name for rule in RULES if "postgres" in rule.dialects}


@pytest.mark.parametrize(
    ("start", "to", "duckdb_version", "rules"),
    [
        ("0.2", "0.3", "1.4.4", {"name-mapping-partition"}),
        ("0.3", "0.4", "1.5.0", _ON_POSTGRESQL - _UNTIL_0_4),
        ("0.3", "0.4", "1.5.1", _ON_POSTGRESQL - _UNTIL_0_4),
        ("0.3", "1.0", "1.5.5", _ON_POSTGRESQL - {"name-mapping-partition", *_OF_1_5_0}),
        ("0.4", "1.0", "1.5.5", {"inlined-versions", "unknown-statistics"}),
        ("0.4", "1.0", "1.5.1", {"inlined-versions", "unknown-statistics"}),
        ("1.0", "1.1-dev1", "1.5.5", set()),
    ],
)
def test_losses_belong_to_their_steps(
    catalog: Callable[[str], _Catalog], start: str, to: str, duckdb_version: str, rules: set[str]
) -> None:
    """Of a catalog that has everything that can be lost, a step loses what its engine does not carry over."""
    made = catalog(start)
    _put_everything(made, start)

    assert {loss.rule for loss in made.losses(to, duckdb_version)} == rules


def test_empty_catalog_loses_nothing(catalog: Callable[[str], _Catalog]) -> None:
    """Where there is nothing, nothing is lost, even by the engine that breaks most."""
    assert catalog("0.3").losses("0.4", "1.5.1") == ()


def test_losses_say_how_much_and_which_part(catalog: Callable[[str], _Catalog]) -> None:
    """A loss says how many rows it is about, as text for a message, and names a table whose meaning changes."""
    made = catalog("0.3")
    _put_everything(made, "0.3")

    older = catalog("0.2")
    _put_everything(older, "0.2")

    for loss in (*made.losses("0.4", "1.5.1"), *made.losses("1.0"), *older.losses("0.3")):
        assert re.fullmatch(rf"[^{{}}]*\b{loss.rows} [^{{}}]*[a-z]", loss.message), loss.rule
        assert loss.message[:1] in "0123456789D", loss.rule
        assert loss.part == "" or loss.part in spec.load("0.3"), loss.rule


def test_parts_that_a_loss_may_change(catalog: Callable[[str], _Catalog]) -> None:
    """Accepting a loss accepts a change in the part of the lake's meaning that it shows in, and in no other."""
    made = catalog("0.3")
    _put_everything(made, "0.3")

    parts = {loss.rule: loss.part for loss in (*made.losses("0.4", "1.5.1"), *made.losses("1.0"))}
    assert parts == {
        "partial-file-lists": "ducklake_data_file",
        "unordered-partial-files": "ducklake_data_file",
        "rewritten-partial-files": "ducklake_data_file",
        "flushed-partial-files": "ducklake_data_file",
        "inlined-types": "",
        "inlined-columns": "",
        "inlined-column-rows": "",
        "wide-tables": "",
        "schema-versions-at-one-snapshot": "ducklake_schema_versions",
        "schema-version-holes": "ducklake_schema_versions",
        "inlined-versions": "",
        "schema-version-gaps": "ducklake_schema_versions",
        "unknown-statistics": "",
        "null-text-defaults": "ducklake_column",
        "unreadable-defaults": "ducklake_column",
    }


def test_only_what_has_no_mend_is_not_mendable(catalog: Callable[[str], _Catalog]) -> None:
    """Four losses have no mend, and are left alone by a run of the mends; the others are reported in their order."""
    made = catalog("0.3")
    _put_everything(made, "0.3")
    losses = made.losses("0.4", "1.5.1")
    made.run("alter table {s}.ducklake_data_file add partial_max bigint")
    made.run("alter table {s}.ducklake_schema_versions add table_id bigint")
    for column in ("default_value_type", "default_value_dialect"):
        made.run(f"alter table {{s}}.ducklake_column add {column} varchar")

    mended = made.mend(*losses)

    assert [loss.rule for loss in losses if not loss.mendable] == [
        "unordered-partial-files",
        "rewritten-partial-files",
        "inlined-column-rows",
        "wide-tables",
    ]
    assert [rule for rule, _ in mended] == [loss.rule for loss in losses if loss.mendable]


@pytest.mark.parametrize(
    ("text", "largest", "rises"),
    [
        (None, None, True),
        ("partial_max:7", None, True),
        ("3:5", 3, True),
        ("2:5|3:10|4:15", 4, True),
        ("2:5|2:10", 2, True),
        ("9:5|10:15", 10, True),
        ("2:5|3:5", 3, False),
        ("2:5|3:4", 3, False),
        ("6:15|8:16|7:76", 8, False),
        ("x2:5|3:10", 3, False),
        ("2:5|3:10|", 3, False),
        ("", None, False),
    ],
)
def test_lists_are_mended_by_their_largest_snapshot(
    catalog: Callable[[str], _Catalog], text: str | None, largest: int | None, rises: bool
) -> None:
    """A list becomes its largest snapshot; one that doesn't rise in both numbers, or is none, has no exact mend."""
    made = catalog("0.3")
    made.put("data_file", data_file_id=8, table_id=7, begin_snapshot=2, partial_file_info=text)

    rules = {loss.rule: loss.before for loss in made.losses()}
    expected: dict[str, list[Any]] = {} if largest is None else {"partial-file-lists": [(8, largest)]}
    assert rules == expected | ({} if rises else {"unordered-partial-files": [8]})


def test_files_get_their_largest_snapshots(catalog: Callable[[str], _Catalog]) -> None:
    """Each compacted file gets its own number, and files without a list stay as they are."""
    made = catalog("0.3")
    for file, text in ((12, "2:5|3:10"), (7, None), (3, "4:5|6:10"), (9, "partial_max:8")):
        made.put("data_file", data_file_id=file, table_id=7, begin_snapshot=2, partial_file_info=text)
    losses = made.losses()
    made.run("alter table {s}.ducklake_data_file add partial_max bigint")

    assert [loss.before for loss in losses] == [[(3, 6), (12, 3)]]
    assert made.mend(*losses) == [("partial-file-lists", 2)]
    assert made.run("select data_file_id, partial_max from {s}.ducklake_data_file order by 1") == [
        (3, 6),
        (7, None),
        (9, None),
        (12, 3),
    ]


@pytest.mark.parametrize(
    ("text", "table", "begin", "end", "found"),
    [
        ("3:15|4:30", 7, 2, 4, True),
        ("3:15|4:30|5:40", 7, 2, 4, True),
        ("3:15|4:30", 7, 2, 3, False),
        ("3:15|4:30", 7, 2, 5, False),
        ("3:15|4:30", 7, 2, None, False),
        ("3:15|4:30", 7, 4, 4, False),
        ("3:15|4:30", 8, 2, 4, False),
        ("4:15|3:30", 7, 2, 4, False),
        ("4:15", 7, 2, 4, True),
    ],
)
def test_rewritten_files_begin_where_another_ends(
    catalog: Callable[[str], _Catalog], text: str, table: int, begin: int, end: int | None, found: bool
) -> None:
    """A list may hold a rewritten file when a file of its table, visible before, ends at a snapshot after its first."""
    made = catalog("0.3")
    made.put("data_file", data_file_id=1, table_id=7, begin_snapshot=3, partial_file_info=text)
    made.put("data_file", data_file_id=2, table_id=table, begin_snapshot=begin, end_snapshot=end)

    assert made.found("rewritten-partial-files") == ([1] if found else [])


_INSERT, _FLUSH, _OTHER = "inlined_insert:7", "flushed_inlined:7", "inserted_into_table:7"


@pytest.mark.parametrize(
    ("changes", "flushed"),
    [
        ({2: _INSERT, 3: _INSERT, 4: _FLUSH}, True),
        ({2: _INSERT, 3: _OTHER, 4: f"x:1,{_INSERT}", 5: _OTHER, 6: f"{_FLUSH},y:1"}, True),
        ({2: _INSERT, 3: _FLUSH}, False),
        ({2: _INSERT, 3: _FLUSH, 4: _INSERT, 5: _FLUSH}, False),
        ({2: _INSERT, 3: _INSERT, 4: _OTHER, 5: _OTHER, 6: _OTHER}, False),
        ({2: _INSERT, 4: _FLUSH}, True),
        ({2: _INSERT, 3: _FLUSH, 5: _OTHER}, False),
        ({3: _INSERT, 4: _FLUSH}, True),
        ({3: _FLUSH, 4: _INSERT, 5: _FLUSH}, False),
        ({2: _OTHER, 3: _INSERT, 4: _FLUSH}, False),
        ({2: None, 3: _INSERT, 4: _FLUSH}, False),
        ({2: _INSERT, 3: None, 4: _FLUSH}, False),
        ({2: _INSERT, 3: "inlined_insert:71", 4: _FLUSH}, False),
        ({2: _INSERT, 3: "flushed_inlined:71", 4: _INSERT, 5: _FLUSH}, True),
        ({2: "inlined_insert:71", 3: _INSERT, 4: _FLUSH}, False),
        ({}, True),
    ],
)
def test_flushed_files_hold_rows_of_several_snapshots(
    catalog: Callable[[str], _Catalog], changes: Mapping[int, str | None], flushed: bool
) -> None:
    """
    A list may hold a file with rows of several snapshots when inlined inserts lie before the first flush.

    An expired snapshot counts as an insert; what other tables do doesn't count.
    """
    made = catalog("0.3")
    _put_inlined(made, 7, 1)
    made.put("data_file", data_file_id=1, table_id=7, begin_snapshot=2, partial_file_info="2:9|7:10")
    for snapshot, words in {**changes, 7: _OTHER, 8: _OTHER}.items():
        made.put("snapshot_changes", snapshot_id=snapshot, changes_made=words)

    assert made.found("flushed-partial-files") == ([(1, 7)] if flushed else [])
    assert made.found("partial-file-lists") == ([] if flushed else [(1, 7)])


def test_files_of_several_tables_are_told_apart(catalog: Callable[[str], _Catalog]) -> None:
    """Only files of tables with inlined data, and only those with such a snapshot in their list, hold flushed rows."""
    made = catalog("0.3")
    _put_inlined(made, 7, 1)
    _put_inlined(made, 8, 1)
    for file, (table, text) in enumerate([(7, "2:9|5:10"), (7, "5:1|6:2"), (8, "2:9|5:10"), (9, "2:9|5:10")]):
        made.put("data_file", data_file_id=file, table_id=table, begin_snapshot=2, partial_file_info=text)
    changes = {2: f"{_INSERT},inlined_insert:9", 3: f"{_INSERT},inlined_insert:9", 4: f"{_FLUSH},flushed_inlined:9"}
    for snapshot, words in {**changes, 5: _OTHER, 6: _OTHER}.items():
        made.put("snapshot_changes", snapshot_id=snapshot, changes_made=words)

    assert made.found("flushed-partial-files") == [(0, 5)]
    assert made.found("partial-file-lists") == [(1, 6), (2, 5), (3, 5)]


def test_lists_are_carried_over_without_any_changes(catalog: Callable[[str], _Catalog]) -> None:
    """Where the catalog has lost what its snapshots changed, lists are carried over like others."""
    made = catalog("0.3")
    _put_inlined(made, 7, 1)
    made.put("data_file", data_file_id=1, table_id=7, begin_snapshot=2, partial_file_info="2:9|5:10")

    assert made.found("partial-file-lists") == [(1, 5)]


def test_flushed_lists_are_mended_like_others(catalog: Callable[[str], _Catalog]) -> None:
    """A file that may hold flushed rows gets the largest snapshot of its list too."""
    made = catalog("0.3")
    _put_inlined(made, 7, 1)
    made.put("data_file", data_file_id=1, table_id=7, begin_snapshot=2, partial_file_info="2:9|5:10")
    for snapshot, words in {2: _INSERT, 3: _INSERT, 4: _FLUSH}.items():
        made.put("snapshot_changes", snapshot_id=snapshot, changes_made=words)
    loss = made.loss("flushed-partial-files")
    made.run("alter table {s}.ducklake_data_file add partial_max bigint")

    assert made.mend(loss) == [("flushed-partial-files", 1)]
    assert made.run("select partial_max from {s}.ducklake_data_file") == [(5,)]


_COLUMNS = {
    "s": ("varchar", "character varying", "bytea"),
    "j": ("json", "json", "bytea"),
    "k": ("json", "character varying", "bytea"),
    "d": ("date", "date", "character varying"),
    "t": ("timestamp", "timestamp without time zone", "character varying"),
    "z": ("timestamptz", "timestamp with time zone", "character varying"),
    "f": ("float32", "double precision", "real"),
    'it"s {c}': ("varchar", "character varying", "bytea"),
    "g": ("float64", "double precision", "double precision"),
    "b": ("varchar", "bytea", "bytea"),
    "u": ("uuid", "character varying", "character varying"),
    "ended": ("varchar", "character varying", "character varying"),
    "nested": ("varchar", "character varying", "character varying"),
    "alien": ("", "character varying", "character varying"),
}
"""Columns of an inlined table of 1.4: the lake's type, the stored one, and that after the mend."""


def _put_columns(catalog: _Catalog, table: int) -> str:
    columns = [f"{quote_identifier(name)} {stored}" for name, (_, stored, _) in _COLUMNS.items()]
    for number, (name, (lake, _, _)) in enumerate(_COLUMNS.items()):
        ended = {"end_snapshot": 4} if name == "ended" else {}
        nested = {"parent_column": 0} if name == "nested" else {}
        if lake:
            values: dict[str, int | str] = {"table_id": table, "column_id": number, **ended, **nested}
            catalog.put("column", column_name=name, column_type=lake, **values)
    return _put_inlined(catalog, table, 1, *columns)


def _types(catalog: _Catalog, name: str) -> dict[str, str]:
    rows = catalog.run(
        "select attname, format_type(atttypid, atttypmod) from pg_attribute join pg_class c on c.oid = attrelid"
        f" join pg_namespace n on n.oid = relnamespace where relname = '{name}' and attnum > 3 and not attisdropped"
        " and nspname like 'od%'"
    )
    return dict(rows)


def test_inlined_columns_become_what_1_5_makes(catalog: Callable[[str], _Catalog]) -> None:
    """Living columns of the lake whose stored type 1.5 misuses are converted with their rows, and no others."""
    made = catalog("0.3")
    name = _put_columns(made, 5)
    values = "'ä\\', '{}', '[1]', '0044-03-15 BC', '0044-03-15 10:00:00 BC', '2024-02-29 10:00:00+00', 0.1, 'x', 0.1"
    made.run(f"insert into {{s}}.{name} values (0, 1, null, {values})")
    loss = made.loss("inlined-types")
    made.run("set local timezone = 'UTC'")

    assert loss.rows == 1
    assert made.mend(loss) == [("inlined-types", 1)]
    assert _types(made, name) == {column: after for column, (_, _, after) in _COLUMNS.items()}
    (row,) = made.run(f"select convert_from(s, 'UTF8'), j, k, d, t, z, f from {{s}}.{name}")
    assert row == (
        *("ä\\", b"{}", b"[1]", "0044-03-15 (BC)", "0044-03-15 (BC) 10:00:00", "2024-02-29 10:00:00+00"),
        pytest.approx(0.1),
    )


def test_mended_inlined_tables_are_left_as_they_are(catalog: Callable[[str], _Catalog]) -> None:
    """A mend that was cut off and is run again converts nothing twice, and what is left of a table still."""
    made = catalog("0.3")
    name = _put_columns(made, 5)
    made.run(f"insert into {{s}}.{name} (s, d) values ('text', '2024-02-29')")
    loss = made.loss("inlined-types")
    made.run(f"alter table {{s}}.{name} alter s type bytea using convert_to(s, 'UTF8')")
    # A table of the same name elsewhere, and what is left of a dropped column, say nothing about this one.
    made.run(f"create table pg_temp.{name} (s varchar, d varchar)")
    made.run(f"alter table {{s}}.{name} drop f")

    assert made.mend(loss) == made.mend(loss) == [("inlined-types", 1)]
    assert made.run(f"select convert_from(s, 'UTF8'), d from {{s}}.{name}") == [("text", "2024-02-29")]


def test_inlined_tables_that_no_row_goes_into_are_left_out(catalog: Callable[[str], _Catalog]) -> None:
    """Only the newest inlined table of a living lake table counts, in the order of the lake's tables."""
    made = catalog("0.3")
    for table in (10, 9, 8, 7):
        made.put("column", table_id=table, column_id=1, column_name="d", column_type="date")
    newest = _put_inlined(made, 10, 12, "d date")
    made.run(f"create table {{s}}.ducklake_inlined_data_10_9 ({_INLINED}, d date)")
    made.put("inlined_data_tables", table_id=10, table_name="ducklake_inlined_data_10_9", schema_version=9)
    other = _put_inlined(made, 9, 1, "d date")
    _put_inlined(made, 8, 1, "d date", end=5)
    made.put("table", table_id=7, begin_snapshot=1)
    made.put("inlined_data_tables", table_id=7, table_name="ducklake_inlined_data_7_1", schema_version=1)

    assert [name for name, _ in made.found("inlined-types")] == [other, newest]


def test_columns_of_the_same_name_are_told_apart(catalog: Callable[[str], _Catalog]) -> None:
    """What a column of one table is says nothing about those of others."""
    made = catalog("0.3")
    made.put("column", table_id=5, column_id=1, column_name="d", column_type="date")
    made.put("column", table_id=6, column_id=1, column_name="d", column_type="varchar")
    name = _put_inlined(made, 5, 1, "d date")
    _put_inlined(made, 6, 1, "d date")

    assert [table for table, _ in made.found("inlined-types")] == [name]


def test_mapped_columns_are_marked_as_no_partitions(catalog: Callable[[str], _Catalog]) -> None:
    """What the engine left unknown becomes false; a partition stays one."""
    made = catalog("0.2")
    for mapping in (1, 2, 3, 4):
        made.put("name_mapping", mapping_id=mapping)
    loss = made.loss("name-mapping-partition", "0.3")
    made.run("alter table {s}.ducklake_name_mapping add is_partition boolean")
    made.run("update {s}.ducklake_name_mapping set is_partition = mapping_id = 2 where mapping_id in (2, 3)")

    assert (loss.rows, loss.part) == (4, "ducklake_name_mapping")
    assert made.mend(loss) == [("name-mapping-partition", 2)]
    assert made.run("select mapping_id from {s}.ducklake_name_mapping where is_partition") == [(2,)]
    assert made.run("select mapping_id from {s}.ducklake_name_mapping where is_partition is null") == []


def test_tables_get_back_their_first_schema_version(catalog: Callable[[str], _Catalog]) -> None:
    """A table without a schema version from its first begin on gets one, below its lowest; others stay."""
    made = catalog("0.3")
    for table, begin in ((4, 2), (4, 5), (5, 3), (6, 2), (7, 4), (8, 6)):
        made.put("table", table_id=table, begin_snapshot=begin)
    for snapshot in (3, 5, 7):
        made.put("schema_versions", begin_snapshot=snapshot, schema_version=snapshot)

    assert sorted(made.found("schema-version-holes")) == [(4,), (6,), (7,), (8,)]

    loss = made.loss("schema-version-holes")
    made.run("alter table {s}.ducklake_schema_versions add table_id bigint")
    made.run("delete from {s}.ducklake_schema_versions")
    known = [(4, 5, 30), (4, 7, 31), (5, 3, 20), (6, 1, 10), (6, 5, 11), (8, 9, 7), (8, 8, 6)]
    for table, snapshot, version in known:
        made.put("schema_versions", table_id=table, begin_snapshot=snapshot, schema_version=version)

    assert made.mend(loss) == [("schema-version-holes", 3)]
    rows = made.run("select table_id, begin_snapshot, schema_version from {s}.ducklake_schema_versions")
    assert sorted(rows) == sorted([*known, (4, 2, 29), (7, 4, 0), (8, 6, 5)])


def test_changes_get_schema_versions_of_their_own(catalog: Callable[[str], _Catalog]) -> None:
    """A change after a table's begin gets the next number, and the begin its own where it would be the same."""
    made = catalog("0.3")
    made.run("update {s}.ducklake_snapshot set schema_version = 9")
    for table, begin, end in ((4, 2, 6), (4, 6, None), (5, 3, None), (6, 7, None)):
        made.put("table", table_id=table, begin_snapshot=begin, end_snapshot=end)
    for snapshot, version in ((0, 0), (5, 5), (7, 6), (9, 9)):
        made.put("schema_versions", begin_snapshot=snapshot, schema_version=version)
    for table, snapshot in ((4, 2), (4, 5), (5, 3), (6, 7)):
        made.put("column", table_id=table, column_id=snapshot, begin_snapshot=snapshot)
    assert made.found("schema-version-gaps") == [(2, 1, 4, 4), (3, 2, 5, 4)]

    made.put("column", table_id=4, column_id=9, begin_snapshot=4)
    made.put("column", table_id=7, column_id=1, begin_snapshot=4)
    made.put("column", table_id=6, column_id=8, begin_snapshot=8)
    assert made.found("schema-version-gaps") == [(2, 1, 4, 4), (3, 2, 5, 4), (4, 3, 4, None), (8, 7, 6, None)]

    loss = made.loss("schema-version-gaps")
    made.run("alter table {s}.ducklake_schema_versions add table_id bigint")
    made.run("update {s}.ducklake_schema_versions set table_id = 4")
    made.put("schema_versions", begin_snapshot=2, schema_version=4, table_id=4)
    made.put("schema_versions", begin_snapshot=2, schema_version=4, table_id=5)
    made.put("schema_versions", begin_snapshot=3, schema_version=4, table_id=5)
    assert made.mend(loss) == [("schema-version-gaps", 4)]
    assert made.mend(loss) == [("schema-version-gaps", 0)]
    rows = made.run("select begin_snapshot, schema_version, table_id from {s}.ducklake_schema_versions order by 3, 1")
    of_four = [(0, 0, 4), (2, 1, 4), (4, 3, 4), (5, 5, 4), (7, 6, 4), (9, 9, 4)]
    assert rows == [*of_four, (2, 4, 5), (3, 2, 5), (8, 7, 6)]


def _put_statistics(catalog: _Catalog, table: int, column: int, column_type: str = "int32", **known: str) -> None:
    catalog.put("column", table_id=table, column_id=column, column_type=column_type)
    catalog.put("table_column_stats", table_id=table, column_id=column, **known)


@pytest.mark.parametrize("start", ["0.3", "0.4"])
def test_statistics_that_know_nothing_are_found(catalog: Callable[[str], _Catalog], start: str) -> None:
    """Statistics without minimum, maximum and more are unknown where a file doesn't say that all values are NULL."""
    made = catalog(start)
    for file, table in enumerate((6, 6, 5, 5)):
        made.put("data_file", data_file_id=file, table_id=table)
    for column in (9, 1, 2, 3, 4, 5):
        _put_statistics(made, 5, column)
    _put_statistics(made, 6, 1)
    _put_statistics(made, 6, 0)
    # Column 1 of table 5 is NULL in both of its files, 2 in one, 3 in none; 4 is in table 6 and has values in one file.
    for file, table, column, count in (
        *((2, 5, 1, 0), (3, 5, 1, 0), (2, 5, 2, 0), (3, 5, 2, 1), (2, 5, 3, 1), (3, 5, 3, 1)),
        *((0, 6, 4, 0), (1, 6, 4, 0), (2, 5, 4, 0), (2, 5, 5, 1), (2, 5, 9, 0)),
        *((0, 6, 1, 0), (1, 6, 1, 0)),
    ):
        made.put("file_column_stats", data_file_id=file, table_id=table, column_id=column, value_count=count)

    assert made.found("unknown-statistics") == [(5, 2), (5, 3), (5, 4), (5, 5), (5, 9), (6, 0)]


def test_statistics_that_know_something_are_not_found(catalog: Callable[[str], _Catalog]) -> None:
    """A minimum, a maximum or more is knowledge; columns that are gone, or of types without any, don't count."""
    made = catalog("0.3")
    made.put("data_file", data_file_id=1, table_id=5)
    for column, known in enumerate(("min_value", "max_value", "extra_stats")):
        _put_statistics(made, 5, column, **{known: "1"})
    for column, column_type in enumerate(("boolean", "int128", "uint128", "interval", "blob"), 10):
        _put_statistics(made, 5, column, column_type)
    made.put("column", table_id=5, column_id=20, column_type="int32", end_snapshot=4)
    made.put("table_column_stats", table_id=5, column_id=20)
    made.put("column", table_id=6, column_id=21, column_type="int32")
    made.put("table_column_stats", table_id=5, column_id=21)

    assert made.found("unknown-statistics") == []


def test_inlined_rows_are_values(catalog: Callable[[str], _Catalog]) -> None:
    """A table with inlined data has values that no file tells of; one with neither has none."""
    made = catalog("0.4")
    for table in (4, 5):
        _put_statistics(made, table, 1)
    made.put("inlined_data_tables", table_id=4, table_name="ducklake_inlined_data_4_1", schema_version=1)

    assert made.found("unknown-statistics") == [(4, 1)]


def test_unknown_statistics_are_forgotten(catalog: Callable[[str], _Catalog]) -> None:
    """The mend takes away what was found, unless it is known by then, and nothing else."""
    made = catalog("0.4")
    made.put("data_file", data_file_id=1, table_id=5)
    made.put("data_file", data_file_id=2, table_id=6)
    for table, column in ((5, 1), (5, 2), (5, 3), (5, 4), (6, 2), (6, 7)):
        _put_statistics(made, table, column)
    _put_statistics(made, 5, 7, min_value="1")
    _put_statistics(made, 5, 8, "boolean")
    _put_statistics(made, 7, 1)
    loss = made.loss("unknown-statistics")
    for column, known in ((2, "min_value"), (3, "max_value"), (4, "extra_stats")):
        made.run(
            f"update {{s}}.ducklake_table_column_stats set {known} = '1' where table_id = 5 and column_id = {column}"
        )

    assert made.mend(loss) == [("unknown-statistics", 3)]
    left = made.run("select table_id, column_id from {s}.ducklake_table_column_stats order by 1, 2")
    assert left == [(5, 2), (5, 3), (5, 4), (5, 7), (5, 8), (7, 1)]


def test_text_null_becomes_an_expression(catalog: Callable[[str], _Catalog]) -> None:
    """The default NULL of texts and blobs is a text up to 0.3, and is written so that it stays one."""
    made = catalog("0.3")
    for column, (column_type, default) in enumerate(
        [("varchar", "NULL"), ("blob", "NULL"), ("int32", "NULL"), ("varchar", "null"), ("varchar", None)]
    ):
        made.put(
            "column", table_id=5, column_id=column, begin_snapshot=3, column_type=column_type, default_value=default
        )
    made.put("column", table_id=5, column_id=0, begin_snapshot=2, column_type="varchar", default_value="NULL")
    made.put("column", table_id=4, column_id=7, begin_snapshot=9, column_type="varchar", default_value="NULL")
    made.put("column", table_id=5, column_id=9, begin_snapshot=1, column_type="varchar", default_value="NULL")

    assert made.found("null-text-defaults") == [(4, 7, 9), (5, 0, 2), (5, 0, 3), (5, 1, 3), (5, 9, 1)]

    loss = made.loss("null-text-defaults")
    for name in ("default_value_type", "default_value_dialect"):
        made.run(f"alter table {{s}}.ducklake_column add {name} varchar")
    assert made.mend(loss) == [("null-text-defaults", 5)]
    columns = "default_value, default_value_type, default_value_dialect"
    assert set(made.run(f"select column_type, {columns} from {{s}}.ducklake_column")) == {
        ("varchar", "concat('NULL')", "expression", "duckdb"),
        ("blob", "concat('NULL')", "expression", "duckdb"),
        ("int32", "NULL", None, None),
        ("varchar", "null", None, None),
        ("varchar", None, None, None),
    }


def test_columns_that_1_5_1_can_t_read_are_counted(catalog: Callable[[str], _Catalog]) -> None:
    """Every column is one that DuckDB 1.5.0 and 1.5.1 leave without a default type."""
    made = catalog("0.3")
    made.put("column", table_id=5, column_id=1)
    made.put("column", table_id=5, column_id=2, end_snapshot=3)

    (loss,) = made.losses("0.4", "1.5.0")
    assert (loss.rule, loss.rows) == ("unreadable-defaults", 2)


@pytest.mark.parametrize("version", ["0.3", "0.4"])
def test_inlined_tables_get_their_schema_versions(catalog: Callable[[str], _Catalog], version: str) -> None:
    """Only where no change of the table has the version, and a column came after the table and not after that."""
    made = catalog(version)
    of_table = {} if version == "0.3" else {"table_id": 7}
    made.put("schema_versions", begin_snapshot=1, schema_version=1, **of_table)
    made.put("schema_versions", begin_snapshot=3, schema_version=2, **of_table)
    for snapshot, number in ((4, 3), (5, 3), (7, 5)):
        made.put("snapshot", snapshot_id=snapshot, schema_version=number)
    for number in (1, 2, 3, 4, 5):
        _put_inlined(made, 7, number)
    made.put("column", table_id=7, column_id=1, begin_snapshot=1)
    assert made.found("inlined-versions") == []
    made.put("column", table_id=7, column_id=2, begin_snapshot=5)
    assert made.found("inlined-versions") == [(6, 4, 7, None), (7, 5, 7, None)]
    made.put("column", table_id=7, column_id=3, begin_snapshot=4)
    assert made.found("inlined-versions") == [(4, 3, 7, None), (6, 4, 7, None), (7, 5, 7, None)]

    loss = made.loss("inlined-versions")
    if version == "0.3":
        made.run("alter table {s}.ducklake_schema_versions add table_id bigint")
        made.run("update {s}.ducklake_schema_versions set table_id = 7")
    assert made.mend(loss) == [("inlined-versions", 3)]
    assert made.mend(loss) == [("inlined-versions", 0)]
    rows = made.run("select begin_snapshot, schema_version, table_id from {s}.ducklake_schema_versions order by 2")
    assert rows == [(1, 1, 7), (3, 2, 7), (4, 3, 7), (6, 4, 7), (7, 5, 7)]


def test_inlined_tables_of_one_commit_get_their_schema_versions(catalog: Callable[[str], _Catalog]) -> None:
    """Their first rows say when it was; what stands there is replaced, unless it is of a change of the table itself."""
    made = catalog("0.4")
    made.put("snapshot", snapshot_id=9, schema_version=9)
    for table in (7, 8):
        for snapshot, number in ((1, 1), (3, 2), (5, 6)):
            made.put("schema_versions", begin_snapshot=snapshot, schema_version=number, table_id=table)
        name = _put_inlined(made, table, 4)
        made.run(f"insert into {{s}}.{name} values (0, 5, null)")
        made.put("column", table_id=table, column_id=2, begin_snapshot=3)
    _put_inlined(made, 7, 5)
    made.put("column", table_id=8, column_id=3, begin_snapshot=5)

    assert made.found("inlined-versions") == [(4, 5, 7, None), (5, 4, 7, 6), (5, 4, 8, None)]


def test_tables_that_an_inlined_table_can_t_hold(catalog: Callable[[str], _Catalog]) -> None:
    """More than 1,597 columns that are there now, not counting those inside others, unless an option says no."""
    made = catalog("0.3")
    _put_wide(made, 1, 1597)
    _put_wide(made, 2, 1598)
    _put_wide(made, 3, 1598)
    made.run("update {s}.ducklake_column set end_snapshot = 9 where table_id = 3 and column_id = 5")
    _put_wide(made, 4, 1598)
    made.run("update {s}.ducklake_column set parent_column = 4 where table_id = 4 and column_id = 5")
    _put_wide(made, 5, 1600)
    made.run("update {s}.ducklake_table set end_snapshot = 9 where table_id = 5")
    _put_wide(made, 6, 1600)
    assert [row[0] for row in made.found("wide-tables")] == [2, 6]

    made.put("metadata", key="data_inlining_row_limit", value="0", scope="table", scope_id=6)
    made.put("metadata", key="data_inlining_row_limit", value="10", scope="table", scope_id=2)
    made.put("metadata", key="data_inlining_row_limit", value="0", scope="schema", scope_id=2)
    assert [row[0] for row in made.found("wide-tables")] == [2]
    made.put("metadata", key="data_inlining_row_limit", value="0", scope="schema", scope_id=3)
    assert [row[0] for row in made.found("wide-tables")] == [2]
    made.run("update {s}.ducklake_metadata set value = '0' where key = 'data_inlining_row_limit' and scope_id = 2")
    assert made.found("wide-tables") == []


def test_a_lake_that_inlines_nothing_may_have_wide_tables(catalog: Callable[[str], _Catalog]) -> None:
    """The lake's own option counts as well."""
    made = catalog("0.3")
    _put_wide(made, 2, 1598)
    made.put("metadata", key="data_inlining_row_limit", value="0")
    assert made.found("wide-tables") == []
