"""Which rows make two fingerprints differ, in words."""

import tracemalloc
from collections.abc import Sequence
from functools import partial

import pytest
from support.backups import Value, row

from dlbackup.lake import spec
from dlbackup.lake.differences import SHOWN, differing_rows
from dlbackup.lake.fingerprint import Fingerprinter, Seen
from dlbackup.tables.definition import Column, Table
from dlbackup.tables.digest import digest

Tables = Sequence[tuple[Table, Sequence[bytes]]]

_SYSTEM = tuple(Column(name=name, type="bigint") for name in ("row_id", "begin_snapshot", "end_snapshot"))
_INLINED = Table(name="ducklake_inlined_data_1_1", columns=(*_SYSTEM, Column(name="s", type="character varying")))


def _table(name: str, version: str = "1.0") -> Table:
    return spec.load(version)[name]


def _read(version: str, tables: Tables, seen: Seen) -> None:
    fingerprint = Fingerprinter(version, seen)
    for table, rows in tables:
        fingerprint.of(table).add(rows, digest(rows))
    fingerprint.result()


def _differing(part: str, before: Tables, after: Tables, version: str = "1.0") -> str:
    found = differing_rows([part], partial(_read, version, before), partial(_read, "1.0", after))
    assert found.keys() == {part}
    return found[part]


def _tag(*values: Value) -> bytes:
    return row(*values, *[None] * (5 - len(values)))


TAG = _table("ducklake_tag")


_UNLIKE = (
    "only before: object_id 1, begin_snapshot 1, end_snapshot 1, key a, value b",
    "only after: object_id 1, begin_snapshot 2, key c, value b",
)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ([_tag(1)], [_tag(1)], ""),
        ([_tag(1, 2)], [], "only before: object_id 1, begin_snapshot 2"),
        ([], [_tag(1, 2, None, "k", "v")], "only after: object_id 1, begin_snapshot 2, key k, value v"),
        (
            [_tag(1, 2, None, "k", "v"), _tag(2)],
            [_tag(2), _tag(1, 2, 5, "k", "w")],
            "object_id 1: end_snapshot NULL before, 5 after, value v before, w after",
        ),
        ([_tag(1), _tag(1)], [_tag(1)], "only before: object_id 1"),
        ([_tag(1)], [_tag(1), _tag(1)], "only after: object_id 1"),
        ([_tag(1)], [_tag(2)], "only before: object_id 1; only after: object_id 2"),
        (
            [_tag(1, 1, 1, "a", "b")],
            [_tag(1, 2, None, "c", "b")],
            "; ".join(_UNLIKE),
        ),
        ([_tag(None, 1)], [_tag(None, 2)], "object_id NULL: begin_snapshot 1 before, 2 after"),
    ],
)
def test_rows_are_described(before: list[bytes], after: list[bytes], words: str) -> None:
    """What changed is told by its values, what came or went whole, but for its NULLs."""
    assert _differing("ducklake_tag", [(TAG, before)], [(TAG, after)]) == words


def test_only_the_first_are_shown() -> None:
    """Of many rows that differ the first are shown, in the order of their numbers."""
    before = [_tag(number, number) for number in range(9000)]
    after = [_tag(number, 0) for number in range(9000)]

    assert _differing("ducklake_tag", [(TAG, before)], [(TAG, after)]).split("; ")[0] == (
        "object_id 1: begin_snapshot 1 before, 0 after"
    )
    assert _differing("ducklake_tag", [(TAG, before)], [(TAG, after)]).count("object_id") == SHOWN == 3


def test_one_row_of_many_is_found() -> None:
    """One row that changed among thousands is shown alone."""
    before = [_tag(number, 1, None, "key", f"value {number}") for number in range(9000)]
    after = [*before[:8000], _tag(8000, 1, None, "key", "other"), *before[8001:]]

    assert _differing("ducklake_tag", [(TAG, before)], [(TAG, after[::-1])]) == (
        "object_id 8000: value value 8000 before, other after"
    )


def test_each_twin_is_taken_once() -> None:
    """A row that changed is paired with one row only, the one that is most like it."""
    before = [_tag(1, 1, 5, "a", "x"), _tag(1, 1, 5, "b", "x")]
    after = [_tag(1, 1, 6, "a", "x"), _tag(1, 1, 6, "b", "x")]

    assert _differing("ducklake_tag", [(TAG, before)], [(TAG, after)]) == (
        "object_id 1: end_snapshot 5 before, 6 after; object_id 1: end_snapshot 5 before, 6 after"
    )
    assert _differing("ducklake_tag", [(TAG, before)], [(TAG, after[:1])]) == (
        "object_id 1: end_snapshot 5 before, 6 after; only before: object_id 1, begin_snapshot 1, end_snapshot 5,"
        " key b, value x"
    )


