"""Progress as a person sees it: a bar on a terminal, few plain lines elsewhere, nothing when it is not wanted."""

import io
import os
import pty
import re
from contextlib import redirect_stderr, suppress
from itertools import pairwise
from pathlib import Path

import pytest
from support.backups import small, write_backup
from support.cli import Cli
from support.clock import Clock

from dlbackup.cli.command import main
from dlbackup.cli.terminal import Screen
from dlbackup.runtime.progress import Event
from dlbackup.tables.definition import Column, Table


class Terminal(io.StringIO):
    """A stream that says it is a terminal, and knows no width."""

    def isatty(self) -> bool:
        """Say so."""
        return True

    def lines(self) -> list[str]:
        """Return what stands on the terminal, line by line, after all carriage returns."""
        shown = []
        for line in self.getvalue().split("\n"):
            signs: list[str] = []
            for part in line.split("\r"):
                signs[: len(part)] = part
            shown.append("".join(signs).rstrip())
        return shown


@pytest.fixture(autouse=True)
def _usual_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")


def progress(done: int, total: int = 1000, message: str = "") -> Event:
    return Event(stage="dump", message=message or f"{done} rows", done=done, total=total, share=done / total, rate=1.0)


def test_a_terminal_has_one_bar_in_one_line() -> None:
    """Each event is drawn over the one before, with the share of the work; the message tells the rest."""
    stream = Terminal()
    screen = Screen(stream=stream)
    screen.show(progress(100, message="100 of 1,000 rows, 50 rows/s, about 18 s left"))
    assert stream.lines() == ["dump [##..................] 10 % 100 of 1,000 rows, 50 rows/s, about 18 s left"]

    screen.show(progress(500, message="half"))
    assert stream.lines() == ["dump [##########..........] 50 % half"]


def test_other_lines_take_the_place_of_the_bar() -> None:
    """A step or a warning stands in a line of its own, and the bar is drawn again below it."""
    stream = Terminal()
    with Screen(stream=stream) as screen:
        screen.show(progress(100))
        screen.show(Event(stage="dump", message="beginning again"))
        screen.show(progress(200))
        screen.show(Event(stage="dump", message="not in the backup: view v", warning=True))
        screen.show(progress(999))
        assert stream.lines()[2:] == ["dump [###################.] 99 % 999 rows"]

    assert stream.lines() == ["dump: beginning again", "warning: not in the backup: view v", ""]


def test_no_bar_is_left_behind_by_a_failure() -> None:
    """Whatever ends the job, the line is empty for what is printed next."""
    stream = Terminal()
    with pytest.raises(KeyError), Screen(stream=stream) as screen:
        screen.show(progress(100))
        raise KeyError

    assert stream.lines() == [""]


def test_steps_that_are_counted_have_a_bar() -> None:
    """Rules of a check, which have a number and no rows, are drawn by their number."""
    stream = Terminal()
    Screen(stream=stream).show(Event(stage="check", message="one-version", done=49, total=98))

    assert stream.lines() == ["check [##########..........] 50 % one-version"]


def test_without_a_share_there_is_no_bar() -> None:
    """Where nobody knows the whole, rows and rate stand in the line alone."""
    stream = Terminal()
    Screen(stream=stream).show(Event(stage="dump", message="5 rows, 1 rows/s", done=5, rate=1.0))

    assert stream.lines() == ["dump: 5 rows, 1 rows/s"]


def test_long_and_hostile_messages_stay_in_the_line() -> None:
    """A message is cut at the width of the terminal, and can't steer it."""
    stream = Terminal()
    Screen(stream=stream).show(progress(10, message="\x1b[2J\n" + "x" * 500))

    (line,) = stream.lines()
    assert len(line) == 79
    assert "\x1b" not in line


