"""Which backend an address means; a backend and its driver are imported when an address asks for them."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dlbackup.addresses.address import Address, Kind
from dlbackup.catalogs.contract import Access, Catalog, Remake, Rewrite, Served, Site, Trial
from dlbackup.catalogs.in_files import FileTrial, scratch_beside
from dlbackup.errors import UsageError
from dlbackup.tables.types import Dialect

if TYPE_CHECKING:
    from dlbackup.catalogs.duckdb.catalog import FileCatalog
    from dlbackup.catalogs.mysql.catalog import MysqlCatalog
    from dlbackup.catalogs.postgres.catalog import PostgresCatalog
    from dlbackup.catalogs.postgres.served import ServedCatalog
    from dlbackup.catalogs.quack.catalog import QuackCatalog
    from dlbackup.catalogs.sqlite.catalog import SqliteCatalog


_Trying = Callable[[Address, str], AbstractContextManager[Trial]]
_Remaking = Callable[[Address, str, Access], AbstractContextManager[Remake]]


class _Backend(Protocol):
    """The class of a backend's catalogs."""

    def open(
        self, address: Address, schema: str | None = None, access: Access | None = None, /
    ) -> AbstractContextManager[Catalog]: ...

    def open_for_restore(
        self, address: Address, wanted: str | None, own: str, access: Access | None = None, /, *, replace: bool
    ) -> AbstractContextManager[Catalog]: ...


class _Server(Protocol):
    """The class of a server's catalogs as they are migrated where they are."""

    def open(self, address: Address, schema: str | None = None, /) -> AbstractContextManager[Served]: ...

    def making_lake(self, address: Address, wanted: str | None, /) -> AbstractContextManager[Site]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaders:
    """
    What imports a backend, and what its tables are loaded from, which needs no driver.

    Args:
        dialect: in whose words backups of it are.
        served: its catalogs as they are migrated beside clients; None where they are in a file, or read only.
        trying: a scratch place beside a catalog; None where that is a file.
        remaking: holds a catalog and its copy, which an engine migrates; None where engines migrate it where it is.
        read_only: what to raise at an address where nothing can be written.
    """

    backend: Callable[[], _Backend]
    rewrite: Callable[[], Rewrite]
    dialect: Dialect
    served: Callable[[], _Server] | None = None
    trying: Callable[[], _Trying] | None = None
    remaking: Callable[[], _Remaking] | None = None
    read_only: Callable[[Address], UsageError] | None = None


def _postgres() -> "type[PostgresCatalog]":
    from dlbackup.catalogs.postgres.catalog import PostgresCatalog

    return PostgresCatalog


def _served() -> "type[ServedCatalog]":
    from dlbackup.catalogs.postgres.served import ServedCatalog

    return ServedCatalog


def _trying() -> _Trying:
    from dlbackup.catalogs.postgres.trial import trying

    return trying


def _copy_text() -> Rewrite:
    from dlbackup.catalogs.postgres.bulk.copy_text import copy_text

    return copy_text


def _duckdb() -> "type[FileCatalog]":
    from dlbackup.catalogs.duckdb.catalog import FileCatalog

    return FileCatalog


def _remaking() -> _Remaking:
    from dlbackup.catalogs.duckdb.remaking import remaking

    return remaking


def _sqlite() -> "type[SqliteCatalog]":
    from dlbackup.catalogs.sqlite.catalog import SqliteCatalog

    return SqliteCatalog


def _remaking_in_place() -> _Remaking:
    from dlbackup.catalogs.sqlite.remaking import remaking

    return remaking


def _quack() -> "type[QuackCatalog]":
    from dlbackup.catalogs.quack.catalog import QuackCatalog

    return QuackCatalog


def _read_only(address: Address) -> UsageError:
    from dlbackup.catalogs.quack.catalog import read_only

    return read_only(address)


def _mysql() -> "type[MysqlCatalog]":
    from dlbackup.catalogs.mysql.catalog import MysqlCatalog

    return MysqlCatalog


def _mysql_is_read_only(address: Address) -> UsageError:
    from dlbackup.catalogs.mysql.catalog import read_only

    return read_only(address)


def _values() -> Rewrite:
    from dlbackup.catalogs.sqlite.rewrite import values

    return values


def _csv_rows() -> Rewrite:
    from dlbackup.catalogs.duckdb.rewrite import csv_rows

    return csv_rows


_BACKENDS: dict[Kind, _Loaders] = {
    "postgres": _Loaders(backend=_postgres, rewrite=_copy_text, dialect="postgres", served=_served, trying=_trying),
    "duckdb": _Loaders(backend=_duckdb, rewrite=_csv_rows, dialect="duckdb", remaking=_remaking),
    "sqlite": _Loaders(backend=_sqlite, rewrite=_values, dialect="sqlite", remaking=_remaking_in_place),
    "quack": _Loaders(backend=_quack, rewrite=_csv_rows, dialect="duckdb", read_only=_read_only),
    "mysql": _Loaders(backend=_mysql, rewrite=_values, dialect="sqlite", read_only=_mysql_is_read_only),
}
_KINDS: dict[Kind, str] = {"postgres": "PostgreSQL", "duckdb": "a DuckDB file", "sqlite": "a SQLite file"}


