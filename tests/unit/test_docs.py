"""The docs name what the command line has."""

import re
from pathlib import Path

import pytest

from dlbackup import cli, spec
from dlbackup.aftercare import RULES

ROOT = Path(__file__).parents[2]
COMMANDS = ("dump", "verify", "restore", "plan", "migrate", "check", "info", "cat")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_in_the_reference(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command and each of its options stands in docs/reference.md."""
    reference = (ROOT / "docs/reference.md").read_text()
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    options = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out)) - {"--help"}

    assert len(options) >= 3
    assert f"## {command} " in reference
    assert {option for option in options if f"`{option}" not in reference} == set()


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
