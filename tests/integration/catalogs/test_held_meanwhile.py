"""Catalogs in files that somebody else takes at whatever moment of a command: refused, or done; never half."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.files import beside, contents
from support.lakes.in_files import FileLake, FileLakes
from support.longer import long

import dlbackup
from dlbackup import MigrateOptions, RestoreOptions, errors
from dlbackup.catalogs.sqlite import copying
from dlbackup.runtime.progress import OnEvent

_PROGRAM = """
import sys
from contextlib import suppress
held = None
for line in sys.stdin:
    try:
        if line == "take\\n":
            {take}
        elif held is not None:
            held.close()
            held = None
        print("done", flush=True)
    except Exception:
        print("refused", flush=True)
"""
_TAKE = {
    "ducklake": "import duckdb; held = duckdb.connect(sys.argv[1])",
    "sqlite": "import sqlite3; held = sqlite3.connect(sys.argv[1], timeout=0); held.execute('begin exclusive')",
}


@dataclass(slots=True)
class _Other:
    """Another program, which takes the file when a command comes to a stage of its work."""

    process: subprocess.Popen[str]
    at: str | None = None
    """At which stage, to keep it; at each, and for that moment, where there is none."""
    got: dict[str, bool] = field(default_factory=dict)

    def say(self, word: str) -> bool:
        """Have it take the file, or let go of it; tell whether it could."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(word, file=self.process.stdin, flush=True)
        return self.process.stdout.readline() == "done\n"

    def __call__(self, event: dlbackup.Event) -> None:
        if event.stage not in self.got and self.at in (None, event.stage):
            self.got[event.stage] = self.say("take")
            if self.at is None:
                self.say("release")


@contextmanager
def _other(path: Path) -> Iterator[_Other]:
    command = [sys.executable, "-c", _PROGRAM.format(take=_TAKE[path.suffix[1:]]), str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield _Other(process)
        finally:
            process.kill()


Command = Callable[[FileLake, Path, OnEvent], object]


def _dump(lake: FileLake, backup: Path, on_event: OnEvent) -> object:
    made = backup.with_name("made.sql.zst")
    made.unlink(missing_ok=True)
    return dlbackup.dump(str(lake.path), made, on_event=on_event)


def _restore(lake: FileLake, backup: Path, on_event: OnEvent) -> object:
    options = RestoreOptions(replace=True, discard_newer=True, drop_replaced=True)
    return dlbackup.restore(backup, str(lake.path), options, on_event=on_event)


def _migrate(lake: FileLake, backup: Path, on_event: OnEvent) -> object:
    return dlbackup.migrate(str(lake.path), MigrateOptions(backup_dir=backup.parent), on_event=on_event)


_FREE: dict[Command, str] = {_dump: "dump", _restore: "", _migrate: "look check dump verify"}
"""The stages at which others may take a SQLite file. A DuckDB file is held by its readers too, so also by a dump."""


@pytest.mark.parametrize(
    ("ending", "command"),
    [
        *(("ducklake", _dump), ("ducklake", _restore), ("ducklake", _migrate)),
        *(("sqlite", _dump), ("sqlite", _restore), long("sqlite", _migrate)),
    ],
)
def test_who_takes_the_file_meanwhile(
    command: Command,
    ending: str,
    file_lakes: FileLakes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pytestconfig: pytest.Config,
) -> None:
    """Taken for a moment, whoever comes is refused or does no harm; kept, the command is refused, nothing changed."""
    monkeypatch.setattr(copying, "LEAST_WAIT_S", 0.3)
    lake = file_lakes.copy("plain", "1.4.4", tmp_path, ending)
    backup = Path(dlbackup.dump(str(lake.path), tmp_path / "b.sql.zst").path)
    kept = lake.path.read_bytes()
    with _other(lake.path) as other:
        command(lake, backup, other)
        free = [stage for stage, got in other.got.items() if got]
        assert free == ([] if ending == "ducklake" and command is _dump else _FREE[command].split())

        for stage in free if pytestconfig.option.long else free[-1:]:
            for name in beside(lake.path):
                lake.path.with_name(name).unlink()
            lake.path.write_bytes(kept)
            other.at, other.got = stage, {}
            if command is _dump:  # it has its copy
                command(lake, backup, other)
            else:
                with pytest.raises(errors.Locked):
                    command(lake, backup, other)
            assert other.got == {stage: True}
            assert other.say("release")
            assert (contents(lake.path), beside(lake.path)) == (contents(backup), set())