def open_catalog(
    address: Address, schema: str | None = None, access: Access | None = None
) -> AbstractContextManager[Catalog]:
    """
    Open the catalog at an address; the caller closes it with `with`.

    Args:
        schema: names it where the place holds several.
        access: to a file; by default nobody is waited for.

    Raises:
        CatalogError: unreachable, not a lake, or ambiguous.
        Locked: somebody has the file open for writing.
    """
    return _BACKENDS[address.kind].backend().open(address, schema, access)


def open_for_restore(
    address: Address, wanted: str | None, own: str, access: Access | None = None, *, replace: bool
) -> AbstractContextManager[Catalog]:
    """
    Open the place at an address where a backup is to become a catalog, whether there is one or not.

    Args:
        wanted: the schema that the user named.
        access: to a file; by default nobody is waited for.
        own: the backup's own, which is taken where nobody named one and no catalog is to be replaced.

    Raises:
        CatalogError: unreachable, or several catalogs could be meant.
    """
    return _BACKENDS[address.kind].backend().open_for_restore(address, wanted, own, access, replace=replace)


def rewrite_for(address: Address, dialect: Dialect) -> Rewrite:
    """
    Return how rows of a backup have to be rewritten to be loaded at an address; imports no driver.

    Raises:
        UsageError: not from a backup of that dialect as it is, or nothing can be loaded there.
    """
    refuse_read_only(address)
    if dialect_at(address) != dialect:
        raise UsageError(
            f"the backup is of a catalog in {_KINDS[dialect]}, and is tried on the same kind only, not on {address}",
            "dlbackup restore and dlbackup copy carry it to another kind",
        )
    return _BACKENDS[address.kind].rewrite()


def dialect_at(address: Address) -> Dialect:
    """Return in whose words a backup has to be to be restored at an address."""
    return _BACKENDS[address.kind].dialect


def refuse_read_only(address: Address) -> None:
    """Raise UsageError, which says what to do instead, where a catalog can be read and not be written."""
    refusing = _BACKENDS[address.kind].read_only
    if refusing is not None:
        raise refusing(address)


def refuse_to_freeze(address: Address) -> None:
    """Raise UsageError where there can be no frozen catalog, which is a file."""
    if address.kind != "duckdb":
        raise UsageError(
            f"a frozen lake is a DuckDB file, and {address} is none", "name a new file, such as frozen.ducklake"
        )


def refuse_storage_version(address: Address) -> None:
    """Raise UsageError where there is none."""
    if address.kind != "duckdb":
        raise UsageError(f"only a DuckDB file has a storage version, and {address} is none", "leave it out")


def is_in_file(address: Address) -> bool:
    """Tell whether there is no server, so that a copy of a catalog is a file beside."""
    return _BACKENDS[address.kind].served is None


def is_of_server(dialect: Dialect) -> bool:
    """Tell whether backups in these words are of catalogs on a server, and are restored to one."""
    return _BACKENDS[dialect].served is not None


def scratch_file(dialect: Dialect, folder: Path) -> Address:
    """Return where in a folder a backup in these words, which are a file's, becomes a catalog."""
    return Address(dialect, path=str(folder / "lake.ducklake"))


def scratch_for_engines(folder: Path) -> Address:
    """Return where in a folder a catalog is made of the kind in which engines can do everything."""
    return scratch_file("duckdb", folder)


def making_lake(address: Address, wanted: str | None) -> AbstractContextManager[Site]:
    """
    Be the one who makes a lake at an address, in the block, where several programs may be about to.

    Args:
        wanted: the schema that the user named.

    Raises:
        MigratorRuns: somebody else is at it.
        NotEmpty: tables of a catalog are left there, which is none any more.
    """
    opening = _BACKENDS[address.kind].served
    return nullcontext(Site(schema=wanted)) if opening is None else opening().making_lake(address, wanted)


def place_to_try(address: Address) -> str:
    """Say where `trying` finds its place."""
    return f"a scratch file beside {address}" if is_in_file(address) else f"a scratch schema of {address}"


def trying(address: Address, schema: str) -> AbstractContextManager[Trial]:
    """
    Give a scratch place beside a catalog, or where one could be, which is gone at the end of the block.

    Args:
        schema: the catalog's own.

    Raises:
        UsageError: nothing can be written there.
    """
    refuse_read_only(address)
    opening = _BACKENDS[address.kind].trying
    return _in_scratch_file(address, schema) if opening is None else opening()(address, schema)


@contextmanager
def _in_scratch_file(address: Address, schema: str) -> Iterator[Trial]:
    with (
        scratch_beside(address) as place,
        open_for_restore(place, None, schema, replace=False) as catalog,
    ):
        yield FileTrial(catalog)


def remaking(address: Address, schema: str, access: Access) -> AbstractContextManager[Remake]:
    """
    Hold a catalog that is migrated as a copy; who does has its turn.

    Raises:
        Locked: somebody has it open.
    """
    opening = _BACKENDS[address.kind].remaking
    if opening is None:
        raise AssertionError(f"{address.kind} is migrated where it is")
    return opening()(address, schema, access)


def open_served(address: Address, schema: str | None = None) -> AbstractContextManager[Served]:
    """
    Open a catalog on a server for what only those can do: be migrated beside clients, and bar them. Raises as above.

    Raises:
        UsageError: it is another kind of catalog.
    """
    refuse_read_only(address)
    opening = _BACKENDS[address.kind].served
    if opening is None:
        raise UsageError(f"{address} is {_KINDS[address.kind]}, which nobody has open while it is migrated: no bars")
    return opening().open(address, schema)
