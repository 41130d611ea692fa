"""An HTTP proxy before an object storage that answers chosen requests with errors of its own, or by half."""

import asyncio
import itertools
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Literal

from support.servers.serving import Serving

__all__ = ["SLOWLY_S", "Chosen", "Failing", "Half", "from_the"]

_BODY = b"<Error><Code>%s</Code><Message>made up</Message></Error>"
Chosen = Callable[[str, str], bool]
"""Of a request's method and path with query."""
Half = Literal["cut", "short", "silent", "slow"]
"""
What comes after half of an answer's body: the end of the connection; its end, with a header that says no more was to
come; nothing, as long as the client waits; the rest, after `SLOWLY_S`, which is how long the head took, too.
"""
SLOWLY_S = 0.4


def from_the(first: int) -> Chosen:
    """Choose every request from the one of that number on."""
    numbers = itertools.count(1)
    return lambda method, path: next(numbers) >= first


class Failing(Serving):
    """
    Passes requests on, one for each connection, but for those that are chosen to fail.

    Args:
        server: the port of the storage.
        chosen: which requests fail.
        status: what they are answered; or what comes after half of the storage's answer.
        times: how often, until all pass again.
        after: whether the storage does what was asked before the answer is exchanged.
    """

    def __init__(
        self, server: int, chosen: Chosen, status: int | Half = 503, *, times: int = 1 << 30, after: bool = False
    ) -> None:
        super().__init__()
        self._server, self._chosen, self._status, self._times, self._after = server, chosen, status, times, after
        self.failed: list[str] = []
        """What was answered with an error: methods and paths."""
        self.asked = 0
        """How many requests there were."""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one request."""
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        size = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        body = await reader.readexactly(int(size[1])) if size else b""
        fails = len(self.failed) < self._times and self._chosen(method, path)
        if fails:
            self.failed.append(f"{method} {path}")
        by_half = isinstance(self._status, str)
        answer = b"" if fails and not self._after and not by_half else await self._asked(head, body)
        if fails and self._status == "slow":
            await asyncio.sleep(SLOWLY_S)
            half = (len(answer) + answer.index(b"\r\n\r\n") + 4) // 2
            writer.write(answer[:half])
            await writer.drain()
            await asyncio.sleep(SLOWLY_S)
            answer = answer[half:]
        elif fails:
            answer = self._failure(method, answer)
        writer.write(answer)
        await writer.drain()
        if fails and self._status == "silent":
            await reader.read()
        writer.close()
        await writer.wait_closed()

    def _failure(self, method: str, answer: bytes) -> bytes:
        if isinstance(self._status, str):
            head, _, body = answer.partition(b"\r\n\r\n")
            half = body[: len(body) // 2]
            if self._status == "short" and body:
                head = re.sub(rb"(?i)(content-length): *\d+", rb"\1: %d" % len(half), head)
            return head + b"\r\n\r\n" + half
        status = HTTPStatus(self._status)
        text = b"" if method == "HEAD" else _BODY % status.phrase.replace(" ", "").encode()
        line = f"HTTP/1.1 {self._status} {status.phrase}\r\nConnection: close\r\nContent-Length: {len(text)}\r\n\r\n"
        return line.encode() + text

    async def _asked(self, head: bytes, body: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._server)
        try:
            writer.write(re.sub(rb"(?i)\r\nconnection: [^\r]*", b"", head)[:-2] + b"Connection: close\r\n\r\n" + body)
            await writer.drain()
            return await reader.read()
        finally:
            writer.transport.abort()