def test_plain_lines_come_seldom() -> None:
    """Elsewhere lines come with a second between them at least, then with a tenth of the time so far."""
    stream, clock = io.StringIO(), Clock()
    screen = Screen(stream=stream, clock=clock)
    for number in range(3600 * 8):
        screen.show(
            Event(stage="dump", message=f"{number / 8}", done=number, total=3600 * 8, share=number / 3600 / 8, rate=1.0)
        )
        clock.now += 1 / 8

    at = [float(line.removeprefix("dump: ")) for line in stream.getvalue().splitlines()]
    assert at[:5] == [1, 2, 3, 4, 5]
    assert 50 < len(at) < 80
    assert all(1 <= later - earlier <= max(1, 0.1 * later) + 0.2 for earlier, later in pairwise(at))


def test_plain_steps_are_all_shown() -> None:
    """Steps and warnings are never left out, and each stage's lines begin anew."""
    stream, clock = io.StringIO(), Clock()
    screen = Screen(stream=stream, clock=clock)
    screen.show(Event(stage="dump", message="begin"))
    screen.show(progress(1))
    screen.show(Event(stage="dump", message="end", done=5))
    screen.show(Event(stage="verify", message="lost", warning=True))

    assert stream.getvalue() == "dump: begin\ndump: end\nwarning: lost\n"


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()], ids=["terminal", "plain"])
def test_quiet_is_warnings_only(stream: io.StringIO) -> None:
    """With -q there is no progress and no step, on a terminal or elsewhere."""
    clock = Clock()
    with Screen(quiet=True, stream=stream, clock=clock) as screen:
        for number in range(100):
            screen.show(progress(number))
            screen.show(Event(stage="dump", message="step"))
            clock.now += 10
        screen.show(Event(stage="dump", message="x", warning=True))

    assert stream.getvalue() == "warning: x\n"


def test_a_dumb_terminal_has_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """TERM=dumb is no place for a bar."""
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    Screen(stream=stream).show(progress(5))

    assert stream.getvalue() == ""


def test_a_stream_that_is_gone_does_not_end_the_job() -> None:
    """When nobody reads standard error any more, events are dropped."""
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w", buffering=1)
    with Screen(stream=stream) as screen:
        screen.show(Event(stage="dump", message="x"))
        screen.show(Event(stage="dump", message="y", warning=True))
    with pytest.raises(BrokenPipeError):
        stream.close()


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A backup of some blocks, each of which is told as if much time had passed."""
    monkeypatch.setattr("dlbackup.runtime.progress.REPORT_S", 0.0)
    monkeypatch.setattr("dlbackup.cli.terminal._LINE_S", 0.0)
    monkeypatch.setattr("dlbackup.cli.terminal._LINE_SHARE", 0.0)
    path = tmp_path / "backup"
    table = Table(name="ducklake_many", columns=(Column(name="n", type="bigint"), Column(name="t", type="text")))
    write_backup(path, [*small(), (table, [b"%d,'%s'\n" % (n, b"x" * 50) for n in range(5000)])])
    return path


def test_the_command_draws_a_bar_on_a_terminal(told: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """`verify` on a real terminal draws a bar over itself, takes it away, and prints its result."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w", buffering=1) as terminal, redirect_stderr(terminal):
        assert main(["verify", str(told)]) == 0
    shown = b""
    with suppress(OSError):  # the other end is closed
        while some := os.read(ours, 4096):
            shown += some
    os.close(ours)

    assert "good" in capfd.readouterr().out
    drawn = re.findall(rb"verify \[[#.]{20}\] +\d+ % [\d,]+ of 5,004 rows, [\d,]+ rows/s", shown)
    assert len(drawn) > 3
    assert b"\n" not in shown
    assert shown.endswith(b" \r")


@pytest.mark.parametrize("option", ["-q", "--json"])
def test_the_command_writes_plain_lines_elsewhere(told: Path, cli: Cli, option: str) -> None:
    """Where standard error is no terminal, nothing but whole lines comes, and with -q nothing at all."""
    done = cli("verify", told, option)

    assert done.exit_code == 0
    assert "\r" not in done.stderr
    lines = done.stderr.splitlines()
    line = re.compile(r"verify: [\d,]+ of 5,004 rows, [\d,]+ rows/s(, about .* left)?")
    assert [text for text in lines if option == "-q" or not line.fullmatch(text)] == []
    assert (len(lines) > 3) == (option == "--json")
