"""A DuckDB file served by Quack, in a process of its own."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlbackup.runtime.child import Child
from support.engines.engines import Engine, with_quack

__all__ = ["QuackServer", "serving"]

_PROGRAM = Path(__file__).parents[1] / "engines" / "quack_program.py"


@dataclass(frozen=True, slots=True)
class QuackServer:
    """One that runs; only this machine reaches it."""

    child: Child
    port: int
    token: str

    @property
    def url(self) -> str:
        """Its address."""
        return f"quack:localhost:{self.port}"

    def execute(self, sql: str) -> Any:
        """Execute a statement in the server's own process; return the rows, or the words of an error."""
        self.child.say(json.dumps(sql).encode() + b"\n")
        return json.loads(self.child.says.readline())


@contextmanager
def serving(path: Path, by: Engine) -> Iterator[QuackServer]:
    """Serve a file for the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with Child([str(with_quack(by).python), str(_PROGRAM), str(path), str(port)]) as child:
        token = json.loads(child.says.readline())
        yield QuackServer(child, port, token)
        child.finish()
