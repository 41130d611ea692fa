"""What every failed command owes its user: an exit code, one error line, and no traceback."""

from typing import Any

from support.cli import Finished
from support.servers.postgres import PASSWORD

__all__ = ["failure", "json_failure"]


def failure(done: Finished, exit_code: int, *words: str, hint: str | None = None) -> str:
    """Return the line of a failed command's error, proved to hold `words`; likewise the hint where one is due."""
    said = done.stderr.splitlines()
    errors = [line for line in said if line.startswith("error: ")]
    hints = [line for line in said if line.startswith("hint: ")]
    assert done.exit_code == exit_code, done
    assert len(errors) == 1, done
    assert len(hints) <= 1, done
    assert "Traceback" not in done.stderr
    assert PASSWORD not in done.stderr
    assert PASSWORD.encode() not in done.output
    for word in words:
        assert word in errors[0]
    if hint is not None:
        assert hints, done
        assert hint in hints[0]
    return errors[0]


def json_failure(done: Finished, exit_code: int, *words: str) -> dict[str, Any]:
    """Return the one JSON object of a command that failed with `--json`."""
    line = failure(done, exit_code, *words)
    answer = done.json()
    assert answer["exit_code"] == exit_code
    assert f"error: {answer['error']['message']}" == line
    assert set(answer["error"]) == {"type", "message", "hint"}
    return dict(answer)
