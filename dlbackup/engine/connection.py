"""
A lake on a program's own DuckDB connection: what its engine writes, what is attached to it, and attaching.

The password goes into a temporary DuckDB secret with a random name, dropped as soon as the lake is attached:
the connector keeps what it has read and does not look again when its pool connects anew (tried with 1.4.4,
1.5.1 and 1.5.5). There is a secret even where there is no password: without one the connector would take the
user's unnamed secret, and may open another catalog than the one that was looked at.
"""

import secrets
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dlbackup.addresses.address import Kind
from dlbackup.engine import child
from dlbackup.engine.engine import Engine, never_migrating
from dlbackup.engine.errors import translated
from dlbackup.engine.statements import Opening, Option, attach_statement, probe_statements
from dlbackup.engine.storage import extensions_for, installing
from dlbackup.errors import AliasTaken, EngineError
from dlbackup.runtime.scratch import scratch_folder

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


_OF_KIND: dict[Kind, tuple[str, ...]] = {"postgres": ("postgres",), "duckdb": (), "sqlite": ("sqlite",)}
_EXTENSIONS = {"postgres": "postgres_scanner", "sqlite": "sqlite_scanner"}
"""What duckdb_extensions() calls an extension that has another name there."""
_UNCOMPARED = frozenset(
    {"busy_timeout", "create_if_not_exists", "meta_schema", "meta_secret", "migrate_if_required", "read_only"}
)
_TIME_TRAVEL = frozenset({"SNAPSHOT_VERSION", "SNAPSHOT_TIME"})
_loading = threading.Lock()
_writes: dict[tuple[str, ...], str] = {}
"""Spec versions by DuckDB's version and ducklake's."""


def engine_of(connection: "DuckDBPyConnection", kind: Kind) -> Engine:
    """
    Load what a connection lacks for that kind of catalog, and ask it which spec version it writes.

    It makes a lake in a temporary folder, once in this process for each version of the extension.

    Raises:
        EngineError: an extension can't be had.
    """
    doing = "asking the connection's DuckDB what it writes"
    with _loading, translated(doing), closing(connection.cursor()) as cursor:
        for name in ("ducklake", *_OF_KIND[kind]):
            if not _extension(cursor, name)[-1]:
                child.load(cursor, name)
        duckdb_version, ducklake_version, _ = _extension(cursor, "ducklake")
        key = (duckdb_version, ducklake_version, _wished(cursor))
        if key not in _writes:
            _writes[key] = _written(cursor)
        return Engine(
            python=Path(sys.executable), duckdb_version=duckdb_version.removeprefix("v"), spec_version=_writes[key]
        )


def _extension(cursor: "DuckDBPyConnection", name: str) -> tuple[str, str, bool]:
    row = cursor.execute(
        "SELECT version(), coalesce(extension_version, ''), loaded FROM duckdb_extensions() WHERE extension_name = $1",
        [_EXTENSIONS.get(name, name)],
    ).fetchone()
    return row or ("", "", False)


def _wished(cursor: "DuckDBPyConnection") -> str:
    """Return which spec version the program wants for new lakes; empty where its DuckDB doesn't take such a wish."""
    row = cursor.execute("SELECT value FROM duckdb_settings() WHERE name = 'ducklake_default_version'").fetchone()
    return str(row[0] or "") if row else ""


def _written(cursor: "DuckDBPyConnection") -> str:
    alias = f"dlbackup_probe_{secrets.token_hex(4)}"
    with scratch_folder("dlbackup-probe-") as folder:
        attach, select = probe_statements(str(folder), alias)
        cursor.execute(attach)
        try:
            row = cursor.execute(select).fetchone()
        finally:
            cursor.execute(f"DETACH {alias}")
    return str(row[0]) if row else ""


@dataclass(frozen=True, slots=True)
class Attachment:
    """
    What a connection has attached under an alias.

    Args:
        options: those of its ATTACH statement, read from duckdb_databases(); None before DuckDB 1.5, which
            doesn't list them there.
    """

    path: str
    read_only: bool
    options: dict[str, str] | None

    def is_of(self, opening: Opening, options: Mapping[str, Option]) -> bool:
        """Tell whether it is that catalog, attached with those options."""
        reads_only = options.get("READ_ONLY") is True or not _TIME_TRAVEL.isdisjoint(options)
        if (self.path, self.read_only) != (opening.path, reads_only):
            return False
        if self.options is None:
            return _TIME_TRAVEL.isdisjoint(options)
        asked = {name.lower(): str(value) for name, value in options.items()}
        if opening.schema is not None:
            asked["metadata_schema"] = opening.schema
        return _comparable(asked) == _comparable(self.options)


