"""Engines that fail, sessions that are lost, locks that can't be had: after each the state is known and proved."""

import shlex
import signal
import threading
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.cli import Cli, Finished
from support.comparison import execute
from support.faults.faults import (
    OPENS,
    children,
    engine_that,
    failed,
    new_role,
    nothing_left,
    one,
    pause,
    sql_commits,
    started,
    state,
)
from support.lakes.lakes import Lake
from support.waiting import wait_until

_INSERT = "insert into lake.sales.customers values (900, 'after')"


def _migrate(cli: Cli, made: Lake, *words: str | Path) -> Finished:
    return cli("migrate", made.url, "--json", "--no-rehearsal", *words)


def _writes(made: Lake) -> bool:
    """Commit as a client does; tell whether the row is there."""
    count = "select count(*) from lake.sales.customers where id = 900"
    return made.engine.run(made.url, made.schema, [_INSERT, count])[1] == [[1]]


_FAILS = {
    "raises": ('raise real.IOException("no space left")', "no space left"),
    "raises-a-secret": ('raise real.IOException("connection to " + statement + os.environ["PGPASSWORD"])', "IOExc"),
    "hangs": ("time.sleep(600)", "did not answer within 2 s"),
    "aborts": ("os.abort()", "SIGABRT"),
    "is-killed": ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
    "ends-silently": ("os._exit(3)", "status 3 and no answer"),
    "answers-garbage": ("os.write(1, b'}{ \\xff'); os._exit(0)", "status 0 and no answer"),
    "answers-null": ("os.write(1, b'null'); os._exit(0)", "no answer"),
    "never-stops": ("while True: os.write(1, b'x' * 9999)", "more than"),
    "says-done-and-did-nothing": ("""os.write(1, b'{"results": [[], [], []]}'); os._exit(0)""", "'0.3' behind"),
}


_ALIKE = (
    *("raises", "is-killed", "ends-silently", "answers-null"),
    *("migrates-and-hangs", "migrates-and-raises", "migrates-and-can't-open"),
)
"""Ways to fail that end as others do."""


def _faults(names: Iterable[str]) -> list[Any]:
    return [pytest.param(name, marks=[pytest.mark.long] if name in _ALIKE else []) for name in names]


@pytest.mark.parametrize("fault", _faults(_FAILS))
def test_failing_engine_leaves_the_catalog(plain: Lake, cli: Cli, tmp_path: Path, fault: str) -> None:
    """An engine that fails without a change ends in exit 5, proved; nothing is left and writers go on."""
    code, words = _FAILS[fault]
    before = state(plain.url)

    done = _migrate(cli, plain, "--engine", engine_that(tmp_path, before=code), "--attach-timeout", "2")

    message = failed(done, 5, "Unchanged", "unchanged")
    assert words in message
    assert plain.server.password not in done.stdout + done.stderr
    assert (cli.cwd / done.json()["backup"]).exists()
    assert state(plain.url) == before
    nothing_left(plain)
    if fault == "aborts":
        assert _writes(plain)


_LOSES_ROWS = "delete from ducklake_data_file where data_file_id = (select max(data_file_id) from ducklake_data_file)"
_PARTIAL = (
    "alter table ducklake_table add column more bigint; drop table ducklake_view; delete from ducklake_column;"
    " update ducklake_metadata set value = '0.4' where key = 'version'; create table ducklake_extra (x bigint)"
)


def _changes(url: str) -> dict[str, tuple[dict[str, str], str]]:
    raises = '\nraise real.IOException("too late")'
    return {
        "migrates-and-aborts": ({"after": "os.abort()"}, "SIGABRT"),
        "migrates-and-hangs": ({"after": "time.sleep(600)"}, "did not answer"),
        "migrates-and-raises": ({"after": raises.strip()}, "too late"),
        "migrates-and-can't-open": ({"before": "os.abort()", "statement": OPENS}, "SIGABRT"),
        "migrates-and-loses-rows": ({"after": sql_commits(url, _LOSES_ROWS)}, "table ducklake_data_file has"),
        "changes-a-part": ({"before": sql_commits(url, _PARTIAL) + raises}, "too late"),
        "changes-only-the-version": (
            {
                "before": sql_commits(url, "update ducklake_metadata set value = '1.0' where key = 'version'")
                + """\nos.write(1, b'{"results": [[], [], []]}'); os._exit(0)"""
            },
            "ducklake_file_variant_stats is missing",
        ),
    }


