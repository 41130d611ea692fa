"""
Measure how long commits to a SQLite file take beside dumps of it, and alone.

    python benchmarks/sqlite_writer.py FOLDER [--rows 0 100000 1500000] [--seconds 10]

A process begins, inserts two rows, commits and sleeps 5 ms, over and over: alone, beside dumps that follow one another,
and alone again; in the default journal mode and in WAL mode. FOLDER is made anew for each of them, and gets a lake
with so many rows of statistics (some 130 bytes each). Milliseconds of a transaction.
"""

import argparse
import multiprocessing
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
from contextlib import closing
from multiprocessing.synchronize import Event
from pathlib import Path

import duckdb

from dlbackup.engine.child import load

_ROWS = (
    "insert into ducklake_file_column_stats with recursive r(n) as (select 0 union all select n + 1 from r where n < ?)"
    " select n, 1, n % 10, 1000 + n % 977, 100, 0, 'value ' || n, 'value ' || (n + 99), 0, null from r"
)


def made(file: Path, journal: str, rows: int) -> None:
    """Make a lake in a SQLite file."""
    shutil.rmtree(file.parent, ignore_errors=True)
    file.parent.mkdir(parents=True)
    with duckdb.connect() as connection:
        for name in ("ducklake", "sqlite"):
            load(connection, name)
        connection.execute(f"attach 'ducklake:sqlite:{file}' as lake (data_path '{file.parent}/data/')")
        connection.execute("create table lake.t as select 42 as i; detach lake")
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"pragma journal_mode = {journal}")
        connection.execute("create table mine (i int)")
        if rows:
            connection.execute(_ROWS, [rows - 1])
        connection.commit()


def commit(file: Path, done: Event, took: "multiprocessing.Queue[list[float]]") -> None:
    """Commit until told to stop, and give the milliseconds of each transaction."""
    times = []
    with closing(sqlite3.connect(file, timeout=30, isolation_level=None)) as connection:
        while not done.is_set():
            begun = time.perf_counter()
            connection.execute("begin immediate")
            connection.execute("insert into mine values (1), (2)")
            connection.execute("commit")
            times.append((time.perf_counter() - begun) * 1000)
            time.sleep(0.005)
    took.put(times)


def measured(file: Path, seconds: float, *, dumping: bool) -> str:
    """Let somebody commit, beside dumps or alone, and say what that took."""
    done = multiprocessing.Event()
    took: multiprocessing.Queue[list[float]] = multiprocessing.Queue()
    writer = multiprocessing.Process(target=commit, args=(file, done, took))
    writer.start()
    until, dumps = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        if dumping:
            to = file.parent / f"{dumps}.sql.zst"
            command = [sys.executable, "-m", "dlbackup", "dump", str(file), "--output", str(to)]
            subprocess.run(command, check=True, capture_output=True)
            dumps += 1
        else:
            time.sleep(0.1)
    done.set()
    times = took.get()
    writer.join()
    cuts = statistics.quantiles(times, n=100)
    return f"{len(times):6} {dumps:5} {statistics.median(times):8.1f} {cuts[98]:8.1f} {max(times):8.1f}"


def main() -> None:
    """Print one line for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, nargs="+", default=[0, 100_000, 1_500_000])
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    file = options.folder.absolute() / "lake.sqlite"
    print(f"{'file':>9} {'journal':8} {'':7} commits dumps   median      99%  longest")
    for rows in options.rows:
        for journal in ("delete", "wal"):
            made(file, journal, rows)
            size = f"{file.stat().st_size / 1e6:.1f} MB"
            for way in ("alone", "beside", "alone"):
                print(f"{size:>9} {journal:8} {way:7} {measured(file, options.seconds, dumping=way == 'beside')}")


if __name__ == "__main__":
    main()
