"""PostgreSQL servers in containers, through testcontainers.

The image is named by PG_TEST_IMAGE, with {major} in it: the official one unless that is set. Our own
reaper clears up after a killed run, so no second container is needed for that.
"""

import io
import os
import secrets
import socket
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg

from dlbackup.servers.container import container_of
from support.servers.postgres import FAST, PASSWORD, USER, Server
from support.servers.reaper import LABEL, Reaper
from support.waiting import wait_until

if TYPE_CHECKING:
    from docker.models.containers import Container

__all__ = ["serve_container", "serve_standby"]

_RUN = secrets.token_hex(6)
_MEMORY = "/memory"
_END = f"end-of-{_RUN}"
# These are read when testcontainers is imported; its 120 tries are 12 s, too few for a busy machine.
_SETTINGS = {"TESTCONTAINERS_RYUK_DISABLED": "true", "TC_POOLING_INTERVAL": "0.1", "TC_MAX_TRIES": "600"}


@contextmanager
def serve_container(
    major: int, reaper: Reaper, tmpfs: Mapping[str, str] | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Start a server of that major, stopped at the end; `tmpfs` are mount points with options such as `size=24m`."""
    reaper.watch_containers(_RUN)
    with _postgres_container(major, tmpfs, {**FAST, **(settings or {})}) as postgres:
        container = postgres.get_wrapped_container()
        published = postgres.get_container_host_ip(), int(postgres.get_exposed_port(5432))
        host, port = _own_address(container) or published
        run = partial(_run_inside, container)
        yield Server(major, "docker", host, port, USER, PASSWORD, postgres.dbname, run)


@contextmanager
def serve_standby(
    primary: Server, reaper: Reaper, settings: Mapping[str, str], *, follows: bool = True
) -> Iterator[Server]:
    """Start a streaming standby of a server in a container, or one that doesn't follow it, stopped at the end."""
    import docker

    reaper.watch_containers(_RUN)
    trusted = 'echo "host replication all all trust" >> "$PGDATA/pg_hba.conf"'
    primary.run("sh", "-c", f"{trusted} && psql -d {primary.dbname} -c 'select pg_reload_conf()'")
    host = primary.run("hostname", "-i").decode().split()[0]
    words = " ".join(f"-c {name}={value}" for name, value in {"listen_addresses": "'*'", **settings}.items())
    copy = f"pg_basebackup -h {host} -U {USER} -D {_MEMORY}/data {'-R' if follows else ''} -X stream -c fast"
    with closing(docker.from_env()) as engine:
        container = engine.containers.run(
            os.environ.get("PG_TEST_IMAGE", "postgres:{major}").format(major=primary.major),
            ["-c", f"{copy} && exec postgres -D {_MEMORY}/data {words}"],
            entrypoint="sh",
            user="postgres",
            tmpfs={_MEMORY: ""},
            ports={"5432/tcp": None},
            labels={LABEL: _RUN},
            shm_size="256m",
            detach=True,
        )
        try:
            container.reload()
            at = primary.host, int(container.ports["5432/tcp"][0]["HostPort"])
            if primary.host == host:
                at = _addresses(container)[0], 5432
            server = replace(primary, host=at[0], port=at[1], run=partial(_run_inside, container))
            wait_until(partial(_answers, server.url))
            yield server
        finally:
            container.remove(force=True, v=True)


def _own_address(container: "Container") -> tuple[str, int] | None:
    """Return where a container answers itself: what goes to a published port is copied by a process of the engine."""
    container.reload()
    for host in _addresses(container):
        with suppress(OSError), socket.create_connection((host, 5432), timeout=1):
            return host, 5432
    return None  # as where the engine runs in a virtual machine


def _addresses(container: "Container") -> list[str]:
    networks = container.attrs["NetworkSettings"]["Networks"].values()
    return [network["IPAddress"] for network in networks if network["IPAddress"]]


def _answers(url: str) -> bool:
    try:
        with psycopg.connect(url):
            return True
    except psycopg.OperationalError:
        return False


def _postgres_container(major: int, tmpfs: Mapping[str, str] | None, settings: Mapping[str, str]) -> Any:
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    image = os.environ.get("PG_TEST_IMAGE", "postgres:{major}").format(major=major)
    postgres = container_of(image, username=USER, password=PASSWORD, dbname="tests")
    # A client's part of an ordinary SCRAM takes longer than the rest of a connection.
    quick = "-c scram_iterations=1" if major >= 16 else "--auth-host=md5"
    postgres.with_env("POSTGRES_INITDB_ARGS", f"--no-sync {quick}")
    if major < 16:
        postgres.with_env("POSTGRES_HOST_AUTH_METHOD", "md5")
    # A database is made of 300 files: in memory that takes a third of the time, and most tests make one or two.
    postgres.with_env("PGDATA", f"{_MEMORY}/data")
    postgres.with_tmpfs_mount(_MEMORY)
    postgres.with_command([word for name, value in settings.items() for word in ("-c", f"{name}={value}")])
    # In one call: a second one would replace the first one's arguments.
    postgres.with_kwargs(labels={LABEL: _RUN}, shm_size="256m")
    for path, options in (tmpfs or {}).items():
        postgres.with_tmpfs_mount(path, options)
    return postgres


def _run_inside(container: "Container", *command: str, stdin: bytes = b"") -> bytes:
    # Each of the engine's calls takes 0.1 s: one that runs, and others where there is input, or where the end is lost.
    name = f"run-{os.getpid()}-{threading.get_ident()}"
    if stdin:
        container.put_archive("/", _archive(f"{name}-in", stdin))
    source = f"/{name}-in" if stdin else "/dev/null"
    script = f'"$0" "$@" < {source} > /{name}-out || exit; cat /{name}-out; printf %s {_END}'
    environment = {"PGHOST": "127.0.0.1", "PGUSER": USER, "PGPASSWORD": PASSWORD}
    status, (output, errors) = container.exec_run(["sh", "-c", script, *command], environment=environment, demux=True)
    if status:
        raise RuntimeError(f"{command[0]}: {(errors or b'').decode(errors='replace')}")
    if (output or b"").endswith(_END.encode()):
        return bytes(output[: -len(_END)])
    # What an exec prints can lose its end on a busy machine, without an error; an archive says how long it is.
    chunks, _ = container.get_archive(f"/{name}-out")
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        file = tar.extractfile(f"{name}-out")
        return file.read() if file else b""


def _archive(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(content), 0o644
        tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
