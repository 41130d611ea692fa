"""What dlbackup writes and what it refuses to have written: the gate between a backup and a server."""

import re
import time
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.longer import fewer_examples

from dlbackup.errors import UnsafeStatement
from dlbackup.tables.allowlist import check_table, split_unsafe
from dlbackup.tables.definition import Column, ColumnSequence, Constraint, Grant, Index, Table
from dlbackup.tables.guarded import everywhere, guarded
from dlbackup.tables.quoting import quote_identifier, quote_literal
from dlbackup.tables.statements import definition, finishing, ownership

BASE = Table(
    name="ducklake_x",
    columns=(
        Column(name="a", type="bigint"),
        Column(name="b", type="character varying"),
        Column(name="c", type="text"),
    ),
)


LATER = replace(
    BASE,
    name="ducklake_it's \"x",
    owner="o",
    constraints=(Constraint("k", "UNIQUE NULLS NOT DISTINCT (a)", comment="it's"),),
    options=(("autovacuum_vacuum_max_threshold", "10"), ("fillfactor", "70")),
    grants=(Grant("", ("MAINTAIN",)), Grant("al", ("MAINTAIN", "SELECT"), grantable=True)),
    replica_identity="index k",
)


def with_type(text: str) -> Table:
    return replace(BASE, columns=(Column(name="a", type=text),))


def with_default(text: str, kind: str = "text") -> Table:
    return replace(BASE, columns=(Column(name="a", type=kind, default=text),))


def with_constraint(text: str) -> Table:
    return replace(BASE, constraints=(Constraint("k", text),))


def with_index(text: str) -> Table:
    return replace(BASE, indexes=(Index(name="i", definition=text),))


def accepts(table: Table) -> bool:
    try:
        check_table(table)
    except UnsafeStatement:
        return False
    return True


# As PostgreSQL 14 to 18 print them with an empty search path.
TYPES = (
    "smallint",
    "integer",
    "bigint",
    "boolean",
    "real",
    "double precision",
    "numeric",
    "numeric(10,0)",
    "numeric(38,10)",
    "character varying",
    "character varying(5)",
    "character(3)",
    "bpchar",
    "text",
    "name",
    "bytea",
    "uuid",
    "json",
    "jsonb",
    "xml",
    "money",
    "inet",
    "point",
    "bit(3)",
    "date",
    "interval",
    "interval(3)",
    "time without time zone",
    "time with time zone",
    "time(2) with time zone",
    "timestamp without time zone",
    "timestamp with time zone",
    "timestamp(3) without time zone",
    "text[]",
    "integer[]",
    "character varying(3)[]",
    "timestamp(3) without time zone[]",
)
DEFAULTS = (
    "0",
    "1.5",
    "(- 1.5)",
    "true",
    "(1 + 2)",
    "mod(5, 2)",
    "'-1'::integer",
    "'x'::text",
    "''::bpchar",
    "''::character varying",
    "NULL::character varying",
    "'a'::character(3)",
    "'1'::bit(3)",
    "'a''b'::text",
    "'a\nb'::text",
    "'a\\b'::text",
    "'\\'::text",
    "'üñ😀'::text",
    "'(), -- /* $$ ;'::text",
    "'{}'::text[]",
    "ARRAY['a'::text, 'b'::text]",
    "COALESCE('a'::text, 'b'::text)",
    "lower('A'::text)",
    "'\\x00'::bytea",
    "'1 day'::interval",
    "'2026-01-01 00:00:00'::timestamp without time zone",
    "('10000000000'::numeric)::double precision",
)
CONSTRAINTS = (
    "PRIMARY KEY (a)",
    "PRIMARY KEY (a, b)",
    'PRIMARY KEY ("A b", "c""d")',
    "PRIMARY KEY (a) INCLUDE (b)",
    "PRIMARY KEY (a) DEFERRABLE INITIALLY DEFERRED",
    "PRIMARY KEY (a) WITH (fillfactor='70')",
    "UNIQUE (a)",
    "UNIQUE NULLS NOT DISTINCT (a)",
    "CHECK ((a > 0))",
    "CHECK ((a >= '-1'::integer))",
    "CHECK ((a = ANY (ARRAY[(1)::bigint, (2)::bigint])))",
    "CHECK (((b)::text = ANY ((ARRAY['x'::character varying, 'y'::character varying])::text[])))",
    "CHECK ((((b)::text = 'x'::text) OR ((b)::text = 'y'::text)))",
    "CHECK (((b)::text ~~ 'x%'::text))",
    "CHECK (((b)::text !~~ 'x%'::text))",
    "CHECK (((a >= 1) AND (a <= 2)))",
    "CHECK ((a IS NOT NULL))",
    "CHECK (((a = 1) IS TRUE))",
    "CHECK (((b)::text <> ''::text))",
    "CHECK ((length((b)::text) > 3))",
    "CHECK ((char_length((b)::text) > 2))",
    "CHECK ((lower((b)::text) = (b)::text))",
    "CHECK ((upper((b)::text) <> 'X'::text))",
    "CHECK (((a % (2)::bigint) = 0))",
    "CHECK ((NOT (a = 1)))",
    "CHECK ((COALESCE(a, (0)::bigint) > 0))",
    "CHECK (((a)::numeric(10,2) > 1.5))",
)
INDEXES = (
    "USING btree (a)",
    "USING btree (a, b DESC NULLS LAST)",
    "USING btree (lower((b)::text))",
    "USING btree (a) WHERE (b IS NOT NULL)",
    "USING btree (a) WHERE ((b)::text = 'x'::text)",
    "USING btree (a) INCLUDE (b)",
    "USING btree (a) WITH (fillfactor='70')",
    "USING hash (a)",
    "USING btree (((a + 1)))",
    "USING btree (((b)::text))",
)


