"""The record of a running PostgreSQL server, wherever it runs, and databases on it.

A database per test is cheaper by far than a server per test, and a copy of a template database is
cheaper than building its contents again.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, Protocol

import psycopg
from psycopg import sql

__all__ = ["FAST", "PASSWORD", "USER", "ClientProgram", "Kind", "Server"]

Kind = Literal["docker", "embedded"]

USER = "tester"
# A word that appears nowhere else, so that a test can look for it in outputs.
PASSWORD = "pw-never-shown-81c5"
# Nothing here outlives a test run: no waiting for the disk. What publications send can be read.
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "wal_level": "logical"}


class ClientProgram(Protocol):
    """Runs one of the server's own client programs, connected to it, and returns what it printed."""

    def __call__(self, *command: str, stdin: bytes = b"") -> bytes:
        """Run, say, ("pg_dump", "-d", "name"); raise RuntimeError with its words when it fails."""
        ...


@dataclass(frozen=True, slots=True)
class Server:
    """A running server; user is a superuser."""

    major: int
    kind: Kind
    host: str
    port: int
    user: str
    password: str
    dbname: str
    run: ClientProgram = field(repr=False, compare=False)

    @property
    def url(self) -> str:
        """The URL of the server's first database."""
        return self.url_of(self.dbname)

    def url_of(self, dbname: str) -> str:
        """Return the URL of another database, as the superuser."""
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{dbname}"

    def create_database(self, name: str, template: str | None = None) -> str:
        """Create a database, empty or as a copy of one that nobody is connected to; return its URL."""
        statement = sql.SQL("create database {}").format(sql.Identifier(name))
        if template is not None:
            statement += sql.SQL(" template {}").format(sql.Identifier(template))
        if self.major >= 15:  # the only way before, and in memory half the work of the new one
            statement += sql.SQL(" strategy file_copy")
        with psycopg.connect(self.url, autocommit=True) as admin:
            admin.execute(statement)
        return self.url_of(name)

    def drop_database(self, name: str) -> None:
        """Drop a database and end whoever is connected to it."""
        with psycopg.connect(self.url, autocommit=True) as admin:
            admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    @contextmanager
    def database(self, template: str | None = None) -> Iterator[str]:
        """Yield the URL of a new database, dropped at the end."""
        name = f"t_{secrets.token_hex(6)}"
        try:
            yield self.create_database(name, template)
        finally:
            self.drop_database(name)
