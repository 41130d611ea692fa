"""The options of ATTACH that a program may give, checked before an engine sees them."""

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from dlbackup.engine.statements import Option
from dlbackup.errors import UsageError

AttachOption = Option | Path | datetime | Mapping[str, Option]


# ducklake_storage.cpp of the branches for 1.3, 1.4 and 1.5, and of main.
_OPTIONS: dict[str, type | tuple[type, ...]] = {
    "BUSY_TIMEOUT": int,
    "DATA_INLINING_ROW_LIMIT": int,
    "DATA_PATH": (str, Path),
    "DUCKLAKE_VERSION": str,
    "ENCRYPTED": bool,
    "METADATA_CATALOG": str,
    "OVERRIDE_DATA_PATH": bool,
    "READ_ONLY": bool,
    "SNAPSHOT_TIME": (str, datetime),
    "SNAPSHOT_VERSION": int,
    "WRITE_DELETION_VECTORS": bool,
}
_CONNECTOR = re.compile(r"META_[A-Z][A-Z0-9_]*")  # handed on to the ATTACH of the catalog's own database
_INSTEAD = [
    (r"METADATA_PATH|META_TYPE|META_(USER|HOST|PORT|DATABASE)", "the address says where the catalog is"),
    (r"META_SECRET|META_.*(PASSWORD|KEY|TOKEN)", "it would be shown; give the password in address or environment"),
    (r"METADATA_SCHEMA", "give it as metadata_schema="),
    (r"CREATE_IF_NOT_EXISTS", "ask for it with create=True"),
    (r".*MIGRAT.*", "ask for it with migrate='backup-first'"),
]


def checked_options(options: Mapping[str, AttachOption]) -> dict[str, Option]:
    """
    Return DuckLake's options by their names in capitals.

    Raises:
        UsageError: one is unknown, not to be given here, or has a value of another type.
    """
    found: dict[str, Option] = {}
    for given, value in options.items():
        name = given.upper()
        if name == "METADATA_PARAMETERS" and isinstance(value, Mapping):
            found |= checked_options({f"META_{key}": inner for key, inner in value.items()})
            continue
        for pattern, instead in _INSTEAD:
            if re.fullmatch(pattern, name):
                raise UsageError(f"{given} is no option of attach", instead)
        types = _OPTIONS.get(name, (str, int, bool) if _CONNECTOR.fullmatch(name) else None)
        if types is None:
            raise UsageError(
                f"unknown option {given}", f"known are {', '.join(_OPTIONS)}, and META_... for PostgreSQL's"
            )
        if not isinstance(value, types) or (isinstance(value, bool) and types is int):
            raise UsageError(f"option {given} can't be of type {type(value).__name__}")
        found[name] = value if isinstance(value, str | int) else _text(value)
    return found


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
