"""The fingerprint: the same before and after a good migration, another after any change of what a lake means."""

import pickle
from collections.abc import Mapping, Sequence
from itertools import permutations

import pytest
from support.backups import Record, Value, catalog, record, row, tables_with

from dlbackup.lake import spec
from dlbackup.lake.canonical import partial_max
from dlbackup.lake.fingerprint import Fingerprint, Fingerprinter, Part, kept_tables, part_of
from dlbackup.tables.definition import Column, Table
from dlbackup.tables.digest import Rows, digest

Told = list[tuple[str, bytes, bytes]]


def _of(version: str, tables: Sequence[tuple[Table, Sequence[bytes]]], block: int = 1000) -> Fingerprint:
    fingerprint = Fingerprinter(version)
    for table, rows in tables:
        part = fingerprint.of(table)
        for at in range(0, len(rows), block):
            part.add(rows[at : at + block], digest(rows[at : at + block]))
    return fingerprint.result()


def _with(version: str, *rows: Record) -> Fingerprint:
    return _of(version, tables_with(version, *rows))


def _inlined(column_type: str, *values: str | None, name: str = "ducklake_inlined_data_1_1") -> Fingerprint:
    columns = [Column(name=column, type="bigint") for column in ("row_id", "begin_snapshot", "end_snapshot")]
    rows = [row(number, 1, None, value) for number, value in enumerate(values)]
    return _of("1.0", [(Table(name=name, columns=(*columns, Column(name="c", type=column_type))), rows)])


@pytest.mark.parametrize("version", spec.described())
def test_value_is_what_it_always_was(version: str) -> None:
    """Backups carry fingerprints, so the value of a given catalog never changes, and is that of its newer forms."""
    inlined = Table(
        name="ducklake_inlined_data_1_1",
        columns=(Column(name="row_id", type="bigint"), Column(name="s", type="character varying")),
    )
    deletes = Table(name="ducklake_inlined_delete_1", columns=(Column(name="file_id", type="bigint"),))

    made = _of(version, [*catalog(version), (inlined, [row(1, "x"), row(2, "y")]), (deletes, [row(3)])])

    assert made.value == "a32a354bf9e35c2f2b6a6541bff4e1e0"
    assert [(part.name, part.rows) for part in made.parts if part.name[:3] == "inl"] == [
        ("inlined deletes", 1),
        ("inlined rows", 2),
    ]


def test_order_and_blocks_of_rows_are_no_matter() -> None:
    """A table is a set: rows in another order and in other blocks have the same fingerprint."""
    rows = [record("tag", object_id=number, key="it's") for number in range(5)]

    made = _of("1.0", tables_with("1.0", *rows))

    assert _of("1.0", tables_with("1.0", *reversed(rows)), block=2) == made
    assert [(part.name, part.rows) for part in made.parts] == [("ducklake_tag", 5)]
    settings = tables_with("1.0", *(record("metadata", key=str(number), value="x") for number in range(5)))
    assert _of("1.0", settings, block=2) == _of("1.0", settings)


def test_rows_may_be_added_to_a_fingerprint() -> None:
    """With more rows in a table, or in one that had none, it is that of the lake that has them."""
    versions = [
        record("schema_versions", begin_snapshot=number, schema_version=number, table_id=1) for number in (1, 2)
    ]
    tag = record("tag", object_id=1)
    added = {part.name: Rows(part.rows, int(part.digest, 16)) for part in _with("1.0", versions[1], tag).parts}

    assert _with("1.0", versions[0]).with_rows(added) == _with("1.0", *versions, tag)
    assert _with("1.0", tag).with_rows({}) == _with("1.0", tag)


@pytest.mark.parametrize(
    "change", [{"object_id": 2}, {"key": "b"}, {"value": ""}, {"begin_snapshot": None}, {"end_snapshot": 0}]
)
def test_any_other_value_is_another_fingerprint(change: Mapping[str, Value]) -> None:
    """Each value counts, and NULL is no value."""
    tag: Mapping[str, Value] = {"object_id": 1, "begin_snapshot": 0, "key": "a"}

    assert _with("1.0", ("ducklake_tag", {**tag, **change})).value != _with("1.0", ("ducklake_tag", tag)).value


def test_row_that_is_gone_or_doubled_counts() -> None:
    """No row, one and two of the same are three fingerprints."""
    tag = record("tag", object_id=1)

    assert len({_with("1.0", *[tag] * count).value for count in range(3)}) == 3


