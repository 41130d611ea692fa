"""The command line: help, usage errors, JSON, exit codes, and no heavy import before it is needed."""

import ast
import json
import os
import re
import signal
import sys
import time
import weakref
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from support import sources
from support.backups import small, write_backup
from support.cli import Cli, signals_kept

import dlbackup
from dlbackup.cli.command import main
from dlbackup.errors import Interrupted, NotVerified
from dlbackup.runtime.signals import interrupt

COMMANDS = ("dump", "verify", "restore", "migrate", "info")


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Give the signals that a command takes back to pytest."""
    with signals_kept():
        yield


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    path = tmp_path / "backup.sql.zst"
    write_backup(path, small(), left_out=["view v"])
    return path


def test_help_names_commands_and_exit_codes(cli: Cli) -> None:
    """`dlbackup --help` names every command and every exit code, on standard output."""
    done = cli("--help")

    assert (done.exit_code, done.stderr) == (0, "")
    for command in COMMANDS:
        assert f"\n    {command} " in done.stdout
    for code in (0, 1, 2, 3, 4, 5, 6, 7, 130):
        assert f"\n  {code} " in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`dlbackup COMMAND --help` says what it does and explains each of its options."""
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])

    said = capsys.readouterr()
    assert ended.value.code == 0
    assert said.err == ""
    assert said.out.startswith(f"usage: dlbackup {command}")
    assert "--json" in said.out
    options = said.out.split("options:\n", 1)[1]
    for entry in options.split("\n  -")[1:]:
        assert len(entry.split("\n", 1)[0].split("  ")) > 1 or entry.count("\n") >= 1, f"no help for -{entry}"


def test_the_version_is_the_package_s(cli: Cli) -> None:
    """`dlbackup --version` says the name and the version."""
    done = cli("--version")

    assert done.exit_code == 0
    assert done.stdout.startswith("dlbackup ")
    assert done.stdout.split()[1][0].isdigit()


WRONG: tuple[list[str], ...] = (
    [],
    ["nope"],
    ["dump"],
    ["dump", "lake"],
    ["dump", "postgres:dbname=x", "--level", "x"],
    ["dump", "postgres:dbname=x", "--level", "0"],
    ["dump", "postgres:dbname=x", "--level", "99"],
    ["dump", "postgres:dbname=x", "extra"],
    ["dump", "postgres:dbname=x", "--nope"],
    ["dump", "postgres:dbname=x y"],
    ["dump", "mysql:host=h"],
    ["verify"],
    ["verify", "a", "b"],
    ["restore", "backup"],
    ["restore", "backup", "nope"],
    ["restore", "backup", "postgres:dbname=x", "--drop-replaced"],
    ["copy", "lake.ducklake"],
    ["copy", "nope", "copy.ducklake"],
    ["copy", "lake.ducklake", "quack:host:9494"],
    ["copy", "lake.ducklake", "postgres:dbname=x", "--frozen"],
    ["copy", "lake.ducklake", "copy.ducklake", "--drop-replaced"],
    ["copy", "backup.sql.zst", "copy.ducklake", "--metadata-schema", "main"],
    ["migrate"],
    ["migrate", "nope"],
    ["migrate", "postgres:dbname=x", "--lock-timeout", "0"],
    ["migrate", "postgres:dbname=x", "--lock-timeout", "-1"],
    ["migrate", "postgres:dbname=x", "--attach-timeout", "x"],
    ["migrate", "postgres:dbname=x", "--attach-timeout", "nan"],
    ["info"],
    ["info", "nope"],
)


@pytest.mark.parametrize("arguments", WRONG, ids=" ".join)
def test_wrong_usage_is_exit_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong usage ends in 2 with one `error:` line and a hint on standard error, nothing on standard output."""
    assert main(arguments) == 2

    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["error", "hint"][: len(lines)]
    assert "Traceback" not in said.err


@pytest.mark.parametrize("arguments", WRONG, ids=" ".join)
def test_wrong_usage_with_json_is_one_object(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With --json, wrong usage is one JSON object with type, message, hint and exit code."""
    assert main([*arguments, "--json"]) == 2

    answer = json.loads(capsys.readouterr().out)
    assert answer["exit_code"] == 2
    assert answer["error"].keys() == {"type", "message", "hint"}
    assert answer["error"]["type"] == "UsageError"
    assert answer["error"]["message"]


