"""
Measure how long a migration keeps writers waiting, as dlbackup says it and as a writer sees it.

    python benchmarks/writer_pause.py DATABASE FOLDER [--runs 3] [MIGRATE OPTION ...]

libpq's environment says where the server is. Each run migrates a copy of DATABASE, a catalog of an older spec
version, while a writer makes the first contact of a DuckLake commit over and over: an insert into
`ducklake_snapshot` that is rolled back. The writer connects anew when it is ended, as applications do. Its
view is the longest time between two moments at which it could have committed; beside it stands the same for
the seconds before the migration. Without options, clients are ended with --terminate-clients.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

COMMIT = "insert into {} values (-1, now(), 0, 0, 0)"
TABLE = (
    "select c.oid::regclass::text from pg_class c where c.relname = 'ducklake_snapshot' and c.relkind = 'r'"
    " order by c.relnamespace limit 1"
)
USUAL_S = 2.0
"""How long the writer goes on alone before each migration."""
PAUSE_S = 0.002
"""Between two tries of the writer: the most that its view may be too long by, beside its own time to reconnect."""
FENCED = ("same-state", "attach", "mend", "post-check")


class Writer(threading.Thread):
    """Notes when it could have committed, and how often it was ended."""

    def __init__(self, database: str) -> None:
        super().__init__(name="writer")
        self.database = database
        self.moments: list[float] = []
        self.ended = 0
        self.failure: BaseException | None = None
        self.stop = threading.Event()

    def run(self) -> None:
        """Go on until told to stop, whoever ends its sessions."""
        while not self.stop.is_set():
            try:
                with psycopg.connect(dbname=self.database, application_name="writer") as session:
                    self._commit(session)
            except psycopg.OperationalError:
                self.ended += 1
            except psycopg.Error as exc:
                self.failure = exc
                return

    def _commit(self, session: "psycopg.Connection[tuple[Any, ...]]") -> None:
        row = session.execute(TABLE).fetchone()
        if row is None:
            raise psycopg.DataError("the database holds no ducklake_snapshot")
        session.rollback()
        while not self.stop.wait(PAUSE_S):
            session.execute(COMMIT.format(row[0]).encode())
            self.moments.append(time.monotonic())
            session.rollback()

    def longest(self, begin: float, end: float) -> float:
        """Return the longest time between two moments that touches a span."""
        gaps = zip(self.moments, self.moments[1:], strict=False)
        return max(after - before for before, after in gaps if after >= begin and before <= end)


@contextmanager
def writing(database: str) -> Iterator[Writer]:
    """Keep a writer at work while the block runs; it has written at least once when the block begins."""
    writer = Writer(database)
    writer.start()
    try:
        while not writer.moments and writer.is_alive():
            time.sleep(PAUSE_S)
        yield writer
    finally:
        writer.stop.set()
        writer.join()
    if writer.failure is not None:
        raise writer.failure


@dataclass(frozen=True)
class Pause:
    """One migration: what dlbackup says, what the writer saw, and where the time went."""

    said_s: float
    seen_s: float
    usual_s: float
    ended: int
    stages: dict[str, float]


def once(database: str, folder: Path, options: list[str]) -> Pause:
    """Migrate a copy of the database beside a writer."""
    copy, backups = f"{database}_paused", folder / "backups"
    fresh(database, copy)
    shutil.rmtree(backups, ignore_errors=True)
    backups.mkdir(parents=True)
    command = [sys.executable, "-m", "dlbackup", "migrate", "-q", "--json", f"postgres:dbname={copy}"]
    with writing(copy) as writer:
        begun = time.monotonic()
        time.sleep(USUAL_S)
        started = time.monotonic()
        done = subprocess.run([*command, "--backup-dir", str(backups), *options], capture_output=True, check=False)
        ended = time.monotonic()
        time.sleep(PAUSE_S * 100)
    answer = json.loads(done.stdout)
    if done.returncode:
        raise SystemExit(f"the migration failed: {answer['error']['message']}")
    stages = {stage["stage"]: stage["seconds"] for stage in answer["stages"]}
    seen, usual = writer.longest(started, ended), writer.longest(begun, started)
    drop(copy)
    return Pause(answer["writer_pause_seconds"], seen, usual, writer.ended, stages)


def fresh(database: str, copy: str) -> None:
    drop(copy)
    with psycopg.connect(dbname="postgres", autocommit=True) as admin:
        admin.execute(f'create database "{copy}" template "{database}"'.encode())
    with psycopg.connect(dbname=copy, autocommit=True) as session:
        session.execute("vacuum analyze")


def drop(database: str) -> None:
    with psycopg.connect(dbname="postgres", autocommit=True) as admin:
        admin.execute(f'drop database if exists "{database}" with (force)'.encode())


def report(pauses: list[Pause]) -> None:
    said = [pause.said_s for pause in pauses]
    seen = [pause.seen_s for pause in pauses]
    rows = [("dlbackup's `writer_pause_seconds`", said), ("longest gap of the writer", seen)]
    rows += [("longest gap before the migration", [pause.usual_s for pause in pauses])]
    rows += [(f"stage `{name}`", [pause.stages.get(name, 0.0) for pause in pauses]) for name in FENCED]
    rows += [("whole command but for its start", [sum(pause.stages.values()) for pause in pauses])]
    print("| | median s | min-max s |\n|---|---|---|")
    for name, seconds in rows:
        print(f"| {name} | {statistics.median(seconds):.2f} | {min(seconds):.2f}-{max(seconds):.2f} |")
    print(f"\nthe writer was ended {', '.join(str(pause.ended) for pause in pauses)} times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("database")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    options, migrate = parser.parse_known_args()
    report([once(options.database, options.folder, migrate or ["--terminate-clients"]) for _ in range(options.runs)])


if __name__ == "__main__":
    main()
