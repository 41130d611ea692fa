"""Files with name maps and partition columns."""

from typing import Any

from dlbackup.catalogs.contract import Mending
from dlbackup.lake.answers import Answers, rows_of


def mapped_files(answers: Answers) -> list[Any]:
    """Find name mappings."""
    return rows_of(answers, "select mapping_id from {s}.ducklake_name_mapping")


def set_is_partition(mending: Mending, found: list[Any]) -> int:
    """Say of old mappings that they name no partition column."""
    return mending.execute("update {s}.ducklake_name_mapping set is_partition = false where is_partition is null")
