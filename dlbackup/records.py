"""
Records to JSON and back, strictly: what comes back is exactly what the record's annotations say.

Where a record has `IGNORES_LATER_KEYS`, keys that it doesn't know are those of a version to come, and don't matter.

Fields that have their default value are left out of the JSON, which keeps manifests of catalogs with
thousands of tables small.
"""

import dataclasses
import types
import typing
from collections.abc import Callable
from functools import cache, partial
from typing import Any, TypeVar

T = TypeVar("T")
_PLAIN = frozenset({bool, float, int, str, type(None)})


def encode(value: object, *, keep_defaults: bool = False) -> Any:
    """Return `value` as what `json.dumps` takes; records become objects."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is tuple or kind is list:
        return [encode(item, keep_defaults=keep_defaults) for item in typing.cast("list[object]", value)]
    if not dataclasses.is_dataclass(kind):
        return value
    found = {}
    for name, default in _defaults(kind):
        item = getattr(value, name)
        if keep_defaults or item != default:
            found[name] = encode(item, keep_defaults=keep_defaults)
    return found


@cache
def _defaults(kind: Any) -> tuple[tuple[str, object], ...]:
    """Return a record's fields with their defaults; MISSING never equals a value."""
    return tuple((field.name, field.default) for field in dataclasses.fields(kind))


def decode(record: type[T], value: object) -> T:
    """
    Return the record that `value` (from `json.loads`) describes.

    Raises:
        ValueError: a key is missing or unknown, or a value has another type than annotated. Unknown keys that are to
            be ignored are taken out of `value`.
    """
    try:
        return typing.cast("T", _decoder(typing.cast("Any", record))(value))
    except _Wrong as exc:
        raise ValueError(f"{'.'.join([record.__name__, *reversed(exc.path)])}: {exc}") from None


class _Wrong(ValueError):
    """A value that is not what its annotation says, and the fields that lead to it, innermost first."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.path: list[str] = []


_Decoder = Callable[[Any], Any]


@cache
def _decoder(kind: Any) -> _Decoder:
    """Return what makes a value of this annotation; made once, for a manifest may hold 20,000 tables."""
    if dataclasses.is_dataclass(kind):
        return _record_decoder(kind)
    origin, options = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        return _tuple_decoder(options)
    if origin in (typing.Union, types.UnionType):
        return _optional_decoder(options)
    if origin is typing.Literal:
        return partial(_one_of, options)
    if kind is Any:
        return lambda value: value
    return partial(_exactly, kind)


def _exactly(kind: type[Any], value: Any) -> Any:
    if type(value) is not kind:
        raise _Wrong(f"{kind.__name__} expected")
    return value


def _one_of(options: tuple[Any, ...], value: Any) -> Any:
    if value not in options:
        raise _Wrong(f"{value!r} is not one of {options}")
    return value


def _optional_decoder(options: tuple[Any, ...]) -> _Decoder:
    (inner,) = (_decoder(option) for option in options if option is not type(None))
    if type(None) not in options:
        return inner
    return lambda value: None if value is None else inner(value)


def _record_decoder(kind: Any) -> _Decoder:
    hints = typing.get_type_hints(kind)
    fields = dataclasses.fields(kind)
    required = [field.name for field in fields if field.default is dataclasses.MISSING]
    decoders = {field.name: _decoder(hints[field.name]) for field in fields}

    def made(value: Any) -> Any:
        if not isinstance(value, dict):
            raise _Wrong("an object expected")
        if unknown := value.keys() - decoders.keys():
            if not getattr(kind, "IGNORES_LATER_KEYS", False):
                raise _Wrong(f"unknown keys {sorted(unknown)}")
            for name in unknown:
                del value[name]
        for name in required:
            if name not in value:
                raise _Wrong(f"{name} is missing")
        given = {}
        try:
            for name, item in value.items():
                given[name] = decoders[name](item)
        except _Wrong as exc:
            exc.path.append(name)
            raise
        return kind(**given)

    return made


def _tuple_decoder(kinds: tuple[Any, ...]) -> _Decoder:
    any_number = len(kinds) == 2 and kinds[1] is Ellipsis
    decoders = [_decoder(kind) for kind in kinds if kind is not Ellipsis]

    def made(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise _Wrong("an array expected")
        if any_number:
            return tuple(map(decoders[0], value))
        if len(decoders) != len(value):
            raise _Wrong(f"{len(decoders)} items expected")
        return tuple(decoder(item) for decoder, item in zip(decoders, value, strict=True))

    return made
