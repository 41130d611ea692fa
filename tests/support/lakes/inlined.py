"""The inlined lake: rows that live in the catalog itself, of every type that can and with hostile values.

What a text format, a shell or a driver could stumble over is in here: quotes, backslashes, line ends,
lines that look like the separators of a backup or of COPY, the word NULL, and names of the same kind.
DuckLake inlines on PostgreSQL from spec 0.3 on. 0.3 can't hold a few values that later versions can.
"""

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from support.engines.engines import Step
from support.engines.quoting import quoted, text_literal

__all__ = ["OPTIONS", "TEXTS", "steps"]

OPTIONS = {"DATA_INLINING_ROW_LIMIT": 100}

TEXTS = (
    "",
    "'",
    "''",
    '"',
    "\\",
    "\\\\",
    "\\'",
    "\\.",
    "\\N",
    "NULL",
    "null",
    "\\x4142",
    "),(",
    "one\n),(\ntwo",
    "one\n),(\n'",
    "one\n\\.\ntwo",
    "'\n),(\n'",
    "'),('",
    "\n",
    "\r\n",
    "\ttab\t",
    " blanks ",
    "a,b;c",
    "-- no comment",
    "/* nor this */",
    "$$dollar$$",
    "%s %(x)s {}",
    "ünïcode ☃ 😀 \N{RIGHT-TO-LEFT MARK}",
    "\x01\x7f",
    "long '\n" * 1500,
)
_NUL_TEXTS = ("\0", "a\0b")

# Only what PostgreSQL keeps apart by more than its type; NULL fills the rest of each row.
_VALUES = {
    "boolean": ["true", "false"],
    "tinyint": ["-128", "127"],
    "smallint": ["-32768", "32767"],
    "integer": ["-2147483648", "2147483647"],
    "bigint": ["-9223372036854775808", "9223372036854775807"],
    "hugeint": ["-170141183460469231731687303715884105728"],
    "utinyint": ["255"],
    "usmallint": ["65535"],
    "uinteger": ["4294967295"],
    "ubigint": ["18446744073709551615"],
    "uhugeint": ["340282366920938463463374607431768211455"],
    "float": ["'nan'", "'inf'", "'-inf'", "1.1", "3.4028235e38", "1e-45"],
    "double": ["'nan'", "0.1", "1.7976931348623157e308", "5e-324"],
    "decimal(18, 3)": ["-123456789012345.678", "0", "0.001"],
    "decimal(38, 10)": ["1234567890123456789012345678.0123456789"],
    "time": ["'23:59:59.999999'", "'00:00:00'"],
    "timetz": ["'12:34:56.000001+05:30'", "'00:00:00-15:59'"],
    "date": ["'2024-02-29'", "'infinity'", "'-infinity'", "'0044-03-15 (BC)'", "'12024-01-01'"],
    "timestamp": ["'2024-02-29 12:34:56.789012'", "'infinity'", "'-infinity'", "'0044-03-15 (BC) 10:00:00'"],
    "timestamp_s": ["'2024-02-29 12:34:56'", "'infinity'", "'0044-03-15 (BC) 10:00:00'"],
    "timestamp_ms": ["'2024-02-29 12:34:56.789'"],
    "timestamp_ns": ["'2024-02-29 12:34:56.789012345'"],
    "timestamptz": ["'2024-02-29 12:34:56.789012+02'", "'infinity'", "'0044-03-15 (BC) 10:00:00+00'"],
    # Under 2^31 microseconds: PostgreSQL 14 refuses what DuckDB 1.5 makes of four hours.
    "interval": [
        "'1 year 2 months 3 days 35 minutes 5.678 seconds'",
        "'-1 month 2 days -3 microseconds'",
        "'0 s'",
    ],
    "varchar": ["''", "'it''s'", "'NULL'"],
    "blob": ["''", "'ab'"],
    "json": ["""'{"a": [1, null, "it''s"]}'""", "'null'", r"""'"\n"'"""],
    "uuid": ["'12345678-1234-5678-1234-567812345678'", "'00000000-0000-0000-0000-000000000000'"],
    "integer[]": ["[]", "[1, null, 3]"],
    "varchar[]": ["['a', null, 'NULL']", "[]"],
    "struct(a integer, b varchar)": ["{'a': 1, 'b': 'x'}", "{'a': null, 'b': null}"],
    "map(varchar, integer)": ["map {'k': 1, 'l': null}", "map {}"],
    "struct(x struct(y integer, z varchar[])[])": ["{'x': [{'y': 1, 'z': ['p', 'q']}]}"],
}
# Refused by DuckDB 1.4, whose statistics or text columns have no room for them.
_LATER_VALUES = {
    "double": ["'inf'", "'-inf'", "'-0.0'"],
    "blob": [r"'\x00\xFF\x27\x5C\x0A'"],
    "varchar[]": [r"""['it''s', '', 'a,b', '[x]', '\', '"']"""],
}

