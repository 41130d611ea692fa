"""
Where catalogs live: parsing what users already have, and printing it without secrets.

An address is parsed once, at the edge. Its text form names host, port, database and user and nothing
else, so that no message, file name or log can hold a password.
"""

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote

from dlbackup.errors import UsageError

Kind = Literal["postgres", "duckdb", "sqlite"]

_SHOWN = ("host", "hostaddr", "port", "dbname", "user", "service")
SECRET = (
    "password",
    "sslpassword",
    "passfile",
    "scram_client_key",
    "scram_server_key",
    "oauth_client_secret",
)
FILE_ENDINGS = (".ducklake", ".duckdb", ".db", ".ddb")
_HINT = (
    "an address looks like postgres:dbname=lake, postgresql://user@host/lake, "
    "ducklake:postgres:host=... dbname=..., path/to/lake.ducklake or sqlite:path"
)


@dataclass(frozen=True, slots=True)
class Address:
    """
    A parsed address.

    Args:
        kind: what holds the catalog.
        parameters: libpq parameters as the user gave them; empty for files.
        path: the file; empty for PostgreSQL.
    """

    kind: Kind
    parameters: dict[str, str] = field(default_factory=dict, repr=False)
    path: str = ""

    def __str__(self) -> str:
        if self.kind != "postgres":
            return f"{self.kind}:{self.path}"
        shown = [f"{key}={_quoted(self.parameters[key])}" for key in _SHOWN if self.parameters.get(key)]
        return "postgres:" + masked(" ".join(shown))  # a dbname may be a whole URI

    def secrets(self) -> tuple[str, ...]:
        """Return the texts that must not appear in any output, longest first."""
        found = {self.parameters[key] for key in SECRET if self.parameters.get(key)}
        return tuple(sorted(found, key=len, reverse=True))


def parse_address(text: str) -> Address:
    """
    Parse an address.

    Raises:
        UsageError: the text names no catalog; it is not repeated in full, since it may hold a password.
    """
    rest = text.strip().removeprefix("ducklake:")
    if rest.startswith(("postgresql://", "postgres://")):
        return Address("postgres", _parse_uri(rest))
    scheme, colon, tail = rest.partition(":")
    if colon and scheme in ("postgres", "postgresql"):
        if tail.startswith(("postgresql://", "postgres://")):
            return Address("postgres", _parse_uri(tail))
        return Address("postgres", _parse_keywords(tail))
    if colon and scheme == "duckdb" and tail:
        return Address("duckdb", path=tail)
    if colon and scheme == "sqlite" and tail:
        return Address("sqlite", path=tail)
    if rest and "=" not in rest and "://" not in rest and rest.endswith(FILE_ENDINGS):
        return Address("duckdb", path=rest)
    raise UsageError(f"the address can't be understood (it begins with {_beginning(rest)!r})", _HINT)


def scrub(message: str, address: Address, *more: str) -> str:
    """Return `message` without the secrets of `address` and without `more`."""
    for secret in (*address.secrets(), *more):
        if secret:
            message = message.replace(secret, "***")
    return masked(message)


def masked(text: str) -> str:
    """Return `text` without what looks like a password, in a URI or as key=value."""
    text = re.sub(r"(?<=://)[^/@\s]*@", "***@", text)
    return re.sub(r"(?i)(password\s*=\s*)('(?:[^'\\]|\\.)*'|\S+)", r"\1***", text)


def conninfo(parameters: dict[str, str]) -> str:
    """Return libpq's key=value form, quoted so that spaces, quotes and backslashes survive."""
    return " ".join(f"{key}={_quoted(value)}" for key, value in parameters.items())


def _quoted(value: str) -> str:
    if value and re.fullmatch(r"[^\s'\\]+", value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _beginning(text: str) -> str:
    """Return what comes before anything that could be a secret."""
    return re.split(r"[:=@/\s]", text, maxsplit=1)[0][:20]


# As libpq reads it: no fragment, `+` is a plus sign, and the first `/` ends user and password.
_URI = re.compile(r"postgres(?:ql)?://(?:([^/]*)@)?([^/?@]*)(?:/([^?]*))?(?:\?(.*))?", re.DOTALL)
_KEYWORD = re.compile(
    r"\s*([A-Za-z_]\w*)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.|\\$)(?:[^\s\\]|\\.|\\$)*)|(?=\s|$))", re.DOTALL
)


def _parse_keywords(text: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    position = 0
    text = text.rstrip()
    while position < len(text):
        match = _KEYWORD.match(text, position)
        if match is None:
            raise UsageError(
                f"the address can't be understood after {position} characters: key=value pairs are expected",
                _HINT,
            )
        value = match[2] if match[2] is not None else match[3] or ""
        parameters[match[1].lower()] = re.sub(r"\\(.|$)", r"\1", value, flags=re.DOTALL)
        position = match.end()
    return parameters


def _parse_uri(text: str) -> dict[str, str]:
    uri = _URI.fullmatch(text)
    pairs = [pair.partition("=") for pair in (uri[4] or "").split("&") if pair] if uri else []
    bad_escape = re.search(r"%(?![0-9A-Fa-f]{2})|%00", text)
    if uri is None or bad_escape or not all(separator for _, separator, _ in pairs):
        raise UsageError("the address is not a valid URI", _HINT)
    query = {unquote(key): unquote(value) for key, _, value in pairs}
    if query.get("ssl") == "true":  # JDBC's word, which libpq takes in URIs
        del query["ssl"]
        query["sslmode"] = "require"
    user_part, hosts = uri[1] or "", uri[2]
    user, _, password = user_part.partition(":")
    names, ports = [], []
    for host in hosts.split(","):
        match = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::(\d*))?", host)
        if match is None:
            raise UsageError("the address has a malformed host or port", _HINT)
        names.append(unquote(match[1].strip("[]")))
        ports.append(match[2] or "")
    parameters = {
        "host": ",".join(names) if any(names) else "",
        "port": ",".join(ports) if any(ports) else "",
        "user": unquote(user),
        "password": unquote(password),
        "dbname": unquote(uri[3] or ""),
    }
    return {key: value for key, value in parameters.items() if value} | query
