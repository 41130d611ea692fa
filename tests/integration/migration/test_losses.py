"""What engines' migrations lose: shown with the real engines, then refused by name, then mended."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.cli import Cli
from support.comparison import execute
from support.engines.engines import Engine, EngineError, engine, engine_of
from support.faults.faults import one, state
from support.lakes.lakes import LakeFactory, LakeKind, hash_lake
from support.migrations import migrated

import dlbackup
from dlbackup.errors import ClientsConnected
from dlbackup.migration.losses.known import RULES
from dlbackup.runtime.progress import Event

_FLUSH = "call ducklake_flush_inlined_data('lake')"
_COMPACTED = [
    "create table lake.t as select range as i from range(10)",
    *(f"insert into lake.t select range from range({start}, {start + 10})" for start in (10, 20, 30)),
    "call ducklake_merge_adjacent_files('lake')",
]
_AT = [f"select count(*) from lake.t at (version => {snapshot})" for snapshot in (1, 2, 3, 4)]
_REWRITTEN = [
    "create table lake.t (k bigint)",
    "insert into lake.t select range from range(20)",
    "insert into lake.t select range from range(100, 115)",
    "delete from lake.t where k < 5",
    "call ducklake_rewrite_data_files('lake', 't', delete_threshold => 0.01)",
    "call ducklake_merge_adjacent_files('lake')",
]
_EXPIRED = "select count(*) from ducklake_expire_snapshots('lake', versions => [2, 3])"
_FLUSHED = [
    "create table lake.t (k bigint)",
    *(f"insert into lake.t select range from range({start}, {start + 3})" for start in (0, 100, 200)),
    _FLUSH,
    "insert into lake.t select range from range(300, 450)",
    "call ducklake_merge_adjacent_files('lake')",
]
_INLINED = [
    "create table lake.texts (s varchar)",
    "insert into lake.texts values ('abc')",
    "create table lake.dates (d date)",
    "insert into lake.dates values ('2024-02-29')",
]


def _made(url: str, folder: Path, statements: list[str]) -> Engine:
    """Let DuckDB 1.4 make a lake of 0.3; return the engine."""
    old = engine_of("0.3")
    limit = 0 if statements[0] in (_COMPACTED[0], _REWRITTEN[0]) and _FLUSH not in statements else 100
    old.run(url, "public", statements, data_path=folder, options={"DATA_INLINING_ROW_LIMIT": limit})
    return old


def _read(reader: Engine, url: str, statements: list[str]) -> list[Any]:
    return [rows[0][0] for rows in reader.run(url, "public", statements)]


def _refused(cli: Cli, url: str, *words: str) -> str:
    """Check that a migration is refused and changes nothing; return message and hint."""
    before = state(url)
    done = cli("migrate", url, "--json", *words)
    error = done.json()["error"]
    assert (done.exit_code, error["type"]) == (4, "WouldLose"), done.stderr
    assert state(url) == before
    assert list(cli.cwd.glob("*.zst")) == []
    return f"{error['message']} | {error['hint']}"


def _migrated(cli: Cli, url: str, *words: str | Path) -> dict[str, Any]:
    """Migrate without a rehearsal first, which would do the same twice; two tests here do rehearse."""
    return migrated(cli, url, "--no-rehearsal", *words)


@pytest.mark.parametrize("kind", [pytest.param("plain", marks=pytest.mark.long), "inlined"])
def test_nothing_is_lost_between_0_4_and_1_0(lake: LakeFactory, cli: Cli, kind: LakeKind) -> None:
    """Between versions that differ in the number only, --no-mend has nothing to refuse."""
    made = lake(kind, "0.4")

    assert _migrated(cli, made.url, "--no-mend")["mends"] == []


def test_only_statistics_are_lost_between_0_4_and_1_0(lake: LakeFactory, cli: Cli) -> None:
    """Columns of the zoo whose first values were all NULL have statistics that DuckDB 1.5.5 takes otherwise."""
    made = lake("zoo", "0.4")

    assert [mend["rule"] for mend in _migrated(cli, made.url)["mends"]] == ["unknown-statistics"]


@pytest.mark.long
def test_plain_lake_loses_nothing(lake: LakeFactory, cli: Cli) -> None:
    """Files that were never compacted and empty inlined tables of 0.3 are no reason to refuse."""
    made = lake("plain", "0.3")

    assert _migrated(cli, made.url, "--no-mend")["mends"] == []


def test_all_losses_of_a_lake_are_named_at_once(lake: LakeFactory, cli: Cli) -> None:
    """A refusal names every loss, with the options that accept them."""
    text = _refused(cli, lake("zoo", "0.3").url, "--no-mend")

    for rule in ("partial-file-lists", "flushed-partial-files", "inlined-types", "unknown-statistics"):
        assert f"{rule}: " in text
        assert f"--accept-loss {rule}" in text


def test_other_names_accept_nothing(database: str, cli: Cli, tmp_path: Path) -> None:
    """A loss is accepted by its own name only."""
    _made(database, tmp_path / "data", _COMPACTED)

    _refused(cli, database, "--no-mend", "--accept-loss", "inlined-types")


@pytest.mark.long
def test_time_travel_over_compacted_files_is_lost(database: str, cli: Cli, newest: Engine, tmp_path: Path) -> None:
    """The engine alone drops the lists of compacted files: older snapshots show rows that came later."""
    old = _made(database, tmp_path / "data", _COMPACTED)
    assert _read(old, database, _AT) == [10, 20, 30, 40]
    assert "partial-file-lists: 1 compacted" in _refused(cli, database, "--no-mend")

    answer = _migrated(cli, database, "--no-mend", "--accept-loss", "partial-file-lists")

    assert answer["mends"] == []
    assert _read(newest, database, _AT) == [40, 40, 40, 40]


def test_time_travel_over_compacted_files_is_mended(database: str, cli: Cli, newest: Engine, tmp_path: Path) -> None:
    """Unmended it is refused, one file in the singular; mended every snapshot reads as before, and that is said."""
    _made(database, tmp_path / "data", _COMPACTED)
    assert "partial-file-lists: 1 compacted data file would lose" in _refused(cli, database, "--no-mend")

    answer = _migrated(cli, database)

    assert answer["mends"] == [{"rule": "partial-file-lists", "rows": 1}]
    assert _read(newest, database, _AT) == [10, 20, 30, 40]


def test_list_that_can_t_be_carried_over_is_refused_by_name(database: str, cli: Cli, tmp_path: Path) -> None:
    """A list whose snapshots don't ascend has no exact mend: refused until that loss is accepted."""
    _made(database, tmp_path / "data", _COMPACTED)
    execute(
        database,
        "update ducklake_data_file set partial_file_info = '3:15|4:16|1:76' where partial_file_info is not null",
    )

    text = _refused(cli, database)

    assert "unordered-partial-files: 1 compacted" in text
    mends = _migrated(cli, database, "--accept-loss", "unordered-partial-files")["mends"]
    assert mends == [{"rule": "partial-file-lists", "rows": 1}]
    assert one(database, "select max(partial_max) from ducklake_data_file") == 4


