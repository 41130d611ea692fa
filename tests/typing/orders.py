"""
Promise 1 as mypy sees it: dump, verify, attach, in that order, and no other.

Checked by the ordinary, strict run of mypy: a `type: ignore` here is an error where mypy would take the line.
Nothing imports this file.
"""

from pathlib import Path

from dlbackup.backupfile.backup import Backup, VerifiedBackup
from dlbackup.backupfile.prover import prove
from dlbackup.engine.engine import Engine, attach_migrating
from dlbackup.engine.statements import Target
from dlbackup.verbs.verify import verify


def right(engine: Engine, backup: Backup, target: Target) -> None:
    """What `dump` gave is proved, and the proof lets an engine migrate."""
    verified, _ = prove(backup)
    attach_migrating(engine, verified, target, 1.0)


def wrong(engine: Engine, backup: Backup, target: Target) -> None:
    """Nothing else does, and nothing else can be proved."""
    attach_migrating(engine, backup, target, 1.0)  # type: ignore[arg-type]
    attach_migrating(engine, Path(backup.path), target, 1.0)  # type: ignore[arg-type]
    attach_migrating(engine, verify(backup), target, 1.0)  # type: ignore[arg-type]
    attach_migrating(engine, prove(backup), target, 1.0)  # type: ignore[arg-type]
    attach_migrating(engine, None, target, 1.0)  # type: ignore[arg-type]
    attach_migrating(engine, target, 1.0)  # type: ignore[arg-type, call-arg]
    prove(Path(backup.path))  # type: ignore[arg-type]
    prove(backup.path)  # type: ignore[arg-type]


class Heir(VerifiedBackup):  # type: ignore[misc]
    """A proof has no heirs."""
