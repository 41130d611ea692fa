"""
What is live at one snapshot of a lake, as statements of DuckDB that leave nothing else of a catalog in a file.

What a snapshot shows, an engine tells by two numbers of each row: since which snapshot it holds, and until which. As
the newest snapshot of a catalog it is read otherwise than as an older one, however: engines answer `count(*)`, and
least and largest values, from statistics, which are of all that the lake has now. Those of tables that have changed
since are made anew, or taken away.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dlbackup.lake.answers import Answers, rows_of
from dlbackup.lake.datafiles import PLACES
from dlbackup.lake.inlined import INLINED_COLUMNS, lake_table_id
from dlbackup.tables.definition import Table, by_name
from dlbackup.tables.quoting import quote_identifier, quote_literal

_LIVE = "begin_snapshot <= {n} and (end_snapshot is null or end_snapshot > {n})"
_OF_TABLE = "table_id in (select table_id from {s}.ducklake_table)"
_OF_FILE = "data_file_id in (select data_file_id from {s}.ducklake_data_file)"
_OF_COLUMN = "(table_id, column_id) in (select (table_id, column_id) from {s}.ducklake_column)"
_WAS = f"({_LIVE}) or ({{history}} and begin_snapshot <= {{n}})"
_OBJECTS = ("schema", "table", "view", "macro")
_KEPT = (
    ("ducklake_snapshot", "snapshot_id = {n}"),
    ("ducklake_snapshot_changes", "snapshot_id = {n}"),
    ("ducklake_files_scheduled_for_deletion", "false"),
    ("ducklake_schema", _LIVE),
    ("ducklake_table", f"({_WAS}) and table_id in (select table_id from {{s}}.ducklake_table where {_LIVE})"),
    ("ducklake_column", f"({_WAS}) and {_OF_TABLE}"),
    ("ducklake_view", _LIVE),
    ("ducklake_macro", _LIVE),
    ("ducklake_macro_impl", "macro_id in (select macro_id from {s}.ducklake_macro)"),
    ("ducklake_macro_parameters", "macro_id in (select macro_id from {s}.ducklake_macro)"),
    ("ducklake_tag", f"{_LIVE} and object_id in ({{objects}})"),
    ("ducklake_column_tag", f"{_LIVE} and {_OF_TABLE}"),
    ("ducklake_view_column_tag", f"{_LIVE} and view_id in (select view_id from {{s}}.ducklake_view)"),
    ("ducklake_data_file", f"{_LIVE} and {_OF_TABLE}"),
    ("ducklake_delete_file", f"{_LIVE} and {_OF_FILE}"),
    ("ducklake_file_column_statistics", f"{_OF_FILE} and {_OF_COLUMN}"),
    ("ducklake_file_column_stats", f"{_OF_FILE} and {_OF_COLUMN}"),
    ("ducklake_file_variant_stats", f"{_OF_FILE} and {_OF_COLUMN}"),
    ("ducklake_file_partition_value", _OF_FILE),
    ("ducklake_column_mapping", "mapping_id in (select mapping_id from {s}.ducklake_data_file)"),
    ("ducklake_name_mapping", "mapping_id in (select mapping_id from {s}.ducklake_column_mapping)"),
    (
        "ducklake_partition_info",
        f"({_LIVE} or partition_id in (select partition_id from {{s}}.ducklake_data_file)) and {_OF_TABLE}",
    ),
    ("ducklake_partition_column", "partition_id in (select partition_id from {s}.ducklake_partition_info)"),
    ("ducklake_sort_info", f"{_LIVE} and {_OF_TABLE}"),
    ("ducklake_sort_expression", "sort_id in (select sort_id from {s}.ducklake_sort_info)"),
    ("ducklake_table_stats", _OF_TABLE),
    ("ducklake_table_column_stats", _OF_COLUMN),
    ("ducklake_schema_versions", "begin_snapshot <= {n} and {of_table}"),
    ("ducklake_inlined_data_tables", "table_name in ({inlined})"),
    ("ducklake_metadata", "{of_scope}"),
)
"""
Which rows of each table stay, in the order in which the others go.

