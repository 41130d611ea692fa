"""
Rows as SQL text and back: joining, splitting, digests, and the proof that a row is nothing but values.

The inside of a VALUES list is CSV as PostgreSQL's COPY writes and reads it (quote `'`, NULL bare).
A row's text is what stands between two separators, its closing line feed included. A literal may hold
a line that looks like the separator, so a boundary counts only where the quotes before it are even.
"""

import gc
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

import xxhash

from dlbackup.errors import Corrupt, UnsafeStatement
from dlbackup.statements import quote_identifier
from dlbackup.tables import INTEGERS, Rows, Table

Block = Sequence[bytes | memoryview]
"""Texts of some rows of one table."""

SEPARATOR = b"),(\n"
END = b");\n"
STATEMENT_ROWS = 1000
"""Rows of one INSERT at most; 256 to 2,000 made no measurable difference."""
STATEMENT_BYTES = 1 << 18
"""Text after which an INSERT is closed early, so that a statement with long rows stays readable."""

_MODULUS = 1 << 64
_REMEMBERED = 10_000
"""How many rows of skeletons are not looked at again: more would take memory, and there are seldom more."""
_DIGITS = bytes.maketrans(b"123456789", b"000000000")


@contextmanager
def uncollected() -> Iterator[None]:
    """
    Pause the cyclic garbage collector around a loop over rows.

    Blocks of rows hold no cycles, but their number makes the collector run all the time: it took a third of
    a dump's processor time (3.3 million rows, 4.6 s with it, 2.9 s without).
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def insert_header(table: Table) -> bytes:
    """Return the INSERT statement's text up to the first row."""
    columns = ", ".join(quote_identifier(name) for name in table.column_names)
    return f"INSERT INTO {quote_identifier(table.name)} ({columns}) VALUES (\n".encode()


def digest(rows: Iterable[bytes | memoryview]) -> int:
    """
    Return the sum modulo 2^64 of xxh3-64 over each row's text.

    A table is a set of rows without an order, so this is one too: adding digests of parts gives the
    digest of the whole.
    """
    return sum(map(xxhash.xxh3_64_intdigest, rows)) % _MODULUS


def add_digests(one: int, other: int) -> int:
    """Return the digest of two sets of rows together."""
    return (one + other) % _MODULUS


def total(parts: Iterable[Rows]) -> Rows:
    """Return what several sets of rows are together."""
    count = digests = 0
    for part in parts:
        count += part.count
        digests = add_digests(digests, part.digest)
    return Rows(count, digests)


def summed(blocks: Iterable[Block], seen: Callable[[Block, int], None] | None = None) -> Rows:
    """
    Return how many rows the blocks hold, and their digest.

    Args:
        seen: is told each block and its digest.
    """
    count = digests = 0
    for block in blocks:
        part = digest(block)
        count += len(block)
        digests = add_digests(digests, part)
        if seen is not None:
            seen(block, part)
    return Rows(count, digests)


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
    while hit >= 0 and len(pieces) % 2 == 0:
        begin, hit = hit + 1, text.find(b"\n" + END, hit + 1)
        first, *others = text[begin : hit + 1].split(b"'")
        pieces = [*pieces[:-1], pieces[-1] + first, *others]
    if hit < 0:
        raise Corrupt("a statement has no end")
    return text[start : hit + 1], pieces


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
    row = b""
    for piece in pieces:
        row = row + SEPARATOR + piece if row else piece
        if row.count(b"'") % 2 == 0:
            found.append(row)
            row = b""
    if row:
        raise Corrupt("a literal is not closed")
    return found


def shape_of(row: bytes) -> bytes:
    """
    Return the shape of a row of a skeleton: every number is `0`, and a doubled quote does not show.

    Raises:
        Corrupt: a number is longer than any that an integer column holds.
    """
    while b"''''" in row:
        row = row.replace(b"''''", b"''")
    row = row.translate(_DIGITS)
    if b"0" * 20 in row:
        raise Corrupt("a number is too large for any integer")
    while b"00" in row:
        row = row.replace(b"00", b"0")
    return row


@dataclass(frozen=True, slots=True)
class Body:
    """
    A checked VALUES list, taken apart.

    Args:
        rows: their texts.
        pieces: what stands between its quotes, as `find_body` returned them.
        doubled: whether a literal holds a quote.
    """

    rows: list[bytes]
    pieces: list[bytes]
    doubled: bool


class ShapeCheck:
    """
    Proves that the rows of one table are values of the right number and kind, and nothing else.

    Three million rows have a few dozen shapes. Whatever is not inside a literal shows in the shape.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._pattern = re.compile(b",".join(_value_pattern(column.type) for column in table.columns) + b"\n")
        self._good: set[bytes] = set()  # rows of skeletons, which differ in the lengths of numbers, too
        self._doubled: set[bytes] = set()  # those of them whose literals hold quotes
        self.seen: set[bytes] = set()

    def check(self, body: bytes, pieces: list[bytes]) -> Body:
        """
        Check every row of a VALUES list, which `find_body` returned.

        Raises:
            Corrupt: not UTF-8, or a NUL byte.
            UnsafeStatement: a row is not a list of constants that fit the table.
        """
        if b"\0" in body:
            raise Corrupt(f"table {self._table.name} holds a NUL byte")
        if not body.isascii():
            try:
                body.decode()
            except UnicodeDecodeError as exc:
                raise Corrupt(f"table {self._table.name} holds text that is not UTF-8") from exc
        skeleton = b"''".join(pieces[::2]).translate(_DIGITS).split(SEPARATOR)
        found = set(skeleton)
        if new := found - self._good:
            self._look_at(new)
            if len(self._good) > _REMEMBERED:
                self._good &= found
                self._doubled &= found
        return Body(split(body, len(skeleton)), pieces, not self._doubled.isdisjoint(found))

    def _look_at(self, new: set[bytes]) -> None:
        for shape in set(map(shape_of, new)) - self.seen:
            if not self._pattern.fullmatch(shape) or not _is_tuple_of_constants(shape, len(self._table.columns)):
                raise UnsafeStatement(
                    f"table {self._table.name} holds a row that is not a list of its values: {shape[:120]!r}"
                )
            self.seen.add(shape)
        self._good |= new
        self._doubled |= {row for row in new if b"''''" in row}


def _value_pattern(column_type: str) -> bytes:
    if column_type in INTEGERS:
        return rb"(?:-?0|NULL)"
    if column_type == "boolean":
        return rb"(?:true|false|NULL)"
    return rb"(?:''|NULL)"


@cache
def _is_tuple_of_constants(shape: bytes, width: int) -> bool:
    import sqlglot
    from sqlglot import exp

    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    try:
        (tree,) = sqlglot.parse(f"({shape.decode()})", read="postgres")
    except (sqlglot.errors.SqlglotError, ValueError):
        return False
    if isinstance(tree, exp.Paren):
        values: Sequence[exp.Expression] = [tree.this]
    elif isinstance(tree, exp.Tuple):
        values = tree.expressions
    else:
        return False
    constants = (exp.Literal, exp.Null, exp.Boolean)
    return len(values) == width and all(
        isinstance(value.this if isinstance(value, exp.Neg) else value, constants) for value in values
    )


def parse(row: bytes) -> tuple[str | None, ...]:
    """Return the values of a checked row as text, None for NULL."""
    values: list[str | None] = []
    for match in re.finditer(rb"'((?:[^']|'')*)'|([^',\n]+)", row):
        if match[1] is not None:
            values.append(match[1].replace(b"''", b"'").decode())
        else:
            values.append(None if match[2] == b"NULL" else match[2].decode())
    return tuple(values)
