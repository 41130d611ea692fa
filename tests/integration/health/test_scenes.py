"""The rules, played in DuckDB: each finds what breaks it in a scene, and nothing else."""

from collections.abc import Callable
from functools import cache
from typing import Any

import duckdb
import pytest
from support.rules.scenes import SCENES, Scene, Stage, broken, statements_before

from dlbackup.health.rules import RULES

BY_NAME = {rule.name: rule for rule in RULES}


@pytest.fixture(scope="module")
def catalog() -> Callable[[str], duckdb.DuckDBPyConnection]:
    """The catalog in which scenes play, by spec version."""

    @cache
    def made(version: str) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(config={"threads": 1})
        # Half of the time of a query over few rows; `check` of whole catalogs has the optimizer.
        connection.execute("pragma disable_optimizer")
        for statement in statements_before(version):
            connection.execute(statement)
        return connection

    return made


def _played(scene: Scene, version: str) -> Any:
    """Play a scene in one version in every run, each in its turn; on PostgreSQL they play in all."""
    marks = [] if version == scene.specs[scene.number % len(scene.specs)] else [pytest.mark.long]
    return pytest.param(scene, version, id=f"{scene.rule}-{scene.number}-{version}", marks=marks)


@pytest.mark.parametrize(("scene", "version"), [_played(scene, it) for scene in SCENES for it in scene.specs])
def test_rule_finds_exactly_what_breaks_it(
    catalog: Callable[[str], duckdb.DuckDBPyConnection], scene: Scene, version: str
) -> None:
    """A rule finds the rows beyond each of its borders, and none of those on the right side."""
    connection = catalog(version)
    connection.begin()
    try:
        for statement in scene.statements(version):
            connection.execute(statement)

        finding = broken(Stage(connection, version), version, BY_NAME[scene.rule])

        assert (finding.evidence if finding else ()) == scene.evidence
        assert (finding.count if finding else 0) == len(scene.evidence)
    finally:
        connection.rollback()
