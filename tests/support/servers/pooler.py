"""
A connection pooler in transaction mode, as far as a client can tell: PgBouncer for tests.

Compared by hand with Debian 12's PgBouncer 1.18.0 and pool_mode=transaction: a client is told a process id and
a key that no server has; each transaction gets the server connection that was idle last, which keeps what a session SET
(DISCARD is not sent); parameters that servers report are set again for each client; startup parameters such
as `options` are refused in the same words; a cancel goes to the server that works for the client; a client that
leaves in the middle of a transaction costs the server connection. Passwords are asked for in clear.
"""

import asyncio
import os
import secrets
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from support.servers.postgres import Server
from support.servers.serving import Serving, redirected

__all__ = ["Pooler"]

_CANCEL, _NO_ENCRYPTION = 80877102, (80877103, 80877104)
_TRACKED = ("client_encoding", "datestyle", "timezone", "standard_conforming_strings", "application_name")
_KNOWN = {"user", "database", *_TRACKED}
_REPORTED = (
    "server_version",
    "server_encoding",
    "client_encoding",
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "integer_datetimes",
    "standard_conforming_strings",
)
_READY = b"Z"
# After these the server answers with one ReadyForQuery each.
_ASKS = frozenset(b"QSF")

_Parameters = dict[str, str]


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def _error(severity: str, code: str, text: str) -> bytes:
    fields = {b"S": severity, b"V": severity, b"C": code, b"M": text}
    return _message(b"E", b"".join(key + value.encode() + b"\0" for key, value in fields.items()) + b"\0")


async def _messages(reader: asyncio.StreamReader) -> AsyncIterator[tuple[bytes, bytes]]:
    while True:
        head = await reader.readexactly(5)
        yield head[:1], await reader.readexactly(struct.unpack("!i", head[1:])[0] - 4)


@dataclass(slots=True, eq=False)
class _Backend:
    """A server connection. psycopg logged in; it is never used for anything else, only kept."""

    owner: "psycopg.Connection[Any]"
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    parameters: _Parameters

    def close(self) -> None:
        self.writer.transport.abort()
        self.owner.close()


@dataclass(slots=True, eq=False)
class _Client:
    parameters: _Parameters
    backend: _Backend | None = None
    unanswered: int = 0


class Pooler(Serving):
    """Shares so many server connections to each database among all clients."""

    def __init__(self, server: Server, size: int = 3) -> None:
        super().__init__()
        self._server, self._size = server, size
        self._idle: dict[str, asyncio.LifoQueue[_Backend | None]] = {}
        self._clients: dict[bytes, _Client] = {}

    def url_of(self, url: str) -> str:
        """Return the URL of a database behind the pooler."""
        return redirected(url, self.port)

    async def close(self) -> None:
        """Close the server connections."""
        for idle in self._idle.values():
            while not idle.empty():
                if backend := idle.get_nowait():
                    backend.close()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Log a client in and serve its transactions."""
        started = await self._startup(reader, writer)
        if started is None or not await self._let_in(started, reader, writer):
            return
        key = secrets.token_bytes(8)
        client = self._clients[key] = _Client({k.lower(): v for k, v in started.items() if k.lower() in _TRACKED})
        database = started.get("database", started["user"])
        backend = await self._take(client, database)
        said = {name: backend.owner.info.parameter_status(name) or "" for name in _REPORTED}
        await self._give_back(client, database)
        statuses = [_message(b"S", f"{name}\0{value}\0".encode()) for name, value in said.items()]
        writer.write(b"".join(statuses) + _message(b"K", key) + _message(_READY, b"I"))
        answers: asyncio.Task[None] | None = None
        try:
            async for kind, body in _messages(reader):
                if kind == b"X":
                    break
                if client.backend is None:
                    client.backend = await self._take(client, database)
                    answers = asyncio.ensure_future(self._answer(client, database, writer))
                client.unanswered += kind[0] in _ASKS
                client.backend.writer.write(_message(kind, body))
                await client.backend.writer.drain()
        finally:
            del self._clients[key]
            if answers:
                answers.cancel()
                await asyncio.gather(answers, return_exceptions=True)
            if client.backend:
                client.backend.close()
                self._idle[database].put_nowait(None)

    async def _startup(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> _Parameters | None:
        while True:
            length, code = struct.unpack("!ii", await reader.readexactly(8))
            body = await reader.readexactly(length - 8)
            if code == _CANCEL:
                await self._cancel(body)
                return None
            if code not in _NO_ENCRYPTION:
                words = body.split(b"\0")
                return {
                    key.decode(): value.decode() for key, value in zip(words[::2], words[1::2], strict=False) if key
                }
            writer.write(b"N")

    async def _let_in(
        self, started: Mapping[str, str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        for name in started:
            if name.lower() not in _KNOWN:
                writer.write(_error("FATAL", "08P01", f"unsupported startup parameter: {name}"))
                await writer.drain()
                return False
        writer.write(_message(b"R", struct.pack("!i", 3)))
        async for _, body in _messages(reader):
            if body.rstrip(b"\0").decode() == self._server.password:
                writer.write(_message(b"R", struct.pack("!i", 0)))
                return True
            break
        writer.write(_error("FATAL", "28P01", "password authentication failed"))
        await writer.drain()
        return False

    async def _cancel(self, key: bytes) -> None:
        client = self._clients.get(key)
        if client and client.backend:
            await asyncio.to_thread(client.backend.owner.cancel)

    async def _take(self, client: _Client, database: str) -> _Backend:
        """Wait for an idle server connection and give it the client's parameters."""
        if database not in self._idle:
            self._idle[database] = asyncio.LifoQueue()
            for _ in range(self._size):
                self._idle[database].put_nowait(None)
        backend = await self._idle[database].get()
        if backend is None:
            backend = await self._connect(database)
        client.backend = backend
        wanted = {name: value for name, value in client.parameters.items() if backend.parameters.get(name) != value}
        if wanted:
            text = "; ".join(f"SET {name} = '{value}'" for name, value in wanted.items())
            backend.writer.write(_message(b"Q", text.encode() + b"\0"))
            backend.parameters |= wanted
            async for kind, _ in _messages(backend.reader):
                if kind == _READY:
                    break
        return backend

    async def _give_back(self, client: _Client, database: str) -> None:
        if client.backend:
            self._idle[database].put_nowait(client.backend)
            client.backend = None

    async def _connect(self, database: str) -> _Backend:
        text = make_conninfo(self._server.url_of(database), sslmode="disable", gssencmode="disable")
        owner: psycopg.Connection[Any] = await asyncio.to_thread(psycopg.connect, text, autocommit=True)
        line = socket.socket(fileno=os.dup(owner.fileno()))
        line.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=line)
        return _Backend(owner, reader, writer, {})

    async def _answer(self, client: _Client, database: str, writer: asyncio.StreamWriter) -> None:
        """Pass on what the server says until it waits for the next transaction, then give it back."""
        backend = client.backend
        if backend is None:
            return
        try:
            async for kind, body in _messages(backend.reader):
                if kind == b"S":
                    name, value = body.rstrip(b"\0").decode().split("\0")
                    self._note(client, backend, name.lower(), value)
                if kind == _READY:
                    client.unanswered -= 1
                if kind == _READY and body == b"I" and client.unanswered == 0:
                    await self._give_back(client, database)
                    writer.write(_message(kind, body))
                    return
                writer.write(_message(kind, body))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            writer.close()  # the server ended the session

    @staticmethod
    def _note(client: _Client, backend: _Backend, name: str, value: str) -> None:
        if name in _TRACKED:
            client.parameters[name] = backend.parameters[name] = value
