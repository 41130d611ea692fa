"""Rules about macros that make a lake unreadable, or that aren't what their maker meant; see `readable`."""

from dlbackup.health.rules.readable import ALL_READS_FAIL, NO_DEFAULT, SURE, listed, opposite
from dlbackup.health.rules.rule import Reading, Rule, Values, union
from dlbackup.lake.columntypes import NESTED, UNKNOWN, is_known

_WITHOUT_VALUES = frozenset({"variant", "geometry"})
_MACRO_MEND = """
DELETE FROM {s}.ducklake_macro WHERE macro_id IN ({ids});
DELETE FROM {s}.ducklake_macro_impl WHERE macro_id IN ({ids});
DELETE FROM {s}.ducklake_macro_parameters WHERE macro_id IN ({ids});
"""
_MACRO_ADVICE = "note the macro's text first; make it again afterwards"


def _is_no_macro_type(row: Values, version: str, reading: Reading) -> bool:
    type_ = row["type"]
    if row["kind"] == "body" or type_ is None:
        return True
    lower = type_.lower()
    if row["kind"] == "parameter":
        return not (lower in {UNKNOWN, "decimal"} or is_known(type_, version))
    return lower in NESTED or not (lower == UNKNOWN or is_known(type_, version))


def _is_no_macro_default(row: Values, version: str, reading: Reading) -> bool | None:
    type_ = row["default_value_type"].lower()
    if type_ in _WITHOUT_VALUES:
        return row["default_value"] == NO_DEFAULT if type_ == "geometry" else False
    return opposite(reading.casts(row["default_value"], row["default_value_type"]))


def _is_no_macro_text(row: Values, version: str, reading: Reading) -> bool | None:
    if row["sql"] is None:
        return True
    return opposite((reading.is_expression if row["type"] == "scalar" else reading.is_query)(row["sql"]))


RULES = (
    Rule(
        name="macro-type",
        severity="error",
        what="a macro is neither scalar nor a table, or a parameter or its default has a type that macros can't have",
        why=f"{ALL_READS_FAIL}; DuckDB up to 1.5.5 itself makes such macros: with a list, a struct or a map as a"
        " default, which end every client's DuckDB with an INTERNAL error",
        query=union(
            """
            select m.macro_id, 'body' as kind, i.type as type
            from {s}.ducklake_macro m
            join {s}.ducklake_macro_impl i on i.macro_id = m.macro_id
            where m.end_snapshot is null and (i.type is null or i.type not in ('scalar', 'table'))
            """,
            f"""
            select m.macro_id, 'parameter', p.parameter_type
            from {{s}}.ducklake_macro m
            join {{s}}.ducklake_macro_parameters p on p.macro_id = m.macro_id
            where m.end_snapshot is null
              and (p.parameter_type is null or lower(p.parameter_type) not in ('{UNKNOWN}', {listed(SURE)}))
            """,
            f"""
            select m.macro_id, 'default', case when p.default_value is not null then p.default_value_type end
            from {{s}}.ducklake_macro m
            join {{s}}.ducklake_macro_parameters p on p.macro_id = m.macro_id
            where m.end_snapshot is null
              and (
                  p.default_value is null
                  or p.default_value_type is null
                  or lower(p.default_value_type) not in ('{UNKNOWN}', {listed(sorted(set(SURE) - NESTED))})
              )
            """,
        ),
        since="0.4",
        mend=_MACRO_MEND,
        advice=_MACRO_ADVICE,
        breaks=_is_no_macro_type,
        ids="macro_id",
        unreadable=True,
    ),
    Rule(
        name="macro-default",
        severity="error",
        what="the default of a macro's parameter is no value of its type",
        why=f"{ALL_READS_FAIL}, with 'Failed to cast value'; DuckDB up to 1.5.5 itself makes such a macro:"
        " CREATE MACRO m(d DATE := NULL::DATE)",
        query=f"""
        select m.macro_id, p.parameter_name, p.default_value_type, p.default_value
        from {{s}}.ducklake_macro m
        join {{s}}.ducklake_macro_parameters p on p.macro_id = m.macro_id
        where m.end_snapshot is null
          and p.default_value is not null
          and lower(p.default_value_type) not in ('{UNKNOWN}', 'varchar', {listed(sorted(NESTED))})
        """,
        since="0.4",
        mend=_MACRO_MEND,
        advice=_MACRO_ADVICE,
        breaks=_is_no_macro_default,
        ids="macro_id",
        unreadable=True,
    ),
    Rule(
        name="macro-text",
        severity="error",
        what="the text of a macro does not parse as one expression, or of a table macro as one SELECT statement",
        why=f"{ALL_READS_FAIL}, with a 'Parser Error' or an INTERNAL error that ends the client's DuckDB",
        query="""
        select m.macro_id, i.type, i.sql
        from {s}.ducklake_macro m
        join {s}.ducklake_macro_impl i on i.macro_id = m.macro_id
        where m.end_snapshot is null and i.type in ('scalar', 'table')
        """,
        since="0.4",
        mend=_MACRO_MEND,
        advice=_MACRO_ADVICE,
        breaks=_is_no_macro_text,
        ids="macro_id",
        unreadable=True,
    ),
    Rule(
        name="macro-null-default",
        severity="warning",
        what="the default of a macro's parameter is the text NULL",
        why="if NULL was meant, calls get that text instead: DuckDB up to 1.5.5 makes NULL::VARCHAR into it; look"
        " whether somebody meant the text",
        query="""
        select m.macro_id, p.parameter_name, p.default_value_type
        from {s}.ducklake_macro m
        join {s}.ducklake_macro_parameters p on p.macro_id = m.macro_id
        where m.end_snapshot is null
          and p.default_value = 'NULL'
          and lower(p.default_value_type) in ('varchar', 'blob')
        """,
        since="0.4",
        advice="make the macro anew without that default: CREATE OR REPLACE MACRO",
    ),
)
