"""
Connection strings of libpq, both forms: read, written, and with their secrets masked.
"""

import re
from urllib.parse import quote, unquote

from dlbackup.errors import UsageError

SECRET = (
    "password",
    "sslpassword",
    "passfile",
    "scram_client_key",
    "scram_server_key",
    "oauth_client_secret",
)
ADDRESS_HINT = (
    "an address looks like postgres:dbname=lake, postgresql://user@host/lake, "
    "ducklake:postgres:host=... dbname=..., path/to/lake.ducklake, sqlite:path, quack:host:port or mysql:database=..."
)


def conninfo(parameters: dict[str, str]) -> str:
    """Return libpq's key=value form, quoted so that spaces, quotes and backslashes survive."""
    return " ".join(f"{key}={quoted(value)}" for key, value in parameters.items())


def quoted(value: str) -> str:
    """Return a value of a key=value pair, in quotes where it needs them."""
    if value and re.fullmatch(r"[^\s'\\]+", value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def uri(parameters: dict[str, str]) -> str:
    """Return libpq's URI form, in which other programs understand user, password, one host and port, and database."""
    rest = dict(parameters)
    place = {"user": "", "password": "", "host": "", "port": "", "dbname": ""}
    plain = re.fullmatch(r"[\w.-]*", rest.get("host", "")) and re.fullmatch(r"\d*", rest.get("port", ""))
    for name in place if plain else ("user", "password", "dbname"):
        place[name] = quote(rest.pop(name, ""), safe="")
    who = place["user"] + (f":{place['password']}" if place["password"] else "")
    where = place["host"] + (f":{place['port']}" if place["port"] else "")
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in rest.items())
    return f"postgresql://{who}{'@' * bool(who)}{where}/{place['dbname']}{'?' * bool(query)}{query}"


# As libpq reads it: no fragment, `+` is a plus sign, and the first `/` ends user and password.
_URI = re.compile(r"postgres(?:ql)?://(?:([^/]*)@)?([^/?@]*)(?:/([^?]*))?(?:\?(.*))?", re.DOTALL)
_KEYWORD = re.compile(
    r"\s*([A-Za-z_]\w*)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.|\\$)(?:[^\s\\]|\\.|\\$)*)|(?=\s|$))", re.DOTALL
)


def parse_keywords(text: str) -> dict[str, str]:
    """Return the parameters of the key=value form; raise UsageError."""
    parameters: dict[str, str] = {}
    position = 0
    while text[position:].strip():  # not stripped as a whole: a space at the end may be escaped
        match = _KEYWORD.match(text, position)
        if match is None:
            raise UsageError(
                f"the address can't be understood after {position} characters: key=value pairs are expected",
                ADDRESS_HINT,
            )
        value = match[2] if match[2] is not None else match[3] or ""
        parameters[match[1].lower()] = re.sub(r"\\(.|$)", r"\1", value, flags=re.DOTALL)
        position = match.end()
    return parameters


def parse_uri(text: str) -> dict[str, str]:
    """Return the parameters of the URI form; raise UsageError."""
    uri = _URI.fullmatch(text)
    pairs = [pair.partition("=") for pair in (uri[4] or "").split("&") if pair] if uri else []
    bad_escape = re.search(r"%(?![0-9A-Fa-f]{2})|%00", text)
    if uri is None or bad_escape or not all(separator for _, separator, _ in pairs):
        raise UsageError("the address is not a valid URI", ADDRESS_HINT)
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
            raise UsageError("the address has a malformed host or port", ADDRESS_HINT)
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
