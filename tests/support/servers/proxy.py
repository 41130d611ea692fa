"""A TCP proxy before a server that cuts, stalls or refuses connections once so many bytes have passed.

All connections through it count together, so that a fault may strike any session of a command, or of its
engine, at any moment of the work.
"""

import asyncio
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from support.servers.serving import Serving, redirected

__all__ = ["Direction", "Fault", "Proxy"]

Direction = Literal["up", "down"]
"""`up` is to the server."""

Fault = Literal["reset", "close", "one", "gone", "stall"]
"""
What happens when the count is reached.

reset, close: all connections end, by RST or by FIN; new ones are accepted.
one: only the connection whose byte it was ends, by RST.
gone: all connections end, and new ones are refused as if there were no server.
stall: nothing passes any more in either direction, for new connections too.
"""

_PIECE = 1 << 16
_KEY_DATA = b"K" + struct.pack("!i", 12)
"""How BackendKeyData begins; the process id comes next."""
# SO_LINGER without time: closing sends RST.
_LINGER = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter

    def end(self, *, reset: bool) -> None:
        for writer in (self.client, self.server):
            if reset:
                end: socket.socket = writer.get_extra_info("socket")
                with suppress(OSError):  # closed already
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
                writer.transport.abort()
            else:
                writer.close()


class Proxy(Serving):
    """
    Passes everything on until `strike` says otherwise.

    Args:
        own_pids: clients are told a process id that the proxy made up, as some managed servers do.
    """

    def __init__(self, host: str, port: int, *, own_pids: bool = False) -> None:
        super().__init__()
        self._own_pids = own_pids
        self._where = (host, port)
        self._pairs: set[_Pair] = set()
        self._to_server: list[asyncio.StreamWriter] = []
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._fault: Fault = "reset"
        self._rest: dict[Direction, int] = {}
        self._at_message = 0
        self.messages = 0
        """Pieces that clients have sent so far: one for each time that one asks and then waits, or near to it."""
        self.passed: dict[Direction, int] = {"up": 0, "down": 0}
        """Bytes that passed so far."""
        self.struck = threading.Event()
        """Whether the fault has happened."""

    def url_of(self, url: str) -> str:
        """Return the URL of a database behind the proxy."""
        return redirected(url, self.port)

    def strike(self, fault: Fault, direction: Direction, after_bytes: int) -> None:
        """Let a fault happen, once, when so many more bytes have passed in a direction."""
        self._fault, self._rest = fault, {direction: after_bytes}

    def strike_at_message(self, fault: Fault, number: int) -> None:
        """Let a fault happen, once, before the message of that number, counted from the first, is passed on."""
        self._fault, self._at_message = fault, number

    def go_on(self) -> None:
        """End a stall as if nothing had been."""
        self.ask(self._go_on())

    async def _go_on(self) -> None:
        self._flowing.set()

    def heal(self) -> None:
        """End a stall by cutting all that stood still, and let connections through again."""
        self.ask(self._heal())

    async def _heal(self) -> None:
        self._end_all(reset=True)
        self._flowing.set()
        self.stop_listening()
        await self._listen()

    async def close(self) -> None:
        """End connections to the server that wait for it to take their last bytes."""
        for writer in self._to_server:
            writer.transport.abort()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass bytes on in both directions until either end closes."""
        server_reader, server_writer = await asyncio.open_connection(*self._where)
        self._to_server.append(server_writer)
        pair = _Pair(writer, server_writer)
        self._pairs.add(pair)
        pumps = [
            asyncio.ensure_future(self._pump(pair, "up", reader, server_writer)),
            asyncio.ensure_future(self._pump(pair, "down", server_reader, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._pairs.discard(pair)
            pair.end(reset=False)

    async def _pump(
        self, pair: _Pair, direction: Direction, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        made_up = self._own_pids and direction == "down"
        while data := await source.read(_PIECE):
            await self._flowing.wait()
            if made_up and _KEY_DATA in data:
                at = data.index(_KEY_DATA) + len(_KEY_DATA)
                data, made_up = data[:at] + struct.pack("!i", 1_000_000 + at) + data[at + 4 :], False
            if direction == "up":
                self.messages += 1
                if self.messages == self._at_message:
                    self._strike(pair)
                    await self._flowing.wait()
            rest = self._rest.get(direction)
            if rest is not None and len(data) >= rest:
                self._rest = {}
                sink.write(data[:rest])
                await sink.drain()
                self._strike(pair)
                await self._flowing.wait()
                data = data[rest:]
            elif rest is not None:
                self._rest = {direction: rest - len(data)}
            self.passed[direction] += len(data)
            sink.write(data)
            await sink.drain()

    def _strike(self, pair: _Pair) -> None:
        match self._fault:
            case "stall":
                self._flowing.clear()
            case "one":
                pair.end(reset=True)
            case "gone":
                self.stop_listening()
                self._end_all(reset=True)
            case fault:
                self._end_all(reset=fault == "reset")
        self.struck.set()

    def _end_all(self, *, reset: bool) -> None:
        for pair in list(self._pairs):
            pair.end(reset=reset)
