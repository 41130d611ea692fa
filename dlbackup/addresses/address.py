"""
Where catalogs live: parsing what users already have, and printing it without secrets.

An address is parsed once, at the edge. Its text form names host, port, database and user and nothing
else, so that no message, file name or log can hold a password.
"""

import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dlbackup.addresses import mysql
from dlbackup.addresses.libpq import ADDRESS_HINT, SECRET, conninfo, parse_keywords, parse_uri, quoted
from dlbackup.errors import UsageError, masked

Kind = Literal["postgres", "duckdb", "sqlite", "quack", "mysql"]
_SHOWN = ("host", "hostaddr", "port", "dbname", "user", "service")
_SQLITE_ENDINGS = (".sqlite", ".sqlite3")
FILE_ENDINGS = (".ducklake", ".duckdb", ".db", ".ddb", *_SQLITE_ENDINGS)
_SQLITE = b"SQLite format 3\0"
_SERVER = re.compile(r"([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_UNSUPPORTED = {
    "md": "MotherDuck",
    "motherduck": "MotherDuck",
    "mssql": "SQL Server",
    "moraine": "object storage by moraine",
}
_IN_STORAGE = re.compile(r"(s3[an]?|gcs|gs|r2|az|azure|abfss?)://", re.IGNORECASE)
_ON_SERVER = re.compile(r"\s*(ducklake:)?(postgres(ql)?|mysql|quack)(\+\w+)?:|.*\bpassw(or)?d\s*=", re.IGNORECASE)
BACKUP_ENDINGS = (".zst", ".zst.age")
"""How names of backups end, plain and encrypted ones."""


@dataclass(frozen=True, slots=True)
class Address:
    """
    A parsed address.

    Args:
        kind: what holds the catalog.
        parameters: of libpq, or of MySQL, as the user gave them; empty for files.
        path: the file; for Quack, host and port of the server; empty for PostgreSQL and MySQL.
        shown: what a file is called that stands for something else.
    """

    kind: Kind
    parameters: dict[str, str] = field(default_factory=dict, repr=False)
    path: str = ""
    shown: str = field(default="", repr=False)

    def __str__(self) -> str:
        if self.kind == "mysql":
            return mysql.shown(self.parameters)
        if self.kind != "postgres":
            return self.shown or f"{self.kind}:{self.path}"
        shown = [f"{key}={quoted(self.parameters[key])}" for key in _SHOWN if self.parameters.get(key)]
        return "postgres:" + masked(" ".join(shown))  # a dbname may be a whole URI

    def without_secrets(self) -> str:
        """Return an address that can be used again as this one, where the password comes from somewhere else."""
        if self.kind == "quack":
            return str(self)
        if self.kind == "mysql":
            return mysql.without_password(self.parameters)
        if self.kind != "postgres":
            return f"{self.kind}:{Path(self.path).absolute()}"
        kept = {key: value for key, value in self.parameters.items() if key not in SECRET}
        return "postgres:" + masked(conninfo(kept))

    def secrets(self) -> tuple[str, ...]:
        """Return the texts that must not appear in any output, longest first."""
        found = {self.parameters[key] for key in SECRET if self.parameters.get(key)}
        return tuple(sorted(found, key=len, reverse=True))


def parse_address(given: str | Path) -> Address:
    """
    Parse an address.

    Args:
        given: a text; a Path only names a catalog in a DuckDB file.

    Raises:
        UsageError: it names no catalog; it is not repeated in full, since it may hold a password.
    """
    if isinstance(given, Path):
        return _of_file(given)
    if not isinstance(given, str):
        raise UsageError(f"an address is a text, and not of type {type(given).__name__}", ADDRESS_HINT)
    whole = given.lstrip().removeprefix("ducklake:")
    rest = whole.rstrip()
    if rest.startswith(("postgresql://", "postgres://")):
        return Address("postgres", parse_uri(rest))
    scheme, colon, tail = rest.partition(":")
    if colon and scheme in ("postgres", "postgresql"):
        if tail.startswith(("postgresql://", "postgres://")):
            return Address("postgres", parse_uri(tail))
        return Address("postgres", parse_keywords(whole.partition(":")[2]))
    if colon and scheme in ("duckdb", "sqlite") and tail:
        tail = _from_home(tail)
        return Address("sqlite" if _is_sqlite(tail, like=scheme == "sqlite") else "duckdb", path=tail)
    if colon and scheme == "quack":
        return _of_server(tail)
    if colon and scheme == "mysql":
        return Address("mysql", mysql.parse_mysql(tail))
    if colon and scheme in _UNSUPPORTED:
        raise UsageError(
            f"the address is of a catalog in {_UNSUPPORTED[scheme]} ({scheme}:), which dlbackup can't read",
            ADDRESS_HINT,
        )
    if rest and "=" not in rest and "://" not in rest and rest.endswith(FILE_ENDINGS):
        return _at(_from_home(rest))
    if rest != given.strip() and _names_file(rest):
        return _at(_from_home(rest))
    if _IN_STORAGE.match(rest):
        raise UsageError(
            f"the address is of an object storage ({scheme}:), which holds backups, and no catalog that dlbackup reads",
            "name a backup there, such as s3://BUCKET/PREFIX/NAME.sql.zst; dlbackup list shows which there are",
        )
    if re.match(r"[~.]{0,2}/", rest) and _names_file(rest):
        raise UsageError(
            "the address is a path whose ending doesn't say which kind of file is meant",
            f"duckdb: or sqlite: before it says so, or an ending such as {', '.join(FILE_ENDINGS[:2])} or .sqlite",
        )
    raise UsageError(f"the address can't be understood (it begins with {_beginning(rest)!r})", ADDRESS_HINT)


