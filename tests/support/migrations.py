"""Migrations that succeed, by the command."""

from pathlib import Path
from typing import Any

from support.cli import Cli
from support.waiting import PATIENCE_S

__all__ = ["migrated"]


def migrated(cli: Cli, url: str, *words: str | Path, timeout_s: float = 2 * PATIENCE_S) -> dict[str, Any]:
    """Migrate a lake; return what the command says of it as JSON."""
    done = cli("migrate", url, "--json", *words, timeout_s=timeout_s)
    assert done.exit_code == 0, done.stderr
    answer: dict[str, Any] = done.json()
    return answer
