"""What dump refuses, where it writes, and that nobody waits for it."""

import hashlib
import json
import re
import secrets
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from support.cli import Cli, Finished
from support.comparison import contents, dumped, execute
from support.engines.quoting import text_literal
from support.faults.failures import failure
from support.faults.writers import writer
from support.lakes.lakes import Lake, LakeFactory
from support.lakes.private_lake import private_lake
from support.longer import long
from support.servers.postgres import Server
from support.waiting import blocked, wait_until

from dlbackup import RestoreOptions, dump, restore, verify
from dlbackup.catalogs.postgres.sessions import LOCK_TIMEOUT_MS
from dlbackup.errors import UnsafeStatement, UsageError
from dlbackup.stores.age.x25519 import SecretKey

_UNREADABLE = """
    create role {role} login password 'a-pass-word';
    grant usage on schema public to {role};
    grant select on all tables in schema public to {role};
"""
# What can't be backed up, with words of the message.
_REFUSED = {
    "ducklake_tag is a view": "alter table ducklake_tag rename to tags; create view ducklake_tag as select * from tags",
    "ducklake_tag is a partitioned table": """
        alter table ducklake_tag rename to tags; create table ducklake_tag (x int) partition by list (x)""",
    "ducklake_view is a foreign table": """
        alter table ducklake_view rename to views; create foreign data wrapper none;
        create server nowhere foreign data wrapper none; create foreign table ducklake_view (x int) server nowhere""",
    "column mood of table ducklake_tag has a type that is not built in": """
        create type mood as enum ('sad', 'happy'); alter table ducklake_tag add column mood mood""",
    "column twice of table ducklake_tag is generated": """
        alter table ducklake_tag add column twice bigint generated always as (object_id * 2) stored""",
}


_WAITS_TWO_SECONDS = """
from dlbackup.catalogs.postgres import sessions
for name in ("LOCAL_SETTINGS", "_SESSION_SETTINGS"):
    setattr(sessions, name, getattr(sessions, name).replace("10000", "2000"))
"""


@contextmanager
def _role(made: Lake) -> Iterator[tuple[str, str]]:
    """Yield a new role that may read the catalog, and the URL for it."""
    name = f"reader_{secrets.token_hex(4)}"
    execute(made.url, _UNREADABLE.format(role=name))
    try:
        yield name, made.url.replace(f"//{made.server.user}:{made.server.password}@", f"//{name}:a-pass-word@")
    finally:
        execute(made.url, f"drop owned by {name}", f"drop role {name}")


@contextmanager
def _locked(url: str, table: str) -> Iterator[psycopg.Connection]:
    """Hold an ACCESS EXCLUSIVE lock on a table, as somebody's migration would."""
    with psycopg.connect(url) as session:
        session.execute(f"lock table {table} in access exclusive mode".encode())
        yield session


def _finished(process: subprocess.Popen[bytes], timeout_s: float = 60) -> Finished:
    output, errors = process.communicate(timeout=timeout_s)
    return Finished(process.returncode, output, errors.decode())


@pytest.mark.parametrize("words", _REFUSED)
def test_what_is_no_plain_table_is_refused(lake: LakeFactory, cli: Cli, tmp_path: Path, words: str) -> None:
    """Dump fails and names it where a table is something else, or holds what no backup can carry."""
    made = lake("plain", "0.3")
    execute(made.url, _REFUSED[words])

    done = cli("dump", made.url)

    failure(done, 1, words)
    assert list(tmp_path.iterdir()) == []


def test_unreadable_table_is_refused(lake: LakeFactory, cli: Cli, tmp_path: Path) -> None:
    """A role that may read all tables but one gets no backup; once it may read that one too, it does."""
    made = lake("plain", "0.3")
    with _role(made) as (role, url):
        execute(made.url, f"revoke select on ducklake_view from {role}")

        failure(cli("dump", url), 1, "no right to read ducklake_view", hint="SELECT")
        assert list(tmp_path.iterdir()) == []
        execute(made.url, f"grant select (view_id, sql) on ducklake_view to {role}")
        failure(cli("dump", url), 1, "no right to read ducklake_view")

        execute(made.url, f"grant select on ducklake_view to {role}")
        assert cli("dump", url, "-q", "-o", "good.zst").exit_code == 0
        wanted = dumped(made.url, tmp_path)
        assert contents(tmp_path / "good.zst") == wanted

        execute(made.url, "revoke usage on schema public from public", f"revoke usage on schema public from {role}")
        failure(cli("dump", url, "-o", "bad.zst"), 1, "no right to read", hint="USAGE")
        assert not (tmp_path / "bad.zst").exists()


