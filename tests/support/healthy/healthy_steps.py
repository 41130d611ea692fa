"""
What happens to a lake that stays healthy: every kind of change that might look like damage, drawn by a seed.

Statements that the engine refuses are passed over by `healthy_program`, so nothing here keeps a model of the lake.
"""

from random import Random

VALUES = {
    "boolean": ("false", "true", "null"),
    "tinyint": ("-5", "9", "10", "null"),
    "smallint": ("-50", "9", "100"),
    "integer": ("-500", "99", "1000", "null"),
    "bigint": ("-5000", "16777217", "10"),
    "utinyint": ("9", "10", "200"),
    "uinteger": ("9", "16777217"),
    "ubigint": ("9", "100", "18446744073709551615"),
    "float": ("-1.5", "0.25", "16777216", "null"),
    "double": ("-1e300", "0.125", "10", "2e-05", "null"),
    "decimal(4,1)": ("-1.5", "9.5", "10"),
    "decimal(9,2)": ("-9.25", "9.5", "100", "null"),
    "decimal(18,3)": ("-100", "9.125", "10"),
    "decimal(38,10)": ("-10000000", "9.0000000001", "10"),
    "time": ("'09:00:00'", "'10:00:00.5'", "null"),
    "date": ("'2023-03-15'", "'2024-01-05'", "'1969-12-31'", "null"),
    "timestamp": ("'2024-01-05'", "'2024-01-05 00:00:00.5'", "'1969-12-31 23:59:59'"),
    "timestamp_s": ("'2024-01-05'", "'2024-01-05 10:00:00'"),
    "timestamp_ms": ("'2024-01-05'", "'2024-01-05 00:00:00.25'"),
    "timestamp_ns": ("'2024-01-05'", "'2024-01-05 00:00:00.000000005'"),
    "timestamptz": ("'2024-01-05'", "'2024-01-05 10:00:00+02'", "'1969-12-31'"),
    "varchar": ("'I'", "'ı'", "'Ä'", "'ä'", "'zebra'", "'a b'", "'a-b'", "''", "null"),
    "uuid": ("'12345678-1234-5678-1234-567812345678'", "'f2345678-1234-5678-1234-567812345678'"),
    "json": ("'9'", "'[10]'", "null"),
}
"""Values of each type that a column can have, written so that they mean the same in the types that it widens to."""
_D4, _D9, _D18, _D38 = "decimal(4,1)", "decimal(9,2)", "decimal(18,3)", "decimal(38,10)"
_FLOATS = ("float", "double")
_TIMES = ("date", "timestamp_s", "timestamp_ms", "timestamp", "timestamp_ns", "timestamptz")
WIDER = {
    "boolean": ("tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "uinteger", "ubigint", "uhugeint"),
    "tinyint": ("smallint", "integer", "bigint", "hugeint", _D4, _D9, _D18, _D38, *_FLOATS),
    "smallint": ("integer", "bigint", "hugeint", _D9, _D18, _D38, *_FLOATS),
    "integer": ("bigint", "hugeint", _D18, _D38, *_FLOATS, "variant"),
    "bigint": ("hugeint", _D38, *_FLOATS),
    "utinyint": ("smallint", "integer", "bigint", "uinteger", "ubigint", "hugeint", "uhugeint", _D4, _D9, *_FLOATS),
    "uinteger": ("bigint", "hugeint", "ubigint", "uhugeint", _D18, _D38, *_FLOATS),
    "ubigint": ("hugeint", "uhugeint", _D38, *_FLOATS),
    "float": ("double",),
    _D4: (_D9, _D18, _D38, *_FLOATS),
    _D9: (_D18, _D38, *_FLOATS),
    _D18: (_D38, *_FLOATS),
    _D38: _FLOATS,
    "date": ("timestamp_s", "timestamp_ms", "timestamp", "timestamp_ns", "timestamptz"),
    "timestamp_s": ("timestamp_ms", "timestamp", "timestamp_ns"),
    "timestamp_ms": ("timestamp", "timestamp_ns"),
    "timestamp": ("timestamp_ns", "timestamptz"),
    "varchar": ("variant",),
}
"""What DuckDB 1.5.5 lets a type become: asked of it, type by type. Everything may become JSON and VARIANT too."""
_NAMES = ("I", "i", "ı", "İ", "Ä", "ä", "ß", "SS", "ss", "Σ", "σ", "ς", "É", "é", "t", "T", "x y", "ŞAN", "şan")
"""DuckDB takes only A to Z for a to z; what it takes for one name it refuses."""


def healthy_steps(seed: int, folder: str, count: int = 70) -> list[str]:
    """Return statements for a lake attached as `lake`, with files to add in a folder."""
    lake = _Lake(Random(seed), folder)
    lake.begin()
    for _ in range(count):
        lake.step()
    return lake.statements


class _Lake:
    """The statements so far, and the tables that they were about."""

    def __init__(self, random: Random, folder: str) -> None:
        self._random, self._folder = random, folder
        self._tables: dict[str, dict[str, str]] = {}
        self._files = 0
        self.statements: list[str] = []

    def begin(self) -> None:
        """Create some tables, of every type between them."""
        types = list(VALUES)
        self._random.shuffle(types)
        for number in range(0, len(types), 6):
            self._create(types[number : number + 6])
        self._say(
            "create table lake.nested (k integer, s struct(a tinyint, f float, n struct(x smallint)), l integer[])"
        )

    def step(self) -> None:
        """Do one thing."""
        weighted = (
            (self._insert, 12),
            (self._widen, 10),
            (self._rename, 4),
            (self._delete, 5),
            (self._partition, 4),
            (self._add_file, 4),
            (self._name, 4),
            (self._nest, 4),
            (self._view, 4),
            (self._macro, 4),
            (self._maintain, 8),
            (self._drop, 1),
        )
        self._random.choices([what for what, _ in weighted], [weight for _, weight in weighted])[0]()

    def _say(self, statement: str) -> None:
        self.statements.append(statement)

    def _one(self, among: object) -> str:
        return str(self._random.choice(list(among)))  # type: ignore[call-overload]

    def _table(self) -> str:
        return self._one(self._tables)

    def _create(self, types: list[str]) -> None:
        table = f"t{len(self.statements)}"
        columns = {f"c{number}": type_ for number, type_ in enumerate(types)}
        self._tables[table] = columns
        self._say(f'create table lake."{table}" ({", ".join(f"{name} {type_}" for name, type_ in columns.items())})')
        self._insert_into(table)

    def _insert(self) -> None:
        self._insert_into(self._table())

    def _insert_into(self, table: str) -> None:
        columns = self._tables[table]
        rows = ", ".join(
            f"({', '.join(self._one(VALUES.get(type_, ('1',))) for type_ in columns.values())})"
            for _ in range(self._random.choice((1, 3, 12)))
        )
        self._say(f'insert into lake."{table}" values {rows}')

    def _widen(self) -> None:
        table = self._table()
        column = self._one(self._tables[table])
        wider = WIDER.get(self._tables[table][column])
        if wider:
            self._tables[table][column] = type_ = self._one(wider)
            self._say(f'alter table lake."{table}" alter "{column}" type {type_}')

    def _rename(self) -> None:
        table = self._table()
        column, name = self._one(self._tables[table]), self._one(_NAMES)
        self._say(f'alter table lake."{table}" rename "{column}" to "{name}"')
        self._say(f'alter table lake."{table}" add column "{self._one(_NAMES)}" integer')
        self._say(f'alter table lake."{table}" drop column "{name}"')

    def _delete(self) -> None:
        table = self._table()
        column = self._one(self._tables[table])
        value = self._one(VALUES.get(self._tables[table][column], ("1",)))
        self._say(f'delete from lake."{table}" where "{column}" = {value}')

    def _partition(self) -> None:
        table = self._table()
        times = [name for name, type_ in self._tables[table].items() if type_ in _TIMES]
        keys = [f'"{self._one(self._tables[table])}"', f'bucket(4, "{self._one(self._tables[table])}")']
        if times:
            keys += [f"{function}({self._one(times)})" for function in ("year", "month", "day")]
        chosen = self._random.sample(keys, self._random.randint(1, len(keys)))
        self._say(f'alter table lake."{table}" set partitioned by ({", ".join(chosen)})')
        self._insert_into(table)
        if self._random.random() < 0.5:
            self._say(f'alter table lake."{table}" reset partitioned by')

    def _add_file(self) -> None:
        self._files += 1
        path = f"{self._folder}/added {self._files}.parquet"
        table = f"added{self._files}"
        self._say(f"copy (select range as i, timestamp '2024-03-05' as ts from range(3)) to '{path}'")
        self._say(f"create table lake.{table} (i bigint, ts timestamp)")
        self._say(f"call ducklake_add_data_files('lake', '{table}', '{path}')")
        hive = f"{self._folder}/hive {self._files}"
        self._say(f"create table lake.{table}h (i bigint, ts timestamp)")
        self._say(f"alter table lake.{table}h set partitioned by (year(ts), month(ts))")
        self._say(
            f"copy (select range as i, timestamp '2024-03-05' as ts, 2024 as year, 3 as month from range(3))"
            f" to '{hive}' (format parquet, partition_by (year, month))"
        )
        self._say(
            f"call ducklake_add_data_files('lake', '{table}h', '{hive}/**/*.parquet', hive_partitioning => true,"
            " ignore_extra_columns => true)"
        )

    def _name(self) -> None:
        name, other = self._one(_NAMES), self._one(_NAMES)
        self._say(
            self._one(
                (
                    f'create table lake."{name}" ("{name}" integer, "{other}" integer)',
                    f'create schema lake."{name}"',
                    f'create view lake."{name}" as select 1 as "{other}"',
                    f'create macro lake."{name}"(x) as x',
                    f'create macro lake."{name}"(x) as table select x as y',
                    f'create or replace macro lake."{name}"(x) as x, (x, y) as x + y',
                    f'create table lake."s{name}{other}" (s struct("{name}" integer, "{other}" integer))',
                    f'alter table lake."{name}" rename to "{other}"',
                    f"comment on table lake.\"{name}\" is '{other}'",
                )
            )
        )

    def _nest(self) -> None:
        name, number = self._one(_NAMES), self._random.randint(-100, 100)
        small, middle, wide = (
            self._one(("tinyint", "bigint")),
            self._one(("float", "double")),
            self._one(("integer", "bigint")),
        )
        self._say(
            self._one(
                (
                    f"insert into lake.nested (k, s) select {number}, s from lake.nested limit 1",
                    f"insert into lake.nested (k, l) values ({number}, [{number}, null])",
                    f"insert into lake.nested (k, s) values ({number}, row({number}, 0.1, row({number})))",
                    f"alter table lake.nested alter s type struct(a {small}, f {middle}, n struct(x {wide}))",
                    f"alter table lake.nested alter l type {self._one(('bigint', 'double'))}[]",
                    f'alter table lake.nested rename s.{self._one("af")} to "{name}"',
                    f'alter table lake.nested add column s."{name}" integer',
                    f'alter table lake.nested drop column s."{name}"',
                    "alter table lake.nested alter k set default 7",
                    "alter table lake.nested alter k set not null",
                    "alter table lake.nested alter k drop not null",
                    f"alter table lake.nested add column \"{name}\" varchar default 'it''s {number}'",
                )
            )
        )

    def _view(self) -> None:
        name, other, table = f"v{self._one(_NAMES)}", self._one(_NAMES), self._table()
        self._say(
            self._one(
                (
                    f'create or replace view lake."{name}" as select * from lake."{table}"',
                    f'create or replace view lake."over{name}" as from lake."v{other}"',  # never one over itself
                    f'create view lake."{name}" ("{other}", "a""b,c") as select 1, 2',
                    f"create view lake.\"{name}\" as select 'it''s; --' as \"{other}\", '\\' as b /* {other} */",
                    f'create view lake."{name}" as with q as (select count(*) as n from lake."{table}") from q',
                    f'alter view lake."{name}" rename to "v{other}"',
                    f"comment on view lake.\"{name}\" is '{other}'",
                    f'drop view lake."{name}"',
                )
            )
        )

    def _macro(self) -> None:
        name, type_ = f"m{self._one(_NAMES)}", self._one(VALUES)
        value = self._one(it for it in VALUES[type_] if it != "null")
        self._say(
            self._one(
                (
                    f'create or replace macro lake."{name}"(x {type_}) as x',
                    f'create or replace macro lake."{name}"(x {type_} := {value}) as x',
                    f'create or replace macro lake."{name}"(x, y := {value}) as x || y',
                    f'create or replace macro lake."{name}"() as (select max(c0) from lake."{self._table()}")',
                    f"create or replace macro lake.\"{name}\"(x) as case when x then 'it''s' else '--;' end",
                    f'create or replace macro lake."{name}"(x := 1) as table with q as (select x as "{name}") from q',
                    f'create or replace macro lake."{name}"(x integer) as table select range from range(x)',
                    f'drop macro lake."{name}"',
                    f'drop macro table lake."{name}"',
                )
            )
        )

    def _maintain(self) -> None:
        self._say(
            self._one(
                (
                    "call ducklake_flush_inlined_data('lake')",
                    "call ducklake_merge_adjacent_files('lake')",
                    "call ducklake_rewrite_data_files('lake', delete_threshold => 0)",
                    "call ducklake_expire_snapshots('lake', older_than => now())",
                    "call ducklake_cleanup_old_files('lake', cleanup_all => true)",
                    "detach lake",
                )
            )
        )

    def _drop(self) -> None:
        if len(self._tables) > 1:
            table = self._table()
            del self._tables[table]
            self._say(f'drop table lake."{table}"')