def test_lost_list_is_told_as_what_a_migration_should_have_made_of_it() -> None:
    """Rows of an older version are told in the newest layout: a lost list is a missing partial_max."""
    old, new = _table("ducklake_data_file", "0.3"), _table("ducklake_data_file")
    values: dict[str, Value] = {"data_file_id": 7, "table_id": 1, "partial_file_info": "2:5|4:9"}
    before = [row(*(values.get(name) for name in old.column_names))]
    after = [row(*(values.get(name) for name in new.column_names))]

    assert _differing("ducklake_data_file", [(old, before)], [(new, after)], "0.3") == (
        "data_file_id 7: partial_max 4 before, NULL after"
    )


def test_settings_are_told_by_their_keys() -> None:
    """Metadata is told by key, whatever layout it is in; the version is none of it."""
    table = _table("ducklake_metadata")
    before = [row("version", "0.3", None, None), row("data_path", "a", None, None)]
    after = [row("version", "1.0", None, None), row("data_path", "b", None, None)]

    assert _differing("ducklake_metadata", [(table, before)], [(table, after)]) == (
        "key data_path: value a before, b after"
    )


def test_inlined_rows_are_told_as_they_are_stored() -> None:
    """Inlined rows are told with their table, as they are stored; the same in another type is no difference."""
    newer = Table(name=_INLINED.name, columns=(*_SYSTEM, Column(name="s", type="bytea")))
    before = [row(1, 1, None, "abc"), row(2, 1, None, "def")]

    assert _differing("inlined rows", [(_INLINED, before)], [(newer, [row(1, 1, None, r"\x616263")])]) == (
        "only before: ducklake_inlined_data_1_1: row_id 2, begin_snapshot 1, s def"
    )
    assert _differing(
        "inlined rows", [(_INLINED, before)], [(newer, [row(n, 1, None, r"\x616263") for n in (1, 2)])]
    ) == (r"ducklake_inlined_data_1_1: row_id 2: s def before, \x616263 after")


def test_rows_of_different_inlined_tables_are_not_the_same() -> None:
    """A row that moved to another inlined table is told twice."""
    other = Table(name="ducklake_inlined_data_2_1", columns=_INLINED.columns)
    rows = [row(1, 1, None, "abc")]

    assert _differing("inlined rows", [(_INLINED, rows)], [(other, rows)]) == (
        "only before: ducklake_inlined_data_1_1: row_id 1, begin_snapshot 1, s abc; "
        "only after: ducklake_inlined_data_2_1: row_id 1, begin_snapshot 1, s abc"
    )


def test_tables_that_nobody_knows_are_told_too() -> None:
    """Rows of a table outside of the specification, or of another layout, are told by the names that they have."""
    notes = Table(name="ducklake_notes", columns=(Column(name="text", type="text"),))
    short = Table(name="ducklake_tag", columns=TAG.columns[:2])

    assert _differing("ducklake_notes", [(notes, [row("it's")])], [(notes, [])]) == "only before: text it's"
    assert _differing("ducklake_tag", [(short, [row(1, 2)])], []) == "only before: object_id 1, begin_snapshot 2"


def test_long_texts_are_cut() -> None:
    """A long text is cut, so that the message stays readable."""
    found = _differing("ducklake_tag", [(TAG, [_tag(1, 1, 1, "k", "x" * 60)])], [(TAG, [_tag(1, 1, 1, "k", "y" * 61)])])

    assert found == f"object_id 1: value {'x' * 60} before, {'y' * 60}... after"
    assert _differing("ducklake_tag", [(TAG, [_tag(1, 1, 1, "k", "z" * 99)])], []).endswith(f"value {'z' * 60}...")


def test_other_parts_are_not_read() -> None:
    """Only the parts that were asked for are described, each by its own rows."""
    macro = _table("ducklake_macro")
    before: Tables = [(TAG, [_tag(1)]), (macro, [row(1, 2, "m", 3, None)])]
    parts = ["ducklake_tag", "inlined rows"]

    assert differing_rows(parts, partial(_read, "1.0", before), partial(_read, "1.0", [])) == {
        "ducklake_tag": "only before: object_id 1",
        "inlined rows": "",
    }


def test_half_of_the_values_make_a_twin() -> None:
    """Two rows about the same thing are one row that changed when half of their values are the same, no less."""
    two = Table(name="ducklake_notes", columns=(Column(name="a", type="bigint"), Column(name="b", type="bigint")))
    three = Table(name="ducklake_notes", columns=(*two.columns, Column(name="c", type="bigint")))

    assert _differing("ducklake_notes", [(two, [row(1, 2)])], [(two, [row(1, 3)])]) == "a 1: b 2 before, 3 after"
    assert _differing("ducklake_notes", [(three, [row(1, 2, 3)])], [(three, [row(1, 4, 5)])]) == (
        "only before: a 1, b 2, c 3; only after: a 1, b 4, c 5"
    )


def test_memory_is_bounded() -> None:
    """However many rows differ, few are kept at a time."""
    count, length = 10_000, 400

    def read(text: str, seen: Seen) -> None:
        for number in range(count):
            line = _tag(number, 1, None, "key", text * length)
            seen(TAG, line, line)

    tracemalloc.start()
    try:
        found = differing_rows(["ducklake_tag"], partial(read, "x"), partial(read, "y"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert found["ducklake_tag"].count("object_id") == SHOWN
    assert peak < count * length / 4