def _of_server(text: str) -> Address:
    if not _SERVER.fullmatch(text):
        raise UsageError(
            "the address of a Quack server is quack:HOST or quack:HOST:PORT, without anything else",
            "the token is in the environment, or in a file that this names: DLBACKUP_QUACK_TOKEN_FILE",
        )
    return Address("quack", path=text)


def _names_file(text: str) -> bool:
    """Tell whether what follows `ducklake:` is a file, as DuckLake tells it: a bare word is the name of a secret."""
    return re.fullmatch(r"[^:=]*[./][^:=]*", text) is not None


def _from_home(path: str) -> str:
    """Return a path in which `~` stands for the user's folder, as for DuckDB; no shell sees it after `duckdb:`."""
    return os.path.expanduser(path) if path.startswith("~/") else path  # noqa: PTH111 - it stays where there is no home


def _at(path: str) -> Address:
    return Address("sqlite" if _is_sqlite(path, like=path.endswith(_SQLITE_ENDINGS)) else "duckdb", path=path)


def _is_sqlite(path: str, *, like: bool) -> bool:
    """
    Tell by a file's first bytes whether it is SQLite's; `like` where they say nothing.

    Another process looks: were the file open in a DuckDB of this one, a second opening here would drop its lock.
    """
    try:
        if not Path(path).is_file():
            return like
        looking = ["head", "-c", str(len(_SQLITE)), "--", path]
        first = subprocess.run(looking, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return like  # who opens it says what is wrong
    return first == _SQLITE or (like and first[8:12] != b"DUCK")


def _of_file(path: Path) -> Address:
    if path.name.endswith(FILE_ENDINGS) and not names_server(path):
        return _at(str(path))
    raise UsageError(
        f"a Path names no catalog unless it ends in {', '.join(FILE_ENDINGS)} (this one begins with"
        f" {_beginning(str(path))!r})",
        f"give the address of a PostgreSQL database as a text, and a backup as a file that exists; {ADDRESS_HINT}",
    )


def scrub(message: str, address: Address, *more: str) -> str:
    """Return `message` without the secrets of `address` and without `more`."""
    for secret in (*address.secrets(), *more):
        if secret:
            message = message.replace(secret, "***")
    return masked(message)


def _beginning(text: str) -> str:
    """Return what comes before anything that could be a secret."""
    return re.split(r"[:=@/\s]", text, maxsplit=1)[0][:20]


_DEFAULTS = {
    "keepalives": "1",
    "keepalives_idle": "60",
    "keepalives_interval": "10",
    "keepalives_count": "5",
    "tcp_user_timeout": "110000",  # what was sent and never acknowledged, which keepalives don't cover
}
_CONNECT_TIMEOUT_S = "10"


def parameters_for(address: Address, name: str = "dlbackup") -> dict[str, str]:
    """Return libpq parameters: the user's own, and dlbackup's where neither address nor environment speaks."""
    defaults = dict(_DEFAULTS)
    if "PGCONNECT_TIMEOUT" not in os.environ:
        defaults["connect_timeout"] = _CONNECT_TIMEOUT_S
    return defaults | {"fallback_application_name": name} | address.parameters


def names_server(target: str | Path) -> bool:
    """Tell whether what a user named, wherever, is meant as the address of a catalog on a server."""
    return _ON_SERVER.match(str(target)) is not None


def names_backup(target: str | Path) -> bool:
    """Tell whether what a user named is a backup, and not the address of a catalog."""
    if str(target) == "-" or str(target).endswith(BACKUP_ENDINGS):
        return True
    try:
        return Path(target).is_file() and not str(target).endswith(FILE_ENDINGS)
    except OSError:  # a long address is no possible file name, and the error would repeat its password
        return False
