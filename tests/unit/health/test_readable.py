"""What types and texts of a catalog are to DuckDB: the judgements behind the rules on what can't be read."""

import pytest

from dlbackup.engine.texts import Texts
from dlbackup.lake.columntypes import decimal, duckdb_type, is_known

TEXTS = Texts()


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("int32", True),
        ("INT32", True),
        ("struct", True),
        ("decimal(38,38)", True),
        ("decimal(1, 0)", True),
        ("decimal(39,0)", False),
        ("decimal(3,4)", False),
        ("decimal(0,0)", False),
        ("decimal(10)", False),
        ("decimal", False),
        ("DECIMAL(10,2)", False),
        ("integer", False),
        ("", False),
        (None, False),
    ],
)
def test_types_are_those_of_the_engines(name: str | None, known: bool) -> None:
    """Names count in any case, decimals within their limits and in lower case only."""
    assert is_known(name, "1.0") is known


@pytest.mark.parametrize(
    ("name", "versions"),
    [("geometry", ["0.3", "0.4", "1.0"]), ("variant", ["0.4", "1.0"]), ("time_ns", ["0.4", "1.0"])],
)
def test_types_came_with_versions(name: str, versions: list[str]) -> None:
    """A type is known from the version on whose engines have it."""
    assert [version for version in ("0.2", "0.3", "0.4", "1.0") if is_known(name, version)] == versions


def test_decimals_have_a_name_in_duckdb() -> None:
    """A decimal is called alike, whatever blanks it has; a nested type has no name for a cast."""
    assert decimal("decimal( 10 , 2 )") == duckdb_type("decimal(10,2)") == "DECIMAL(10,2)"
    assert duckdb_type("list") is None


@pytest.mark.parametrize(
    ("text", "type_", "answer"),
    [
        ("2020-1-1", "date", True),
        ("infinity", "date", True),
        ("NULL", "date", False),
        ("x", "int32", False),
        ("300", "int8", False),
        ("1.6", "int32", True),
        ("NULL", "json", False),
        ("NULL", "blob", True),
        ("1.5", "decimal(2,1)", True),
        ("x", "list", None),
        ("x", "nosuch", None),
        pytest.param("\ud800", "date", None, marks=pytest.mark.duckdb_1_5),  # which nobody's UTF-8 holds
    ],
)
def test_values_are_what_duckdb_casts(text: str, type_: str, answer: bool | None) -> None:
    """A text is a value of a type if DuckDB casts it; of types without casts nothing is said."""
    assert TEXTS.casts(text, type_) is answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("(SELECT 1)", True),
        ("now()", True),
        ("x -> 1", True),
        ("1 FROM nosuch", True),
        ("1, 2", False),
        ("", False),
        ("(selec 1)", False),
        ("1; SELECT 2", False),
        ("1 UNION SELECT 2", False),
        ("\ud800", None),
    ],
)
def test_expressions_are_what_duckdb_parses(text: str, answer: bool | None) -> None:
    """One expression parses, whatever it names; nothing is executed."""
    assert TEXTS.is_expression(text) is answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("SELECT a", True),
        ("VALUES (1)", True),
        ("FROM t AT (VERSION => 3)", True),
        ("SELECT 1; SELECT 2", False),
        ("", False),
        ("CREATE TABLE t (i INT)", False),
        ("PRAGMA version", False),
    ],
)
def test_queries_are_what_duckdb_parses(text: str, answer: bool | None) -> None:
    """One SELECT statement parses; other statements are none."""
    assert TEXTS.is_query(text) is answer


def test_older_duckdb_says_nothing_of_expressions(monkeypatch: pytest.MonkeyPatch) -> None:
    """DuckDB 1.4 doesn't know all that macros of newer ones may hold; of values it does."""
    monkeypatch.setattr("duckdb.__version__", "1.4.4")
    texts = Texts()

    assert (texts.is_expression("("), texts.is_query("("), texts.casts("x", "date")) == (None, None, False)