GOOD = [
    ("0.3", record("tag", object_id=1), record("tag", object_id=1)),
    (
        "0.2",
        record("file_column_statistics", data_file_id=1, min_value="it''s,\n"),
        record("file_column_stats", data_file_id=1, min_value="it''s,\n"),
    ),
    (
        "0.2",
        record("table_column_stats", table_id=1, max_value="9"),
        record("table_column_stats", table_id=1, max_value="9"),
    ),
    ("0.2", record("snapshot_changes", snapshot_id=1), record("snapshot_changes", snapshot_id=1)),
    (
        "0.2",
        record("name_mapping", mapping_id=1, source_name="a"),
        record("name_mapping", mapping_id=1, source_name="a", is_partition=False),
    ),
    (
        "0.3",
        record("column", column_id=1, default_value="x"),
        record("column", column_id=1, default_value="x", default_value_type="literal"),
    ),
    (
        "0.3",
        record("delete_file", delete_file_id=1, encryption_key="k"),
        record("delete_file", delete_file_id=1, encryption_key="k"),
    ),
    (
        "0.3",
        record("data_file", data_file_id=1, path="a,b", mapping_id=71),
        record("data_file", data_file_id=1, path="a,b", mapping_id=71),
    ),
    (
        "0.3",
        record("data_file", data_file_id=1, path="a,b", partial_file_info="2:5|4:9"),
        record("data_file", data_file_id=1, path="a,b", partial_max=4),
    ),
    (
        "0.3",
        record("data_file", data_file_id=1, partial_file_info="partial_max:3", mapping_id=71),
        record("data_file", data_file_id=1, partial_max=3, mapping_id=71),
    ),
    ("0.3", record("metadata", key="data_path", value="x"), record("metadata", key="data_path", value="x")),
    *(
        (
            "0.3",
            record("column", column_id=1, column_type=type_, default_value="NULL"),
            record(
                "column",
                column_id=1,
                column_type=type_,
                default_value="concat('NULL')",
                default_value_type="expression",
                default_value_dialect="duckdb",
            ),
        )
        for type_ in ("varchar", "blob")
    ),
    *(
        (
            "0.3",
            record("column", column_id=1, column_type=type_, default_value=default),
            record("column", column_id=1, column_type=type_, default_value=default, default_value_type="literal"),
        )
        for type_, default in (("varchar", None), ("varchar", "null"), ("int32", "NULL"))
    ),
    ("0.2", record("data_file", data_file_id=1, partial_file_info=""), record("data_file", data_file_id=1)),
]


@pytest.mark.parametrize(("version", "old", "new"), GOOD)
def test_good_migration_changes_nothing(version: str, old: Record, new: Record) -> None:
    """A row of an older version, and what a good migration makes of it, have one fingerprint."""
    expected = _with("1.0", new)

    assert _with(version, old) == expected
    assert [(part.name, part.rows) for part in expected.parts] == [(new[0], 1)]


FILES = [
    (record("data_file", data_file_id=1, path="a"), record("data_file", data_file_id=1, path="a")),
    (record("data_file", data_file_id=2, mapping_id=4), record("data_file", data_file_id=2, mapping_id=4)),
    (
        record("data_file", data_file_id=3, path="x,NULL,NULL\n", partial_file_info="2:5|4:9"),
        record("data_file", data_file_id=3, path="x,NULL,NULL\n", partial_max=4),
    ),
]


@pytest.mark.parametrize("files", [files for count in range(1, 4) for files in permutations(FILES, count)])
@pytest.mark.parametrize("block", [1, 2, 3])
def test_company_of_a_data_file_is_no_matter(files: Sequence[tuple[Record, Record]], block: int) -> None:
    """A data file means what it does beside others in one block, even where a path looks like the end of a row."""
    old, new = zip(*files, strict=True)

    assert _of("0.3", tables_with("0.3", *old), block) == _with("1.0", *new)


BAD = [
    (record("column", column_id=1, default_value="x"), record("column", column_id=1, default_value="x")),
    (record("data_file", data_file_id=1, partial_file_info="2:5|4:9"), record("data_file", data_file_id=1)),
    (
        record("data_file", data_file_id=1, partial_file_info="2:5|4:9"),
        record("data_file", data_file_id=1, partial_max=2),
    ),
    (record("data_file", data_file_id=1, mapping_id=4), record("data_file", data_file_id=1, partial_max=4)),
    (record("delete_file", delete_file_id=1), record("delete_file", delete_file_id=1, partial_max=1)),
]


