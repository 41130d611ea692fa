"""What backends store of inlined values gives the values back, for every type of DuckLake."""

from collections.abc import Iterator
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.longer import fewer_examples

from dlbackup.catalogs.values import Workbench, workbench
from dlbackup.lake.columntypes import DUCKDB_TYPES, duckdb_type
from dlbackup.lake.inlined import CONVERSIONS
from dlbackup.tables.definition import Column
from dlbackup.tables.quoting import quote_literal
from dlbackup.tables.rows import parse
from dlbackup.tables.types import Dialect, written_as
from dlbackup.transfer.encoding import Generation, form_in, is_reworded, may_store, stored_in, value_type_in, values_of

BACKENDS: list[tuple[Dialect, Generation]] = [
    ("postgres", "1.4"),
    ("postgres", "1.5"),
    ("duckdb", "1.5"),
    ("sqlite", "1.4"),
    ("sqlite", "1.5"),
]
VALUES = {
    "BOOLEAN": ["true", "false"],
    "TINYINT": ["-128", "127"],
    "SMALLINT": ["-32768"],
    "INTEGER": ["2147483647"],
    "BIGINT": ["-9223372036854775808"],
    "HUGEINT": ["-170141183460469231731687303715884105728"],
    "UTINYINT": ["255"],
    "USMALLINT": ["65535"],
    "UINTEGER": ["4294967295"],
    "UBIGINT": ["18446744073709551615"],
    "UHUGEINT": ["340282366920938463463374607431768211455"],
    "FLOAT": ["nan", "inf", "-inf", "-0.0", "1.1", "1e-45", "-4088026.25"],
    "DOUBLE": ["nan", "inf", "-inf", "-0.0", "0.1", "5e-324", "1e23"],
    "TIME": ["23:59:59.999999", "00:00:00", "24:00:00"],
    "TIME_NS": ["23:59:59.999999999"],
    "TIME WITH TIME ZONE": ["12:34:56.000001+05:30", "00:00:00-15:59:59"],
    "DATE": ["2024-02-29", "infinity", "-infinity", "0044-03-15 (BC)", "12024-01-01"],
    "TIMESTAMP": ["2024-02-29 12:34:56.789012", "infinity", "-infinity", "0044-03-15 (BC) 10:00:00"],
    "TIMESTAMP WITH TIME ZONE": ["2024-02-29 12:34:56.5+02", "infinity", "0044-03-15 (BC) 10:00:00+00"],
    "TIMESTAMP_S": ["2024-02-29 12:34:56", "infinity", "0044-03-15 (BC) 10:00:00"],
    "TIMESTAMP_MS": ["2024-02-29 12:34:56.789"],
    "TIMESTAMP_NS": ["2024-02-29 12:34:56.789012345"],
    "INTERVAL": ["1 year 2 months 3 days 00:35:05.678", "-1 month 2 days -00:00:00.000003", "00:00:00"],
    "VARCHAR": ["", "it's", "NULL", "null", "\\x4142", "),(\n", "ünïcode ☃", "0044-03-15 BC", "\\"],
    "BLOB": ["", "ab", "\\x00\\xFF\\x27\\x5C"],
    "UUID": ["12345678-1234-5678-1234-567812345678"],
    "JSON": ['{"a": [1, null, "it\'s"]}', "null", r'"\u0000"'],
    "DECIMAL(18,3)": ["-123456789012345.678", "0.001"],
    "DECIMAL(3,3)": [".125", "-.001"],
    "DECIMAL(38,0)": ["99999999999999999999999999999999999999"],
    "INTEGER[]": ["[]", "[1, NULL, 3]"],
    "VARCHAR[]": [r"""['', 'NULL', NULL, 'it\'s', '"', 'a,b', '[x]', '\\\\']"""],
    "STRUCT(a INTEGER, b VARCHAR)": ["{'a': 1, 'b': 'it\\'s'}", "{'a': NULL, 'b': NULL}"],
    "MAP(VARCHAR, INTEGER)": ["{k=1, l=NULL}", "{}"],
    "STRUCT(x STRUCT(y INTEGER, z VARCHAR[])[])": ["{'x': [{'y': 1, 'z': [p, q]}]}"],
}


@pytest.fixture(scope="module")
def bench() -> Iterator[Workbench]:
    """Where texts become values."""
    with workbench() as opened:
        opened.connection.execute("pragma disable_optimizer")  # which takes half of the time of a query over few rows
        yield opened


def _written(bench: Workbench, column: Column, value_type: str, dialect: Dialect = "postgres") -> list[str | None]:
    form = form_in(dialect, column, value_type)
    found = [text for rows in bench.rows([form.writing("v0")]) for (text,) in rows]
    return [None if text is None else parse(form.literal(text).encode())[0] for text in found]


def _read(bench: Workbench, dialect: Dialect, column: Column, value_type: str, texts: list[str | None]) -> None:
    bare = written_as(column.type) != "text"
    rows = ["NULL" if text is None else text if bare else quote_literal(text) for text in texts]
    bench.load([form_in(dialect, column, value_type).reading("c0")], [[f"{row}\n".encode() for row in rows]])