@pytest.mark.long
def test_rewritten_rows_would_show_twice(database: str, cli: Cli, newest: Engine, tmp_path: Path) -> None:
    """A list that rises may hold a rewritten file: its rows show beside the file that it replaced, so it is refused."""
    old = _made(database, tmp_path / "data", _REWRITTEN)
    at = [f"select count(*) from lake.t at (version => {snapshot})" for snapshot in (2, 3, 4)]
    assert one(database, "select partial_file_info from ducklake_data_file where end_snapshot is null") == "3:15|4:30"
    assert _read(old, database, at) == [20, 35, 30]
    assert "rewritten-partial-files: 1 compacted" in _refused(cli, database)

    answer = _migrated(cli, database, "--accept-loss", "rewritten-partial-files")

    assert answer["mends"] == [{"rule": "partial-file-lists", "rows": 1}]
    assert _read(newest, database, at) == [20, 50, 30]


@pytest.mark.long
def test_expiry_makes_rewritten_files_harmless(database: str, cli: Cli, newest: Engine, tmp_path: Path) -> None:
    """Without the snapshots from before the rewrite nothing shows twice, and nothing is refused."""
    _made(database, tmp_path / "data", [*_REWRITTEN, _EXPIRED])

    answer = _migrated(cli, database)

    assert answer["mends"] == [{"rule": "partial-file-lists", "rows": 1}]
    assert _read(newest, database, ["select count(*) from lake.t at (version => 4)"]) == [30]


