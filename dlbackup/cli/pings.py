"""
Pings to a service that watches jobs, in the form that healthchecks services take.

`URL/start` when a command begins, and when it has ended `URL` or `URL/<exit code>`, with the command's JSON as the
body; what a URL asks for after `?` stays. A service that doesn't answer is a warning: nobody's backup fails for it.
"""

import json
import time
import urllib.error
import urllib.request
import uuid
from http.client import HTTPException
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from dlbackup.runtime.progress import Event, OnEvent

_TIMEOUT_S = 5.0
_WAITS_S = (0.0, 1.0, 4.0)
"""Before each attempt to say how a command ended."""
_BODY_BYTES = 100_000
"""What such services keep of a body."""


class Pings:
    """
    What is said of one run of a command.

    Args:
        url: the check's; it is a secret, and never printed but for its host.
    """

    def __init__(self, url: str, on_event: OnEvent) -> None:
        self._parts, self._on_event = urlsplit(url), on_event
        self._run = str(uuid.uuid4())

    def begun(self) -> None:
        """Say that the command begins; asked once, since a job waits for the answer."""
        self._say("start", b"", (0.0,))

    def ended(self, exit_code: int, answer: dict[str, Any]) -> None:
        """Say how it ended."""
        body = json.dumps(answer, ensure_ascii=False).encode()[:_BODY_BYTES]
        self._say(str(exit_code) if exit_code else "", body, _WAITS_S)

    def _say(self, what: str, body: bytes, waits_s: tuple[float, ...]) -> None:
        reason = ""
        for wait_s in waits_s:
            time.sleep(wait_s)
            request = urllib.request.Request(self._url(what), data=body, method="POST")  # noqa: S310 - see `ping_url`
            request.add_header("Content-Type", "application/json")
            try:
                with urllib.request.urlopen(request, timeout=_TIMEOUT_S):  # noqa: S310
                    return
            except (OSError, HTTPException) as exc:
                reason = str(getattr(exc, "reason", exc)) or type(exc).__name__
        text = f"{self._parts.hostname} was not told ({what or 'success'}): {reason}"
        self._on_event(Event(stage="ping", message=text, warning=True))

    def _url(self, what: str) -> str:
        parts = self._parts
        path = "/".join([parts.path.rstrip("/"), what]) if what else parts.path
        query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), ("rid", self._run)])
        return urlunsplit((parts.scheme, parts.netloc, path, query, ""))
