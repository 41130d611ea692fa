"""Lakes for tests, built by the real engines: `plain`, `inlined` and `zoo`.

A lake is built once on a machine for each engine, major and metadata schema, and kept in the tests' cache: its data
files, and its catalog as `pg_dump` writes it. A session puts that into a template database, with data files of its
own; tests get copies of the database. The folder of the data files is shared by the copies: tests read and add files,
and those that change or count them take a private lake.
"""

import hashlib
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

from support.cache import made_once, private_cache
from support.engines.engines import CHILD, Engine, Options, Step, engine_of
from support.lakes import inlined as lake_inlined
from support.lakes import plain as lake_plain
from support.lakes import zoo as lake_zoo
from support.servers.postgres import Server

__all__ = ["Lake", "LakeFactory", "LakeKind", "Lakes", "build_lake", "hash_lake", "made_by"]

LakeKind = Literal["plain", "inlined", "zoo"]

_BUILD_TIMEOUT_S = 120
_HASH_TIMEOUT_S = 300
_DATA_PATH = b"@lake@"
"""Stands in a kept catalog for where the data files are."""
_STEPS: Mapping[LakeKind, Callable[[str, Path], Iterable[Step]]] = {
    "plain": lake_plain.steps,
    "inlined": lake_inlined.steps,
    "zoo": lake_zoo.steps,
}
_OPTIONS: Mapping[LakeKind, Options] = {"plain": {}, "inlined": lake_inlined.OPTIONS, "zoo": {}}


@dataclass(frozen=True, slots=True)
class Lake:
    """A lake whose catalog is a PostgreSQL database of its own."""

    url: str
    schema: str
    data_path: Path
    spec: str
    engine: Engine
    server: Server

    @property
    def dbname(self) -> str:
        """The database of the catalog."""
        return self.url.rpartition("/")[2]


def build_lake(kind: LakeKind, engine: Engine, url: str, schema: str, data_path: Path) -> None:
    """Build a lake of that kind in an empty place, with the engine's own statements.

    Raises EngineError when the engine refuses a step, ValueError when it can't have such a lake.
    """
    data_path.mkdir(parents=True, exist_ok=True)
    attach = engine.attach_statement(url, schema, data_path=data_path, options=_OPTIONS[kind])
    engine.take(attach, list(_STEPS[kind](engine.spec, data_path)), timeout_s=_BUILD_TIMEOUT_S)


def hash_lake(
    engine: Engine, url: str, schema: str, at: Sequence[int | str] | None = ("first", "last")
) -> dict[tuple[int, str, str], str]:
    """Read the lake's tables through the engine: (snapshot, schema, table) to "N rows, md5" or its error.

    `at` holds snapshots, "first" and "last"; None means every snapshot (0.5 s each from DuckDB 1.5 on).
    """
    attach = engine.attach_statement(url, schema, options={"READ_ONLY": True})
    job = {"attach": attach, "schema": schema, "at": at if at is None else list(at)}
    found = engine.job("hash", job, _HASH_TIMEOUT_S)
    return {(snapshot, of, table): digest for snapshot, of, table, digest in found}


class LakeFactory(Protocol):
    """Makes lakes for one test, on its server."""

    def __call__(self, kind: LakeKind, spec: str, *, schema: str = "public") -> Lake:
        """Return a lake of that kind and spec version, in a database of its own."""
        ...


class Lakes:
    """The template databases of a session; they end with their servers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._templates: dict[tuple[LakeKind, str, int, str], Lake] = {}

    def template(self, kind: LakeKind, spec: str, server: Server, schema: str) -> Lake:
        """Return the lake to copy from, built at the first call; nobody may stay connected to it."""
        key = (kind, spec, server.major, schema)
        if key not in self._templates:
            self._templates[key] = self._build(kind, engine_of(spec), server, schema)
        return self._templates[key]

    @contextmanager
    def copy(self, kind: LakeKind, spec: str, server: Server, schema: str) -> Iterator[Lake]:
        """Yield a copy with a database of its own, dropped at the end of the block."""
        template = self.template(kind, spec, server, schema)
        with server.database(template.dbname) as url:
            yield replace(template, url=url)

    def _build(self, kind: LakeKind, engine: Engine, server: Server, schema: str) -> Lake:
        words = f"{kind}-{engine.spec}-{server.major}-{hashlib.sha256(schema.encode()).hexdigest()[:6]}"
        kept = made_once(
            private_cache() / "lakes" / f"{words}-{made_by(engine)}",
            lambda folder: _keep(kind, engine, server, schema, folder),
        )
        data_path = self._folder / words
        for folder in kept.glob("lake*/"):
            shutil.copytree(folder, self._folder / folder.name.replace("lake", words, 1))
        catalog = (kept / "catalog.sql").read_bytes().replace(_DATA_PATH, str(data_path).encode())
        with ExitStack() as undo:
            undo.callback(server.drop_database, f"lake-{words}")
            url = server.create_database(f"lake-{words}")
            server.run("psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-d", f"lake-{words}", stdin=catalog)
            undo.pop_all()
        return Lake(url, schema, data_path, engine.spec, engine, server)


def made_by(engine: Engine) -> str:
    """Return another text for every other way in which lakes may be made."""
    programs = sorted([CHILD, *Path(__file__).parent.glob("*.py")])
    texts = b"".join(program.read_bytes() for program in programs)
    return f"{engine.version}-{hashlib.sha256(texts).hexdigest()[:12]}"


def _keep(kind: LakeKind, engine: Engine, server: Server, schema: str, folder: Path) -> None:
    """Build a lake and leave its files in a folder, as `lake` and what begins so, and its catalog beside them."""
    with server.database() as url:
        build_lake(kind, engine, url, schema, folder / "lake")
        catalog = server.run("pg_dump", "-d", url.rpartition("/")[2])
    catalog = re.sub(rb"(?m)^\\(un)?restrict .*$", b"", catalog)  # what not every minor version's psql knows
    (folder / "catalog.sql").write_bytes(catalog.replace(str(folder / "lake").encode(), _DATA_PATH))
