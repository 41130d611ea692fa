"""What stands in a backup beside rows: the text before the tables, and the text after them."""

from collections.abc import Iterator, Sequence

from dlbackup.backupfile.manifest import Header, as_json
from dlbackup.tables.definition import Table
from dlbackup.tables.guarded import everywhere
from dlbackup.tables.guarded import guarded as guarded_of
from dlbackup.tables.statements import SETTINGS, definition, finishing, ownership

MANIFEST_LINE = b"-- dlbackup manifest\n"


def prologue(header: Header, header_json: bytes | None = None) -> list[bytes]:
    """
    Return what comes before the tables.

    Args:
        header_json: the header as it stands in the file, with what a later version may have added; the record's own by
            default.
    """
    first = [b"-- dlbackup %d\n" % header.format, b"-- " + (header_json or as_json(header)) + b"\n"]
    if header.dialect != "postgres":
        return [*first, b"BEGIN;\n"]
    # With SQL_ASCII what was stored is stored again as it is, or refused, whatever the database's encoding.
    encoding = "SQL_ASCII" if header.source.encoding and not header.source.converted else "UTF8"
    settings = f"SET client_encoding = '{encoding}';\n{SETTINGS}"
    return [*first, settings.encode(), b"BEGIN;\n"]


def beginning(table: Table, *, guarded: bool) -> bytes:
    """Return what comes before the rows of a table. See `Manifest.guarded`."""
    return definition(everywhere(table) if guarded else table).encode()


def epilogue(tables: Sequence[Table], *, guarded: bool) -> Iterator[bytes]:
    """Return what comes after the tables and before the manifest. See `Manifest.guarded`."""
    written = [everywhere(table) for table in tables] if guarded else tables
    for table in written:
        for statement in finishing(table):
            yield statement.encode()
    yield b"COMMIT;\n"
    for table in written:
        for statement in ownership(table):
            yield statement.encode()
    if guarded:
        for table in tables:
            for statement in guarded_of(table):
                yield statement.encode()
