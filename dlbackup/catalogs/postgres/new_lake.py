"""Where a new lake is made on a server: under the lock of those who migrate and restore, so that one alone makes it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from dlbackup.addresses.address import Address
from dlbackup.catalogs.contract import Site
from dlbackup.catalogs.postgres.clients.advisory_lock import only_migrator
from dlbackup.catalogs.postgres.introspection import read_definitions
from dlbackup.catalogs.postgres.schemas import find_schema
from dlbackup.catalogs.postgres.sessions import Session, connect, translated
from dlbackup.errors import NotALake, NotEmpty, counted

_PUBLIC = "public"
"""Where DuckLake makes a catalog unless told otherwise."""


@contextmanager
def making_lake(address: Address, wanted: str | None) -> Iterator[Site]:
    """Be the one who makes a lake, in the block; see `catalogs.open.making_lake`."""
    schema = wanted or _PUBLIC
    doing = translated(address, "making a lake")
    with closing(connect(address)) as session, doing, only_migrator(session, address, schema):
        yield Site(schema=schema, taken=_is_taken(session, wanted, schema))


def _is_taken(session: Session, wanted: str | None, schema: str) -> bool:
    try:
        find_schema(session, wanted)
    except NotALake:
        remains = read_definitions(session, schema).tables
    else:
        return True
    if remains:
        raise NotEmpty(
            f"schema {schema} holds no catalog, but {counted(len(remains), 'table')} of one: {remains[0].name}, ...",
            "restore a backup, or make the lake in another schema",
        )
    return False
