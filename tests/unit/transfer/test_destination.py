"""The names of backups."""

from dlbackup.backupfile.manifest import Header, Source
from dlbackup.transfer.destination import file_name


def _header(database: str, schema: str, version: str = "0.3") -> Header:
    source = Source(database=database, schema=schema, server_version="PostgreSQL 17.0")
    return Header(
        format=1,
        spec_version=version,
        snapshot_id=4,
        snapshot_time=None,
        created="2026-11-24T14:17:26Z",
        tool="dlbackup",
        source=source,
    )


def test_name_tells_database_schema_time_and_version() -> None:
    """A schema is named unless it is public."""
    assert file_name(_header("lake", "public")).startswith("ducklake-lake-20261124T141726Z-v0.3-")
    assert file_name(_header("lake", "tenant_a")).startswith("ducklake-lake-tenant_a-20261124T141726Z-v0.3-")


def test_no_two_names_are_alike() -> None:
    """Backups of one catalog in one second have names of their own."""
    assert len({file_name(_header("lake", "public")) for _ in range(100)}) == 100


def test_a_name_is_one_that_a_file_may_have() -> None:
    """Odd and long names of databases and schemas end up in no other folder, and in no name that is too long."""
    for odd in ("../../etc", "a/b", "x" * 63, "ü" * 31, "a\nb", "\0"):
        name = file_name(_header(odd, odd, odd))
        assert "/" not in name
        assert name.isprintable()
        assert len(name.encode()) < 250
