"""Commands as processes: standard streams that are closed, full, shared or left, letters that they lack, signals."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
import time
from array import array
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.backups import row, small, write_backup
from support.cli import CAPTURED, TOGETHER, Cli, Finished, signals_kept
from support.waiting import wait_until

import dlbackup
from dlbackup.cli.command import main
from dlbackup.runtime.signals import ASKED
from dlbackup.tables.definition import Column, Table


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


def test_damage_is_told_once(backup: Path, cli: Cli) -> None:
    """Who reads output and errors in one place is told once; the line of the error then only names the rules."""
    backup.write_bytes(backup.read_bytes()[:-1])
    apart = cli.redirected("verify", backup)
    together = cli.redirected("verify", backup, stderr=TOGETHER)

    finding = apart.stdout.splitlines()[0].partition(": ")[2]
    rule, _, message = finding.partition(": ")
    assert apart.stderr.startswith(f"error: {backup} does not verify: {finding}\n")
    assert together.stdout.count(message) == 1
    assert f"error: {backup} does not verify: {rule}\n" in together.stdout


def _waiting(pipe: int) -> int:
    """Return how many bytes of a pipe nobody has read yet."""
    counted = array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, counted)
    return counted[0]


@pytest.mark.parametrize("number", ASKED)
def test_interruption_is_exit_130(backup: Path, tmp_path: Path, cli: Cli, number: signal.Signals) -> None:
    """A command that is interrupted in the middle of its work ends in 130 and says by what."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    pipe = os.open(path, os.O_RDWR)
    os.write(pipe, backup.read_bytes()[:50])
    with (tmp_path / "output").open("wb") as output, (tmp_path / "errors").open("wb") as errors:
        streams = (pipe, output.fileno(), errors.fileno())
        with cli.forked("verify", "-", "--json", streams=streams) as process:
            wait_until(lambda: not _waiting(pipe))
            process.send_signal(number)
            code = process.wait()
    os.close(pipe)

    assert code == 130
    assert json.loads((tmp_path / "output").read_text())["error"]["message"] == f"interrupted by {number.name}"


