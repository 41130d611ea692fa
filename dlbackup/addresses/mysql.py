"""Addresses of MySQL databases, as DuckDB's connector takes them, and as URIs."""

from urllib.parse import parse_qsl, unquote, urlsplit

from dlbackup.addresses.libpq import parse_keywords, quoted
from dlbackup.errors import UsageError

_HINT = (
    "an address looks like mysql:host=... user=... database=lake, or mysql://user@host:port/lake; the password may be"
    " in MYSQL_PWD"
)
_SHOWN = ("host", "port", "socket", "database", "user")
_ALIASES = {
    "hostname": "host",
    "username": "user",
    "passwd": "password",
    "db": "database",
    "dbname": "database",
    "unix_socket": "socket",
}
_NAMES = frozenset({*_SHOWN, "password", "ssl_mode", "ssl_ca", "ssl_cert", "ssl_key"})


def parse_mysql(text: str) -> dict[str, str]:
    """
    Return the parameters of what follows `mysql:`, by the names that DuckDB's connector gives them first.

    Raises:
        UsageError: it can't be understood; no value is repeated.
    """
    given = _of_uri(text) if text.startswith("//") else parse_keywords(text)
    found = {_ALIASES.get(name, name): value for name, value in given.items()}
    if unknown := sorted(found.keys() - _NAMES):
        raise UsageError(f"an address of MySQL has no {', '.join(unknown)}", f"it has {', '.join(sorted(_NAMES))}")
    if not is_port(found.get("port", "0")):
        raise UsageError("the port in the address is no number up to 65535", _HINT)
    return found


def is_port(text: str) -> bool:
    """Tell whether a text is the number of a port; of a greater one the system would take the last 16 bits."""
    return text.isascii() and text.isdigit() and int(text) < 1 << 16


def shown(parameters: dict[str, str]) -> str:
    """Return the text form, which has no secrets."""
    return "mysql:" + " ".join(f"{name}={quoted(parameters[name])}" for name in _SHOWN if parameters.get(name))


def without_password(parameters: dict[str, str]) -> str:
    """Return an address that can be used again, where the password comes from somewhere else."""
    kept = {name: value for name, value in parameters.items() if name != "password"}
    return "mysql:" + " ".join(f"{name}={quoted(value)}" for name, value in kept.items())


def _of_uri(text: str) -> dict[str, str]:
    try:
        uri = urlsplit(text)
        port = uri.port
    except ValueError:
        raise UsageError("the URI of a MySQL database can't be understood", _HINT) from None
    found = {
        "host": uri.hostname or "",
        "port": "" if port is None else str(port),
        "user": unquote(uri.username or ""),
        "password": unquote(uri.password or ""),
        "database": unquote(uri.path.removeprefix("/")),
    }
    return {name: value for name, value in found.items() if value} | dict(parse_qsl(uri.query))