def test_flushed_rows_show_from_their_insert_on(database: str, cli: Cli, newest: Engine, tmp_path: Path) -> None:
    """DuckDB 1.4 shows merged rows of a flush too early; the mend, named apart, shows them when they were inserted."""
    old = _made(database, tmp_path / "data", _FLUSHED)
    at = [f"select count(*) from lake.t at (version => {snapshot})" for snapshot in (2, 3, 4, 6)]
    assert _read(old, database, at) == [9, 9, 9, 159]
    assert "flushed-partial-files: 1 compacted" in _refused(cli, database, "--no-mend")

    answer = _migrated(cli, database)

    assert answer["mends"] == [{"rule": "flushed-partial-files", "rows": 1}]
    assert _read(newest, database, at) == [3, 6, 9, 159]


@pytest.mark.long
def test_flush_of_one_snapshot_is_as_exact_as_a_file(database: str, cli: Cli, tmp_path: Path) -> None:
    """Where no other insert lies between, a flushed file holds rows of one snapshot: its list is a plain one."""
    few = [text for text in _FLUSHED if "range(100," not in text and "range(200," not in text]
    _made(database, tmp_path / "data", few)

    assert _migrated(cli, database)["mends"] == [{"rule": "partial-file-lists", "rows": 1}]


def _unknown(database: str, folder: Path, spec: str) -> None:
    """Make a column whose first values are all NULL; up to 1.5.1, DuckDB then knows no minimum for good."""
    statements = [
        "create table lake.t (k bigint, x integer, s varchar)",
        "insert into lake.t values (0, null, null)",
        "insert into lake.t values (1, 1, 'a'), (2, 2, 'b')",
    ]
    engine_of(spec).run(database, "public", statements, data_path=folder, options={"DATA_INLINING_ROW_LIMIT": 0})


_FILTERS = [
    "insert into lake.t values (3, 3, 'c'), (4, 4, 'd')",
    "select count(*) from lake.t where x = 1",
    "select count(*) from lake.t where s = 'a'",
    "select min(x) from lake.t",
    "insert into lake.t values (5, 5, 'e')",
    "select count(*) from lake.t where x <= 2",
]


@pytest.mark.long
@pytest.mark.parametrize("spec", ["0.3", "0.4"])
def test_filters_miss_older_rows(database: str, cli: Cli, newest: Engine, tmp_path: Path, spec: str) -> None:
    """The engine alone takes unknown statistics for none: after an insert, filters on older values find nothing."""
    _unknown(database, tmp_path / "data", spec)
    assert "unknown-statistics: 2 columns" in _refused(cli, database, "--no-mend")

    _migrated(cli, database, "--no-mend", "--accept-loss", "unknown-statistics")

    assert _read(newest, database, _FILTERS) == [2, 0, 0, 3, 1, 0]