An engine reads inlined rows by the columns that their table had when they were written, so where there are such rows,
what tables and columns were before is kept.
"""
_NONE = "null"
"""In a list that may be empty: no value equals it."""
_BOUNDS = ("contains_null", "contains_nan", "min_value", "max_value", "extra_stats", "min_is_exact", "max_is_exact")
"""What `ducklake_table_column_stats` says of a column; NULL says nothing. DuckDB 1.4 crashes without a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """
    What a catalog has to say of one of its snapshots, before all else is taken away.

    Args:
        inlined: how many rows each inlined table has that are live; those without any are not named.
        deletes: the inlined deletes that are live, likewise.
        changed: the lake's tables that are not any more as they were.
        partial: data and delete files that hold rows of later snapshots too, which engines leave out when they read.
        listed: such data files of which the catalog says how many rows are those of the snapshot, and how many.
        next_file_id: the newest one: DuckLake has put files of the snapshot together later, under new numbers.
    """

    snapshot: int
    next_file_id: int
    inlined: Mapping[str, int]
    deletes: Mapping[str, int]
    changed: Collection[int]
    partial: "Sequence[PartialFile]"
    listed: Mapping[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialFile:
    """
    A file that may hold rows of several snapshots, each with its own in a column.

    Args:
        kind: `data` or `delete`, which holds the positions of rows that are deleted.
        key: that of the file, in Base64.
    """

    kind: str
    number: int
    path: str
    key: str | None = field(default=None, repr=False)


def live_at(answers: Answers, snapshot: int) -> Live:
    """Look at what is live at a snapshot that the catalog has."""
    tables = by_name(answers.tables)
    inlined, deletes = {}, {}
    is_live = _LIVE.format(n=snapshot)
    changed = {table for (table,) in rows_of(answers, _changed(tables, snapshot))}
    there = {table for (table,) in rows_of(answers, f"select table_id from {{s}}.ducklake_table where {is_live}")}
    files = f"file_id in (select data_file_id from {{s}}.ducklake_data_file where {is_live})"
    for table in tables.values():
        if table.kind == "fixed" or lake_table_id(table) not in there:
            continue
        if table.kind == "inlined-data":
            _, begin, end = (quote_identifier(name) for name in _own_columns(table))
            shown = f"{begin} <= {snapshot} and ({end} is null or {end} > {snapshot})"
            count, later = _counts(answers, table, shown, f"{begin} > {snapshot} or {end} > {snapshot}")
            inlined[table.name] = count
        else:
            shown = f"begin_snapshot <= {snapshot} and {files}"
            count, later = _counts(answers, table, shown, f"begin_snapshot > {snapshot}")
            deletes[table.name] = count
        if later:
            changed.add(lake_table_id(table))
    registered = {name for (name,) in rows_of(answers, "select table_name from {s}.ducklake_inlined_data_tables")}
    ((next_file_id,),) = rows_of(answers, "select max(next_file_id) from {s}.ducklake_snapshot")
    return Live(
        snapshot=snapshot,
        next_file_id=next_file_id,
        inlined={name: count for name, count in inlined.items() if count and name in registered},
        deletes={name: count for name, count in deletes.items() if count},
        changed=changed,
        partial=partial_files(answers, snapshot),
        listed=_listed(answers, tables, snapshot),
    )


def _own_columns(table: Table) -> tuple[str, ...]:
    return table.column_names[: len(INLINED_COLUMNS[table.kind])]


def _counts(answers: Answers, table: Table, *conditions: str) -> tuple[int, ...]:
    """Return how many rows of an inlined table are as each of the conditions says."""
    counts = ", ".join(f"count(*) filter (where {condition})" for condition in conditions)
    (found,) = rows_of(answers, f"select {counts} from {{s}}.{quote_identifier(table.name)}")
    return found


def _changed(tables: Mapping[str, Table], snapshot: int) -> str:
    """Return a query for the lake's tables of which something began or ended later."""
    parts = []
    for name in ("ducklake_column", "ducklake_data_file", "ducklake_delete_file"):
        later = [f"begin_snapshot > {snapshot}", f"end_snapshot > {snapshot}"]
        names = tables[name].column_names
        later += [f"partial_max > {snapshot}"] if "partial_max" in names else []
        later += ["partial_file_info is not null"] if "partial_file_info" in names else []
        parts.append(f"select table_id from {{s}}.{name} where {' or '.join(later)}")
    return " union ".join(parts)


_PARTIAL = """
select {kind}, f.{kind}_file_id,
       case when f.path is null then l.path
            when coalesce(f.path_is_relative, true) then l.path || f.path
            else f.path end,
       f.encryption_key
from {{s}}.ducklake_{kind}_file f
join tables l on l.table_id = f.table_id
where f.begin_snapshot <= {n} and (f.end_snapshot is null or f.end_snapshot > {n}) and {of_several}
"""


def partial_files(answers: Answers, snapshot: int) -> list[PartialFile]:
    """Return the files that are live at a snapshot and hold rows of later ones, each with its own in a column."""
    tables = by_name(answers.tables)
    parts = []
    for kind in ("data", "delete"):
        names = tables[f"ducklake_{kind}_file"].column_names
        if kind == "delete":
            # DuckDB 1.5 doesn't say of all of them that they hold later deletes; but such a file was made later.
            made_later = (
                f"f.delete_file_id >= (select next_file_id from {{s}}.ducklake_snapshot where snapshot_id = {snapshot})"
            )
            several = f"{made_later} and f.format = 'parquet'"
        elif "partial_max" in names:
            several = f"f.partial_max > {snapshot}"
        elif "partial_file_info" in names:
            number = "try_cast(regexp_extract(f.partial_file_info, '^partial_max:([0-9]+)$', 1) as bigint)"
            several = f"{number} > {snapshot}"
        else:
            continue
        text = _PARTIAL.replace("select {kind}", f"select {quote_literal(kind)}")
        parts.append(text.format(kind=kind, n=snapshot, of_several=several))
    if not parts:
        return []
    return [
        PartialFile(kind=kind, number=number, path=path, key=key)
        for kind, number, path, key in rows_of(answers, f"{PLACES} {' union all '.join(parts)} order by 1, 2")
    ]


def _listed(answers: Answers, tables: Mapping[str, Table], snapshot: int) -> dict[int, int]:
    """Return what the lists `snapshot:rows|...` of DuckDB 1.3 and 1.4 say of files that hold later rows too."""
    if "partial_file_info" not in tables["ducklake_data_file"].column_names:
        return {}
    sql = f"""
        select data_file_id, record_count, partial_file_info
        from {{s}}.ducklake_data_file
        where {_LIVE.format(n=snapshot)} and partial_file_info not like 'partial_max:%'
    """
    found = {}
    for file, rows, text in rows_of(answers, sql):
        items = [item.partition(":") for item in text.split("|")]
        shown = max((int(count) for number, _, count in items if int(number) <= snapshot), default=0)
        if shown < rows:
            found[file] = shown
    return found


def thinned(tables: Sequence[Table], live: Live) -> Iterator[str]:
    """
    Yield statements that leave of a catalog what is live at a snapshot, as its newest.

    Args:
        tables: the catalog's; those of which nothing stays are dropped, where they hold inlined rows or deletes.
    """
    named = by_name(tables)
    known = {
        "{n}": str(live.snapshot),
        "{history}": str(bool(live.inlined)).lower(),
        "{inlined}": ", ".join(map(quote_literal, live.inlined)) or _NONE,
        "{objects}": " union all ".join(
            f"select {name}_id from {{s}}.ducklake_{name}" for name in _OBJECTS if f"ducklake_{name}" in named
        ),
        "{of_table}": _OF_TABLE if "table_id" in _columns(named, "ducklake_schema_versions") else "true",
        "{of_scope}": _of_scope() if "scope" in _columns(named, "ducklake_metadata") else "true",
    }
    for name, condition in _KEPT:
        if name in named:
            for sign, text in known.items():
                condition = condition.replace(sign, text)
            yield f"delete from {{s}}.{name} where ({condition}) is not true"
    for table in named.values():
        if table.kind != "fixed":
            yield from _thinned_inlined(table, live)
        elif "end_snapshot" in table.column_names:
            yield f"update {{s}}.{table.name} set end_snapshot = null where end_snapshot > {live.snapshot}"
    if "partial_max" in _columns(named, "ducklake_delete_file"):
        yield f"update {{s}}.ducklake_delete_file set partial_max = {live.snapshot} where partial_max > {live.snapshot}"
    yield f"update {{s}}.ducklake_snapshot set next_file_id = {live.next_file_id}"
    yield from _statistics(named, live)


def _columns(tables: Mapping[str, Table], name: str) -> tuple[str, ...]:
    return tables[name].column_names if name in tables else ()


def _of_scope() -> str:
    """Return that an option is the lake's own, or that of a schema or table which is there."""
    places = " or ".join(
        f"(scope = '{name}' and scope_id in (select {name}_id from {{s}}.ducklake_{name}))"
        for name in ("schema", "table")
    )
    return f"scope is null or scope not in ('schema', 'table') or {places}"


def _thinned_inlined(table: Table, live: Live) -> Iterator[str]:
    name = f"{{s}}.{quote_identifier(table.name)}"
    if table.name not in live.inlined and table.name not in live.deletes:
        yield f"drop table {name}"
        return
    if table.kind == "inlined-delete":
        files = "select data_file_id from {s}.ducklake_data_file"
        yield f"delete from {name} where begin_snapshot > {live.snapshot} or file_id not in ({files})"
        return
    _, begin, end = (quote_identifier(column) for column in _own_columns(table))
    yield f"delete from {name} where {begin} > {live.snapshot} or {end} <= {live.snapshot}"
    yield f"update {name} set {end} = null where {end} is not null"


def _statistics(tables: Mapping[str, Table], live: Live) -> Iterator[str]:
    """Yield what makes statistics of tables that have changed those of the snapshot, or has them say nothing."""
    if not live.changed:
        return
    changed = ", ".join(map(str, live.changed))
    bounds = [name for name in _BOUNDS if name in _columns(tables, "ducklake_table_column_stats")]
    nothing = ", ".join(f"{name} = null" for name in bounds)
    yield f"update {{s}}.ducklake_table_column_stats set {nothing} where table_id in ({changed})"
    counts: dict[int, int] = {}
    for name, count in live.inlined.items():
        table = int(name.removeprefix("ducklake_inlined_data_").split("_")[0])
        counts[table] = counts.get(table, 0) + count
    inlined = " ".join(f"when {table} then {count}" for table, count in counts.items())
    more = f" + case t.table_id {inlined} else 0 end" if inlined else ""
    of_table = "from {s}.ducklake_data_file f where f.table_id = t.table_id"
    yield (
        "update {s}.ducklake_table_stats t set"
        f" record_count = coalesce((select sum(f.record_count) {of_table}), 0){more},"
        f" file_size_bytes = coalesce((select sum(f.file_size_bytes) {of_table}), 0)"
        f" where t.table_id in ({changed})"
    )
    exact = [
        name for name in ("min_is_exact", "max_is_exact") if name in _columns(tables, "ducklake_file_column_stats")
    ]
    if exact:
        partial = f"select data_file_id from {{s}}.ducklake_data_file where partial_max > {live.snapshot}"
        false = ", ".join(f"{name} = false" for name in exact)
        yield f"update {{s}}.ducklake_file_column_stats set {false} where data_file_id in ({partial})"


def set_rows(kind: str, counts: Mapping[int, int]) -> str:
    """Return a statement that gives data files, or delete files, as many rows as they show."""
    column = "record_count" if kind == "data" else "delete_count"
    values = ", ".join(f"({number}, {count})" for number, count in counts.items())
    return (
        f"update {{s}}.ducklake_{kind}_file f set {column} = x.n from (values {values}) x (file, n)"
        f" where f.{kind}_file_id = x.file"
    )
