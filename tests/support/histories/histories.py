"""Random DuckLake histories: what they are made of, how long they run, and what they leave out.

Environment variables make them longer, and others:

    DLBACKUP_HISTORIES=N   how many histories each test takes, 1 unless set
    DLBACKUP_SEED=S        another series of histories than the one that is always the same
    DLBACKUP_LOG=PATH      let the engine migrate a copy by itself too, and write down what came of each history

A history is drawn beside a model of its lake. Each row has a key `k` of its own, and every other value
follows from the key, so that two engines that take the same steps end with the same rows.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import HealthCheck, Phase, seed, settings

from support.engines.engines import Step

__all__ = [
    "DEFAULTS",
    "EXTREMES",
    "FIELDS",
    "IN_FILES",
    "LEFT_OUT",
    "LESS_FIELDS",
    "MORE_FIELDS",
    "TYPES",
    "WIDER",
    "History",
    "Lake",
    "LeftOut",
    "Table",
    "examples",
    "random_histories",
]


def examples() -> int:
    """Return how many histories each test takes."""
    return int(os.environ.get("DLBACKUP_HISTORIES") or 1)


def random_histories(test: Callable[..., None]) -> Callable[..., None]:
    """Make a hypothesis test take that many histories: the same ones each time, unless there is a seed."""
    number = os.environ.get("DLBACKUP_SEED")
    wanted = settings(
        max_examples=examples(),
        derandomize=number is None,
        database=None,
        deadline=None,
        phases=[Phase.generate],  # to shrink one would take hours; its statements are in the error
        suppress_health_check=list(HealthCheck),
    )
    return wanted(test if number is None else seed(int(number))(test))


@dataclass(frozen=True, slots=True)
class History:
    """
    Steps that an old engine takes, and steps that the newest takes later, after the migration.

    Args:
        inlining: how many rows an insert may have to stay in the catalog.
        folder: the folder of the data files.
        unfiltered: columns that the old engine isn't asked to filter by.
    """

    spec: str
    inlining: int
    later_inlining: int
    folder: str
    steps: tuple[Step, ...]
    later: tuple[Step, ...]
    unfiltered: tuple[str, ...]

    def __str__(self) -> str:
        scripts = [*self.steps, Step("the migration", ""), *self.later]
        limits = f"inlining up to {self.inlining} rows, later {self.later_inlining}, in {self.folder!r}"
        return "\n".join([limits, *(f"-- {step.name}\n{step.script};" for step in scripts)])


@dataclass(frozen=True, slots=True)
class LeftOut:
    """
    What random histories don't do or ask, because an engine is wrong about it by itself.

    Args:
        writers: the spec versions of the engines that may not do it; empty when it is no step at all.
    """

    writers: tuple[str, ...]
    reason: str


LEFT_OUT = {
    "columns-of-inlined-rows": LeftOut(
        ("0.3",),
        "with inlining on, 1.4.4 reads values of columns that were added later as NULL, and fails to read snapshots"
        " from before a column was renamed or dropped: 'Referenced column not found in FROM clause'",
    ),
    "tables-of-inlined-rows": LeftOut(
        ("0.3",), "with inlining on, RENAME TABLE makes 1.4.4 create an inlined table without columns: 'syntax error'"
    ),
    "extremes-in-the-catalog": LeftOut(
        ("0.3",), "1.4.4 refuses infinite numbers, NUL in texts, some bytes and far dates in inlined rows"
    ),
    "filters-on-inlined-rows": LeftOut(
        (),
        "a filter on inlined rows ends the instance of 1.4.4: 'FIXME: support expression_map'; of 1.5.5 too, once the"
        " table has got a column: 'Attempted to access index 0 within vector of size 0'",
    ),
    "filters-on-initial-defaults": LeftOut(
        (),
        "up to 1.4.4, a filter on a column with a default misses the rows of files that have no such column: of those"
        " from before it was added, and of added files",
    ),
    "deletes-in-added-files": LeftOut(
        ("0.2", "0.3"), "up to 1.4.4, a second DELETE or UPDATE misses rows in added files, without a word"
    ),
    "nulls-of-added-files": LeftOut(
        (),
        "where an added file lacks a column, 1.4.4 and 1.5.5 answer IS NULL and IS NOT NULL as if it had no NULLs, on"
        " any lake: the table's statistics say so",
    ),
    "changes-of-tables": LeftOut(
        (), "table_insertions and table_changes of 1.4.4 leave out rows in files that were compacted"
    ),
    "added-json": LeftOut(("0.2",), "ADD COLUMN of type JSON fails in 1.3.2: 'Unsupported user-defined type'"),
    "deletes-beside-inlined-inserts": LeftOut(
        ("0.3",),
        "a transaction that deletes or updates what it has inserted inline fails in 1.4.4: 'INSERT INTO ... VALUES ;'",
    ),
    "partitions-without-value": LeftOut(
        ("0.2", "0.3"),
        "a NULL partition value ends 1.4.4 at the next write or merge: 'StringValue::Get on a NULL value'",
    ),
    "flush-of-deleted-rows": LeftOut(
        ("0.3", "1.0"), "ducklake_flush_inlined_data of 1.5.5 brings deleted inlined rows back, on any lake"
    ),
    "rewrite-beside-inlined-rows": LeftOut(
        ("1.0",),
        "rewrite_data_files of 1.5.5 fails, on any lake, when rows are inlined from before a column was added: 'Failed"
        " to read inlined-data aggregates'",
    ),
    "quotes-in-nested-texts": LeftOut((), "1.4.4 and 1.5.5 lose a quote in a text inside an inlined struct"),
    "nested-times": LeftOut(
        (), "1.4.4 can't read inlined structs and lists of times, uuids and intervals; of 1.5.5 they end the instance"
    ),
}
"""By name, with the reason; each was seen with the real engines."""

TYPES = {
    "boolean": "k % 2 = 0",
    "tinyint": "(k % 100 - 50)::tinyint",
    "smallint": "(k % 1000 - 500)::smallint",
    "integer": "(k * 7919 % 100000)::integer",
    "bigint": "k * 1000003",
    "hugeint": "(k * 1000003)::hugeint",
    "utinyint": "(k % 200)::utinyint",
    "uinteger": "k::uinteger",
    "ubigint": "k::ubigint",
    "float": "(k / 4)::float",
    "double": "k / 8",
    "decimal(18,3)": "(k / 8)::decimal(18,3)",
    "date": "date '2020-01-01' + (k % 1000)::int",
    "time": "time '00:00:00' + to_seconds(k % 86400)",
    "timestamp": "timestamp '2020-01-01 00:00:00.5' + to_minutes(k)",
    "timestamp_s": "(timestamp '2020-01-01' + to_minutes(k))::timestamp_s",
    "timestamp_ms": "(timestamp '2020-01-01 00:00:00.5' + to_minutes(k))::timestamp_ms",
    "timestamp_ns": "(timestamp '2020-01-01 00:00:00.5' + to_minutes(k))::timestamp_ns",
    "timestamptz": "(timestamp '2020-01-01 00:00:00.5' + to_minutes(k))::timestamptz",
    "interval": "to_days((k % 400)::int) + to_seconds(k)",
    "varchar": (
        "case k % 5 when 0 then '' when 1 then 'it''s ' || k when 2 then 'ünï ☃ ' || k"
        " when 3 then '\\x' || k else 't' || k end"
    ),
    "blob": "('b' || k)::blob",
    "uuid": "md5(k::varchar)::uuid",
    "json": "('{\"a\": [' || k || ', null]}')::json",
    "integer[]": "[k::integer, null]",
    "struct(a integer, b varchar)": "{'a': k::integer, 'b': 'b' || k}",
    "map(varchar, integer)": "map {'k' || k: k::integer}",
    "struct(x struct(y integer, z varchar[])[])": "{'x': [{'y': k::integer, 'z': ['p', 'q' || k]}]}",
}
# Values that are no number of the calendar or the scale; the old engine refuses some of them inlined.
EXTREMES = {
    "double": ("'nan'", "'inf'", "'-inf'"),
    "float": ("'nan'", "'inf'", "'-inf'"),
    "varchar": ("chr(0) || 'nul'", "'\\x6465'", "'NULL'", "''''"),
    "blob": ("'\\x00\\xFF\\x27'::blob", "''::blob"),
    "date": ("'infinity'", "'-infinity'", "'0044-03-15 (BC)'"),
    "timestamp": ("'infinity'", "'-infinity'", "'0044-03-15 (BC) 10:00:00'"),
    "timestamptz": ("'infinity'", "'-infinity'", "'0044-03-15 (BC) 10:00:00+00'"),
}
WIDER = {
    "tinyint": ("smallint", "integer", "bigint"),
    "smallint": ("integer", "bigint"),
    "integer": ("bigint",),
    "utinyint": ("uinteger",),
    "uinteger": ("ubigint",),
    "float": ("double",),
}
DEFAULTS = {
    "boolean": "'true'",
    "integer": "7",
    "bigint": "8",
    "double": "1.5",
    "decimal(18,3)": "2.125",
    "date": "'2024-02-29'",
    "timestamp": "'2024-02-29 12:34:56.5'",
    "varchar": "'it''s'",
    "uuid": "'12345678-1234-5678-1234-567812345678'",
}
# What Parquet gives back as the type that was written.
IN_FILES = ("bigint", "integer", "double", "varchar", "date", "timestamp", "decimal(18,3)", "boolean")


FIELDS = "struct(a integer, b varchar)"
MORE_FIELDS = "struct(a integer, b varchar, d integer)"
LESS_FIELDS = "struct(b varchar)"
TYPES[MORE_FIELDS] = "{'a': k::integer, 'b': 'b' || k, 'd': k::integer}"
TYPES[LESS_FIELDS] = "{'b': 'b' || k}"


@dataclass(slots=True)
class Table:
    """
    A table of the model.

    Args:
        inlined: some of its rows may be, or have been, in the catalog.
        inlined_deleted: some of those were deleted or updated since the last flush.
        added: some of its files came from elsewhere.
        mixed: it got rows before it got its partitions, so that an UPDATE may move NULLs into one.
        keys: how many keys were handed out.
    """

    schema: str
    name: str
    columns: dict[str, str]
    inlined: bool = False
    inlined_deleted: bool = False
    added: bool = False
    mixed: bool = False
    keys: int = 0
    partitioned: tuple[str, ...] = ()
    defaults: set[str] = field(default_factory=set)
    files: int = 0
    deleted: bool = False
    required: set[str] = field(default_factory=set)

    @property
    def place(self) -> str:
        """Its name as SQL."""
        return f"lake.{self.schema}.{self.name}"

    def more(self, rows: int) -> range:
        """Hand out keys for that many rows."""
        self.keys += rows
        return range(self.keys - rows, self.keys)


@dataclass(slots=True)
class Lake:
    """
    The model: what stands in the lake, and which engine writes.

    Args:
        initial_defaults: names of columns that have a default for the rows of files without them.
    """

    spec: str
    inlining: int
    tables: list[Table] = field(default_factory=list)
    views: list[str] = field(default_factory=list)
    schemas: list[str] = field(default_factory=lambda: ["main"])
    names: int = 0
    initial_defaults: list[str] = field(default_factory=list)
    in_transaction: bool = False

    def leaves_out(self, name: str) -> bool:
        """Tell whether the engine that writes must not do what goes by this name in LEFT_OUT."""
        return self.spec in LEFT_OUT[name].writers

    def name(self, word: str) -> str:
        """Return a name that nothing has; some need quotes."""
        self.names += 1
        return f'"{word} {self.names}\'q"' if self.names % 5 == 0 else f"{word}{self.names}"
