"""Data paths as engines store them in a catalog."""

import pytest

from dlbackup.lake.datafiles import stored


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("/lake", "/lake/"),
        ("/lake//", "/lake/"),
        ("/", "/"),
        ("s3://bucket/lake", "s3://bucket/lake/"),
        ("lake/files", "lake/files/"),
        ("./lake", "./lake/"),
        ("D:\\lake", "D:/lake/"),
        ("D:\\lake\\new\\", "D:/lake/new/"),
        ("d:/lake", "d:/lake/"),
        ("\\\\server\\share", "//server/share/"),
        ("/odd\\name", "/odd\\name/"),
    ],
)
def test_a_data_path_is_stored_as_engines_do(given: str, wanted: str) -> None:
    """With one slash at its end, and as it was given where that is no path of Windows."""
    assert stored(given) == wanted