def test_row_level_security_that_filters_is_refused(lake: LakeFactory, cli: Cli, tmp_path: Path) -> None:
    """A role from whom row-level security hides rows gets no backup; one that sees all rows gets it."""
    made = lake("plain", "0.3")
    execute(made.url, "alter table ducklake_tag enable row level security")
    with _role(made) as (_, url):
        failure(cli("dump", url), 1, "row-level security")

        assert list(tmp_path.iterdir()) == []
        done = cli("dump", made.url, "-q")
        assert done.exit_code == 0
        (path,) = tmp_path.glob("*.zst")
        assert [name for name, (table, _) in contents(path).items() if table.row_security] == ["ducklake_tag"]


def test_what_a_reader_would_refuse_is_not_written(
    lake: LakeFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should reading let a definition through that calls functions, the dump refuses it and makes no file."""
    made = lake("plain", "0.3")
    execute(made.url, "alter table ducklake_snapshot alter next_file_id set default length(now()::text)")
    monkeypatch.setattr("dlbackup.catalogs.postgres.introspection.split_unsafe", lambda table: (table, []))

    with pytest.raises(UnsafeStatement, match="ducklake_snapshot"):
        dump(made.url, tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_what_is_left_out_is_said(lake: LakeFactory, cli: Cli, tmp_path: Path) -> None:
    """Trigger, policy and view on catalog tables are named in the result and, also with -q, as warnings."""
    made = lake("plain", "0.3")
    execute(
        made.url,
        "create view watching as select snapshot_id from ducklake_snapshot",
        "create policy mine on ducklake_tag using (true)",
        "create function noticed() returns trigger language plpgsql as 'begin return new; end'",
        "create trigger noticed after insert on ducklake_snapshot for each row execute function noticed()",
    )

    done = cli("dump", made.url, "--json", "-q")

    left_out = done.json()["left_out"]
    assert len(left_out) == 3
    for word in ("watching", "policy mine", "trigger noticed"):
        assert any(word in text for text in left_out)
    assert done.stderr.splitlines() == [f"warning: not in the backup: {text}" for text in left_out]
    shown = cli("info", done.json()["path"])
    assert all(text in shown.stdout for text in left_out)
    verified = cli("verify", done.json()["path"], "--json").json()
    assert verified["ok"] is True
    assert {finding["rule"] for finding in verified["findings"]} == {"left-out"}


@pytest.mark.parametrize("version", ["2.0", "1.1-dev1", "0.1", "it's \N{SNOWMAN}"])
def test_unknown_version_is_dumped(lake: LakeFactory, server: Server, cli: Cli, version: str) -> None:
    """A catalog of a version without a schema is dumped, verified with a warning, and restored."""
    made = lake("plain", "1.0")
    execute(made.url, f"update ducklake_metadata set value = {text_literal(version)} where key = 'version'")

    done = cli("dump", made.url, "--json").json()
    verified = cli("verify", done["path"], "--json").json()

    assert done["spec_version"] == version
    assert verified["ok"] is True
    assert [(finding["severity"], finding["rule"]) for finding in verified["findings"]] == [
        ("warning", "unknown-version")
    ]
    with server.database() as url:
        assert cli("restore", done["path"], url, "--json").json()["spec_version"] == version
        assert cli("info", url, "--json").json()["spec_version"] == version


def test_catalog_without_one_version_does_not_verify(lake: LakeFactory, cli: Cli) -> None:
    """A catalog with two versions, or none, can be dumped, and verify says that it isn't healthy."""
    made = lake("plain", "0.3")
    for number, statement in enumerate(
        (
            "insert into ducklake_metadata (key, value) values ('version', '1.0')",
            "delete from ducklake_metadata where key = 'version'",
        )
    ):
        execute(made.url, statement)

        assert cli("dump", made.url, "-o", f"backup{number}.zst").exit_code == 0

        failure(cli("verify", f"backup{number}.zst"), 3, "versions")


def test_result_says_what_was_written(lake: LakeFactory, cli: Cli, tmp_path: Path) -> None:
    """Without -o a new file in the current folder has the default name, only the owner may read it, the JSON fits."""
    made = lake("plain", "0.3")

    done = cli("dump", made.url, "--json", "-q")

    said = done.json()
    (path,) = tmp_path.glob("*.zst")
    assert done.stderr == ""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert re.fullmatch(rf"ducklake-{made.dbname}-\d{{8}}T\d{{6}}Z-v0\.3-[0-9a-f]{{6}}\.sql\.zst", path.name)
    assert Path(said["path"]).name == path.name
    assert said["file_bytes"] == path.stat().st_size
    assert (said["format"], said["spec_version"], said["tables"]) == (1, "0.3", 22)
    assert said["rows"] == sum(rows.count for _, rows in contents(path).values())
    assert subprocess.check_output(["sha256sum", path]).split()[0].decode() == said["sha256"]


def test_output_may_be_a_file_or_a_folder(lake: LakeFactory, cli: Cli, tmp_path: Path) -> None:
    """-o takes a new file's name or an existing folder, in which names never collide."""
    made = lake("plain", "0.3")
    (tmp_path / "folder").mkdir()

    for output in ("one.zst", "folder/two.sql.zst", "folder", "folder/", str(tmp_path / "folder")):
        assert cli("dump", made.url, "-o", output).exit_code == 0

    assert (tmp_path / "one.zst").is_file()
    backups = list((tmp_path / "folder").glob("*.zst"))
    assert len(backups) == 4
    assert all(verify(path).ok for path in backups)


def test_a_folder_that_ends_in_a_slash_is_made(lake: LakeFactory, cli: Cli, tmp_path: Path) -> None:
    """A folder that isn't there is made where its name ends in /, with those above it; two nights are two backups."""
    made = lake("plain", "0.3")

    for _ in range(2):
        assert cli("dump", made.url, "-o", "new/backups/").exit_code == 0
    assert dump(made.url, f"{tmp_path}/api/").path.startswith(f"{tmp_path}/api/ducklake-")

    assert len(list((tmp_path / "new/backups").glob("*.zst"))) == 2


@pytest.mark.parametrize("name", ["backups", "/nowhere/backups", "backup.sql", "b.sql.age", "b.tar.gz", "2026-11-28"])
def test_a_name_that_tells_neither_file_nor_folder_is_refused(name: str, cli: Cli, tmp_path: Path) -> None:
    """What could be meant for a folder makes no file: exit 2 says how each is written, before a server is asked."""
    nowhere = "postgres:host=/nonexistent dbname=x"

    failure(cli("dump", nowhere, "-o", name), 2, name, "no folder", hint=f"'{name}/'")
    with pytest.raises(UsageError, match="no folder"):
        dump(nowhere, Path(name))

    assert list(tmp_path.iterdir()) == []


def test_a_name_that_says_encrypted_and_is_not_is_refused(cli: Cli, tmp_path: Path) -> None:
    """And the other way round: exit 2 says how to write it, before a server is asked."""
    nowhere, recipient = "postgres:host=/nonexistent dbname=x", str(SecretKey.generate().public)

    failure(cli("dump", nowhere, "-o", "b.sql.zst.age"), 2, "b.sql.zst.age", hint="--encrypt-to")
    failure(cli("dump", nowhere, "-o", "b.sql.zst", "--encrypt-to", recipient), 2, "b.sql.zst", hint="b.sql.zst.age")

    assert list(tmp_path.iterdir()) == []


def test_backups_of_one_second_sort_as_they_were_made(lake: LakeFactory, tmp_path: Path) -> None:
    """The names of backups of one catalog are in the order in which these were made."""
    made = lake("plain", "0.3")

    paths = [dump(made.url, tmp_path).path for _ in range(8)]

    assert len({Path(path).name[:-16] for path in paths}) < 8, "no two were made in one second"
    assert paths == sorted(paths)


def test_nothing_is_overwritten(lake: LakeFactory, cli: Cli, tmp_path: Path) -> None:
    """An existing file, a dangling link, a missing folder and a file in its place are refused; nothing is left."""
    made = lake("plain", "0.3")
    (tmp_path / "there").write_text("mine")
    (tmp_path / "link").symlink_to("nowhere")
    before = set(tmp_path.iterdir())

    for output, words in {
        "there": "exists already",
        "link": "exists already",
        "missing/file.zst": "No such file",
        "there/": "not a folder",
        "there/file.zst": "Not a directory",
        "x" * 300 + ".zst": "name too long",
    }.items():
        failure(cli("dump", made.url, "-o", output), 1, words, hint="")

    assert set(tmp_path.iterdir()) == before
    assert (tmp_path / "there").read_text() == "mine"


def test_standard_output_is_the_backup(lake: LakeFactory, cli: Cli, tmp_path: Path) -> None:
    """With -o - standard output is the backup and nothing else, and what a user reads goes to standard error."""
    made = lake("plain", "0.3")

    done = cli("dump", made.url, "-o", "-")

    assert done.exit_code == 0
    path = tmp_path / "from stdout"
    path.write_bytes(done.output)
    assert verify(path).findings == ()
    assert contents(path) == dumped(made.url, tmp_path)
    assert "sha256" in done.stderr

    both = cli("--json", "dump", made.url, "-q", "-o", "-")
    assert both.exit_code == 0
    path.write_bytes(both.output)
    said = json.loads(both.stderr)
    assert (said["path"], said["sha256"]) == ("-", hashlib.sha256(both.output).hexdigest())
    assert verify(path).ok


def _limited(cli: Cli, script: str, *arguments: str) -> Finished:
    words = ["sh", "-c", script, sys.executable, "-m", "dlbackup", *arguments]
    done = subprocess.run(words, cwd=cli.cwd, capture_output=True, timeout=60)
    return Finished(done.returncode, done.stdout, done.stderr.decode())


@pytest.mark.parametrize("rows", [long(0), 20_000])
def test_full_disk_is_one_clear_line(lake: LakeFactory, cli: Cli, tmp_path: Path, rows: int) -> None:
    """A full disk, a file limit and a closed pipe end in one line and exit code 1, and leave no file."""
    made = lake("plain", "0.3")
    fill = f"select md5(i::text) || md5((-i)::text) || md5((i + 0.5)::text) as x from generate_series(1, {rows}) i"
    execute(made.url, f"create table ducklake_aa_filling as {fill}")

    full = _limited(cli, 'exec "$0" "$@" > /dev/full', "dump", made.url, "-o", "-")
    limited = _limited(cli, 'ulimit -f 4; exec "$0" "$@"', "dump", made.url)
    closed = _limited(cli, '{ "$0" "$@"; echo $? > code; } | true', "dump", made.url, "-o", "-")

    failure(full, 1, "can't write standard output", "No space left", hint="free some space")
    failure(limited, 1, "File too large")
    assert "Traceback" not in closed.stderr
    assert "Exception ignored" not in closed.stderr
    assert (tmp_path / "code").read_text() == "1\n"
    assert [path.name for path in tmp_path.iterdir()] == ["code"]


def test_level_is_checked(lake: LakeFactory, cli: Cli, tmp_path: Path) -> None:
    """zstd levels from 1 to 22 are taken, and hold the same catalog; others are a usage error."""
    made = lake("plain", "0.3")

    for level in ("0", "23", "fast"):
        failure(cli("dump", made.url, "--level", level), 2, "level", level)

    assert list(tmp_path.iterdir()) == []
    small, large = (dump(made.url, tmp_path, level=level) for level in (22, 1))
    assert contents(small.path) == contents(large.path)
    assert small.file_bytes < large.file_bytes


def test_lock_of_somebody_else_ends_the_wait(lake: LakeFactory, cli: Cli, tmp_path: Path) -> None:
    """Behind a lock that is not given back, dump, info and restore end with exit code 4 and change nothing."""
    made = lake("plain", "0.3")
    path = dump(made.url, tmp_path).path
    before, files = dumped(made.url, tmp_path), set(tmp_path.iterdir())
    jobs = (
        ("dump", made.url),
        ("info", made.url),
        ("restore", path, made.url, "--replace", "--ignore-clients"),
    )

    begun = time.monotonic()
    with _locked(made.url, "ducklake_view"), ExitStack() as running:
        started = [running.enter_context(cli.started(*job, first=_WAITS_TWO_SECONDS)) for job in jobs]
        done = [_finished(process) for process in started]
    seconds = time.monotonic() - begun

    for ended in done:
        failure(ended, 4, "lock", hint="try again")
    assert LOCK_TIMEOUT_MS == 10_000
    assert 1.9 < seconds < 40
    assert set(tmp_path.iterdir()) - files == set()
    assert dumped(made.url, tmp_path) == before


def test_dump_holds_no_locks(lake: LakeFactory, cli: Cli, tmp_path: Path) -> None:
    """While a dump stands still, what it has read may be dropped, what it will read altered, and all written to."""
    made = lake("plain", "0.3")
    path = tmp_path / "piped"
    wanted = dumped(made.url, tmp_path)
    with _standing_still(cli, made, path) as process:
        with psycopg.connect(made.url, autocommit=True) as other:
            other.execute("set lock_timeout = '5s'")
            other.execute("drop table ducklake_column")
            other.execute("delete from ducklake_snapshot")
            other.execute("insert into ducklake_metadata (key, value) values ('later', 'x')")
            other.execute("create table ducklake_zz_later (x int)")
            other.execute("vacuum ducklake_view")
        assert process.poll() is None

    assert process.returncode == 0
    found = dict(contents(path))
    del found["ducklake_m_large"]
    assert found == wanted
    assert verify(path).ok


def test_rewritten_table_is_noticed(lake: LakeFactory, cli: Cli, tmp_path: Path) -> None:
    """A table that is rewritten before it was read ends a dump to a pipe: its rows can't be had any more."""
    made = lake("plain", "0.3")
    path = tmp_path / "piped"
    with _standing_still(cli, made, path) as process:
        execute(made.url, "truncate ducklake_snapshot_changes")

    assert process.returncode == 1
    assert not verify(path).ok


def test_dump_begins_again_when_tables_are_replaced(lake: LakeFactory, cli: Cli, tmp_path: Path) -> None:
    """A dump into a file that finds a table replaced under it begins again, and is of the new state."""
    made = lake("plain", "0.3")
    with cli.started("dump", made.url, "-o", "backup.sql.zst") as process:
        with _locked(made.url, "ducklake_view") as session:
            wait_until(lambda: blocked(made.server, made.dbname) == 1)
            session.execute("create table new as select * from ducklake_view")
            session.execute("insert into new (view_name) values ('later')")
            session.execute("drop table ducklake_view")
            session.execute("alter table new rename to ducklake_view")
        done = _finished(process)

    assert done.exit_code == 0
    assert "beginning again" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["backup.sql.zst"]
    assert contents(tmp_path / "backup.sql.zst") == dumped(made.url, tmp_path)
    assert contents(tmp_path / "backup.sql.zst")["ducklake_view"][1].count == 2


@contextmanager
def _standing_still(cli: Cli, made: Lake, path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a dump whose output nobody takes, in the middle of a table of one piece; read it all at the end."""
    # 24 MB out of line, which is more than sockets hold, on a few pages of the table itself.
    text = "select string_agg(md5(i::text || '.' || k), '') from generate_series(1, 1250) k"
    large = f"select ({text}) as x from generate_series(1, 600) i"
    execute(made.url, f"create table ducklake_m_large as {large}")
    with cli.started("dump", made.url, "-q", "-o", "-") as process:
        wait_until(lambda: _backends(made, "wait_event = 'ClientWrite'") == 1)
        yield process
        output, errors = process.communicate(timeout=60)
        path.write_bytes(output)
        assert (process.returncode == 0) == (errors.count(b"error: ") == 0)


def _backends(made: Lake, condition: str) -> int:
    query = f"select pid from pg_stat_activity where datname = '{made.dbname}' and application_name = 'dlbackup'"
    return len(execute(made.server.url, f"{query} and {condition}"))


@pytest.mark.parametrize(("end", "exit_code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 130), (signal.SIGINT, 130)])
def test_ended_dump_leaves_no_backup(
    lake: LakeFactory, cli: Cli, tmp_path: Path, end: signal.Signals, exit_code: int
) -> None:
    """A dump that is killed or interrupted leaves nothing under the final name, and the next one works."""
    made = lake("plain", "0.3")
    with cli.started("dump", made.url, "-o", "backup.sql.zst") as process:
        with _locked(made.url, "ducklake_view"):
            wait_until(lambda: blocked(made.server, made.dbname) == 1)
            process.send_signal(end)
            if end == signal.SIGKILL:
                process.wait(30)
        done = _finished(process)

    assert done.exit_code == exit_code
    assert not (tmp_path / "backup.sql.zst").exists()
    if end != signal.SIGKILL:
        assert list(tmp_path.iterdir()) == []
        assert "interrupted" in failure(done, 130)
    assert cli("dump", made.url, "-o", "backup.sql.zst").exit_code == 0
    assert verify(tmp_path / "backup.sql.zst").ok


class _Watch:
    """Looks all the time whether a session of dlbackup blocks another one."""

    def __init__(self, made: Lake) -> None:
        self._made = made
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.looks = 0
        self.blocked = 0

    def __enter__(self) -> "_Watch":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        query = """
            select count(*) from pg_stat_activity w
            where w.datname = %s and exists (select from pg_stat_activity d
                where d.application_name = 'dlbackup' and d.pid = any(pg_blocking_pids(w.pid)))
        """
        with psycopg.connect(self._made.server.url, autocommit=True) as session:
            while not self._stop.wait(0.005):
                row = session.execute(query.encode(), [self._made.dbname]).fetchone()
                self.looks += 1
                self.blocked += bool(row and row[0])


@pytest.mark.parametrize("spec", [long("0.3"), "1.0"])
def test_dumps_beside_two_writers(lake: LakeFactory, server: Server, tmp_path: Path, spec: str) -> None:
    """Each dump beside two committing writers has one head snapshot, and no commit fails or waits because of it."""
    made = private_lake(lake("plain", spec), tmp_path / "data")
    folder = tmp_path / "backups"
    folder.mkdir()
    backups = []
    tables = [f"create table lake.{name} (i bigint)" for name in ("one", "two")]
    made.engine.run(made.url, made.schema, tables)
    with (
        writer(made.engine, made.url, made.schema, table="one", create=False, pause_s=0.1) as one,
        writer(made.engine, made.url, made.schema, table="two", create=False, pause_s=0.1) as two,
        _Watch(made) as watch,
    ):
        for _ in range(6):
            one.wait_for(1)
            two.wait_for(1)
            backups.append(dump(made.url, folder))
        one.wait_for(1)
        two.wait_for(1)
    snapshots = [backup.snapshot_id or 0 for backup in backups]

    assert (one.errors, two.errors) == ((), ())
    assert watch.looks > 10
    assert watch.blocked == 0
    assert snapshots == sorted(set(snapshots))
    for number, backup in enumerate(backups):
        assert verify(backup).findings == ()
        with server.database() as url:
            restore(backup.path, url, RestoreOptions(metadata_schema=f"s{number}"))
            heads = f"select snapshot_id from s{number}.ducklake_snapshot order by 1 desc limit 2"
            assert execute(url, heads)[0] == (backup.snapshot_id,)
            assert len(set(execute(url, heads))) == 2
            assert dumped(url, tmp_path) == contents(backup.path)
