"""
A PostgreSQL in a container, through testcontainers, where a Docker engine answers.

What testcontainers lets the environment decide (whose engine, whether its reaper runs) is decided there.
"""

import contextlib
import gc
import secrets
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from dlbackup.servers.embedded import NoServer

_HINT = "start a Docker engine that has the image or can pull it, and pip install 'dlbackup[testing]'"


def docker_answers() -> bool:
    """Say whether a Docker engine answers here, and its client is installed."""
    try:
        import docker
    except ModuleNotFoundError:
        return False
    with warnings.catch_warnings():
        # docker leaves the socket of an engine that doesn't answer to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            with contextlib.closing(docker.from_env(timeout=5)) as engine:
                return bool(engine.ping())
        except (docker.errors.DockerException, OSError):
            return False
        finally:
            gc.collect()


def container_of(image: str, **arguments: Any) -> Any:
    """Return testcontainers' PostgresContainer, not started yet."""
    try:
        from testcontainers.community.postgres import PostgresContainer
    except ModuleNotFoundError:  # before 4.15
        from testcontainers.postgres import PostgresContainer

    return PostgresContainer(image, driver=None, **arguments)


@contextlib.contextmanager
def container_server(image: str, *, user: str, settings: Mapping[str, str]) -> Iterator[str]:
    """
    Run a PostgreSQL in a container, which ends with the block; yield its address.

    Raises:
        NoServer: no Docker engine answers, testcontainers isn't installed, or the container doesn't start.
    """
    if not docker_answers():
        raise NoServer("no Docker engine answers here, or its client is not installed", _HINT)
    from docker.errors import DockerException

    try:
        postgres = container_of(image, username=user, password=secrets.token_urlsafe(24), dbname="postgres")
    except ModuleNotFoundError:
        raise NoServer("testcontainers is not installed", _HINT) from None
    postgres.with_env("POSTGRES_INITDB_ARGS", "--no-sync")
    postgres.with_command([word for name, value in settings.items() for word in ("-c", f"{name}={value}")])
    try:
        try:
            postgres.start()
        except (DockerException, OSError) as exc:
            reason = str(exc).strip() or type(exc).__name__
            raise NoServer(f"a container of {image} does not start: {reason}", _HINT) from exc
        yield postgres.get_connection_url()
    finally:
        postgres.stop()
