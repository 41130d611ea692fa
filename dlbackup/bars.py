"""
Bars against stale clients: two CHECK constraints that turn an old client's silent damage into an error.

A client that attached before a migration goes on writing what its own spec version wants; from 0.4 on that
leaves NULL in `ducklake_schema_versions.table_id` and mapping ids in `ducklake_data_file.partial_max`. With
the bars its CREATE, ALTER, DROP and add_data_files fail; its plain inserts, which do no harm, pass. DuckDB 1.5.5
does everything with them in place. They are no part of DuckLake's layout: left by choice, taken away by `unbar`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlbackup import spec
from dlbackup.address import parse_address
from dlbackup.catalogs import open_catalog
from dlbackup.statements import qualified, quote_identifier

if TYPE_CHECKING:
    from dlbackup.catalogs.sessions import Session

BARS = {
    "ducklake_schema_versions": ("dlbackup_bar_schema_versions", "table_id IS NOT NULL"),
    "ducklake_data_file": ("dlbackup_bar_data_file", "partial_max IS NULL OR partial_max >= begin_snapshot"),
}
"""Names and conditions of the constraints, by table."""


@dataclass(frozen=True, slots=True)
class Unbarred:
    """What `unbar` took away: the names of the constraints."""

    removed: tuple[str, ...]


def bars_exist_for(version: str) -> bool:
    """Tell whether catalogs of a spec version have the columns that the bars are about."""
    return not spec.is_older(version, "0.4")


def bar(session: "Session", schema: str) -> None:
    """Put up the bars in the session's open transaction; those that stand already are made again."""
    _remove(session, schema)
    for table, (name, condition) in BARS.items():
        action = f"ADD CONSTRAINT {quote_identifier(name)} CHECK ({condition})"
        session.execute(f"ALTER TABLE {qualified(schema, table)} {action}".encode())


def unbar(address: str, *, metadata_schema: str | None = None) -> Unbarred:
    """
    Take the bars away, where there are any.

    Raises:
        CatalogError: the catalog can't be reached or altered.
        Locked: somebody holds its tables.
    """
    from dlbackup.catalogs.sessions import LOCAL_SETTINGS, translated

    where = parse_address(address)
    with (
        open_catalog(where, metadata_schema) as catalog,
        translated(where, "taking the bars away"),
        catalog.session.transaction(),
    ):
        catalog.session.execute(LOCAL_SETTINGS.encode())
        return Unbarred(_remove(catalog.session, catalog.schema))


def _remove(session: "Session", schema: str) -> tuple[str, ...]:
    found = session.execute(
        "select t.relname, c.conname from pg_constraint c join pg_class t on t.oid = c.conrelid"
        " join pg_namespace n on n.oid = t.relnamespace where n.nspname = %s and c.conname = any(%s) order by 2",
        [schema, [name for name, _ in BARS.values()]],
    ).fetchall()
    for table, name in found:
        session.execute(f"ALTER TABLE {qualified(schema, table)} DROP CONSTRAINT {quote_identifier(name)}".encode())
    return tuple(name for _, name in found)
