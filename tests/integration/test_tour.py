"""docs/tour.md and docs/operations.md: every command of them, in their order, as a reader runs them."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from support.debian import unpacked
from support.engines.engines import engine_of
from support.servers.seaweed import BUCKET, Seaweed
from support.servers.servers import Server

from dlbackup.inventory import names

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"(?:<!-- (\w+) -->\n)?```sh\n(.+?)\n```", re.DOTALL)
_DAY = ("list", "pin", "prune", "drill", "metrics")
_ELSEWHERE = ("encrypt", "store")


def _blocks(page: str) -> list[tuple[str, str]]:
    """Return the commands of a page, block by block, each with its marker or an empty text."""
    return [(name, text) for name, text in _BLOCK.findall((ROOT / "docs" / page).read_text())]


def _named(page: str, name: str) -> str:
    (text,) = [text for marker, text in _blocks(page) if marker == name]
    return text


def _environment(server: Server) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    ours = {"PATH": path, "PGPASSWORD": server.password, "DLBACKUP_TEST_POSTGRES": server.url}
    return {**os.environ, **ours, "PYTEST_ADDOPTS": ""}


def _address(server: Server, url: str) -> str:
    return f"postgres:host={server.host} port={server.port} user={server.user} dbname={url.rpartition('/')[2]}"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An empty folder with what the pages say to install or to save there."""
    (tmp_path / "nightly.sh").write_text(_named("operations.md", "nightly") + "\n")
    (tmp_path / "old").symlink_to(engine_of("0.3").python.parents[1])
    yield tmp_path
    (tmp_path / "stop").touch()


def test_tour_goes_without_a_wrong_turn(server: Server, database: str, folder: Path) -> None:
    """A lake is backed up, lost, restored, migrated beside a writer and brought back by what the page says."""
    readme = (ROOT / "README.md").read_text()
    assert f"<!-- install-checkout -->\n```sh\n{_named('tour.md', 'install')}\n```" in readme  # run by test_wheel.py
    version = engine_of("0.3").version
    assert f"old/bin/pip install -q duckdb=={version} duckdb-extension-ducklake=={version}" in _named("tour.md", "old")
    script = [f"export LAKE={_address(server, database)!r}"]
    script += [text for marker, text in _blocks("tour.md") if marker not in ("install", "address", "old")]

    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(script)],
        cwd=folder,
        env=_environment(server),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout.splitlines()
    assert "exit 1" in said  # the schema was dropped
    assert "1001 9.5" in said
    assert "DuckDB 1.4 can't open it" in said
    assert said.count("1000") == 3  # made, read by the new program, and by the old one after the way back
    assert any(line.startswith("healthy: DuckLake 0.3") for line in said)
    assert re.fullmatch(r"1 passed in [\d.]+s", said[-1])
    assert server.password not in done.stdout + done.stderr


