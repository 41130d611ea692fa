"""
An S3 server for tests: rclone from PyPI, which serves a folder, keeps a bucket in each folder in it, and refuses keys
that aren't its own.
"""

import secrets
import shutil
import socket
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from support.engines.engines import Engine, Options, engine_of, with_httpfs
from support.engines.quoting import text_literal
from support.servers.reaper import Reaper
from support.waiting import wait_until

__all__ = ["BUCKET", "ObjectStore", "StoreEngine", "object_store"]

BUCKET = "lakes"
REGION = "eu-test-1"


@dataclass(frozen=True, slots=True)
class StoreEngine(Engine):
    """An engine that gets into the store with each ATTACH."""

    secret: str = field(repr=False)

    def attach_statement(
        self,
        url: str,
        metadata_schema: str | None = None,
        *,
        data_path: Path | str | None = None,
        options: Options | None = None,
    ) -> str:
        """Return the statement that makes the secret, and the ATTACH."""
        attach = Engine.attach_statement(self, url, metadata_schema, data_path=data_path, options=options)
        return f"{self.secret}; {attach}"


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """A server that runs; what it holds are files in `folder`."""

    port: int
    folder: Path
    key_id: str
    key: str = field(repr=False)

    @property
    def endpoint(self) -> str:
        """Host and port, as a DuckDB secret wants them."""
        return f"127.0.0.1:{self.port}"

    def secret(self, *, key: str | None = None) -> str:
        """Return the statement with which DuckDB gets in."""
        words = {"KEY_ID": self.key_id, "SECRET": key or self.key, "ENDPOINT": self.endpoint, "REGION": REGION}
        listed = ", ".join(f"{name} {text_literal(value)}" for name, value in words.items())
        return f"CREATE OR REPLACE SECRET lakes (TYPE s3, {listed}, URL_STYLE 'path', USE_SSL false)"

    def environment(self) -> dict[str, str]:
        """Return the variables with which the cloud's own tools get in."""
        return {
            "AWS_ACCESS_KEY_ID": self.key_id,
            "AWS_SECRET_ACCESS_KEY": self.key,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": f"http://{self.endpoint}",
        }

    def engine(self, spec: str) -> StoreEngine:
        """Return the engine that writes that spec version, with what it takes to work in the store."""
        made = with_httpfs(engine_of(spec))
        return StoreEngine(made.version, made.spec, made.python, self.secret())

    def file(self, url: str) -> Path:
        """Return the file that an object is here."""
        return self.folder / url.removeprefix("s3://")


@contextmanager
def object_store() -> Iterator[ObjectStore]:
    """Serve an empty folder with one bucket on a free port, until the block ends."""
    rclone = Path(sysconfig.get_path("scripts")) / "rclone"
    folder = Path(tempfile.mkdtemp(prefix="dlbackup-store-"))
    (folder / BUCKET).mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = ObjectStore(port, folder, "lakekeeper", secrets.token_hex(16))
    # What tests do to the folder is seen at once; with 0 rclone would keep a core busy from the first request on.
    command = [str(rclone), "serve", "s3", str(folder), "--addr", store.endpoint, "--dir-cache-time", "50ms"]
    configured = {"RCLONE_AUTH_KEY": f'"{store.key_id},{store.key}"', "RCLONE_CONFIG": "/dev/null"}
    with Reaper() as reaper:
        process = subprocess.Popen(command, env=configured, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        reaper.watch_process(process.pid, "rclone", folder)
        try:
            wait_until(lambda: process.poll() is not None or _answers(port))
            if process.poll() is not None:
                said = process.stderr.read().decode() if process.stderr else ""
                raise RuntimeError(f"rclone ended: {said[-2000:]}")
            yield store
        finally:
            process.kill()
            process.wait()
            if process.stderr:
                process.stderr.close()
            shutil.rmtree(folder)


def _answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