@pytest.mark.parametrize("text", TYPES)
def test_types_as_postgresql_prints_them_are_carried(text: str) -> None:
    """Every built-in type that a catalog's tables are made of passes."""
    check_table(with_type(text))


@pytest.mark.parametrize("text", DEFAULTS)
def test_constant_defaults_are_carried(text: str) -> None:
    """Constants and harmless functions of them, as PostgreSQL prints them, pass as defaults."""
    check_table(with_default(text))


@pytest.mark.parametrize("text", CONSTRAINTS)
def test_keys_and_checks_are_carried(text: str) -> None:
    """Keys and simple checks, as PostgreSQL prints them, pass."""
    check_table(with_constraint(text))


@pytest.mark.parametrize("text", INDEXES)
def test_indexes_are_carried(text: str) -> None:
    """Plain, partial and expression indexes, as PostgreSQL prints them, pass."""
    check_table(with_index(text))


@pytest.mark.parametrize(
    "text",
    [
        "bigint); DROP TABLE x; --",
        "bigint\n); DROP TABLE x; CREATE TABLE y (z bigint",
        "bigint NOT NULL",
        "bigint not null",
        "bigint null",
        "bigint primary key",
        "bigint unique",
        "bigint constraint x",
        "bigint check(0)",
        "bigint default 0",
        "text default user",
        "text default current_user",
        "bigint references ducklake_y",
        "bigint generated always as identity",
        "text collate c",
        "text storage external",
        "serial",
        "bigserial",
        "serial not null",
        "serial[]",
        "serial(3)",
        "my_domain",
        "evil.my_domain",
        '"my_domain"',
        '"text"',
        "pg_catalog.text",
        "setof text",
        "record",
        "trigger",
        "tinyint",
        "datetime",
        "hugeint",
        "variant",
        "string",
        "blob",
        "enum",
        "struct",
        "map",
        "array",
        "object",
        "unknown",
        "geometry",
        "vector",
        "hstore",
        "int",
        "int8",
        "varchar",
        "BIGINT",
        "",
        " bigint",
        "bigint ",
        "bigint\n",
        "bigint--",
        "bigint/**/",
        "text%type",
        "numeric(1,2,3)",
        "numeric(٣)",
        "numeric()",
        "bigint[1]",
        "bigint array",
        "character varying(10) collate c",
        "timestamp",
        "bigint\0",
    ],
)
def test_other_types_are_refused(text: str) -> None:
    """A type that breaks out, brings a default or sequence, or might be defined in another schema, is refused."""
    with pytest.raises(UnsafeStatement, match="type that a backup can't carry"):
        check_table(with_type(text))