@pytest.mark.parametrize("fault", _faults(_changes("")))
def test_engine_that_fails_after_a_change_is_undone(plain: Lake, cli: Cli, tmp_path: Path, fault: str) -> None:
    """A change that an engine committed before it failed is taken back, proved: exit 6; the next one succeeds."""
    code, words = _changes(plain.url)[fault]
    before = state(plain.url)

    done = _migrate(cli, plain, "--engine", engine_that(tmp_path, **code), "--attach-timeout", "5")

    message = failed(done, 6, "RolledBack", "rolled-back")
    assert words in message
    assert state(plain.url) == before
    assert one(plain.url, "select count(*) from pg_namespace where nspname like 'dlbackup%'") == 0
    nothing_left(plain)
    if fault == "changes-a-part":
        assert _writes(plain)
        assert _migrate(cli, plain).json()["outcome"] == "migrated"


def _lays(other: str | Path, over: Path) -> str:
    """Return lines for an engine that lays another backup over each in a folder."""
    return f"""
import shutil
for path in Path({str(over)!r}).glob("ducklake-*.sql.zst"):
    shutil.copyfile({str(other)!r}, str(path) + ".new")
    os.replace(str(path) + ".new", path)
""".strip()


@pytest.mark.parametrize("state_of_other", ["same", "other"])
def test_another_backup_in_the_verified_one_s_place_is_not_restored(
    plain: Lake, cli: Cli, tmp_path: Path, state_of_other: str
) -> None:
    """A good backup that took the verified one's name is refused by the undo: exit 7, and never called proved."""
    other = tmp_path / "other.zst"
    if state_of_other == "other":
        execute(plain.url, "insert into ducklake_metadata values ('other', 'state')")
    assert cli("dump", plain.url, "-o", other, "--level", "2").exit_code == 0
    execute(plain.url, "delete from ducklake_metadata where key = 'other'")
    engine = engine_that(tmp_path, after=_lays(other, cli.cwd) + "\nos.abort()")

    done = _migrate(cli, plain, "--engine", engine)

    message = failed(done, 7, "NeedsPerson", "needs-person")
    assert "not the backup that was verified" in message
    assert "proved" not in message
    assert (cli.cwd / done.json()["backup"]).read_bytes() == other.read_bytes()
    assert state(plain.url)[0].spec_version == "1.0"
    nothing_left(plain)


def test_another_backup_in_the_verified_one_s_place_is_not_checked(plain: Lake, cli: Cli, tmp_path: Path) -> None:
    """What was broken before is read from the verified backup: a rehearsal that finds another there has failed."""
    other = tmp_path / "other.zst"
    execute(plain.url, "update ducklake_table_stats set next_row_id = 1")
    assert cli("dump", plain.url, "-o", other, "--level", "2").exit_code == 0
    before = state(plain.url)
    engine = engine_that(tmp_path, after=_lays(other, cli.cwd))

    done = cli("migrate", plain.url, "--json", "--engine", engine)

    assert (done.exit_code, done.json()["error"]["type"]) == (1, "RehearsalFailed")
    assert "not the backup that was verified" in done.json()["error"]["message"]
    assert state(plain.url) == before
    nothing_left(plain)


def test_snapshot_committed_behind_a_lost_fence_is_kept(plain: Lake, cli: Cli, tmp_path: Path) -> None:
    """When the fence is lost and a snapshot comes in, it is never overwritten: exit 7, and a person decides."""
    code = sql_commits(
        plain.url,
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'dlbackup-fence';"
        " insert into ducklake_snapshot select 1000, now(), schema_version, next_catalog_id, next_file_id"
        " from ducklake_snapshot order by snapshot_id desc limit 1",
    )

    done = _migrate(cli, plain, "--engine", engine_that(tmp_path, after=code + "\nos.abort()"))

    message = failed(done, 7, "NeedsPerson", "needs-person")
    assert "could not be undone" in message
    assert "dlbackup restore" in done.json()["error"]["hint"]
    assert plain.server.password not in done.stdout + done.stderr
    assert state(plain.url)[0].snapshot_id == 1000
    nothing_left(plain)


def test_lost_fence_without_any_change_is_proved_unchanged(plain: Lake, cli: Cli, tmp_path: Path) -> None:
    """When the fence is lost and the engine fails without a change, that is still exit 5."""
    code = sql_commits(
        plain.url,
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'dlbackup-fence'",
    )
    before = state(plain.url)

    done = _migrate(cli, plain, "--engine", engine_that(tmp_path, before=code + "\nos.abort()"))

    failed(done, 5, "Unchanged", "unchanged")
    assert state(plain.url) == before


