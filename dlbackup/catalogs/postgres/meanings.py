"""
What a server's errors mean to a user: which error of dlbackup each becomes, and what to do about it.

One table, by SQLSTATE. libpq hands on no SQLSTATE of what happens while it connects, so what servers say then is
taken for the SQLSTATE that they said it with, by its English words.
"""

import re
from typing import NamedTuple

import psycopg

from dlbackup.errors import (
    CatalogError,
    DlbackupError,
    Locked,
    MovedOn,
    NoRight,
    NotCarried,
    OtherEncoding,
    Unreachable,
)


class Meaning(NamedTuple):
    """What an error becomes, and the hint that goes with it."""

    error: type[DlbackupError]
    hint: str


class _Row(NamedTuple):
    """What SQLSTATEs that begin so mean, where the message has these words."""

    sqlstate: str
    error: type[DlbackupError]
    hint: str
    words: str = ""


_NO_TLS = "(no TLS)"
"""Stands for an SQLSTATE where it was libpq that wanted TLS, or did not trust the server's."""
_LOST = "08"
_SAID = (
    (r"database \".*\" does not exist", "3D000"),
    (r"database \".*\" is not currently accepting connections", "55000"),
    (r"role \".*\" (does not exist|is not permitted to log in)", "28000"),
    (r"no pg_hba.conf entry|pg_hba.conf rejects", "28000"),
    (r"password|authentication failed", "28P01"),
    (r"permission denied for database", "42501"),
    (r"too many connections for|too many clients|remaining connection slots", "53300"),
    (r"database system is|Hot standby mode is disabled|recovery is in progress", "57P03"),
    (r"conflict with recovery", "40001"),
    (r"administrator command", "57P01"),
    (r"crash of another server process", "57P02"),
    (r"idle-session timeout", "57P05"),
    (r"idle-in-transaction timeout", "25P03"),
    (r"transaction timeout", "25P04"),
    (r"does not support SSL|certificate|SSL error", _NO_TLS),
)
_CHANGED = "the catalog was changed in the middle; try again"
_OTHER_ENCODING = (
    "use a database of the encoding that the text is from, which dlbackup info names:"
    " CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
)
_NOT_KEPT = "nothing that was not committed is kept"
ON_STANDBY = (
    "a standby ends readers that its replay waits for: try again, or use the primary server; raise the standby's"
    " max_standby_streaming_delay, or set its hot_standby_feedback on"
)
_DAMAGED = (
    "the server's own storage is damaged: look into its log, and copy its data directory before anything is mended"
)
_ROWS = (
    _Row("08", Unreachable, f"the connection was lost; {_NOT_KEPT}"),
    _Row("22021", OtherEncoding, _OTHER_ENCODING),
    _Row("22P05", OtherEncoding, _OTHER_ENCODING),
    _Row("25006", CatalogError, "use the primary server, and a role whose default_transaction_read_only is off"),
    _Row(
        "25P03",
        Unreachable,
        "the server ended the session for doing nothing in a transaction: raise idle_in_transaction_session_timeout for"
        " this role",
    ),
    _Row("25P04", Unreachable, "the server ended the session: raise transaction_timeout for this role, or set it to 0"),
    _Row("28000", Unreachable, "name an existing role that may log in with user=", r"role \""),
    _Row("28000", Unreachable, "let this role in from this machine, in the server's pg_hba.conf", r"pg_hba\.conf"),
    _Row("28", Unreachable, "give the password by PGPASSWORD, a password file (PGPASSFILE) or the address"),
    _Row("3D000", Unreachable, "create the database first, or name another one with dbname="),
    _Row("3F000", MovedOn, _CHANGED),
    _Row("42P01", MovedOn, _CHANGED),
    _Row("42703", MovedOn, _CHANGED),
    _Row("40001", MovedOn, ON_STANDBY, "conflict with recovery"),
    _Row("40P01", MovedOn, ON_STANDBY, "conflict with recovery"),
    _Row("40P01", Locked, "another session waited for this one, and this one for it; try again"),
    _Row("40", MovedOn, "another session was in the way; try again"),
    _Row(
        "42501",
        NoRight,
        "use a role with BYPASSRLS, or the tables' owner where it is not forced",
        "row-level security",
    ),
    _Row("42501", NoRight, "use the role that owns it, or a member of that role", "must be owner"),
    _Row(
        "42501",
        NoRight,
        "use the role that owns it, or have the rights granted by that role, which can also grant them to itself",
        "for (table|view|sequence)",
    ),
    _Row("42501", NoRight, "have the rights granted by a superuser, or by who owns what is named"),
    _Row("53100", CatalogError, "the server's disk is full"),
    _Row(
        "53200", CatalogError, "the server has no room for more locks: raise max_locks_per_transaction", "shared memory"
    ),
    _Row("53200", CatalogError, "the server has too little memory for this: give it more, or lower its work_mem"),
    _Row(
        "53300",
        Unreachable,
        "the limit of connections is reached: try again when others have gone, use fewer with --jobs 1, or raise the"
        " limit of the server (max_connections), the role or the database (CONNECTION LIMIT)",
    ),
    _Row("53", CatalogError, "the server has reached a limit of its own: raise the one that is named, or try again"),
    _Row(
        "54000",
        NotCarried,
        "have DuckLake write the inlined rows into files first, where such rows come from:"
        " CALL ducklake_flush_inlined_data('lake')",
        "row is too big",
    ),
    _Row("54", CatalogError, "this is more than PostgreSQL can do, or than a setting that is named allows"),
    _Row("55P03", Locked, "another session holds a lock on the catalog; try again when it is done"),
    _Row("55006", CatalogError, "another session uses what is named; try again when it is done"),
    _Row(
        "55000",
        Unreachable,
        "name another database with dbname=; a superuser lets connections in with ALTER DATABASE ... ALLOW_CONNECTIONS"
        " true",
        "not currently accepting connections",
    ),
    _Row("55", CatalogError, "the server is not in the state that this needs: its message says why"),
    _Row("57014", CatalogError, "somebody cancelled it, or a timeout of the server did: raise it for this role"),
    _Row(
        "57P01",
        Unreachable,
        f"the server is being stopped, or somebody ended this session; {_NOT_KEPT}; try again when the server is there",
    ),
    _Row("57P02", Unreachable, f"the server crashed, and recovers by itself; {_NOT_KEPT}; look into its log"),
    _Row(
        "57P03",
        Unreachable,
        "the server starts, stops or recovers: try again in a while; a standby needs hot_standby = on to be read",
    ),
    _Row("57P04", Unreachable, "somebody dropped the database"),
    _Row("57P05", Unreachable, "the server ended the session for doing nothing: raise idle_session_timeout"),
    _Row("57", Unreachable, f"somebody stepped in on the server; {_NOT_KEPT}"),
    _Row("58", CatalogError, "the server's own files or its machine fail: look into its log"),
    _Row("72000", MovedOn, "rows were removed that were still being read (old_snapshot_threshold); try again"),
    _Row("F0", CatalogError, "the server's configuration is broken: look into its log"),
    *(
        _Row(sqlstate, CatalogError, "a function of the database failed, such as that of an event trigger: see to that")
        for sqlstate in ("27", "2F", "38", "39", "P0")
    ),
    _Row("XX000", MovedOn, _CHANGED, "cache lookup failed|could not open relation|concurrently"),
    _Row("XX000", CatalogError, _DAMAGED, "missing chunk|unexpected chunk|invalid page"),
    _Row("XX000", CatalogError, "this is an error inside the server, or its storage is damaged: look into its log"),
    _Row("XX", CatalogError, _DAMAGED),
    _Row(_NO_TLS, Unreachable, "check sslmode= and sslrootcert=, and that the server offers TLS"),
)
"""The first that fits counts."""


def meaning_of(exc: psycopg.Error) -> Meaning:
    """Return what an error means; one that no row fits is a CatalogError without a hint."""
    text, sqlstate = str(exc), _sqlstate(exc)
    for row in _ROWS:
        if sqlstate.startswith(row.sqlstate) and re.search(row.words, text):
            return Meaning(row.error, row.hint)
    return Meaning(CatalogError, "")


def of_connecting(exc: psycopg.Error) -> Meaning:
    """Return what an error means that kept a connection from being made."""
    if _sqlstate(exc) in ("", _LOST):
        return Meaning(Unreachable, "check host and port, and that the server runs and lets this machine in")
    return Meaning(Unreachable, meaning_of(exc).hint)


def _sqlstate(exc: psycopg.Error) -> str:
    """Return the SQLSTATE of an error, or that of what it says; empty where it is none of the server's."""
    if exc.sqlstate:
        return exc.sqlstate
    if not isinstance(exc, psycopg.OperationalError | psycopg.InterfaceError):
        return ""
    text = str(exc)
    return next((sqlstate for words, sqlstate in _SAID if re.search(words, text)), _LOST)
