"""
The statements that an engine is given; the one place that builds ATTACH for DuckLake.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dlbackup.addresses.address import Address, parameters_for
from dlbackup.addresses.libpq import SECRET, conninfo

Option = str | int | bool
_SWITCHED_OFF = ("statement_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout")
"""Timeouts of the server that would end an engine in the middle; its deadline and lock timeout are ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """
    The catalog as an engine sees it.

    Args:
        name: the application_name by which the engine's backends are found.
        lock_timeout_ms: how long the engine may wait for one lock.
    """

    address: Address
    schema: str
    name: str
    lock_timeout_ms: int
    environment: dict[str, str] = field(default_factory=dict, repr=False)

    def conninfo(self) -> str:
        """Return libpq's key=value form without any password."""
        parameters = parameters_for(self.address)
        parameters.pop("fallback_application_name")
        for secret in ("password", "passfile"):
            parameters.pop(secret, None)
        options = parameters.get("options", os.environ.get("PGOPTIONS", ""))
        ours = {**dict.fromkeys(_SWITCHED_OFF, 0), "lock_timeout": self.lock_timeout_ms}
        parameters["options"] = " ".join([options, *(f"-c {name}={value}" for name, value in ours.items())]).strip()
        parameters["application_name"] = self.name
        return conninfo(parameters)

    @property
    def path(self) -> str:
        """What comes after `ducklake:`."""
        return "postgres:" + self.conninfo() if self.address.kind == "postgres" else str(self.address)

    def secrets(self) -> dict[str, str]:
        """Return the environment that carries what `conninfo` leaves out."""
        names = {"password": "PGPASSWORD", "passfile": "PGPASSFILE"}
        given = self.address.parameters
        return {variable: given[key] for key, variable in names.items() if given.get(key)}


@dataclass(frozen=True, slots=True)
class Opening:
    """
    A catalog as a program's own DuckDB opens it.

    Args:
        schema: None for the default one of a catalog in a file.
        secret: the name of the DuckDB secret that holds what `path` leaves out.
    """

    address: Address
    schema: str | None
    secret: str = ""

    @property
    def path(self) -> str:
        """
        What comes after `ducklake:` and is shown in duckdb_databases(): no secret, and the same for equal addresses.

        The application_name must not be one of dlbackup's own, which a migration doesn't count as clients.
        """
        if self.address.kind != "postgres":
            return str(self.address)
        parameters = parameters_for(self.address, f"ducklake {self.schema}")
        return "postgres:" + conninfo({key: parameters[key] for key in sorted(parameters) if key not in SECRET})

    def secrets(self) -> dict[str, str]:
        """Return the libpq parameters that `path` leaves out."""
        return {key: value for key, value in self.address.parameters.items() if key in SECRET and value}


def attach_statement(
    target: Target | Opening, options: Mapping[str, Option], alias: str = "lake", *, create: bool = False
) -> str:
    """
    Return the ATTACH statement, which never holds a password.

    Args:
        options: of DuckLake, e.g. `{"READ_ONLY": True, "SNAPSHOT_VERSION": 4}`.
        create: make a lake where there is none; a misspelt name would otherwise do that.
    """
    words = [f"CREATE_IF_NOT_EXISTS {str(create).upper()}"]
    if target.schema is not None and target.address.kind != "sqlite":  # which has no schemas
        words.append(f"METADATA_SCHEMA {literal(target.schema)}")
        if target.address.kind == "postgres" and "META_SCHEMA" not in map(str.upper, options):
            # Without it the engine reads the catalog of the whole database: about 1 s for each 10,000 tables.
            words.append(f"META_SCHEMA {literal(target.schema)}")
    if isinstance(target, Opening) and target.secret:
        words.append(f"META_SECRET {literal(target.secret)}")
    for name, value in options.items():
        words.append(f"{name} {str(value).upper() if isinstance(value, bool | int) else literal(value)}")
    path = literal("ducklake:" + target.path)
    alias = '"' + alias.replace('"', '""') + '"'
    return f"ATTACH {path} AS {alias} ({', '.join(words)})"


def new_file_statement(path: Path, alias: str, storage_version: str) -> str:
    """Return the ATTACH statement for a new DuckDB file, which is no lake."""
    return f"ATTACH {literal(str(path))} AS {alias} (STORAGE_VERSION {literal(storage_version)})"


def literal(text: str) -> str:
    """Return a text as DuckDB's literal."""
    return "'" + text.replace("'", "''") + "'"


def probe_statements(folder: str, alias: str = "probe") -> list[str]:
    """Return statements that make a lake of the engine's own version in a folder; the second gives the version."""
    return [
        f"ATTACH {literal(f'ducklake:{folder}/probe.ducklake')} AS {alias} (DATA_PATH {literal(folder + '/data')})",
        f"SELECT value FROM __ducklake_metadata_{alias}.ducklake_metadata WHERE key = 'version'",
    ]