def _comparable(options: Mapping[str, str]) -> dict[str, str]:
    """Return what tells one attachment from another: DATA_PATH only where it needn't be the stored one."""
    overrides = options.get("override_data_path", "").lower() == "true"
    left_out = _UNCOMPARED if overrides else _UNCOMPARED | {"data_path"}
    return {
        name: value.lower() if value.lower() in ("true", "false") else value
        for name, value in options.items()
        if name not in left_out
    }


def attachment(connection: "DuckDBPyConnection", alias: str) -> Attachment | None:
    """Return what is attached under a name; None when nothing."""
    with translated("looking for the alias"), closing(connection.cursor()) as cursor:
        found = cursor.execute("SELECT * FROM duckdb_databases() WHERE lower(database_name) = lower($1)", [alias])
        names = [column[0] for column in found.description or ()]
        row = found.fetchone()
    if row is None:
        return None
    values = dict(zip(names, row, strict=True))
    options = values.get("options")
    listed = None if options is None else {str(name): str(value) for name, value in options.items()}
    return Attachment(str(values["path"]), bool(values["readonly"]), listed)


def open_lake(
    connection: "DuckDBPyConnection",
    opening: Opening,
    alias: str,
    options: Mapping[str, Option],
    engine: Engine,
    *,
    data_paths: Iterable[str] = (),
    create: bool = False,
) -> None:
    """
    Attach the lake under a name; nothing happens where it stands there already with the same options.

    Args:
        data_paths: where its data files are; what the connection lacks for that is loaded.

    Raises:
        AliasTaken: something else stands there.
        EngineError: the engine refuses.
    """
    options = {**never_migrating(engine), **options}
    if (found := attachment(connection, alias)) is None:
        _load_storage(connection, data_paths, engine)
        try:
            _attach(connection, opening, alias, options, create=create)
        except EngineError:
            found = attachment(connection, alias)
            if found is None:
                raise
    if found is not None and not found.is_of(opening, options):
        raise AliasTaken(
            f"the name {alias} is taken: something else, or the same lake with other options, is attached as {alias}",
            "detach it, or choose another alias",
        )


def _load_storage(connection: "DuckDBPyConnection", data_paths: Iterable[str], engine: Engine) -> None:
    for name in extensions_for(data_paths):
        try:
            with _loading, translated(f"loading the extension {name}"), closing(connection.cursor()) as cursor:
                if not _extension(cursor, name)[-1]:
                    child.load(cursor, name)
        except EngineError as exc:
            exc.hint = installing(name, engine.duckdb_version)
            raise


def _attach(
    connection: "DuckDBPyConnection", opening: Opening, alias: str, options: Mapping[str, Option], *, create: bool
) -> None:
    address = opening.address
    with translated(f"attaching {address} as {alias}", address):
        if address.kind != "postgres":
            connection.execute(attach_statement(opening, options, alias, create=create))
            return
        # On a cursor, whose commit makes it seen by the session in which DuckLake attaches the catalog.
        with closing(connection.cursor()) as cursor, _secret(cursor, opening.secrets()) as name:
            connection.execute(attach_statement(replace(opening, secret=name), options, alias, create=create))


@contextmanager
def _secret(cursor: "DuckDBPyConnection", parameters: dict[str, str]) -> Iterator[str]:
    """Keep libpq parameters in a DuckDB secret; they are in no statement's text."""
    name = f"dlbackup_{secrets.token_hex(8)}"
    words = ["TYPE postgres", *(f"{key} ${number}" for number, key in enumerate(parameters, 1))]
    cursor.execute(f"CREATE TEMPORARY SECRET {name} ({', '.join(words)})", list(parameters.values()))
    try:
        yield name
    finally:
        cursor.execute(f"DROP TEMPORARY SECRET {name}")
