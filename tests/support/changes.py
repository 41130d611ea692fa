"""What no command may change without saying so: every row and definition of a database, and which schemas it has."""

import re

from support.comparison import execute, server_digests
from support.lakes.lakes import Lake

__all__ = ["Everything", "everything", "set_for"]

Everything = tuple[bytes, dict[str, str]]


def everything(made: Lake) -> Everything:
    """Return all that pg_dump says of the database, and the server's own digests of the catalog's rows."""
    text = made.server.run("pg_dump", "-d", made.dbname)
    return re.sub(rb"(?m)^\\(un)?restrict .*$", b"", text), server_digests(made.url, made.schema)


def set_for(made: Lake, **settings: str) -> None:
    """Give whoever connects to the lake's database these settings from the server."""
    for name, value in settings.items():
        execute(made.url, f"alter database {made.dbname} set {name} = {value}")
