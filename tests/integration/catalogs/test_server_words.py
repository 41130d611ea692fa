"""What real servers say when they can't or won't: each error has the words that fit, and a hint that helps."""

import shlex
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from support.cli import Cli
from support.comparison import contents, execute
from support.faults.failures import failure
from support.faults.faults import new_role, role_of, started
from support.lakes.lakes import Lake, Lakes
from support.longer import long
from support.servers.servers import Server, Servers, majors, server_kind
from support.waiting import wait_until

from dlbackup import dump, verify

_PASSWORD = "a-role's-own"
_LARGE = """
    create table ducklake_aa_large as
    select i, md5(i::text) || md5((-i)::text) as x from generate_series(1, 200000) i
"""


@pytest.mark.parametrize(
    ("statement", "said", "hint"),
    [
        ("alter role {role} connection limit 0", "too many connections for role", "CONNECTION LIMIT"),
        ("alter database {database} connection limit 0", "too many connections for database", "CONNECTION LIMIT"),
        ("alter role {role} nologin", "not permitted to log in", "user="),
        ("alter role {role} password 'another'", "password authentication failed", "PGPASSWORD"),
        (
            "revoke connect on database {database} from public, {role}",
            "permission denied for database",
            "rights granted",
        ),
    ],
)
def test_who_is_not_let_in_is_told_why(plain: Lake, cli: Cli, statement: str, said: str, hint: str) -> None:
    """Each way in which a server refuses a connection has its own hint."""
    with new_role(plain, _PASSWORD, owner=False) as url:
        execute(plain.url, statement.format(role=role_of(url), database=plain.dbname))

        failure(cli("info", url), 1, "can't connect to", said, hint=hint)


def test_database_that_takes_nobody_is_told_so(plain: Lake, cli: Cli) -> None:
    """A database with ALLOW_CONNECTIONS false, and a server without TLS, say what to change."""
    execute(plain.server.url, f"alter database {plain.dbname} allow_connections false")
    failure(cli("info", plain.url), 1, "not currently accepting connections", hint="ALLOW_CONNECTIONS")
    execute(plain.server.url, f"alter database {plain.dbname} allow_connections true")
    failure(cli("info", f"{plain.url}?sslmode=require"), 1, "SSL", hint="sslmode=")


@contextmanager
def _server(servers: Servers) -> Iterator[Server]:
    """Start a server which may be broken; it keeps next to nothing in memory."""
    if server_kind() != "docker":
        pytest.skip("a server of its own needs a container: PG_TEST_ENGINE=docker")
    settings = {"max_connections": "12", "superuser_reserved_connections": "2", "shared_buffers": "1MB"}
    with servers.with_settings(majors()[-1], **settings) as server:
        yield server


@pytest.fixture(scope="module")
def spare(servers: Servers) -> Iterator[Server]:
    """A server in which something may be broken, and that runs on."""
    with _server(servers) as server:
        yield server


@pytest.fixture(scope="module")
def spare_lakes(tmp_path_factory: pytest.TempPathFactory) -> Lakes:
    """Templates of its own."""
    return Lakes(tmp_path_factory.mktemp("lakes"))


@pytest.fixture
def own(spare: Server, spare_lakes: Lakes) -> Iterator[Lake]:
    """A lake on it."""
    with spare_lakes.copy("plain", "1.0", spare, "public") as made:
        yield made


def test_full_server_says_that_it_is_full(own: Lake, cli: Cli) -> None:
    """Where all connections are taken, neither host nor port is to blame."""
    with new_role(own, _PASSWORD, owner=True) as url:
        held: list[psycopg.Connection[tuple[object, ...]]] = []
        try:
            with pytest.raises(psycopg.OperationalError):
                while len(held) < 20:
                    held.append(psycopg.connect(url))
            failure(cli("info", url), 1, "can't connect to", "connection", hint="the limit of connections is reached")
        finally:
            for session in held:
                session.close()


def _file_of(made: Lake, table: str) -> str:
    execute(made.url, "checkpoint")
    ((path,),) = execute(made.url, f"select pg_relation_filepath('{table}')")
    return str(path)


def _overwritten(made: Lake) -> None:
    path = shlex.quote(_file_of(made, "ducklake_aa_large"))
    made.server.run("sh", "-c", f'dd if=/dev/urandom of="$PGDATA"/{path} bs=8192 seek=100 count=1 conv=notrunc')


def _removed(made: Lake) -> None:
    made.server.run("sh", "-c", f'rm "$PGDATA"/{shlex.quote(_file_of(made, "ducklake_aa_large"))}')


@pytest.mark.parametrize(
    ("broken", "said", "hint"),
    [(_overwritten, "invalid page", "storage is damaged"), (_removed, "could not open file", "files or its machine")],
)
def test_server_with_broken_files_is_not_a_lost_connection(
    own: Lake, cli: Cli, broken: Callable[[Lake], None], said: str, hint: str
) -> None:
    """A damaged page and a file that is gone are named as what they are."""
    execute(own.url, _LARGE)
    broken(own)

    done = cli("dump", own.url, "-o", "backup.zst", "--jobs", "1")

    failure(done, 1, said, hint=hint)
    assert not (cli.cwd / "backup.zst").exists()