@pytest.mark.parametrize(("old", "new"), BAD)
def test_bad_migration_shows(old: Record, new: Record) -> None:
    """A lost list, a default without its type and a value in the wrong column are another meaning."""
    assert _with("0.3", old).parts != _with("1.0", new).parts


def test_null_in_the_place_of_a_flag_shows() -> None:
    """The migration that leaves is_partition NULL changes the meaning."""
    before = _with("0.2", record("name_mapping", mapping_id=1))

    assert before != _with("0.3", record("name_mapping", mapping_id=1, is_partition=None))
    assert before != _with("0.3", record("name_mapping", mapping_id=1, is_partition=True))


@pytest.mark.parametrize("version", spec.described())
def test_statistics_that_know_nothing_say_what_none_say(version: str) -> None:
    """A table's column statistics count where they know a minimum, a maximum or more, whatever else they hold."""
    empty = record("table_column_stats", table_id=1, column_id=2, contains_null=True, contains_nan=False)
    known = [{"min_value": "1"}, {"max_value": "1"}] + [{"extra_stats": "x"}] * (version != "0.2")

    assert _with(version, empty) == _with("1.0")
    for more in known:
        with_more = (empty[0], {**empty[1], **more})
        assert _with(version, with_more) == _with("1.0", with_more) != _with("1.0")


def test_version_is_no_part_of_the_meaning() -> None:
    """The lake's own version doesn't count; an option of that name somewhere else does, and so does every option."""
    version: Record = record("metadata", key="version", value="0.3")
    scoped: Record = ("ducklake_metadata", {**version[1], "scope": "table", "scope_id": 1})
    option: Record = record("metadata", key="a", value="b")
    others = [
        ("ducklake_metadata", {**option[1], "scope": scope, "scope_id": number})
        for scope, number in (("table", 2), ("schema", 1), ("table", None), (None, 1))
    ]
    elsewhere: Record = ("ducklake_metadata", {**option[1], "scope": "table", "scope_id": 1})

    assert _with("0.3", version).parts == ()
    assert _with("0.3", version, option) == _with("1.0", option)
    assert len({_with("1.0", *rows).value for rows in ([], [scoped], [option], [elsewhere], [option, option])}) == 5
    assert len({_with("1.0", other).value for other in (option, elsewhere, *others)}) == 6


@pytest.mark.parametrize(
    ("text", "newest"),
    [
        ("''", "NULL"),
        ("'2:5'", "2"),
        ("'2:5|10:9|4:15'", "10"),
        ("'partial_max:12'", "12"),
        ("'2:5|'", "'2:5|'"),
        ("'2:5|3'", "'2:5|3'"),
        ("'partial_max:'", "'partial_max:'"),
        ("'xpartial_max:1'", "'xpartial_max:1'"),
    ],
)
def test_list_of_a_partial_file_says_its_newest_snapshot(text: str, newest: str) -> None:
    """The largest snapshot of a list counts; what is no list stays what it is."""
    assert partial_max(text) == newest


def _versions(version: str, tables: Sequence[tuple[int, int, int | None]], known: Mapping[int, int]) -> list[bytes]:
    """Return what counts as schema versions; `known` are the first snapshots by schema version."""
    told: Told = []
    fingerprint = Fingerprinter(version, lambda table, text, row: told.append((part_of(table), text, row)))
    rows: list[Record] = [
        record("table", table_id=table, begin_snapshot=begin, end_snapshot=end) for table, begin, end in tables
    ]
    if version == "0.2":
        rows += [record("snapshot", snapshot_id=at, schema_version=n) for n, at in known.items()]
        rows += [record("snapshot", snapshot_id=at + 1, schema_version=n) for n, at in known.items()]
    else:
        rows += [record("schema_versions", begin_snapshot=at, schema_version=n) for n, at in known.items()]
    for table, texts in tables_with(version, *rows):
        fingerprint.of(table).add(texts, digest(texts))
    (part,) = [part for part in fingerprint.result().parts if part.name == "ducklake_schema_versions"]
    found = [text for name, text, row in told if name == part.name and text == row]
    assert (part.rows, part.digest) == (len(found), f"{digest(found):016x}")
    return sorted(found)