@pytest.mark.parametrize("spec", ["0.3", "0.4"])
def test_filters_find_older_rows(database: str, cli: Cli, newest: Engine, tmp_path: Path, spec: str) -> None:
    """With the mend the statistics of such columns are gone, and filters find every row, old and new."""
    _unknown(database, tmp_path / "data", spec)
    assert "unknown-statistics: 2 columns" in _refused(cli, database, "--no-mend")

    answer = _migrated(cli, database)

    assert answer["mends"] == [{"rule": "unknown-statistics", "rows": 2}]
    assert _read(newest, database, _FILTERS) == [2, 1, 1, 1, 1, 2]


def test_columns_that_are_all_null_keep_their_statistics(database: str, cli: Cli, tmp_path: Path) -> None:
    """Where every file says that there is no value, no minimum is what the new engine should know."""
    statements = ["create table lake.t (k bigint, x integer)", "insert into lake.t values (0, null), (1, null)"]
    engine_of("0.3").run(
        database, "public", statements, data_path=tmp_path / "data", options={"DATA_INLINING_ROW_LIMIT": 0}
    )

    assert _migrated(cli, database, "--no-mend")["mends"] == []


_NULL_TEXT = [
    "create table lake.t (k bigint, s varchar default 'NULL', b blob default 'NULL', n varchar default null)",
    "insert into lake.t (k) values (1)",
]
_DEFAULTS = [
    "insert into lake.t (k) values (2)",
    "select count(*) from lake.t where s = 'NULL' and b = 'NULL'::blob and n is null",
    "alter table lake.t rename column s to renamed",
    "insert into lake.t (k) values (3)",
    "select count(*) from lake.t where renamed = 'NULL' and b = 'NULL'::blob and n is null",
]


@pytest.mark.long
def test_null_text_is_lost_as_a_default(database: str, cli: Cli, newest: Engine, tmp_path: Path) -> None:
    """The engine alone takes the text NULL for no default: new rows get an SQL NULL."""
    _made(database, tmp_path / "data", _NULL_TEXT)
    losses = ("null-text-defaults", "inlined-types", "unknown-statistics")
    assert "null-text-defaults: 2 columns" in _refused(cli, database, "--no-mend")

    _migrated(cli, database, "--no-mend", *(word for loss in losses for word in ("--accept-loss", loss)))

    assert _read(newest, database, _DEFAULTS[:2]) == [1, 1]
    assert _read(newest, database, ["select count(*) from lake.t where s is null and b is null"]) == [1]


def test_null_text_stays_a_default(database: str, cli: Cli, newest: Engine, tmp_path: Path) -> None:
    """With the mend new rows get the text, also after the column was renamed."""
    _made(database, tmp_path / "data", _NULL_TEXT)
    assert "null-text-defaults: 2 columns" in _refused(cli, database, "--no-mend")

    answer = _migrated(cli, database)

    assert {"rule": "null-text-defaults", "rows": 2} in answer["mends"]
    answers = newest.run(database, "public", _DEFAULTS)
    assert (answers[1], answers[4]) == ([[2]], [[3]])


def test_compacted_files_in_the_newer_form_lose_nothing(database: str, cli: Cli, tmp_path: Path) -> None:
    """`partial_max:N` is what the engine does carry over: no rule applies, and the number arrives."""
    _made(database, tmp_path / "data", _COMPACTED)
    execute(
        database,
        "update ducklake_data_file set partial_file_info = 'partial_max:4' where partial_file_info is not null",
    )

    assert _migrated(cli, database, "--no-mend")["mends"] == []
    assert one(database, "select max(partial_max) from ducklake_data_file") == 4


@pytest.mark.long
def test_inlined_tables_of_1_4_are_misused(database: str, cli: Cli, newest: Engine, tmp_path: Path) -> None:
    """The engine alone writes new text that comes back as hexadecimal, and refuses new dates."""
    _made(database, tmp_path / "data", _INLINED)
    assert "inlined-types: 2 inlined tables" in _refused(cli, database, "--no-mend")

    answer = _migrated(cli, database, "--no-mend", "--accept-loss", "inlined-types")

    assert answer["mends"] == []
    text = ["insert into lake.texts values ('def')", "select string_agg(s, ' ' order by s desc) from lake.texts"]
    assert _read(newest, database, text)[-1] == "abc \\x646566"
    with pytest.raises(EngineError, match="type date but expression is of type character varying"):
        _read(newest, database, ["insert into lake.dates values ('2024-03-01')"])


