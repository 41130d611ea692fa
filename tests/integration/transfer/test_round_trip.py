"""What is dumped and restored is what was there: definitions, rows, and the lake as engines see it."""

from pathlib import Path

import pytest
from support.comparison import contents, dumped, psql_restore, schema_lines, server_digests
from support.lakes.lakes import LakeFactory, LakeKind, Lakes, hash_lake
from support.longer import long
from support.servers.servers import Server, Servers, middle_major

from dlbackup import dump, restore, verify

EVERY_LAKE = [
    *(long("plain", spec) for spec in ("0.2", "0.3", "0.4", "1.0")),
    *(long("inlined", "0.3"), long("inlined", "0.4"), ("inlined", "1.0")),
    *(("zoo", spec) for spec in ("0.2", "0.3", "0.4", "1.0")),
]
"""The zoos have what the plain lakes have."""
# DuckDB 1.5 writes intervals in a form that PostgreSQL 14 refuses, so no inlined lake of 1.0.
ON_EVERY_MAJOR = [("inlined", "0.3"), long("plain", "1.0")]


def _goes_round(made_url: str, server: Server, folder: Path) -> None:
    backup = dump(made_url, folder)
    digests, lines, made = server_digests(made_url), schema_lines(server, made_url), dumped(made_url, folder)
    report = verify(backup)

    with server.database() as restored, server.database() as replayed:
        restore(backup.path, restored)
        psql_restore(server, replayed, backup.path)

        assert (report.ok, report.findings) == (True, ())
        for url in (restored, replayed):
            assert dumped(url, folder) == made
            assert server_digests(url) == digests
            assert schema_lines(server, url) == lines


@pytest.mark.parametrize(("kind", "spec"), EVERY_LAKE)
def test_restored_catalog_is_the_dumped_one(
    lake: LakeFactory, server: Server, tmp_path: Path, kind: LakeKind, spec: str
) -> None:
    """Every lake of every spec comes back by restore and by psql, equal for dlbackup, pg_dump and the server."""
    _goes_round(lake(kind, spec).url, server, tmp_path)


@pytest.mark.every_major
@pytest.mark.parametrize(("kind", "spec"), ON_EVERY_MAJOR)
def test_restored_catalog_is_the_dumped_one_on_every_major(
    lake: LakeFactory, server: Server, tmp_path: Path, kind: LakeKind, spec: str
) -> None:
    """Catalogs come back the same way on every PostgreSQL version."""
    _goes_round(lake(kind, spec).url, server, tmp_path)


@pytest.mark.parametrize(
    ("kind", "spec", "at"),
    [
        ("plain", "0.2", [9, 14, 17, "last"]),
        long("plain", "0.3", [9, 14, 17, "last"]),
        long("inlined", "0.3", ["last"]),
        ("inlined", "1.0", ["last"]),
    ],
)
def test_engine_reads_the_same_lake(
    lake: LakeFactory, server: Server, tmp_path: Path, kind: LakeKind, spec: str, at: list[int | str]
) -> None:
    """The engine of its own version reads each table of a restored lake as in the original, old snapshots included."""
    made = lake(kind, spec)

    with server.database() as url:
        restore(dump(made.url, tmp_path).path, url)

        tables = hash_lake(made.engine, made.url, made.schema, at=at)
        assert len(tables) > 2 * len(at)
        assert hash_lake(made.engine, url, made.schema, at=at) == tables


@pytest.mark.every_major
def test_backup_crosses_major_versions(lakes: Lakes, servers: Servers, server: Server, tmp_path: Path) -> None:
    """A backup of one PostgreSQL version restores on older and newer ones, with the same definitions and rows."""
    with lakes.copy("inlined", "1.0", servers[middle_major()], "public") as made, server.database() as url:
        backup = dump(made.url, tmp_path)
        restore(backup.path, url)

        assert dumped(url, tmp_path) == contents(backup.path)
        assert server_digests(url) == server_digests(made.url)