@pytest.mark.parametrize("words", [["-o", "-"], ["--output", "-"], ["-o-"], ["--output=-"]])
@pytest.mark.parametrize("wrong", [[], ["--level", "99"]])
def test_json_goes_to_standard_error_where_output_is_the_backup(
    words: list[str], wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a dump to standard output the JSON is the last line of standard error, also when nothing was written."""
    assert main(["dump", "postgres:host=/nonexistent dbname=x", *words, "--json", *wrong]) == (2 if wrong else 1)

    said = capsys.readouterr()
    assert said.out == ""
    assert json.loads(said.err.splitlines()[-1])["error"]["type"] == ("UsageError" if wrong else "Unreachable")


@pytest.mark.parametrize("words", [["--json", "-q", "verify"], ["--quiet", "verify", "--json"], ["verify", "--json"]])
def test_json_and_quiet_stand_before_or_after_the_command(
    words: list[str], backup: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What every command takes may come before its name, as people put it in an alias."""
    assert main([*words, str(backup)]) == 0

    assert json.loads(capsys.readouterr().out)["ok"] is True


def test_verbose_stands_before_the_command(
    backup: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """So may -v; the traceback of something unexpected is then there, and how it ended is told as ever."""

    def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("dlbackup.verify", fails, raising=False)
    assert main(["-v", "verify", "--json", str(backup)]) == 1

    said = capsys.readouterr()
    assert "Traceback" in said.err
    assert "ZeroDivisionError" in json.loads(said.out)["error"]["message"]


@pytest.mark.parametrize("words", [["--json", "cat"], ["-q", "--json", "cat"]])
def test_cat_has_no_json_before_its_name_either(
    words: list[str], backup: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a command doesn't take is refused, not ignored."""
    assert main([*words, str(backup), "ducklake_snapshot"]) == 2

    assert "--format jsonl" in json.loads(capsys.readouterr().out)["error"]["hint"]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        pytest.param(["verify", "-"], b"-: good: DuckLake 9.9", marks=pytest.mark.long),
        (["--json", "verify", "-"], b'"path": "-", "ok": true'),
        pytest.param(["verify", "-", "--jobs", "2"], b"-: good: ", marks=pytest.mark.long),
        (["info", "-"], b"backup of DuckLake 9.9"),
        (["cat", "-", "ducklake_snapshot"], b"snapshot_id"),
        (["check", "-"], b""),
    ],
)
def test_a_backup_may_be_piped_in(words: list[str], wanted: bytes, backup: Path, cli: Cli, tmp_path: Path) -> None:
    """Every command that takes a backup reads standard input for -, and leaves no copy of it."""
    spool = tmp_path / "spool"
    spool.mkdir()
    done = cli(*words, stdin=backup.read_bytes(), env={"TMPDIR": str(spool)})

    assert done.exit_code == (3 if words[0] == "check" else 0), done  # 9.9 is no version that check knows
    assert wanted in done.output
    assert list(spool.iterdir()) == []


def test_damage_in_a_pipe_is_found(backup: Path, cli: Cli) -> None:
    """Cut or empty, what comes through a pipe is judged as a file is."""
    for content in (backup.read_bytes()[:-1], b""):
        done = cli("verify", "-", stdin=content)
        assert done.exit_code == 3, done
        assert "- does not verify: " in done.stderr


def test_a_terminal_is_no_backup(cli: Cli, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody types a backup: - on a terminal is wrong usage and waits for nothing."""
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))

    assert main(["verify", "-"]) == 2
    assert "terminal" in capsys.readouterr().err


def test_hints_point_at_nothing_that_only_a_checkout_has() -> None:
    """No text that a user may read names a file of the project's: who installed a wheel has none of them."""
    found = list(sources.places())
    comments = {
        id(node.value) for _, node, _ in found if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for module, node, _ in found:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in comments:
            assert not re.search(r"docs/|\.md\b|README|CHANGELOG", node.value), f"{module}: {node.value}"


def test_a_good_backup_verifies(backup: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`verify` of a good backup ends in 0, says so and shows warnings."""
    assert main(["verify", str(backup)]) == 0

    said = capsys.readouterr()
    assert f"{backup}: good: DuckLake 9.9, snapshot 1, 2 tables, 4 rows in 2 shapes" in said.out
    assert "warning: left-out: not in the backup: view v" in said.out
    assert "error" not in said.out + said.err


def test_a_good_backup_verifies_in_json(backup: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`verify --json` prints one object with the stable keys, and findings as objects."""
    assert main(["verify", str(backup), "--json"]) == 0

    answer = json.loads(capsys.readouterr().out)
    keys = "path ok spec_version snapshot_id tables rows row_shapes findings seconds"
    assert set(keys.split()) <= answer.keys()
    assert (answer["ok"], answer["path"], answer["tables"], answer["rows"]) == (True, str(backup), 2, 4)
    for finding in answer["findings"]:
        assert {"severity", "rule", "message"} <= finding.keys()


def test_a_bad_backup_is_exit_3(backup: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`verify` of a damaged backup ends in 3, with the finding on standard output and what to do on standard error."""
    file = bytearray(backup.read_bytes())
    file[200] ^= 1
    backup.write_bytes(file)
    assert main(["verify", str(backup)]) == 3

    said = capsys.readouterr()
    assert said.out.startswith("error: corrupt: ")
    assert said.err.startswith("error: ")
    assert "\nhint: do not rely on this backup" in said.err


def test_a_bad_backup_in_json_has_findings_and_error(backup: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`verify --json` of a damaged backup prints the report and the error in one object."""
    backup.write_bytes(backup.read_bytes()[:-1])
    assert main(["verify", "--json", str(backup)]) == 3

    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is False
    assert answer["findings"][0]["severity"] == "error"
    assert answer["exit_code"] == 3
    assert answer["error"]["message"]


@pytest.mark.parametrize("command", ["verify", "info"])
def test_a_missing_file_is_exit_1(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that can't be read is a failure of another kind than damage, and named."""
    assert main([command, "/nonexistent/backup.sql.zst"]) == 1
    assert "/nonexistent/backup.sql.zst: No such file" in capsys.readouterr().err


def test_info_of_a_backup(backup: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`info` of a backup reads its manifest and says what is in it."""
    assert main(["info", str(backup), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert {"kind": "backup", "spec_version": "9.9", "snapshot_id": 1, "tables": 2, "rows": 4}.items() <= answer.items()
    assert main(["info", str(backup)]) == 0
    assert "backup of DuckLake 9.9" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["verify"], ["info"], ["restore"]])
def test_a_text_file_is_no_backup(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that isn't a backup is refused with exit 3, before any server is asked."""
    path = tmp_path / "notes.zst"
    path.write_text("hello")
    address = ["postgres:host=/nonexistent dbname=x"] if command == ["restore"] else []

    assert main([*command, str(path), *address]) == 3
    assert "not a dlbackup backup" in capsys.readouterr().err


SECRET = "s3cr3t"


@pytest.mark.parametrize(
    "arguments",
    [
        ["dump", f"postgres:host=/nonexistent dbname=x password={SECRET}"],
        ["dump", f"postgresql://u:{SECRET}@h:port/db"],
        ["dump", f"postgres:host=/nonexistent nonsense=1 password={SECRET}"],
        ["dump", f"postgres:dbname=x {SECRET}"],
        ["migrate", f"postgresql://u:{SECRET}@/db?host=/nonexistent"],
        ["info", f"postgres:host=/nonexistent password={SECRET} options='{'-c work_mem=4MB ' * 30}'"],
        ["info", f"postgresql://u:{SECRET}@[::1/db"],
        ["dump", f"lake password={SECRET}"],
    ],
)
@pytest.mark.parametrize("option", [[], ["--json"]])
def test_no_password_is_printed(
    arguments: list[str], option: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is wrong with an address or the server, its password is in no output."""
    more = ["--backup-dir", str(tmp_path)] if arguments[0] == "migrate" else []
    assert main([*arguments, *option, *more]) in (1, 2)

    said = capsys.readouterr()
    assert SECRET not in said.out + said.err
    assert "unexpected" not in said.err
    assert "Traceback" not in said.err


def test_an_unreachable_server_is_exit_1(capsys: pytest.CaptureFixture[str]) -> None:
    """No server is a clear line, a hint and exit 1."""
    assert main(["dump", "postgres:host=/nonexistent dbname=lake user=u"]) == 1

    said = capsys.readouterr()
    assert said.err.startswith("error: can't connect to postgres:host=/nonexistent dbname=lake user=u: ")
    assert "\nhint: " in said.err


def test_an_impossible_output_is_exit_1(tmp_path: Path, cli: Cli) -> None:
    """A path that can't be written to ends in exit 1 with a hint, not in a traceback."""
    done = cli("verify", tmp_path / ("x" * 300))

    assert done.exit_code == 1
    assert "error: can't read" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [["--js"], ["--output", "-", "--json"], ["--out", "-", "--js"]])
def test_short_forms_of_options_are_options(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """What the parser takes for --json and -o counts as those where a command fails, too."""
    assert main(["dump", "/nonexistent/x.ducklake", *words]) == 1

    said = capsys.readouterr()
    assert json.loads(said.out if len(words) == 1 else said.err.splitlines()[-1])["exit_code"] == 1
    assert (said.out == "") == (len(words) > 1)


@pytest.mark.parametrize(
    "words",
    [
        ["verify", "BACKUP", "--engine", "python"],
        ["info", "BACKUP", "--metadata-schema", "s"],
        ["check", "BACKUP", "--metadata-schema", "s"],
        ["list", ".", "--metadata-schema", "s"],
        ["metrics", ".", "--metadata-schema", "s"],
        ["prune", ".", "--keep-last", "1", "--metadata-schema", "s"],
        ["restore", "BACKUP", "postgres:host=/nonexistent", "--storage-version", "v1.0.0"],
        ["copy", "BACKUP", "new.sqlite", "--storage-version", "v1.0.0"],
    ],
)
def test_an_option_that_nothing_would_heed_is_refused(words: list[str], backup: Path, cli: Cli) -> None:
    """Nobody is to believe that it counted."""
    done = cli(*[str(backup) if word == "BACKUP" else word for word in words])

    assert (done.exit_code, done.stdout) == (2, "")


@pytest.mark.parametrize("end", ["bad", "good", "bug"])
def test_swallowed_interrupt_is_no_verdict(
    backup: Path, end: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A backup is called neither bad nor good, and nothing a bug, where a library has swallowed the interrupt."""
    good = dlbackup.verify(backup)

    def verify(*_: object, **__: object) -> dlbackup.Verification:
        with suppress(Exception):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)
        if end == "bug":
            raise ImportError("no wrapper available")
        if end == "bad":
            raise NotVerified("the backup does not verify: not a statement of a backup")
        return good

    monkeypatch.setattr(dlbackup, "verify", verify)

    assert main(["verify", str(backup)]) == 130

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: interrupted by SIGINT\n")


def test_interrupt_where_nobody_could_catch_it_comes_again(
    backup: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A signal that meets the deletion of something ends the command all the same, without a traceback."""

    class Thing:
        """Something that can be deleted."""

    def copy(*_: object, **__: object) -> None:
        thing = Thing()
        kept = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.SIGTERM))
        del thing
        time.sleep(30)
        assert kept() is None

    monkeypatch.setattr(dlbackup, "copy", copy)
    begun = time.monotonic()

    assert main(["copy", str(backup), "/nowhere/file.ducklake"]) == 130

    assert time.monotonic() - begun < 20
    assert capsys.readouterr().err == "error: interrupted by SIGTERM\n"


def test_interrupt_of_a_command_before_is_not_remembered(backup: Path) -> None:
    """A program that runs several commands in one process is told what each came to."""
    with suppress(Interrupted):
        interrupt(signal.SIGINT, cast("Any", None), Interrupted("long ago"))

    assert main(["verify", str(backup)]) == 0
