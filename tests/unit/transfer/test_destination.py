"""The names of backups, and what the names that users give mean."""

from pathlib import Path

import pytest

from dlbackup import dump
from dlbackup.backupfile.manifest import Header, Source
from dlbackup.errors import UsageError
from dlbackup.transfer.destination import file_name, names_folder


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


def test_names_sort_as_backups_were_begun() -> None:
    """The digits are the fraction of the second: in one second, the first begun comes first."""
    header = _header("lake", "public")
    moments = (0, 1_000, 60_000_000, 999_000_000, 999_999_999)
    names = [file_name(header, 1_795_875_446_000_000_000 + moment) for moment in moments]

    assert names == sorted(set(names))
    assert names[0].endswith("-000000.sql.zst")
    assert names[-1].endswith("-ffffff.sql.zst")


@pytest.mark.parametrize(
    ("name", "is_folder"),
    [
        ("new/", True),
        (".", True),
        ("there", True),
        ("there/", True),
        ("a.zst", False),
        ("a.sql.zst", False),
        ("a.sql.zst.age", False),
    ],
)
def test_a_name_tells_file_from_folder(
    name: str, is_folder: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder exists or ends in a slash, a file ends in .zst or .zst.age."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()

    assert names_folder(name) is is_folder


def test_a_folder_may_be_named_like_a_file(tmp_path: Path) -> None:
    """What exists is what it is, whatever it is called."""
    (tmp_path / "old.zst").mkdir()

    assert names_folder(tmp_path / "old.zst")


@pytest.mark.parametrize("name", ["backups", "backups.d", "lake.sql", "lake.sql.age", "..zst/x", "x\\"])
def test_a_name_that_tells_nothing_is_wrong_usage(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither is guessed; the hint says how to write both."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UsageError) as caught:
        names_folder(name)

    assert f"'{name}/'" in caught.value.hint
    assert f"'{name}.sql.zst'" in caught.value.hint


@pytest.mark.parametrize("url", ["gs3://bucket/x", "s3:///x", "s3://key:secret@bucket/x", "https://host/x/"])
def test_a_url_of_no_place_is_refused_before_a_server_is_asked(url: str) -> None:
    """What is no place for backups is said at once, without what may be a secret."""
    with pytest.raises(UsageError) as caught:
        dump("postgres:host=/nonexistent dbname=x", url)

    assert "secret" not in str(caught.value)