CALLS = (
    "pg_read_file('/etc/passwd')",
    "pg_sleep(1)",
    "nextval('s'::regclass)",
    "now()",
    "version()",
    "lo_import('x')",
    "public.lower('a')",
    "pg_catalog.lower('a')",
    "\"lower\"('a')",
    "\"LOWER\"('a')",
    "\"Length\"('a')",
    '"coalesce"(1)',
    '"and"(1, 2)',
    "lcase('a')",
    "nvl('a', 'b')",
    "ifnull('a', 'b')",
    "len('a')",
    "like('a', 'b')",
    "time_to_time_str('a')",
    "date_to_date_str('a')",
    "convert('a', text)",
    "uuid('a')",
    "array(1)",
    "lower2('a')",
    "xlower('a')",
    "CAST('a' AS text)",
    "TRY_CAST('a' AS text)",
    "CAST('a' AS evil)",
    "concat('a', 'b')",
    "current_user",
    "current_timestamp",
    "session_user",
    "CURRENT_DATE",
    "ROW(1, 2)",
    "(1, 2)",
    "(SELECT 1)",
    "EXISTS (SELECT 1)",
    "(TABLE x)",
    "(VALUES (1))",
    "ANY (SELECT 1)",
    "CASE WHEN true THEN 1 END",
    "f.g",
    '"f"."g"',
    "ducklake_x.f",
    '"ducklake_x"."f"',
    "ducklake_x.*",
    "(a).f",
    '("a")."f"',
    "a.b.c",
    "a[1]",
    "'a'::evil",
    "'a'::public.evil",
    "'a'::\"evil\"",
    "'a'::\"text\"",
    "'a'::regclass",
    "'a'::regproc",
    "'a'::tinyint",
    "'a'::datetime",
    "'a'::enum('x')",
    "'a'::text::evil",
    "'a'::textual",
    "evil 'a'",
    "tinyint 'a'",
    "date '2026-01-01'",
    "interval '1 day'",
    "1 OPERATOR(evil.+) 2",
    "1 @ 2",
    "1 %- 2",
    "1 == 2",
    "1 <=> 2",
    "1 || 2",
    "1 ~ 2",
    "1 ^ 2",
    "1 & 2",
    "!! 1",
    "'a' ->> 'b'",
    "'a' COLLATE \"evil\"",
    "now() AT TIME ZONE 'UTC'",
    "'a' SIMILAR TO 'b'",
    "$$a$$",
    "$x$a$x$",
    "E'a'",
    "e'\\''",
    "U&'a'",
    'U&"a"',
    "B'1'",
    "X'1F'",
    "N'a'",
    "'a'--x",
    "'a' -- x\n",
    "/* x */ 'a'",
    "/* /* */ 'a' */",
    "'a'\n'b'",
    "'a' 'b'",
    "'a",
    '"a',
    "'a\0b'",
    "1;",
    "1; DROP TABLE x",
    "1)",
    "(1",
    ")(",
    "1\n",
    "1\t",
    "1\u00a0",
    "\u0661",
    ":x",
    ":'x'",
    ":1",
    "?",
    "{{ x }}",
    "{% x %}",
    "#x",
    "\\! rm",
    "@x",
    "`x`",
    "",
)


def test_what_is_more_than_a_constant_is_refused() -> None:
    """Calls, subqueries, foreign types and operators, other literals and comments pass nowhere in a definition."""
    for text in CALLS:
        assert not accepts(with_default(text)), text
        assert not accepts(with_constraint(f"CHECK ({text})")), text
        assert not accepts(with_constraint(f"CHECK ((a = 1)) AND ({text})")), text
        assert not accepts(with_index(f"USING btree (({text}))")), text
        assert not accepts(with_index(f"USING btree (a) WHERE ({text})")), text


@pytest.mark.parametrize("text", ["1 NOT NULL", "1 CHECK (true)", "1, CHECK (true)", '1, "z" bigint', "1 PRIMARY KEY"])
def test_defaults_that_bring_more_are_refused(text: str) -> None:
    """A default that would add a constraint or a column is refused."""
    assert not accepts(with_default(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "NOT NULL a",
        'FOREIGN KEY (a) REFERENCES "ducklake_x" (b)',
        "FOREIGN KEY (a) REFERENCES y (b)",
        "EXCLUDE USING gist (a WITH =)",
        "PRIMARY KEY (a) USING INDEX evil()",
        "UNIQUE USING INDEX x",
        "CHECK (true), CHECK (true)",
        'CHECK (true), "z" bigint',
        'CHECK (true), LIKE "y"',
        'CHECK (true), LIKE "y" INCLUDING ALL',
        "CHECK (true), CONSTRAINT d CHECK (evil())",
        "CHECK (true)) WITH (fillfactor=70",
        'CHECK (true)) INHERITS ("y"',
        "CHECK (true)) PARTITION BY RANGE (a",
        "CHECK (true)) TABLESPACE (x",
        "CHECK (true)) AS (SELECT 1",
        "CHECK (true)) AS (TABLE pg_authid",
        "CHECK (true)\n); DROP TABLE x; --",
        "CHECK (true) REFERENCES y (b)",
        "CHECK (true) DROP TABLE x",
        "GENERATED ALWAYS AS (1) STORED",
    ],
)
def test_other_constraints_are_refused(text: str) -> None:
    """A constraint that isn't one key or check, or leaves its place in the statement, is refused."""
    assert not accepts(with_constraint(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "(a)",
        "btree (a)",
        "USING evil (a)",
        "USING btree (a); DROP TABLE x",
        "USING btree (a)) (b",
        "USING btree (a), USING btree (b)",
        "USING btree (a evil.ops)",
        'USING btree (a "evil"."ops")',
        "USING btree (a evil_ops (x=1))",
        "USING btree (pg_sleep(1))",
        "USING btree (a) WHERE evil(a)",
        'USING btree (a) WHERE (SELECT true FROM "y")',
        "USING btree (a) INCLUDE (evil(a))",
        "USING btree (a)\n",
    ],
)
def test_other_indexes_are_refused(text: str) -> None:
    """An index that calls, names other operator classes, or is more than an index, is refused."""
    assert not accepts(with_index(text))


