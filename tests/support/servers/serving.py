"""An asyncio server on this machine in a thread of its own: what proxies for tests are made of."""

import asyncio
import re
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from support.waiting import PATIENCE_S

__all__ = ["Serving", "redirected"]

_Result = TypeVar("_Result")


class Serving:
    """A server that listens on a free port while the block lasts; `handle` gets each connection."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._listener: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        raise NotImplementedError

    async def open(self) -> None:
        """Make what is needed before the first connection."""

    async def close(self) -> None:
        """Give back what `open` made."""

    def __enter__(self) -> Self:
        self._thread.start()
        self.ask(self.open())
        self.ask(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ask(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    def ask(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Do something in the server's thread and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)

    def tell(self, work: Callable[[], object]) -> None:
        """Have something done in the server's thread, some time soon."""
        self._loop.call_soon_threadsafe(work)

    def stop_listening(self) -> None:
        """Refuse connections from here on; those that are open stay. Called in the server's thread."""
        if self._listener is not None:
            self._listener.close()

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._begin, "127.0.0.1", self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self.handle(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # either side went away
        finally:
            writer.transport.abort()

    async def _end(self) -> None:
        self.stop_listening()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.close()
        await asyncio.sleep(0)  # let aborted transports close their sockets


def redirected(url: str, port: int) -> str:
    """Return the URL with another server's port, on this machine."""
    return re.sub(r"@[^/]*/", f"@127.0.0.1:{port}/", url)
