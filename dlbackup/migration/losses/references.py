"""Files with name maps and partition columns."""

from typing import TYPE_CHECKING, Any

from dlbackup.tables.quoting import quote_identifier

if TYPE_CHECKING:
    from dlbackup.catalogs.postgres.sessions import Session
    from dlbackup.catalogs.postgres.snapshot import PostgresSnapshot


def mapped_files(snapshot: "PostgresSnapshot") -> list[Any]:
    """Find name mappings."""
    return snapshot.query("select mapping_id from {s}.ducklake_name_mapping")


def set_is_partition(session: "Session", schema: str, found: list[Any]) -> int:
    """Say of old mappings that they name no partition column."""
    return session.execute(
        f"update {quote_identifier(schema)}.ducklake_name_mapping set is_partition = false"
        " where is_partition is null".encode()
    ).rowcount
