"""
How backends store the values of inlined rows: one table of rules.

What a value is, DuckDB's type says; by its name the rules are found. Each backend is a `_Rules`: as what a value is
stored, and how such a text becomes a value and a value such a text. A further backend is a further entry of `_RULES`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, get_args

from dlbackup.lake import spec
from dlbackup.tables.definition import Column
from dlbackup.tables.duckdbtypes import STANDARD
from dlbackup.tables.printing import double, interval, numeric, real
from dlbackup.tables.quoting import quote_literal
from dlbackup.tables.sqlitetypes import declared_for, real_literal, text_literal, types_for
from dlbackup.tables.types import Dialect, written_as

Generation = Literal["1.3", "1.4", "1.5"]
"""The DuckDB that made an inlined table, as far as tables differ by that."""
_POSTGRES: dict[str, str | tuple[str, str]] = {
    "BOOLEAN": "boolean",
    "TINYINT": "smallint",
    "SMALLINT": "smallint",
    "INTEGER": "integer",
    "BIGINT": "bigint",
    "UTINYINT": "integer",
    "USMALLINT": "integer",
    "UINTEGER": "bigint",
    "UBIGINT": "character varying",
    "HUGEINT": "character varying",
    "UHUGEINT": "character varying",
    "FLOAT": ("double precision", "real"),
    "DOUBLE": "double precision",
    "DECIMAL": "numeric",
    "VARCHAR": ("character varying", "bytea"),
    "JSON": ("json", "bytea"),
    "BLOB": "bytea",
    "DATE": ("date", "character varying"),
    "TIMESTAMP": ("timestamp without time zone", "character varying"),
    "TIMESTAMP WITH TIME ZONE": ("timestamp with time zone", "character varying"),
    "TIMESTAMP_S": "character varying",
    "TIMESTAMP_MS": "character varying",
    "TIMESTAMP_NS": "character varying",
    "TIME": "time without time zone",
    "TIME_NS": "character varying",
    "TIME WITH TIME ZONE": "time with time zone",
    "INTERVAL": "interval",
    "UUID": "uuid",
    "VARIANT": "bytea",
    "GEOMETRY": "bytea",
    "nested": "character varying",
}
"""How DuckDB stores the values of a type on PostgreSQL: 1.4, and 1.5 where that is another way."""
_BY_1_3 = frozenset(
    {
        *("BOOLEAN", "SMALLINT", "INTEGER", "BIGINT", "FLOAT", "DOUBLE", "DECIMAL", "VARCHAR", "JSON", "BLOB", "DATE"),
        *("TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIME", "TIME WITH TIME ZONE", "INTERVAL", "UUID"),
    }
)
"""The types whose values 1.3 gives back there: it stores them as 1.4 does, but FLOAT. Others it reads wrongly."""
_ALSO_POSTGRES = {"JSON": "character varying"}
_IN_ARRAYS = frozenset(
    {"BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "FLOAT", "DOUBLE"}
    | {"DECIMAL", "VARCHAR", "DATE", "TIMESTAMP", "TIME", "UUID"}
)
"""Of such values DuckDB 1.3 made arrays of PostgreSQL; DuckDB reads the texts of their elements."""
_NOTHING = "false"
_NEVER_MOVED = ("VARIANT", "GEOMETRY")
"""Types of which no text gives the value back; a column of them that holds nothing can be moved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """
    How a backend stores the values of one column.

    Args:
        type: the column's, as the backend declares it.
        read: SQL that makes a value of the text `{c}` of a row; it fails, or gives NULL, where that is none.
        write: SQL that makes the text of the value `{v}`, as far as DuckDB can.
        holds: SQL that tells whether the backend can hold the value `{v}`, which is not NULL.
        literal: makes of what `write` gives how the value stands in a row.
    """

    type: str
    read: str
    write: str = "cast({v} as varchar)"
    holds: str = "true"
    literal: Callable[[str], str] = quote_literal

    def reading(self, text: str) -> str:
        """Return the SQL for the value of a text."""
        return self.read.replace("{c}", text)

    def writing(self, value: str) -> str:
        """Return the SQL for the text of a value."""
        return self.write.replace("{v}", value)

    @property
    def is_empty(self) -> bool:
        """Tell whether no value can be held at all."""
        return self.holds == _NOTHING

    def holding(self, value: str) -> str:
        """Return the condition that a value can be held."""
        return self.holds.replace("{v}", value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """
    What inlined tables of a backend can have: NUL in texts, bytes in a name, columns; 0 for any number.

    Args:
        taken: names that no column can have.
        untyped: a column doesn't say of which type its values are, so who reads the catalog asks the lake's tables.
        single: of texts that stand as bytes in a backup, only those do that have to; the others of the column don't.
        encoded: SQL that tells whether the text of the value `{v}` has to.
        nan_signs: a NaN is printed with its sign, by which DuckDB makes no difference; PostgreSQL prints none.
    """

    nul: bool
    name_bytes: int = 0
    columns: int = 0
    taken: frozenset[str] = frozenset()
    untyped: bool = False
    single: bool = False
    encoded: str = "contains({v}, chr(0))"
    nan_signs: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rules:
    """
    One backend's column of the table.

    Args:
        limits: of its tables.
        schema: in which a catalog is where nobody says otherwise.
        stored: the types that may hold values of a DuckDB type: what an engine of a generation makes first.
        form: of a column, and the DuckDB type of its values.
        declared: as what a column of a type is declared, where that is another name.
        value_type: the DuckDB type of the values in a column of a type, where that alone says it.
    """

    limits: Limits
    schema: str
    stored: Callable[[str, Generation], tuple[str, ...]]
    form: Callable[[Column, str], Form]
    declared: Callable[[str], str] = lambda column_type: ""
    value_type: Callable[[str], str | None] = lambda column_type: None


def generation_of(version: str) -> Generation:
    """Return which engines make inlined tables in catalogs of a spec version."""
    if spec.is_older(version, "0.3-dev1"):
        return "1.3"
    return "1.4" if spec.is_older(version, "0.4-dev1") else "1.5"


def schema_in(dialect: Dialect, source: Dialect, schema: str) -> str:
    """Return where a catalog of another backend belongs: in the default schema, if it was in that one's."""
    return _RULES[dialect].schema if schema in ("", _RULES[source].schema) else schema


def stored_in(dialect: Dialect, value_type: str, generation: Generation) -> str:
    """Return the type of the column for values of a DuckDB type, as an engine makes it; empty where none reads them."""
    return next(iter(_RULES[dialect].stored(value_type, generation)), "")


def declared_in(dialect: Dialect, column_type: str) -> str:
    """Return as what an engine declares a column of a type, where that is another name; empty where it isn't."""
    return _RULES[dialect].declared(column_type)


def may_store(dialect: Dialect, column: Column, value_type: str) -> bool:
    """Tell whether some engine stores values of that DuckDB type in such a column."""
    stored = _RULES[dialect].stored
    return any(column.type in stored(value_type, generation) for generation in get_args(Generation))


def value_type_in(dialect: Dialect, column: Column) -> str | None:
    """Return the DuckDB type of the values of a column; None where the column alone doesn't say."""
    return _RULES[dialect].value_type(column.type)


_WIDEST = ("VARCHAR", "BLOB", "SMALLINT", "INTEGER", "BIGINT", "DOUBLE")


def values_of(dialect: Dialect, column: Column) -> str:
    """Return the DuckDB type that holds whatever may be stored in a column; empty where there is none."""
    digits = column.type[column.type.find("(") :] if "(" in column.type else ""
    # Bytes may be a text or none; a text may be anything.
    widest = [name for name in _WIDEST if not (name == "VARCHAR" and column.type == "bytea")]
    names = (name + digits for name in (*widest, *_POSTGRES) if name != "nested")
    return next((name for name in names if may_store(dialect, column, name)), "")


def limits_of(dialect: Dialect) -> Limits:
    """Return what its tables can have."""
    return _RULES[dialect].limits


def form_in(dialect: Dialect, column: Column, value_type: str) -> Form:
    """Return how a column, which may store values of that DuckDB type, stores them."""
    form = _RULES[dialect].form(column, value_type)
    return replace(form, literal=str) if written_as(column.type) in ("integer", "boolean") else form


def is_float(value_type: str) -> bool:
    """Tell whether a value may be NaN, with a sign or without."""
    return value_type in ("FLOAT", "DOUBLE")


def without_nan_sign(form: Form) -> Form:
    """Return how a column of such values is written where no sign of a NaN shows."""
    return replace(form, write=f"case when isnan({{v}}) then 'nan' else {form.write} end")


def is_reworded(value_type: str) -> bool:
    """Tell whether engines may write one value as several texts: by their zone, or with other quotes."""
    return value_type.endswith(" WITH TIME ZONE") or _rule(value_type) == "nested"


def _rule(value_type: str) -> str:
    """Return under which name a type stands in a table of rules."""
    if value_type.endswith("]") or value_type.startswith(("STRUCT(", "MAP(")):
        return "nested"
    return value_type.partition("(")[0]


def _cast(value_type: str) -> str:
    return f"cast({{c}} as {value_type})"


_STANDARD_NAMES = {standard: name for name, standard in STANDARD.items()}


def _as_duckdb(declared: str) -> str:
    return _STANDARD_NAMES.get(declared, declared)


def _stored_by_duckdb(value_type: str, generation: Generation) -> tuple[str, ...]:
    """Return the type itself; a DuckDB file's definitions say `bigint` as all do."""
    return ("bigint" if value_type == "BIGINT" else value_type,)


def _reads_alike(value_type: str) -> str:
    return f"try_cast(cast({{v}} as varchar) as {value_type}) is not distinct from {{v}}"


def _form_in_duckdb(column: Column, value_type: str) -> Form:
    if value_type in _NEVER_MOVED:
        return Form(type=column.type, read=_cast(value_type), holds=_NOTHING)
    holds = "true" if value_type in ("VARCHAR", "JSON") else _reads_alike(value_type)
    if value_type == "BLOB" or not column.encoded:
        return Form(type=column.type, read=_cast(value_type), holds=holds)
    read = f"cast(decode(cast({{c}} as blob)) as {value_type})"
    return Form(type=column.type, read=read, write="cast(encode(cast({v} as varchar)) as varchar)", holds=holds)


_SYSTEM_COLUMNS = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})
"""What PostgreSQL itself has in every table."""
_BYTES = "unhex(substr({c}, 3))"
_BC = r"regexp_replace({c}, '^(\S+)( .*)? BC$', '\1 (BC)\2')"
"""PostgreSQL writes `0044-03-15 10:00:00 BC`, DuckDB `0044-03-15 (BC) 10:00:00`."""
_TO_BC = r"regexp_replace(cast({v} as varchar), '^(\S+) \(BC\)(.*)$', '\1\2 BC')"
_ELEMENTS = r"""
[case when x = 'NULL' then null
      when starts_with(x, '"') then regexp_replace(substr(x, 2, length(x) - 2), '(?s)\\(.)', '\1', 'g')
      else x end
 for x in regexp_extract_all(substr({c}, 2, length({c}) - 2), '"(?s:[^"\\]|\\.)*"|[^,]+')]
""".strip()
"""The texts of an array's elements: those with signs of their own stand between quotes, with backslashes."""
_NO_NUL = "not contains(cast({v} as varchar), chr(0))"
_PRINTED = {"real": real, "double precision": double, "numeric": numeric, "interval": interval}


