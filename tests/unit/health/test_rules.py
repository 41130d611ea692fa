"""The rules are well-formed: names, versions, SQL that stays in its tables, and a place in the documentation."""

import re
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp
from support.rules.damages import DAMAGES
from support.rules.scenes import SCENES

from dlbackup.health.rules import RULES, rules_for
from dlbackup.health.rules.rule import Rule
from dlbackup.lake import spec
from dlbackup.lake.inlined import begins_right, lake_table_id, text_columns
from dlbackup.tables.definition import Column, Table

BY_NAME = {rule.name: rule for rule in RULES}
DOCUMENT = (Path(__file__).parents[3] / "docs" / "rules.md").read_text("utf-8")
_STANDING = {
    "s": "main",
    "present": "main.present",
    "suspects": "main.suspects",
    "cut": "main.cut",
    "rows": "rows",
    "deletes": "deletes",
}


def _filled(sql: str) -> str:
    for name, relation in _STANDING.items():
        sql = sql.replace("{" + name + "}", relation)
    return sql


def _inlined(name: str, *columns: str, text: str = "character varying") -> Table:
    return Table(
        name=name, columns=(*(Column(name=column, type="bigint") for column in columns), Column(name="it's", type=text))
    )


def test_names_are_speaking_and_unique() -> None:
    """Every rule has a name of its own, in lower case with hyphens."""
    assert len(BY_NAME) == len(RULES)
    for name in BY_NAME:
        assert re.fullmatch("[a-z]+(-[a-z]+)+", name)


@pytest.mark.parametrize("version", spec.described())
def test_rules_read_what_the_version_has(version: str) -> None:
    """The rules for a spec version read only tables and columns that it has."""
    tables = spec.load(version)
    for rule in rules_for(version):
        assert rule.tables(version) <= tables.keys(), rule.name
        columns = {name for table in rule.tables(version) for name in tables[table].column_names}
        read = re.findall(r"\b[a-z]\.(\w+)", _filled(rule.sql(version)).replace("main.", ""))
        made = set(re.findall(r"\bas (\w+)", rule.sql(version)))
        inlined = {"name", "registered", "hexadecimal", "row_id", "file_id", "type", "column_name", "table_id"}
        assert set(read) <= columns | made | inlined | {"begin_snapshot", "end_snapshot", "kind"}, rule.name


def test_queries_are_one_select_in_both_dialects() -> None:
    """Every query, of every version, is one SELECT for PostgreSQL and for DuckDB, with nothing left to fill in."""
    for text, name in {_filled(rule.sql(it)): rule.name for it in spec.described() for rule in rules_for(it)}.items():
        assert "{" not in text.replace("[0-9a-f]{2}", ""), name
        for dialect in ("postgres", "duckdb"):
            (tree,) = sqlglot.parse(text, read=dialect)
            assert isinstance(tree, exp.Query), name


def test_mends_are_statements_that_can_be_run() -> None:
    """Every mend consists of INSERT, UPDATE and DELETE statements over the catalog's own tables."""
    for rule in RULES:
        mend = rule.mend
        for name, sql in {"s": '"s"', "ids": "1", "found": "(1, 2)", "table": "ducklake_inlined_delete_1"}.items():
            mend = mend.replace("{" + name + "}", sql)
        trees = sqlglot.parse(mend, read="postgres") if mend else []
        for tree in trees:
            assert isinstance(tree, exp.Insert | exp.Update | exp.Delete), rule.name
            named = [table for table in tree.find_all(exp.Table) if table.name.startswith("ducklake_")]
            assert named, rule.name
            assert all(table.db == "s" for table in named), rule.name


def test_kinds_sort_alike_in_every_locale() -> None:
    """What a rule calls its rows sorts alike with and without blanks, so that every backend shows the same first."""
    for rule in RULES:
        kinds = re.findall(r"select '([^']+)'", rule.query)
        assert sorted(kinds) == sorted(kinds, key=lambda kind: kind.replace(" ", "")), rule.name


def test_rules_hold_for_their_versions() -> None:
    """A rule holds from its first to its last version."""
    rule = Rule(name="a-b", severity="error", what="", why="", query="", since="0.3", until="0.4")
    assert [version for version in spec.ORDER if rule.holds_for(version)] == ["0.3", "0.4-dev1", "0.4"]


@pytest.mark.parametrize(("version", "stats", "partial"), [("0.2", "istics", "file_info"), ("1.0", "s", "max")])
def test_renamed_names_are_filled_in(version: str, stats: str, partial: str) -> None:
    """Names that changed are those of the version."""
    assert f"ducklake_file_column_stat{stats} s" in BY_NAME["value-counts"].sql(version)
    assert f"partial_{partial} is null" in BY_NAME["row-id-overlap"].sql(version)


