"""
The types that DuckLake knows by name: closed lists, as the engines have them.

From `src/common/ducklake_types.cpp` of each branch. An engine that meets another name loads nothing of the lake.
"""

import re

from dlbackup.lake import spec

NESTED = frozenset({"struct", "list", "map"})
"""Types of columns that have columns of their own."""
UNKNOWN = "unknown"
"""What a macro's parameter without a type has, and one without a default."""
DUCKDB_TYPES = {
    "boolean": "BOOLEAN",
    "int8": "TINYINT",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "int128": "HUGEINT",
    "uint8": "UTINYINT",
    "uint16": "USMALLINT",
    "uint32": "UINTEGER",
    "uint64": "UBIGINT",
    "uint128": "UHUGEINT",
    "float32": "FLOAT",
    "float64": "DOUBLE",
    "time": "TIME",
    "time_ns": "TIME_NS",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "timestamp_us": "TIMESTAMP",
    "timestamp_ms": "TIMESTAMP_MS",
    "timestamp_ns": "TIMESTAMP_NS",
    "timestamp_s": "TIMESTAMP_S",
    "timestamptz": "TIMESTAMP WITH TIME ZONE",
    "timetz": "TIME WITH TIME ZONE",
    "interval": "INTERVAL",
    "varchar": "VARCHAR",
    "blob": "BLOB",
    "uuid": "UUID",
    "json": "JSON",
}
"""What DuckDB calls a type that a text can be cast to."""
_SINCE = {"geometry": "0.3", "time_ns": "0.4", "variant": "0.4", "timestamptz_ns": "1.1-dev1"}
_DECIMAL = re.compile(r"decimal\(\s*(\d+)\s*,\s*(\d+)\s*\)")
_MOST_DIGITS = 38


def is_known(name: str | None, version: str) -> bool:
    """Tell whether engines of a spec version read a column of that type, if it has the columns of its own it needs."""
    if name is None:
        return False
    if name.startswith("decimal("):
        return decimal(name) is not None
    lower = name.lower()
    if lower in _SINCE:
        return not spec.is_older(version, _SINCE[lower])
    return lower in DUCKDB_TYPES or lower in NESTED


def decimal(name: str) -> str | None:
    """Return what DuckDB calls a decimal type; None if there is no such type."""
    match = _DECIMAL.fullmatch(name)
    if match is None:
        return None
    width, scale = int(match[1]), int(match[2])
    return f"DECIMAL({width},{scale})" if 1 <= width <= _MOST_DIGITS and scale <= width else None


def duckdb_type(name: str) -> str | None:
    """Return what DuckDB calls a type that a text can be cast to; None for others."""
    return decimal(name) or DUCKDB_TYPES.get(name.lower())