def _quoted(printed: Callable[[str], str], text: str) -> str:
    return quote_literal(printed(text))


_LITERALS = {name: partial(_quoted, printed) for name, printed in _PRINTED.items()}
"""Of types whose values PostgreSQL prints otherwise than DuckDB."""
_DATES = ("date", "timestamp without time zone", "timestamp with time zone")


def _stored_by_postgres(value_type: str, generation: Generation) -> tuple[str, ...]:
    rule = _rule(value_type)
    if generation == "1.3" and (rule not in _BY_1_3 or rule == "FLOAT"):
        return ("real",) if rule == "FLOAT" else ()
    found = _POSTGRES.get(rule, ())
    stored = (found,) if isinstance(found, str) else (found[generation == "1.5"],) if found else ()
    element = value_type.removesuffix("[]")
    if rule == "nested" and element != value_type and _rule(element) in _IN_ARRAYS:
        return (*stored, *(f"{type_}[]" for type_ in _stored_by_postgres(element, "1.4")))
    if rule == "DECIMAL":
        return tuple(type_ + value_type.removeprefix("DECIMAL") for type_ in stored)
    return (*stored, _ALSO_POSTGRES[rule]) if rule in _ALSO_POSTGRES else stored


def _form_in_postgres(column: Column, value_type: str) -> Form:
    stored, cast = column.type.partition("(")[0], _cast(value_type)
    if value_type in _NEVER_MOVED:
        return Form(type=column.type, read=cast, holds=_NOTHING)
    if column.type.endswith("[]"):
        elements = _ELEMENTS
        if value_type in ("DATE[]", "TIMESTAMP[]"):  # DuckDB would leave the BC out
            elements = f"case when not contains({{c}}, ' BC') then {elements} end"
        return Form(type=column.type, read=cast.replace("{c}", elements))
    if stored == "bytea" and value_type == "BLOB":
        return Form(type=column.type, read=_BYTES, write=r"'\x' || lower(hex({v}))")
    if stored == "bytea":
        read = cast.replace("{c}", f"decode({_BYTES})")
        return Form(type=column.type, read=read, write=r"'\x' || lower(hex(encode(cast({v} as varchar))))")
    if stored in _DATES:
        # PostgreSQL's dates begin and end sooner than DuckDB's.
        holds = f"not isfinite({{v}}) or {{v}} between '4714-11-24 (BC)'::{value_type} and '5874897-12-31'::date"
        if stored != "date":
            holds = f"not isfinite({{v}}) or {{v}} >= '4714-11-24 (BC)'::{value_type}"
        return Form(type=column.type, read=cast.replace("{c}", _BC), write=_TO_BC, holds=holds)
    if stored == "interval":
        cast = cast.replace("{c}", "replace({c}, '+', '')")
    holds = _NO_NUL if stored in ("character varying", "json") else "true"
    return Form(type=column.type, read=cast, holds=holds, literal=_LITERALS.get(stored, quote_literal))


