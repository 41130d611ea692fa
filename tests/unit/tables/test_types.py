"""What the types of columns say of their values."""

import pytest

from dlbackup.lake import spec
from dlbackup.tables.types import stored_as, written_as


@pytest.mark.parametrize(
    ("column_type", "written", "stored"),
    [
        *((name, "integer", "alike") for name in ("smallint", "integer", "bigint")),
        ("boolean", "boolean", "alike"),
        *((name, "text", "alike") for name in ("numeric", "uuid", "interval")),
        ("real", "text", "single"),
        ("double precision", "text", "double"),
        ("bytea", "text", "bytes"),
        ("DECIMAL(18,3)", "text", "decimal"),
        ("DECIMAL(18,3)[]", "text", "text"),
        ("INTERVAL", "text", "interval"),
        *((name, "text", "text") for name in ("text", "character varying", "numeric(38,0)", "date", "int", "bigint[]")),
    ],
)
def test_types_say_how_values_are_written_and_stored(column_type: str, written: str, stored: str) -> None:
    """Types are known by the very names that PostgreSQL prints; all others are text."""
    assert (written_as(column_type), stored_as(column_type)) == (written, stored)


def test_types_of_all_specs_are_known() -> None:
    """The fixed tables hold integers, booleans, and types that are text in every spec version."""
    types = {
        column.type for version in spec.described() for table in spec.load(version).values() for column in table.columns
    }

    assert {name for name in types if written_as(name) == "integer"} == {"bigint"}
    assert {name for name in types if written_as(name) == "boolean"} == {"boolean"}
    assert {name for name in types if written_as(name) == "text"} == {
        "character varying",
        "timestamp with time zone",
        "uuid",
    }