def _there_and_back(bench: Workbench, dialect: Dialect, column: Column, value_type: str, texts: list[str]) -> None:
    as_duckdb = form_in("duckdb", Column(name="c", type=value_type), value_type)
    bench.load([as_duckdb.reading("c0")], [[quote_literal(text).encode() + b"\n" for text in texts]])
    before = _written(bench, Column(name="c", type=value_type), value_type, "duckdb")
    stored = _written(bench, column, value_type, dialect)

    _read(bench, dialect, column, value_type, stored)

    assert None not in before
    assert _written(bench, Column(name="c", type=value_type), value_type, "duckdb") == before
    assert _written(bench, column, value_type, dialect) == stored


@pytest.mark.parametrize(("backend", "value_type"), list(product(BACKENDS, VALUES)))
def test_values_come_back(bench: Workbench, backend: tuple[Dialect, Generation], value_type: str) -> None:
    """Of what is stored, the values are read that were there, and written again it is the same text."""
    dialect, generation = backend
    column = Column(name="c", type=stored_in(dialect, value_type, generation))

    assert may_store(dialect, column, value_type)
    # SQLite has no NaN; the text of one only 1.5 stores.
    texts = [text for text in VALUES[value_type] if (column.type, text) != ("REAL", "nan")]
    _there_and_back(bench, dialect, column, value_type, texts)