# As many bytes as PostgreSQL stores of a name.
_LONG = "a name of 63 bytes, it's … 😀 ".ljust(63 - 5, "x")
_NAMES = (
    _LONG,
    'Say "Hi"',
    "it's",
    "back\\slash",
    "two\nlines",
    "),(",
    "\\.",
    "a,b",
    "select",
    "😀",
    " ",
    "UPPER",
)

_VIEWS = """
    create view lake.hostile as select 'one
),(
two' as x, '
\\.
' as "\\.", e'tab\\t' as y;
    comment on view lake.hostile is 'one
),(
it''s
\\.
two';
"""
_CHANGES = """
    update lake.texts set s = s || ' updated' where i between 3 and 5;
    delete from lake.texts where i in (0, 7);
    alter table lake.texts add column more varchar default 'it''s
),(
more';
    insert into lake.texts (i, s, b) values (1000, 'after', 'after'), (1001, null, null);
    create table lake.in_files as select range as i, 'row ' || range as s from range(200);
    delete from lake.in_files where i < 3;
    delete from lake.in_files where i = 150;
    create table lake.never_filled (i integer);
    create table lake.gone (s varchar);
    insert into lake.gone values ('dropped');
    drop table lake.gone;
    begin;
    call lake.set_commit_message('O''Neill
),(', 'it''s a \\ "message"', extra_info => '{"k": "\\."}');
    insert into lake.texts (i, s) values (1003, 'last');
    insert into lake.never_filled select 1 where false;
    commit;
"""
_RENAME = """
    alter table lake.texts rename column b to "B's";
    insert into lake.texts (i, s) values (1002, '');
"""
_GIVEN = "insert into lake.texts values (1004, 'one', 'two', 'given'), (1005, 'one', 'two', null)"


def steps(spec: str, data_path: Path) -> Iterator[Step]:
    """Yield the steps that build it with the engine of that spec version."""
    if spec < "0.3":
        raise ValueError(f"DuckLake {spec} inlines no rows on PostgreSQL")
    yield Step("option", "call lake.set_option('data_inlining_row_limit', 100)")
    yield Step("every type", _every_type(later=spec > "0.3"))
    yield Step("texts", _texts(later=spec > "0.3"))
    yield Step("names", _names())
    yield Step("views and comments", _VIEWS)
    yield Step("changes", _CHANGES)
    if spec != "0.4":  # DuckDB 1.5.1 can't read inlined rows of before a rename
        yield Step("rename", _RENAME)
    if spec > "0.4":  # before, engines read the default where an added column was given a value
        yield Step("given", _GIVEN)


def _every_type(*, later: bool) -> str:
    values = {kind: given + (_LATER_VALUES.get(kind, []) if later else []) for kind, given in _VALUES.items()}
    columns = ", ".join(f"c{number} {kind}" for number, kind in enumerate(values))
    cast = [[f"cast({value} as {kind})" for value in given] for kind, given in values.items()]
    rows = [f"({', '.join(row)})" for row in zip_longest(*cast, fillvalue="null")]
    nulls = f"({', '.join(['null'] * len(values))})"
    return f"""
        create table lake.every_type ({columns});
        insert into lake.every_type values {", ".join(rows)}, {nulls};
    """


def _texts(*, later: bool) -> str:
    rows = []
    for number, text in enumerate(TEXTS + _NUL_TEXTS if later else TEXTS):
        # DuckDB 1.4 can hold the bytes only where they need no escape.
        blob = f"encode({_expression(text)})" if later or text.isalnum() else "null"
        rows.append(f"({number}, {_expression(text)}, {blob})")
    return f"""
        create table lake.texts (i integer, s varchar, b blob);
        insert into lake.texts values {", ".join(rows)}, (null, null, null);
    """


def _expression(text: str) -> str:
    # A NUL would end the statement.
    return " || chr(0) || ".join(text_literal(part) for part in text.split("\0"))


def _names() -> str:
    columns = ", ".join(f"{quoted(name)} varchar" for name in _NAMES)
    values = ", ".join(text_literal(f"value of {name}") for name in _NAMES)
    schema, table = quoted('Schema "it\'s"'), quoted(_LONG)
    return f"""
        create schema lake.{schema};
        create table lake.{schema}.{table} ({columns});
        insert into lake.{schema}.{table} values ({values});
        comment on column lake.{schema}.{table}.{quoted("),(")} is {text_literal("),(")};
    """
