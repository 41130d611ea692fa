"""The code of dlbackup itself, parsed once in a process, for tests of what stands in it and where."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import dlbackup
from dlbackup.runtime.memory import collector_paused

__all__ = ["PACKAGE", "SOURCES", "Place", "nodes_of", "places"]

PACKAGE = Path(dlbackup.__file__).parent
SOURCES = tuple(sorted(PACKAGE.rglob("*.py")))
Place = tuple[ast.AST, str]
"""A node, and the name of the innermost function or class that it stands in; nothing outside of all."""


def places() -> Iterator[tuple[str, ast.AST, str]]:
    """Yield each node in code, docstrings excepted: its module, as a path from the package's folder, it, and where."""
    for source in SOURCES:
        module = source.relative_to(PACKAGE).as_posix()
        for node, owner in nodes_of(source):
            yield module, node, owner


@cache
def nodes_of(source: Path) -> tuple[Place, ...]:
    """Return each node of a module, docstrings excepted."""
    with collector_paused():  # which would look at all these objects over and over
        found: list[Place] = []
        left: list[Place] = [(ast.parse(source.read_text("utf-8")), "")]
        while left:
            place = left.pop()
            found.append(place)
            node, owner = place
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                if ast.get_docstring(node):
                    node.body = node.body[1:] or [ast.Pass()]
                if not isinstance(node, ast.Module):
                    owner = node.name
            for value in vars(node).values():
                children = value if isinstance(value, list) else (value,)
                left.extend((child, owner) for child in children if isinstance(child, ast.AST))
        return tuple(found)
