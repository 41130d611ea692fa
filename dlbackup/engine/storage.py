"""Data files in object storage: which of DuckDB's extensions reach them, and which packages bring those."""

from collections.abc import Iterable

_HTTPFS = ("s3", "s3a", "s3n", "gcs", "gs", "r2", "http", "https", "hf")
_AZURE = ("azure", "az", "abfss")
_EXTENSIONS = {**dict.fromkeys(_HTTPFS, "httpfs"), **dict.fromkeys(_AZURE, "azure")}
"""By the scheme of a path; DuckLake refuses to attach a lake whose data path needs one that is not loaded."""


def extensions_for(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the extensions without which an engine attaches no lake that has these data paths."""
    schemes = (path.partition("://")[0].lower() for path in paths if "://" in path)
    return tuple(dict.fromkeys(_EXTENSIONS[scheme] for scheme in schemes if scheme in _EXTENSIONS))


def installing(extension: str, duckdb_version: str) -> str:
    """Return what to do where an extension is missing."""
    return f"install it beside that DuckDB: pip install duckdb-extension-{extension}=={duckdb_version}"