def test_meaning_found_elsewhere_counts_as_rows_do() -> None:
    """Rows whose meaning others found, with what a pickle carried to them, give the same as rows that were added."""
    rows: list[Record] = [
        record("metadata", key="version", value="0.3"),
        record("metadata", key="a", value="b"),
        *(record("data_file", data_file_id=number, partial_file_info="2:5|3:10") for number in range(3)),
        record("tag", object_id=1),
    ]
    fingerprint = Fingerprinter("0.3")
    divided = []
    for table, texts in tables_with("0.3", *rows):
        part = fingerprint.of(table)
        if not part.is_divisible:
            part.add(texts, digest(texts))
            continue
        divided.append(table.name)
        canonical = pickle.loads(pickle.dumps(part.canonical))  # noqa: S301 - made here
        for text in texts:
            part.take(canonical.meaning([text], digest([text])))

    assert {"ducklake_metadata", "ducklake_data_file", "ducklake_tag"} <= set(divided)
    assert fingerprint.result() == _with("0.3", *rows)


def test_rows_that_others_hang_on_are_not_divisible() -> None:
    """Columns and what schema versions are derived from are seen whole, and so is all where rows are told."""
    whole = {}
    for version in ("0.3", "1.0"):
        fingerprint = Fingerprinter(version)
        tables = spec.load(version).items()
        whole[version] = {name for name, table in tables if not fingerprint.of(table).is_divisible}
    telling = Fingerprinter("1.0", lambda table, text, row: None)

    assert whole["0.3"] == {"ducklake_column", "ducklake_schema_versions", "ducklake_snapshot", "ducklake_table"}
    assert whole["1.0"] == {"ducklake_column"}
    assert not any(telling.of(table).is_divisible for table in spec.load("1.0").values())


@pytest.mark.parametrize("version", ["0.2", "0.3"])
def test_schema_versions_are_derived_by_table(version: str) -> None:
    """A table has the schema versions that began while it lived, its first and last snapshot included."""
    known = {0: 0, 1: 2, 2: 4, 3: 6}

    assert _versions(version, [(1, 0, None), (2, 2, 4), (3, 6, None)], known) == [
        row(0, 0, 1),
        *(row(2, 1, 1), row(2, 1, 2)),
        *(row(4, 2, 1), row(4, 2, 2)),
        *(row(6, 3, 1), row(6, 3, 3)),
    ]


def test_renamed_table_counts_twice_at_that_snapshot() -> None:
    """The migration takes the end of a version for its own, so that a version that begins there counts for both."""
    assert _versions("0.3", [(1, 0, 3), (1, 3, None)], {0: 0, 1: 3}) == [row(0, 0, 1), row(3, 1, 1), row(3, 1, 1)]


def test_expired_beginnings_are_filled() -> None:
    """A table whose first snapshot is gone gets a row from its begin on, with the version before its lowest, or 0."""
    lives = [(1, 1, 4), (1, 4, None), (2, 6, 6), (3, 3, None)]

    assert _versions("0.3", lives, {3: 3, 5: 5}) == [
        row(1, 2, 1),
        *(row(3, 3, 1), row(3, 3, 3)),
        *(row(5, 5, 1), row(5, 5, 3)),
        row(6, 0, 2),
    ]


def test_first_snapshot_of_a_version_counts() -> None:
    """Where several rows name one schema version, the earliest says where it began, not a snapshot."""
    snapshot = record("snapshot", snapshot_id=1, schema_version=1)
    rows: list[Record] = [
        snapshot,
        record("table", table_id=1, begin_snapshot=0),
        *(record("schema_versions", begin_snapshot=at, schema_version=1) for at in (3, 2, 4)),
        record("schema_versions", begin_snapshot=0, schema_version=0),
    ]
    expected: list[Record] = [
        snapshot,
        record("table", table_id=1, begin_snapshot=0),
        record("schema_versions", begin_snapshot=2, schema_version=1, table_id=1),
        record("schema_versions", begin_snapshot=0, schema_version=0, table_id=1),
    ]
    assert _with("0.3", *rows) == _with("1.0", *expected)


