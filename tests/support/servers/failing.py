"""An HTTP proxy before an object storage that answers chosen requests with errors of its own."""

import asyncio
import re
from collections.abc import Callable
from http import HTTPStatus

from support.servers.serving import Serving

__all__ = ["Failing"]

_BODY = b"<Error><Code>%s</Code><Message>made up</Message></Error>"
Chosen = Callable[[str, str], bool]
"""Of a request's method and path with query."""


class Failing(Serving):
    """
    Passes requests on, one for each connection, but for those that are chosen to fail.

    Args:
        server: the port of the storage.
        chosen: which requests fail.
        status: what they are answered.
        times: how often, until all pass again.
        after: whether the storage does what was asked before the answer is exchanged.
    """

    def __init__(
        self, server: int, chosen: Chosen, status: int = 503, *, times: int = 1 << 30, after: bool = False
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
        answer = b"" if fails and not self._after else await self._asked(head, body)
        if fails:
            self.failed.append(f"{method} {path}")
            status = HTTPStatus(self._status)
            text = b"" if method == "HEAD" else _BODY % status.phrase.replace(" ", "").encode()
            line = (
                f"HTTP/1.1 {self._status} {status.phrase}\r\nConnection: close\r\nContent-Length: {len(text)}\r\n\r\n"
            )
            answer = line.encode() + text
        writer.write(answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def _asked(self, head: bytes, body: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._server)
        try:
            writer.write(re.sub(rb"(?i)\r\nconnection: [^\r]*", b"", head)[:-2] + b"Connection: close\r\n\r\n" + body)
            await writer.drain()
            return await reader.read()
        finally:
            writer.transport.abort()
