"""Real PostgreSQL servers for tests: which kind, which majors, and one of each per session.

PG_TEST_ENGINE   docker (fails without an engine), embedded, or auto: docker if an engine answers
PG_TEST_MAJORS   the majors under test, "14,16,18" unless set
PG_TEST_IMAGE    image name with {major} in it, the official one unless set
"""

import functools
import os
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Self

from dlbackup.servers.container import docker_answers
from support.servers.containers import serve_container, serve_standby
from support.servers.embedded import serve_embedded
from support.servers.postgres import Kind, Server
from support.servers.reaper import Reaper

__all__ = ["Server", "Servers", "describe", "majors", "middle_major"]


@functools.cache
def server_kind() -> Kind:
    """Say how servers are run here; raise LookupError when the wanted way is not to be had."""
    choice = os.environ.get("PG_TEST_ENGINE") or "auto"
    match choice:
        case "embedded":
            return "embedded"
        case "docker" | "auto":
            if docker_answers():
                return "docker"
            if choice == "docker":
                raise LookupError("PG_TEST_ENGINE=docker, but no Docker engine answers")
            return "embedded"
    raise LookupError(f"PG_TEST_ENGINE is docker, embedded or auto, not {choice!r}")


def majors() -> tuple[int, ...]:
    """Return the majors under test, ascending."""
    return tuple(sorted({int(word) for word in (os.environ.get("PG_TEST_MAJORS") or "14,16,18").split(",")}))


def middle_major() -> int:
    """Return the major for tests that need only one."""
    return majors()[len(majors()) // 2]


def describe() -> str:
    """Return the line for the head of pytest's output."""
    return f"PostgreSQL servers: {server_kind()}, majors {' '.join(map(str, majors()))}"


class Servers:
    """One server per major, started when first asked for and stopped at the end of the block."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._reaper: Reaper | None = None
        self._started: dict[int, Server] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def __getitem__(self, major: int) -> Server:
        if major not in self._started:
            serve = {"docker": serve_container, "embedded": serve_embedded}[server_kind()]
            self._started[major] = self._stack.enter_context(serve(major, self._reaping()))
        return self._started[major]

    def with_disk(self, major: int, path: str, options: str) -> AbstractContextManager[Server]:
        """Start a container of its own with a file system in memory at `path`; options are such as `size=24m`."""
        return serve_container(major, self._reaping(), {path: options})

    def with_settings(self, major: int, **settings: str) -> AbstractContextManager[Server]:
        """Start a container of its own with these settings of the server."""
        return serve_container(major, self._reaping(), settings=settings)

    def with_standby(self, primary: Server, **settings: str) -> AbstractContextManager[Server]:
        """Start a streaming standby, in a container of its own, of a server in one."""
        return serve_standby(primary, self._reaping(), settings)

    def with_copy(self, primary: Server, **settings: str) -> AbstractContextManager[Server]:
        """Start a base backup of a server, as of this moment and on the same timeline, in a container of its own."""
        return serve_standby(primary, self._reaping(), settings, follows=False)

    def _reaping(self) -> Reaper:
        if self._reaper is None:
            self._reaper = self._stack.enter_context(Reaper())
        return self._reaper
