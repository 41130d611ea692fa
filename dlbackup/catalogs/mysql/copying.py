"""
A private copy of a catalog in MySQL, and what can go wrong with it, in words.

Values are asked for as text and stored as DuckDB 1.5 stores those of their types in a SQLite file. So nothing is lost
that MySQL has; what DuckDB's connector lost when it wrote (fractions of seconds, for one) nobody can bring back.
"""

import os
import secrets
import sqlite3
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlbackup.addresses.address import Address, scrub
from dlbackup.addresses.mysql import is_port
from dlbackup.catalogs.mysql.columns import MysqlColumn, column_of, definitions_of, told
from dlbackup.errors import (
    CatalogError,
    DlbackupError,
    NoRight,
    NotALake,
    StorageError,
    Unreachable,
    Unsupported,
    UsageError,
    listed,
)
from dlbackup.runtime.scratch import scratch_folder
from dlbackup.tables.definition import PREFIX, is_inlined
from dlbackup.tables.quoting import quote_identifier

if TYPE_CHECKING:
    from pymysql.connections import Connection

_VARIABLES = {
    "host": "MYSQL_HOST",
    "port": "MYSQL_TCP_PORT",
    "socket": "MYSQL_UNIX_PORT",
    "user": "MYSQL_USER",
    "password": "MYSQL_PWD",
    "database": "MYSQL_DATABASE",
}
"""Where a parameter comes from that the address doesn't have, as for DuckDB's connector."""
_CONNECT_TIMEOUT_S = 10
_SILENCE_S = 600
_TRIES = 3
_AT_ONCE = 1000
_LIMITS_OFF = (
    "SET SESSION sql_mode = '', SESSION sql_select_limit = 18446744073709551615, SESSION sql_big_selects = 1"
    "/*!50708 , SESSION max_execution_time = 0 *//*M!100101 , SESSION max_statement_time = 0 */"
)
"""
What a server sets for all its clients: how many rows a SELECT gives, without a word, how many it may read and for how
long; and whether a backslash means something. MySQL knows one of the times, MariaDB the other.
"""
_BEGIN = (
    "SET SESSION time_zone = '+00:00'",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
)
_RELATIONS = r"""
SELECT table_name, table_type, engine FROM information_schema.tables
WHERE table_schema = database() AND table_name LIKE 'ducklake\_%' ORDER BY table_name
"""
_COLUMNS = r"""
SELECT table_name, column_name, data_type, column_type, is_nullable, column_key FROM information_schema.columns
WHERE table_schema = database() AND table_name LIKE 'ducklake\_%'
AND NOT (extra LIKE '%auto_increment%' AND extra LIKE '%INVISIBLE%') ORDER BY table_name, ordinal_position
"""
"""A server with sql_generate_invisible_primary_key adds a number to each row of a table without a key."""
_CHANGED = frozenset({1146, 1412})
"""A table is gone, or was changed, since the snapshot."""
_GONE = 1146
_LOST = frozenset({2006, 2013})
_NOT_CONNECTED = frozenset({2002, 2003, 2005})
_NOT_LET_IN = frozenset({1044, 1045, 1698, 2059})
_NO_RIGHT = frozenset({1142, 1143, 1227})
_NO_DATABASE = frozenset({1046, 1049})


@contextmanager
def copied(address: Address, schema: str | None) -> Iterator[Path]:
    """
    Copy a catalog as it is in one transaction, into a SQLite file for the block.

    Args:
        schema: the database, where the user named one; else the address or the environment does.

    Raises:
        Unreachable: the server doesn't answer, or lets us not in.
        NotALake: there is no such database.
        UsageError: nobody names one, or there is no driver.
        Unsupported: a table can't be read in one state with the others, or has a column of an unknown type.
        CatalogError, StorageError: it can't be copied.
    """
    with scratch_folder("dlbackup-mysql-") as folder:
        options = _options(address, schema, os.environ)
        file = folder / f"{options['database'].replace('/', '_')}.sqlite"
        for left in reversed(range(_TRIES)):
            try:
                with closing(_connected(address, options)) as server:
                    _refuse_hidden(server, address, options["database"])
                    found = _copy(server, file)
                break
            except _errors() as exc:
                code = exc.args[0] if exc.args else None
                if code not in _CHANGED or not left:
                    raise _failure(address, code, scrub(str(exc.args[-1] if exc.args else exc), address)) from exc
            except sqlite3.Error as exc:
                raise StorageError(f"no copy of {address}: {exc}", "let TMPDIR name a larger place") from exc
            file.unlink(missing_ok=True)
        if "ducklake_metadata" not in found:
            raise NotALake(f"{address} holds no DuckLake catalog", "database=NAME names the one that does")
        yield file


