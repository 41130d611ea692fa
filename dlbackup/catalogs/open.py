"""Which backend an address means; a backend and its driver are imported when an address asks for them."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from dlbackup.addresses.address import Address, Kind
from dlbackup.catalogs.contract import Catalog, Rewrite
from dlbackup.errors import Unsupported, UsageError

if TYPE_CHECKING:
    from dlbackup.catalogs.postgres.catalog import PostgresCatalog


class _Backend(Protocol):
    """The class of a backend's catalogs."""

    def open(self, address: Address, schema: str | None = None, /) -> AbstractContextManager[Catalog]: ...

    def open_for_restore(
        self, address: Address, wanted: str | None, own: str, /, *, replace: bool
    ) -> AbstractContextManager[Catalog]: ...


@dataclass(frozen=True, slots=True)
class _Loaders:
    """What imports a backend, and what its tables are loaded from, which needs no driver."""

    backend: Callable[[], _Backend]
    rewrite: Callable[[], Rewrite]


def _postgres() -> "type[PostgresCatalog]":
    from dlbackup.catalogs.postgres.catalog import PostgresCatalog

    return PostgresCatalog


def _copy_text() -> Rewrite:
    from dlbackup.catalogs.postgres.bulk.copy_text import copy_text

    return copy_text


_BACKENDS: dict[Kind, _Loaders] = {"postgres": _Loaders(_postgres, _copy_text)}
_KINDS: dict[Kind, str] = {"duckdb": "a DuckDB file", "sqlite": "a SQLite file"}


def open_catalog(address: Address, schema: str | None = None) -> AbstractContextManager[Catalog]:
    """
    Open the catalog at an address; the caller closes it with `with`.

    Args:
        schema: names it where the place holds several.

    Raises:
        Unsupported: a kind of catalog that this version can't handle.
        CatalogError: unreachable, not a lake, or ambiguous.
    """
    return _loaders(address).backend().open(address, schema)


def open_for_restore(
    address: Address, wanted: str | None, own: str, *, replace: bool
) -> AbstractContextManager[Catalog]:
    """
    Open the place at an address where a backup is to become a catalog, whether there is one or not.

    Args:
        wanted: the schema that the user named.
        own: the backup's own, which is taken where nobody named one and no catalog is to be replaced.

    Raises:
        Unsupported: a kind of catalog that this version can't handle.
        CatalogError: unreachable, or several catalogs could be meant.
    """
    return _loaders(address).backend().open_for_restore(address, wanted, own, replace=replace)


def rewrite_for(address: Address) -> Rewrite:
    """
    Return how rows have to be rewritten to be loaded at an address; imports no driver.

    Raises:
        UsageError: nothing can be restored there.
    """
    if address.kind not in _BACKENDS:
        raise UsageError(f"this version of dlbackup restores to PostgreSQL only, not to {address}")
    return _BACKENDS[address.kind].rewrite()


def open_postgres(address: Address, schema: str | None = None) -> AbstractContextManager["PostgresCatalog"]:
    """Open a catalog for what only PostgreSQL's can do so far: be migrated, and bar clients. Raises as above."""
    _loaders(address)
    return _postgres().open(address, schema)


def _loaders(address: Address) -> _Loaders:
    if address.kind not in _BACKENDS:
        raise Unsupported(
            f"the catalog at {address} is in {_KINDS[address.kind]}, and this version of dlbackup handles PostgreSQL"
            " only",
            "copy the file while no client is attached",
        )
    return _BACKENDS[address.kind]
