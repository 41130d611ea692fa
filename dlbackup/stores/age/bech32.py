"""
Keys as text that notices slips: Bech32 (BIP 173), of any length.
"""

from collections.abc import Iterable

_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def _checksum(prefix: str, values: Iterable[int]) -> int:
    """Return the Bech32 checksum's state after a text (BIP 173)."""
    state = 1
    for value in (*(ord(c) >> 5 for c in prefix), 0, *(ord(c) & 31 for c in prefix), *values):
        top, state = state >> 25, (state & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATORS):
            state ^= generator if top >> bit & 1 else 0
    return state


def encoded(prefix: str, data: bytes) -> str:
    """Return the text of a key."""
    padding = -len(data) * 8 % 5
    number, count = int.from_bytes(data, "big") << padding, (len(data) * 8 + padding) // 5
    values = [number >> 5 * place & 31 for place in reversed(range(count))]
    check = _checksum(prefix, [*values, 0, 0, 0, 0, 0, 0]) ^ 1
    values += [check >> 5 * place & 31 for place in reversed(range(6))]
    return f"{prefix}1{''.join(_BECH32[value] for value in values)}"


def checked(text: str, prefix: str) -> list[int]:
    """
    Return the letters of a text as numbers of five bits, without its checksum.

    Raises:
        ValueError: it begins otherwise, or somebody slipped; the text is not repeated, since it may be a secret.
    """
    found, _, rest = text.rpartition("1")
    if found != prefix:
        raise ValueError(f"it doesn't begin with {prefix}1")
    if not set(rest) <= set(_BECH32) or _checksum(found, values := [_BECH32.index(c) for c in rest]) != 1:
        raise ValueError("its checksum is wrong: a character is missing or another")
    return values[:-6]


def in_small_letters(text: str) -> str:
    """Return an identity's text as it is read; raises ValueError unless it is written in capital letters."""
    if text != text.upper():
        raise ValueError("an identity is written in capital letters")
    return text.lower()


def decoded(text: str, prefix: str, size: int = 32) -> bytes:
    """
    Return the bytes of a key of one size.

    Raises:
        ValueError: it is none; see `checked`.
    """
    values, number = checked(text, prefix), 0
    for value in values:
        number = number << 5 | value
    padding = 5 * len(values) - 8 * size
    if not 0 <= padding < 5 or number & (1 << padding) - 1:
        raise ValueError(f"it is no key of {size} bytes")
    return (number >> padding).to_bytes(size, "big")