def test_server_that_stops_says_so(servers: Servers, cli: Cli, tmp_path: Path) -> None:
    """A server that is being shut down ends a dump with that reason."""
    # The dump waits for a lock: behind rows that nobody has taken yet, the last words would go with the container.
    with ExitStack() as stack:
        made = Lakes(tmp_path / "lakes").template("plain", "1.0", stack.enter_context(_server(servers)), "public")
        client = stack.enter_context(closing(psycopg.connect(made.url)))
        client.execute("lock table ducklake_snapshot in access exclusive mode")
        with started(cli, "dump", made.url, "-o", "backup.zst") as running:
            wait_until(lambda: _waits(made))
            with suppress(Exception):  # the container ends with its server
                made.server.run("sh", "-c", 'kill -INT "$(head -1 "$PGDATA/postmaster.pid")"')
            done = running.end()

    failure(done, 1, "due to administrator command", hint="the server is being stopped")
    assert not (cli.cwd / "backup.zst").exists()


def _waits(made: Lake) -> bool:
    query = (
        "select count(*) from pg_stat_activity"
        f" where application_name = 'dlbackup' and datname = '{made.dbname}' and wait_event_type = 'Lock'"
    )
    return execute(made.server.url, query) == [(1,)]


def test_owner_without_a_right_is_not_sent_to_the_owner(plain: Lake, cli: Cli) -> None:
    """The catalog's owner who may make no schema is told to have that granted."""
    with new_role(plain, _PASSWORD, owner=True) as url:
        backup = dump(url, cli.cwd).path
        execute(plain.url, f"revoke create on database {plain.dbname} from public, {role_of(url)}")

        done = cli("restore", backup, url, "--metadata-schema", "new", "--no-owner", "--no-privileges")

        failure(done, 1, "permission denied for database", hint="have the rights granted")
        assert "owns the catalog" not in done.stderr


@dataclass(frozen=True)
class _Pair:
    """A lake on a server, and the server's standby, which ends readers at once when its replay waits for them."""

    made: Lake
    standby: Server

    @property
    def url(self) -> str:
        return self.standby.url_of(self.made.dbname)

    def catch_up(self) -> None:
        """Wait until the standby has what the server has."""
        ((position,),) = execute(self.made.url, "select pg_current_wal_insert_lsn()::text")
        query = f"select pg_last_wal_replay_lsn() >= '{position}'"
        wait_until(lambda: execute(self.standby.url, query) == [(True,)])


# A lock that the replay takes too; no definition changes, so that a dump before it is as good as one after it.
_LOCKED = "do $$ begin lock table ducklake_aa_large in access exclusive mode; end $$"


@pytest.fixture(scope="module")
def pair(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Pair]:
    """A lake with one large table, on a server with a streaming standby."""
    if server_kind() != "docker":
        pytest.skip("a standby needs containers: PG_TEST_ENGINE=docker")
    folder, impatient = tmp_path_factory.mktemp("lakes"), {"max_standby_streaming_delay": "0"}
    with (
        servers.with_settings(majors()[-1], wal_level="replica") as server,
        servers.with_standby(server, **impatient) as standby,
        Lakes(folder).copy("plain", "1.0", server, "public") as made,
    ):
        execute(made.url, _LARGE)
        both = _Pair(made, standby)
        both.catch_up()
        yield both


@pytest.mark.parametrize(
    ("change", "jobs"),
    [long("vacuum full ducklake_aa_large", "1"), (_LOCKED, "2")],
)
def test_dump_of_a_standby_begins_again(pair: _Pair, cli: Cli, tmp_path: Path, change: str, jobs: str) -> None:
    """What the primary does in the middle ends the reader on the standby; the dump begins again and is good."""
    rate = ("--max-rate", "6M") if jobs == "1" else ()
    said = ""
    for number in range(8):  # two processes may be done before the change is replayed
        backup = cli.cwd / f"backup{number}.zst"
        pair.catch_up()
        with started(cli, "dump", pair.url, "-o", backup.name, "--jobs", jobs, *rate) as running:
            wait_until(lambda: _is_read(pair))
            execute(pair.made.url, change)
            done = running.end()
        assert done.exit_code == 0, done
        assert verify(backup).ok
        pair.catch_up()
        assert contents(backup) == contents(dump(pair.made.url, tmp_path).path)
        said += done.stderr
        if "beginning again" in said:
            break

    assert "beginning again" in said


def test_dump_of_a_standby_gives_up_after_some_tries(pair: _Pair, cli: Cli) -> None:
    """Where the replay ends every try, the dump says whose doing it is and what to set; the last may see it itself."""
    over = threading.Event()

    def change() -> None:
        while not over.wait(0.2):
            execute(pair.made.url, "vacuum full ducklake_aa_large")

    thread = threading.Thread(target=change)
    thread.start()
    try:
        done = cli("dump", pair.url, "-o", "backup.zst", "--max-rate", "2M")
    finally:
        over.set()
        thread.join()

    if "was rewritten while the catalog was read" in failure(done, 1):
        failure(done, 1, "ducklake_aa_large", hint="try again")
    else:
        failure(done, 1, "reading the catalog in schema public", hint="max_standby_streaming_delay")
    assert done.stderr.count("beginning again") == 2
    assert not (cli.cwd / "backup.zst").exists()


def test_standby_is_read_and_not_written(pair: _Pair, tmp_path: Path, cli: Cli) -> None:
    """On a standby, what reads works, and what writes is refused with the primary as the way out."""
    backup = dump(pair.made.url, tmp_path).path
    pair.catch_up()

    assert contents(dump(pair.url, tmp_path).path) == contents(backup)
    assert cli("check", pair.url).exit_code == 0
    done = cli("restore", backup, pair.url, "--metadata-schema", "new")
    failure(done, 1, "restoring into schema new", hint="use the primary server")


def _is_read(pair: _Pair) -> bool:
    """Tell whether somebody on the standby is in the middle of the large table."""
    query = "select count(*) from pg_stat_activity where query like '%ducklake_aa_large%' and query like 'COPY%'"
    return execute(pair.standby.url, query) != [(0,)]
