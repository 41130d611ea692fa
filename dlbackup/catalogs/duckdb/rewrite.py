"""Rows of a backup as a DuckDB file loads them; imports no driver."""

from dlbackup.tables.shapes import Body


def csv_rows(body: Body) -> bytes:
    """Return rows as the CSV that they are."""
    return b"".join(body.rows)