@pytest.mark.parametrize("name", ["pg_authid", "users", "ducklak", "Ducklake_x", " ducklake_x", '"ducklake_x', ""])
def test_tables_of_others_are_refused(name: str) -> None:
    """A table whose name doesn't begin as a catalog table's is refused."""
    with pytest.raises(UnsafeStatement, match="not a catalog table"):
        check_table(replace(BASE, name=name))


def test_table_without_columns_is_refused() -> None:
    """A table has columns."""
    with pytest.raises(UnsafeStatement, match="no columns"):
        check_table(replace(BASE, columns=()))


@pytest.mark.parametrize("bad", ["\0", "a\0b", "\ud800", "a\udfffb"])
def test_characters_that_no_server_stores_are_refused(bad: str) -> None:
    """NUL and lone surrogates are refused in every text of a table."""
    tables = [
        replace(BASE, name="ducklake_" + bad),
        replace(BASE, columns=(Column(name=bad, type="bigint"),)),
        replace(BASE, columns=(Column(name="a", type="text", collation=bad),)),
        replace(BASE, columns=(Column(name="a", type="text", comment=bad),)),
        replace(BASE, columns=(Column(name="a", type="text", grants=(Grant(bad, ("SELECT",)),)),)),
        with_default(quote_literal(bad)),
        replace(BASE, constraints=(Constraint(bad, "PRIMARY KEY (a)"),)),
        replace(BASE, constraints=(Constraint("k", "PRIMARY KEY (a)", comment=bad),)),
        replace(BASE, indexes=(Index(name=bad, definition="USING btree (a)"),)),
        replace(BASE, indexes=(Index(name="i", definition="USING btree (a)", comment=bad),)),
        replace(BASE, comment=bad),
        replace(BASE, owner=bad),
        replace(BASE, grants=(Grant(bad, ("SELECT",)),)),
        replace(BASE, options=(("fillfactor", bad),)),
        replace(BASE, replica_identity="index " + bad),
    ]

    assert [table for table in tables if accepts(table)] == []


@pytest.mark.parametrize("name", ["", "\0"])
def test_names_that_no_server_takes_are_refused(name: str) -> None:
    """Columns, constraints, indexes and collations have names."""
    assert not accepts(replace(BASE, columns=(Column(name=name, type="bigint"),)))
    assert not accepts(replace(BASE, columns=(Column(name="a", type="text", collation=name),)))
    assert not accepts(replace(BASE, constraints=(Constraint(name, "PRIMARY KEY (a)"),)))
    assert not accepts(replace(BASE, indexes=(Index(name=name, definition="USING btree (a)"),)))
    assert not accepts(replace(BASE, replica_identity=f"index {name}"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "foo",
        "FULL; DROP TABLE x",
        "full; drop table x",
        "using index y",
        "full, owner to evil",
        "full -- x",
        "index",
        "default; drop",
    ],
)
def test_other_replica_identities_are_refused(text: str) -> None:
    """A replica identity is one of four, and a name in it is quoted."""
    assert not accepts(replace(BASE, replica_identity=text))


@pytest.mark.parametrize("key", ["fillfactor = 1); DROP TABLE x; --", "a b", "Fill", '"x"', "", "a=b", "a,b", "a\n"])
def test_other_storage_parameters_are_refused(key: str) -> None:
    """The name of a storage parameter is a plain word."""
    assert not accepts(replace(BASE, options=((key, "1"),)))


@pytest.mark.parametrize(
    "privileges",
    [(), ("ALL",), ("select",), ("SELECT", "EXECUTE"), ("SELECT ON TABLE y TO evil; GRANT SELECT",), ("CREATE",)],
)
def test_other_privileges_are_refused(privileges: tuple[str, ...]) -> None:
    """Only a table's own privileges are granted, by their names."""
    assert not accepts(replace(BASE, grants=(Grant("bob", privileges),)))
    assert not accepts(replace(BASE, columns=(Column(name="a", type="text", grants=(Grant("bob", privileges),)),)))


NUMBERS = ColumnSequence(
    name="numbers",
    column="a",
    identity="always",
    type="bigint",
    start=1000,
    increment=1,
    minimum=1,
    maximum=2**63 - 1,
    cache=1,
    cycle=False,
    last_value=1000,
    is_called=False,
)


