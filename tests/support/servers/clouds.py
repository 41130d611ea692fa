"""
Stand-ins for clouds: Microsoft's Azurite, where it is installed, and moto from PyPI.

Azurite is an npm package: `npm install azurite` puts `azurite-blob` into `node_modules/.bin`, which has to be in PATH.
moto answers as AWS where SeaweedFS does not: a bucket that is not there is not made. It takes any key.
"""

import base64
import hashlib
import hmac
import os
import secrets
import shutil
import socket
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from urllib.request import Request, urlopen

from support.servers.reaper import Reaper
from support.waiting import wait_until

__all__ = ["CONTAINER", "azurite", "azurite_program", "moto"]

CONTAINER = "backups"
_ACCOUNT = "lakekeeper"
_SIGNED = "AWS4-HMAC-SHA256 Credential=backups/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"


def azurite_program() -> str | None:
    """Return where Azurite is, if it is here."""
    return shutil.which("azurite-blob")


@contextmanager
def azurite(program: str) -> Iterator[dict[str, str]]:
    """Serve an Azure account with an empty container; yield the variables with which the cloud's own tools get in."""
    key, port = base64.b64encode(secrets.token_bytes(64)).decode(), _free_port()
    words = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence", "--silent"]
    command = [program, *words, "--skipApiVersionCheck", "--disableTelemetry"]
    with _served(command, port, "azurite", {"AZURITE_ACCOUNTS": f"{_ACCOUNT}:{key}"}):
        _make_container(port, key)
        yield {
            "AZURE_STORAGE_ACCOUNT_NAME": _ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": key,
            "AZURE_STORAGE_ENDPOINT": f"http://127.0.0.1:{port}/{_ACCOUNT}",
        }


@contextmanager
def moto() -> Iterator[dict[str, str]]:
    """Serve an S3 with an empty bucket; yield the variables with which the cloud's own tools get in."""
    port = _free_port()
    program = Path(sysconfig.get_path("scripts")) / "moto_server"
    with _served([str(program), "-H", "127.0.0.1", "-p", str(port)], port, "moto_server"):
        url = f"http://127.0.0.1:{port}"
        make = Request(f"{url}/{CONTAINER}", method="PUT", headers={"Authorization": _SIGNED})  # noqa: S310 - our own
        with urlopen(make):  # noqa: S310
            pass
        yield {
            "AWS_ACCESS_KEY_ID": "backups",
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": url,
        }


def _make_container(port: int, key: str) -> None:
    """Make the container by a request that is signed as Azure wants it."""
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    named = "".join(f"{name}:{value}\n" for name, value in headers.items())
    what = f"PUT{12 * chr(10)}{named}/{_ACCOUNT}/{_ACCOUNT}/{CONTAINER}\nrestype:container"
    digest = hmac.new(base64.b64decode(key), what.encode(), hashlib.sha256).digest()
    headers |= {"Authorization": f"SharedKey {_ACCOUNT}:{base64.b64encode(digest).decode()}", "Content-Length": "0"}
    url = f"http://127.0.0.1:{port}/{_ACCOUNT}/{CONTAINER}?restype=container"
    with urlopen(Request(url, method="PUT", headers=headers)):
        pass


@contextmanager
def _served(command: list[str], port: int, name: str, variables: Mapping[str, str] | None = None) -> Iterator[None]:
    """Run a server in a folder of its own from when it answers until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix=f"dlbackup-{name}-"))
    with Reaper() as reaper, (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=os.environ | (variables or {}), stdout=log, stderr=subprocess.STDOUT
        )
        reaper.watch_process(process.pid, name, folder)
        try:
            wait_until(lambda: process.poll() is not None or _answers(port))
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended: {(folder / 'log').read_text()[-2000:]}")
            yield
        finally:
            process.kill()
            process.wait()
            shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
