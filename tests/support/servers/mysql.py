"""MariaDB for tests, which stands for MySQL: the server of Debian's packages, unpacked and not installed."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pymysql
import pytest

from support.debian import unpacked
from support.servers.reaper import Reaper
from support.waiting import wait_until

__all__ = ["MysqlServer", "mysql_server"]

_PACKAGES = ("mariadb-server", "mariadb-server-core", "mariadb-client-core", "libaio1", "liburing2", "libsnappy1v5")
PASSWORD = "pw-never-shown-81c5"
_TYPES = {
    "BOOLEAN": "tinyint(1)",
    "UBIGINT": "bigint unsigned",
    "FLOAT": "float",
    "DOUBLE": "double",
    "BLOB": "longblob",
}
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")


@dataclass(frozen=True, slots=True)
class MysqlServer:
    """A server that runs; only this machine reaches it."""

    port: int

    def url(self, database: str) -> str:
        """The address of a catalog in it."""
        return f"mysql:host=127.0.0.1 port={self.port} user=tester password={PASSWORD} database={database}"

    @contextmanager
    def connected(self, database: str | None = None) -> Iterator[Any]:
        """Open a connection of the test's own."""
        session = pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user="tester",
            password=PASSWORD,
            database=database,
            charset="utf8mb4",
            autocommit=True,
        )
        try:
            yield session
        finally:
            session.close()

    def execute(self, database: str | None, *statements: str) -> None:
        """Execute statements, each a transaction."""
        with self.connected(database) as session, session.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def fill(self, database: str, file: Path, texts: bool = False) -> None:
        """
        Make a database with the rows of a catalog in a DuckDB file, in columns of MySQL's types.

        Args:
            texts: inlined values that are no numbers are texts, as MySQL has no such values of its own.
        """
        self.execute(None, f"create database {database} character set utf8mb4")
        with duckdb.connect(str(file), read_only=True) as catalog, self.connected(database) as session:
            catalog.execute("set timezone = 'UTC'")
            tables = catalog.execute("select distinct table_name from duckdb_tables() order by 1").fetchall()
            for (table,) in tables:
                _fill(catalog, session, table, texts=texts and "inlined_d" in table)


def _fill(catalog: Any, session: Any, table: str, *, texts: bool) -> None:
    columns = catalog.execute(
        "select column_name, data_type, is_nullable from duckdb_columns() where table_name = ? order by column_index",
        [table],
    ).fetchall()
    keys = catalog.execute(
        "select unnest(constraint_column_names) from duckdb_constraints()"
        " where table_name = ? and constraint_type = 'PRIMARY KEY'",
        [table],
    ).fetchall()
    keys = {name for (name,) in keys}
    definitions = [
        f"`{name}` {_type(kind, texts=texts)}{' primary key' if name in keys else '' if nullable else ' not null'}"
        for name, kind, nullable in columns
    ]
    asked = [_asked(name, kind, texts=texts) for name, kind, _ in columns]
    with session.cursor() as cursor:
        cursor.execute(f"create table `{table}` ({', '.join(definitions)})")
        rows = catalog.execute(f'select {", ".join(asked)} from "{table}"').fetchall()
        if rows:
            places = ", ".join(["%s"] * len(columns))
            cursor.executemany(f"insert into `{table}` values ({places})", rows)


def _type(kind: str, *, texts: bool) -> str:
    if kind in _INTEGERS:
        name = kind.removeprefix("U").lower().replace("integer", "int")
        return f"{name} unsigned" if kind.startswith("U") else name
    if kind in ("BOOLEAN", "UBIGINT", "BLOB") or (kind in _TYPES and not texts):
        return _TYPES[kind]
    if kind.startswith("DECIMAL"):
        return kind.lower()
    return "datetime(6)" if kind.startswith("TIMESTAMP") and not texts else "longtext"


def _asked(name: str, kind: str, *, texts: bool) -> str:
    quoted = '"' + name.replace('"', '""') + '"'
    if kind in (*_INTEGERS, "UBIGINT", "BLOB") or (kind in _TYPES and kind != "BOOLEAN" and not texts):
        return quoted
    text = f"cast({quoted} as varchar)"
    if kind == "BOOLEAN":
        return f"cast({quoted} as integer)"
    return f"replace({text}, '+00', '')" if kind == "TIMESTAMP WITH TIME ZONE" and not texts else text


@contextmanager
def mysql_server() -> Iterator[MysqlServer]:
    """Start a server for the block; skips where there is none to be had."""
    root = _programs()
    libraries = os.pathsep.join(str(root / place / "x86_64-linux-gnu") for place in ("usr/lib", "lib"))
    environment = {**os.environ, "LD_LIBRARY_PATH": libraries}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="dlb-my-"))
    (folder / "data").mkdir()
    common = ("--no-defaults", f"--basedir={root}/usr", f"--datadir={folder}/data")
    user = ("--user=root",) if os.geteuid() == 0 else ()
    words = f"--lc-messages-dir={root}/usr/share/mysql"
    install = [f"{root}/usr/bin/mariadb-install-db", *common, words, *user, "--skip-test-db"]
    run = [f"{root}/usr/sbin/mariadbd", *common, words, *user, f"--port={port}", f"--socket={folder}/s"]
    run += ["--bind-address=127.0.0.1", "--skip-log-bin", "--innodb-buffer-pool-size=16M", "--skip-innodb-doublewrite"]
    run += ["--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync", "--skip-sync-frm"]
    first = folder / "first.sql"
    first.write_text(
        f"create user tester@'127.0.0.1' identified by '{PASSWORD}';\n"
        "grant all on *.* to tester@'127.0.0.1' with grant option;\n"
    )
    with Reaper() as reaper:
        subprocess.run(
            [*install, "--auth-root-authentication-method=normal"], env=environment, check=True, capture_output=True
        )
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen([*run, f"--init-file={first}"], env=environment, stdout=log, stderr=log)
        reaper.watch_process(server.pid, "mariadbd", folder)
        try:
            running = MysqlServer(port)
            wait_until(lambda: server.poll() is not None or _answers(running))
            if server.poll() is not None:
                raise RuntimeError(f"mariadbd ended: {(folder / 'log').read_text()[-2000:]}")
            yield running
        finally:
            server.kill()
            server.wait()
            shutil.rmtree(folder, ignore_errors=True)


def _answers(server: MysqlServer) -> bool:
    try:
        server.execute(None, "select 1")
    except pymysql.MySQLError:
        return False
    return True


def _programs() -> Path:
    if shutil.which("apt-get") is None or os.uname().machine != "x86_64":
        pytest.skip("there is no MariaDB to be had: it comes from Debian's packages for x86_64")
    return unpacked("mariadb-10.11", *_PACKAGES)
