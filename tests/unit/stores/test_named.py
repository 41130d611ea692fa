"""What a user names: folders, files, places and objects in an object storage."""

from pathlib import Path

import pytest

from dlbackup.errors import Refused, UsageError
from dlbackup.stores.named import absolute, is_within, store_named, where_named
from dlbackup.stores.objects import Objects
from dlbackup.transfer.destination import names_folder, refuse_among_data

_URLS = ["s3://bucket/a/b/NAME.sql.zst", "gs://bucket/NAME.sql.zst", "az://bucket/a/NAME.sql.zst"]


@pytest.mark.parametrize("url", _URLS)
def test_an_object_is_shown_as_it_was_named(url: str) -> None:
    """A URL stays what it was, also as a name that means the same in every folder."""
    assert str(where_named(url)) == absolute(url) == url


@pytest.mark.parametrize(
    "url", ["s3://bucket", "s3://bucket/", "s3://bucket/pre", "S3://bucket/pre/", "s3://bucket/a/b"]
)
def test_a_url_without_the_ending_is_a_place(url: str) -> None:
    """Whether or not it ends in a slash, and the place is the same."""
    assert names_folder(url)
    assert store_named(url) == store_named(url.rstrip("/"))
    assert not names_folder("s3://bucket/NAME.sql.zst")


@pytest.mark.parametrize(
    "url",
    [
        "s3://key:se-cret@bucket/a",
        "s3://se-cret@bucket/a",
        "ftp://se-cret@host/a",
        "https://bucket.example/a?sig=se-cret",
        "s3://bucket/a?versionId=se-cret",
        "s3://bucket/a#se-cret",
        "s3://bucket//a",
        "s3:///se-cret",
        "file:///tmp/a",
    ],
)
def test_other_urls_are_refused_and_not_repeated(url: str) -> None:
    """What is no place, or holds what doesn't belong there, is said without what may be a secret."""
    for name in (store_named, where_named):
        with pytest.raises(UsageError) as caught:
            name(url)
        assert "se-cret" not in caught.value.message + caught.value.hint


def test_a_place_is_no_backup() -> None:
    """What is read must be an object."""
    for url in ("s3://bucket", "s3://bucket/pre/"):
        with pytest.raises(UsageError, match="no backup"):
            where_named(url)


@pytest.mark.parametrize(
    ("to", "data_path", "refused"),
    [
        ("s3://lake/data/backups", "s3://lake/data/", True),
        ("s3://lake/data", "s3://lake/data/", True),
        ("s3://lake/data/NAME.sql.zst", "s3a://lake/data", True),
        ("gs://lake/backups", "gcs://lake/", True),
        ("s3://lake/data-backups", "s3://lake/data/", False),
        ("s3://lake/backups", "s3://lake/data/", False),
        ("s3://lake/data", "gs://lake/data/", False),
        ("s3://lake/data", "/lake/data/", False),
        ("/lake/data/backups/", "/lake/data/", True),
        ("/lake/data/NAME.sql.zst", "/lake/data/", True),
        ("/lake/data/../data/x/", "/lake/data", True),
        ("/lake/data/backups/", "file:///lake/data/", True),
        ("/lake/data-backups/", "file:///lake/data/", False),
        ("/lake/data-backups/", "/lake/data/", False),
        ("/lake/NAME.sql.zst", "/lake/data/", False),
        ("/lake/backups/", "s3://lake/", False),
        ("-", "/", False),
    ],
)
def test_backups_are_kept_out_of_the_data(to: str, data_path: str, refused: bool) -> None:
    """A place within the data path is refused, however both are written; one beside it is not."""
    if not refused:
        refuse_among_data(to, [data_path])
        return
    with pytest.raises(Refused, match="delete_orphaned_files"):
        refuse_among_data(to, [data_path])


def test_a_link_into_the_data_is_seen(tmp_path: Path) -> None:
    """A folder is where it leads."""
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    assert is_within(tmp_path / "link", str(tmp_path / "data"))


def test_a_missing_package_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, a URL says what to install."""
    monkeypatch.setattr("dlbackup.stores.objects.find_spec", lambda name: None)
    with pytest.raises(Exception, match="needs a package") as caught:
        Objects("s3", "bucket")
    assert "dlbackup[cloud]" in str(vars(caught.value))
