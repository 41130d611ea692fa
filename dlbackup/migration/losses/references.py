"""Files with name maps and partition columns."""

from typing import TYPE_CHECKING, Any

from dlbackup.lake.answers import Answers, rows_of
from dlbackup.tables.quoting import quote_identifier

if TYPE_CHECKING:
    from dlbackup.catalogs.postgres.sessions import Session


def mapped_files(answers: Answers) -> list[Any]:
    """Find name mappings."""
    return rows_of(answers, "select mapping_id from {s}.ducklake_name_mapping")


def set_is_partition(session: "Session", schema: str, found: list[Any]) -> int:
    """Say of old mappings that they name no partition column."""
    return session.execute(
        f"""
        update {quote_identifier(schema)}.ducklake_name_mapping
        set is_partition = false
        where is_partition is null
        """.encode()
    ).rowcount