def test_a_sequence_numbers_a_column() -> None:
    """An identity is added when the rows are there; a default gets a sequence that belongs to the column."""
    table = replace(BASE, name="ducklake_x", columns=(Column(name="a", type="bigint", not_null=True),))
    by_default = replace(
        NUMBERS, identity="", type="integer", cycle=True, last_value=-7, is_called=True, comment="it's"
    )

    assert finishing(replace(table, sequences=(NUMBERS,)), "s")[-2:] == [
        (
            'ALTER TABLE "s"."ducklake_x" ALTER COLUMN "a" ADD GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME "numbers"'
            " START WITH 1000 INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 CACHE 1 NO CYCLE);\n"
        ),
        'SELECT pg_catalog.setval(\'"s"."numbers"\', 1000, false);\n',
    ]
    assert finishing(replace(table, sequences=(by_default,)))[-5:] == [
        (
            'CREATE SEQUENCE "numbers" AS integer START WITH 1000 INCREMENT BY 1 MINVALUE 1'
            " MAXVALUE 9223372036854775807 CACHE 1 CYCLE;\n"
        ),
        'ALTER SEQUENCE "numbers" OWNED BY "ducklake_x"."a";\n',
        (
            'ALTER TABLE "ducklake_x" ALTER COLUMN "a" SET DEFAULT'
            " pg_catalog.nextval('\"numbers\"'::pg_catalog.regclass);\n"
        ),
        "SELECT pg_catalog.setval('\"numbers\"', -7, true);\n",
        "COMMENT ON SEQUENCE \"numbers\" IS 'it''s';\n",
    ]


@pytest.mark.parametrize(
    "sequence",
    [
        replace(NUMBERS, column="b"),
        replace(NUMBERS, name=""),
        replace(NUMBERS, name="a\0b"),
        replace(NUMBERS, identity="", type="text"),
        replace(NUMBERS, identity="", type="bigint; DROP TABLE x"),
        replace(NUMBERS, start=10**20),
        replace(NUMBERS, last_value=-(10**30)),
        replace(NUMBERS, grants=(Grant("bob", ("ALL",)),)),
        replace(NUMBERS, grants=(Grant("bob", ("DELETE",)),)),
        replace(NUMBERS, grants=(Grant("bob", ("USAGE ON SEQUENCE x TO evil; GRANT USAGE",)),)),
    ],
)
def test_other_sequences_are_refused(sequence: ColumnSequence) -> None:
    """A sequence belongs to a column of its table, has whole numbers, and grants what sequences know."""
    table = replace(BASE, columns=(Column(name="a", type="bigint", not_null=True),))

    assert accepts(replace(table, sequences=(NUMBERS,)))
    assert not accepts(replace(table, sequences=(sequence,)))


HOSTILE = (
    "'; DROP TABLE x; --",
    '"; DROP TABLE x; --',
    'a"b',
    'a""b',
    "a'b",
    "\\",
    "\\'",
    "\n",
    "/*",
    "--",
    "$$",
    "ü😀",
    "select",
    "a" * 63,
    " ",
    ".",
    "1",
    "public",
)
names = st.sampled_from(HOSTILE) | st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=15
)
grants = st.builds(
    Grant,
    st.just("") | names,
    st.lists(st.sampled_from(["SELECT", "INSERT", "UPDATE", "REFERENCES"]), min_size=1, max_size=3, unique=True).map(
        lambda found: tuple(sorted(found))
    ),
    st.booleans(),
)
columns = st.builds(
    Column,
    name=names,
    type=st.sampled_from(TYPES),
    not_null=st.booleans(),
    default=st.none() | st.sampled_from(DEFAULTS),
    collation=st.none() | names,
    comment=st.none() | names,
    grants=st.lists(grants, max_size=2).map(tuple),
)
numbers = st.integers(min_value=-(2**63), max_value=2**63 - 1)
sequences = st.builds(
    ColumnSequence,
    name=names,
    column=st.just("numbered"),
    identity=st.sampled_from(["", "always", "by default"]),
    type=st.sampled_from(["smallint", "integer", "bigint"]),
    start=numbers,
    increment=numbers,
    minimum=numbers,
    maximum=numbers,
    cache=numbers,
    cycle=st.booleans(),
    last_value=numbers,
    is_called=st.booleans(),
    comment=st.none() | names,
    grants=st.none()
    | st.lists(st.builds(Grant, st.just("") | names, st.just(("SELECT", "USAGE"))), max_size=2).map(tuple),
)
tables = st.builds(
    Table,
    name=names.map("ducklake_{}".format),
    columns=st.lists(columns, min_size=1, max_size=4).map(lambda some: (*some, Column(name="numbered", type="bigint"))),
    sequences=st.lists(sequences, max_size=2).map(tuple),
    constraints=st.lists(st.builds(Constraint, names, st.sampled_from(CONSTRAINTS), st.none() | names), max_size=2).map(
        tuple
    ),
    indexes=st.lists(
        st.builds(
            Index,
            name=names,
            definition=st.sampled_from(INDEXES),
            unique=st.booleans(),
            comment=st.none() | names,
        ),
        max_size=2,
    ).map(tuple),
    comment=st.none() | names,
    owner=st.just("") | names,
    grants=st.none() | st.lists(grants, max_size=2).map(tuple),
    options=st.lists(st.tuples(st.sampled_from(["fillfactor", "toast.autovacuum_enabled"]), names), max_size=1).map(
        tuple
    ),
    replica_identity=st.sampled_from(["default", "full", "nothing"]) | names.map("index {}".format),
    row_security=st.booleans(),
    row_security_forced=st.booleans(),
    tablespace=st.just("") | names,
    access_method=st.just("") | names,
)


