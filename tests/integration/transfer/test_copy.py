"""Catalogs moved to another kind of backend: what they mean, and what engines read of them, stays."""

import os
import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import pytest
from support.cli import Cli
from support.comparison import execute, schemas, settle
from support.engines.engines import Engine, engine, with_httpfs, with_sqlite
from support.files import storage_of
from support.lakes.in_files import FileLakes, Hashes
from support.lakes.lakes import LakeFactory, hash_lake
from support.longer import long, runs_all
from support.servers.servers import Server
from support.servers.web import WebServer

import dlbackup
from dlbackup import errors
from dlbackup.backupfile.reader import BackupReader
from dlbackup.engine.engine import probe
from dlbackup.runtime.progress import Event
from dlbackup.stores.folder import local
from dlbackup.tables.definition import Table
from dlbackup.transfer import carriable
from dlbackup.transfer.encoding import limits_of

_KILLS = 1
"""By default; `--kill-points N` for more."""
GENERATIONS = [("1.5.5", "1.0"), ("1.4.4", "0.3")]
_WRITING = (
    "create table lake.after_the_move (i integer, s varchar)",
    "insert into lake.after_the_move values (1, 'it''s'), (2, null)",
    "insert into lake.texts (i, s) values (2000, 'moved')",
    "delete from lake.texts where i = 1",
    "select count(*), count(s) from lake.texts",
)


def _at(version: str, pytestconfig: pytest.Config) -> tuple[int | str, ...] | None:
    """Return at which snapshots engines read: with --long at each, else at some, and older engines at the ends."""
    if pytestconfig.option.long:
        return None
    if version != "1.5.5":
        return ("first", "last")
    return ("first", *range(2, 25, 4), "last") if runs_all(pytestconfig) else ("first", 10, "last")


def _dumped(address: str, folder: Path) -> dlbackup.Backup:
    return dlbackup.dump(address, f"{folder}/{len(list(folder.glob('*.zst')))}.sql.zst")


def _writes_on(writer: Engine, address: str, schema: str) -> list[list[object]]:
    """Have an engine write to a catalog, and return what it reads then."""
    return list(writer.run(address, schema, _WRITING)[-1])


