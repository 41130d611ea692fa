"""What stands in a DuckDB file before something is put in its place."""

from functools import partial

from dlbackup.catalogs.duckdb.introspection import asking, catalog_schemas, head_of, others_in_file, read_definitions
from dlbackup.catalogs.duckdb.literals import place
from dlbackup.catalogs.duckdb.process import FileProcess
from dlbackup.catalogs.existing_file import FileExisting
from dlbackup.tables.definition import Table


def look_at(process: FileProcess, schema: str) -> FileExisting:
    """Look at what stands in a file that is open; a catalog in another schema of it is something else in it."""
    tables: tuple[Table, ...] = ()
    left_out = tuple(others_in_file(process, None))
    if schema in catalog_schemas(process):
        definitions = read_definitions(process, schema, values=False)
        tables, left_out = definitions.tables, (*definitions.left_out, *definitions.strangers)
    return FileExisting(
        path=process.path,
        schema=schema,
        is_new=False,
        tables=tables,
        left_out=left_out,  # all else is replaced with the file
        head=head_of(process, schema, tables),
        ask=asking(process),
        named=partial(place, schema),
    )
