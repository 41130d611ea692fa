"""What a user reads when a command line is wrong: every option of every command, from the parser itself."""

import argparse
import json
import re
import signal
from collections.abc import Iterator

import pytest

from dlbackup.cli.command import main
from dlbackup.cli.options import command_line

WRONG = "7x?"
"""No value of any option that doesn't take just any text."""


def _commands() -> dict[str, argparse.ArgumentParser]:
    (commands,) = (action for action in PARSER._actions if isinstance(action.choices, dict))
    return dict(commands.choices or {})


PARSER = command_line()
COMMANDS = _commands()
OPTIONS = {
    command: [action for action in parser._actions if action.option_strings and action.dest != "help"]
    for command, parser in COMMANDS.items()
}
CHECKED = {command: [it for it in given if it.type is not None or it.choices] for command, given in OPTIONS.items()}
VALUED = {command: [it for it in given if it.nargs != 0] for command, given in OPTIONS.items()}
FLAGS = {command: [it for it in given if it.nargs == 0] for command, given in OPTIONS.items()}


@pytest.fixture(autouse=True)
def parser(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the parser once, which takes most of the time of a wrong command."""
    monkeypatch.setattr("dlbackup.cli.command.command_line", lambda: PARSER)


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Give the signals that a command takes back to pytest."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Said:
    """What a wrong command line is answered with, as JSON too; `both` is error and hint as a user reads them."""

    def __init__(self, capsys: pytest.CaptureFixture[str], words: list[str], *, as_json: bool = True) -> None:
        assert main(words) == 2
        said = capsys.readouterr()
        assert said.out == ""
        lines = re.fullmatch(r"error: (.+)\nhint: (.+)\n", said.err)
        assert lines is not None, said.err
        self.error, self.hint = lines.groups()
        self.both = said.err
        if not as_json:
            return
        first = 1 if words and words[0] in COMMANDS else 0
        assert main([*words[:first], "--json", *words[first:]]) == 2
        answer = json.loads(capsys.readouterr().out)  # exactly one object
        assert answer["exit_code"] == 2
        if first and words[0] not in ("cat", "metrics"):
            assert answer["error"] == {"type": "UsageError", "message": self.error, "hint": self.hint}


def _arguments(command: str) -> list[str]:
    return ["x" for action in COMMANDS[command]._actions if not action.option_strings]


def test_the_options_are_those_of_the_commands() -> None:
    """The walk below meets options of all commands: those that take some values, any text, and none."""
    assert set(COMMANDS) >= {"dump", "verify", "restore", "migrate", "plan", "check", "unbar", "info", "cat"}
    checked, valued, flags = (
        {f"{command} {'/'.join(it.option_strings)}" for command, some in walked.items() for it in some}
        for walked in (CHECKED, VALUED, FLAGS)
    )
    assert {"dump --level", "verify --jobs", "restore --max-rate", "plan --lock-timeout", "cat --format"} <= checked
    assert {"dump -o/--output", "verify --rehearse", "migrate --accept-loss"} <= valued - checked
    assert {"info --json", "restore --replace"} <= flags


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_value_is_shown_beside_what_would_do(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A value that an option can't take is named with the option, and with values that it takes."""
    for option in CHECKED[command]:
        said = Said(capsys, [command, *_arguments(command), option.option_strings[-1], WRONG])

        assert said.error.startswith(f"argument {'/'.join(option.option_strings)}: ")
        assert f"'{WRONG}'" in said.error
        if option.choices:
            assert all(str(choice) in said.error for choice in option.choices)
        else:
            example = re.search(r" is not a .+, such as ([^ ,]+)", said.error)
            assert example is not None
            assert callable(option.type)
            assert option.type(example[1]) is not None
            assert said.hint.startswith(f"{option.option_strings[-1]} {option.metavar}: ")
        assert f"see dlbackup {command} --help" in said.hint


@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_value_is_explained(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An option without its value is named, with what the value means."""
    for option in VALUED[command]:
        said = Said(capsys, [command, *_arguments(command), option.option_strings[-1]])

        assert said.error == f"argument {'/'.join(option.option_strings)}: expected one argument"
        meaning = (option.help or "").partition("%")[0]
        assert len(meaning) > 10
        assert said.hint.startswith(f"{option.option_strings[-1]} ")
        assert f": {meaning}" in said.hint


@pytest.mark.parametrize("command", COMMANDS)
def test_a_value_too_many_is_shown(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An option that takes no value says so, and which it was given."""
    for option in FLAGS[command]:
        said = Said(capsys, [command, *_arguments(command), f"{option.option_strings[-1]}={WRONG}"])

        assert said.error == f"argument {'/'.join(option.option_strings)}: takes no value, but was given '{WRONG}'"
        assert said.hint.startswith(f"{option.option_strings[-1]}: {option.help}")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_misspelt_option_is_answered_with_the_nearest(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An option with a letter too many is named, and so is the one that is meant; its value is no fault."""
    for option in OPTIONS[command]:
        misspelt = option.option_strings[-1] + "s"
        value = [] if option.nargs == 0 else ["1"]
        said = Said(capsys, [command, misspelt, *value, *_arguments(command)], as_json=misspelt == "--jsons")

        assert said.error == f"unrecognized arguments: {misspelt}"
        assert said.hint == f"the nearest is {option.option_strings[-1]}; see dlbackup {command} --help"


@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "list"])  # which needs none
def test_missing_arguments_are_explained(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A command without its arguments names each, with what it means."""
    said = Said(capsys, [command])

    wanted = [action for action in COMMANDS[command]._actions if not action.option_strings]
    assert wanted
    assert said.error == f"the following arguments are required: {', '.join(str(it.metavar) for it in wanted)}"
    for action in wanted:
        assert f"{action.metavar}: {action.help}" in said.hint


@pytest.mark.parametrize("command", COMMANDS)
def test_arguments_too_many_are_shown(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An argument too many is shown, with those that the command takes; an address in pieces keeps its secret."""
    said = Said(capsys, [command, *_arguments(command), WRONG, "password=s3cr3t"])

    assert said.error == f"unrecognized arguments: {WRONG} password=***"
    for action in COMMANDS[command]._actions:
        assert action.option_strings or str(action.metavar) in said.hint


@pytest.mark.parametrize("command", COMMANDS)
def test_a_misspelt_command_is_answered_with_the_nearest(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A command that there isn't is shown beside all that there are, and the nearest of them."""
    said = Said(capsys, [f"{command}s", "x"])

    assert f"'{command}s'" in said.error
    assert all(name in said.error for name in COMMANDS)
    assert said.hint == f"the nearest is {command}; see dlbackup --help"


def test_no_command_is_answered_with_all(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a command the commands are listed."""
    said = Said(capsys, [])

    assert said.error == "the following arguments are required: COMMAND"
    assert said.hint == f"COMMAND: one of {', '.join(COMMANDS)}; see dlbackup --help"


def test_an_option_before_its_command_is_sent_behind_it(capsys: pytest.CaptureFixture[str]) -> None:
    """An option of a command that stands before it is no option there: where it stands is said."""
    said = Said(capsys, ["--fingerprint", "info", "x"])

    assert "the options of a command stand after it: dlbackup COMMAND --fingerprint" in said.hint


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["dump", "x", "--level", "0"], "argument --level: '0' is not a whole number from 1 to 22, such as 1"),
        (["dump", "x", "--level", "23"], "argument --level: '23' is not a whole number from 1 to 22, such as 1"),
        (["dump", "x", "--jobs", "0"], "argument --jobs: '0' is not a whole number of 1 or more, such as 1"),
        (["verify", "x", "--jobs", "-1"], "argument --jobs: '-1' is not a whole number of 1 or more, such as 1"),
        (["dump", "x", "--max-rate", "0"], "argument --max-rate: '0' is not a number of bytes a second above 0, "),
        (["plan", "x", "--lock-timeout", "nan"], "argument --lock-timeout: 'nan' is not a number of seconds above 0 "),
        (["plan", "x", "--attach-timeout", "1e6"], "argument --attach-timeout: '1e6' is not a number of seconds "),
        (["plan", "x", "--no"], "ambiguous option: --no could match --no-rehearsal, --no-mend"),
        (
            ["plan", "x", "--terminate-clients", "--ignore-clients"],
            "argument --ignore-clients: not allowed with argument --terminate-clients",
        ),
    ],
)
def test_values_out_of_range_are_answered_like_others(
    words: list[str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Numbers too small or too large, and options that exclude each other, are named with what was given."""
    assert Said(capsys, words).error.startswith(error)


@pytest.mark.parametrize(
    "words",
    [
        ["dump", "x", "--level", "postgresql://u:s3cr3t@h/db"],
        ["dump", "x", "--max-rate", "password=s3cr3t"],
        ["dump", "x", "--password=s3cr3t"],
        ["dump", "x", "--json=password=s3cr3t"],
        ["cat", "x", "y", "--format", "password=s3cr3t"],
        ["postgresql://u:s3cr3t@h/db"],
        ["dump", "mysql:host=h", "user=u", "passwd=s3cr3t"],
    ],
)
def test_no_password_is_shown(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """What was given in a wrong place is shown without its password."""
    assert "s3cr3t" not in Said(capsys, words).both
