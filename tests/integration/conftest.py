"""The fixtures of tests with real servers, engines and lakes."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from support.engines.engines import Engine, engine_of
from support.lakes.in_files import FileLakes
from support.lakes.lakes import Lake, LakeFactory, LakeKind, Lakes
from support.longer import each_major
from support.servers.object_store import ObjectStore, object_store
from support.servers.seaweed import Seaweed, seaweed
from support.servers.servers import Server, Servers, middle_major

from dlbackup.catalogs.postgres import sessions
from dlbackup.catalogs.postgres.sessions import LOCK_TIMEOUT_MS
from dlbackup.errors import listed


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests marked `every_major` on the oldest and the newest major, with `--all` and `--long` once on each."""
    if metafunc.definition.get_closest_marker("every_major"):
        metafunc.parametrize("server", each_major(), indirect=True)


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """One server per major, started when first asked for."""
    with Servers() as running:
        yield running


@pytest.fixture(scope="session")
def store() -> Iterator[ObjectStore]:
    """An object store with one bucket, started when first asked for."""
    with object_store() as running:
        yield running


@pytest.fixture(scope="session")
def lakes(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Lakes:
    """The session's template lakes; they end with the servers."""
    return Lakes(tmp_path_factory.mktemp("lakes"))


@pytest.fixture(scope="session")
def file_lakes(tmp_path_factory: pytest.TempPathFactory) -> FileLakes:
    """The session's template lakes with catalogs in files."""
    return FileLakes(tmp_path_factory.mktemp("file-lakes"))


@pytest.fixture
def server(servers: Servers, request: pytest.FixtureRequest) -> Server:
    """The server of the middle major, or of each in turn for tests marked `every_major`."""
    return servers[getattr(request, "param", middle_major())]


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """The URL of a new, empty database."""
    with server.database() as url:
        yield url


@pytest.fixture
def lake(lakes: Lakes, server: Server) -> Iterator[LakeFactory]:
    """A factory: `lake("plain", "0.3")` is a copy of that lake in a database of its own."""
    with ExitStack() as copies:

        def make(kind: LakeKind, spec: str, *, schema: str = "public") -> Lake:
            return copies.enter_context(lakes.copy(kind, spec, server, schema))

        yield make


@pytest.fixture
def plain(lake: LakeFactory) -> Lake:
    """A plain lake of 0.3."""
    return lake("plain", "0.3")


@pytest.fixture
def whole_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let messages of the test's own process name all that they are about, and not the first five."""
    monkeypatch.setattr(listed, "__defaults__", (100,))


@pytest.fixture
def newest() -> Engine:
    """The engine that migrates."""
    return engine_of("1.0")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sessions of the test's own process wait a tenth as long behind somebody's lock."""
    for settings in ("LOCAL_SETTINGS", "_SESSION_SETTINGS"):
        shorter = vars(sessions)[settings].replace(str(LOCK_TIMEOUT_MS), str(LOCK_TIMEOUT_MS // 10))
        monkeypatch.setattr(sessions, settings, shorter)


@pytest.fixture(scope="session")
def weed() -> Iterator[Seaweed]:
    """A server of an object storage that knows conditions and uploads in parts."""
    with seaweed() as running:
        yield running
