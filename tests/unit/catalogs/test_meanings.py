"""What a server's errors mean: the table of SQLSTATEs, held against psycopg's list of them all."""

import psycopg
import pytest
from psycopg import errors as pg

from dlbackup.catalogs.postgres.meanings import meaning_of, of_connecting
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

KNOWN = sorted(
    (kind for kind in vars(pg).values() if isinstance(getattr(kind, "sqlstate", None), str) and kind.sqlstate < "H"),
    key=lambda kind: str(kind.sqlstate),
)
"""All but those of foreign data, which no catalog has."""
_LOST = "the connection was lost"


_OPERATIONAL = [kind for kind in KNOWN if issubclass(kind, psycopg.OperationalError)]


def test_what_operates_the_server_has_words() -> None:
    """No error of the operation is left without a hint, and only those of the connection are called a lost one."""
    for kind in _OPERATIONAL:
        if not str(kind.sqlstate).startswith("3B"):
            error, hint = meaning_of(kind("words"))

            assert hint, kind
            assert (_LOST in hint) == str(kind.sqlstate).startswith("08"), kind
            assert issubclass(error, DlbackupError), kind


def test_what_ends_the_session_is_told_apart() -> None:
    """Whatever ends a session is Unreachable, so that a COMMIT without an answer is looked up."""
    ends = {"25P03", "25P04", "53300", "57P01", "57P02", "57P03", "57P04", "57P05", "3D000"}
    for kind in KNOWN:
        code = str(kind.sqlstate)
        unreachable = meaning_of(kind("words")).error is Unreachable

        assert unreachable == (code in ends or (code[:2] in ("08", "28", "57") and code != "57014")), kind


@pytest.mark.parametrize(
    ("error", "becomes", "hint"),
    [
        (pg.SerializationFailure("canceling statement due to conflict with recovery"), MovedOn, "hot_standby_feedback"),
        (pg.SerializationFailure("could not serialize access"), MovedOn, "try again"),
        (pg.DeadlockDetected("deadlock detected"), Locked, "try again"),
        (pg.LockNotAvailable("canceling statement due to lock timeout"), Locked, "another session holds a lock"),
        (pg.OutOfMemory("out of shared memory"), CatalogError, "max_locks_per_transaction"),
        (pg.OutOfMemory("out of memory"), CatalogError, "too little memory"),
        (pg.InsufficientPrivilege("must be owner of table ducklake_tag"), NoRight, "the role that owns it"),
        (pg.InsufficientPrivilege("permission denied for table ducklake_tag"), NoRight, "the role that owns it"),
        (pg.ProgramLimitExceeded("row is too big: size 10920, maximum size 8160"), NotCarried, "flush_inlined_data"),
        (pg.ProgramLimitExceeded("target lists can have at most 1664 entries"), CatalogError, "more than PostgreSQL"),
        (pg.InternalError_("cache lookup failed for relation 16384"), MovedOn, "changed in the middle"),
        (pg.InternalError_("missing chunk number 0 for toast value 1"), CatalogError, "storage is damaged"),
        (pg.InternalError_("unexpected"), CatalogError, "inside the server"),
        (pg.DataCorrupted("invalid page in block 0"), CatalogError, "storage is damaged"),
        (pg.UndefinedFile('could not open file "base/1/2"'), CatalogError, "files or its machine"),
        (pg.UntranslatableCharacter("no equivalent"), OtherEncoding, "ENCODING 'UTF8'"),
        (psycopg.OperationalError("consuming input failed: server closed"), Unreachable, _LOST),
        (psycopg.InterfaceError("the connection is closed"), Unreachable, _LOST),
        (psycopg.OperationalError("terminating connection due to administrator command"), Unreachable, "being stopped"),
        (psycopg.DataError("no row from: select"), CatalogError, ""),
    ],
)
def test_words_tell_what_one_code_stands_for(error: psycopg.Error, becomes: type[DlbackupError], hint: str) -> None:
    """Where one SQLSTATE stands for several troubles, or there is none, the words decide."""
    found = meaning_of(error)

    assert found.error is becomes
    assert hint in found.hint
    assert bool(found.hint) == bool(hint)


@pytest.mark.parametrize("object_", ["database lake", "schema public", "function pg_export_snapshot"])
def test_owner_is_not_sent_to_the_owner(object_: str) -> None:
    """Rights on what is not the catalog's own don't come with owning the catalog."""
    hint = meaning_of(pg.InsufficientPrivilege(f"permission denied for {object_}")).hint

    assert "role that owns" not in hint
    assert "rights granted" in hint


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ('FATAL:  password authentication failed for user "u"', "PGPASSWORD"),
        ("fe_sendauth: no password supplied", "PGPASSWORD"),
        ('FATAL:  role "u" does not exist', "user="),
        ('FATAL:  role "u" is not permitted to log in', "user="),
        ('FATAL:  no pg_hba.conf entry for host "h", user "u", database "d", no encryption', "pg_hba.conf"),
        ('FATAL:  database "d" does not exist', "dbname="),
        ('FATAL:  database "d" is not currently accepting connections', "ALLOW_CONNECTIONS"),
        ('FATAL:  permission denied for database "d"', "rights granted"),
        ("FATAL:  sorry, too many clients already", "max_connections"),
        ('FATAL:  too many connections for role "u"', "CONNECTION LIMIT"),
        ("FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute", "max_connections"),
        ("FATAL:  the database system is starting up", "in a while"),
        ("FATAL:  the database system is not accepting connections", "in a while"),
        ("server does not support SSL, but SSL was required", "sslmode="),
        ("SSL error: certificate verify failed", "sslmode="),
        ("connection refused", "check host and port"),
        ("failed to resolve host 'h'", "check host and port"),
    ],
)
def test_what_keeps_from_connecting_is_known_by_its_words(said: str, hint: str) -> None:
    """While a connection is made there is no SQLSTATE; each of these says what to do."""
    found = of_connecting(psycopg.OperationalError(f'connection failed: server at "h" failed: {said}'))

    assert found.error is Unreachable
    assert hint in found.hint
