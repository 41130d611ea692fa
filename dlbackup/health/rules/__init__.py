"""
The rules of a healthy DuckLake catalog: named, with severity, meaning, query and mend.

Pure: records and SQL texts; `health.checkup` asks them. docs/rules.md describes each.
"""

from dlbackup.health.rules import (
    attached,
    files,
    history,
    identity,
    inlined,
    macros,
    older_clients,
    readable,
    references,
    statistics,
    versions,
    widened,
)
from dlbackup.health.rules.rule import Rule

RULES: tuple[Rule, ...] = (
    *identity.RULES,
    *history.RULES,
    *references.RULES,
    *attached.RULES,
    *versions.RULES,
    *older_clients.RULES,
    *files.RULES,
    *statistics.RULES,
    *inlined.RULES,
    *readable.RULES,
    *macros.RULES,
    *widened.RULES,
)


def rules_for(version: str) -> tuple[Rule, ...]:
    """Return the rules that a catalog of a spec version must keep."""
    return tuple(rule for rule in RULES if rule.holds_for(version))
