"""What a check found, and how bad it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    Something that is not as it should be in a catalog or a backup, under the name of the rule it breaks.

    Args:
        count: how many rows break the rule, where that is counted.
        evidence: the first few of them.
        why: what it does to the lake.
        mend: exact SQL that puts it right, where that is known.
        advice: what else to do.
        mended: whether a migration puts it right by itself.
    """

    severity: Literal["error", "warning"]
    rule: str
    message: str
    count: int = 0
    evidence: tuple[str, ...] = ()
    why: str = ""
    mend: str = ""
    advice: str = ""
    mended: bool = False


def first_error(findings: Sequence[Finding]) -> str:
    """Return the first of the errors in one line, and how many more there are."""
    errors = [finding for finding in findings if finding.severity == "error"]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{errors[0].rule}: {errors[0].message}{more}"