def _stored_by_sqlite(value_type: str, generation: Generation) -> tuple[str, ...]:
    """Return what DuckDB's connector makes; 1.3 inlines nothing there."""
    types = types_for(value_type)
    return {"1.5": types[:1], "1.4": types[-1:], "1.3": ()}[generation]


def _form_in_sqlite(column: Column, value_type: str) -> Form:
    cast = _cast(value_type)
    if value_type in _NEVER_MOVED:
        return Form(type=column.type, read=cast, holds=_NOTHING)
    if column.type == "BYTES":
        return Form(type=column.type, read=_BYTES, write="hex({v})", literal="X'{}'".format)
    if column.type == "REAL":
        infinite = "case {c} when '9e999' then 'inf' when '-9e999' then '-inf' else {c} end"
        return Form(type=column.type, read=cast.replace("{c}", infinite), holds="not isnan({v})", literal=_real)
    holds = "true" if value_type in ("VARCHAR", "JSON", "BOOLEAN") else _reads_alike(value_type)
    if not column.encoded:
        return Form(type=column.type, read=cast, holds=holds)
    return Form(type=column.type, read=cast.replace("{c}", f"decode({_BYTES})"), holds=holds, literal=_text)


def _real(text: str) -> str:
    return real_literal(float(text))


def _text(text: str) -> str:
    return text_literal(text.encode()).decode()


_RULES: dict[Dialect, _Rules] = {
    "duckdb": _Rules(
        limits=Limits(nul=True),
        schema="main",
        stored=_stored_by_duckdb,
        form=_form_in_duckdb,
        value_type=_as_duckdb,
    ),
    "postgres": _Rules(
        limits=Limits(nul=False, name_bytes=63, columns=1600, taken=_SYSTEM_COLUMNS, nan_signs=False),
        schema="public",
        stored=_stored_by_postgres,
        form=_form_in_postgres,
    ),
    "sqlite": _Rules(
        limits=Limits(
            nul=True,
            columns=2000,
            untyped=True,
            single=True,
            encoded="contains({v}, chr(0)) or contains({v}, chr(13) || chr(10))",
        ),
        schema="main",
        stored=_stored_by_sqlite,
        form=_form_in_sqlite,
        declared=declared_for,
    ),
}
