"""The way back that `migrate`, `restore` and a failed undo print is pasted into a shell, and leads back."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.cli import Cli
from support.comparison import execute
from support.engines.engines import Engine
from support.faults.faults import engine_that, failed, new_role, sql_commits, state
from support.lakes.lakes import Lake, LakeFactory

from dlbackup.addresses.address import parse_address

_ODD = 'it\'s "q" $HOME'


@pytest.fixture
def shell(tmp_path_factory: pytest.TempPathFactory, plain: Lake) -> "Shell":
    """A shell in another folder than the test's, with `dlbackup` on its path and the password in its environment."""
    folder = tmp_path_factory.mktemp("shell")
    program = folder / "dlbackup"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m dlbackup "$@"\n')
    program.chmod(0o755)
    return Shell(folder, plain.server.password)


class Shell:
    """Takes what a person pastes; a call runs one command."""

    def __init__(self, folder: Path, password: str) -> None:
        self._folder = folder
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        self._env = {**inherited, "PATH": f"{folder}:{os.environ['PATH']}", "PGPASSWORD": password}

    def __call__(self, command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        return subprocess.run(
            ["sh", "-c", command], cwd=self._folder, env=self._env, capture_output=True, text=True, timeout=120
        )


def _migrate(cli: Cli, made: Lake, *words: str | Path) -> dict[str, Any]:
    done = cli("migrate", made.url, "--metadata-schema", made.schema, "--no-rehearsal", "--json", *words)
    assert done.exit_code == 0, done.stderr
    return dict(done.json())


def _options(command: str) -> set[str]:
    words = shlex.split(command.partition(" | ")[2] or command)
    return {word for word in words if word.startswith("--")} - {"--metadata-schema"}


def _password_is_hidden(made: Lake, text: str) -> None:
    assert parse_address(made.url).parameters["password"] not in text


def test_the_way_back_from_a_migration(plain: Lake, cli: Cli, shell: Shell) -> None:
    """Standard output has the whole command; pasted elsewhere, it brings the catalog back."""
    before = state(plain.url)
    done = cli("migrate", plain.url, "--no-rehearsal")
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("the way back: ")]
    command = line.removeprefix("the way back: ")
    _password_is_hidden(plain, done.stdout + done.stderr)
    assert f"it loses the commits after snapshot {before[0].snapshot_id}: none so far" in done.stdout
    assert "PGPASSWORD" in done.stdout
    assert _options(command) == {"--replace"}

    pasted = shell(command)

    assert pasted.returncode == 0, pasted
    assert state(plain.url) == before


@pytest.mark.parametrize("schema", [_ODD, pytest.param("tenant_a", marks=pytest.mark.long)])
def test_odd_names_survive_the_shell(lake: LakeFactory, cli: Cli, shell: Shell, tmp_path: Path, schema: str) -> None:
    """Schema, folder and address are quoted; of several catalogs in a database the right one is meant."""
    made = lake("plain", "0.3", schema=schema)
    assert cli("dump", made.url, "-o", "copy.zst").exit_code == 0
    assert cli("restore", "copy.zst", made.url, "--metadata-schema", "other").exit_code == 0
    before, other = state(made.url, schema), state(made.url, "other")
    keywords = " ".join(f"{key}='{value}'" for key, value in parse_address(made.url).parameters.items())
    address = f"postgres:{keywords} application_name='it''s'".replace("''s", "\\'s")

    done = cli(
        "migrate", address, "--metadata-schema", schema, "--no-rehearsal", "--json", "--backup-dir", f"{_ODD} new/"
    )
    assert done.exit_code == 0, done
    pasted = shell(done.json()["way_back"]["command"])

    assert pasted.returncode == 0, pasted
    assert state(made.url, schema) == before
    assert state(made.url, "other") == other


@pytest.mark.long
def test_what_is_committed_since_must_be_named(plain: Lake, newest: Engine, cli: Cli, shell: Shell) -> None:
    """The command that was printed before a commit doesn't take it away; its words name the option that would."""
    before = state(plain.url)
    way = _migrate(cli, plain)["way_back"]
    newest.run(plain.url, None, ["insert into lake.sales.customers values (500, 'new')"])

    refused = shell(way["command"])

    assert refused.returncode == 4
    assert "those would be lost" in refused.stderr
    assert "--discard-newer" in way["loses"]
    assert shell(f"{way['command']} --discard-newer").returncode == 0
    assert state(plain.url) == before


@pytest.fixture
def client(plain: Lake) -> Iterator[psycopg.Connection]:
    """A session that stays connected."""
    with psycopg.connect(plain.url, autocommit=True, application_name="their app") as session:
        yield session


def test_who_is_connected_would_be_in_the_way(plain: Lake, cli: Cli, shell: Shell, client: psycopg.Connection) -> None:
    """While others are connected a restore is refused, so the command ends them; with bars, it leaves bars."""
    before = state(plain.url)
    way = _migrate(cli, plain, "--ignore-clients", "--bar-stale-clients")["way_back"]
    assert _options(way["command"]) == {"--replace", "--terminate-clients", "--bar-stale-clients"}

    pasted = shell(way["command"])

    assert pasted.returncode == 0, pasted
    with pytest.raises(psycopg.OperationalError):
        client.execute("select 1")
    assert state(plain.url)[0].versions == before[0].versions
    assert cli("unbar", plain.url, "--json").json()["removed"]


