"""
What a base gives is what a plain dump reads, after whatever happened in between; and the proof against the truth.

Each history begins with a backup, perhaps in the middle of others' transactions. Then things happen, picked by a seed,
and two backups are made: with the base and without. DLBACKUP_HISTORIES and `--seed`, or `--long`, make more.
"""

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from support.comparison import execute
from support.lakes.divided import ROWS, STATISTICS, many, same_bytes

from dlbackup import RestoreOptions, dump, restore
from dlbackup.addresses.address import parse_address
from dlbackup.backupfile.manifest import Manifest
from dlbackup.backupfile.reader import BackupReader
from dlbackup.catalogs.contract import Claim, Pages, Snapshot
from dlbackup.catalogs.open import open_catalog
from dlbackup.catalogs.reading import contents
from dlbackup.stores.folder import local
from dlbackup.tables.digest import summed


@dataclass
class World:
    """A lake in which things happen; `choose` picks them."""

    url: str
    choose: random.Random
    folder: Path

    def some(self) -> str:
        """Return a condition that a few rows meet, next to each other."""
        first = 1000000 + self.choose.randrange(ROWS)
        return f"data_file_id between {first} and {first + self.choose.choice([0, 5, 900])}"

    def run(self, *statements: str) -> None:
        """Execute statements, each for itself."""
        execute(self.url, *statements)


def _insert(world: World) -> None:
    first = world.choose.randrange(20000, 10_000_000)
    world.run(many(first, first + world.choose.choice([0, 50, 2000])))


def _update(world: World) -> None:
    world.run(f"update {STATISTICS} set max_value = max_value || 'u' where {world.some()}")


def _delete(world: World) -> None:
    world.run(f"delete from {STATISTICS} where {world.some()}")


def _delete_and_insert(world: World) -> None:
    world.run(
        f"with gone as (delete from {STATISTICS} where {world.some()} returning *)"
        f" insert into {STATISTICS} select * from gone"
    )


def _roll_back(world: World) -> None:
    with psycopg.connect(world.url) as session:
        session.execute(f"update {STATISTICS} set max_value = 'no' where {world.some()}".encode())
        session.execute(f"delete from {STATISTICS} where {world.some()}".encode())
        session.rollback()


def _savepoints(world: World) -> None:
    with psycopg.connect(world.url) as session:
        session.execute("savepoint a")
        session.execute(f"update {STATISTICS} set max_value = 'a' where {world.some()}".encode())
        session.execute("rollback to savepoint a")
        session.execute("savepoint b")
        session.execute(f"delete from {STATISTICS} where {world.some()}".encode())
        session.execute("release savepoint b")


def _vacuum(how: str) -> Callable[[World], None]:
    return lambda world: world.run(f"vacuum {how} {STATISTICS}")


def _cluster(world: World) -> None:
    world.run(
        f"create index passing on {STATISTICS} (max_value)",
        f"cluster {STATISTICS} using passing",
        f"alter table {STATISTICS} set without cluster",
        "drop index passing",
    )


def _burn_transactions(world: World) -> None:
    world.run("do $$ begin for n in 1..200 loop perform pg_current_xact_id(); commit; end loop; end $$")


def _alter(*statements: str) -> Callable[[World], None]:
    return lambda world: world.run(*(statement.format(t=STATISTICS) for statement in statements))


def _reload(world: World) -> None:
    world.run(
        f"create table passing as table {STATISTICS}",
        f"truncate {STATISTICS}",
        f"insert into {STATISTICS} select * from passing",
        "drop table passing",
    )


def _made_again(world: World) -> None:
    with psycopg.connect(world.url) as session:
        session.execute(f"create table passing as table {STATISTICS}".encode())
        session.execute(f"drop table {STATISTICS}".encode())
        session.execute(f"alter table passing rename to {STATISTICS}".encode())


def _restored(world: World) -> None:
    path = world.folder / f"restored-{world.choose.random()}.zst"
    dump(world.url, path)
    restore(path, world.url, RestoreOptions(replace=True, drop_replaced=True, ignore_clients=True))
    path.unlink()


HISTORIES = int(os.environ.get("DLBACKUP_HISTORIES", "8"))
_MANY = 11
"""From more histories on, all that can be said is said by some."""
_OFTEN = {"rows of the base", "tables"}
_SAID = {*_OFTEN, "pieces", "everything"}
HAPPENINGS: dict[str, Callable[[World], None]] = {
    "insert": _insert,
    "update": _update,
    "delete": _delete,
    "delete and insert": _delete_and_insert,
    "roll back": _roll_back,
    "savepoints": _savepoints,
    "vacuum": _vacuum(""),
    "vacuum full": _vacuum("full"),
    "vacuum freeze": _vacuum("(freeze)"),
    "cluster": _cluster,
    "transactions": _burn_transactions,
    "add a column": _alter("alter table {t} add if not exists later text"),
    "add a column with a default": _alter("alter table {t} add if not exists late int default 7"),
    "drop and add a column": _alter("alter table {t} drop if exists later", "alter table {t} add later text"),
    "another default, then the same": _alter(
        "alter table {t} drop if exists late, add late int default 8", "alter table {t} alter late set default 7"
    ),
    "type without rewriting": _alter("alter table {t} alter max_value type text"),
    "type back": _alter("alter table {t} alter max_value type varchar"),
    "type with rewriting": _alter(
        "alter table {t} alter column_id type numeric", "alter table {t} alter column_id type bigint"
    ),
    "rewritten in place": _alter("alter table {t} alter min_value type varchar using min_value || ''"),
    "truncate and reload": _reload,
    "made again": _made_again,
    "restored": _restored,
}