@fewer_examples(12)
@given(tables)
def test_whatever_the_server_may_have_is_accepted(table: Table) -> None:
    """Any names, comments, owners and grants, however hostile, pass with what PostgreSQL prints of the rest."""
    check_table(table)

    assert split_unsafe(table) == (table, [])


def skeleton(statement: str) -> str:
    """Return a statement without what is inside of its quoted names and literals."""
    return re.sub(r""""(?:[^"]|"")*"|'(?:[^']|'')*'""", "#", statement)


@given(tables)
def test_hostile_names_stay_inside_their_quotes(table: Table) -> None:
    """Without names and literals, every statement of a table has the form of its kind, and is one statement."""
    for statement in (definition(table), *finishing(table), *ownership(table)):
        bare = skeleton(statement)
        assert bare.endswith(";\n")
        assert ";" not in bare[:-2]
        assert re.match(
            r"CREATE TABLE # \(\n    # |CREATE (UNIQUE )?INDEX # ON # USING |COMMENT ON (TABLE|INDEX) # IS #;"
            r"|COMMENT ON COLUMN #\.# IS #;|COMMENT ON CONSTRAINT # ON # IS #;|ALTER TABLE # SET \([a-z._]+ = #\);"
            r"|ALTER TABLE # REPLICA IDENTITY (FULL|NOTHING|USING INDEX #);|ALTER TABLE # OWNER TO #;"
            r"|ALTER TABLE # (ENABLE|FORCE) ROW LEVEL SECURITY;"
            r"|REVOKE ALL ON (TABLE|SEQUENCE) # FROM (#|PUBLIC);"
            r"|GRANT ([A-Z]+( \(#\))?(, )?)+ ON (TABLE|SEQUENCE) # TO (#|PUBLIC)( WITH GRANT OPTION)?;"
            r"|ALTER TABLE # ALTER COLUMN # ADD GENERATED (ALWAYS|BY DEFAULT) AS IDENTITY"
            r" \(SEQUENCE NAME # [-A-Z0-9 ]+\);"
            r"|CREATE SEQUENCE # AS [a-z]+ [-A-Z0-9 ]+;|ALTER SEQUENCE # OWNED BY #\.#;|COMMENT ON SEQUENCE # IS #;"
            r"|ALTER TABLE # ALTER COLUMN # SET DEFAULT pg_catalog\.nextval\(#::pg_catalog\.regclass\);"
            r"|SELECT pg_catalog\.setval\(#, -?[0-9]+, (true|false)\);",
            bare,
        )


@given(names)
def test_quoting_doubles_quotes(text: str) -> None:
    """A quoted name or literal is read back as what it was."""
    assert quote_identifier(text)[1:-1].replace('""', '"') == text
    assert quote_literal(text)[1:-1].replace("''", "'") == text


TOKENS = (
    *("'", "''", '"', '"a"', "'x'", "(", ")", "[", "]", ",", " ", "::", ":", ".", "-", "--", "/*", "*/", "$$", ";"),
    *("\n", "\\", "1", "0x1", "a", "E", "e", "U&", "f", "lower", "CHECK", "SELECT", "text", "evil", "AND", "NOT"),
    *("=", "<", ">", "~", "!", "|", "%", "+", "*", "NULL", "ARRAY", "ANY", "COALESCE", "IS", "CASE", "OVER", "AS"),
)
tokens = st.lists(st.sampled_from(TOKENS), max_size=14).map("".join)
NUMBER = re.compile(r"\b[0-9]+\.[0-9]+\b")
CALL = re.compile(r"(?:#|[A-Za-z_]\w*) *\(")


@fewer_examples(150, of=500)
@example('ANY"a"')
@example("''::text")
@example("1.1")
@given(tokens)
def test_no_soup_of_tokens_gets_a_call_through(text: str) -> None:
    """Any text is accepted or refused as unsafe; what is accepted calls nothing and has no other literals."""
    for table in (with_default(text), with_constraint(f"CHECK ({text})"), with_index(f"USING btree (({text}))")):
        if accepts(table):
            bare = skeleton(text)
            called = {re.sub(r" *\($", "", call) for call in CALL.findall(bare)}
            assert called <= {"lower", "CHECK", "AND", "NOT", "ANY", "COALESCE"}
            assert not re.search(r"""['":;$.\\\n]|--|/\*|\w#|evil *#""", NUMBER.sub("0", bare.replace("::text", "")))
            assert bare.count("(") == bare.count(")")


