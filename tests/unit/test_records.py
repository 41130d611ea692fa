"""Records as JSON: what comes back is exactly what the annotations say, or an error."""

import dataclasses
import importlib
import json
import pkgutil
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.longer import fewer_examples

import dlbackup
from dlbackup.backupfile.frames import Frame
from dlbackup.backupfile.manifest import Entry, Manifest
from dlbackup.lake.findings import Finding
from dlbackup.migration.outcome import Migration
from dlbackup.records import decode, encode
from dlbackup.tables.definition import Column, Grant, Table

NOT_IMPORTED = ("__main__", "engine.child", "transfer.feed_child")
"""Programs: they run, or change sys.path, when they are imported."""


@dataclass(frozen=True, slots=True)
class Inner:
    """A record inside another."""

    word: Literal["a", "b"]
    more: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Outer:
    """A record of every kind of field."""

    number: int
    text: str
    flag: bool
    share: float
    maybe: int | None
    inner: Inner
    pairs: tuple[tuple[str, int], ...] = ()
    default: str | None = None


GOOD = {"number": 1, "text": "x", "flag": True, "share": 0.5, "maybe": None, "inner": {"word": "a"}}
RECORD = Outer(1, "x", True, 0.5, None, Inner("a"))


def test_a_record_comes_back() -> None:
    """Encoding and decoding through JSON gives the same record, defaults left out."""
    full = Outer(2, "ü", False, 1.5, 3, Inner("b", (1, 2)), (("k", 1), ("l", 2)), "d")

    assert encode(RECORD) == GOOD
    assert decode(Outer, GOOD) == RECORD
    assert decode(Outer, json.loads(json.dumps(encode(full)))) == full
    assert decode(Outer, json.loads(json.dumps(encode(full, keep_defaults=True)))) == full


def test_defaults_are_kept_on_demand() -> None:
    """For a user's eyes every field is there, default or not."""
    assert encode(RECORD, keep_defaults=True) == {
        **GOOD,
        "inner": {"word": "a", "more": []},
        "pairs": [],
        "default": None,
    }


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "x",
        {},
        {**GOOD, "unknown": 1},
        {key: value for key, value in GOOD.items() if key != "number"},
        {**GOOD, "number": "1"},
        {**GOOD, "number": 1.0},
        {**GOOD, "number": True},
        {**GOOD, "number": None},
        {**GOOD, "text": 1},
        {**GOOD, "text": None},
        {**GOOD, "flag": 1},
        {**GOOD, "flag": "true"},
        {**GOOD, "share": 1},
        {**GOOD, "maybe": "1"},
        {**GOOD, "maybe": False},
        {**GOOD, "inner": None},
        {**GOOD, "inner": []},
        {**GOOD, "inner": {"word": "c"}},
        {**GOOD, "inner": {"word": ["a"]}},
        {**GOOD, "inner": {"word": "a", "more": None}},
        {**GOOD, "inner": {"word": "a", "more": {"0": 1}}},
        {**GOOD, "inner": {"word": "a", "more": [1, "2"]}},
        {**GOOD, "inner": {"word": "a", "other": 1}},
        {**GOOD, "pairs": [["k"]]},
        {**GOOD, "pairs": [["k", 1, 2]]},
        {**GOOD, "pairs": [["k", "1"]]},
        {**GOOD, "pairs": ["k1"]},
        {**GOOD, "pairs": [[1, "k"]]},
        {**GOOD, "default": 1},
    ],
)
def test_anything_else_is_refused(value: object) -> None:
    """A missing or unknown key, or a value of another type than annotated, is a ValueError that names the place."""
    with pytest.raises(ValueError, match="Outer"):
        decode(Outer, value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.sampled_from([*GOOD]), inner),
    max_leaves=8,
)


@fewer_examples(12)
@given(json_values)
@pytest.mark.parametrize("record", [Outer, Manifest, Entry, Table, Frame, Finding])
def test_no_json_makes_another_error(record: type[object], value: object) -> None:
    """Whatever JSON holds, decoding gives a record or a ValueError."""
    try:
        found = decode(record, value)
    except ValueError:
        return

    assert type(found) is record


tables = st.builds(
    Table,
    name=st.text(max_size=5),
    columns=st.lists(
        st.builds(
            Column,
            name=st.text(max_size=5),
            type=st.text(max_size=5),
            not_null=st.booleans(),
            default=st.none() | st.text(max_size=3),
        ),
        max_size=3,
    ).map(tuple),
    comment=st.none() | st.text(max_size=5),
    grants=st.none() | st.lists(st.builds(Grant, st.text(max_size=3), st.just(("SELECT",)))).map(tuple),
    options=st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3)), max_size=2).map(tuple),
)


@given(tables)
def test_tables_come_back(table: Table) -> None:
    """A table's definition survives JSON; no grants and empty grants stay different."""
    assert decode(Table, json.loads(json.dumps(encode(table)))) == table


def test_a_migration_is_shown_with_all_its_fields() -> None:
    """The JSON of a result has a key for each field that users may count on."""
    shown = encode(
        Migration(
            outcome="current",
            from_version="1.0",
            to_version="1.0",
            snapshot_id=1,
            backup=None,
            stages=(),
            mends=(),
            writer_pause_seconds=0.0,
            stale_clients=(),
        ),
        keep_defaults=True,
    )

    assert {
        "outcome",
        "from_version",
        "to_version",
        "snapshot_id",
        "backup",
        "stages",
        "mends",
        "writer_pause_seconds",
        "stale_clients",
    } <= shown.keys()


def records() -> list[type[Any]]:
    """Return all records of the package that have more than four fields."""
    found = []
    for module in pkgutil.walk_packages(dlbackup.__path__, "dlbackup."):
        if module.name.endswith(NOT_IMPORTED):
            continue
        names = vars(importlib.import_module(module.name)).values()
        found += [kind for kind in names if isinstance(kind, type) and kind.__module__ == module.name]
    return [kind for kind in found if dataclasses.is_dataclass(kind) and len(dataclasses.fields(kind)) > 4]


def test_large_records_are_built_by_name() -> None:
    """A record with more than four fields takes them by name only: two strings that change places would type-check."""
    large = records()

    assert {"Plan", "Info", "Backup", "Verification", "Migration", "Table"} <= {kind.__name__ for kind in large}
    assert [kind for kind in large if not all(field.kw_only for field in dataclasses.fields(kind))] == []
