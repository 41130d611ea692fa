"""
What `list --catalog` says of a backup's files is what their folder holds, while real engines clean up.

A lake is changed, compacted, expired and cleaned up after backups were made; at each moment `list` asks the catalog,
`verify --data-files` looks at the files themselves, and at the end an engine reads what was restored.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import psycopg
import pytest
from support.engines.engines import Engine, engine_of, with_sqlite
from support.lakes.in_files import Hashes
from support.lakes.lakes import hash_lake
from support.servers.postgres import Server

import dlbackup

_FILES = (
    "create table lake.t as select range as i, 'x' as s from range(100)",
    *(f"insert into lake.t select range, 'y' from range({100 * n}, {100 * n + 100})" for n in range(1, 5)),
    "delete from lake.t where i = 150",
)
_MORE = (
    "insert into lake.t select range, 'z' from range(500, 600)",
    "update lake.t set s = 'changed' where i between 240 and 260",
    "delete from lake.t where i % 50 = 7",
    "create table lake.u as select i, s from lake.t where i > 300",
)
_LATER = (
    "insert into lake.t select range, 'later' from range(1000, 1100)",
    "delete from lake.t where i = 1020",
    "drop table lake.u",
)
_DELETED_AGAIN = "delete from lake.t where i = 20"
_COMPACTED = "call ducklake_merge_adjacent_files('lake')"
_EXPIRED = "call ducklake_expire_snapshots('lake', older_than => timestamptz '2099-01-01 00:00:00+00')"
_CLEANED = "call ducklake_cleanup_old_files('lake', older_than => timestamptz '2099-01-01 00:00:00+00')"


@dataclass(frozen=True)
class _Lake:
    engine: Engine
    url: str
    schema: str
    folder: Path
    scratch: Callable[[], AbstractContextManager[str]]
    """Yields the address of an empty place for another catalog of its kind."""

    def run(self, *statements: str) -> None:
        # What has a time zone in its answer needs a module that the engines' Python lacks.
        shown = [
            f"create temp table shown_{n} as from {text[5:]}" if text[:5].lower() == "call " else text
            for n, text in enumerate(statements)
        ]
        options = {} if self.engine.spec == "0.2" else {"DATA_INLINING_ROW_LIMIT": 0}
        self.engine.run(self.url, self.schema, shown, data_path=self.folder / "data", options=options)

    def execute(self, statement: str) -> None:
        """Change the catalog itself; `{s}` is its schema."""
        if self.url.startswith("sqlite:"):
            with closing(sqlite3.connect(self.url.removeprefix("sqlite:"), isolation_level=None)) as connection:
                connection.execute(statement.format(s=self.schema))
            return
        with psycopg.connect(self.url) if "://" in self.url else duckdb.connect(self.url) as place:
            place.execute(statement.format(s=self.schema))

    def backup(self) -> str:
        path = dlbackup.dump(self.url, f"{self.folder}/backups/").path
        return Path(path).name

    def read(self) -> Hashes:
        """Read all tables at every snapshot."""
        return hash_lake(self.engine, self.url, self.schema, None)

    def restored(self, name: str) -> Hashes:
        """Restore a backup into a place of its own, and read that."""
        with self.scratch() as url:
            dlbackup.restore(self.folder / "backups" / name, url)
            return hash_lake(self.engine, url, self.schema, None)

    def listed(self) -> dlbackup.Inventory:
        """List, and hold what it says against the files themselves."""
        found = dlbackup.backups(self.folder / "backups", catalog=self.url)
        for one in found.backups:
            files = dlbackup.verify(self.folder / "backups" / one.name, data_files=True)
            assert files.ok == (one.files in ("whole", "at-risk")), (one, files.findings)
        return found

    def states(self) -> list[str]:
        """Return the states of the backups, the oldest first."""
        return [one.files for one in reversed(self.listed().backups)]


_BY_DEFAULT = ("1.0 in a file",)
_WITH_LONG = (
    "0.2",
    "0.3",
    "0.4",
    "1.0",
    "0.3 in a file",
    "0.4 in a file",
    "0.3 in sqlite",
    "0.4 in sqlite",
    "1.0 in sqlite",
)


@pytest.fixture(params=[*_BY_DEFAULT, *(pytest.param(one, marks=pytest.mark.long) for one in _WITH_LONG)])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[_Lake]:
    """A new lake, on PostgreSQL or in a file, by the engine of one version."""
    spec, _, place = request.param.partition(" in ")
    engine = engine_of(spec)
    if not place:
        server: Server = request.getfixturevalue("server")
        with server.database() as url:
            yield _Lake(engine, url, "public", tmp_path, server.database)
        return
    begin, ending = ("sqlite:", "sqlite") if place == "sqlite" else ("", "ducklake")

    @contextmanager
    def scratch() -> Iterator[str]:
        restored = tmp_path / f"restored.{ending}"
        yield f"{begin}{restored}"
        restored.unlink()

    if place == "sqlite":
        engine = with_sqlite(engine)
    yield _Lake(engine, f"{begin}{tmp_path}/lake.{ending}", "main", tmp_path, scratch)


def test_the_horizon_is_what_the_folder_holds(lake: _Lake) -> None:
    """
    Whole until the lake is compacted and its snapshots expire; at risk until the clean-up; broken after it.

    The call that `list` prints deletes nothing that a backup needs; the one that takes all that is scheduled does. What
    is whole, or at risk still, is restored into a lake whose every snapshot reads as when the backup was made.
    """
    lake.run(*_FILES)
    first, at_first = lake.backup(), lake.read()
    lake.run("insert into lake.t select range, 'z' from range(500, 600)")
    lake.backup()
    assert lake.states() == ["whole", "whole"]

    lake.run(_COMPACTED, _EXPIRED)
    at_risk = lake.listed()
    assert [one.files for one in at_risk.backups] == ["at-risk", "at-risk"]
    for one in at_risk.backups:
        until = datetime.fromisoformat(one.at_risk_until or "")
        assert timedelta(days=1, hours=23) < until - datetime.now(UTC) <= timedelta(days=2)
        assert one.files_at_risk >= 4  # all but the one with deletes
    # Down to the second, however late in it they were scheduled: never later than the clean-up may take them.
    lake.execute("update {s}.ducklake_files_scheduled_for_deletion set schedule_start = '2099-01-01 12:00:00.9+00'")
    late = lake.listed()
    assert {one.at_risk_until for one in late.backups} == {"2099-01-03T12:00:00Z"}
    lake.execute("update {s}.ducklake_files_scheduled_for_deletion set schedule_start = current_timestamp")

    assert at_risk.cleanup_call is not None
    lake.run(at_risk.cleanup_call)
    assert lake.states() == ["at-risk", "at-risk"]
    assert lake.restored(first) == at_first
    lake.run(*_MORE)
    last, at_last = lake.backup(), lake.read()

    lake.run(*_LATER, _CLEANED)
    assert lake.states() == ["broken", "broken", "whole"]
    as_recorded = dlbackup.backups(lake.folder / "backups").backups
    assert [one.files for one in reversed(as_recorded)] == ["at-risk", "at-risk", "whole"]
    assert {one.files_as_of for one in as_recorded} == {as_recorded[0].created}
    assert lake.restored(last) == at_last
    assert len({snapshot for snapshot, _, _ in at_last}) >= len(_MORE)
    assert lake.restored(first) != at_first

    # Deletes of 1.5 replace the file with the earlier ones, and put that on the list: no maintenance is needed for it.
    lake.run(_DELETED_AGAIN)
    assert lake.states()[-1] == ("at-risk" if lake.engine.spec in ("0.4", "1.0") else "whole")
    assert lake.restored(last) == at_last

    decided = dlbackup.prune(lake.folder / "backups", dlbackup.Policy(last=3), catalog=lake.url)
    assert [one.reasons for one in decided.remove] == [("its data files are gone",)] * 2
    assert first in [one.name for one in decided.remove]
