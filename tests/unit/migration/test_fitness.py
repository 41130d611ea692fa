"""Whether an engine opens a catalog as it is, by what both say of themselves."""

from pathlib import Path

import pytest

from dlbackup.addresses.address import parse_address
from dlbackup.engine.engine import Engine
from dlbackup.errors import CannotMigrate, MigrationNeeded, UnknownVersion
from dlbackup.migration.fitness import Found, Wish, needs_migration
from dlbackup.migration.options import MigrateOptions
from dlbackup.runtime.progress import ignore


def _needs(version: str, engine: tuple[str, str], *, allowed: bool) -> bool:
    duckdb_version, makes = engine
    wish = Wish(
        address=parse_address("postgres:dbname=x"),
        alias="lake",
        schema=None,
        options={},
        create=False,
        migration=MigrateOptions() if allowed else None,
        until=0.0,
        on_event=ignore,
        text="postgres:dbname=x",
    )
    found = Found("public", (version,))
    ours = Engine(python=Path("/nonexistent"), duckdb_version=duckdb_version, spec_version=makes)
    return needs_migration(wish, ours, found, None)


_OF_1_0, _OF_1_1 = ("1.5.5", "1.0"), ("2.0.1", "1.1")


@pytest.mark.parametrize("allowed", [False, True])
@pytest.mark.parametrize("version", ["0.1", "0.3-dev1"])
def test_version_that_nobody_migrates(version: str, allowed: bool) -> None:
    """A catalog whose tables nobody knows is not said to need leave that would not help."""
    with pytest.raises(UnknownVersion) as refused:
        _needs(version, _OF_1_0, allowed=allowed)

    assert "migrate=" not in refused.value.hint


@pytest.mark.parametrize("allowed", [False, True])
def test_engine_of_1_1_opens_1_0_as_it_is(allowed: bool) -> None:
    """What it would make new lakes of is no reason to migrate one; older ones it opens only after that."""
    assert [_needs(version, _OF_1_1, allowed=allowed) for version in ("1.0", "1.1")] == [False, False]
    if allowed:
        assert _needs("0.4", _OF_1_1, allowed=True)
        return
    with pytest.raises(MigrationNeeded, match=r"opens 1\.0 and 1\.1 only"):
        _needs("0.4", _OF_1_1, allowed=False)


def test_engine_of_1_0_does_not_open_1_1() -> None:
    """It is refused as newer, with or without leave."""
    for allowed in (False, True):
        with pytest.raises(CannotMigrate, match="newer than"):
            _needs("1.1", _OF_1_0, allowed=allowed)
