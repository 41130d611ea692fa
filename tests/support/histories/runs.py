"""Runs of random histories: an engine takes steps, reads all that a lake shows, and two readings are compared.

What came of a history goes into the file that DLBACKUP_LOG names, as one line of JSON.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from support.engines.engines import CHILD, Engine, Options, Step, engine_of

__all__ = ["Shown", "differences", "is_logged", "log", "migrate_alone", "read", "take"]

# What a lake shows: the sorted rows, as text, of each place that was asked.
Shown = Mapping[str, Sequence[str]]

_CHILD = CHILD.with_name("history_program.py")
_TIMEOUT_S = 300
_SHOWN = 3


def take(
    engine: Engine, url: str, data_path: Path, steps: Sequence[Step], *, inlining: int, create: bool = False
) -> list[Shown]:
    """Take the steps; return what the newest snapshot shows after each. Raises EngineError, naming the step."""
    # 1.3 refuses the option on PostgreSQL.
    options: Options = {"DATA_INLINING_ROW_LIMIT": inlining} if engine.spec > "0.2" else {}
    folder = str(data_path).replace("'", "''")
    job = {
        "attach": engine.attach_statement(url, "public", data_path=data_path if create else None, options=options),
        "steps": [asdict(replace(step, script=step.script.replace(":DIR", folder))) for step in steps],
        "look": not create,
    }
    return list(_child(engine, "take", job))


def read(engine: Engine, url: str, *, unfiltered: Sequence[str] | None = None, snapshots: bool = True) -> Shown:
    """Read all that the newest snapshot shows and, unless told otherwise, every table at every snapshot.

    Filters are asked for too, but on the columns named; on none at all where that is None.
    """
    attach = engine.attach_statement(url, "public", options={"READ_ONLY": True})
    job = {
        "attach": attach,
        "snapshots": snapshots,
        "filters": unfiltered is not None,
        "unfiltered": list(unfiltered or ()),
    }
    return dict(_child(engine, "read", job))


def differences(before: Shown, after: Shown) -> list[str]:
    """Say where two readings differ, with the first rows that only one of them has."""
    found = []
    for place in sorted(before.keys() | after.keys()):
        one, two = before.get(place, ["not there"]), after.get(place, ["not there"])
        if one != two:
            gone = [row for row in one if row not in two][:_SHOWN]
            new = [row for row in two if row not in one][:_SHOWN]
            found.append(f"{place}: {len(one)} rows, then {len(two)}; only before {gone}, only after {new}")
    return found


def migrate_alone(url: str, spec: str) -> None:
    """Let the engines migrate a lake without dlbackup, from 0.2 in two steps."""
    if spec == "0.2":
        engine_of("0.3").run(url, "public", ["select 1"], options={"MIGRATE_IF_REQUIRED": True}, timeout_s=_TIMEOUT_S)
    engine_of("1.0").run(url, "public", ["select 1"], options={"AUTOMATIC_MIGRATION": True}, timeout_s=_TIMEOUT_S)


def is_logged() -> bool:
    """Tell whether somebody wants to know what came of each history."""
    return bool(os.environ.get("DLBACKUP_LOG"))


def log(what: Mapping[str, object]) -> None:
    """Write down what came of one history."""
    if path := os.environ.get("DLBACKUP_LOG"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(what) + "\n")


def _child(engine: Engine, kind: str, job: Mapping[str, object]) -> Any:
    return engine.job(kind, job, _TIMEOUT_S, child=_CHILD)
