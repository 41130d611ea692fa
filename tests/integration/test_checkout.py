"""A checkout in which nothing was installed but what dlbackup needs: its commands run, and its tests are found."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from support.backups import HEADER, catalog, write_backup
from support.checkout import copy_sources, environment_without_dlbackup
from support.lakes.lakes import LakeFactory
from support.longer import long

from dlbackup.lake import spec


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout."""
    return copy_sources(tmp_path_factory.mktemp("checkout") / "source", "docs", "tests")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment without dlbackup."""
    return environment_without_dlbackup(tmp_path_factory.mktemp("environment") / "venv")


def run(python: Path, *arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the interpreter in a folder, without the variables of whoever runs the tests."""
    return subprocess.run(
        [python, *arguments], cwd=cwd, capture_output=True, text=True, timeout=300, env={"PATH": "/usr/bin:/bin"}
    )


def test_the_environment_has_no_dlbackup(python: Path, tmp_path: Path) -> None:
    """Outside of the checkout the environment can import what dlbackup needs, and not dlbackup."""
    needed = run(python, "-c", "import duckdb, psycopg, sqlglot, xxhash, zstandard", cwd=tmp_path)
    itself = run(python, "-c", "import dlbackup", cwd=tmp_path)

    assert (needed.returncode, needed.stderr) == (0, "")
    assert "No module named 'dlbackup'" in itself.stderr


@pytest.mark.parametrize("command", ["info", "verify"])
def test_a_command_runs(python: Path, checkout: Path, tmp_path: Path, command: str) -> None:
    """`python -m dlbackup` in the checkout reads a backup, and the spec of its version, as an installed one does."""
    path = tmp_path / "backup.sql.zst"
    write_backup(path, catalog("1.0"), replace(HEADER, spec_version="1.0"))
    done = run(python, "-m", "dlbackup", command, path, "--json", cwd=checkout)

    assert (done.returncode, json.loads(done.stdout)["spec_version"]) == (0, "1.0"), done.stderr


def test_a_catalog_is_looked_at(python: Path, checkout: Path, lake: LakeFactory) -> None:
    """`info` reads a catalog there, and `plan` asks an engine, which is a process of its own."""
    made = lake("plain", "0.3")
    info = run(python, "-m", "dlbackup", "info", made.url, "--json", cwd=checkout)
    plan = run(python, "-m", "dlbackup", "plan", made.url, "--json", cwd=checkout)

    assert (info.returncode, json.loads(info.stdout)["spec_version"]) == (0, "0.3"), info.stderr
    assert (plan.returncode, json.loads(plan.stdout)["to_version"]) == (0, "1.0"), plan.stderr


def test_the_schemas_are_those_of_the_checkout(python: Path, checkout: Path) -> None:
    """Every spec version is known there, with the tables of the checkout's own folder."""
    program = (
        "from dlbackup.lake import spec\n"
        "print(spec.schemas())\n"
        "print(*(f'{version}:{len(spec.load(version))}' for version in spec.described()))"
    )

    folder, versions = run(python, "-c", program, cwd=checkout).stdout.splitlines()
    assert Path(folder) == checkout / "schemas"
    assert versions.split() == [f"{version}:{len(spec.load(version))}" for version in spec.described()]


def test_the_version_is_not_known(python: Path, checkout: Path) -> None:
    """`--version` says that nothing is installed, which is no bug."""
    done = run(python, "-m", "dlbackup", "--version", cwd=checkout)

    assert (done.returncode, done.stdout) == (0, "dlbackup (a checkout that isn't installed)\n"), done.stderr


@pytest.mark.parametrize("folder", ["tests/unit/lake", long("tests/unit")])
def test_unit_tests_are_collected(python: Path, checkout: Path, folder: str) -> None:
    """pytest finds the unit tests of a checkout that isn't installed, and no module of them fails to be imported."""
    done = run(python, "-m", "pytest", folder, "--collect-only", "-q", "-p", "no:cacheprovider", cwd=checkout)

    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "tests/unit/lake/test_spec.py" in done.stdout
