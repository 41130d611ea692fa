"""Everything at once: writers that come back whenever they are ended, dumps in a loop, migrations that fail and that
succeed. `--kill-points N` goes N rounds.
"""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.cli import Cli, Finished
from support.engines.engines import engine_of
from support.faults.faults import engine_that, nothing_left, one
from support.faults.writers import writer
from support.lakes.lakes import LakeFactory

_ROUNDS = 1
_WRITERS = 4
_WORDS = ("--no-rehearsal", "--json", "--terminate-clients")


def test_no_acknowledged_row_is_lost_or_doubled(
    lake: LakeFactory, cli: Cli, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Beside four writers, dumps and migrations that fail, are undone and succeed lose no row and double none."""
    made = lake("plain", "0.3")
    failing = [
        (engine_that(tmp_path, before="os.abort()"), 5, "unchanged"),
        (engine_that(tmp_path, after="os.abort()"), 6, "rolled-back"),
    ]
    with ExitStack() as stack:
        running = [
            stack.enter_context(writer(engine_of("0.3"), made.url, table=f"w{number}", pause_s=0.05))
            for number in range(_WRITERS)
        ]
        for _ in range(pytestconfig.getoption("--kill-points") or _ROUNDS):
            for engine, exit_code, outcome in failing:
                for one_of_them in running:
                    one_of_them.wait_for(2)
                backup = cli("dump", made.url, "--json")
                assert backup.exit_code == 0, backup.stderr
                checked = cli("check", backup.json()["path"], "--json")
                assert checked.exit_code == 0, checked.stdout
                done = cli("migrate", made.url, *_WORDS, "--engine", engine)
                assert (done.exit_code, done.json()["outcome"]) == (exit_code, outcome), done.stderr
        for one_of_them in running:
            one_of_them.wait_for(2)
        done = cli("migrate", made.url, *_WORDS)
        assert done.exit_code == 0, done.stderr
        acknowledged = {f"w{number}": set(one_of_them.acknowledged) for number, one_of_them in enumerate(running)}

    tables = list(acknowledged)
    rows = engine_of("1.0").run(made.url, None, [f"select i from lake.{table}" for table in tables])
    for table, found in zip(tables, rows, strict=True):
        counts = Counter(row[0] for row in found)
        assert acknowledged[table] <= set(counts)
        assert set(counts.values()) == {1}


def test_five_migrators_at_once_migrate_once(lake: LakeFactory, cli: Cli) -> None:
    """Of five migrations begun together one migrates; the others are refused, or find nothing left to do."""
    made = lake("plain", "0.3")

    def migrate(_: int) -> Finished:
        return cli("migrate", made.url, "--json", "--no-rehearsal")

    with ThreadPoolExecutor(5) as pool:
        ends = list(pool.map(migrate, range(5)))

    outcomes = Counter(done.json().get("outcome", done.json().get("error", {}).get("type")) for done in ends)
    assert outcomes["migrated"] == 1
    assert outcomes.keys() <= {"migrated", "current", "MigratorRuns", "CatalogError"}, outcomes
    assert one(made.url, "select value from ducklake_metadata where key = 'version'") == "1.0"
    nothing_left(made)
