"""
Who else is told how a command went: a service that watches jobs, and people when it changes.

Pings have the form that healthchecks services take: `URL/start` when a command begins, and when it has ended `URL` or
`URL/<exit code>`, with the command's JSON as the body; what a URL asks for after `?` stays. A notice goes to a webhook
when a job fails that went well before, or the other way round. Whoever doesn't answer is a warning: nobody's backup
fails for it. URLs are secrets, and never printed but for their hosts.
"""

import base64
import hashlib
import json
import os
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from dlbackup.errors import StorageError, masked
from dlbackup.runtime.progress import Event, OnEvent
from dlbackup.stores.files import make_folder, rewrite

_TIMEOUT_S = 5.0
_WAITS_S = (0.0, 1.0, 4.0)
"""Before each attempt to say how a command ended."""
_BODY_BYTES = 100_000
"""What such services keep of a body."""


class Pings:
    """What a service is told of one run of a command; `url` is that of its check."""

    def __init__(self, url: str, on_event: OnEvent) -> None:
        self._parts, self._on_event = urlsplit(url), on_event
        self._run = str(uuid.uuid4())

    def begun(self) -> None:
        """Say that the command begins; asked once, since a job waits for the answer."""
        self._say("start", b"", (0.0,))

    def ended(self, exit_code: int, answer: dict[str, Any]) -> None:
        """Say how it ended."""
        body = _as_json(answer)[:_BODY_BYTES]
        self._say(str(exit_code) if exit_code else "", body, _WAITS_S)

    def _say(self, what: str, body: bytes, waits_s: Sequence[float]) -> None:
        if reason := _posted(self._url(what), body, waits_s):
            text = f"{self._parts.hostname} was not told ({what or 'success'}): {reason}"
            self._on_event(Event(stage="ping", message=text, warning=True))

    def _url(self, what: str) -> str:
        parts = self._parts
        path = "/".join([parts.path.rstrip("/"), what]) if what else parts.path
        query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), ("rid", self._run)])
        return urlunsplit((parts.scheme, parts.netloc, path, query, ""))


class Notices:
    """
    What a webhook is told when the state of a job changes.

    The state before is kept in a file of this user on this machine, `$XDG_STATE_HOME/dlbackup/` or
    `~/.local/state/dlbackup/`; a job that was never seen to fail counts as one that went well.

    Args:
        job: the command and what it was given, as text; without passwords.
    """

    def __init__(self, url: str, job: Sequence[str], on_event: OnEvent) -> None:
        self._url, self._job, self._on_event = url, masked(" ".join(job)), on_event
        base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
        key = hashlib.sha256(f"{url}\n{self._job}".encode()).hexdigest()[:16]
        self._file = Path(base) / "dlbackup" / f"{key}.state"

    def ended(self, exit_code: int, answer: dict[str, Any]) -> None:
        """Tell of a change, and remember the state once it was told: what was not, the next run tells."""
        now = "failed" if exit_code else "ok"
        try:
            if now == self._before():
                return
            event = "failed" if exit_code else "recovered"
            about = {"event": event, "job": self._job, "exit_code": exit_code, "at": datetime.now(UTC).isoformat()}
            body = _as_json({**about, "result": answer})
            if reason := _posted(self._url, body, _WAITS_S):
                self._warn(f"{urlsplit(self._url).hostname} was not told ({event}): {reason}")
                return
            make_folder(self._file.parent)
            rewrite(self._file, now.encode())
        except (OSError, StorageError) as exc:
            self._warn(f"the state of this job can't be kept, so a webhook may be told twice: {exc}")

    def _before(self) -> str:
        return self._file.read_text() if self._file.exists() else "ok"

    def _warn(self, text: str) -> None:
        self._on_event(Event(stage="notify", message=text, warning=True))


def _as_json(answer: dict[str, Any]) -> bytes:
    """Return JSON; what is no text in the name of a file has an escape of JSON's own."""
    return json.dumps(answer, ensure_ascii=False).encode(errors="backslashreplace")


def _posted(url: str, body: bytes, waits_s: Sequence[float]) -> str:
    """Post JSON, several times if need be; return why it was not taken, or nothing."""
    reason = ""
    for wait_s in waits_s:
        time.sleep(wait_s)
        try:
            with urllib.request.urlopen(_request(url, body), timeout=_TIMEOUT_S):  # noqa: S310
                return ""
        except (OSError, HTTPException) as exc:
            reason = str(getattr(exc, "reason", exc)) or type(exc).__name__
    return reason


def _request(url: str, body: bytes) -> urllib.request.Request:
    """Return what posts JSON; user and password of a URL go into a header of their own, and to nobody else."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    whole = urlunsplit(parts._replace(netloc=host))
    request = urllib.request.Request(whole, data=body, method="POST")  # noqa: S310 - see `usage.web_url`
    request.add_header("Content-Type", "application/json")
    if at:
        name, _, password = user.partition(":")
        given = base64.b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {given}")
    return request
