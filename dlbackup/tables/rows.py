"""
Rows as SQL text and back: joining, splitting, digests, and the proof that a row is nothing but values.

The inside of a VALUES list is CSV as PostgreSQL's COPY writes and reads it (quote `'`, NULL bare).
A row's text is what stands between two separators, its closing line feed included. A literal may hold
a line that looks like the separator, so a boundary counts only where the quotes before it are even.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import accumulate

from dlbackup.errors import Corrupt
from dlbackup.tables.definition import Table
from dlbackup.tables.digest import Block
from dlbackup.tables.quoting import quote_identifier

SEPARATOR = b"),(\n"
END = b");\n"
STATEMENT_ROWS = 1000
"""Rows of one INSERT at most; 256 to 2,000 made no measurable difference."""
STATEMENT_BYTES = 1 << 18
"""Text after which an INSERT is closed early, so that a statement with long rows stays readable."""
INSIDE = rb"(?:[^']++|'')*+"
"""The inside of a literal, as a regular expression that keeps no ways back: they take 170 bytes for each of a text."""


def insert_header(table: Table) -> bytes:
    """Return the INSERT statement's text up to the first row."""
    columns = ", ".join(quote_identifier(name) for name in table.column_names)
    return f"INSERT INTO {quote_identifier(table.name)} ({columns}) VALUES (\n".encode()


def statements_of(batches: Iterable[Block]) -> Iterator[Block]:
    """
    Cut rows that arrive in batches of any size into blocks fit for one INSERT.

    A block ends with the row that makes it `STATEMENT_ROWS` long or brings it to `STATEMENT_BYTES`, so where
    it ends does not depend on the batches.
    """
    pending: list[bytes | memoryview] = []
    size = 0
    for batch in batches:
        pending += batch
        size += sum(map(len, batch))
        while len(pending) >= STATEMENT_ROWS or size >= STATEMENT_BYTES:
            block = pending[:STATEMENT_ROWS]
            if size >= STATEMENT_BYTES:
                block = block[: _statement_end(block)]
            pending = pending[len(block) :]
            # Lengths of the fewer rows are added up: a second look at every row costs a twentieth of a dump.
            size = size - sum(map(len, block)) if len(block) < len(pending) else sum(map(len, pending))
            yield block
    if pending:
        yield pending


def _statement_end(rows: Block) -> int:
    """Return how many of the rows bring a statement to `STATEMENT_BYTES`: all, where they don't."""
    return next((end for end, size in enumerate(accumulate(map(len, rows)), 1) if size >= STATEMENT_BYTES), len(rows))


def find_body(text: bytes, start: int) -> tuple[bytes, list[bytes]]:
    """
    Return the VALUES list that begins at `start`, up to its closing `);`, as it is and cut at its quotes.

    Pieces stand outside and inside of literals in turn; a doubled quote leaves an empty one outside.

    Raises:
        Corrupt: there is no end with an even number of quotes before it.
    """
    hit = text.find(b"\n" + END, start)
    pieces = text[start : hit + 1].split(b"'")
    if len(pieces) % 2 or hit < 0:
        return _found(text, start, hit), pieces
    quotes = len(pieces) - 1
    while hit >= 0 and quotes % 2:  # a literal holds what looks like an end, and may hold many
        begin, hit = hit + 1, text.find(b"\n" + END, hit + 1)
        quotes += text.count(b"'", begin, hit + 1)
    body = _found(text, start, hit)
    return body, body.split(b"'")


def _found(text: bytes, start: int, hit: int) -> bytes:
    if hit < 0:
        raise Corrupt("a statement has no end")
    return text[start : hit + 1]


def split(body: bytes, rows: int) -> list[bytes]:
    """
    Split a VALUES list into its rows' texts.

    Args:
        rows: how many there are, which its skeleton tells.

    Raises:
        Corrupt: a literal is not closed.
    """
    pieces = body.split(SEPARATOR)
    if len(pieces) == rows:
        return pieces
    found: list[bytes] = []
    row: list[bytes] = []
    is_open = False
    for piece in pieces:
        row.append(piece)
        is_open ^= piece.count(b"'") % 2 == 1
        if not is_open:
            found.append(SEPARATOR.join(row))
            row = []
    if row:
        raise Corrupt("a literal is not closed")
    return found


def parse(row: bytes) -> tuple[str | None, ...]:
    """
    Return the values of a checked row as text, None for NULL.

    Bytes are as PostgreSQL prints them, `\\x00ff`; a text that stands as its bytes, `x'00'`, is that text.
    """
    values: list[str | None] = []
    for match in re.finditer(rb"([Xx]?)'(" + INSIDE + rb")'|([^',\n]+)", row):
        if match[1] == b"X":
            values.append(rf"\x{match[2].decode().lower()}")
        elif match[1] == b"x":
            values.append(bytes.fromhex(match[2].decode()).decode())
        elif match[2] is not None:
            values.append(match[2].replace(b"''", b"'").decode())
        else:
            values.append(None if match[3] == b"NULL" else match[3].decode())
    return tuple(values)


def without_bytes(rows: Iterable[bytes]) -> list[bytes]:
    """Return checked rows as plain CSV: bytes as `parse` gives them, and so a text that holds NUL."""
    found = rb"([Xx]?)('" + INSIDE + rb"')"
    return [re.sub(found, _as_text, row) if b"X'" in row or b"x'" in row else row for row in rows]


def _as_text(literal: re.Match[bytes]) -> bytes:
    text = bytes.fromhex(literal[2][1:-1].decode()) if literal[1] == b"x" else b"\0"
    if literal[1] and b"\0" in text:
        return rb"'\x" + literal[2][1:].lower()
    return b"'" + text.replace(b"'", b"''") + b"'" if literal[1] else literal[2]