def test_inlined_tables_of_1_4_are_mended(database: str, cli: Cli, newest: Engine, tmp_path: Path) -> None:
    """With the mend old rows read as before, and new text and dates come back as they were written."""
    _made(database, tmp_path / "data", _INLINED)
    assert "inlined-types: 2 inlined tables" in _refused(cli, database, "--no-mend")

    answer = _migrated(cli, database)

    assert answer["mends"] == [{"rule": "inlined-types", "rows": 2}]
    statements = [
        "insert into lake.texts values ('def')",
        "insert into lake.dates values ('2024-03-01')",
        "select string_agg(s, ' ' order by s) from lake.texts",
        "select string_agg(d::varchar, ' ' order by d) from lake.dates",
    ]
    assert _read(newest, database, statements)[2:] == ["abc def", "2024-02-29 2024-03-01"]


@pytest.mark.long
def test_1_5_1_leaves_columns_that_can_t_be_read(lake: LakeFactory, cli: Cli) -> None:
    """The migration by DuckDB 1.5.1 succeeds by its own account; every read then fails, so it is refused unmended."""
    made = lake("plain", "0.3")
    old = engine("1.5.1")
    words = ("--engine", str(old.python), "--no-mend")
    assert "unreadable-defaults" in _refused(cli, made.url, *words)

    old.run(made.url, made.schema, [], options={"AUTOMATIC_MIGRATION": True})

    with pytest.raises(EngineError, match="Column type  is not supported"):
        old.run(made.url, made.schema, ["select * from lake.sales.customers"])


def test_what_can_t_be_read_can_t_be_accepted(lake: LakeFactory, cli: Cli) -> None:
    """Unmended, no engine opens the result: that is refused beforehand, whatever is accepted."""
    made = lake("plain", "0.3")
    accepted = ("--accept-loss", "unreadable-defaults", "--accept-loss", "schema-versions-at-one-snapshot")

    said = _refused(cli, made.url, "--engine", str(engine("1.5.1").python), "--no-mend", *accepted)

    assert said.endswith("unreadable-defaults can't be accepted, but is mended without --no-mend")


@pytest.mark.parametrize("kind", ["plain", pytest.param("zoo", marks=pytest.mark.long)])
def test_what_1_5_1_loses_is_mended(lake: LakeFactory, cli: Cli, kind: LakeKind) -> None:
    """With the mends its result means the same, can be read and compacted, and check finds no error that it made."""
    made = lake(kind, "0.3")
    old = engine("1.5.1")

    answer = migrated(cli, made.url, "--engine", str(old.python))

    assert answer["to_version"] == "0.4"
    assert {"unreadable-defaults", "schema-versions-at-one-snapshot"} <= {mend["rule"] for mend in answer["mends"]}
    found = cli("check", made.url, "--json").json()["findings"]
    errors = {finding["rule"] for finding in found if finding["severity"] == "error"}
    assert errors == ({"renamed-inlined-column"} if kind == "zoo" else set())  # 1.5.1 is wrong there by itself
    table = "sales.customers" if kind == "plain" else "t_basic"
    old.run(made.url, made.schema, [f"select * from lake.{table}", "call ducklake_merge_adjacent_files('lake')"])


_AT_ONCE = [
    "begin",
    "create table lake.t (i integer, s varchar)",
    "alter table lake.t rename s to s2",
    "commit",
    "insert into lake.t values (1, 'x')",
]