@pytest.mark.parametrize(
    "text",
    [
        "a" * 50_000 + "$",
        "1" * 50_000 + "$",
        '"a"' * 20_000 + "$",
        "'a'" * 20_000 + "$",
        "''" * 20_000 + "$",
        '"' + '""' * 20_000,
        "'" + "''" * 20_000,
        "(a = b) AND " * 5_000 + "$",
        "(" * 50_000,
        ")" * 50_000,
        " " * 50_000 + "$",
        "-" * 50_000,
        "::text" * 10_000 + "$",
        "lower" * 10_000 + "(",
    ],
    ids=lambda text: text[:12],
)
def test_hostile_texts_are_refused_at_once(text: str) -> None:
    """Refusing a text of many thousand tokens takes no more than linear time."""
    begun = time.process_time()

    assert not accepts(with_default(text))
    assert not accepts(with_type(text))
    assert not accepts(with_constraint(f"CHECK ({text})"))
    assert time.process_time() - begun < 2


@pytest.mark.parametrize(
    "text",
    ["(" * 5_000 + "1" + ")" * 5_000, "(NOT " * 5_000 + "true" + ")" * 5_000, "- " * 5_000 + "1"],
    ids=["parentheses", "not", "minus"],
)
def test_expressions_that_are_too_deep_are_refused(text: str) -> None:
    """An expression nested thousands of levels deep is refused, and nothing overflows."""
    with pytest.raises(UnsafeStatement, match="too deep"):
        check_table(with_default(text))


def test_tables_that_differ_in_numbers_cost_next_to_nothing() -> None:
    """Thousands of inlined tables are checked in well under a millisecond each."""
    begun = time.process_time()
    for number in range(2_000):
        check_table(
            Table(
                name=f"ducklake_inlined_data_{number}_{number % 7}",
                columns=(Column(name="row_id", type="bigint"), Column(name=f"col{number}", type="text")),
            )
        )

    assert time.process_time() - begun < 2


def test_what_would_run_code_is_left_out_by_name() -> None:
    """Of a live table the parts that call other functions are left out and named; the rest stays as it is."""
    table = replace(
        BASE,
        columns=(
            Column(name="a", type="bigint", not_null=True, default="nextval('s'::regclass)", comment="kept"),
            Column(name="b", type="text", default="'x'::text"),
            Column(name="c", type="timestamp with time zone", default="now()"),
        ),
        constraints=(
            Constraint("ok", "PRIMARY KEY (a)"),
            Constraint("bad check", "CHECK (evil(a))"),
            Constraint("excl", "EXCLUDE USING gist (a WITH =)"),
        ),
        indexes=(
            Index(name="fine", definition="USING btree (b)"),
            Index(name="odd", definition="USING btree (evil(b))"),
        ),
        comment="kept too",
    )

    kept, left_out = split_unsafe(table)

    assert left_out == [
        "default of column a of table ducklake_x",
        "default of column c of table ducklake_x",
        "constraint bad check of table ducklake_x",
        "constraint excl of table ducklake_x",
        "index odd of table ducklake_x",
    ]
    assert kept == replace(
        table,
        columns=(
            replace(table.columns[0], default=None),
            table.columns[1],
            replace(table.columns[2], default=None),
        ),
        constraints=table.constraints[:1],
        indexes=table.indexes[:1],
    )
    check_table(kept)


def test_a_column_that_cannot_be_carried_is_no_matter_of_leaving_out() -> None:
    """A type that isn't built in makes the whole table impossible to back up."""
    with pytest.raises(UnsafeStatement, match="my_domain"):
        split_unsafe(with_type("my_domain"))


