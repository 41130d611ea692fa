"""What stands in a SQLite file before something is put in its place."""

from functools import partial

from dlbackup.catalogs.existing_file import FileExisting, read_head
from dlbackup.catalogs.sqlite.introspection import SCHEMA, read_definitions, rows_of
from dlbackup.catalogs.sqlite.rows import Connection
from dlbackup.tables.quoting import quote_identifier


def look_at(connection: Connection, path: str) -> FileExisting:
    """Look at what stands in a file that is open."""
    definitions = read_definitions(connection)
    ask = partial(rows_of, connection)
    return FileExisting(
        path=path,
        schema=SCHEMA,
        is_new=False,
        tables=definitions.tables,
        left_out=definitions.left_out,  # what else is in the file stays
        beside=definitions.beside,
        head=read_head(ask, quote_identifier, definitions.tables),
        ask=ask,
        named=quote_identifier,
    )