def test_what_engines_fail_at_is_refused(database: str, cli: Cli, tmp_path: Path) -> None:
    """Migrated, reads of such a table would end the client's DuckDB: `check`, `plan` and `migrate` say the same."""
    _made(database, tmp_path / "data", _AT_ONCE)
    found = cli("check", database, "--json").json()["findings"]
    planned = cli("plan", database, "--json")

    assert "column-once" in {finding["rule"] for finding in found if finding["severity"] == "error"}
    assert (planned.exit_code, [loss["rule"] for loss in planned.json()["losses"]]) == (4, ["column-once"])
    assert "accept it by name with --accept-loss column-once" in _refused(cli, database)


_LONG = "a_column_name_that_has_so_many_bytes_that_postgresql_cuts_it_at_63_of_them"
_NAMED = [f"create table lake.t (i integer, {_LONG} varchar)", "insert into lake.t values (1, 'x')"]


@pytest.mark.long
def test_names_that_the_server_cut_end_a_client(database: str, cli: Cli, newest: Engine, tmp_path: Path) -> None:
    """Accepted, a read of such a table ends the client's DuckDB."""
    _made(database, tmp_path / "data", _NAMED)

    _migrated(cli, database, "--accept-loss", "cut-column-name")

    with pytest.raises(EngineError, match="INTERNAL Error"):
        _read(newest, database, ["select * from lake.t"])


def test_way_out_of_names_that_the_server_cut(database: str, cli: Cli, newest: Engine, tmp_path: Path) -> None:
    """Refused, and `plan` says it too; the way that docs/rules.md says keeps every row and is refused no longer."""
    old = _made(database, tmp_path / "data", _NAMED)
    assert [loss["rule"] for loss in cli("plan", database, "--json").json()["losses"]] == ["cut-column-name"]
    assert "accept it by name with --accept-loss cut-column-name" in _refused(cli, database)
    rename = "update ducklake_column set column_name = '{}' where column_name = '{}'"
    execute(database, rename.format(_LONG[:63], _LONG))
    old.run(database, "public", [_FLUSH, "call lake.set_option('data_inlining_row_limit', 0, table_name => 't')"])
    execute(
        database,
        rename.format(_LONG, _LONG[:63]),
        "delete from ducklake_inlined_data_tables where table_name = 'ducklake_inlined_data_1_1'",
        "drop table ducklake_inlined_data_1_1",
    )

    _migrated(cli, database)

    assert newest.run(database, "public", [f"select i, {_LONG} from lake.t"]) == [[[1, "x"]]]
    assert cli("check", database).exit_code == 0


def test_lake_that_no_engine_loads_is_refused(database: str, cli: Cli, tmp_path: Path) -> None:
    """A macro's default that no client can cast is named before anything is done, and its mend opens the way."""
    statements = ["create table lake.t as select 1 as i", "create macro lake.m(d date := null::date) as (select 1)"]
    engine_of("0.4").run(database, "public", statements, data_path=tmp_path / "data")
    planned = cli("plan", database, "--json").json()
    assert [(loss["rule"], loss["mended"]) for loss in planned["losses"]] == [("macro-default", False)]
    assert "macro-default can't be accepted: mend it first" in _refused(cli, database)

    (finding,) = cli("check", database, "--json").json()["findings"]
    execute(database, finding["mend"])

    assert _migrated(cli, database)["to_version"] == "1.0"


@pytest.mark.parametrize("verb", ["plan", "migrate"])
def test_losses_that_there_are_not_are_wrong_usage(lake: LakeFactory, cli: Cli, verb: str) -> None:
    """A misspelt name would accept nothing: it is told which names there are."""
    done = cli(verb, lake("plain", "0.3").url, "--accept-loss", "nonsense")

    assert done.exit_code == 2
    assert "no loss 'nonsense'" in done.stderr
    assert "partial-file-lists" in done.stderr


def _readable(readings: dict[Any, str]) -> dict[Any, str]:
    """Keep what the engine could read: 1.3.2 can't read some of its own older snapshots."""
    return {place: found for place, found in readings.items() if " rows, " in found}