def test_missing_numbers_count_as_0() -> None:
    """In a damaged catalog, where a table or a version has no numbers, they are taken for 0."""
    rows = [record("table"), record("schema_versions")]
    expected = [record("table"), record("schema_versions", begin_snapshot=0, schema_version=0, table_id=0)]

    assert _with("0.3", *rows) == _with("1.0", *expected)


def test_schema_versions_since_0_4_count_as_they_are() -> None:
    """What was kept by table is not derived anew."""
    version = {"begin_snapshot": 5, "schema_version": 3, "table_id": 9}

    assert _with("0.4", ("ducklake_schema_versions", version)).parts == (
        Part("ducklake_schema_versions", 1, f"{digest([row(5, 3, 9)]):016x}"),
    )


SAME_VALUES = [
    ("character varying", "abc", "bytea", r"\x616263"),
    ("character varying", "", "bytea", r"\x"),
    ("character varying", "é'\n", "bytea", r"\xc3a9270a"),
    ("date", "2024-02-29", "character varying", "2024-02-29"),
    ("date", "0044-03-15 BC", "character varying", "0044-03-15 (BC)"),
    ("timestamp without time zone", "0044-03-15 10:00:00 BC", "character varying", "0044-03-15 (BC) 10:00:00"),
    ("timestamp without time zone", "2024-01-01 10:00:00.5", "character varying", "2024-01-01 10:00:00.500"),
    ("timestamp without time zone", "2024-01-01 10:00:00", "character varying", "2024-01-01 10:00:00.000"),
    ("timestamp with time zone", "2024-01-01 10:00:00.25+00", "character varying", "2024-01-01 10:00:00.250000+00"),
    ("timestamp without time zone", "0044-03-15 10:00:00.5 BC", "character varying", "0044-03-15 (BC) 10:00:00.50"),
    ("double precision", "0.5", "real", "0.5"),
    ("double precision", "1e+30", "double precision", "1000000000000000019884624838656"),
    ("double precision", "NaN", "real", "nan"),
    ("json", '{"a": 1}', "bytea", r"\x7b2261223a20317d"),
    ("bytea", r"\xff00", "bytea", r"\xFF00"),
    ("numeric(4,3)", "0.125", "DECIMAL(4,3)", "0.125"),
    ("numeric(3,3)", "-0.125", "DECIMAL(3,3)", "-.125"),
    ("numeric(18,0)", "125", "DECIMAL(18,0)", "125"),
    ("interval", "1 year -2 mons +3 days", "INTERVAL", "1 year -2 months 3 days"),
    ("interval", "-00:00:00.5", "INTERVAL", "-00:00:00.5"),
    ("uuid", "12345678-1234-5678-1234-567812345678", "UUID", "12345678-1234-5678-1234-567812345678"),
    ("character varying", "18446744073709551615", "UBIGINT", "18446744073709551615"),
    ("character varying", "infinity", "TIMESTAMP_NS", "infinity"),
    ("time without time zone", "10:00:00.5", "TIME", "10:00:00.5"),
    ("bytea", r"\x00ff27", "BLOB", r"\x00\xFF\x27"),
    ("bytea", r"\x6869", "VARCHAR", "hi"),
    ("real", "1e+20", "FLOAT", "1e+20"),
    ("double precision", "-Infinity", "DOUBLE", "-inf"),
]


@pytest.mark.parametrize(("one", "before", "other", "after"), SAME_VALUES)
def test_inlined_values_are_the_same_in_other_types(one: str, before: str, other: str, after: str) -> None:
    """Engines and backends store the same inlined values as other types and texts; that is no other meaning."""
    assert _inlined(one, before, None) == _inlined(other, after, None)


OTHER_VALUES = [
    ("character varying", "abc", "abx"),
    ("character varying", "abc", None),
    ("character varying", "2024-01-01 10:00:00", "2024-01-01 10:00:01"),
    ("character varying", "1.50", "1.5"),
    ("character varying", "x 2024-01-01 10:00:00.50", "x 2024-01-01 10:00:00.5"),
    ("character varying", "BC", " BC"),
    ("character varying", "0044-03-15 BC x", "0044-03-15 (BC) x"),
    ("character varying", "2024-01-01 10:00:00.5+00", "2024-01-01 10:00:00.5+01"),
    ("character varying", "2024-01-01 10:00:00.50 x", "2024-01-01 10:00:00.5 x"),
    ("date", "0044-03-15 BC", "0044-03-15"),
    ("double precision", "0.1", "0.2"),
    ("real", "0.1", "0.2"),
    ("real", "x", "y"),
    ("bytea", r"\xff", r"\xfe"),
    ("bytea", r"\xff", "ff"),
    ("bigint", "1", "2"),
]


