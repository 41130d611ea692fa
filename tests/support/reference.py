"""
The part of docs/reference.md that says what the Python API takes, gives and raises, made from the code itself.

`python tests/support/reference.py` writes it anew; a test compares.
"""

import dataclasses
import inspect
import json
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlbackup
from dlbackup.errors import DlbackupError

__all__ = ["BEGIN", "END", "REFERENCE", "python_api", "with_python_api"]

REFERENCE = Path(__file__).parents[2] / "docs" / "reference.md"
BEGIN = "<!-- made by tests/support/reference.py: begin -->\n"
END = "<!-- made by tests/support/reference.py: end -->\n"
_NOT_IMPORTED = {name: type(name, (), {}) for name in ("AttachOption", "DuckDBPyConnection")}
"""Names in annotations that only a type checker sees."""
_OF_THE_MACHINE = frozenset({"jobs"})
"""Parameters whose defaults are not the same everywhere."""
_WIDTH = 110


def with_python_api(text: str) -> str:
    """Return the reference with the part between the marks made anew."""
    before, _, rest = text.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"{REFERENCE.name} lacks its marks")
    return f"{before}{BEGIN}\n{python_api()}\n{END}{after}"


def python_api() -> str:
    """Return functions, records and errors in Markdown."""
    public = [getattr(dlbackup, name) for name in sorted(dlbackup.__all__)]
    parts = ["### Functions", "Defaults that are no constants, or depend on the machine, stand as `...`."]
    parts += [_function(value) for value in public if inspect.isfunction(value)]
    parts += ["### Records", "Frozen dataclasses; the JSON of a command has the same keys."]
    parts += [_record(value) for value in public if dataclasses.is_dataclass(value) and isinstance(value, type)]
    parts += ["### Errors", "\n".join(_errors(DlbackupError))]
    return "\n\n".join(parts) + "\n"


def _function(function: types.FunctionType) -> str:
    return _block(_signature(function)) + _explained(function)


def _record(record: type) -> str:
    fields = {field.name: field for field in dataclasses.fields(record) if field.repr}
    hints = typing.get_type_hints(record)
    lines = [f"class {record.__name__}:"]
    lines += [f"    {name}: {_shown(hints[name])}{_default(name, field.default)}" for name, field in fields.items()]
    for name, value in vars(record).items():
        if name.startswith("_") or name in fields:
            continue
        if isinstance(value, property):
            lines += ["    @property", f"    def {_signature(value.fget)}"]
        elif inspect.isfunction(value):
            lines += [f"    def {_signature(value)}"]
    return _block("\n".join(lines)) + _explained(record)


def _errors(error: type[DlbackupError], depth: int = 0) -> Iterator[str]:
    """Yield the tree, as a list in a list."""
    about = inspect.cleandoc(error.__doc__ or "").splitlines()[0]
    yield f"{'  ' * depth}- `{error.__name__}` (exit code {error.exit_code}): {about}"
    for heir in error.__subclasses__():
        if heir.__module__ == DlbackupError.__module__:
            yield from _errors(heir, depth + 1)


def _block(code: str) -> str:
    return f"```python\n{code}\n```\n\n"


def _signature(function: Any) -> str:
    hints = typing.get_type_hints(function, localns=_NOT_IMPORTED)
    words = []
    star = False
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            words.append("*")
            star = True
        prefix = "**" if parameter.kind is parameter.VAR_KEYWORD else ""
        annotation = f": {_shown(hints[name])}" if name in hints else ""
        words.append(f"{prefix}{name}{annotation}{_default(name, parameter.default)}")
    head, tail = f"{function.__name__}(", f") -> {_shown(hints['return'])}"
    line = head + ", ".join(words) + tail
    return line if len(line) <= _WIDTH else head + "".join(f"\n    {word}," for word in words) + "\n" + tail


def _default(name: str, value: object) -> str:
    if value in (inspect.Parameter.empty, dataclasses.MISSING):
        return ""
    return f" = {'...' if name in _OF_THE_MACHINE else _constant(value)}"


def _constant(value: object) -> str:
    if isinstance(value, str):
        return json.dumps(value)
    return repr(value) if isinstance(value, int | float | bool | tuple | None) else "..."


def _shown(kind: Any) -> str:
    """Return an annotation as it would be written, the same in every version of Python."""
    origin, options = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(kind, list):
        return f"[{', '.join(map(_shown, kind))}]"
    if origin in (typing.Union, types.UnionType):
        return " | ".join(map(_shown, options))
    if origin is typing.Literal:
        return f"Literal[{', '.join(map(_constant, options))}]"
    if origin is not None:
        return f"{origin.__name__}[{', '.join(map(_shown, options))}]"
    if kind is Ellipsis:
        return "..."
    return "None" if kind in (None, type(None)) else str(kind.__name__)


def _explained(thing: Any) -> str:
    """Return a docstring as Markdown: its text, then a list of what it says of parameters, fields and errors."""
    sections = re.split(r"^(Args|Raises|Returns):\n", inspect.cleandoc(thing.__doc__), flags=re.MULTILINE)
    lines = ["\n".join(paragraph.replace("\n", " ") for paragraph in sections[0].strip().split("\n\n"))]
    lines += [""] if sections[1:] else []
    for title, body in zip(sections[1::2], sections[2::2], strict=True):
        for item in re.split(r"^    (?! )", body.rstrip(), flags=re.MULTILINE)[1:]:
            text = " ".join(item.split())
            names, colon, meaning = text.partition(": ")
            if title == "Returns" or not colon:
                lines.append(f"- returns: {text}")
                continue
            named = ", ".join(f"`{name}`" for name in names.split(", "))
            lines.append(f"- {'raises ' * (title == 'Raises')}{named}: {meaning}")
    return "\n".join(lines)


if __name__ == "__main__":
    REFERENCE.write_text(with_python_api(REFERENCE.read_text()))
