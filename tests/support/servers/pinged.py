"""A service that watches jobs, for `--ping` and `--notify`: it remembers what it was told."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

__all__ = ["Service", "pinged"]


class Service(ThreadingHTTPServer):
    """
    A service that remembers what it was told: path, query and body, and by whom; `fails` times it says that it can't.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.told: list[tuple[str, dict[str, list[str]], Any]] = []
        self.by: list[str | None] = []
        self.fails = 0

    @property
    def url(self) -> str:
        """A check's URL."""
        return f"http://127.0.0.1:{self.server_port}/ping/a-secret?create=1"


class _Handler(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.fails:
            self.server.fails -= 1
            self.send_error(503)
            return
        parts = urlsplit(self.path)
        self.server.told.append((parts.path, parse_qs(parts.query), json.loads(body) if body else None))
        self.server.by.append(self.headers["Authorization"])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def pinged() -> Iterator[Service]:
    """Serve on a free port until the block ends."""
    with Service() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
