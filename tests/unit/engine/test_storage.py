"""What an engine needs to reach data files."""

import pytest

from dlbackup.engine.storage import extensions_for


@pytest.mark.parametrize(
    ("paths", "needed"),
    [
        ([], ()),
        (["/srv/lake/", "lake/", "D:\\lake\\", "file:///srv/lake/", "", "abfs://c/x/"], ()),
        (["s3://b/"], ("httpfs",)),
        (["S3://b/", "gs://b/", "gcs://b/", "r2://b/", "s3a://b/", "s3n://b/", "https://h/", "hf://d/"], ("httpfs",)),
        (["az://c/", "azure://c/", "abfss://c/"], ("azure",)),
        (["az://c/", "/srv/", "s3://b/"], ("azure", "httpfs")),
    ],
)
def test_extensions_are_those_that_ducklake_asks_for(paths: list[str], needed: tuple[str, ...]) -> None:
    """By the schemes of DuckDB 1.3 to 1.5; nothing is loaded for files of this machine."""
    assert extensions_for(paths) == needed