@pytest.mark.parametrize(("version", "spec"), [GENERATIONS[0], long(*GENERATIONS[1])])
def test_file_to_postgres_and_back(
    version: str, spec: str, file_lakes: FileLakes, database: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """A lake with inlined rows of every type means the same in all three, at every snapshot, and is written to."""
    lake = file_lakes.copy("inlined", version, tmp_path)
    odd = tmp_path / "it's a ?lake# ünd so.ducklake"
    at = _at(version, pytestconfig)
    before: Hashes = lake.read_by(at)

    first = _dumped(str(lake.path), tmp_path)
    moved = dlbackup.restore(first, database)
    second = _dumped(database, tmp_path)
    back = dlbackup.restore(second, f"duckdb:{odd}")

    assert (moved.spec_version, moved.schema, back.schema) == (spec, "public", "main")
    assert dlbackup.check(database).ok
    assert dlbackup.info(f"duckdb:{odd}", fingerprint=True).fingerprint == second.fingerprint == first.fingerprint
    assert hash_lake(lake.engine, database, "public", at) == before
    assert lake.read_by(at, odd) == before
    assert _writes_on(lake.engine, database, "public") == _writes_on(lake.engine, str(odd), "main")


@pytest.mark.parametrize(("version", "spec"), [GENERATIONS[0], long(*GENERATIONS[1])])
def test_postgres_to_file_and_back(
    version: str, spec: str, lake: LakeFactory, server: Server, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """What an engine stored on PostgreSQL is read from a file; and moved back, as if it had been written there."""
    made = lake("inlined", spec)
    file = tmp_path / "lake.ducklake"
    at = None if pytestconfig.option.long else ("first", "last")
    before = hash_lake(made.engine, made.url, made.schema, at)

    dlbackup.restore(_dumped(made.url, tmp_path), str(file))
    copied = _dumped(str(file), tmp_path)

    assert hash_lake(made.engine, str(file), "main", at) == before
    with server.database() as url:
        dlbackup.restore(copied, url)
        assert dlbackup.info(url, fingerprint=True).fingerprint == copied.fingerprint
        assert hash_lake(made.engine, url, "public", at) == before


def _parts_that_differ(one: dlbackup.Backup, other: dlbackup.Backup) -> set[str]:
    with BackupReader(local(one.path)) as first, BackupReader(local(other.path)) as second:
        ours, theirs = first.manifest.fingerprint, second.manifest.fingerprint
    assert ours is not None
    assert theirs is not None
    return {name for name, _ in ours.differences(theirs)}


@pytest.mark.long
@pytest.mark.parametrize("spec", ["0.3", "1.0"])
def test_zoo_moves(spec: str, lake: LakeFactory, server: Server, tmp_path: Path) -> None:
    """A lake with everything else goes round: what it means, and each snapshot as an engine reads it, stay."""
    made = lake("zoo", spec)
    reader = with_sqlite(made.engine)
    before = hash_lake(reader, made.url, made.schema)
    meant = ""
    with server.database() as again:
        round_ = (made.url, str(tmp_path / "zoo.ducklake"), str(tmp_path / "zoo.sqlite"), again)
        back = (again, str(tmp_path / "other.sqlite"), str(tmp_path / "other.ducklake"))
        for source, target in (*pairwise(round_), *pairwise(back)):
            copied = dlbackup.copy(source, target).fingerprint
            meant = meant or copied  # DuckDB on PostgreSQL keeps some texts as they were written, and no copy does
            assert copied == dlbackup.info(target, fingerprint=True).fingerprint == meant
            if source == made.url:
                assert _parts_that_differ(_dumped(source, tmp_path), _dumped(target, tmp_path)) <= {"inlined rows"}
            url = f"sqlite:{target}" if target.endswith(".sqlite") else target
            assert hash_lake(reader, url, "public" if target == again else "main") == before


def test_what_postgres_cant_hold_is_refused(file_lakes: FileLakes, database: str, tmp_path: Path) -> None:
    """A NUL that 1.4's tables have no place for there, and a name that is too long: by name, and nothing is written."""
    lake = file_lakes.copy("plain", "1.4.4", tmp_path)
    lake.engine.run(
        str(lake.path),
        "main",
        [
            "call lake.set_option('data_inlining_row_limit', 100)",
            'create table lake.odd ("a name" varchar)',
            "insert into lake.odd values ('a' || chr(0) || 'b')",
        ],
    )

    with pytest.raises(errors.NotCarried, match=r"table main\.odd \(.*in column a name") as refused:
        dlbackup.restore(_dumped(str(lake.path), tmp_path), database)

    assert (refused.value.exit_code, "ducklake_flush_inlined_data" in refused.value.hint) == (4, True)
    with pytest.raises(errors.NotALake):
        dlbackup.info(database)


_LONG = "x" * 70
_WIDE, _HALF_WIDE = (", ".join(f"c{number} integer" for number in range(count)) for count in (1650, 45))
_FEW_COLUMNS = 40
"""More than a catalog's own tables have."""
_NEVER_INLINED = ("no column of the other catalog can have: ctid", "row is too big")
"""Engines fail to inline there what only a file can."""
_ONLY_IN_FILES = {
    "names of more than 63 bytes": (f"create table lake.t ({_LONG} integer)", "insert into lake.t values (1)"),
    _NEVER_INLINED[0]: (
        "create table lake.t (ctid integer, oid integer)",
        "insert into lake.t values (1, 2)",
    ),
    _NEVER_INLINED[1]: (
        f"create table lake.t ({', '.join(f'c{number} varchar' for number in range(600))})",
        f"insert into lake.t select {', '.join(['repeat(chr(120), 30)'] * 600)}",
    ),
    "1653 columns": (f"create table lake.t ({_WIDE})", "insert into lake.t (c0) values (1)"),
    "48 columns": (f"create table lake.t ({_HALF_WIDE})", "insert into lake.t (c0) values (1)"),
    "table main.t (ducklake_inlined_data_1_1) holds": (
        "create table lake.t (v variant)",
        "insert into lake.t values (42::variant)",
    ),
}


@pytest.mark.parametrize(
    ("said", "statements"),
    [long(*it) if it[0] in ("1653 columns", "row is too big") else it for it in _ONLY_IN_FILES.items()],
    ids=["long", "taken", "large", "wide", "wide for few", "variant"],
)
def test_refused_rows_can_be_flushed(
    said: str, statements: tuple[str, str], database: str, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What only a file can inline is refused, and after the advice that is given the lake moves, and is written to."""
    if said == "48 columns":
        monkeypatch.setattr(carriable, "limits_of", lambda dialect: replace(limits_of(dialect), columns=_FEW_COLUMNS))
    made, file = engine("1.5.5"), tmp_path / "lake.ducklake"
    option = "call lake.set_option('data_inlining_row_limit', 100)"
    made.run(str(file), None, [option, *statements], data_path=tmp_path / "data")

    refused = cli("copy", file, database)
    made.run(str(file), None, ["call ducklake_flush_inlined_data('lake')"])
    done = cli("copy", file, database)

    assert (refused.exit_code, said in refused.stderr) == (4, True), refused.stderr
    assert "ducklake_flush_inlined_data" in refused.stderr
    assert done.exit_code == 0, done.stderr
    assert hash_lake(made, database, "public") == hash_lake(made, str(file), "main")
    assert ("'data_inlining_row_limit', 0" in done.stderr) == ("ctid" in said)
    if said in _NEVER_INLINED:
        made.run(database, "public", ["call lake.set_option('data_inlining_row_limit', 0, table_name => 't')"])
    if "columns" not in said:  # of that width DuckDB 1.5 writes nothing but files there
        made.run(database, "public", [statements[1]])


@pytest.mark.parametrize("ending", ["ducklake", "sqlite"])
def test_rows_of_a_table_that_has_expired_move(ending: str, database: str, tmp_path: Path) -> None:
    """1.4 leaves the inlined rows of a dropped table behind, whose columns nobody knows; none reads them."""
    said: list[Event] = []
    made = with_sqlite(engine("1.4.4"))
    statements = [
        "call lake.set_option('data_inlining_row_limit', 100)",
        "create table lake.gone (d decimal(5, 2), s varchar, j json, b boolean, u uuid)",
        "insert into lake.gone values (1.25, 'it''s', '{}', true, uuid())",
        "create table lake.kept (i tinyint)",
        "insert into lake.kept values (1)",
        "drop table lake.gone",
        "alter table lake.kept alter i type bigint",
        "insert into lake.kept values (2)",
        "select count(*) from ducklake_expire_snapshots('lake', older_than => now())",
    ]
    made.run(database, None, statements, data_path=tmp_path / "data")
    file = f"{'sqlite:' if ending == 'sqlite' else ''}{tmp_path}/lake.{ending}"

    copied = dlbackup.copy(database, file, on_event=said.append)

    # SQLite's columns don't say what they hold.
    left = [event.message for event in said if event.warning and "which nobody reads" in event.message]
    assert len(left) == (ending == "sqlite")
    assert (copied.fingerprint == dlbackup.info(database, fingerprint=True).fingerprint) == (ending == "ducklake")
    assert hash_lake(made, file, "main") == hash_lake(made, database, "public")


def test_moving_leaves_and_says_what_only_postgres_has(lake: LakeFactory, tmp_path: Path) -> None:
    """An index of somebody's and grants stay behind, with a warning; a table that isn't DuckLake's is refused."""
    made = lake("plain", "1.0")
    execute(made.url, "create index mine on ducklake_column (column_name)", "grant select on ducklake_column to public")
    said: list[Event] = []

    dlbackup.restore(_dumped(made.url, tmp_path), str(tmp_path / "a.ducklake"), on_event=said.append)
    execute(made.url, "create table ducklake_of_mine (i bigint)")

    (warning,) = [event.message for event in said if event.warning and event.stage == "convert"]
    assert "index mine; privileges on table ducklake_column" in warning
    with pytest.raises(errors.NotCarried, match="ducklake_of_mine"):
        dlbackup.restore(_dumped(made.url, tmp_path), str(tmp_path / "b.ducklake"))
    assert not (tmp_path / "b.ducklake").exists()


def test_copy_within_a_kind(file_lakes: FileLakes, lake: LakeFactory, server: Server, tmp_path: Path, cli: Cli) -> None:
    """PostgreSQL to another database, a file to another file: what was there is there, and the answer says so."""
    made, file = lake("inlined", "1.0"), file_lakes.copy("inlined", "1.5.5", tmp_path)
    with server.database() as url:
        for source, target in ((made.url, url), (str(file.path), str(tmp_path / "other.ducklake"))):
            answer = cli("copy", source, target, "--json").json()

            assert set(answer) >= {"source", "target", "spec_version", "snapshot_id", "tables", "rows", "seconds"}
            assert answer["fingerprint"] == dlbackup.info(target, fingerprint=True).fingerprint
            assert answer["fingerprint"] == dlbackup.info(source, fingerprint=True).fingerprint
            assert (answer["replaced"], answer["missing_data_files"], answer["frozen"]) == (None, 0, False)
            assert {table.name: table.columns for table in _tables(target, tmp_path)} == {
                table.name: table.columns for table in _tables(source, tmp_path)
            }


def _tables(address: str, folder: Path) -> list[Table]:
    with BackupReader(local(Path(_dumped(address, folder).path))) as reader:
        return [entry.table for entry in reader.manifest.tables]


def test_copy_of_a_backup_in_the_place_of_another(
    file_lakes: FileLakes, lake: LakeFactory, tmp_path: Path, cli: Cli
) -> None:
    """A backup of a file replaces a catalog on PostgreSQL, on a restore's terms; who could read that still can."""
    file, there = file_lakes.copy("plain", "1.5.5", tmp_path), lake("plain", "1.0")
    backup = _dumped(str(file.path), tmp_path)
    execute(there.url, "drop role if exists reader", "create role reader")
    execute(
        there.url, "grant usage on schema public to reader", "grant select on all tables in schema public to reader"
    )

    refused = cli("copy", backup.path, there.url, "--replace")
    done = cli("copy", backup.path, there.url, "--replace", "--other-lake", "--json").json()

    assert (refused.exit_code, "--other-lake" in refused.stderr) == (4, True)
    assert done["replaced"] is not None
    assert done["fingerprint"] == backup.fingerprint
    assert execute(there.url, "set role reader", "select max(snapshot_id) from ducklake_snapshot") == [
        (done["snapshot_id"],)
    ]
    execute(there.url, "drop owned by reader", "drop role reader")


def test_frozen_lake_is_read_from_anywhere(
    lake: LakeFactory, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of the oldest storage, for reading only, without a WAL: an engine reads all snapshots, also over http."""
    made = lake("inlined", "0.3")
    frozen = tmp_path / "public" / "frozen.ducklake"
    frozen.parent.mkdir()

    done = cli("copy", made.url, frozen, "--frozen", "--json").json()

    assert done["frozen"]
    assert [path.name for path in frozen.parent.iterdir()] == ["frozen.ducklake"]
    assert frozen.stat().st_mode & 0o777 == 0o444
    assert storage_of(frozen) == "v1.0.0+"
    ends = ("first", "last")
    assert hash_lake(made.engine, str(frozen), "main", ends) == hash_lake(made.engine, made.url, made.schema, ends)
    reader = with_httpfs(made.engine)
    with WebServer(frozen.parent) as url:
        query = "select count(*), count(s) from lake.texts"
        options = {"READ_ONLY": True}
        expected = made.engine.run(made.url, made.schema, [query], options=options)
        assert reader.run(f"{url}/frozen.ducklake", None, ["load httpfs", query], options=options)[-1:] == expected
    again = cli("copy", made.url, frozen, "--frozen")
    assert (again.exit_code, "--replace" in again.stderr) == (4, True)


def test_frozen_file_with_keys_is_for_its_owner(tmp_path: Path, cli: Cli) -> None:
    """Who has it reads the keys to encrypted data files: that is said, and by default nobody else may read it."""
    made, file = engine("1.5.5"), tmp_path / "lake.ducklake"
    steps = ["create table lake.t as select range i from range(10)"]
    made.run(str(file), None, steps, data_path=tmp_path / "data", options={"ENCRYPTED": True})

    for more in ([], ["--snapshot", "1"]):
        frozen = tmp_path / f"frozen{len(more)}.ducklake"
        done = cli("copy", file, frozen, "--frozen", *more)

        assert (done.exit_code, frozen.stat().st_mode & 0o777) == (0, 0o400)
        assert "keys to the lake's encrypted Parquet files" in done.stderr
        query = ["select sum(i)::int from lake.t"]
        assert made.run(str(frozen), None, query, options={"READ_ONLY": True}) == [[[45]]]


def test_what_is_no_frozen_lake(file_lakes: FileLakes, database: str, tmp_path: Path, cli: Cli) -> None:
    """A lake whose files only some clients find is refused, until it is said where they are; so is a server."""
    file = file_lakes.copy("plain", "1.5.5", tmp_path)
    relative = tmp_path / "relative.ducklake"
    dlbackup.copy(str(file.path), str(relative), dlbackup.RestoreOptions(data_path="data", data_files=False))
    frozen = tmp_path / "frozen.ducklake"

    refused = cli("copy", relative, frozen, "--frozen")
    server = cli("copy", relative, database, "--frozen")
    done = cli("copy", relative, frozen, "--frozen", "--data-path", file.data_path)

    assert (refused.exit_code, "data/" in refused.stderr, "--data-path" in refused.stderr) == (4, True, True)
    assert (server.exit_code, "a frozen lake is a DuckDB file" in server.stderr) == (2, True)
    assert done.exit_code == 0
    assert file.read_by(("last",), frozen) == file.read_by(("last",))


def test_frozen_file_is_made_anew_by_its_owner(file_lakes: FileLakes, tmp_path: Path) -> None:
    """Whoever may not write the file, as it is frozen, may still put another in its place."""
    file, frozen = file_lakes.copy("plain", "1.5.5", tmp_path), tmp_path / "frozen.ducklake"
    command = [sys.executable, "-m", "dlbackup", "copy", "-q", str(file.path), str(frozen), "--frozen"]
    command.append("--no-read-back")
    if os.geteuid() == 0:  # who may write everything, until that is taken away
        command = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override", *command]

    for options in ([], ["--replace"]):
        subprocess.run([*command, *options], check=True)

    assert frozen.stat().st_mode & 0o777 == 0o444
    (kept,) = tmp_path.glob("frozen.ducklake.replaced-*")
    assert storage_of(kept) == storage_of(frozen) == "v1.0.0+"


_MORE_WAYS = [
    *(("inlined.postgres", "sqlite"), ("inlined.postgres", "ducklake")),
    *(("plain.sqlite", "postgres"), ("plain.ducklake", "postgres")),
    *(("plain.ducklake", "frozen"), ("plain.ducklake", "sqlite"), ("plain.ducklake", "ducklake")),
]
_WAYS = [
    ("plain.postgres", "ducklake"),
    *(long(*way) for way in _MORE_WAYS),
]
"""What comes from PostgreSQL was copied there before."""


@pytest.mark.parametrize(("of", "to"), _WAYS)
def test_killed_copy_leaves_nothing(
    of: str, to: str, file_lakes: FileLakes, server: Server, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Killed at any moment, nothing is at the target, or all of it, and the next copy clears up."""
    kind, place = of.split(".")
    ending = "sqlite" if place == "sqlite" else "ducklake"
    file = file_lakes.copy("plain" if kind == "plain" else "inlined", "1.5.5", tmp_path, ending)
    points = random.Random(pytestconfig.option.seed)
    with server.database() as url, server.database() as other:
        expected = dlbackup.copy(str(file.path), url).fingerprint
        source = url if place == "postgres" else str(file.path)
        target = _Target(to, tmp_path / "to", other)
        command = [sys.executable, "-m", "dlbackup", "copy", "-q", source, target.address]
        command += ["--frozen"] if to == "frozen" else []
        with_scratch = {**os.environ, "TMPDIR": str(tmp_path)}
        begun = time.monotonic()
        subprocess.run(command, env=with_scratch, check=True, capture_output=True)
        longest = time.monotonic() - begun

        for _ in range(pytestconfig.option.kill_points or _KILLS):
            target.clear()
            with subprocess.Popen(
                command, env=with_scratch, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            ) as running:
                time.sleep(points.uniform(0.2, longest))
                running.kill()
            settle(server, other)
            assert target.fingerprint() in (None, expected)
        target.clear()
        subprocess.run(command, env=with_scratch, check=True)

        assert target.fingerprint() == expected
        assert target.is_alone()
    assert list(tmp_path.glob("dlbackup-co*")) == []


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a copy goes that is killed: a file of some kind in a folder, or a database."""

    to: str
    folder: Path
    url: str

    def __post_init__(self) -> None:
        self.folder.mkdir()

    @property
    def path(self) -> Path:
        return self.folder / f"copy.{'ducklake' if self.to == 'frozen' else self.to}"

    @property
    def address(self) -> str:
        if self.to == "postgres":
            return self.url
        return f"{'sqlite' if self.to == 'sqlite' else 'duckdb'}:{self.path}"

    def clear(self) -> None:
        """Take away what is there."""
        self.path.unlink(missing_ok=True)
        if self.to == "postgres":
            execute(self.url, "drop schema public cascade; create schema public")

    def fingerprint(self) -> str | None:
        """Return what is there, or None."""
        try:
            return dlbackup.info(self.address, fingerprint=True).fingerprint
        except errors.NotALake:
            return None

    def is_alone(self) -> bool:
        """Tell whether nothing of ours is beside it."""
        if self.to == "postgres":
            return schemas(self.url) == {"public"}
        return [path.name for path in self.folder.iterdir()] == [self.path.name]


@pytest.mark.parametrize(
    ("version", "spec", "other"),
    [
        *((*GENERATIONS[0], "duckdb"), (*GENERATIONS[1], "postgres")),
        *(long(*GENERATIONS[0], "postgres"), long(*GENERATIONS[1], "duckdb")),
    ],
)
def test_sqlite_to_others_and_back(
    version: str, spec: str, other: str, file_lakes: FileLakes, database: str, tmp_path: Path
) -> None:
    """A lake with inlined rows of every type means the same in all kinds, and is written to in each."""
    lake = file_lakes.copy("inlined", version, tmp_path, "sqlite")
    ends = ("first", "last")
    before: Hashes = lake.read_by(ends)
    there = database if other == "postgres" else str(tmp_path / "lake.ducklake")
    back = tmp_path / "it's a ?lake# ünd so.sqlite"

    first = _dumped(str(lake.path), tmp_path)
    moved = dlbackup.restore(first, there)
    second = _dumped(there, tmp_path)
    dlbackup.restore(second, f"sqlite:{back}")

    assert moved.spec_version == spec
    assert dlbackup.check(there).ok
    assert dlbackup.check(f"sqlite:{back}").ok
    assert dlbackup.info(f"sqlite:{back}", fingerprint=True).fingerprint == second.fingerprint == moved.fingerprint
    # Quotes in lists 1.5 writes in another way than it reads them; what it reads is what goes along.
    assert (second.fingerprint == first.fingerprint) == (version == "1.4.4")
    assert hash_lake(lake.engine, there, moved.schema, ends) == before
    assert lake.read_by(ends, back) == before
    assert _writes_on(lake.engine, there, moved.schema) == _writes_on(lake.engine, f"sqlite:{back}", "main")


_LINE_ENDS = (
    "call lake.set_option('data_inlining_row_limit', 100)",
    "create table lake.t (i integer, s varchar)",
    "insert into lake.t values (1, 'a' || chr(13) || chr(10) || 'b'), (2, 'c')",
    "comment on table lake.t is 'one\r\ntwo'",
    'create view lake.v as select i as "x\r\ny", s from lake.t',
)


def test_line_ends_go_along(database: str, tmp_path: Path) -> None:
    """Texts that stand as bytes in a SQLite file's backup are texts in all kinds, and mean the same."""
    made = with_sqlite(engine("1.5.5"))
    made.run(database, None, _LINE_ENDS, data_path=tmp_path / "data")
    places = [f"sqlite:{tmp_path}/one.sqlite", f"duckdb:{tmp_path}/two.ducklake", f"sqlite:{tmp_path}/three.sqlite"]
    query = ["select * from lake.v order by 1", "select comment from duckdb_tables() where table_name = 't'"]
    said = made.run(database, "public", query)
    meant = dlbackup.info(database, fingerprint=True).fingerprint

    for source, target in pairwise([database, *places]):
        assert dlbackup.copy(source, target).fingerprint == meant
        assert made.run(target.removeprefix("duckdb:"), "main", query) == said
    execute(database, "drop schema public cascade; create schema public")
    assert dlbackup.copy(places[-1], database).fingerprint == meant
    assert made.run(database, "public", query) == said


_UNREAD = r"table main\.t \(ducklake_inlined_data_1_1\) holds inlined values that DuckDB doesn't read, in column s$"


def test_values_that_nobody_reads_are_refused(tmp_path: Path) -> None:
    """The advice is no flush, which fails too; with the text corrected, DuckDB reads it, and the lake moves."""
    made, file, copy = with_sqlite(engine("1.5.5")), tmp_path / "lake.sqlite", str(tmp_path / "copy.ducklake")
    steps = [
        "call lake.set_option('data_inlining_row_limit', 100)",
        """create table lake.t (s struct("it's" varchar))""",
        """insert into lake.t values ({'it''s': 'a'})""",
    ]
    made.run(f"sqlite:{file}", None, steps, data_path=tmp_path / "data")

    with pytest.raises(errors.NotCarried, match=_UNREAD) as refused:
        dlbackup.copy(f"sqlite:{file}", copy)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("update ducklake_inlined_data_1_1 set s = ?", [r"{'it\'s': 'a'}"])
        connection.commit()
    dlbackup.copy(f"sqlite:{file}", copy)

    assert r"'it\'s' instead of 'it''s'" in refused.value.hint
    query = ["select s::varchar from lake.t"]
    assert made.run(f"sqlite:{file}", None, query) == made.run(copy, None, query)


@pytest.mark.parametrize("kind", ["postgres", "duckdb", "sqlite"])
def test_nan_with_a_sign_is_nan(
    kind: str, database: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What 0.0 / 0.0 gives, and only PostgreSQL prints without its sign, is the same number to DuckDB."""
    monkeypatch.setattr("dlbackup.transfer.witness.probe", probe)
    made = with_sqlite(engine("1.5.5"))
    lakes = {"postgres": database, "duckdb": f"{tmp_path}/one.ducklake", "sqlite": f"sqlite:{tmp_path}/one.sqlite"}
    steps = [
        "call lake.set_option('data_inlining_row_limit', 100)",
        "create table lake.t (d double, f float, l double[])",
        "insert into lake.t values (0.0::double / 0.0, '-nan', ['-nan']), ('nan', 'nan', ['nan']), (-0.0, 0.1, [-0.0])",
    ]
    made.run(lakes[kind], None, steps, data_path=tmp_path / "data")
    query = ["select rowid, isnan(d), isnan(f), isnan(l[1]), d = 'nan' from lake.t order by rowid"]
    said = made.run(lakes[kind], None, query)

    with server.database() as other:
        for target in (other, f"{tmp_path}/two.ducklake", f"sqlite:{tmp_path}/two.sqlite"):
            assert dlbackup.copy(lakes[kind], target).source_read
            assert made.run(target, None, query) == said


@pytest.mark.parametrize("number", ["-nan", "2"])
def test_texts_that_no_engine_writes_are_refused(number: str, database: str, tmp_path: Path) -> None:
    """They may be values that were read wrongly; that a NaN beside them loses its sign is no excuse."""
    made, file = with_sqlite(engine("1.5.5")), tmp_path / "lake.sqlite"
    steps = [
        "call lake.set_option('data_inlining_row_limit', 100)",
        "create table lake.t (n double, d date)",
        f"insert into lake.t values ('{number}', '2020-01-02')",
    ]
    made.run(f"sqlite:{file}", None, steps, data_path=tmp_path / "data")
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("update ducklake_inlined_data_1_1 set d = '2020-1-2'")
        connection.commit()

    with pytest.raises(errors.RestoredOtherwise, match="read otherwise when they are written again"):
        dlbackup.copy(f"sqlite:{file}", database)

    assert execute(database, "select count(*) from pg_tables where schemaname = 'public'") == [(0,)]


def test_what_sqlite_cant_hold_is_refused(lake: LakeFactory, tmp_path: Path) -> None:
    """The number NaN, which 1.4 would store as NULL: by name, and no file is there; nor is it for too many columns."""
    made = lake("plain", "0.3")
    odd = ("create table lake.odd (d double)", "insert into lake.odd values ('nan')")
    made.engine.run(made.url, made.schema, ["call lake.set_option('data_inlining_row_limit', 100)", *odd])

    with pytest.raises(errors.NotCarried, match="in column d"):
        dlbackup.copy(made.url, f"sqlite:{tmp_path}/lake.sqlite")

    assert not (tmp_path / "lake.sqlite").exists()


def test_columns_change_their_types(database: str, tmp_path: Path) -> None:
    """Of which type the rows in an inlined table are says the lake's table as it was when that one was made."""
    made, file = with_sqlite(engine("1.5.5")), tmp_path / "lake.sqlite"
    changes = [
        "call lake.set_option('data_inlining_row_limit', 100)",
        "create table lake.odd (a float, b boolean, c integer, d decimal(3, 2))",
        "insert into lake.odd values (0.1, true, 1, 0.25)",
        "alter table lake.odd alter a type double",
        "insert into lake.odd values (0.1, false, 2, 0.50)",
        "alter table lake.odd drop b",
        "alter table lake.odd add b uuid",
        "alter table lake.odd rename c to C2",
        "insert into lake.odd values (0.2, 3, 1.5, '12345678-1234-5678-1234-567812345678')",
    ]
    made.run(f"sqlite:{file}", None, changes, data_path=tmp_path / "data")
    before = hash_lake(made, f"sqlite:{file}", "main", None)

    moved = dlbackup.copy(str(file), database)

    assert moved.fingerprint == dlbackup.info(str(file), fingerprint=True).fingerprint
    assert hash_lake(made, database, "public", None) == before
