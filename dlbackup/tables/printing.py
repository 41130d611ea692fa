"""How PostgreSQL prints values that DuckDB prints otherwise; what comes in is DuckDB's text, which gives the value."""

import re
from fractions import Fraction
from math import frexp
from typing import NamedTuple

_MONTHS, _DAYS, _TIME = r"(?:(-?\d+) months?)?", r"(?:(-?\d+) days?)?", r"(-?\d+:\d\d:\d\d(?:\.\d+)?)?"
_INTERVAL = re.compile(rf"(?:(-?\d+) years?)? ?{_MONTHS} ?{_DAYS} ?{_TIME}")


class _Float(NamedTuple):
    """A kind of floating-point numbers: bits of the mantissa, the smallest exponent, digits that print in full."""

    bits: int
    lowest: int
    digits: int


_SINGLE, _DOUBLE = _Float(24, -149, 6), _Float(53, -1074, 15)
_ALIKE_BELOW = 1e15
"""Below, and with no exponent, Python's text is PostgreSQL's: no such decimal is as near to two numbers."""
_WORDS = {"nan": "NaN", "-nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def real(text: str) -> str:
    """Return the text of a number of single precision."""
    return _WORDS.get(text) or _number(text, _SINGLE)


def double(text: str) -> str:
    """Return the text of a number of double precision."""
    if text in _WORDS:
        return _WORDS[text]
    value = float(text)
    shortest = repr(value)
    if "e" not in shortest and abs(value) < _ALIKE_BELOW:
        return shortest.removesuffix(".0")
    return _number(shortest, _DOUBLE)


def numeric(text: str) -> str:
    """Return the text of a decimal: DuckDB leaves the zero out where all digits are behind the point."""
    return text.replace(".", "0.", 1) if text.startswith((".", "-.")) else text


def interval(text: str) -> str:
    """Return the text of an interval in the style `postgres`: a sign stands after a field that was negative."""
    match = _INTERVAL.fullmatch(text)
    if match is None or not text:
        return text
    words: list[str] = []
    negative = False
    for value, unit in zip(match.groups()[:3], ("year", "mon", "day"), strict=True):
        if value is not None:
            sign = "+" if negative and not value.startswith("-") else ""
            words.append(f"{sign}{value} {unit}{'' if value == '1' else 's'}")
            negative = value.startswith("-")
    if time := match[4]:
        words.append("+" + time if negative and not time.startswith("-") else time)
    return " ".join(words)


def _number(text: str, kind: _Float) -> str:
    """Print a number as PostgreSQL does since 12: the fewest digits that are nearer to no other number."""
    sign = "-" if text.startswith("-") else ""
    value = _nearest(abs(Fraction(text)), kind)
    if not value:
        return f"{sign}0"
    # Python's shortest text of a double is seldom too short, where it is as near to two; of a single there is none.
    digits = len(re.sub(r"e.*|\D", "", text).strip("0")) if kind is _DOUBLE else 1
    return sign + _placed(*_fewest(value, digits, kind), kind.digits)


def _nearest(value: Fraction, kind: _Float) -> Fraction:
    """Return the number of that kind that is nearest to a text's."""
    unit = _unit(value, kind)
    return round(value / unit) * unit


def _unit(value: Fraction, kind: _Float) -> Fraction:
    """Return how far a number is from the next larger one."""
    return Fraction(2) ** max(frexp(value)[1] - kind.bits, kind.lowest)


def _neighbourhood(value: Fraction, kind: _Float) -> tuple[Fraction, Fraction]:
    """Return between which bounds this number is the nearest one; below a power of two, numbers are closer."""
    unit = _unit(value, kind)
    is_power = frexp(value)[0] == 0.5 and unit > Fraction(2) ** kind.lowest
    return value - unit / (4 if is_power else 2), value + unit / 2


def _fewest(value: Fraction, digits: int, kind: _Float) -> tuple[str, int]:
    """Return the fewest digits, at least so many, that give a number; and the power of ten of the first."""
    below, above = _neighbourhood(value, kind)
    first = int(f"{float(value):e}".partition("e")[2])
    while True:
        unit = Fraction(10) ** (first - digits + 1)
        lower = value // unit
        near = [number for number in (lower, lower + 1) if below < number * unit < above]
        if near:
            best = str(min(near, key=lambda number: (abs(number * unit - value), number % 2)))
            return best.rstrip("0"), first + len(best) - digits
        digits += 1


def _placed(digits: str, magnitude: int, full: int) -> str:
    """Place the point, or write an exponent where the number is too large or too small."""
    if not -4 <= magnitude < full:
        point = "." if len(digits) > 1 else ""
        return f"{digits[0]}{point}{digits[1:]}e{'-' if magnitude < 0 else '+'}{abs(magnitude):02d}"
    if magnitude < 0:
        return "0." + "0" * (-magnitude - 1) + digits
    whole = digits[: magnitude + 1].ljust(magnitude + 1, "0")
    return whole + (f".{digits[magnitude + 1 :]}" if len(digits) > magnitude + 1 else "")