def test_every_rule_has_a_scene() -> None:
    """Every rule finds something in a scene, on its first and on its last spec version."""
    for rule in RULES:
        versions = {
            version for scene in SCENES if scene.rule == rule.name and scene.evidence for version in scene.specs
        }
        held = [version for version in spec.described() if rule.holds_for(version)]
        assert {held[0], held[-1]} <= versions, rule.name


def test_every_mend_has_a_scene() -> None:
    """Every mend is tried in a scene that says what it leaves."""
    asked = {scene.rule for scene in SCENES if scene.mended}
    assert {rule.name for rule in RULES if rule.mend} | {"inlined-types"} <= asked


def test_every_rule_is_documented() -> None:
    """docs/rules.md has a section for each rule, with its severity, meaning and mend."""
    sections = {text.partition("\n")[0]: text for text in re.split(r"^### ", DOCUMENT, flags=re.MULTILINE)}
    for rule in RULES:
        section = sections[rule.name]
        assert f"{rule.severity}, " in section, rule.name
        mend = rule.mend.replace("{s}.", "").replace("{found}", "...").replace("{table}", "ducklake_inlined_delete_1")
        for line in mend.split("\n"):
            assert line in section, rule.name


def test_document_counts_scenes_and_damages() -> None:
    """docs/rules.md says how many scenes and damages there are."""
    tried = sum(len(damage.specs) for damage in DAMAGES)
    assert f" holds {len(SCENES)} scenes:" in DOCUMENT
    assert f" holds {len(DAMAGES)} kinds of single damage, {tried} with the spec versions" in DOCUMENT


def test_document_names_no_rule_that_is_gone() -> None:
    """docs/rules.md describes no rule that doesn't exist, but for those about structure."""
    structure = {"missing-table", "missing-column", "missing-key", "wrong-type", "column-order", "extra-table"}
    structure |= {"extra-column", "nullable-column", "inlined-layout", "unknown-version"}
    assert set(re.findall(r"^### ([\w-]+)$", DOCUMENT, re.MULTILINE)) == BY_NAME.keys() | structure


@pytest.mark.parametrize(
    ("table", "right"),
    [
        (_inlined("ducklake_inlined_data_7_12", "row_id", "begin_snapshot", "end_snapshot"), True),
        (
            _inlined(
                "ducklake_inlined_data_7_12", "_ducklake_row_id", "_ducklake_begin_snapshot", "_ducklake_end_snapshot"
            ),
            True,
        ),
        (_inlined("ducklake_inlined_data_7_12", "row_id", "end_snapshot", "begin_snapshot"), False),
        (_inlined("ducklake_inlined_delete_7", "file_id", "row_id", "begin_snapshot"), True),
        (_inlined("ducklake_inlined_delete_7", "row_id", "begin_snapshot", "end_snapshot"), False),
        (Table(name="ducklake_inlined_data_7_12", columns=(Column(name="row_id", type="text"),)), False),
        (_inlined("ducklake_snapshot", "row_id", "begin_snapshot", "end_snapshot"), False),
    ],
)
def test_inlined_tables_are_recognised_by_their_first_columns(table: Table, right: bool) -> None:
    """Rules read an inlined table only when it begins with DuckLake's own columns."""
    assert begins_right(table) is right


@pytest.mark.parametrize(("name", "number"), [("ducklake_inlined_data_7_12", 7), ("ducklake_inlined_delete_31", 31)])
def test_inlined_table_names_its_lake_table(name: str, number: int) -> None:
    """The first number in the name is the lake table's."""
    assert lake_table_id(Table(name=name, columns=())) == number


def test_text_columns_are_the_users() -> None:
    """Only the user's own columns of type character varying count as text."""
    columns = ("row_id", "begin_snapshot", "end_snapshot")

    assert [column.name for column in text_columns(_inlined("ducklake_inlined_data_1_1", *columns))] == ["it's"]
    assert text_columns(_inlined("ducklake_inlined_data_1_1", *columns, text="bytea")) == ()


def test_rule_answers_as_before_where_nothing_that_it_reads_has_changed() -> None:
    """What the spec version words anew, what reads inlined tables, and what is new has to be asked again."""
    fixed = frozenset(spec.load("1.0"))

    def alike(name: str, before: str = "0.3", kept: frozenset[str] = fixed) -> bool:
        return BY_NAME[name].answers_alike(before, "1.0", kept)

    assert alike("statistics-without-file")
    assert not alike("statistics-without-file", kept=fixed - {"ducklake_data_file"})
    assert not alike("statistics-without-file", before="0.2")  # another name of the table
    assert not alike("partial-range")  # another column
    assert not alike("inlined-types")  # reads what inlined tables there are
    assert not alike("inlined-row-range")
    assert not alike("sort-key-parts")  # no such table in 0.3
    new = [rule.name for rule in rules_for("1.0") if not rule.holds_for("0.3")]
    assert new
    assert not any(map(alike, new))
