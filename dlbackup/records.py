"""
Records to JSON and back, strictly: what comes back is exactly what the record's annotations say.

Fields that have their default value are left out of the JSON, which keeps manifests of catalogs with
thousands of tables small.
"""

import dataclasses
import types
import typing
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


def encode(value: object, *, keep_defaults: bool = False) -> Any:
    """Return `value` as what `json.dumps` takes; records become objects."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: encode(getattr(value, field.name), keep_defaults=keep_defaults)
            for field in dataclasses.fields(value)
            if keep_defaults or getattr(value, field.name) != _default(field)
        }
    if isinstance(value, tuple | list):
        return [encode(item, keep_defaults=keep_defaults) for item in value]
    return value


def decode(record: type[T], value: object) -> T:
    """
    Return the record that `value` (from `json.loads`) describes.

    Raises:
        ValueError: a key is missing or unknown, or a value has another type than annotated.
    """
    return typing.cast("T", _decode(record, value, record.__name__))


def _default(field: "dataclasses.Field[Any]") -> object:
    return field.default  # MISSING never equals a value


def _decode(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _decode_record(kind, value, where)
    origin = typing.get_origin(kind)
    if origin is tuple:
        return _decode_tuple(typing.get_args(kind), value, where)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in typing.get_args(kind):
            return None
        (inner,) = (option for option in typing.get_args(kind) if option is not type(None))
        return _decode(inner, value, where)
    if origin is typing.Literal:
        if value not in typing.get_args(kind):
            raise ValueError(f"{where}: {value!r} is not one of {typing.get_args(kind)}")
        return value
    if kind is Any:
        return value
    if type(value) is not kind:
        raise ValueError(f"{where}: {kind.__name__} expected")
    return value


def _decode_record(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"{where}: an object expected")
    hints, required = _fields(kind)
    if unknown := value.keys() - hints.keys():
        raise ValueError(f"{where}: unknown keys {sorted(unknown)}")
    for name in required:
        if name not in value:
            raise ValueError(f"{where}: {name} is missing")
    return kind(**{name: _decode(hints[name], item, f"{where}.{name}") for name, item in value.items()})


@cache
def _fields(kind: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return a record's annotations by field, and the fields without a default; a manifest may hold 20,000 tables."""
    fields = dataclasses.fields(kind)
    return typing.get_type_hints(kind), tuple(f.name for f in fields if f.default is dataclasses.MISSING)


def _decode_tuple(kinds: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise ValueError(f"{where}: an array expected")
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(_decode(kinds[0], item, where) for item in value)
    if len(kinds) != len(value):
        raise ValueError(f"{where}: {len(kinds)} items expected")
    return tuple(_decode(kind, item, where) for kind, item in zip(kinds, value, strict=True))
