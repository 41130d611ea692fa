"""
Commands that are interrupted at any moment.

They end as interrupted or as done, call nothing a bug and no backup bad, and leave nothing half-made.
"""

import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.cli import Cli
from support.comparison import schemas
from support.faults.faults import nothing_left
from support.lakes.lakes import Lake, LakeFactory
from support.longer import long

_POINTS = 1
_BEFORE_IT_LISTENS = -signal.SIGTERM
_Words = Callable[[Lake, Path], list[str]]
_COMMANDS: dict[str, _Words] = {
    "dump": lambda made, cwd: ["dump", made.url, "-o", f"{cwd}/backups/"],
    "check": lambda made, cwd: ["check", made.url],
    "plan": lambda made, cwd: ["plan", made.url],
    "rehearse": lambda made, cwd: ["verify", f"{cwd}/backup.sql.zst", "--rehearse", made.url],
    "restore": lambda made, cwd: ["restore", f"{cwd}/backup.sql.zst", made.url, "--metadata-schema", "other"],
    "copy": lambda made, cwd: ["copy", made.url, f"{cwd}/copy.ducklake"],
}


def _interrupted(cli: Cli, words: list[str], after_s: float) -> tuple[int, str]:
    with cli.started(*words) as process:
        time.sleep(after_s)
        process.send_signal(signal.SIGTERM)
        try:
            _, errors = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{words[0]} doesn't end") from None
    return process.returncode, errors.decode()


@pytest.mark.parametrize("command", [long(it) if it in ("plan", "rehearse") else it for it in _COMMANDS])
def test_interrupted_at_any_moment(lake: LakeFactory, cli: Cli, command: str, pytestconfig: pytest.Config) -> None:
    """Exit 130 or 0; no traceback, no scratch schema, no part of a file, and another run goes through."""
    made = lake("plain", "1.0")
    cli("dump", made.url, "-o", cli.cwd / "backup.sql.zst")
    (cli.cwd / "backups").mkdir()
    words = _COMMANDS[command](made, cli.cwd)
    points = pytestconfig.getoption("--kill-points") or _POINTS
    chance = random.Random(pytestconfig.getoption("--seed"))
    begun = time.monotonic()
    assert cli.apart(*words).exit_code == 0
    takes_s = time.monotonic() - begun

    for _ in range(points):
        if command in ("restore", "copy"):  # made by the run before
            words = [*words[:3], *(["--metadata-schema", "other"] if command == "restore" else []), "--replace"]
            words += ["--drop-replaced"]
        after_s = chance.uniform(0, takes_s)
        code, said = _interrupted(cli, words, after_s)
        if code == _BEFORE_IT_LISTENS:
            continue
        assert code in (0, 130), (after_s, said)
        assert "Traceback" not in said, (after_s, said)
        assert code == 0 or "error: interrupted by SIGTERM\n" in said, (after_s, said)
        nothing_left(made)
        assert schemas(made.url) <= {"public", "other"}
        assert [path.name for path in cli.cwd.rglob(".*")] == [], after_s
    assert cli.apart(*words, *(["--no-read-back"] if command == "copy" else [])).exit_code == 0