def test_0_2_is_damaged_on_its_way_by_engines_alone(lake: LakeFactory, cli: Cli, newest: Engine) -> None:
    """DuckDB 1.4 and then 1.5 leave added files unreadable and tables without their first schema version."""
    made = lake("zoo", "0.2")
    engine_of("0.3").run(made.url, made.schema, [], options={"MIGRATE_IF_REQUIRED": True})
    newest.run(made.url, made.schema, [], options={"AUTOMATIC_MIGRATION": True})

    done = cli("check", made.url, "--json")

    broken = {finding["rule"] for finding in done.json()["findings"] if finding["severity"] == "error"}
    assert done.exit_code == 3
    assert {"schema-version-of-table", "mapping-is-partition"} <= broken


def test_0_2_reaches_1_0_in_two_steps(lake: LakeFactory, cli: Cli, newest: Engine) -> None:
    """With a 1.4 engine named, migrate goes over 0.3 and mends both steps: every table reads as before."""
    made = lake("zoo", "0.2")
    at = ("first", 60, 100, "last")
    before = _readable(hash_lake(made.engine, made.url, made.schema, at=at))

    by_both = ("--engine", str(engine_of("0.3").python))
    planned = cli("plan", made.url, *by_both, "--json").json()

    answer = migrated(cli, made.url, *by_both)

    assert (answer["outcome"], answer["from_version"], answer["to_version"]) == ("migrated", "0.2", "1.0")
    assert (planned["from_version"], planned["to_version"]) == ("0.2", "1.0")
    assert planned["engine"] == "DuckDB 1.4.4, then DuckDB 1.5.5"
    assert len([step for step in planned["steps"] if step.startswith("attach with")]) == 2
    rules = [mend["rule"] for mend in answer["mends"]]
    assert [(loss["rule"], loss["mended"]) for loss in planned["losses"]] == [(rule, True) for rule in rules]
    assert rules == [
        "name-mapping-partition",
        "partial-file-lists",
        "inlined-types",
        "schema-version-holes",
        "schema-version-gaps",
        "unknown-statistics",
    ]
    after = hash_lake(newest, made.url, made.schema, at=at)
    assert len(before) > 20
    assert {place: after[place] for place in before} == before
    assert cli("check", made.url).exit_code == 0
    assert cli("restore", answer["backup"], made.url, "--replace").exit_code == 0
    assert state(made.url)[0].spec_version == "0.2"


_UPDATED = [
    "create table lake.t as select range as i from range(10)",
    "insert into lake.t select range from range(10, 20)",
    "update lake.t set i = i + 100 where i >= 10",
    "insert into lake.t select range from range(20, 30)",
    "call ducklake_merge_adjacent_files('lake')",
]
_WIDE = [f"create table lake.wide ({', '.join(f'c{number} integer' for number in range(1598))})"]
_NULL_DEFAULT = ["create table lake.d (i integer, s varchar default 'NULL')"]