def test_statements_of_a_full_table() -> None:
    """A table with everything is written as these statements, in this order."""
    table = Table(
        name='ducklake_"x',
        columns=(
            Column(
                name="id",
                type="bigint",
                not_null=True,
                default="0",
                collation=None,
                comment="it's",
                grants=(Grant("bob", ("INSERT", "SELECT")),),
            ),
            Column(name="t", type="text", not_null=False, default=None, collation="C"),
        ),
        constraints=(Constraint("pk", "PRIMARY KEY (id)", "key"), Constraint("ck", "CHECK ((id > 0))")),
        indexes=(Index(name="i", definition="USING btree (t)", unique=True, comment="idx"),),
        comment="a 'table'",
        owner="owner",
        grants=(Grant("", ("SELECT",)), Grant("al", ("DELETE",), True)),
        options=(("fillfactor", "70"),),
        replica_identity="index i",
    )

    assert definition(table) == (
        'CREATE TABLE "ducklake_""x" (\n'
        '    "id" bigint DEFAULT 0 NOT NULL,\n'
        '    "t" text COLLATE "C",\n'
        '    CONSTRAINT "pk" PRIMARY KEY (id),\n'
        '    CONSTRAINT "ck" CHECK ((id > 0))\n'
        ");\n"
    )
    assert finishing(table) == [
        'CREATE UNIQUE INDEX "i" ON "ducklake_""x" USING btree (t);\n',
        "COMMENT ON TABLE \"ducklake_\"\"x\" IS 'a ''table''';\n",
        'COMMENT ON COLUMN "ducklake_""x"."id" IS \'it\'\'s\';\n',
        'COMMENT ON CONSTRAINT "pk" ON "ducklake_""x" IS \'key\';\n',
        "COMMENT ON INDEX \"i\" IS 'idx';\n",
        'ALTER TABLE "ducklake_""x" SET (fillfactor = \'70\');\n',
        'ALTER TABLE "ducklake_""x" REPLICA IDENTITY USING INDEX "i";\n',
    ]
    assert ownership(table) == [
        'ALTER TABLE "ducklake_""x" OWNER TO "owner";\n',
        'REVOKE ALL ON TABLE "ducklake_""x" FROM PUBLIC;\n',
        'REVOKE ALL ON TABLE "ducklake_""x" FROM "owner";\n',
        'GRANT SELECT ON TABLE "ducklake_""x" TO PUBLIC;\n',
        'GRANT DELETE ON TABLE "ducklake_""x" TO "al" WITH GRANT OPTION;\n',
        'GRANT INSERT ("id"), SELECT ("id") ON TABLE "ducklake_""x" TO "bob";\n',
    ]
    check_table(table)


def test_what_later_servers_know_is_said_apart() -> None:
    """Privileges, storage parameters and keys of later servers are executed only by those, at the end."""
    known = everywhere(LATER)
    name = '"ducklake_it\'s ""x"'
    begin = "DO 'BEGIN IF pg_catalog.current_setting(''server_version_num'')::pg_catalog.int4 OPERATOR(pg_catalog.>=)"
    of_15, of_17, of_18 = (f"{begin} {major}0000 THEN EXECUTE ''" for major in (15, 17, 18))
    twice = name.replace("'", "''''")
    end = "''; END IF; END';\n"

    assert definition(known) == definition(replace(BASE, name=LATER.name))
    assert finishing(known) == [f"ALTER TABLE {name} SET (fillfactor = '70');\n"]
    assert ownership(known) == [
        f'ALTER TABLE {name} OWNER TO "o";\n',
        f"REVOKE ALL ON TABLE {name} FROM PUBLIC;\n",
        f'REVOKE ALL ON TABLE {name} FROM "o";\n',
        f'GRANT SELECT ON TABLE {name} TO "al" WITH GRANT OPTION;\n',
    ]
    assert guarded(LATER) == [
        f'{of_15}ALTER TABLE {twice} ADD CONSTRAINT "k" UNIQUE NULLS NOT DISTINCT (a){end}',
        f"{of_15}COMMENT ON CONSTRAINT \"k\" ON {twice} IS ''''it''''''''s''''{end}",
        f'{of_15}ALTER TABLE {twice} REPLICA IDENTITY USING INDEX "k"{end}',
        f"{of_18}ALTER TABLE {twice} SET (autovacuum_vacuum_max_threshold = ''''10''''){end}",
        f"{of_17}GRANT MAINTAIN ON TABLE {twice} TO PUBLIC{end}",
        f'{of_17}GRANT MAINTAIN ON TABLE {twice} TO "al" WITH GRANT OPTION{end}',
    ]
    check_table(LATER)
    assert everywhere(known) is known
    assert not guarded(known)


@pytest.mark.parametrize(
    "change",
    [
        ("''; END IF; END'", "''; DROP TABLE x; END IF; END'"),
        ("EXECUTE ''ALTER", "EXECUTE ''x''; EXECUTE ''ALTER"),
        ("150000 THEN", "150000 OR true THEN"),
        ("pg_catalog.current_setting", "current_setting"),
        ("DO '", "DO $$"),
    ],
)
def test_a_guard_does_nothing_else(monkeypatch: pytest.MonkeyPatch, change: tuple[str, str]) -> None:
    """A guard of another form than ours is refused, whatever made it."""
    made = guarded(LATER)[0].replace(*change)
    assert made != guarded(LATER)[0]
    table = replace(LATER, comment="made anew, so that nothing known of it counts", name=f"ducklake_{change[1]}")
    monkeypatch.setattr("dlbackup.tables.allowlist.guarded", lambda _: [made])

    with pytest.raises(UnsafeStatement):
        check_table(table)
