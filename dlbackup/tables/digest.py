"""
The digest of rows: the sum of each row's xxh3-64, modulo 2^64.

A table is a set of rows without an order, so is its digest: it depends neither on pages nor on who reads them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import xxhash

Block = Sequence[bytes | memoryview]
"""Texts of some rows of one table."""
_MODULUS = 1 << 64


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


@dataclass(frozen=True, slots=True)
class Rows:
    """How many rows a table has, and their digest (see `digest`)."""

    count: int
    digest: int


def total(parts: Iterable[Rows]) -> Rows:
    """Return what several sets of rows are together."""
    count = digests = 0
    for part in parts:
        count += part.count
        digests = add_digests(digests, part.digest)
    return Rows(count, digests)


def less(rows: Rows) -> Rows:
    """Return what takes rows away from others that they are among, where both are added up."""
    return Rows(-rows.count, -rows.digest % _MODULUS)


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
