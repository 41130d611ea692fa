"""--ping tells a service that watches jobs how a command went, and never fails it."""

import json
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.servers.pinged import Service, pinged

import dlbackup
from dlbackup.cli import told
from dlbackup.cli.command import main


@pytest.fixture
def service() -> Iterator[Service]:
    """A service on a free port."""
    with pinged() as server:
        yield server


def _dump_nowhere(url: str) -> int:
    return main(["dump", "postgres:host=/nonexistent dbname=x", "--ping", url])


def test_a_failure_is_told_with_its_exit_code(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """First the start, then the exit code with what --json would print; both of one run, and the URL's query stays."""
    assert _dump_nowhere(service.url) == 1

    (began, asked, nothing), (ended, again, answer) = service.told
    assert (began, ended, nothing) == ("/ping/a-secret/start", "/ping/a-secret/1", None)
    assert asked == again
    assert asked["create"] == ["1"]
    assert len(asked["rid"]) == 1
    assert (answer["exit_code"], answer["error"]["type"]) == (1, "Unreachable")
    assert "a-secret" not in "".join(capsys.readouterr())


def test_a_success_is_told(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The URL itself is asked when all went well, with the JSON of the result."""
    monkeypatch.setattr("dlbackup.drill", lambda *_, **__: _Done())
    monkeypatch.setattr("dlbackup.cli.reports.drilled", lambda _: "done")

    assert main(["drill", "one.sql.zst", "--ping", service.url]) == 0

    assert [(path, answer) for path, _, answer in service.told] == [
        ("/ping/a-secret/start", None),
        ("/ping/a-secret", {"ok": True}),
    ]


@dataclass
class _Done:
    ok: bool = True

    def raise_for_errors(self) -> "_Done":
        return self


def test_it_is_tried_again(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """How it ended is worth some attempts, that it began is not."""
    monkeypatch.setattr(told, "_WAITS_S", (0.0, 0.0, 0.0))
    service.fails = 3

    assert _dump_nowhere(service.url) == 1

    assert [path for path, _, _ in service.told] == ["/ping/a-secret/1"]


def test_nobody_s_backup_fails_for_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A service that can't be reached is a warning with its host, and the exit code stays."""
    monkeypatch.setattr(told, "_WAITS_S", (0.0,))

    assert _dump_nowhere("http://127.0.0.1:9/a-secret") == 1

    said = capsys.readouterr().err
    assert said.count("warning: 127.0.0.1 was not told") == 2
    assert "a-secret" not in said


def test_a_service_behind_a_password_is_told(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What stands before the host goes where HTTP has it, and is not printed, whether the service answers or not."""
    monkeypatch.setattr(told, "_WAITS_S", (0.0, 0.0))
    url = service.url.replace("//", "//us%40er:pass-word@")
    assert _dump_nowhere(url) == 1

    basic = b64encode(b"us@er:pass-word").decode()
    assert service.by == [f"Basic {basic}"] * 2
    service.fails = 9
    assert _dump_nowhere(url) == 1
    said = capsys.readouterr().err
    assert "127.0.0.1 was not told" in said
    assert "pass-word" not in said


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for what is kept between two runs."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(told, "_WAITS_S", (0.0,))
    return tmp_path / "state"


def test_a_webhook_hears_of_changes_only(
    service: Service, state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first failure, and that it went well again: not each night. Each job has a state of its own."""
    words = ["--notify", service.url]
    good: list[bool] = []

    def drill(*_: object, **__: object) -> _Done:
        if good:
            return _Done()
        raise dlbackup.StorageError("can't read it")

    monkeypatch.setattr("dlbackup.drill", drill)
    monkeypatch.setattr("dlbackup.cli.reports.drilled", lambda _: "done")

    def run(backup: str, *, ok: bool) -> list[tuple[str, str, int]]:
        good[:] = [True] if ok else []
        service.told.clear()
        assert main(["drill", backup, *words]) == (0 if ok else 1)
        return [(heard["event"], heard["job"], heard["exit_code"]) for _, _, heard in service.told]

    assert run("one", ok=True) == []
    assert run("one", ok=False) == [("failed", "drill one", 1)]
    assert service.told[0][2]["result"]["error"]["message"] == "can't read it"
    assert run("one", ok=False) == []
    assert run("two", ok=False) == [("failed", "drill two", 1)]
    assert run("one", ok=True) == [("recovered", "drill one", 0)]
    assert run("one", ok=True) == []
    assert "a-secret" not in "".join(capsys.readouterr())


def test_what_a_webhook_did_not_hear_the_next_run_tells(
    service: Service, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A webhook that is down is a warning, and hears of the failure the next time; no password goes there."""
    words = ["dump", "postgresql://u:pass-word@h.invalid/x?host=/nonexistent", "--notify", service.url]
    service.fails = 1

    assert main(words) == 1
    assert "127.0.0.1 was not told (failed)" in capsys.readouterr().err
    assert main(words) == 1

    ((_, _, heard),) = service.told
    assert heard["event"] == "failed"
    assert "pass-word" not in json.dumps(heard)
    assert [file.stat().st_mode & 0o77 for file in state.rglob("*.state")] == [0]


@pytest.mark.parametrize(
    "url",
    [
        "hc-ping.com/a-secret",
        "ftp://h/a-secret",
        "https:///a-secret",
        "x",
        "https://h/a-secret with space",
        "https://h/a-secret-ä",
        "https://h:a-secret/",
        "https://h/a-secret\r\nx",
    ],
)
def test_what_is_no_url_is_refused(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is done, and without the secret."""
    assert _dump_nowhere(url) == 2

    said = capsys.readouterr().err
    assert "argument --ping" in said
    assert "a-secret" not in said