@pytest.mark.parametrize(
    ("command", "unbuffered"),
    [
        *((["verify"], ""), (["verify", "--json"], "1"), (["info", "--json"], "")),
        *(
            pytest.param(*it, marks=pytest.mark.long)
            for it in ((["verify"], "1"), (["verify", "--json"], ""), (["info", "--json"], "1"))
        ),
    ],
)
def test_a_closed_pipe_is_no_traceback(backup: Path, cli: Cli, command: list[str], unbuffered: str) -> None:
    """When the reader of standard output is gone, the command ends in 1 without a word of it."""
    done = without_reader(cli, [*command, str(backup)], unbuffered)

    assert (done.exit_code, done.stderr) == (1, "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_closed_pipe_hides_no_exit_code(backup: Path, cli: Cli, unbuffered: str) -> None:
    """A failure has its own exit code and message also when the reader of standard output is gone."""
    backup.write_bytes(backup.read_bytes()[:-1])
    done = without_reader(cli, ["verify", "--json", str(backup)], unbuffered)

    assert done.exit_code == 3
    assert done.stderr.startswith("error: ")
    assert "BrokenPipe" not in done.stderr


def without_reader(cli: Cli, arguments: list[str], unbuffered: str) -> Finished:
    """Run a command whose standard output is a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as stdout:
        return cli.redirected(*arguments, stdout=stdout.fileno(), env={"PYTHONUNBUFFERED": unbuffered})


@pytest.fixture
def full() -> Iterator[int]:
    """A device on which there is never room."""
    with Path("/dev/full").open("wb") as device:
        yield device.fileno()


@pytest.mark.parametrize(
    ("stdout", "stderr", "said"),
    [("captured", "full", ""), ("full", "captured", "error: "), ("full", "full", ""), ("captured", "closed", "")],
)
def test_a_full_disk_hides_no_exit_code(backup: Path, stdout: str, stderr: str, said: str, cli: Cli, full: int) -> None:
    """The exit code is that of what was found also where nothing can be said of it, or there is nowhere to say it."""
    backup.write_bytes(backup.read_bytes()[:-1])
    streams = {"captured": CAPTURED, "full": full, "closed": None}

    done = cli.redirected("verify", backup, stdout=streams[stdout], stderr=streams[stderr])

    assert done.exit_code == 3
    assert done.stderr.startswith(said)
    assert "Exception ignored" not in done.stderr


def test_closed_streams_hide_no_exit_code(backup: Path) -> None:
    """So it is of a command that begins with no stream at all, as some daemons start theirs."""
    backup.write_bytes(backup.read_bytes()[:-1])
    command = ["sh", "-c", '"$@" >&- 2>&- <&-', "sh", sys.executable, "-m", "dlbackup", "verify", str(backup)]

    assert subprocess.run(command, timeout=60, check=False).returncode == 3


@pytest.mark.parametrize("is_closed", [False, True])
def test_what_is_done_and_can_t_be_told_is_told_elsewhere(is_closed: bool, backup: Path, cli: Cli, full: int) -> None:
    """Exit 1 says that nothing was changed; of a command that did its work, standard error says what it did."""
    kept = backup.rename(backup.with_name("ducklake-lake-20261101T020000Z-v1.0-000000.sql.zst"))
    assert main(["verify", str(kept), "--record"]) == 0

    done = cli.redirected("pin", kept, stdout=None if is_closed else full)

    assert done.exit_code == 1
    assert "pin did what it was to do, but can't say so" in done.stderr
    assert f"{kept} is kept" in done.stderr
    assert dlbackup.pin(kept).changed == ()


def test_what_is_done_is_done_whoever_reads_it(backup: Path, cli: Cli) -> None:
    """`dump | head -n 1` leaves early by will: the exit code is that of what was done, and nothing is said of it."""
    kept = backup.rename(backup.with_name("ducklake-lake-20261101T020000Z-v1.0-000000.sql.zst"))
    assert main(["verify", str(kept), "--record"]) == 0

    done = without_reader(cli, ["pin", str(kept)], "1")

    assert (done.exit_code, done.stderr) == (0, "")


def test_nothing_else_comes_where_a_stream_was_closed() -> None:
    """The first file that a command opens is none of its standard streams."""
    program = (
        "import os, sys; from dlbackup.runtime.streams import take_places; take_places();"
        " print(os.open(os.devnull, os.O_RDONLY) > 2, file=sys.stdout)"
    )
    done = subprocess.run(
        ["sh", "-c", '"$0" -c "$1" 2>&- <&-', sys.executable, program], capture_output=True, text=True, timeout=60
    )

    assert done.stdout == "True\n"


@pytest.mark.parametrize("encoding", ["ascii", "utf-8:strict", "latin-1"])
def test_names_that_are_no_text_end_no_command(encoding: str, tmp_path: Path, cli: Cli) -> None:
    """A result is told, with escapes, whatever letters standard output takes; JSON gives the name back as it is."""
    path = tmp_path / os.fsdecode(b"\xe4-\xc3\xa4.sql.zst")
    write_backup(path, small())
    environment = {"PYTHONIOENCODING": encoding}
    run = cli.apart if encoding == "ascii" else cli.redirected

    plain, as_json = (run("verify", path, *more, env=environment) for more in ([], ["--json"]))

    assert (plain.exit_code, as_json.exit_code) == (0, 0)
    assert plain.output.count(b"good: ") == 1
    assert json.loads(as_json.output)["path"] == str(path)


def test_a_hang_up_that_is_ignored_stays_ignored(backup: Path, cli: Cli) -> None:
    """What nohup has started goes on."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with cli.started("verify", backup) as process:
        while process.poll() is None:
            process.send_signal(signal.SIGHUP)
            time.sleep(0.01)

    assert process.returncode == 0


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_may_leave_early(cli: Cli, tmp_path: Path, unbuffered: str) -> None:
    """`cat ... | head -2` gets its lines, and standard error stays empty."""
    reading, writing = os.pipe()
    many = Table(name="ducklake_many", columns=(Column(name="id", type="bigint"), Column(name="t", type="text")))
    write_backup(tmp_path / "backup", [*small(), (many, [row(n, "x" * 100) for n in range(5000)])])
    errors = tmp_path / "errors"
    words = ("cat", tmp_path / "backup", "ducklake_many", "--format", "jsonl")
    with os.fdopen(reading, "rb") as lines, errors.open("wb") as said, Path(os.devnull).open("rb") as nothing:
        streams = (nothing.fileno(), writing, said.fileno())
        with cli.forked(*words, streams=streams, env={"PYTHONUNBUFFERED": unbuffered}) as process:
            os.close(writing)
            found = [json.loads(lines.readline()) for _ in range(2)]
            lines.close()
            code = process.wait()

    assert [line["id"] for line in found] == [0, 1]
    assert (code, errors.read_bytes()) == (1, b"")


@pytest.mark.parametrize(
    ("words", "unbuffered"),
    [
        *((("cat", "ducklake_snapshot"), ""), (("info",), "1"), (("info", "--json"), ""), (("verify",), "1")),
        *(
            pytest.param(*it, marks=pytest.mark.long)
            for it in (
                (("cat", "ducklake_snapshot"), "1"),
                (("info",), ""),
                (("info", "--json"), "1"),
                (("verify",), ""),
            )
        ),
    ],
)
def test_a_full_disk_is_named(tmp_path: Path, cli: Cli, words: tuple[str, ...], unbuffered: str) -> None:
    """When standard output can't be written to, at once or in the end, the command ends in 1 and says why."""
    path = tmp_path / "backup"
    write_backup(path, small())
    with Path("/dev/full").open("wb") as full:
        environment = {"PYTHONUNBUFFERED": unbuffered}
        done = cli.redirected(words[0], path, *words[1:], stdout=full.fileno(), env=environment)

    assert done.exit_code == 1
    assert "error: can't write standard output: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_imports_no_driver() -> None:
    """Help, version and usage errors load neither psycopg nor duckdb nor sqlglot, so they come at once."""
    heavy = ("psycopg", "duckdb", "sqlglot", "sqlite3", "boto3", "asyncio", "cryptography")
    program = (
        "import sys\nfrom dlbackup.cli.command import main\n"
        "for words in (['--help'], ['--version'], ['dump', '--help'], ['migrate', '--help'], ['nope']):\n"
        "    try:\n        main(words)\n    except SystemExit:\n        pass\n"
        f"    print('loaded by', words, [name for name in {heavy!r} if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    loaded = [line for line in done.stdout.splitlines() if line.startswith("loaded by ")]
    assert len(loaded) == 5
    assert all(line.endswith(" []") for line in loaded)
