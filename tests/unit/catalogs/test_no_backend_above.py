"""The rooms above the catalogs know no backend: neither by import nor by name."""

import ast
import configparser
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import get_args

import pytest
from support.sources import PACKAGE, SOURCES, nodes_of

from dlbackup.addresses.address import Kind

ROOT = Path(__file__).parents[3]
ABOVE = ("drills", "health", "inventory", "migration", "transfer", "verbs")


def _named(nodes: Iterable[ast.AST]) -> Iterator[ast.expr]:
    """Yield where code asks for one backend by its name, or makes an address of one."""
    for node in nodes:
        match node:
            case ast.Compare(left=left, comparators=others):
                yield from (it for side in (left, *others) for it in _parts(side) if _is_kind(it))
            case ast.Call(func=ast.Name("Address"), args=[kind, *_]) if _is_kind(kind):
                yield kind


def _parts(side: ast.expr) -> list[ast.expr]:
    """Return what is compared: a package may have the name of a backend, so that calls are not looked into."""
    return side.elts if isinstance(side, ast.Tuple | ast.Set | ast.List) else [side]


def _is_kind(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value in get_args(Kind)


def test_the_import_contract_has_no_exceptions() -> None:
    """All backends are forbidden to all rooms above."""
    contract = configparser.ConfigParser()
    contract.read(ROOT / ".importlinter")
    backends = contract["importlinter:contract:backends"]

    assert backends["source_modules"].split() == [f"dlbackup.{room}" for room in ABOVE]
    assert backends["forbidden_modules"].split() == [f"dlbackup.catalogs.{kind}" for kind in sorted(get_args(Kind))]
    assert "ignore_imports" not in backends


@pytest.mark.parametrize("room", ABOVE)
def test_no_room_above_decides_by_the_name_of_a_backend(room: str) -> None:
    """What differs between backends is asked of `catalogs.open` and its contracts."""
    found = [
        f"{source}:{node.lineno}"
        for source in SOURCES
        if source.is_relative_to(PACKAGE / room)
        for node in _named(node for node, _ in nodes_of(source))
    ]

    assert found == []


@pytest.mark.parametrize(
    "code", ['a.kind != "postgres"', 'kind in ("duckdb", "sqlite")', 'Address("mysql", path="x")', '"quack" == a.kind']
)
def test_names_are_found(code: str) -> None:
    """The search finds what it is for."""
    assert list(_named(ast.walk(ast.parse(code))))