def _options(address: Address, schema: str | None, variables: Mapping[str, str]) -> dict[str, str]:
    found = {name: variables[variable] for name, variable in _VARIABLES.items() if variables.get(variable)}
    found |= {name: value for name, value in address.parameters.items() if value}
    if schema:
        found["database"] = schema
    if not is_port(found.get("port", "0")):
        raise UsageError(f"the port in {_VARIABLES['port']} is no number up to 65535")
    if "database" not in found:
        raise UsageError(f"{address} names no database", "mysql:host=... database=NAME, or MYSQL_DATABASE names it")
    return found


def _driver() -> Any:
    try:
        import pymysql
    except ModuleNotFoundError as exc:
        raise UsageError(
            "a catalog in MySQL needs a package that isn't here", "install it: pip install 'dlbackup[mysql]'"
        ) from exc
    return pymysql


def _errors() -> type[Exception]:
    error: type[Exception] = _driver().err.MySQLError
    return error


def _connected(address: Address, options: dict[str, str]) -> "Connection[Any]":
    """Connect so that all values come as text, or as bytes where they are such."""
    driver = _driver()
    tls = _tls(address, options)
    try:
        connection: Connection[Any] = driver.connect(
            host=options.get("host", "localhost"),
            port=int(options.get("port", "0")),
            unix_socket=options.get("socket"),
            user=options.get("user"),
            password=options.get("password", "").encode(),  # a text would have to be of Latin-1
            database=options["database"],
            charset="utf8mb4",
            conv=driver.converters.encoders,
            ssl=tls,
            connect_timeout=_CONNECT_TIMEOUT_S,
            read_timeout=_SILENCE_S,
            program_name="dlbackup",
        )
    except RuntimeError as exc:  # it lacks a package for the way in which that user is known
        raise Unreachable(f"{address} lets us not in: {scrub(str(exc), address)}", "install that package") from exc
    except ValueError as exc:  # no host can have that name, or nobody says a user
        raise Unreachable(f"{address} can't be reached: {exc}", "check host and user") from exc
    return connection


def _tls(address: Address, options: dict[str, str]) -> ssl.SSLContext | None:
    mode = options.get("ssl_mode", "preferred").lower().replace("-", "_")
    if mode not in ("disabled", "preferred", "required", "verify_ca", "verify_identity"):
        raise UsageError(f"ssl_mode of {address} is none of disabled, required, verify_ca and verify_identity")
    if mode == "disabled" or (mode == "preferred" and not options.keys() & {"ssl_ca", "ssl_cert"}):
        return None
    try:
        context = ssl.create_default_context(cafile=options.get("ssl_ca"))
        if "ssl_cert" in options:
            context.load_cert_chain(options["ssl_cert"], options.get("ssl_key"))
    except OSError as exc:
        raise StorageError(f"can't read the certificates of {address}: {exc.strerror or exc}") from exc
    context.check_hostname = mode == "verify_identity"
    if mode == "required":
        context.verify_mode = ssl.CERT_NONE
    return context


def _refuse_hidden(server: "Connection[Any]", address: Address, database: str) -> None:
    """
    Refuse a user to whom the server may hide tables: those that a user has no right to, it says nothing of.

    Raises:
        NoRight: of a table that isn't there it says that this user may not read it.
    """
    try:
        with server.cursor() as cursor:
            cursor.execute(f"SELECT 1 FROM `{PREFIX}{secrets.token_hex(8)}`")
    except _errors() as exc:
        if exc.args and exc.args[0] in _NO_RIGHT:
            raise NoRight(
                f"this user may read some tables of {address} alone, and nobody can tell whether that is the catalog",
                f"GRANT SELECT ON {database}.* to that user: DuckLake makes new tables all the time",
            ) from exc
        if not exc.args or exc.args[0] not in _CHANGED:
            raise


