"""Old and new clients that write and reconnect while their catalog is migrated and rolled back, again and again."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from support.cli import Cli
from support.comparison import execute
from support.engines.engines import Engine, EngineError, engine_of
from support.faults.writers import attached
from support.servers.postgres import Server
from support.waiting import wait_until

_ROLLBACKS = 1
"""`--kill-points 10` makes ten."""
_SNAPSHOTS = 30
"""How many are read, at most, each time."""
_TEXTS = ("plain", r"C:\101dir", r"\x4142", r"a\\b", "Zoë", "it's", "tab\tline\nend", "")
_INLINING = {"DATA_INLINING_ROW_LIMIT": 10}
_numbers = itertools.count(1)


class _Writer:
    """A client that inserts one numbered row after the other, whatever it is told, and keeps what was acknowledged."""

    def __init__(self, engine: Engine, url: str, held: ExitStack) -> None:
        self.acknowledged: dict[int, str] = {}
        self.refused: list[str] = []
        self._client = held.enter_context(attached(engine, url, options=_INLINING))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)
        held.callback(self.stop)
        self._thread.start()

    def stop(self) -> None:
        """Let the row that is being inserted be the last."""
        self._stop.set()
        self._thread.join()

    def _write(self) -> None:
        while not self._stop.wait(0.05):
            number = next(_numbers)
            text = _TEXTS[number % len(_TEXTS)]
            quoted = text.replace("'", "''")
            try:
                self._client.say(f"insert into lake.w values ({number}, '{quoted}', timestamp '2020-01-02 03:04:05')")
            except EngineError as error:
                self.refused.append(str(error))
            else:
                self.acknowledged[number] = text

    def wait_for_more(self) -> None:
        """Wait until two more rows are acknowledged."""
        wanted = len(self.acknowledged) + 2
        wait_until(lambda: len(self.acknowledged) >= wanted)


@contextmanager
def _lake(server: Server, folder: Path) -> Iterator[str]:
    with server.database() as url:
        statements = [
            "create table lake.w (k integer, v varchar, t timestamp)",
            "insert into lake.w values (0, '', null)",
        ]
        engine_of("0.3").run(url, None, statements, data_path=folder, options=_INLINING)
        yield url


def _read(url: str, spec: str) -> dict[int, str]:
    """Return what a client that attaches now reads; check that each snapshot shows what the next one does, or less."""
    snapshots = [row[0] for row in execute(url, "select snapshot_id from ducklake_snapshot order by 1")][2:]
    snapshots = snapshots[:: len(snapshots) // _SNAPSHOTS + 1]
    places = [f"lake.w at (version => {snapshot})" for snapshot in snapshots]
    queries = [f"select k, v from {place} where t is not null" for place in [*places, "lake.w"]]
    shown: list[dict[int, str]] = [dict(rows) for rows in engine_of(spec).run(url, None, queries)]
    for earlier, later in itertools.pairwise(shown):
        assert earlier.items() <= later.items()
    return shown[-1]


def _acknowledged(writers: list[_Writer]) -> dict[int, str]:
    return {number: text for writer in writers for number, text in list(writer.acknowledged.items())}


@pytest.mark.long
def test_what_is_acknowledged_reads_as_written_through_migrations_and_rollbacks(
    server: Server, cli: Cli, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """
    Each row that any client was told is committed is there as written, unless a rollback took it back by choice.

    Those are rows that newer clients committed between a migration and its rollback. All clients stay attached to the
    end, are ended again and again, and reconnect.
    """
    rollbacks = pytestconfig.getoption("--kill-points") or _ROLLBACKS
    back = ["--replace", "--drop-replaced", "--discard-newer", "--terminate-clients", "--bar-stale-clients"]
    forth = ["--backup-dir", str(tmp_path), "--terminate-clients", "--bar-stale-clients", "--no-rehearsal", "--json"]
    older: list[_Writer] = []
    newer: list[_Writer] = []
    with _lake(server, tmp_path / "data") as url, ExitStack() as held:
        for number in range(rollbacks + 1):
            older.append(_Writer(engine_of("0.3"), url, held))
            for writer in (older[0], older[-1]):
                writer.wait_for_more()
            taken_back, expected = _acknowledged(newer), _acknowledged(older)
            read = _read(url, "0.3")
            assert expected.items() <= read.items()
            assert not taken_back.keys() & read.keys()

            migrated = cli("migrate", url, *forth)
            assert migrated.exit_code == 0, migrated.stderr
            newer.append(_Writer(engine_of("1.0"), url, held))
            for writer in (newer[0], newer[-1]):
                writer.wait_for_more()
            expected = _acknowledged(older + newer)
            read = _read(url, "1.0")
            assert {
                number: text for number, text in expected.items() if number not in taken_back
            }.items() <= read.items()
            if number < rollbacks:
                restored = cli("restore", migrated.json()["backup"], url, *back)
                assert restored.exit_code == 0, restored.stderr
        assert cli("check", url).exit_code == 0