@pytest.mark.parametrize(("column_type", "one", "other"), OTHER_VALUES)
def test_other_inlined_values_are_another_meaning(column_type: str, one: str, other: str | None) -> None:
    """Values that differ show, whatever their type."""
    assert _inlined(column_type, one) != _inlined(column_type, other)


def test_real_is_narrower_than_double() -> None:
    """0.1 as a REAL is not 0.1 as a DOUBLE: what lost its precision shows, unless it had none to lose."""
    assert _inlined("real", "0.1") != _inlined("double precision", "0.1")
    assert _inlined("real", "0.1") == _inlined("double precision", "0.10000000149011612")


FLOATS = [
    ("c", "float32", 1, "ducklake_inlined_data_1_1", True),
    ("c", "float64", 1, "ducklake_inlined_data_1_1", False),
    ("float32", "double", 1, "ducklake_inlined_data_1_1", False),
    ("d", "float32", 1, "ducklake_inlined_data_1_1", False),
    ("c", "float32", 2, "ducklake_inlined_data_1_1", False),
    ("c", "float32", None, "ducklake_inlined_data_1_1", False),
    (None, "float32", 1, "ducklake_inlined_data_1_1", False),
]


@pytest.mark.parametrize(("name", "lake_type", "table_id", "inlined", "same"), FLOATS)
def test_float_that_was_inlined_as_double_is_a_float(
    name: str | None, lake_type: str, table_id: int | None, inlined: str, same: bool
) -> None:
    """1.4 inlines a column of type float32 as double precision, 1.5 as real: those of that column are the same."""
    system = tuple(Column(name=column, type="bigint") for column in ("row_id", "begin_snapshot", "end_snapshot"))
    # The name stands in another value too, so that a row is not taken for a float's by that word alone.
    column = record("column", table_id=table_id, column_name=name, column_type=lake_type, initial_default="float32")
    made = [
        _of(
            "1.0",
            [
                *tables_with("1.0", column),
                (Table(name=inlined, columns=(*system, Column(name="c", type=stored))), [row(0, 1, None, text)]),
            ],
        )
        for stored, text in (("double precision", "0.1"), ("real", "1e-1"))
    ]

    assert (made[0] == made[1]) is same


@pytest.mark.parametrize("column_type", ["boolean", "numeric", "uuid", "interval", "smallint", "integer", "bigint"])
def test_values_of_these_types_count_as_they_are(column_type: str) -> None:
    """Types that every engine stores alike need no work: such rows count by their text."""
    table = Table(
        name="ducklake_inlined_data_1_1",
        columns=(Column(name="row_id", type="bigint"), Column(name="c", type=column_type)),
    )
    told: Told = []
    fingerprint = Fingerprinter("1.0", lambda table, text, row: told.append((table.name, text, row)))
    rows = [row(1, "1")]
    fingerprint.of(table).add(rows, digest(rows))

    assert told == [(table.name, rows[0], rows[0])]


def test_first_three_columns_of_inlined_rows_are_numbers() -> None:
    """Row ids and snapshots count as they are, though others of the same text are another meaning."""
    columns = tuple(Column(name=name, type="bigint") for name in ("row_id", "begin_snapshot", "end_snapshot"))
    table = Table(name="ducklake_inlined_data_1_1", columns=(*columns, Column(name="s", type="text")))
    told: Told = []
    fingerprint = Fingerprinter("1.0", lambda table, text, row: told.append((part_of(table), text, row)))
    rows = [row(7, 8, None, "9")]
    fingerprint.of(table).add(rows, digest(rows))
    fingerprint.result()

    assert told == [("inlined rows", b'["7", "8", null, "39"]', rows[0])]


def test_inlined_rows_count_by_their_table() -> None:
    """The same rows in another inlined table are another meaning, in no table none."""
    one, other = _inlined("text", "a"), _inlined("text", "a", name="ducklake_inlined_data_1_2")

    assert one != other
    assert one.parts[0].rows == other.parts[0].rows == 1
    assert _inlined("text").parts == ()


