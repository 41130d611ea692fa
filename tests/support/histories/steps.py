"""What can happen to a random lake, as steps that are drawn one after the other.

The word :DIR stands for the run's own folder. Each operation changes the model as it changes the lake.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from hypothesis import strategies as st

from support.engines.engines import Step
from support.engines.quoting import text_literal
from support.histories.histories import (
    DEFAULTS,
    EXTREMES,
    FIELDS,
    IN_FILES,
    LESS_FIELDS,
    MORE_FIELDS,
    TYPES,
    WIDER,
    History,
    Lake,
    Table,
)

__all__ = ["histories"]

Draw = Callable[[st.SearchStrategy[Any]], Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """
    Something that can happen.

    Args:
        script: draws it, changes the model and returns the SQL; None where nothing fits.
        since: the spec version that can do it.
        weight: how often it comes.
        in_transaction: whether it may stand between begin and commit.
    """

    name: str
    script: Callable[[Draw, Lake], str | None]
    since: str = "0.2"
    weight: int = 1
    in_transaction: bool = False


def _one_of(draw: Draw, texts: tuple[str, ...]) -> str:
    return str(draw(st.sampled_from(texts)))


def _values(table: Table, columns: list[str]) -> str:
    return ", ".join("k" if c == "k" else _value(table.columns[c], c in table.required) for c in columns)


def _value(type_: str, required: bool) -> str:
    return TYPES[type_] if required else f"case when k % 7 = 3 then null else {TYPES[type_]} end"


def _table(draw: Draw, lake: Lake, fits: Callable[[Table], bool] = lambda _: True) -> Table | None:
    tables = [table for table in lake.tables if fits(table)]
    return cast("Table", draw(st.sampled_from(tables))) if tables else None


def _table_to_change(draw: Draw, lake: Lake, fits: Callable[[Table], bool] = lambda _: True) -> Table | None:
    return None if lake.inlining and lake.leaves_out("columns-of-inlined-rows") else _table(draw, lake, fits)


def _column(draw: Draw, table: Table, fits: Callable[[str], bool] = lambda _: True) -> str | None:
    columns = [c for c in table.columns if c != "k" and c not in table.partitioned and fits(c)]
    return cast("str", draw(st.sampled_from(columns))) if columns else None


def _create_table(draw: Draw, lake: Lake) -> str:
    types = draw(st.lists(st.sampled_from(list(TYPES)), min_size=2, max_size=7))
    columns = {"k": "bigint", **{lake.name("c"): type_ for type_ in types}}
    table = Table(draw(st.sampled_from(lake.schemas)), lake.name("t"), columns)
    lake.tables.append(table)
    words = []
    for name, type_ in columns.items():
        default = ""
        if type_ in DEFAULTS and draw(st.integers(0, 3)) == 0:
            default = f" default {DEFAULTS[type_]}"
            table.defaults.add(name)
        words.append(f"{name} {type_}{default}")
    return f"create table {table.place} ({', '.join(words)})"


def _insert(draw: Draw, lake: Lake) -> str | None:
    table = _table(draw, lake)
    if table is None:
        return None
    rows = draw(st.sampled_from((1, 2, 5, 8, 9, 20, 60)))
    left_out = draw(st.sampled_from((frozenset(), frozenset(table.defaults - table.required))))
    columns = [c for c in table.columns if c not in left_out or c in table.partitioned]
    if rows <= lake.inlining:
        table.inlined = True
    else:
        table.files += 1
    keys = table.more(rows)
    return (
        f"insert into {table.place} ({', '.join(columns)})"
        f" select {_values(table, columns)} from (select range as k from range({keys.start}, {keys.stop}))"
    )


def _extremes(draw: Draw, lake: Lake) -> str | None:
    table = _table(draw, lake)
    if table is None or (lake.inlining and lake.leaves_out("extremes-in-the-catalog")):
        return None
    columns = [c for c in table.columns if table.columns[c] in EXTREMES and c not in table.partitioned]
    if not columns:
        return None
    key = table.more(1).start
    # The columns that a partition hangs on want values, whoever else goes without.
    others = [c for c in table.columns if c != "k" and c not in columns and c in table.required]
    drawn = [draw(st.sampled_from(EXTREMES[table.columns[c]])) for c in columns]
    table.inlined = table.inlined or lake.inlining > 0
    listed = ", ".join(["k", *columns, *others])
    values = ", ".join([str(key), *drawn, *(TYPES[table.columns[c]].replace("k", str(key)) for c in others)])
    return f"insert into {table.place} ({listed}) values ({values})"


def _touched(table: Table) -> None:
    table.deleted = True
    if table.inlined:
        table.inlined_deleted = True


def _table_to_delete_from(draw: Draw, lake: Lake, partitioned: bool = True) -> Table | None:
    if lake.in_transaction and lake.inlining and lake.leaves_out("deletes-beside-inlined-inserts"):
        return None
    left_out = lake.leaves_out("deletes-in-added-files")
    return _table(
        draw,
        lake,
        lambda table: table.keys > 0 and not (left_out and table.added) and (partitioned or not table.partitioned),
    )


def _delete(draw: Draw, lake: Lake) -> str | None:
    table = _table_to_delete_from(draw, lake)
    if table is None:
        return None
    _touched(table)
    return f"delete from {table.place} where {_some(draw, table)}"


def _some(draw: Draw, table: Table) -> str:
    start = draw(st.integers(0, table.keys - 1))
    return _one_of(draw, (f"k % 5 = {start % 5}", f"k % 2 = {start % 2}", f"k >= {start}", f"k = {start}", "true"))


def _update(draw: Draw, lake: Lake) -> str | None:
    table = _table_to_delete_from(draw, lake)
    column = table and _column(draw, table)
    if table is None or not column or (table.mixed and lake.leaves_out("partitions-without-value")):
        return None
    _touched(table)
    if lake.inlining:
        table.inlined = True
    value = f"(select {TYPES[table.columns[column]]} from (select {table.keys} as k))"
    return f"update {table.place} set {column} = {value} where {_some(draw, table)}"


def _add_column(draw: Draw, lake: Lake) -> str | None:
    table = _table_to_change(draw, lake)
    if table is None:
        return None
    types = [type_ for type_ in TYPES if type_ != "json" or not lake.leaves_out("added-json")]
    name, type_ = lake.name("c"), draw(st.sampled_from(types))
    table.columns[name] = type_
    default = ""
    if type_ in DEFAULTS and draw(st.booleans()):
        table.defaults.add(name)
        lake.initial_defaults.append(name)
        default = f" default {DEFAULTS[type_]}"
    return f"alter table {table.place} add column {name} {type_}{default}"


def _drop_column(draw: Draw, lake: Lake) -> str | None:
    table = _table_to_change(draw, lake, lambda table: len(table.columns) > 2)
    column = table and _column(draw, table)
    if table is None or not column:
        return None
    del table.columns[column]
    table.defaults.discard(column)
    table.required.discard(column)
    return f"alter table {table.place} drop column {column}"


def _rename_column(draw: Draw, lake: Lake) -> str | None:
    table = _table_to_change(draw, lake)
    column = table and _column(draw, table)
    if table is None or not column:
        return None
    name = lake.name("c")
    table.columns = {name if c == column else c: type_ for c, type_ in table.columns.items()}
    for names in (table.defaults, table.required):
        if column in names:
            names.remove(column)
            names.add(name)
    if column in lake.initial_defaults:
        lake.initial_defaults.append(name)
    return f"alter table {table.place} rename column {column} to {name}"


def _widen(draw: Draw, lake: Lake) -> str | None:
    table = _table_to_change(draw, lake, lambda table: any(type_ in WIDER for type_ in table.columns.values()))
    column = table and _column(draw, table, lambda c: table.columns[c] in WIDER)
    if table is None or not column:
        return None
    table.columns[column] = draw(st.sampled_from(WIDER[table.columns[column]]))
    return f"alter table {table.place} alter column {column} set data type {table.columns[column]}"


def _set_default(draw: Draw, lake: Lake) -> str | None:
    table = _table(draw, lake)
    column = table and _column(draw, table, lambda c: table.columns[c] in DEFAULTS)
    if table is None or not column:
        return None
    if column in table.defaults and draw(st.booleans()):
        table.defaults.remove(column)
        return f"alter table {table.place} alter column {column} drop default"
    table.defaults.add(column)
    return f"alter table {table.place} alter column {column} set default {DEFAULTS[table.columns[column]]}"


def _change_field(draw: Draw, lake: Lake) -> str | None:
    table = _table_to_change(draw, lake, lambda table: FIELDS in table.columns.values())
    column = table and _column(draw, table, lambda c: table.columns[c] == FIELDS)
    if table is None or not column:
        return None
    table.columns[column] = draw(st.sampled_from((MORE_FIELDS, LESS_FIELDS)))
    what = "add column {}.d integer" if table.columns[column] == MORE_FIELDS else "drop column {}.a"
    return f"alter table {table.place} {what.format(column)}"


def _not_null(draw: Draw, lake: Lake) -> str | None:
    # Only where there are statistics to prove it by.
    table = _table(draw, lake, lambda table: "k" not in table.required and table.files > 0)
    if table is None:
        return None
    table.required.add("k")
    return f"alter table {table.place} alter column k set not null"


def _drop_table(draw: Draw, lake: Lake) -> str | None:
    table = _table(draw, lake) if len(lake.tables) > 1 else None
    if table is None:
        return None
    lake.tables.remove(table)
    return f"drop table {table.place}"


def _again(draw: Draw, lake: Lake) -> str | None:
    table = _table(draw, lake)
    if table is None:
        return None
    lake.tables.remove(table)
    lake.tables.append(Table(table.schema, table.name, {"k": "bigint", "s": "varchar"}, keys=3, files=1))
    return f"create or replace table {table.place} as select range as k, 's' || range as s from range(3)"


def _rename_table(draw: Draw, lake: Lake) -> str | None:
    table = None if lake.inlining and lake.leaves_out("tables-of-inlined-rows") else _table(draw, lake)
    if table is None:
        return None
    before, table.name = table.place, lake.name("t")
    return f"alter table {before} rename to {table.name}"


def _create_schema(draw: Draw, lake: Lake) -> str | None:
    lake.schemas.append(lake.name("s"))
    return f"create schema lake.{lake.schemas[-1]}"


def _drop_schema(draw: Draw, lake: Lake) -> str | None:
    gone = draw(st.sampled_from(lake.schemas))
    left = [table for table in lake.tables if table.schema != gone]
    if gone == "main" or not left:
        return None
    lake.schemas.remove(gone)
    lake.tables[:] = left
    return f"drop schema lake.{gone} cascade"


def _partition(draw: Draw, lake: Lake) -> str | None:
    table = _table(draw, lake)
    if table is None:
        return None
    if table.partitioned and draw(st.booleans()):
        table.partitioned = ()
        return f"alter table {table.place} reset partitioned by"
    dates = [c for c, type_ in table.columns.items() if type_ in ("date", "timestamp") and c not in table.defaults]
    small = [c for c, type_ in table.columns.items() if type_ == "boolean" and c not in table.defaults]
    keys = [*(f"year({c})" for c in dates), *(f"month({c})" for c in dates), *small]
    if not keys:
        return None
    key = draw(st.sampled_from(keys))
    column = next(c for c in [*dates, *small] if c in key)
    table.partitioned = (column,)
    table.mixed = table.mixed or table.keys > 0
    table.required.add(column)
    return f"alter table {table.place} set partitioned by ({key})"


def _create_view(draw: Draw, lake: Lake) -> str | None:
    table = _table(draw, lake)
    if table is None:
        return None
    name = lake.name("v")
    lake.views.append(name)
    return _one_of(
        draw,
        (
            f"create view lake.main.{name} as select k from {table.place} where k < 5",
            f"create view lake.main.{name} (x, \"y'z\") as select k, 'it''s' from {table.place}",
        ),
    )


def _change_view(draw: Draw, lake: Lake) -> str | None:
    if not lake.views:
        return None
    name = draw(st.sampled_from(lake.views))
    if draw(st.booleans()):
        lake.views.remove(name)
        return f"drop view lake.main.{name}"
    return f"create or replace view lake.main.{name} as select 42 as answer"


def _comment(draw: Draw, lake: Lake) -> str | None:
    table = _table(draw, lake)
    column = table and _column(draw, table)
    if table is None or not column:
        return None
    return _one_of(
        draw,
        (
            f"comment on table {table.place} is 'it''s {lake.names}'",
            f"comment on column {table.place}.{column} is 'of a column'",
            f"comment on column {table.place}.{column} is null",
        ),
    )


def _merge(draw: Draw, lake: Lake) -> str | None:
    return "call ducklake_merge_adjacent_files('lake')"


def _rewrite(draw: Draw, lake: Lake) -> str | None:
    left_out = lake.leaves_out("rewrite-beside-inlined-rows")
    table = _table(draw, lake, lambda table: table.deleted and table.files > 0 and not (left_out and table.inlined))
    if table is None:
        return None
    return (
        f"call ducklake_rewrite_data_files('lake', {_text(table.name)}, schema => {_text(table.schema)},"
        " delete_threshold => 0.01)"
    )


def _flush(draw: Draw, lake: Lake) -> str | None:
    left_out = lake.leaves_out("flush-of-deleted-rows")
    table = _table(draw, lake, lambda table: table.inlined and not (left_out and table.inlined_deleted))
    if table is None:
        return None
    table.inlined = False
    return (
        f"call ducklake_flush_inlined_data('lake', schema_name => {_text(table.schema)},"
        f" table_name => {_text(table.name)})"
    )


def _text(name: str) -> str:
    return text_literal(name[1:-1] if name.startswith('"') else name)


def _expire(draw: Draw, lake: Lake) -> str | None:
    every, which = draw(st.integers(2, 4)), draw(st.integers(0, 3))
    snapshots = "ducklake_snapshots('lake')"
    return (
        "set variable expired = (select coalesce(list(snapshot_id order by snapshot_id), [0])"
        f" from {snapshots} where snapshot_id % {every} = {which % every}"
        f" and snapshot_id < (select max(snapshot_id) from {snapshots}));"
        "call ducklake_expire_snapshots('lake', versions => getvariable('expired'))"
    )


def _cleanup(draw: Draw, lake: Lake) -> str | None:
    return "call ducklake_cleanup_old_files('lake', cleanup_all => true)"


def _add_file(draw: Draw, lake: Lake) -> str | None:
    table = _table(draw, lake, lambda table: not table.partitioned and (lake.spec > "0.2" or table.schema == "main"))
    if table is None:
        return None
    keys = table.more(draw(st.sampled_from((1, 5, 30))))
    columns = [c for c, type_ in table.columns.items() if type_ in IN_FILES]
    listed = ", ".join(f"{'k' if c == 'k' else _value(table.columns[c], False)} as {c}" for c in columns)
    lake.names += 1
    file = f"':DIR/added-{lake.names}.parquet'"
    schema = f" schema => {_text(table.schema)}," if lake.spec > "0.2" else ""
    table.added, table.files = True, table.files + 1
    lake.initial_defaults += [c for c, type_ in table.columns.items() if c not in columns and type_ in DEFAULTS]
    return (
        f"copy (select {listed} from (select range as k from range({keys.start}, {keys.stop}))) to {file};"
        f"call ducklake_add_data_files('lake', {_text(table.name)}, {file},"
        f"{schema} allow_missing => true)"
    )


def _set_option(draw: Draw, lake: Lake) -> str | None:
    return _one_of(
        draw,
        (
            "call lake.set_option('parquet_compression', 'zstd')",
            "call lake.set_option('target_file_size', '1KB')",
            "call lake.set_option('parquet_row_group_size', 2048)",
        ),
    )


def _message(draw: Draw, lake: Lake) -> str | None:
    script = _insert(draw, lake)
    if script is None:
        return None
    message = "call lake.set_commit_message('it''s me', 'a ''message''', extra_info => '{\"k\": 1}')"
    return f"begin; {message}; {script}; commit"


def _merge_into(draw: Draw, lake: Lake) -> str | None:
    table = _table_to_delete_from(draw, lake, partitioned=False)
    column = table and _column(draw, table, lambda c: table.columns[c] in ("varchar", "integer", "date"))
    if table is None or not column:
        return None
    _touched(table)
    old, new = max(0, table.keys - 4), table.more(4).stop
    table.inlined = table.inlined or lake.inlining > 0
    value = _value(table.columns[column], False)
    source = f"select k, {value} as v from (select range as k from range({old}, {new}))"
    return (
        f"merge into {table.place} t using ({source}) s on (t.k = s.k)"
        f" when matched then update set {column} = s.v"
        f" when not matched then insert (k, {column}) values (s.k, s.v)"
    )


def _transaction(draw: Draw, lake: Lake) -> str | None:
    chosen = draw(st.lists(st.sampled_from([o for o in _OPERATIONS if o.in_transaction]), min_size=2, max_size=4))
    lake.in_transaction = True
    scripts = [script for operation in chosen if (script := operation.script(draw, lake)) is not None]
    lake.in_transaction = False
    return f"begin; {'; '.join(scripts)}; commit" if scripts else None


_OPERATIONS = (
    Operation("insert", _insert, weight=6, in_transaction=True),
    Operation("commit message", _message, since="0.3"),
    Operation("transaction", _transaction, weight=2),
    Operation("delete", _delete, weight=2, in_transaction=True),
    Operation("merge files", _merge, weight=3),
    Operation("add column", _add_column, weight=2, in_transaction=True),
    Operation("update", _update, weight=2, in_transaction=True),
    Operation("partition", _partition),
    Operation("rewrite", _rewrite, since="0.3", weight=2),
    Operation("add file", _add_file),
    Operation("rename column", _rename_column),
    Operation("expire", _expire),
    Operation("widen column", _widen),
    Operation("flush", _flush, since="0.3", weight=2),
    Operation("merge into", _merge_into, since="0.3"),
    Operation("insert extremes", _extremes),
    Operation("default", _set_default),
    Operation("change field", _change_field),
    Operation("comment", _comment),
    Operation("create view", _create_view),
    Operation("create schema", _create_schema),
    Operation("create table", _create_table, in_transaction=True),
    Operation("clean up", _cleanup),
    Operation("rename table", _rename_table),
    Operation("change view", _change_view),
    Operation("drop column", _drop_column),
    Operation("not null", _not_null),
    Operation("option", _set_option),
    Operation("create or replace table", _again),
    Operation("drop table", _drop_table),
    Operation("drop schema", _drop_schema),
)


@st.composite
def histories(draw: Draw, spec: str, least: int = 12, most: int = 18) -> History:
    """Draw a history that the engine of that spec version begins."""
    # 1.3 inlines on PostgreSQL only by an option, and can't flush.
    inlining = draw(st.sampled_from((0, 8) if spec > "0.2" else (0,)))
    later_inlining = draw(st.sampled_from((10, 0)))
    folder = draw(st.sampled_from(("data", "it's ünï", "a b/c")))
    lake = Lake(spec, inlining)
    steps = [Step("first table", _create_table(draw, lake)), *_drawn(draw, lake, draw(st.integers(least, most)))]
    unfiltered = tuple(name.strip('"') for name in lake.initial_defaults)
    lake.spec, lake.inlining = "1.0", later_inlining
    later = _drawn(draw, lake, draw(st.integers(6, 10)))
    return History(spec, inlining, later_inlining, folder, tuple(steps), tuple(later), unfiltered)


def _drawn(draw: Draw, lake: Lake, count: int) -> list[Step]:
    """Draw so many operations, each at most as often as its weight, and their steps."""
    known = [one for one in _OPERATIONS if lake.spec >= one.since]
    choices = [one for time in range(max(one.weight for one in known)) for one in known if one.weight > time]
    steps = []
    for operation in draw(st.permutations(choices))[:count]:
        script = operation.script(draw, lake)
        if script is not None:
            steps.append(Step(operation.name, script))
    return steps
