"""The spec versions and how a catalog differs from one."""

from dataclasses import replace

import pytest
import sqlglot
from sqlglot import exp

from dlbackup.lake import conformance, spec
from dlbackup.lake.canonical import is_regular
from dlbackup.tables.allowlist import check_table
from dlbackup.tables.definition import Column, Constraint, Table
from dlbackup.tables.statements import definition

VERSIONS = ("0.2", "0.3", "0.4", "1.0", "1.1")
NEWEST = tuple(spec.load("1.0").values())


def found(tables: tuple[Table, ...], version: str = "1.0") -> list[tuple[str, str]]:
    return [(finding.severity, finding.rule) for finding in conformance.differences(version, tables)]


def edit(name: str, **changes: object) -> tuple[Table, ...]:
    return tuple(replace(table, **changes) if table.name == name else table for table in NEWEST)  # type: ignore[arg-type]


def columns_of(name: str) -> tuple[Column, ...]:
    return spec.load("1.0")[name].columns


def test_the_described_versions_are_those_of_released_engines() -> None:
    """There is a schema for each version from 0.2 on that is released; of 1.1 no engine was at hand."""
    assert spec.described() == VERSIONS
    assert set(VERSIONS) <= set(spec.ENGINES) <= set(spec.ORDER)


@pytest.mark.parametrize("version", VERSIONS)
def test_schemas_are_the_sql_that_another_parser_reads(version: str) -> None:
    """sqlglot finds the same tables, columns, types and NOT NULLs in a schema file as dlbackup does."""
    text = spec.schemas().joinpath(f"ducklake-{version}.sql").read_text("utf-8")
    theirs = {}
    for tree in sqlglot.parse(text, read="postgres"):
        assert isinstance(tree, exp.Create)
        columns = []
        for column in tree.find_all(exp.ColumnDef):
            not_null = any(isinstance(c.kind, exp.NotNullColumnConstraint) for c in column.constraints)
            columns.append((column.name, exp.DataType.build(column.kind or "unknown").this, not_null))
        theirs[tree.this.this.name] = columns

    assert theirs == {
        table.name: [
            (column.name, exp.DataType.build(column.type, dialect="postgres").this, column.not_null)
            for column in table.columns
        ]
        for table in spec.load(version).values()
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_schemas_are_written_as_dlbackup_writes(version: str) -> None:
    """A schema file holds nothing but definitions in dlbackup's own form, all of them safe."""
    text = spec.schemas().joinpath(f"ducklake-{version}.sql").read_text("utf-8")
    tables = spec.load(version)
    for table in tables.values():
        check_table(table)
        assert definition(table) in text

    rest = text
    for table in tables.values():
        rest = rest.replace(definition(table), "")
    assert [line for line in rest.splitlines() if line and not line.startswith("--")] == []


@pytest.mark.parametrize("version", VERSIONS)
def test_commits_are_serialised_in_every_version(version: str) -> None:
    """The table on whose key DuckLake serialises commits has that key in every schema."""
    assert conformance.primary_key(spec.load(version)["ducklake_snapshot"]) == "snapshot_id"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_catalog_of_a_version_conforms_to_it(version: str) -> None:
    """The tables of a version have no differences from it, and some from every other."""
    tables = tuple(spec.load(version).values())

    assert conformance.differences(version, tables) == []
    for other in VERSIONS:
        if {table.name: table.columns for table in spec.load(other).values()} != {t.name: t.columns for t in tables}:
            assert conformance.differences(other, tables) != []


def test_order_is_a_list_and_no_number() -> None:
    """Development versions come before their release, and later versions after earlier ones."""
    assert [v for v in spec.ORDER if spec.is_older(v, "0.3")] == ["0.1", "0.2", "0.3-dev1"]
    assert not spec.is_older("1.0", "1.0")
    assert spec.is_older("0.4", "1.0")
    assert spec.is_older("1.0", "1.1-dev1")
    assert list(spec.ORDER) == sorted(spec.ORDER, key=lambda v: (v.partition("-")[0], "-" not in v))
    for version in ("2.0", "", "0.30", "1.0 "):
        with pytest.raises(ValueError, match="not in"):
            spec.is_older(version, "1.0")


@pytest.mark.parametrize("version", ["", "0.1", "1.1-dev1", "2.0", "../ducklake-1.0", "0.3-dev1"])
def test_an_unknown_version_is_not_checked(version: str) -> None:
    """Without a schema for a version, conformance is left out with a warning."""
    assert spec.load(version) == {}
    assert found(NEWEST, version) == [("warning", "unknown-version")]


def test_a_missing_table_is_an_error() -> None:
    """Each table that a version has must be there."""
    assert found(NEWEST[1:]) == [("error", "missing-table")]
    assert found(()) == [("error", "missing-table")] * len(NEWEST)


def test_an_extra_table_is_a_warning() -> None:
    """A table that the version doesn't have is only worth a warning."""
    assert found((*NEWEST, Table(name="ducklake_more", columns=(Column(name="a", type="bigint"),)))) == [
        ("warning", "extra-table")
    ]


def test_a_missing_column_is_an_error() -> None:
    """Each column that a version has must be there."""
    assert found(edit("ducklake_tag", columns=columns_of("ducklake_tag")[:-1])) == [("error", "missing-column")]


def test_an_extra_column_is_a_warning_at_the_end_only() -> None:
    """A column more is a warning, and an error when it moves the others, since DuckLake inserts by position."""
    columns, more = columns_of("ducklake_tag"), Column(name="more", type="text")

    assert found(edit("ducklake_tag", columns=(*columns, more))) == [("warning", "extra-column")]
    assert ("error", "column-order") in found(edit("ducklake_tag", columns=(more, *columns)))
    assert found(edit("ducklake_tag", columns=columns[::-1])) == [("error", "column-order")]


def test_a_wrong_type_is_an_error() -> None:
    """Each column has the type of the version, to the letter."""
    first, *rest = columns_of("ducklake_tag")

    for kind in ("integer", "numeric", "text"):
        changed = (replace(first, type=kind), *rest)
        assert found(edit("ducklake_tag", columns=changed)) == [("error", "wrong-type")]


def test_text_is_a_varchar_without_a_limit() -> None:
    """Where a column should be of one, the other is a warning; a limit, or text instead of anything else, an error."""
    columns = columns_of("ducklake_metadata")
    assert columns[0].type == "character varying"

    for kind, severity in (("text", "warning"), ("character varying(255)", "error"), ("bytea", "error")):
        changed = (replace(columns[0], type=kind), *columns[1:])
        assert found(edit("ducklake_metadata", columns=changed)) == [(severity, "wrong-type")]
        (table,) = (it for it in edit("ducklake_metadata", columns=changed) if it.name == "ducklake_metadata")
        assert is_regular(table, "1.0") is (severity == "warning")


def test_a_column_that_may_be_null_is_a_warning() -> None:
    """A NOT NULL that is missing is a warning, one too many nothing."""
    name = "ducklake_metadata"
    assert [column.not_null for column in columns_of(name)][:2] == [True, True]

    looser = tuple(replace(column, not_null=False) for column in columns_of(name))
    stricter = tuple(replace(column, not_null=True) for column in columns_of(name))
    assert found(edit(name, columns=looser)) == [("warning", "nullable-column")] * 2
    assert found(edit(name, columns=stricter)) == []


@pytest.mark.parametrize(
    "constraints",
    [
        (),
        (Constraint("k", "UNIQUE (snapshot_id)"),),
        (Constraint("k", "PRIMARY KEY (schema_version)"),),
        (Constraint("k", "PRIMARY KEY (snapshot_id, schema_version)"),),
    ],
)
def test_a_missing_key_is_an_error(constraints: tuple[Constraint, ...]) -> None:
    """Only the primary key on exactly the version's columns keeps the commit protocol."""
    assert found(edit("ducklake_snapshot", constraints=constraints)) == [("error", "missing-key")]


def test_errors_come_first() -> None:
    """Findings are sorted: errors, then warnings."""
    extra = Table(name="ducklake_more", columns=(Column(name="a", type="bigint"),))

    assert found((extra, *NEWEST[1:])) == [("error", "missing-table"), ("warning", "extra-table")]


def inlined(name: str, *columns: str, kind: str = "bigint") -> Table:
    return Table(name=name, columns=tuple(Column(name=column, type=kind) for column in columns))


@pytest.mark.parametrize(
    ("table", "rules"),
    [
        (inlined("ducklake_inlined_data_1_2", "row_id", "begin_snapshot", "end_snapshot", "x"), []),
        (
            inlined("ducklake_inlined_data_1_2", "_ducklake_row_id", "_ducklake_begin_snapshot", "end_snapshot", "x"),
            [],
        ),
        (inlined("ducklake_inlined_delete_1", "file_id", "row_id", "begin_snapshot"), []),
        (inlined("ducklake_inlined_data_1_2", "x", "row_id", "begin_snapshot", "end_snapshot"), ["inlined-layout"]),
        (inlined("ducklake_inlined_data_1_2", "row_id", "begin_snapshot"), ["inlined-layout"]),
        (
            inlined("ducklake_inlined_data_1_2", "row_id", "begin_snapshot", "end_snapshot", kind="text"),
            ["inlined-layout"],
        ),
        (inlined("ducklake_inlined_delete_1", "row_id", "file_id", "begin_snapshot"), ["inlined-layout"]),
    ],
)
def test_inlined_tables_begin_with_their_own_columns(table: Table, rules: list[str]) -> None:
    """An inlined table begins with the columns that DuckLake keeps there, as bigint."""
    assert [rule for _, rule in found((*NEWEST, table))] == rules


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ducklake_inlined_data_1_2", "inlined-data"),
        ("ducklake_inlined_data_10_20", "inlined-data"),
        ("ducklake_inlined_delete_7", "inlined-delete"),
        ("ducklake_inlined_data_tables", "fixed"),
        ("ducklake_inlined_data_1", "fixed"),
        ("ducklake_inlined_data_1_2\n", "fixed"),
        ("ducklake_inlined_data_1_2_3", "fixed"),
        ("ducklake_inlined_delete_x", "fixed"),
        ("ducklake_snapshot", "fixed"),
    ],
)
def test_kinds_are_told_by_names(name: str, kind: str) -> None:
    """Only names with the numbers of a lake's tables mean inlined rows."""
    assert Table(name=name, columns=()).kind == kind
