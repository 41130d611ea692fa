"""
What a migration is: options, stages, outcome, and the decisions that need no server.

Decisions are values made from what was read, so they can be printed, tested and planned with.
"""

from dataclasses import dataclass

from dlbackup.errors import CannotMigrate, UnknownVersion
from dlbackup.lake import spec

_OVER_0_3 = "name the python of an environment with DuckDB 1.4.x by --engine: migrate then goes over 0.3 in two steps"


@dataclass(frozen=True, slots=True)
class Step:
    """
    A migration that is about to happen.

    Args:
        staged: by way of a file, since the engine can't do it where the catalog is, or as the user wants it.
    """

    from_version: str
    to_version: str
    duckdb_version: str
    staged: bool = False

    def crosses(self, version: str) -> bool:
        """Tell whether the migration leads from before `version` to it or beyond."""
        return spec.is_older(self.from_version, version) and not spec.is_older(self.to_version, version)


def next_step(
    versions: tuple[str, ...],
    duckdb_version: str,
    newest: str,
    to: str | None,
    *,
    directly: bool = False,
    may_stage: bool = False,
) -> Step | None:
    """
    Decide what has to be done; None when nothing.

    Args:
        versions: what the catalog names as its spec version.
        newest: the spec version of lakes that the engine makes.
        to: what the user wants, of those that the engine opens; None is the newest.
        directly: the backend takes columns with defaults, so that one engine gets from 0.2 beyond 0.3.
        may_stage: what can't be done directly may go by way of a file.

    Raises:
        UnknownVersion, CannotMigrate: this engine can't bring this catalog there.
    """
    version = _known_version(versions)
    if newest not in spec.ORDER:
        raise UnknownVersion(
            f"DuckDB {duckdb_version} writes spec version {newest}, which this dlbackup doesn't know",
            "use a newer dlbackup, or an older engine with --engine",
        )
    target = to or newest
    if target not in spec.opened_by(newest):
        ours = " or ".join(sorted(spec.opened_by(newest)))
        raise CannotMigrate(
            f"DuckDB {duckdb_version} migrates to spec version {ours} only, not to {to}",
            "name an environment with another DuckDB with --engine",
        )
    if version == target:
        return None
    if spec.is_older(target, version):
        known = f"the newest that DuckDB {duckdb_version} knows" if target == newest else "what was asked for"
        raise CannotMigrate(
            f"the catalog has spec version {version}, newer than {target}, {known}; there is no way back but a restore",
            "use a newer engine, or restore a backup of the older version",
        )
    in_the_way = spec.is_older(version, "0.3") and spec.is_older("0.3", target) and not directly
    known_layout = bool(spec.load(version))
    if in_the_way and not (may_stage and known_layout):
        raise CannotMigrate(
            f"DuckDB {duckdb_version} can't migrate a catalog of spec version {version} where it is",
            _OVER_0_3 if known_layout else _way_of_no_layout(version),
        )
    if not known_layout:
        made_by = "a development version" if "-dev" in version else f"made by {spec.ENGINES[version]}"
        raise UnknownVersion(
            f"dlbackup doesn't know the tables of spec version {version}, {made_by}: not migrated",
            _way_of_no_layout(version),
        )
    return Step(version, target, duckdb_version, staged=in_the_way)


def _way_of_no_layout(version: str) -> str:
    """Return what helps where dlbackup doesn't know the tables of a version."""
    if "-dev" in version:
        release = version.partition("-")[0]
        return f"let DuckDB {spec.ENGINES[release]}, whose DuckLake followed it, migrate a copy of the catalog"
    return "dump it, then let DuckDB 1.3.2 attach it, which migrates it to 0.2; dlbackup goes on from there"


def _known_version(versions: tuple[str, ...]) -> str:
    if len(versions) != 1 or not versions[0]:
        raise UnknownVersion(
            f"the catalog names {len(versions)} spec versions instead of one",
            "a catalog without exactly one version can be dumped and restored, but not migrated",
        )
    if versions[0] not in spec.ORDER:
        raise UnknownVersion(
            f"the catalog has spec version {versions[0]}, which this dlbackup doesn't know",
            "use a newer dlbackup",
        )
    return versions[0]
