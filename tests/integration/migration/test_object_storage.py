"""Lakes whose data files are in object storage, where no extension server is reached."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import pytest
from support.cli import Cli
from support.engines.engines import Engine, engine_of
from support.faults.faults import state
from support.lakes.lakes import Lake, hash_lake
from support.servers.object_store import BUCKET, ObjectStore
from support.servers.postgres import Server

import dlbackup
from dlbackup.engine.child import WHEELS
from dlbackup.engine.engine import Engine as OurEngine
from dlbackup.engine.engine import probe
from dlbackup.errors import EngineError

_STEPS = [
    "create table lake.visits (day date, path varchar)",
    "insert into lake.visits select date '2024-01-05' + range::int % 90, '/' || range from range(1200)",
    "delete from lake.visits where path like '%7'",
    "create schema lake.sales",
    "create table lake.sales.orders as select range as id, 'order ' || range as what from range(2000)",
]
_PACKAGE = "pip install duckdb-extension-httpfs==1.5.5"
OFFLINE = {
    "HTTP_PROXY": "http://127.0.0.1:9",
    "HOME": "/nonexistent",
}
"""No extension server answers, nor any other; no extension was installed before, and nobody has keys."""


@pytest.fixture
def remote(store: ObjectStore, server: Server, request: pytest.FixtureRequest) -> Iterator[Lake]:
    """A lake of 0.3 in the store, or of the version that the test asks for."""
    engine = store.engine(getattr(request, "param", "0.3"))
    with server.database() as url:
        path = f"s3://{BUCKET}/{url.rpartition('/')[2]}"
        engine.run(url, "public", _STEPS, data_path=path)
        yield Lake(url, "public", Path(path), engine.spec, engine, server)


def _readings(lake: Lake, engine: Engine) -> set[tuple[str, str, str]]:
    """Return what each table holds at the first and the newest snapshot."""
    return {(schema, table, text) for (_, schema, table), text in hash_lake(engine, lake.url, lake.schema).items()}


@pytest.mark.parametrize("remote", ["0.3", pytest.param("0.4", marks=pytest.mark.long)], indirect=True)
def test_lake_in_object_storage_migrates_and_comes_back(remote: Lake, store: ObjectStore, cli: Cli) -> None:
    """Planned, migrated with a rehearsal and taken back without a key: no data file is read, and all read as before."""
    before, was = _readings(remote, remote.engine), state(remote.url)

    planned = cli("plan", remote.url, "--json", env=OFFLINE).json()
    assert (planned["to_version"], planned["blockers"]) == ("1.0", [])
    migrated = cli("migrate", remote.url, "--json", env=OFFLINE).json()
    assert migrated["outcome"] == "migrated"
    assert _readings(remote, store.engine("1.0")) == before

    undone = cli("restore", migrated["backup"], remote.url, "--replace", env=OFFLINE)
    assert undone.exit_code == 0, undone.stderr
    assert state(remote.url)[1:] == was[1:]
    assert _readings(remote, remote.engine) == before


@pytest.mark.long
@pytest.mark.parametrize("remote", ["0.2"], indirect=True)
def test_older_engine_finds_its_own_wheels(remote: Lake, store: ObjectStore, cli: Cli) -> None:
    """The engine of the first of two steps has its own httpfs, in its own environment."""
    before = _readings(remote, remote.engine)

    done = cli("migrate", remote.url, "--engine", store.engine("0.3").python, "--json", env=OFFLINE)

    assert (done.json()["from_version"], done.json()["to_version"]) == ("0.2", "1.0")
    assert _readings(remote, store.engine("1.0")) == before


@pytest.mark.long
def test_backup_of_a_lake_in_object_storage_is_rehearsed(remote: Lake, database: str, cli: Cli) -> None:
    """A rehearsal restores, migrates and opens a copy whose data files are in the store."""
    backup = cli("dump", remote.url, "--json", env=OFFLINE).json()["path"]

    done = cli("verify", backup, "--rehearse", database, "--json", env=OFFLINE)

    assert (done.exit_code, done.json()["findings"]) == (0, [])


def test_missing_httpfs_is_said_before_anything_is_done(remote: Lake, cli: Cli) -> None:
    """An engine without the extension blocks: the package is named, and neither catalog nor backup was touched."""
    was = state(remote.url)
    plain = ("--engine", engine_of("1.0").python)

    (blocker,) = cli("plan", remote.url, "--json", *plain, env=OFFLINE).json()["blockers"]
    done = cli("migrate", remote.url, "--json", *plain, env=OFFLINE)

    assert _PACKAGE in blocker["hint"]
    assert "needs its extension httpfs" in blocker["message"]
    assert (done.exit_code, done.json()["error"]["type"]) == (1, "EngineError")
    assert _PACKAGE in done.json()["error"]["hint"]
    assert state(remote.url) == was
    assert not list(cli.cwd.glob("*.zst"))


@pytest.mark.long
def test_lake_on_this_machine_needs_no_httpfs(plain: Lake, cli: Cli) -> None:
    """A lake whose files are here is migrated by an engine that hasn't the extension."""
    done = cli("migrate", plain.url, "--engine", engine_of("1.0").python, "--json", env=OFFLINE)

    assert done.json()["outcome"] == "migrated"


def test_extension_is_loaded_once_and_only_where_it_is_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Paths on this machine cost no job; a store's one, and no second."""
    jobs = []
    ask = OurEngine._there

    def counted(engine: OurEngine) -> object:
        jobs.append(engine)
        return ask(engine)

    monkeypatch.setattr(OurEngine, "_there", counted)
    with probe() as engine:
        engine.reach(["/data/", "file:///data/", "lake/", ""])
        assert not jobs
        engine.reach(["s3://a/b/"])
        engine.reach(["s3://c/d/", "gs://e/"])
        assert len(jobs) == 1


def test_program_attaches_a_lake_in_object_storage(remote: Lake, store: ObjectStore, tmp_path: Path) -> None:
    """The wheel is found for a program's own connection, which has its own key; the lake is migrated first."""
    with duckdb.connect(config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}) as mine:
        done = dlbackup.attach(mine, remote.url, migrate="backup-first", backup_dir=tmp_path)
        mine.execute(store.secret())

        assert done.migration is not None
        assert mine.execute("select count(*), min(path) from lake.visits").fetchall() == [(1080, "/0")]


def test_program_makes_a_lake_in_object_storage(database: str, store: ObjectStore) -> None:
    """A new lake's data path says what the connection needs."""
    with duckdb.connect(config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}) as mine:
        path = f"s3://{BUCKET}/made/"
        dlbackup.attach(mine, database, create=True, DATA_PATH=path)
        mine.execute(store.secret())
        mine.execute("create table lake.t as select range as i from range(1000)")

        assert mine.execute("select sum(i) from lake.t").fetchall() == [(499500,)]
    assert list(store.file(path).glob("**/*.parquet"))


@pytest.mark.parametrize("remote", ["1.0"], indirect=True)
def test_program_without_httpfs_is_told_the_package(
    remote: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the extension can't be had, the error of attach names what brings it."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setitem(WHEELS, "httpfs", "nowhere")

    mine = duckdb.connect(config={"extension_directory": str(tmp_path)})
    with closing(mine), pytest.raises(EngineError, match="loading the extension httpfs") as caught:
        dlbackup.attach(mine, remote.url)
    assert _PACKAGE in caught.value.hint