def _in_flight(world: World, session: psycopg.Connection) -> None:
    """Begin a transaction that will be open when the base is made."""
    if world.choose.random() < 0.5:
        session.execute("savepoint early")
    session.execute(f"delete from {STATISTICS} where {world.some()}".encode())
    if world.choose.random() < 0.5:
        session.execute(f"update {STATISTICS} set max_value = 'flight' where {world.some()}".encode())
    if world.choose.random() < 0.5:
        session.execute("savepoint late")
    session.execute(f"insert into {STATISTICS} (data_file_id, table_id, column_id) values (5, 5, 5)".encode())


def test_random_histories(divided: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Of a base, a plain dump's bytes come out; what is said to be unchanged is, by all its rows."""
    choose = random.Random(request.config.option.seed)
    said: Counter[str] = Counter()
    for number in range(HISTORIES):
        said += _history(World(divided, choose, tmp_path), number)
    assert set(said) >= (_SAID if HISTORIES > _MANY else _OFTEN)


def _history(world: World, number: int) -> Counter[str]:
    """Let things happen; return how much was said to be unchanged, and was."""
    choose, folder = world.choose, world.folder
    with psycopg.connect(world.url) as flying:
        if is_flying := choose.random() < 0.4:
            _in_flight(world, flying)
        base = dump(world.url, folder / f"base-{number}.zst", jobs=1)
        with _snapshot(world.url) as earlier:
            rows = contents(earlier)
        if is_flying:
            choose.choice([flying.commit, flying.rollback])()
    names = choose.choices(list(HAPPENINGS), k=choose.choice([0, 1, 1, 2, 3, 5]))
    print(number, "in flight" if is_flying else "", *names, sep=", ")  # noqa: T201
    for name in names:
        HAPPENINGS[name](world)
    taken = dump(world.url, folder / f"taken-{number}.zst", base=base.path, jobs=choose.choice([1, 2]))
    plain = dump(world.url, folder / f"plain-{number}.zst", jobs=1)
    assert taken.base == base.path
    assert same_bytes(taken, plain), names
    said = Counter({"rows of the base": taken.reused_rows})
    with _snapshot(world.url) as now, BackupReader(local(base.path)) as reader:
        said["tables"] = _tables_said_to_be_unchanged(now, reader.manifest)
        said["pieces"] = _pieces_said_to_be_unchanged(now, reader.manifest)
        if now.shows_what(earlier):
            said["everything"] = 1
            assert (now.tables, contents(now)) == (earlier.tables, rows), names
    for backup in (base, taken, plain):
        Path(backup.path).unlink()
    return said


@contextmanager
def _snapshot(url: str) -> Iterator[Snapshot]:
    with open_catalog(parse_address(url)) as catalog, catalog.snapshot() as snapshot:
        yield snapshot


def _tables_said_to_be_unchanged(snapshot: Snapshot, manifest: Manifest) -> int:
    """Hold what is said of whole tables against all their rows; return how many are said to be unchanged."""
    then = {entry.table.name: entry for entry in manifest.tables}
    assert manifest.header.moment is not None
    tables = [table for table in snapshot.tables if table.name in then and then[table.name].origin]
    claims = [
        Claim(table=table, origin=origin, rows=then[table.name].rows)
        for table in tables
        if (origin := then[table.name].origin)
    ]
    said = snapshot.since(manifest.header.moment, claims)
    rows = contents(snapshot)
    unchanged = [table for table, change in zip(tables, said, strict=True) if change is not None and not change]
    for table in unchanged:
        assert rows[table.name] == then[table.name].content, table.name
    return len(unchanged)


def _pieces_said_to_be_unchanged(snapshot: Snapshot, manifest: Manifest) -> int:
    """The same for the pieces of the table that was divided, each against the rows on its pages."""
    assert manifest.header.moment is not None
    (entry,) = (entry for entry in manifest.tables if entry.table.name == STATISTICS)
    (table,) = (table for table in snapshot.tables if table.name == STATISTICS)
    assert entry.origin is not None
    size = entry.origin.stretch_pages
    stretches = {Pages(n * size, (n + 1) * size): it for n, it in enumerate(entry.origin.stretches)}
    claims = [Claim(table=table, origin=entry.origin, rows=it.rows, pages=pages) for pages, it in stretches.items()]
    said = snapshot.since(manifest.header.moment, claims)
    unchanged = [pages for pages, change in zip(stretches, said, strict=True) if change is not None and not change]
    for pages in unchanged if table.columns == entry.table.columns else ():
        assert summed(snapshot.rows(table, pages)) == stretches[pages].content, pages
    return len(unchanged)
