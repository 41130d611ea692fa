"""dlbackup's own schemas: whose they are, and whether their maker lives."""

import threading
from pathlib import Path

import psycopg
import pytest
from support.cli import Cli
from support.comparison import execute
from support.lakes.lakes import LakeFactory
from support.waiting import wait_until

from dlbackup.addresses.address import parse_address
from dlbackup.catalogs.postgres.schemas import claimed, drop_left, own_name, own_schemas_of
from dlbackup.catalogs.postgres.sessions import connect

_ALIKE = [f"tenant_550e8400_e29b_41d4_a716_446655440000_of_the_north_sea_{n}" for n in "ab"]


@pytest.mark.parametrize("kind", ["restoring", "dropped", "rehearsal"])
def test_schema_of_a_living_maker_stays(database: str, kind: str) -> None:
    """What a run left is dropped by the next; what a run that lives has made is not, nor another tenant's."""
    names = {schema: own_name(kind, schema) for schema in _ALIKE}
    for name in names.values():
        execute(database, f'create schema "{name}"', f'create table "{name}".ducklake_snapshot (i int)')
    address = parse_address(database)
    with connect(address) as maker, connect(address) as next_one:
        with claimed(maker, names[_ALIKE[0]]):
            drop_left(next_one, _ALIKE[0], [kind])
            assert own_schemas_of(next_one, _ALIKE[0], kind) == [names[_ALIKE[0]]]

        drop_left(next_one, _ALIKE[0], [kind])
        assert own_schemas_of(next_one, _ALIKE[0], kind) == []
        assert own_schemas_of(next_one, _ALIKE[1], kind) == [names[_ALIKE[1]]]


def test_maker_that_is_killed_lives_no_longer(database: str) -> None:
    """The claim is gone with the maker's session, whatever ended that."""
    name = own_name("restoring", "public")
    execute(database, f'create schema "{name}"')
    address = parse_address(database)
    with connect(address) as maker, connect(address) as next_one, claimed(maker, name):
        execute(database, f"select pg_terminate_backend({maker.info.backend_pid})")
        wait_until(lambda: not _is_connected(database, maker.info.backend_pid))

        drop_left(next_one, "public")
        assert own_schemas_of(next_one, "public", "restoring") == []


def _is_connected(url: str, pid: int) -> bool:
    with psycopg.connect(url) as connection:
        return connection.execute("select from pg_stat_activity where pid = %s", [pid]).fetchone() is not None


def test_rehearsals_in_one_database_leave_each_other_alone(
    lake: LakeFactory, database: str, cli: Cli, tmp_path: Path
) -> None:
    """Backups of catalogs of one name, rehearsed at once in one scratch database, are all good."""
    backups = []
    for number in range(2):
        made = lake("plain", "0.3")
        backups.append(cli("dump", made.url, "--json", "-o", str(tmp_path / f"{number}.sql.zst")).json()["path"])
    ends: list[tuple[int, str]] = []

    def rehearse(backup: str) -> None:
        for _ in range(2):
            done = cli("verify", backup, "--rehearse", database)
            ends.append((done.exit_code, done.stdout + done.stderr))

    threads = [threading.Thread(target=rehearse, args=[backup]) for backup in backups]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [code for code, _ in ends] == [0] * 4, ends
    with psycopg.connect(database) as connection:
        assert connection.execute("select from pg_namespace where nspname like 'dlbackup%'").fetchall() == []
