"""Texts of a database of another encoding that are no UTF-8: no backup can hold them, nor an engine read them."""

from collections.abc import Iterator

from dlbackup.catalogs.postgres.introspection import Definitions
from dlbackup.errors import Unsupported
from dlbackup.tables.definition import Table
from dlbackup.tables.digest import Block
from dlbackup.tables.statements import definition, finishing


def checked(table: Table, encoding: str, blocks: Iterator[Block]) -> Iterator[Block]:
    """Pass rows on, and refuse those whose texts are none."""
    for block in blocks:
        text = b"".join(block)
        if not text.isascii():
            try:
                text.decode()
            except UnicodeDecodeError as exc:
                found = text[max(0, exc.start - 20) : exc.end + 20]
                raise Unsupported(
                    f"table {table.name} has text that is no UTF-8, which DuckDB would take it for, in a database of"
                    f" encoding {encoding}: {found!r}",
                    "correct it; or, where all clients have PGCLIENTENCODING=UTF8, so that the server converts for"
                    " them, add client_encoding=UTF8 to the address",
                ) from None
        yield block


def refuse_definitions(encoding: str, database: str, schema: str, definitions: Definitions) -> None:
    """Refuse names and comments that no backup can hold; in rows any bytes may stand."""
    if encoding == "UTF8":  # the server has seen to it
        return
    texts = {f"the name of database {database}": database, f"the name of schema {schema}": schema}
    for table in definitions.tables:
        texts[f"a name, default or comment of table {table.name}"] = definition(table) + "".join(finishing(table))
    for what, text in texts.items():
        try:
            text.encode()
        except UnicodeEncodeError:
            readable = what.encode(errors="surrogateescape").decode(errors="backslashreplace")
            raise Unsupported(
                f"{readable} is no UTF-8, which a backup's definitions are; the database's encoding is {encoding}",
                "change it, or convert the database to UTF8",
            ) from None
