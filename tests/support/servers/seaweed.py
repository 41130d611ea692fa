"""An object storage for tests: SeaweedFS from PyPI, a real server that checks signatures, checksums and conditions."""

import json
import secrets
import shutil
import socket
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from obstore.store import S3Store

from support.servers.reaper import Reaper
from support.waiting import wait_until

__all__ = ["BUCKET", "Seaweed", "seaweed"]

BUCKET = "backups"


@dataclass(frozen=True, slots=True)
class Seaweed:
    """A server that runs, with the bucket `backups`."""

    port: int
    filer: int
    key: str = field(repr=False)

    def environment(self, port: int | None = None) -> dict[str, str]:
        """Return the variables with which the cloud's own tools get in, through another port if one is given."""
        return {
            "AWS_ACCESS_KEY_ID": "backups",
            "AWS_SECRET_ACCESS_KEY": self.key,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port or self.port}",
        }

    def bucket(self) -> S3Store:
        """Return a client of the bucket, to look at it without our own code."""
        environment = self.environment()
        return S3Store(
            BUCKET,
            access_key_id=environment["AWS_ACCESS_KEY_ID"],
            secret_access_key=self.key,
            endpoint=environment["AWS_ENDPOINT_URL"],
            region=environment["AWS_REGION"],
            client_options={"allow_http": True},
        )

    def uploads(self) -> frozenset[str]:
        """Return the uploads that were neither completed nor aborted; parts of killed ones may be on the way."""
        return frozenset(upload["FullPath"] for upload in self._entries(f"/buckets/{BUCKET}/.uploads/"))

    def stray_parts(self, before: frozenset[str]) -> list[int]:
        """Return the bytes of each part of the uploads that are there and were not before."""
        new = self.uploads() - before
        return [int(part["FileSize"]) for upload in new for part in self._entries(f"{upload}/")]

    def _entries(self, folder: str) -> list[dict[str, Any]]:
        """List a folder of what is below the storage."""
        url = f"http://127.0.0.1:{self.filer}{folder}?limit=10000"
        try:
            with urlopen(Request(url, headers={"Accept": "application/json"})) as answer:
                entries: list[dict[str, Any]] | None = json.load(answer)["Entries"]
        except HTTPError:  # there never was one
            return []
        return entries or []


@contextmanager
def seaweed() -> Iterator[Seaweed]:
    """Serve an empty object storage on free ports, until the block ends."""
    weed = Path(sysconfig.get_path("scripts")) / "weed"
    folder = Path(tempfile.mkdtemp(prefix="dlbackup-weed-"))
    key = secrets.token_hex(16)
    identity = {
        "name": "backups",
        "credentials": [{"accessKey": "backups", "secretKey": key}],
        "actions": ["Admin", "Read", "Write", "List"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    parts = ("master", "volume", "filer", "s3")
    ports = dict(zip([*parts, *(f"{part}.grpc" for part in parts)], _free_ports(8), strict=True))
    options = [f"-{part}.port={ports[part]}" for part in parts]
    options += [f"-{part}.port.grpc={ports[f'{part}.grpc']}" for part in parts]
    options += [
        "-volume.max=50",
        "-master.volumeSizeLimitMB=64",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-s3",
        "-filer",
    ]
    options += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"]
    options += [f"-s3.config={folder / 's3.json'}", f"-dir={folder}"]
    with Reaper() as reaper, (folder / "log").open("w") as log:
        process = subprocess.Popen([str(weed), "server", *options], cwd=folder, stdout=subprocess.DEVNULL, stderr=log)
        reaper.watch_process(process.pid, "weed", folder)
        try:
            wait_until(lambda: process.poll() is not None or "has 1 filer" in (folder / "log").read_text())
            wait_until(lambda: process.poll() is not None or _answers(ports["s3"]))
            if process.poll() is not None:
                raise RuntimeError(f"weed ended: {(folder / 'log').read_text()[-2000:]}")
            running = Seaweed(ports["s3"], ports["filer"], key)
            running.bucket().put("first", b"makes the bucket")
            yield running
        finally:
            process.kill()
            process.wait()
            shutil.rmtree(folder, ignore_errors=True)
            for port in ports.values():  # sockets beside its ports, which it leaves behind
                for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108
                    left.unlink()


def _free_ports(number: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(number)]
        for free in sockets:
            free.bind(("127.0.0.1", 0))
        return [free.getsockname()[1] for free in sockets]


def _answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