def test_lost_fence_under_a_good_migration_needs_a_person(plain: Lake, cli: Cli, tmp_path: Path) -> None:
    """When the fence is lost, commits may have come through, so that even a good migration is not called done."""
    code = sql_commits(
        plain.url,
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'dlbackup-fence'",
    )

    done = _migrate(cli, plain, "--engine", engine_that(tmp_path, after=code))

    assert "fence was lost" in failed(done, 7, "NeedsPerson", "needs-person")
    assert state(plain.url)[0].spec_version == "1.0"


def test_waiting_client_that_can_t_be_ended_undoes_the_migration(plain: Lake, cli: Cli, tmp_path: Path) -> None:
    """A commit that waits at the fence must not come through: when it can't be ended, the migration is taken back."""
    before = state(plain.url)
    marker, go = tmp_path / "marker", tmp_path / "go"
    engine = engine_that(tmp_path, before=pause(marker, go))
    with new_role(plain, "secret", owner=True) as url, psycopg.connect(plain.url) as client:
        owned = state(plain.url)
        words = ("migrate", url, "--json", "--no-rehearsal", "--ignore-clients", "--engine", engine)
        with started(cli, *words) as running:
            wait_until(marker.exists)
            waiting = threading.Thread(target=client.execute, args=["lock table ducklake_snapshot in exclusive mode"])
            waiting.start()
            wait_until(lambda: one(plain.url, "select count(*) from pg_locks where not granted"))
            go.touch()
            done = running.end()
        waiting.join()
        client.rollback()

        assert "no right to end other sessions" in failed(done, 6, "RolledBack", "rolled-back")
        assert state(plain.url) == owned
    assert state(plain.url) == before


def test_vacuum_that_waits_at_the_fence_goes_on(plain: Lake, cli: Cli, tmp_path: Path) -> None:
    """It commits nothing, and need not be ended; a role that is no superuser couldn't end the server's own."""
    marker, go = tmp_path / "marker", tmp_path / "go"
    engine = engine_that(tmp_path, before=pause(marker, go))
    with (
        new_role(plain, "secret", owner=True) as url,
        psycopg.connect(plain.url, autocommit=True) as client,
        started(cli, "migrate", url, "--json", "--no-rehearsal", "--ignore-clients", "--engine", engine) as running,
    ):
        wait_until(marker.exists)
        waiting = threading.Thread(target=client.execute, args=["vacuum ducklake_snapshot"])
        waiting.start()
        wait_until(lambda: one(plain.url, "select count(*) from pg_locks where not granted"))
        go.touch()
        done = running.end()
        waiting.join()

        assert (done.exit_code, done.json()["outcome"]) == (0, "migrated"), done
        assert client.execute("select 1").fetchone() == (1,)


_ENDS_ALL = "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'dlbackup%'"


def test_lost_sessions_are_made_anew(plain: Lake, cli: Cli, tmp_path: Path) -> None:
    """When all sessions are lost before the engine has changed anything, that is proved on another one: exit 5."""
    before = state(plain.url)

    code = sql_commits(plain.url, _ENDS_ALL)
    done = _migrate(cli, plain, "--engine", engine_that(tmp_path, before=code + "\nos.abort()"))

    failed(done, 5, "Unchanged", "unchanged")
    assert state(plain.url) == before
    nothing_left(plain)


def test_lost_server_needs_a_person(plain: Lake, cli: Cli, tmp_path: Path) -> None:
    """When the server lets nobody in after the attach, the state can't be proved: exit 7, with what to do."""
    before = state(plain.url)
    closing_time = f'alter database "{plain.dbname}" allow_connections {{}}'

    code = sql_commits(plain.server.url, f"{closing_time.format('false')}; {_ENDS_ALL}")
    done = _migrate(cli, plain, "--engine", engine_that(tmp_path, before=code + "\nos.abort()"))
    execute(plain.server.url, closing_time.format("true"))

    failed(done, 7, "NeedsPerson", "needs-person")
    assert "dlbackup info" in done.json()["error"]["hint"]
    assert state(plain.url) == before
    assert cli("migrate", plain.url, "--json", "--no-rehearsal").json()["outcome"] == "migrated"


def test_undo_ends_whoever_is_in_its_way(plain: Lake, cli: Cli, tmp_path: Path) -> None:
    """Even with --ignore-clients an undo doesn't wait for a client's transaction: it ends that session."""
    engine = engine_that(tmp_path, after="os.abort()")
    before = state(plain.url)
    with closing(psycopg.connect(plain.url)) as client:
        client.execute("select * from ducklake_tag")
        done = _migrate(cli, plain, "--engine", engine, "--ignore-clients")
        with pytest.raises(psycopg.OperationalError):
            client.execute("select 1")

    failed(done, 6, "RolledBack", "rolled-back")
    assert state(plain.url) == before
    nothing_left(plain)


