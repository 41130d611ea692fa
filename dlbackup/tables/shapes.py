"""
The proof that rows are constants and nothing else.

Each distinct shape (a row without the inside of its literals, digits made alike) is parsed by sqlglot once; millions
of rows have a few dozen.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from dlbackup.errors import Corrupt, UnsafeStatement
from dlbackup.tables.definition import Column, Table
from dlbackup.tables.rows import SEPARATOR, split
from dlbackup.tables.types import written_as

_REMEMBERED = 10_000
"""
How many distinct skeletons a table's check remembers as good, so as not to make their shapes again. A table seldom
has more; where it has, remembering only those of the last statement keeps memory bounded.
"""
_VALUES: dict[str, bytes] = {
    "integer": rb"(?:-?0|NULL)",
    "boolean": rb"(?:true|false|NULL)",
    "text": rb"(?:''|NULL)",
    "real": rb"(?:-?0(?:\.0)?(?:e[-+]?0)?|NULL)",
    "bytes": rb"(?:X''|NULL)",
    "bytes or text": rb"(?:x?''|NULL)",
    "any": rb"(?:-?0(?:\.0)?(?:e[-+]?0)?|X?''|NULL)",
}
"""What a value can look like in a shape."""
_BYTES = re.compile(rb"(?:[0-9A-F]{2})*+")
_DIGITS = bytes.maketrans(b"123456789", b"000000000")


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
        written = [_written(column) for column in table.columns]
        self._pattern = re.compile(b",".join(_VALUES[how] for how in written) + b"\n")
        self._has_bytes = not {"bytes", "bytes or text", "any"}.isdisjoint(written)
        self._good: set[bytes] = set()  # skeletons that passed; they differ in the lengths of numbers, too
        self._doubled: set[bytes] = set()  # skeletons among the good whose literals hold doubled quotes
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
        if self._has_bytes and not _are_bytes(pieces):
            raise UnsafeStatement(f"table {self._table.name} holds bytes that are not as dlbackup writes them")
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


def _written(column: Column) -> str:
    return "bytes or text" if column.encoded and column.declared else written_as(column.type)


def _are_bytes(pieces: list[bytes]) -> bool:
    """Tell whether every literal after an X is pairs of hexadecimal digits, after an x those of a text in UTF-8."""
    try:
        return all(
            _BYTES.fullmatch(inside) and after and (before.endswith(b"X") or bytes.fromhex(inside.decode()).decode())
            for before, inside, after in zip(pieces[::2], pieces[1::2], pieces[2::2], strict=False)
            if before.endswith((b"X", b"x"))
        )
    except UnicodeDecodeError:
        return False


@cache
def _is_tuple_of_constants(shape: bytes, width: int) -> bool:
    import sqlglot
    from sqlglot import exp

    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    try:
        (tree,) = sqlglot.parse(f"({shape.decode().replace('X', '').replace('x', '')})", read="postgres")
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
