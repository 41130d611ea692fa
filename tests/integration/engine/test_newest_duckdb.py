"""
With the newest DuckDB, which `pip install dlbackup` brings and no DuckLake from an index is for: all that needs none.
"""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import Cli, Finished
from support.engines.engines import engine, newest_duckdb
from support.faults.failures import failure
from support.lakes.in_files import FileLakes
from support.lakes.lakes import LakeFactory


class _Newest:
    """Runs commands under that DuckDB."""

    def __init__(self, cli: Cli) -> None:
        places = [str(newest_duckdb()), os.environ.get("PYTHONPATH", "")]
        self._cli, self._environment = cli, {"PYTHONPATH": os.pathsep.join(filter(None, places))}

    def __call__(self, *words: str | Path) -> Finished:
        return self._cli.apart(*words, env=self._environment)

    def good(self, *words: str | Path) -> dict[str, object]:
        """Return what a command says that must succeed."""
        done = self(*words, "--json")
        assert done.exit_code == 0, done
        answer: dict[str, object] = json.loads(done.output)
        return answer

    def write(self, path: Path, statements: str) -> None:
        """Execute statements in a file, in a process of that DuckDB alone."""
        program = "import duckdb, sys; duckdb.connect(sys.argv[1]).execute(sys.argv[2])"
        command = [sys.executable, "-c", program, str(path), statements]
        subprocess.run(command, check=True, cwd=path.parent, env={**os.environ, **self._environment})

    def python(self) -> Path:
        """Return a Python that has it, for `--engine`."""
        path = self._cli.cwd / "python"
        place = self._environment["PYTHONPATH"]
        path.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(place)} exec {sys.executable} "$@"\n')
        path.chmod(0o755)
        return path


@pytest.fixture
def newest(cli: Cli) -> _Newest:
    """The command under the newest DuckDB."""
    return _Newest(cli)


def test_of_a_server(lake: LakeFactory, newest: _Newest, cli: Cli) -> None:
    """A catalog on PostgreSQL is dumped, verified, checked, listed, read, restored and drilled."""
    made = lake("inlined", "1.0")

    backup = str(newest.good("dump", made.url)["path"])
    assert newest.good("verify", backup, "--data-files")["findings"] == []
    for target in (backup, made.url):
        checked = newest.good("check", target)
        assert checked["findings"] == []
        assert any("as DuckDB 2.0.1 reads them" in text for text in checked["looked_at"])  # type: ignore[attr-defined]
        assert newest.good("info", target)["spec_version"] == "1.0"
    assert newest("cat", backup, "ducklake_snapshot").output == cli("cat", backup, "ducklake_snapshot").output
    newest.good("restore", backup, made.url, "--metadata-schema", "again")
    drilled = newest.good("drill", backup, "--on", made.url)
    assert [finding["rule"] for finding in drilled["findings"]] == ["not-opened"]  # type: ignore[attr-defined]
    assert newest("drill", backup, "--on", made.url, "--rehearse").exit_code == 1


@pytest.mark.long
def test_of_a_file(file_lakes: FileLakes, newest: _Newest, cli: Cli) -> None:
    """A catalog in a file of an older DuckDB too, and what is restored from it the older one reads."""
    made = file_lakes.copy("inlined", "1.5.5", cli.cwd)

    backup = str(newest.good("dump", made.path)["path"])
    assert newest.good("verify", backup)["findings"] == []
    assert newest.good("check", made.path)["findings"] == []
    newest.good("restore", backup, "again.ducklake")
    meant = newest.good("copy", made.path, "copy.sqlite")["fingerprint"]
    assert newest.good("check", "copy.sqlite")["findings"] == []
    assert newest.good("dump", "copy.sqlite", "-o", "copy.sql.zst")["fingerprint"] == meant
    assert newest.good("copy", "copy.sqlite", "back.ducklake")["fingerprint"] == meant
    theirs = cli("dump", made.path, "-o", "theirs.sql.zst", "--json").json()
    ours = cli("dump", "again.ducklake", "-o", "ours.sql.zst", "--json").json()
    assert (theirs["fingerprint"], theirs["rows"]) == (ours["fingerprint"], ours["rows"])


def test_file_that_it_has_opened_is_migrated(
    file_lakes: FileLakes, newest: _Newest, cli: Cli, pytestconfig: pytest.Config
) -> None:
    """What it opened for writing and changed an older DuckDB migrates, and reads what could be read as before."""
    made = file_lakes.copy("zoo", "1.4.4", cli.cwd)
    newest.write(made.path, "insert into ducklake_metadata (key, value) values ('by', '2.0.1'); checkpoint")
    at = None if pytestconfig.option.long else ("first", "last")
    before = {table: said for table, said in made.read_by(at).items() if " rows, " in said}
    assert len(before) > 8

    done = cli("migrate", made.path, "--json")

    assert (done.exit_code, done.json()["to_version"]) == (0, "1.0"), done.stderr
    assert made.read_by(at, reader=engine("1.5.5")).items() >= before.items()
    assert b'"by","2.0.1"' in cli("cat", done.json()["backup"], "ducklake_metadata").output


def test_of_a_file_that_it_has_written(file_lakes: FileLakes, newest: _Newest, cli: Cli) -> None:
    """What it writes into a file of an older DuckDB that one dumps; a file of its own newest kind needs itself."""
    made = file_lakes.copy("plain", "1.5.5", cli.cwd)
    newest.write(made.path, "insert into ducklake_tag values (1, 1, null, 'by', '2.0.1'); checkpoint")
    newest.write(
        made.path,
        "attach 'newest.ducklake' as n (storage_version 'latest'); copy from database lake to n; checkpoint n",
    )

    old = cli("dump", made.path, "-o", "old.sql.zst", "--json").json()
    refused = cli("dump", "newest.ducklake")
    new = newest.good("dump", "newest.ducklake", "-o", "new.sql.zst")

    assert b'"by","2.0.1"' in cli("cat", "old.sql.zst", "ducklake_tag").output
    failure(refused, 1, "newer DuckDB", hint="--engine")
    assert (new["fingerprint"], new["rows"]) == (old["fingerprint"], old["rows"])
    by_name = cli("dump", "newest.ducklake", "-o", "named.sql.zst", "--engine", newest.python(), "--json").json()
    assert by_name["fingerprint"] == old["fingerprint"]
