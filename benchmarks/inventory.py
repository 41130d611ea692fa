"""
Fill a store with the records of many backups, list them and prune some, and print what each took.

    PYTHONPATH=tests python benchmarks/inventory.py [STORE] [--backups 2000] [--runs 5]

STORE is a folder that isn't there yet, or a URL of an empty place; without it a SeaweedFS is started for this.
The backups have a few bytes each: neither a list nor retention looks at more than their names, sizes and records.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from support.servers.seaweed import BUCKET, seaweed
from support.stores import add_backup

from dlbackup.stores.contract import Store
from dlbackup.stores.named import store_named

_AT_ONCE = 32
_REMOVED = (10, 100, 990)


@contextmanager
def place(name: str | None) -> Iterator[str]:
    if name is not None:
        yield name
        return
    with seaweed() as running:
        os.environ.update(running.environment())
        yield f"s3://{BUCKET}/inventory"


def fill(store: Store, count: int) -> None:
    """Put that many backups into a store, an hour apart, the newest of an hour ago."""
    now = datetime.now(UTC)
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        list(threads.map(lambda hours: add_backup(store, now - timedelta(hours=hours + 1)), range(count)))


def seconds(*words: str) -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "dlbackup", *words, "--quiet"], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", nargs="?")
    parser.add_argument("--backups", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    if options.backups <= sum(_REMOVED):
        parser.error(f"--backups: {sum(_REMOVED)} are pruned, so name more")
    with place(options.store) as name:
        if "://" not in name:
            Path(name).mkdir()
        fill(store_named(name), options.backups)
        report(name, options.backups, options.runs)


def report(name: str, count: int, runs: int) -> None:
    load = os.getloadavg()[0]
    listed = [seconds("list", name) for _ in range(runs)]
    planned = [seconds("prune", name, "--keep-last", "1") for _ in range(runs)]
    print(f"{count} backups, load {load:.1f} at the beginning\n")
    print("| command | backups there | seconds | ms for each that went |\n|---|---|---|---|")
    for what, taken in (("list", listed), ("prune, the plan alone", planned)):
        print(f"| {what} | {count} | {statistics.median(taken):.2f} ({min(taken):.2f}-{max(taken):.2f}) | |")
    for going in _REMOVED:
        policy = ("prune", name, "--keep-last", str(count - going))
        plan, took = min(seconds(*policy) for _ in range(runs)), seconds(*policy, "--yes")
        each = (took - plan) / going * 1000
        print(f"| prune of {going} | {count} | {took:.2f} (its plan alone: {plan:.2f}) | {each:.1f} |")
        count -= going


if __name__ == "__main__":
    main()