def test_unknown_version_counts_as_it_is() -> None:
    """A catalog of a version that nobody knows has a fingerprint too: its rows as they are."""
    rows = [row("version", "9.9", None, None)]
    table = spec.load("1.0")["ducklake_metadata"]

    assert _of("9.9", [(table, rows)]).parts == (Part("ducklake_metadata", 1, f"{digest(rows):016x}"),)


def test_damaged_table_counts_as_it_is() -> None:
    """A table without the layout of its version counts by its rows, not by what a migration would make of them."""
    whole = spec.load("0.3")["ducklake_data_file"]
    rows = [row(*[1] * 15)]
    for columns in (whole.columns[:-1], (*whole.columns[:-1], Column(name="mapping_id", type="text"))):
        assert _of("0.3", [(Table(name=whole.name, columns=columns), rows)]).parts == (
            Part("ducklake_data_file", 1, f"{digest(rows):016x}"),
        )
    damaged = Table(name="ducklake_schema_versions", columns=(Column(name="begin_snapshot", type="bigint"),))
    lives = spec.load("0.3")["ducklake_table"]
    assert [part.name for part in _of("0.3", [(damaged, [row(1)]), (lives, [])]).parts] == []


def test_differences_name_parts_with_both_sides() -> None:
    """Parts that differ are named in order, with rows and digests before and after."""
    one = Fingerprint("x", (Part("a", 1, "11"), Part("b", 2, "22"), Part("d", 3, "33")))
    other = Fingerprint("y", (Part("a", 1, "11"), Part("b", 2, "23"), Part("c", 4, "44")))

    assert one.differences(other) == [
        ("b", "b: 2 rows (22) before, 2 rows (23) after"),
        ("c", "c: nothing before, 4 rows (44) after"),
        ("d", "d: 3 rows (33) before, nothing after"),
    ]
    assert one.differences(one) == []


def test_part_is_the_table_under_its_newest_name() -> None:
    """A renamed table counts under its newest name, all inlined rows together, and so do inlined deletes."""
    names = {
        "ducklake_file_column_statistics": "ducklake_file_column_stats",
        "ducklake_tag": "ducklake_tag",
        "ducklake_inlined_data_1_2": "inlined rows",
        "ducklake_inlined_delete_1": "inlined deletes",
    }
    assert {name: part_of(Table(name=name, columns=())) for name in names} == names


def test_rows_are_told_in_both_forms() -> None:
    """Who asks to see the rows is told each with its table, canonical and as it is; what doesn't count is not told."""
    told: Told = []
    fingerprint = Fingerprinter("0.3", lambda table, text, row: told.append((table.name, text, row)))
    rows: list[Record] = [
        record("metadata", key="version", value="0.3"),
        record("metadata", key="a", value="b"),
        record("tag", object_id=1),
        record("name_mapping", mapping_id=1, is_partition=True),
        record("schema_versions", begin_snapshot=0, schema_version=0),
    ]
    for table, texts in tables_with("0.3", *rows):
        fingerprint.of(table).add([memoryview(text) for text in texts], digest(texts))
    quiet = _with("0.3", *rows)

    assert fingerprint.result() == quiet
    assert told == [
        ("ducklake_metadata", b'["a", "b", null, null]', b"'a','b',NULL,NULL\n"),
        ("ducklake_name_mapping", *[b"1,NULL,NULL,NULL,NULL,true\n"] * 2),
        ("ducklake_tag", *[b"1,NULL,NULL,NULL,NULL\n"] * 2),
    ]


def test_tables_are_kept_whose_columns_hold_the_same() -> None:
    """Columns that come or go don't matter; a changed value does, and so does a part that hides some values."""
    statistics = record("file_column_stats", data_file_id=1, column_id=1, value_count=3)
    before = _with("0.3", record("data_file", data_file_id=1, record_count=3, partial_file_info="2:5|3:10"), statistics)
    after = _with("1.0", record("data_file", data_file_id=1, record_count=3, partial_max=3), statistics)
    kept = kept_tables(before, after)
    assert {"ducklake_data_file", "ducklake_file_column_stats", "ducklake_delete_file"} <= kept
    hiding = {"ducklake_column", "ducklake_metadata", "ducklake_table_column_stats", "ducklake_schema_versions"}
    assert not hiding & kept
    changed = _with("1.0", record("data_file", data_file_id=1, record_count=4, partial_max=3), statistics)
    assert kept - kept_tables(before, changed) == {"ducklake_data_file"}