@fewer_examples(8)
@given(texts=st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")), max_size=5))
def test_texts_come_back(bench: Workbench, texts: list[str]) -> None:
    """Whatever their signs are."""
    for dialect, generation in BACKENDS:
        column = Column(name="c", type=stored_in(dialect, "VARCHAR", generation))
        _there_and_back(bench, dialect, column, "VARCHAR", texts)


@fewer_examples(8)
@given(data=st.lists(st.binary(), max_size=5))
def test_bytes_come_back(bench: Workbench, data: list[bytes]) -> None:
    """Whatever they are, also where they are no text."""
    texts = ["".join(f"\\x{byte:02X}" for byte in some) for some in data]
    for dialect, generation in BACKENDS:
        _there_and_back(bench, dialect, Column(name="c", type=stored_in(dialect, "BLOB", generation)), "BLOB", texts)


@fewer_examples(8)
@given(data=st.lists(st.binary(), max_size=5))
def test_texts_with_nul_are_encoded_in_files(bench: Workbench, data: list[bytes]) -> None:
    """What PostgreSQL has as bytes is a text again in a file, NUL included; what is no UTF-8 is no value."""
    stored, encoded = Column(name="c", type="bytea"), Column(name="c", type="VARCHAR", encoded=True)
    _read(bench, "postgres", stored, "VARCHAR", [f"\\x{some.hex()}" for some in data])
    texts = _written(bench, encoded, "VARCHAR", "duckdb")

    assert [text is None for text in texts] == [some.decode(errors="replace").encode() != some for some in data]
    _read(bench, "duckdb", encoded, "VARCHAR", texts)
    assert _written(bench, stored, "VARCHAR") == [
        None if text is None else f"\\x{some.hex()}" for text, some in zip(texts, data, strict=True)
    ]


@pytest.mark.parametrize(
    ("value_type", "stored", "text"),
    [
        ("DATE", "date", "5877642-06-25 (BC)"),
        ("DATE", "date", "5881580-07-10"),
        ("TIMESTAMP", "timestamp without time zone", "290309-12-22 (BC) 00:00:00"),
    ],
)
def test_what_a_backend_has_no_room_for_is_found(bench: Workbench, value_type: str, stored: str, text: str) -> None:
    """PostgreSQL's own dates begin and end sooner than DuckDB's."""
    form = form_in("postgres", Column(name="c", type=stored), value_type)
    for value, holds in ((text, False), ("infinity", True), ("2024-02-29", True)):
        bench.load([f"cast(c0 as {value_type})"], [[f"'{value}'\n".encode()]])
        assert bench.any([form.holding("v0")]) == [holds]


@pytest.mark.parametrize(("columns", "rows"), [(300, 6000), (2000, 1)])
def test_wide_tables_have_room(bench: Workbench, columns: int, rows: int) -> None:
    """DuckDB reserves memory for each column, also of a table of one row, and for each time that rows come."""
    texts = (*map(str, range(columns - 1)), None)
    row = ",".join(text or "NULL" for text in texts).encode() + b"\n"
    names = range(columns)

    bench.load([f"cast(c{name} as double)" for name in names], [[row] * (rows // 2), [row] * (rows - rows // 2)])

    assert bench.any([f"v{name} is null" for name in names]) == [text is None for text in texts]
    found = list(bench.rows([f"cast(cast(v{name} as bigint) as varchar)" for name in names]))
    assert {row for some in found for row in some} == {texts}
    assert sum(map(len, found)) == rows


def test_sqlite_has_no_number_for_nan(bench: Workbench) -> None:
    """It stores NULL; as 1.5 stores it, it is a text."""
    bench.load(["'nan'::double"], [[b"1\n"]])
    for stored, holds in (("REAL", False), ("DOUBLE", True)):
        assert bench.any([form_in("sqlite", Column(name="c", type=stored), "DOUBLE").holding("v0")]) == [holds]


def test_texts_with_nul_are_found_where_they_are_stored_as_text(bench: Workbench) -> None:
    """As 1.4 stores them on PostgreSQL, which has no NUL in a text."""
    for stored, holds in (("character varying", False), ("bytea", True)):
        bench.load(["'a' || chr(0)"], [[b"1\n"]])
        assert bench.any([form_in("postgres", Column(name="c", type=stored), "VARCHAR").holding("v0")]) == [holds]


def test_rules_know_every_type() -> None:
    """Each name of DuckLake has a form in each backend, and those of both generations are what is known of engines."""
    for name in DUCKDB_TYPES:
        value_type = duckdb_type(name)
        assert value_type is not None
        for dialect, generation in BACKENDS:
            assert stored_in(dialect, value_type, generation)
    for (name, stored), changed in CONVERSIONS.items():
        value_type = duckdb_type(name)
        assert value_type is not None
        assert may_store("postgres", Column(name="c", type=stored), value_type)
        assert changed.startswith(stored_in("postgres", value_type, "1.5"))


def test_values_that_1_3_reads_wrongly_are_not_stored_for_it() -> None:
    """On PostgreSQL it reads NULL, or another time, or crashes; in files it reads all."""
    wrong = {name for name in VALUES if not stored_in("postgres", name, "1.3")}

    assert wrong >= {"TINYINT", "UBIGINT", "HUGEINT", "TIMESTAMP_NS", "INTEGER[]", "STRUCT(a INTEGER, b VARCHAR)"}
    assert wrong.isdisjoint({"INTEGER", "VARCHAR", "DATE", "DECIMAL(18,3)", "BLOB"})
    assert stored_in("postgres", "FLOAT", "1.3") == "real"
    assert all(stored_in("duckdb", name, "1.3") for name in VALUES)


def test_columns_say_what_they_hold() -> None:
    """Those of a DuckDB file do, others say at best what they could."""
    assert value_type_in("duckdb", Column(name="c", type="bigint")) == "BIGINT"
    assert value_type_in("duckdb", Column(name="c", type="INTEGER[]")) == "INTEGER[]"
    assert value_type_in("postgres", Column(name="c", type="integer")) is None
    for stored, widest in (
        ("numeric(5,2)", "DECIMAL(5,2)"),
        ("character varying", "VARCHAR"),
        ("bytea", "BLOB"),
        ("smallint", "SMALLINT"),
        ("double precision", "DOUBLE"),
        ("date", "DATE"),
    ):
        assert values_of("postgres", Column(name="c", type=stored)) == widest
    assert values_of("postgres", Column(name="c", type="point")) == ""


def test_values_that_engines_write_in_several_ways_are_known() -> None:
    """Nested ones, by their quotes; those with a zone, by the writer's."""
    assert [name for name in VALUES if is_reworded(name)] == [
        "TIME WITH TIME ZONE",
        "TIMESTAMP WITH TIME ZONE",
        *(name for name in VALUES if name.endswith("]") or name.startswith(("STRUCT", "MAP"))),
    ]


@pytest.mark.parametrize(
    ("value_type", "stored", "text", "value"),
    [
        ("INTEGER[]", "integer[]", "{1,NULL,3}", "[1, NULL, 3]"),
        ("BOOLEAN[]", "boolean[]", "{t,f}", "[true, false]"),
        ("DOUBLE[]", "double precision[]", "{NaN,-Infinity,1e+23}", "[nan, -inf, 1e+23]"),
        ("DECIMAL(18,2)[]", "numeric(18,2)[]", "{12.30,-0.01}", "[12.30, -0.01]"),
        ("DATE[]", "date[]", "{2024-02-29,infinity}", "[2024-02-29, infinity]"),
        ("VARCHAR[]", "character varying[]", r"""{a,"b c",it's,"","NULL",NULL,"x,y","q\"\\"}""", None),
        ("VARCHAR[]", "character varying[]", "{}", "[]"),
    ],
)
def test_arrays_of_the_first_engines_are_read(
    bench: Workbench, value_type: str, stored: str, text: str, value: str | None
) -> None:
    """DuckDB 1.3 made arrays of PostgreSQL; newer engines get the list as its text."""
    column = Column(name="c", type=stored)

    assert may_store("postgres", column, value_type)
    _read(bench, "postgres", column, value_type, [text])
    expected = value or r"""[a, b c, 'it\'s', '', 'NULL', NULL, 'x,y', 'q"\\']"""
    assert _written(bench, Column(name="c", type=value_type), value_type, "duckdb") == [expected]


def test_arrays_of_what_duckdb_reads_otherwise_are_not_read(bench: Workbench) -> None:
    """A date before Christ in an array would come out after him, and arrays of arrays as nothing."""
    _read(bench, "postgres", Column(name="c", type="date[]"), "DATE[]", ['{"0044-03-15 BC"}'])
    assert bench.any(["v0 is null"]) == [True]
    assert not may_store("postgres", Column(name="c", type="integer[]"), "INTEGER[][]")