@pytest.mark.usefixtures("impatient")
def test_undo_that_is_blocked_can_be_done_by_hand(plain: Lake, cli: Cli, tmp_path: Path) -> None:
    """A lock that the undo can't get, of a session that it may not end, is exit 7; the command in the hint works."""
    engine = engine_that(tmp_path, after="os.abort()")
    before = state(plain.url)
    with new_role(plain, "secret", owner=True) as url, psycopg.connect(plain.url) as client:
        owned = state(plain.url)
        client.execute("select * from ducklake_tag")
        done = cli("migrate", url, "--json", "--no-rehearsal", "--engine", engine, "--ignore-clients")
        client.rollback()

        failed(done, 7, "NeedsPerson", "needs-person")
        assert state(plain.url)[0].spec_version == "1.0"
        by_hand = done.json()["error"]["hint"].partition("then dlbackup ")[2]
        undone = cli(*shlex.split(by_hand), "--ignore-clients", env={"PGPASSWORD": "secret"})
        assert undone.exit_code == 0, undone.stderr
        assert state(plain.url) == owned
        assert cli("migrate", url, "--json", "--ignore-clients").json()["outcome"] == "migrated"
    assert state(plain.url) != before


def test_lock_that_the_engine_needs_ends_it_in_time(plain: Lake, cli: Cli) -> None:
    """An idle transaction that has read a table the engine must alter costs no more than the lock timeout."""
    before = state(plain.url)
    with psycopg.connect(plain.url) as client:
        client.execute("select count(*) from ducklake_column")

        done = _migrate(cli, plain, "--ignore-clients", "--lock-timeout", "1")

        assert f"pid {client.info.backend_pid}: " in failed(done, 5, "Unchanged", "unchanged")
    assert done.json()["writer_pause_seconds"] < 10
    assert state(plain.url) == before
    nothing_left(plain)


def test_fence_that_can_t_be_had_is_given_up(plain: Lake, cli: Cli) -> None:
    """A commit that stays open keeps the fence away: refused after the lock timeout, with the option that helps."""
    before = state(plain.url)
    with psycopg.connect(plain.url) as client:
        client.execute("lock table ducklake_snapshot in row exclusive mode")

        done = _migrate(cli, plain, "--ignore-clients", "--lock-timeout", "0.5")

    answer = done.json()
    assert (done.exit_code, answer["error"]["type"]) == (4, "Locked")
    assert "ducklake_snapshot for 0.5 s" in answer["error"]["message"]
    assert "--lock-timeout" in answer["error"]["hint"]
    assert state(plain.url) == before
    nothing_left(plain)


def test_engine_that_fails_in_the_rehearsal_never_meets_the_catalog(plain: Lake, cli: Cli, tmp_path: Path) -> None:
    """What fails on the copy costs no writer anything: exit 1, no fence, and no scratch schema is left."""
    before = state(plain.url)

    done = cli("migrate", plain.url, "--json", "--engine", engine_that(tmp_path, after="os.abort()"))

    assert (done.exit_code, done.json()["error"]["type"]) == (1, "RehearsalFailed")
    assert "SIGABRT" in done.json()["error"]["message"]
    assert "same-state" not in done.stderr
    assert state(plain.url) == before
    assert one(plain.url, "select count(*) from pg_namespace where nspname like 'dlbackup%'") == 0
    nothing_left(plain)


def test_password_is_in_no_process_list(plain: Lake, cli: Cli, tmp_path: Path) -> None:
    """While an engine works, neither its command line nor its environment holds the password."""
    marker = tmp_path / "marker"
    engine = engine_that(tmp_path, before=pause(marker))
    address = (
        f"postgres:host={plain.server.host} port={plain.server.port} dbname={plain.dbname} user={plain.server.user}"
    )
    environment = {"PGPASSFILE": str(tmp_path / "pgpass")}
    (tmp_path / "pgpass").write_text(f"*:*:*:*:{plain.server.password}\n")
    (tmp_path / "pgpass").chmod(0o600)
    with cli.started(
        "migrate", f"{address} password={plain.server.password}", "--no-rehearsal", "--engine", engine, env=environment
    ) as process:
        wait_until(marker.exists)
        engines = children(process.pid)
        seen = [Path(f"/proc/{child}/{name}").read_bytes() for child in engines for name in ("cmdline", "environ")]
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)

    assert process.returncode == 5
    assert engines
    assert not [text for text in (*seen, output, errors) if plain.server.password.encode() in text]
