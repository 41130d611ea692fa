"""What a rule's rows say, cut to what a person reads."""

from collections.abc import Sequence
from dataclasses import dataclass, field

EVIDENCE = 5
"""How many of the rows that break a rule a finding shows."""
_TEXT_CHARACTERS = 60


@dataclass(slots=True)
class Broken:
    """What was found for one rule."""

    count: int = 0
    evidence: list[str] = field(default_factory=list)
    ids: set[int] = field(default_factory=set)

    def add(self, count: int, row: str, number: int | None = None) -> None:
        """Count findings, and keep the first rows that show them, and the number of each for the mend."""
        self.count += count
        if number is not None:
            self.ids.add(number)
        if len(self.evidence) < EVIDENCE:
            self.evidence.append(row)


def integer(value: object) -> int:
    """Return a number that a query gave, whatever its type."""
    return int(str(value))


def evidence_of(columns: Sequence[str], row: Sequence[object]) -> str:
    """Return a row that shows a finding, as a person reads it."""
    return ", ".join(
        _shown(value) if name == "kind" else f"{name} {_shown(value)}" for name, value in zip(columns, row, strict=True)
    )


def _shown(value: object) -> str:
    if value is None:
        return "NULL"
    text = str(value)
    if len(text) > _TEXT_CHARACTERS:
        text = text[:_TEXT_CHARACTERS] + "..."
    return text if text.isprintable() else ascii(text)
