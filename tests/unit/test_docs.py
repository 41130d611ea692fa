"""The docs name what the command line has."""

import configparser
import re
from pathlib import Path

import pytest
from support.reference import REFERENCE, python_api, with_python_api

import dlbackup
from dlbackup.cli.command import main
from dlbackup.lake import spec
from dlbackup.migration.losses.known import RULES

ROOT = Path(__file__).parents[2]
COMMANDS = (
    *("dump", "verify", "restore", "plan", "migrate", "check", "info", "cat"),
    *("copy", "drill", "list", "prune", "pin", "release"),
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_in_the_reference(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command and each of its options stands in docs/reference.md."""
    reference = (ROOT / "docs/reference.md").read_text()
    with pytest.raises(SystemExit):
        main([command, "--help"])
    options = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out)) - {"--help"}

    assert len(options) >= 3
    assert f"## {command} " in reference
    assert {option for option in options if f"`{option}" not in reference} == set()


def test_the_python_api_is_in_the_reference_as_it_is() -> None:
    """Signatures, fields and errors in docs/reference.md are those of the code."""
    text = REFERENCE.read_text()

    assert text == with_python_api(text), "write it anew: python tests/support/reference.py"
    api = python_api()
    for name in dlbackup.__all__:
        assert re.search(rf"\b{name}\b", api)


def test_every_loss_is_explained() -> None:
    """Each known loss has a heading in docs/losses.md that says whether it is mended."""
    text = (ROOT / "docs/losses.md").read_text()

    for rule in RULES:
        assert f"## {rule.name}: {'mended' if rule.mend else 'refused'}" in text


def test_every_test_that_the_readme_names_exists() -> None:
    """The README's promises point to tests that are there."""
    named = re.findall(r"`(tests/[\w/]+\.py)`", (ROOT / "README.md").read_text())

    assert len(named) > 8
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_every_described_version_has_an_engine() -> None:
    """For each spec version with a schema it is known which DuckDB opens it."""
    assert set(spec.described()) <= set(spec.ENGINES)


def test_the_map_is_the_import_contract() -> None:
    """docs/architecture.md shows each room's layers as `.importlinter` has them."""
    contract = configparser.ConfigParser()
    contract.read(ROOT / ".importlinter")
    text = (ROOT / "docs/architecture.md").read_text()
    layered = [part for part in map(contract.__getitem__, contract.sections()) if part.get("type") == "layers"]

    assert len(layered) >= 9
    for part in layered:
        layers = "".join(f"    {line}\n" for line in part["layers"].strip().splitlines())
        assert f"`{part['containers'].strip()}`:\n\n{layers}" in text
