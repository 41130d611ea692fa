"""A base and the history of its server: crashes, promotions, base backups. All of them are really made."""

import random
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import psycopg
import pytest
from support.comparison import execute
from support.lakes.divided import STATISTICS, many, same_bytes
from support.lakes.lakes import Lake
from support.longer import long
from support.servers.servers import Server, Servers, majors, server_kind
from support.waiting import wait_until

from dlbackup import Backup, dump, restore
from dlbackup.runtime.progress import Event


@pytest.fixture(autouse=True)
def pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Divide tables into small pieces."""
    if server_kind() != "docker":
        pytest.skip("a server of its own needs containers: PG_TEST_ENGINE=docker")
    monkeypatch.setattr("dlbackup.transfer.dumping.PIECE_PAGES", 8)


@pytest.fixture
def lake_into(plain: Lake, tmp_path: Path) -> Callable[[Server], str]:
    """Return what puts a lake with a divided table into a server of its own, and returns its URL."""

    def put(server: Server) -> str:
        url = server.create_database("lake")
        restore(dump(plain.url, tmp_path / "lake.zst").path, url)
        execute(url, many(), "checkpoint")
        return url

    return put


def _said(url: str, base: Backup, folder: Path) -> tuple[Backup, list[str]]:
    """Dump with a base, hold that against a plain dump, and return it with what was said."""
    heard: list[str] = []

    def listen(event: Event) -> None:
        heard.append(event.message)

    taken = dump(url, folder / f"taken-{random.random()}.zst", base=base.path, on_event=listen)
    assert same_bytes(taken, dump(url, folder / f"plain-{random.random()}.zst"))
    return taken, [text for text in heard if "can't be the base" in text]


def _goes(url: str) -> bool:
    with suppress(psycopg.Error):
        return bool(execute(url, "select not pg_is_in_recovery()") == [(True,)])
    return False


def _signal(server: Server, url: str, process: str, name: str) -> None:
    ((pid,),) = execute(url, f"select pid from pg_stat_activity where backend_type = '{process}'")
    server.run("sh", "-c", f"kill -{name} {pid}")


@pytest.mark.parametrize("major", [*map(long, majors()[:1]), majors()[-1]] if majors()[1:] else majors())
def test_a_crash_that_loses_commits(
    servers: Servers, lake_into: Callable[[Server], str], major: int, tmp_path: Path
) -> None:
    """
    With `synchronous_commit = off` a crash may lose what a base has, and transactions get the same numbers again.

    Servers keep statistics in two ways, of which the older one is met with --all.
    The lost rows are written once more, to the same pages, with other values: as many, and none looks new.
    """
    with servers.with_settings(major, synchronous_commit="off") as server:
        url = lake_into(server)
        _signal(server, url, "walwriter", "STOP")
        (number,) = execute(url, f"insert into {STATISTICS} (data_file_id) values (1) returning xmin::text")
        base = dump(url, tmp_path / "base.zst")
        _signal(server, url, "checkpointer", "KILL")
        wait_until(partial(_goes, url))

        rows = execute(url, f"select count(*) from {STATISTICS} where data_file_id = 1")
        again = execute(url, f"insert into {STATISTICS} (data_file_id) values (2) returning xmin::text")

        _, said = _said(url, base, tmp_path)
        assert "crashed" in said[0]
        assert (rows, again) == ([(0,)], [number])  # otherwise nothing was shown


def test_a_base_backup_of_the_server(servers: Servers, lake_into: Callable[[Server], str], tmp_path: Path) -> None:
    """A server that was restored to an earlier point, on the same timeline, hands out the same numbers again."""
    with servers.with_settings(majors()[0]) as server:
        url = lake_into(server)
        with servers.with_copy(server) as restored:
            (number,) = execute(url, f"insert into {STATISTICS} (data_file_id) values (1) returning xmin::text")
            base = dump(url, tmp_path / "base.zst")
            earlier = restored.url_of("lake")
            again = execute(earlier, f"insert into {STATISTICS} (data_file_id) values (2) returning xmin::text")

            _, said = _said(earlier, base, tmp_path)

            assert "started again" in said[0]
            assert again == [number]


def test_a_promoted_standby(servers: Servers, lake_into: Callable[[Server], str], tmp_path: Path) -> None:
    """It goes on from another point of the history: another timeline, and another server process."""
    with servers.with_settings(majors()[-1]) as server:
        url = lake_into(server)
        base = dump(url, tmp_path / "base.zst")
        with servers.with_standby(server) as standby:
            other = standby.url_of("lake")
            ((position,),) = execute(url, "select pg_current_wal_lsn()")
            wait_until(lambda: execute(other, f"select pg_last_wal_replay_lsn() >= '{position}'") == [(True,)])
            _, following = _said(other, base, tmp_path)
            execute(other, "select pg_promote()")
            wait_until(partial(_goes, other))
            execute(other, f"update {STATISTICS} set max_value = 'p' where data_file_id = 1000001")

            _, said = _said(other, base, tmp_path)

        assert "the server doesn't tell" in following[0]
        assert "timeline" in said[0]