def _copy(server: "Connection[Any]", file: Path) -> frozenset[str]:
    """Copy the tables; return their names."""
    with closing(sqlite3.connect(file, isolation_level=None)) as copy:
        copy.execute("pragma journal_mode = off")
        copy.execute("begin")
        _execute(server, _LIMITS_OFF)
        before = _names(server)
        _execute(server, *_BEGIN)
        tables = _tables(server, copy)
        if gone := before - _names(server):
            raise _errors()(_GONE, f"tables were dropped: {listed(sorted(gone))}")
        _copy_rows(server, copy, {table: it for table, it in tables.items() if not is_inlined(table)})
        _copy_rows(server, copy, told(copy, {table: it for table, it in tables.items() if is_inlined(table)}))
        copy.execute("commit")
    return frozenset(tables)


def _copy_rows(
    server: "Connection[Any]", copy: sqlite3.Connection, tables: Mapping[str, Sequence[MysqlColumn]]
) -> None:
    from pymysql.cursors import SSCursor

    for table, columns in tables.items():
        copy.execute(f"create table {quote_identifier(table)} ({definitions_of(columns)})")
        insert = f"insert into {quote_identifier(table)} values ({', '.join('?' * len(columns))})"
        with server.cursor(SSCursor) as cursor:
            asked = ", ".join(column.asked for column in columns)
            cursor.execute(f"SELECT {asked} FROM `{table.replace('`', '``')}`")
            while rows := cursor.fetchmany(_AT_ONCE):
                copy.executemany(insert, (_stored(columns, row) for row in rows))


def _execute(server: "Connection[Any]", *statements: str) -> None:
    with server.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _names(server: "Connection[Any]") -> frozenset[str]:
    """Return what tables there are now: no transaction keeps what MySQL says of those that were dropped since."""
    with server.cursor() as cursor:
        cursor.execute(_RELATIONS)
        return frozenset(name for name, *_ in cursor.fetchall())


def _stored(columns: Sequence[MysqlColumn], row: Sequence[Any]) -> list[object]:
    return [column.stored(value) for column, value in zip(columns, row, strict=True)]


def _tables(server: "Connection[Any]", copy: sqlite3.Connection) -> dict[str, list[MysqlColumn]]:
    """Return the columns of each table; what bears such a name and is none is made one of its kind in the copy."""
    found: dict[str, list[MysqlColumn]] = {}
    with server.cursor() as cursor:
        cursor.execute(_RELATIONS)
        relations = cursor.fetchall()
        cursor.execute(_COLUMNS)
        for table, *described in cursor.fetchall():
            found.setdefault(table, []).append(column_of(table, *described))
    other = [f"{name} ({engine})" for name, kind, engine in relations if kind == "BASE TABLE" and engine != "InnoDB"]
    if other:
        raise Unsupported(
            f"tables that can't be read in one state with the others: {listed(other)}",
            "ALTER TABLE ... ENGINE = InnoDB on the server",
        )
    for name, kind, _ in relations:
        if kind != "BASE TABLE":
            copy.execute(f"create view {quote_identifier(name)} as select 1")
    tables = [name for name, kind, _ in relations if kind == "BASE TABLE" and name.startswith(PREFIX)]
    if len({name.lower() for name in tables}) < len(tables):
        raise Unsupported("tables whose names differ by capital letters alone", "DuckLake's own are in small ones")
    return {name: found[name] for name in tables if name in found}  # one may have been dropped between the questions


def _failure(address: Address, code: object, text: str) -> DlbackupError:
    """Return the error that one of MySQL's is for us."""
    if code in _NOT_CONNECTED:
        return Unreachable(f"{address} can't be reached: {text}", "check host and port, or socket=PATH")
    if code in _NOT_LET_IN:
        return Unreachable(
            f"{address} lets us not in: {text}", "check user and password; MYSQL_PWD may hold the latter"
        )
    if code in _NO_DATABASE:
        return NotALake(f"there is no such database: {text}", "check the database's name")
    if code in _NO_RIGHT:
        return NoRight(f"no right to read {address}: {text}", "GRANT SELECT on the database to that user")
    if code in _LOST:
        return Unreachable(f"{address} has gone while it was read: {text}", "see that it is there, and try again")
    if code in _CHANGED:
        changing = CatalogError(f"tables of {address} are made or changed all the time: {text}", "try again")
        changing.transient = True
        return changing
    return CatalogError(f"{address} can't be read: {text}")
