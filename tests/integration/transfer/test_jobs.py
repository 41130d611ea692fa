"""Dumps by several processes: the same bytes, one snapshot, and nothing left when a helper is lost."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
import zstandard
from support.comparison import contents, execute, server_digests
from support.faults.faults import new_role
from support.lakes.lakes import Lake, LakeFactory
from support.servers.postgres import Server

from dlbackup import dump, restore, verify
from dlbackup.errors import CatalogError
from dlbackup.runtime.progress import Event

STATISTICS = "ducklake_file_column_stats"
_MANY = f"""
    insert into {STATISTICS} (data_file_id, table_id, column_id, min_value, max_value)
    select 1000000 + n / 10, 1, n % 10, case n % 4 when 0 then 'it''s' when 1 then E'),(\\n' end, n::text
    from generate_series(1, 30000) n
"""
_INLINED = """
    create table ducklake_inlined_data_1_77 (row_id bigint, begin_snapshot bigint, end_snapshot bigint, f real, t text);
    insert into ducklake_inlined_data_1_77 select n, 1, null, n / 7.0, repeat('x', 100) from generate_series(1, 20000) n
"""


@pytest.fixture
def large(lake: LakeFactory, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the URL of a lake with two tables that are divided into many pieces."""
    monkeypatch.setattr("dlbackup.transfer.dumping.PIECE_PAGES", 16)
    monkeypatch.setattr("dlbackup.transfer.dumping.PIECES_A_HELPER", 1)
    monkeypatch.setattr("dlbackup.runtime.progress.REPORT_S", 0.0)  # so that every piece is heard of
    made = lake("plain", "0.3")
    execute(made.url, _MANY, _INLINED)
    return made.url


def test_snapshot_that_nobody_may_join_is_read_by_one_process(plain: Lake, large: str, tmp_path: Path) -> None:
    """Where pg_export_snapshot is withheld, one process makes the same backup, and says so."""
    said: list[str] = []
    with new_role(replace(plain, url=large), "secret-9", owner=True) as url:
        several = dump(large, tmp_path / "several.zst", jobs=3)
        execute(large, "revoke execute on function pg_export_snapshot() from public")
        alone = dump(url, tmp_path / "alone.zst", jobs=3, on_event=lambda event: said.append(event.message))

    assert [text for text in said if "pg_export_snapshot" in text]
    assert _statements(Path(alone.path)) == _statements(Path(several.path))
    assert verify(alone.path).ok


def _statements(path: Path) -> bytes:
    """Return a backup's text without its header and manifest, which say when it was made."""
    with path.open("rb") as file:
        text = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True).read()
    return text.split(b"\n", 2)[2].rpartition(b"-- dlbackup manifest\n")[0]


def test_the_same_bytes_come_out_whatever_the_number_of_jobs(large: str, server: Server, tmp_path: Path) -> None:
    """One and three processes write the same statements and frames, which verify and hold the server's rows."""
    made = {jobs: dump(large, tmp_path / f"{jobs}.sql.zst", jobs=jobs) for jobs in (1, 3)}

    assert len({_statements(tmp_path / f"{jobs}.sql.zst") for jobs in made}) == 1
    assert len({backup.fingerprint for backup in made.values()}) == 1
    assert contents(made[1].path) == contents(made[3].path)
    assert all(verify(backup.path).ok for backup in made.values())
    with server.database() as empty:
        restore(made[3].path, empty)
        assert server_digests(empty) == server_digests(large)


def test_helpers_read_the_snapshot_of_the_first_session(large: str, tmp_path: Path) -> None:
    """What is committed while pieces are read is in none of them."""
    before = dump(large, tmp_path / "before.sql.zst", jobs=1)
    done: list[str] = []

    def disturb(event: Event) -> None:
        if event.done and not done:
            done.append(event.message)
            execute(large, f"delete from {STATISTICS} where column_id = 3", _MANY, f"vacuum {STATISTICS}")

    during = dump(large, tmp_path / "during.sql.zst", jobs=3, on_event=disturb)

    assert done
    assert contents(during.path) == contents(before.path)


def test_a_rewritten_table_is_read_again(large: str, tmp_path: Path) -> None:
    """A table that is rewritten while its pieces are read makes the dump begin again, and end whole."""
    done: list[str] = []

    def disturb(event: Event) -> None:
        if event.done and not done:
            done.append(event.message)
            execute(large, f"alter table {STATISTICS} alter column column_id type bigint using column_id + 1")

    found = dump(large, tmp_path / "x.sql.zst", jobs=2, on_event=disturb)

    assert done
    assert contents(found.path) == contents(dump(large, tmp_path / "y.sql.zst", jobs=1).path)


def test_a_role_with_one_connection_dumps_alone(large: str, server: Server, tmp_path: Path) -> None:
    """Helpers that get no connection are done without."""
    execute(large, "create role single superuser login password 'a-pass-word' connection limit 1")
    try:
        alone = large.replace(f"//{server.user}:{server.password}@", "//single:a-pass-word@")
        assert contents(dump(alone, tmp_path / "x.sql.zst", jobs=4).path)[STATISTICS][1].count > 30000
    finally:
        execute(large, "drop role single")


def test_a_lost_helper_leaves_nothing_half_made(large: str, tmp_path: Path) -> None:
    """When the server ends a helper's session the dump fails with a clear error, or was done before."""

    def ended_by(event: Event) -> None:
        if event.done:
            execute(
                large,
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'dlbackup'"
                " and query like 'COPY%' and xact_start > (select min(xact_start) from pg_stat_activity"
                " where application_name = 'dlbackup')",
            )

    _dump_or_fail(large, tmp_path, ended_by)

    assert [path.suffix for path in tmp_path.iterdir()] in ([], [".zst"])
    with psycopg.connect(large) as session:
        left = session.execute("select count(*) from pg_stat_activity where application_name = 'dlbackup'").fetchone()
    assert left == (0,)


def _dump_or_fail(url: str, folder: Path, on_event: Callable[[Event], None]) -> None:
    try:
        assert verify(dump(url, folder / "x.sql.zst", jobs=3, on_event=on_event).path).ok
    except CatalogError as exc:
        assert "connection" in exc.message