@pytest.mark.parametrize(
    ("statements", "words", "rule"),
    [
        (_UPDATED, (), "rewritten-partial-files"),
        pytest.param(_WIDE, (), "wide-tables", marks=pytest.mark.long),
        pytest.param(_NULL_DEFAULT, ("--no-mend",), "null-text-defaults", marks=pytest.mark.long),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_the_second_step_loses_is_refused_before_the_first(
    database: str, cli: Cli, tmp_path: Path, statements: list[str], words: tuple[str, ...], rule: str
) -> None:
    """A lake of 0.2 isn't brought to 0.3 when the way from there on is refused, and plan says so too."""
    engine_of("0.2").run(database, None, statements, data_path=tmp_path / "data")
    by_both = ("--engine", str(engine_of("0.3").python), *words)

    planned = cli("plan", database, *by_both, "--json").json()

    assert [loss["rule"] for loss in planned["losses"] if not loss["mended"]] == [rule]
    assert [blocker["type"] for blocker in planned["blockers"]] == ["WouldLose"]
    assert f"--accept-loss {rule}" in _refused(cli, database, *by_both)
    accepted = _migrated(cli, database, *by_both, "--accept-loss", rule)
    assert (accepted["from_version"], accepted["to_version"]) == ("0.2", "1.0")


def test_failure_of_the_second_step_says_what_the_first_has_done(database: str, cli: Cli, tmp_path: Path) -> None:
    """A client that comes between the steps stops the second: the error has versions and the backup of both."""
    engine_of("0.2").run(database, None, ["create table lake.t (i integer)"], data_path=tmp_path / "data")
    options = dlbackup.MigrateOptions(engine=engine_of("0.3").python, backup_dir=tmp_path)
    with ExitStack() as clients:

        def come(event: Event) -> None:
            if event.message.startswith("0.2 to 0.3 is done"):
                clients.enter_context(psycopg.connect(database))

        with pytest.raises(ClientsConnected, match="connected") as failed:
            dlbackup.migrate(database, options, on_event=come)

    result = failed.value.result
    assert isinstance(result, dlbackup.Migration)
    assert (result.outcome, result.from_version, result.to_version) == ("migrated", "0.2", "0.3")
    assert str(result.backup) in failed.value.hint
    assert state(database)[0].spec_version == "0.3"
    assert cli("restore", str(result.backup), database, "--replace").exit_code == 0
    assert state(database)[0].spec_version == "0.2"


_WIDENED = ["insert into lake.wide (c0) values (1)", "alter table lake.wide add column more integer"]


@pytest.mark.long
def test_wide_tables_can_t_be_altered_any_more(database: str, cli: Cli, newest: Engine, tmp_path: Path) -> None:
    """Accepted, a table of 1,598 columns takes neither few rows nor another column."""
    engine_of("0.3").run(database, None, _WIDE, data_path=tmp_path / "data")

    _migrated(cli, database, "--accept-loss", "wide-tables")

    for statement in _WIDENED:
        with pytest.raises(EngineError, match="at most 1600 columns"):
            newest.run(database, None, [statement])


def test_wide_tables_are_refused_until_they_are_not_inlined(
    database: str, cli: Cli, newest: Engine, tmp_path: Path
) -> None:
    """A table of 1,598 columns is refused until the option that the refusal names is set, and then can be altered."""
    old = engine_of("0.3")
    old.run(database, None, _WIDE, data_path=tmp_path / "data")
    planned = cli("plan", database, "--json").json()
    assert [(loss["rule"], loss["rows"], loss["mended"]) for loss in planned["losses"]] == [("wide-tables", 1, False)]
    said = _refused(cli, database)
    assert "data_inlining_row_limit" in said
    assert "--accept-loss wide-tables" in said

    old.run(database, None, ["call lake.set_option('data_inlining_row_limit', 0, table_name => 'wide')"])
    _migrated(cli, database)
    newest.run(database, None, [*_WIDENED, _WIDENED[0]])


def test_every_known_loss_has_tests_here() -> None:
    """The losses that these tests show are all that are known; a new one needs tests of its own."""
    assert [rule.name for rule in RULES if "postgres" in rule.dialects] == [
        "partial-file-lists",
        "unordered-partial-files",
        "rewritten-partial-files",
        "flushed-partial-files",
        "inlined-types",
        "inlined-columns",  # in test_inlined_versions
        "inlined-column-rows",  # in test_inlined_versions
        "wide-tables",
        "name-mapping-partition",
        "schema-versions-at-one-snapshot",
        "schema-version-holes",
        "schema-version-gaps",  # in test_expired_changes
        "inlined-versions",  # in test_inlined_versions
        "unknown-statistics",
        "null-text-defaults",
        "unreadable-defaults",
    ]