def _nightly(server: Server, address: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = ["sh", "nightly.sh", address, "backups"]
    return subprocess.run(command, cwd=folder, env=_environment(server), capture_output=True, text=True, timeout=120)


def _aged(backup: Path, time: datetime) -> Path:
    """Copy a backup and its record, as if it had been made at another time."""
    beside = backup.with_name(names.record_of(backup.name))
    name = re.sub(r"-\d{8}T\d{6}Z-", f"-{time:%Y%m%dT%H%M%SZ}-", backup.name)
    record = json.loads(beside.read_text())
    record |= {"backup": name, "created": f"{time:%Y-%m-%dT%H:%M:%SZ}"}
    backup.with_name(names.record_of(name)).write_text(json.dumps(record))
    shutil.copy(backup, backup.with_name(name))
    return backup.with_name(name)


def test_nightly_script_keeps_old_backups_until_a_new_one_is_proved(
    server: Server, database: str, folder: Path
) -> None:
    """Backups that are in no slot of the policy go when a new one was proved, and stay while there is none."""
    address = _address(server, database)
    (option,) = re.findall(r"```sql\n(CALL .+?);\n```", (ROOT / "docs/operations.md").read_text())
    statements = ["create table lake.t as select 1 as i", option]
    engine_of("1.0").run(database, None, statements, data_path=folder / "data")
    assert _nightly(server, address, folder).returncode == 0
    (first,) = (folder / "backups").glob("*.sql.zst")
    noon = datetime.now(UTC).replace(hour=12) - timedelta(days=40)
    oldest, old, newer = (_aged(first, noon + timedelta(hours=hours)) for hours in range(3))

    broken = _nightly(server, address + "_not_there", folder)
    assert broken.returncode != 0
    assert set((folder / "backups").glob("*.sql.zst")) == {first, oldest, old, newer}
    done = _nightly(server, address, folder)

    assert done.returncode == 0, done.stderr
    left = set((folder / "backups").glob("*.sql.zst"))
    assert {oldest, newer} < left
    assert old not in left
    (new,) = left - {first, oldest, newer}
    newest = _named("operations.md", "newest").replace("/backups/lake", str(folder / "backups"))
    assert subprocess.run(["sh", "-c", newest], capture_output=True, text=True, check=True).stdout == ""
    for path in (folder / "backups").glob("*.backup.json"):
        os.utime(path, (noon.timestamp(), noon.timestamp()))
    assert "no backup" in subprocess.run(["sh", "-c", newest], capture_output=True, text=True, check=True).stdout
    _day(server, address, folder, new)


def _day(server: Server, address: str, folder: Path, newest: Path) -> None:
    """Run what the page says of a day with a folder of backups, in that folder."""
    blocks = [_named("operations.md", name) for name in _DAY]
    script = [f"export LAKE={address!r}", *blocks]
    command = ["sh", "-euc", "\n".join(script).replace("/backups/lake", str(folder / "backups"))]
    command[-1] = command[-1].replace("/var/lib/prometheus/node-exporter", str(folder))
    done = subprocess.run(command, env=_environment(server), capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[1].startswith(newest.name)
    assert all(" whole" in line for line in said[1:3])
    assert "released: before-upgrade" in said
    assert any(": proven at " in line for line in said)
    assert re.search(r'state="proven"} [1-9]', (folder / "dlbackup.prom").read_text())
    assert any(re.fullmatch(r"\d backups kept, (none|\d) may go.*", line) for line in said)


def test_each_block_of_the_operations_page_is_run() -> None:
    """Every command that the page shows has a name, by which a test here runs it."""
    assert [name for name, _ in _blocks("operations.md")] == ["nightly", *_ELSEWHERE, "newest", *_DAY]


def test_encrypted_and_in_a_bucket(server: Server, database: str, weed: Seaweed, folder: Path) -> None:
    """What the page says of encryption and of object storage, to a migration whose backup is in the bucket."""
    engine_of("0.3").run(database, None, ["create table lake.t as select 1 as i"], data_path=folder / "data")
    environment = _environment(server) | weed.environment()
    environment["PATH"] += f":{unpacked('age-1.1', 'age')}/usr/bin"
    with server.database() as another:
        script = [f"export LAKE={_address(server, database)!r} ANOTHER={_address(server, another)!r}"]
        script += [_named("operations.md", name) for name in _ELSEWHERE]
        text = "\n".join(script).replace("/backups/lake", "backups").replace("s3://bucket", f"s3://{BUCKET}/tour")
        done = subprocess.run(
            ["sh", "-euc", text], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
        )

    assert done.returncode == 0, done.stdout + done.stderr
    assert [path.suffix for path in (folder / "backups").glob("*.sql.*")] == [".age"]
    assert len([None for one in weed.bucket().list("tour/lakes").collect() if one["path"].endswith(".sql.zst")]) == 2
    assert "AGE-SECRET-KEY" not in done.stdout + done.stderr


def test_examples_do_what_they_say(server: Server, database: str, folder: Path) -> None:
    """The commands of the systemd units and of the crontab, with their own variables, make a backup and its metrics."""
    engine_of("1.0").run(database, None, ["create table lake.t as select 1 as i"], data_path=folder / "data")
    (folder / "nightly.sh").chmod(0o755)
    given = {"ADDRESS": _address(server, database), "STORE": "backups", "TEXTFILES": str(folder)}
    units, crontab = ROOT / "examples/systemd", (ROOT / "examples/crontab").read_text()
    lines = [
        re.sub(r"\$\{(\w+)\}", r'"${\1}"', *re.findall(r"^ExecStart=(?:/usr/local/bin/)?(.+)", text, re.MULTILINE))
        for text in ((units / name).read_text() for name in ("dlbackup@.service", "dlbackup-metrics.service"))
    ]
    jobs = re.findall(r"^[\d*/]+ \S+ \* \* \*\s+(.+)", crontab, re.MULTILINE)
    assert len(jobs) == 2
    assert set(re.findall(r"^(\w+)=", crontab, re.MULTILINE)) == {*given, "PATH"}

    for job in (*lines, *jobs):
        environment = {**_environment(server), **given, "HOME": str(folder)}
        environment["PATH"] += f":{folder}"
        done = subprocess.run(
            ["sh", "-euc", job], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done

    assert len(list((folder / "backups").glob("*.sql.zst"))) == 2
    assert 'dlbackup_backups{catalog="' in (folder / "dlbackup.prom").read_text()
    for timer in ("dlbackup@.timer", "dlbackup-metrics.timer"):
        assert (units / timer.replace(".timer", ".service")).exists()
        assert "OnCalendar=" in (units / timer).read_text()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd to read the units")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """It knows all that stands in them, and when their timers go off; the programs that they start are elsewhere."""
    for unit in (ROOT / "examples/systemd").iterdir():
        text = re.sub(r"^(ExecStart=)\S+", r"\1/bin/true", unit.read_text(), flags=re.MULTILINE)
        (tmp_path / unit.name.replace("@", "@lake")).write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", *tmp_path.iterdir()], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_nightly_script_fails_for_a_damaged_catalog(server: Server, database: str, folder: Path) -> None:
    """The backup is made and kept, and the exit code is that of `check`."""
    engine_of("1.0").run(database, None, ["create table lake.t as select 1 as i"], data_path=folder / "data")
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("update ducklake_table set schema_id = 77")

    done = _nightly(server, _address(server, database), folder)

    assert done.returncode == 3, done.stdout + done.stderr
    assert len(list((folder / "backups").glob("*.sql.zst"))) == 1