def test_who_may_not_end_them_goes_on_beside_them(
    plain: Lake, cli: Cli, shell: Shell, client: psycopg.Connection
) -> None:
    """A role that may not end the others' sessions gets the option that it may use, and the command works."""
    with new_role(plain, plain.server.password, owner=True) as url:
        before = state(plain.url)
        done = cli("migrate", url, "--no-rehearsal", "--ignore-clients", "--json")
        assert done.exit_code == 0, done
        way = done.json()["way_back"]
        assert _options(way["command"]) == {"--replace", "--ignore-clients"}

        pasted = shell(way["command"])

        assert pasted.returncode == 0, pasted
        assert state(plain.url) == before
    assert client.execute("select 1").fetchone() == (1,)


@pytest.mark.long
def test_data_files_that_are_gone_must_be_named(plain: Lake, cli: Cli, shell: Shell) -> None:
    """Where data files are missing, a restore is refused unless that is accepted, so the command accepts it."""
    execute(plain.url, "update ducklake_metadata set value = '/no/such/folder/' where key = 'data_path'")
    before = state(plain.url)
    done = cli("migrate", plain.url, "--no-rehearsal", "--json")
    assert done.exit_code == 0, done
    way = done.json()["way_back"]
    assert "--missing-data-files" in _options(way["command"])

    assert shell(way["command"]).returncode == 0
    assert state(plain.url) == before


def test_the_way_back_from_a_restore(plain: Lake, newest: Engine, cli: Cli, shell: Shell, tmp_path: Path) -> None:
    """What a restore has replaced is kept in a schema, from which the command brings it back: here and there again."""
    backup = cli("dump", plain.url, "--json").json()["path"]
    _migrate(cli, plain)
    newest.run(plain.url, None, ["insert into lake.sales.customers values (500, 'new')"])
    migrated = state(plain.url)

    done = cli("restore", backup, plain.url, "--replace", "--discard-newer")

    (line,) = [line for line in done.stdout.splitlines() if line.startswith("the way back: ")]
    assert _options(line) == {"--replace"}
    _password_is_hidden(plain, done.stdout + done.stderr)
    pasted = shell(line.removeprefix("the way back: "))
    assert pasted.returncode == 0, pasted
    assert state(plain.url) == migrated
    (again,) = [line for line in pasted.stdout.splitlines() if line.startswith("the way back: ")]
    assert _options(again) == {"--replace", "--discard-newer"}
    assert shell(again.removeprefix("the way back: ")).returncode == 0
    assert state(plain.url)[0].spec_version == "0.3"


@pytest.mark.long
def test_the_way_back_from_another_lake(plain: Lake, lake: LakeFactory, cli: Cli, shell: Shell) -> None:
    """Another lake that was replaced comes back by name."""
    before = state(plain.url)
    other = cli("dump", lake("inlined", "0.3").url, "-o", "other.zst", "--json").json()["path"]

    way = cli("restore", other, plain.url, "--replace", "--other-lake", "--json").json()["way_back"]

    assert "--other-lake" in _options(way["command"])
    assert shell(way["command"]).returncode == 0
    assert state(plain.url) == before


def test_where_nothing_is_kept_there_is_no_way_back(plain: Lake, database: str, cli: Cli) -> None:
    """A restore into a free place, or one that drops what it replaces, promises nothing."""
    backup = cli("dump", plain.url, "--json").json()["path"]

    assert cli("restore", backup, database, "--json").json()["way_back"] is None
    dropped = cli("restore", backup, plain.url, "--replace", "--drop-replaced")
    assert dropped.exit_code == 0
    assert "way back" not in dropped.stdout


_LOST = (
    "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'dlbackup-fence';"
    " insert into ducklake_snapshot select 1000, now(), schema_version, next_catalog_id, next_file_id"
    " from ducklake_snapshot order by snapshot_id desc limit 1"
)


@pytest.mark.parametrize("moved", [pytest.param("", marks=pytest.mark.long), "renamed", "gone"])
def test_a_person_gets_the_right_backup(plain: Lake, cli: Cli, shell: Shell, tmp_path: Path, moved: str) -> None:
    """When an undo is refused, the hint puts the verified backup back, under whatever name; or says to look for it."""
    before = state(plain.url)
    other = tmp_path / "another"
    assert cli("dump", plain.url, "-o", f"{other}.zst", "--level", "2").exit_code == 0
    other.with_suffix(".zst").rename(other)
    move = f"""
import shutil
(path,) = Path({str(cli.cwd)!r}).glob("ducklake-*.sql.zst")
path.rename(path.with_name("renamed.zst"))
shutil.copyfile({str(other)!r}, path)
if {moved!r} == "gone": path.with_name("renamed.zst").unlink()
""".strip()
    after = sql_commits(plain.url, _LOST) + (f"\n{move}" if moved else "") + "\nos.abort()"

    done = cli("migrate", plain.url, "--no-rehearsal", "--json", "--engine", engine_that(tmp_path, after=after))

    failed(done, 7, "NeedsPerson", "needs-person")
    hint = done.json()["error"]["hint"]
    _password_is_hidden(plain, done.stdout + done.stderr)
    looking = hint.partition("look at the catalog: ")[2].partition("; ")[0]
    assert shell(looking).returncode == 0
    if moved == "gone":
        assert "must not be restored" in hint
        assert f"dlbackup restore {other}" not in hint
        return
    command = hint.partition(", then ")[2]
    assert ("renamed.zst" in command) == bool(moved)
    assert "--discard-newer" in command
    assert "after snapshot" in hint
    pasted = shell(command)
    assert pasted.returncode == 0, pasted
    assert state(plain.url) == before
