"""
Compare the time that dump and restore say remains with the time that did remain.

    python benchmarks/remaining_time.py DATABASE [--runs 3]

libpq's environment says where the server is; the scratch database `<DATABASE>_restored` is made and dropped here.
What is said before a tenth of the time has passed, or with less than a second to go, does not count.
"""

import argparse
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import dlbackup
from dlbackup.runtime.progress import Event

A_TENTH = 0.1
LEAST_S = 1.0
"""Less than that is not worth being right about."""


def told(job: Callable[..., object]) -> list[tuple[str, float, float]]:
    """Run a job; return stage, seconds said and seconds left, of each event that says how long it will take."""
    said: list[tuple[str, float, float]] = []
    begun = time.monotonic()

    def listen(event: Event) -> None:
        if event.remaining_s is not None:
            said.append((event.stage, event.remaining_s, time.monotonic() - begun))

    job(on_event=listen)
    took = time.monotonic() - begun
    return [(stage, s, took - at) for stage, s, at in said if at >= A_TENTH * took and took - at >= LEAST_S]


def report(name: str, figures: list[tuple[str, float, float]]) -> None:
    for stage in dict.fromkeys(stage for stage, _, _ in figures):
        ratios = sorted(s / left for at, s, left in figures if at == stage)
        outside = sum(not 1 / 1.5 <= ratio <= 1.5 for ratio in ratios)
        middle = ratios[len(ratios) // 2]
        print(
            f"{name}, {stage}: {len(ratios)} figures, {outside} outside a factor of 1.5;"
            f" said / left {ratios[0]:.2f} to {ratios[-1]:.2f}, median {middle:.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("database")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    source, target = f"postgres:dbname={options.database}", f"{options.database}_restored"
    figures: dict[str, list[tuple[str, float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.runs):
            path = Path(folder) / f"{number}.sql.zst"
            figures.setdefault("dump", []).extend(told(partial(dlbackup.dump, source, path)))
            for read_back in (True, False):
                for sql in (f"drop database if exists {target}", f"create database {target}"):
                    subprocess.run(["psql", "-qX", "-d", "postgres", "-c", sql], check=True, stderr=subprocess.DEVNULL)
                job = partial(
                    dlbackup.restore, path, f"postgres:dbname={target}", dlbackup.RestoreOptions(read_back=read_back)
                )
                figures.setdefault(f"restore, read_back={read_back}", []).extend(told(job))
    for name, found in figures.items():
        report(name, found)


if __name__ == "__main__":
    main()
