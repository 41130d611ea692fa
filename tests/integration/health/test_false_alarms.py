"""
`check` says nothing of an error about lakes that the engine reads rightly, and finds each damage, in any locale.

Lakes are random: `support.healthy` says what happens to them. DLBACKUP_HISTORIES and `--seed`, or `--long`, make
them more and others, and DLBACKUP_LOG names a file for what came of each. Locales that the server doesn't know are
skipped, unless they are asked for:

    DLBACKUP_LOCALES=C,tr_TR       only these of LOCALES, and none of them may be missing
    DLBACKUP_LOCALE_SERVER=URL     a running server to make the databases on, as a superuser
"""

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import psycopg
import pytest
from support.comparison import execute
from support.engines.engines import EngineError, engine_of
from support.healthy.healthy_steps import VALUES, WIDER, healthy_steps
from support.histories.histories import examples
from support.histories.runs import log
from support.rules.damages import DAMAGES
from support.rules.patients import Patient, counts, patient_in

import dlbackup
from dlbackup.health.checkup import Check
from dlbackup.lake.findings import Finding
from dlbackup.verbs.check import check

PROGRAM = Path(__file__).parents[2] / "support" / "engines" / "healthy_program.py"
_TIMEOUT_S = 300
LOCALES = {
    "C": "locale 'C'",
    "C.UTF-8": "locale 'C.UTF-8'",
    "en_US": "locale 'en_US.UTF-8'",
    "builtin": "locale_provider builtin builtin_locale 'C.UTF-8' locale 'C.UTF-8'",
    "ICU": "locale_provider icu icu_locale 'und' locale 'C.UTF-8'",
    "Turkish": "locale_provider icu icu_locale 'tr-TR' locale 'C.UTF-8'",
    "tr_TR": "locale 'tr_TR.UTF-8'",
}
"""How a database of each locale is made; not every server knows every one."""
NAMES = ("I", "ı", "İ", "Ä", "ä", "STRASSE", "straße", "Σ", "σ", "ς", "É", "é")
"""Names that are different ones for DuckDB, and in some locale the same but for their case."""
ONLY_IN_THE_ZOO = {
    "float-bounds": "it takes a file from before the change",
    "inlined-column-added": "it takes an inlined table, which no lake of an older engine has",
    "inlined-version-unknown": "it takes an inlined table whose version is named, with rows from after its columns",
    "inlined-types": "it takes an inlined table of many types",
    "lost-partial-list": "it takes a merged file of which the rows tell that",
    "macro-name-once": "it takes two macros of a kind",
    "partition-value-of-other-table": "it takes a partitioned table that isn't the first",
    "path-once": "it takes two files of a table",
    "row-id-overlap": "it takes two files with rows next to each other",
    "schema-version-of-change": "it takes a change that has not expired",
    "schema-version-of-snapshot": "it takes snapshots next to each other",
    "uuid-once": "it takes two views",
}
"""Rules whose damages are made for the zoo, and are none in every lake; with the reason."""
REWRITE = "call ducklake_rewrite_data_files('lake', delete_threshold => 0)"
ONE_FILE = (
    "copy (select 42 as i) to '{folder}/shared.parquet'",
    "create table lake.one (i integer)",
    "create table lake.other (i integer)",
    "call ducklake_add_data_files('lake', 'one', '{folder}/shared.parquet')",
    "call ducklake_add_data_files('lake', 'other', '{folder}/shared.parquet')",
)
LEFT_BEHIND = (
    "create table lake.t (i integer)",
    "insert into lake.t select range from range(8)",
    "call ducklake_flush_inlined_data('lake')",
    "delete from lake.t where i = 3",
    "insert into lake.t select range from range(100, 200)",
    "delete from lake.t where i = 150",
    REWRITE,
    "call ducklake_expire_snapshots('lake', older_than => now())",
)


_DAMAGES_OF_A_LAKE = 16
_ENOUGH = 8
"""Of so many lakes an engine reads one rightly: DuckDB 1.5.5 misreads half of them."""


def _in(*in_every_run: str) -> pytest.MarkDecorator:
    """Try a test in locales: in those that are asked for, else in some by default and in all with --long."""
    asked = os.environ.get("DLBACKUP_LOCALES", "").split(",")
    others = [it for it in LOCALES if it not in in_every_run]
    named = [*in_every_run, *(pytest.param(it, marks=pytest.mark.long) for it in others)]
    return pytest.mark.parametrize("localized", asked if any(asked) else named, indirect=True)


@pytest.fixture
def localized(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a new database of a locale; skips where the server doesn't know it and nobody asked for it."""
    locale = str(request.param)
    elsewhere = os.environ.get("DLBACKUP_LOCALE_SERVER")
    server_url = elsewhere or request.getfixturevalue("server").url
    with _localized(server_url, locale) as url:
        yield url


@contextmanager
def _localized(server_url: str, locale: str) -> Iterator[str]:
    name = f"t_{secrets.token_hex(6)}"
    try:
        execute(server_url, f"create database {name} template template0 encoding 'UTF8' {LOCALES[locale]}")
    except psycopg.Error as error:
        if os.environ.get("DLBACKUP_LOCALES"):
            raise
        pytest.skip(f"this server makes no database of the locale {locale}: {error.diag.message_primary}")
    try:
        yield urlsplit(server_url)._replace(path=f"/{name}").geturl()
    finally:
        execute(server_url, f"drop database {name} with (force)")


def _run(url: str, folder: Path, *statements: str, limit: int = 10) -> None:
    # What has a time zone in its answer needs a module that the engines' Python lacks.
    shown = [
        f"create temp table shown_{n} as from {text[5:]}" if text[:5] == "call " else text
        for n, text in enumerate(statements)
    ]
    options = {"DATA_INLINING_ROW_LIMIT": limit}
    engine_of("1.0").run(url, "public", shown, data_path=folder / "data", options=options, timeout_s=_TIMEOUT_S)


def _rules(found: Check, severity: str) -> set[str]:
    return {finding.rule for finding in found.findings if finding.severity == severity}


def _mend(found: Check, rule: str) -> str:
    (mend,) = (finding.mend for finding in found.findings if finding.rule == rule)
    return mend


@_in("C")
def test_names_are_those_of_duckdb_in_every_locale(localized: str, tmp_path: Path) -> None:
    """What DuckDB takes for different names are no doubled ones; what it takes for one is, in every locale."""
    columns = ", ".join(f'"{name}" integer' for name in NAMES)
    statements = [f"create table lake.columns ({columns})", f"create table lake.nested (s struct({columns}))"]
    for name in NAMES:
        statements += [
            f'create table lake."{name}" as select 1 as i',
            f'create view lake."v{name}" as select 1 as i',
            f'create schema lake."s{name}"',
            f'create macro lake."m{name}"(x) as x',
            f'create macro lake."m{name}"(x) as table select x as y',
        ]
    _run(localized, tmp_path, *statements)
    assert check(localized).findings == ()

    execute(
        localized,
        "update ducklake_table set table_name = 'strasse' where table_name = 'straße'",
        "update ducklake_macro set macro_name = 'Mi' where macro_name = 'mı'",
        "update ducklake_column set column_name = 'i' where column_name = 'ı'",
    )
    found = {finding.rule: finding.evidence for finding in check(localized).findings}
    assert found.keys() == {"name-once", "macro-name-once"}
    assert [text.rpartition(" ")[2] for text in found["name-once"]] == ["i", "i", "strasse"]
    assert [text.rpartition(" ")[2] for text in found["macro-name-once"]] == ["mi", "mi"]


@_in("en_US")
@pytest.mark.timeout(_TIMEOUT_S * (examples() + 1))
def test_lakes_that_are_read_rightly_have_no_error(
    localized: str, tmp_path: Path, pytestconfig: pytest.Config, request: pytest.FixtureRequest
) -> None:
    """What the engine reads rightly, whatever was done to it, isn't damage; and what is damaged then, is found."""
    _look_at_lakes("1.0", localized, tmp_path, pytestconfig.option.seed, request.node.callspec.params["localized"])


@pytest.mark.long
@_in("C")
@pytest.mark.timeout(_TIMEOUT_S * (examples() + 1))
@pytest.mark.parametrize("spec", ["0.3", "0.4"])
def test_lakes_of_older_engines_that_are_read_rightly_have_no_error(
    localized: str, spec: str, tmp_path: Path, pytestconfig: pytest.Config, request: pytest.FixtureRequest
) -> None:
    """The same of lakes that an older engine makes, and reads at many snapshots as they were when those were new."""
    locale = request.node.callspec.params["localized"]
    if locale != "C" and not os.environ.get("DLBACKUP_LOCALES"):
        pytest.skip("in another locale only where it is asked for")
    _look_at_lakes(spec, localized, tmp_path, pytestconfig.option.seed, locale)


def _look_at_lakes(spec: str, url: str, tmp_path: Path, first_seed: int, locale: str) -> None:
    engine, read_rightly, wrong = engine_of(spec), 0, []
    for number in range(examples()):
        seed, schema = first_seed * 1000 + number, f"lake{number}"
        folder = tmp_path / schema
        folder.mkdir()
        execute(url, f"create schema {schema}")
        # Rows inlined by older engines are read wrongly by themselves after most changes of a table.
        options = {"DATA_INLINING_ROW_LIMIT": 10 * (number % 2) * (spec == "1.0")}
        attach = engine.attach_statement(url, schema, data_path=folder / "data", options=options)
        statements = healthy_steps(seed, str(folder))
        job = {"attach": attach, "statements": statements, "schema": schema, "snapshots": spec != "1.0"}
        answer = engine.job("take", job, _TIMEOUT_S, child=PROGRAM)
        found = check(url, metadata_schema=schema)
        errors = [finding.message for finding in found.findings if finding.severity == "error"]
        with patient_in(url, spec, schema) as patient:
            tried, missed = _damage(patient, spec, Random(seed))
        read_rightly += not answer["misread"]
        if missed or (errors and not answer["misread"]):
            wrong.append((seed, errors, missed))
        log({"spec": spec, "locale": locale, "seed": seed, "errors": errors, "tried": tried, "missed": missed} | answer)
        shutil.rmtree(folder)
        execute(url, f"drop schema {schema} cascade")
    assert wrong == []
    assert read_rightly or examples() < _ENOUGH


def _damage(patient: Patient, spec: str, random: Random) -> tuple[list[str], list[str]]:
    """
    Do some damages one by one, where the lake has what they need.

    Returns:
        Those that were done, and those that no rule has found.
    """
    tried: list[str] = []
    missed: list[str] = []
    damages = [it for it in DAMAGES if spec in it.specs and it.rule not in ONLY_IN_THE_ZOO]
    for damage in random.sample(damages, len(damages)):
        if len(tried) == _DAMAGES_OF_A_LAKE:
            break
        with patient.session.transaction(force_rollback=True):
            try:
                changed = patient.apply(damage.statements(patient.names))
            except psycopg.Error:
                continue
            if changed:
                tried.append(f"{damage.rule}: {damage.what}")
                if not _is_found(patient, damage.rule):
                    missed.append(tried[-1])
    return tried, missed


def _is_found(patient: Patient, expected: str) -> bool:
    """Ask the rule that should find a damage, which takes a hundredth of all of them, and the others if it doesn't."""

    def finds_more(findings: Iterable[Finding]) -> bool:
        return any(max(it.count, 1) > patient.before.get(it.rule, 0) for it in findings)

    return finds_more(patient.findings(expected)) or finds_more(patient.check().findings)


def test_statistics_of_every_widening(database: str, tmp_path: Path) -> None:
    """No widening makes statistics look narrow, and one that is narrow is found after it."""
    create, insert, widen, more = [], [], [], []
    for before, wider in WIDER.items():
        columns = {f"c{number}": after for number, after in enumerate(wider)}
        table = f'lake."{before}"'
        create.append(f"create table {table} ({', '.join(f'{name} {before}' for name in columns)})")
        low, *_, high = [value for value in VALUES[before] if value != "null"]
        insert += [f"insert into {table} values ({', '.join([value] * len(columns))})" for value in (low, high)]
        widen += [f"alter table {table} alter {name} type {after}" for name, after in columns.items()]
        values = [VALUES.get(after, ("9",))[0] for after in columns.values()]
        more.append(f"insert into {table} values ({', '.join(values)})")
    _run(database, tmp_path, "begin", *create, "commit", *insert, "begin", *widen, "commit", *more, limit=0)
    assert check(database).findings == ()

    compared = execute(
        database,
        "delete from ducklake_table_column_stats where min_value is null or max_value is null or exists (select from"
        " ducklake_column c where c.table_id = ducklake_table_column_stats.table_id and c.column_id ="
        " ducklake_table_column_stats.column_id and c.end_snapshot is null and c.column_type ~ '128|variant|float')",
        "update ducklake_table_column_stats s set min_value = case when c.column_type ~ '^(date|timestamp)' then"
        " '12000-01-01' else '99999999999999999999' end from ducklake_column c where c.table_id = s.table_id"
        " and c.column_id = s.column_id and c.end_snapshot is null returning s.table_id, s.column_id",
    )
    (narrow,) = (finding for finding in check(database).findings if finding.rule == "narrow-statistics")
    assert narrow.count == len(compared) > 40


def test_narrow_statistics_lose_rows_of_every_type_that_has_them(database: str, tmp_path: Path) -> None:
    """A maximum that leaves out values hides them from filters, and is found, whatever the type."""
    types = ("varchar", "json", "uuid", "integer", "time", "date", "decimal(9,2)")
    make, ask = [], []
    for type_ in types:
        low, *_, high = sorted(value for value in VALUES[type_] if value not in ("null", "''"))
        make.append(f'create table lake."{type_}" (c {type_})')
        make += [f'insert into lake."{type_}" values ({value})' for value in (low, high)]
        ask += [f'select count(*) from lake."{type_}" where c = {value}' for value in (low, high)]
    _run(database, tmp_path, *make, limit=0)
    execute(database, "update ducklake_table_column_stats set min_value = max_value")

    seen = engine_of("1.0").run(database, "public", ask)
    assert [type_ for number, type_ in enumerate(types) if [[0]] in seen[2 * number : 2 * number + 2]] == [*types]
    assert counts(check(database)) == {"narrow-statistics": len(types)}


def test_bounds_from_before_a_column_was_float_are_right(database: str, tmp_path: Path) -> None:
    """A file that was written for another type than FLOAT has bounds that are right under DOUBLE."""
    widen = [f"alter table lake.t alter {name} type {type_}" for type_ in ("float", "double") for name in "di"]
    create = "create table lake.t (d decimal(38, 10), i integer)"
    _run(database, tmp_path, create, "insert into lake.t values (9.0000000001, 16777217)", *widen, limit=0)

    ask = ["select count(*) from lake.t where d = 9.0000000001 and i = 16777217"]
    assert engine_of("1.0").run(database, "public", ask) == [[[1]]]
    assert check(database).findings == ()


def test_truths_that_became_numbers_are_unreadable_until_they_are_mended(database: str, tmp_path: Path) -> None:
    """A widened BOOLEAN whose rows are all in the catalog can't be read, which is found; its mend makes it readable."""
    create = ("create table lake.t (c boolean)", "insert into lake.t values (false), (true)")
    _run(database, tmp_path, *create, "alter table lake.t alter c type bigint")
    with pytest.raises(EngineError, match="Could not convert string 'false' to INT64"):
        engine_of("1.0").run(database, "public", ["from lake.t"])
    found = check(database)
    assert _rules(found, "error") == {"truth-statistics"}

    execute(database, _mend(found, "truth-statistics"))

    assert check(database).findings == ()
    rows = engine_of("1.0").run(database, "public", ["insert into lake.t values (7)", "from lake.t order by c"])
    assert rows[1] == [[0], [1], [7]]


SAME_BUCKETS = (("integer", "bigint"), ("utinyint", "hugeint"), ("float", "double"))
OTHER_BUCKETS = (
    ("integer", "double"),
    ("integer", "hugeint"),
    ("utinyint", "smallint"),
    ("decimal(9,2)", "decimal(18,3)"),
    ("date", "timestamp"),
)
_DAYS = "date '2020-01-01' + i::integer"


@pytest.mark.parametrize(
    "widened", [pytest.param(SAME_BUCKETS, id="same", marks=pytest.mark.long), pytest.param(OTHER_BUCKETS, id="other")]
)
def test_buckets_of_another_type_lose_rows_until_they_are_written_again(
    database: str, tmp_path: Path, widened: tuple[tuple[str, str], ...]
) -> None:
    """A widening that moves values to other buckets is found, and no other; an UPDATE puts the rows there."""
    make, ask, again = [], [], []
    for number, (before, after) in enumerate(widened):
        make += [
            f"create table lake.t{number} (c {before})",
            f"alter table lake.t{number} set partitioned by (bucket(64, c))",
            f"insert into lake.t{number} select {_DAYS if before == 'date' else 'i'} from range(20) r(i)",
            f"alter table lake.t{number} alter c type {after}",
        ]
        value = "'2020-01-07'" if before == "date" else "6"
        ask.append(f"select count(*) from lake.t{number} where c = {value}")
        again.append(f"update lake.t{number} set c = c")
    _run(database, tmp_path, *make, limit=0)
    ((files,),) = execute(database, "select count(*) from ducklake_data_file")
    engine = engine_of("1.0")

    seen = engine.run(database, "public", ask)
    found = counts(check(database))
    seen_after = engine.run(database, "public", [*again, *ask], options={"DATA_INLINING_ROW_LIMIT": 0})

    moved = widened is OTHER_BUCKETS
    assert seen == [[[0 if moved else 1]]] * len(widened)
    assert found == ({"bucket-of-other-type": files} if moved else {})
    assert seen_after[len(again) :] == [[[1]]] * len(widened)
    assert check(database).findings == ()


_BUCKETS = "alter table lake.t set partitioned by ({})"
KEYS_SINCE = {
    "none": ((), [[3]], 1),
    "same": (("alter table lake.t reset partitioned by", _BUCKETS.format("bucket(4, c)")), [[3]], 1),
    "other": ((_BUCKETS.format("bucket(8, c)"),), [], 2),
    "place": ((_BUCKETS.format("i, bucket(4, c)"),), [], 2),
    "rewritten": (("delete from lake.t where i = 2", REWRITE), [[3]], 1),
    "function": ((_BUCKETS.format("c"),), [[1], [3]], 0),
    "reset": (("alter table lake.t reset partitioned by", "alter table lake.t alter c type double"), [[1], [3]], 0),
    "nulls": (("alter table lake.t add column n integer", _BUCKETS.format("bucket(4, n)")), [[1], [3]], 0),
}
"""What is done to a table with one file of no keys and one of buckets; rows then found; files in no bucket."""


_KEYS_IN_EVERY_RUN = ("other", "function")


@pytest.mark.parametrize(
    "since", [pytest.param(it, marks=[] if it in _KEYS_IN_EVERY_RUN else [pytest.mark.long]) for it in KEYS_SINCE]
)
def test_files_outside_of_the_buckets_lose_rows_until_they_are_written_again(
    database: str, tmp_path: Path, since: str
) -> None:
    """What was written by other keys than a table has now is found where filters miss it, and nowhere else."""
    more, rows, outside = KEYS_SINCE[since]
    _run(
        database,
        tmp_path,
        "create table lake.t (c integer, i integer)",
        "insert into lake.t values (1, 1), (10, 2)",
        _BUCKETS.format("bucket(4, c)"),
        "insert into lake.t values (1, 3)",
        *more,
        limit=0,
    )
    engine, ask = engine_of("1.0"), "select i from lake.t where c = 1 order by i"

    seen = engine.run(database, "public", [ask])
    found = counts(check(database))
    again = [
        "update lake.t set c = c",
        ask,
        "delete from lake.t where c = 1",
        "select count(*) from lake.t where c < 9",
    ]
    seen_after = engine.run(database, "public", again, options={"DATA_INLINING_ROW_LIMIT": 0})

    assert seen == [rows]
    assert found == ({"file-outside-buckets": outside} if outside else {})
    assert seen_after[1:] == [[[1], [3]], [[2]], [[0]]]
    assert check(database).findings == ()


@pytest.mark.parametrize(("rows", "outside"), [("(9, 1), (null, 2)", 0), ("(9, 1), (8, 2)", 1)], ids=["all", "some"])
def test_files_of_which_all_values_are_deleted_are_missed_by_no_filter(
    database: str, tmp_path: Path, rows: str, outside: int
) -> None:
    """What is left of a file outside of the buckets are NULLs, which nobody looks for by value."""
    _run(
        database,
        tmp_path,
        "create table lake.t (c integer, i integer)",
        f"insert into lake.t values {rows}",
        "delete from lake.t where c = 9",
        _BUCKETS.format("bucket(4, c)"),
        limit=0,
    )
    assert counts(check(database)) == ({"file-outside-buckets": outside} if outside else {})


def test_values_that_were_deleted_after_the_keys_came_are_missed_before(database: str, tmp_path: Path) -> None:
    """The snapshots in between show them, and a filter doesn't; once these have expired, nothing is missed."""
    _run(
        database,
        tmp_path,
        "create table lake.t (c integer, i integer)",
        "insert into lake.t values (9, 1), (null, 2)",
        _BUCKETS.format("bucket(4, c)"),
        "delete from lake.t where i = 1",
        limit=0,
    )
    ask = "select count(*) from lake.t at (version => 3) where c {}"
    read = engine_of("1.0").run(database, "public", [ask.format("= 9"), ask.format("is not null")])
    assert read == [[[0]], [[1]]]
    assert counts(check(database)) == {"file-outside-buckets": 1}

    expire = "select count(*) from ducklake_expire_snapshots('lake', versions => [0, 1, 2, 3])"
    engine_of("1.0").run(database, "public", [expire])
    assert check(database).findings == ()


def test_a_default_of_files_outside_of_the_buckets_is_missed(database: str, tmp_path: Path) -> None:
    """The value that older files have by the column's default is looked for in a bucket too."""
    _run(
        database,
        tmp_path,
        "create table lake.t as select 1 as i",
        "alter table lake.t add column c integer default 7",
        _BUCKETS.format("bucket(4, c)"),
        limit=0,
    )
    ask = ["select count(*) from lake.t where c = 7", "select count(*) from lake.t where c > 6"]
    assert engine_of("1.0").run(database, "public", ask) == [[[0]], [[1]]]
    assert counts(check(database)) == {"file-outside-buckets": 1}


DROPPED = (
    "create schema lake.s",
    "create table lake.s.t (i integer, v varchar default 'x')",
    "comment on table lake.s.t is 'a table'",
    "comment on column lake.s.t.i is 'a column'",
    "alter table lake.s.t set partitioned by (i)",
    "insert into lake.s.t values (1, 'a'), (2, 'b')",
    "alter table lake.s.t rename to u",
    "alter table lake.s.u add column d date",
    "insert into lake.s.u select range, 'c', null from range(20)",
    "create view lake.s.w as select 1 as x",
    "comment on view lake.s.w is 'a view'",
)
_MACROS = ("create macro lake.s.m(x := 1) as x", "drop macro lake.s.m")
"""Since 0.4."""


@pytest.mark.parametrize("spec", ["0.4", *(pytest.param(it, marks=pytest.mark.long) for it in ("0.2", "0.3", "1.0"))])
def test_what_was_dropped_and_has_expired_is_no_damage(tmp_path: Path, spec: str) -> None:
    """Engines leave rows behind that nobody reads; whoever tidies up has no errors for it."""
    macros = _MACROS if spec in ("0.4", "1.0") else ()
    drops = [f"drop {what}" for what in ("view lake.s.w", "table lake.s.u", "schema lake.s")]
    expire = "create temp table gone as from ducklake_expire_snapshots('lake', older_than => now())"
    lake, statements = f"{tmp_path}/lake.ducklake", [*DROPPED, *macros, *drops, expire]
    options = {"DATA_INLINING_ROW_LIMIT": 10}

    engine_of(spec).run(lake, "main", statements, data_path=tmp_path / "data", options=options)

    assert [finding for finding in dlbackup.check(lake).findings if finding.severity == "error"] == []


def test_one_file_in_two_tables(database: str, tmp_path: Path) -> None:
    """A file in two tables is a warning; scheduled with one of them an error, whose mend keeps it for the other."""
    _run(database, tmp_path, *(statement.format(folder=tmp_path) for statement in ONE_FILE))
    shared = check(database)
    assert (shared.ok, _rules(shared, "warning")) == (True, {"file-of-two-tables"})

    _run(database, tmp_path, "drop table lake.one", "call ducklake_expire_snapshots('lake', older_than => now())")
    scheduled = check(database)
    assert (_rules(scheduled, "error"), _rules(scheduled, "warning")) == ({"scheduled-file-in-use"}, set())

    execute(database, _mend(scheduled, "scheduled-file-in-use"))
    assert check(database).findings == ()
    clean = "call ducklake_cleanup_old_files('lake', cleanup_all => true)"
    rows = engine_of("1.0").run(database, "public", [clean, "from lake.other"])
    assert rows == [[], [[42]]]


def test_inlined_deletes_of_an_expired_file_are_left_over(database: str, tmp_path: Path) -> None:
    """What a rewrite and an expiry leave of inlined deletes is a warning, and its mend takes it away."""
    _run(database, tmp_path, *LEFT_BEHIND)
    found = check(database)
    assert (found.ok, _rules(found, "warning")) == (True, {"inlined-delete-without-file"})

    execute(database, _mend(found, "inlined-delete-without-file"))
    assert check(database).findings == ()
    assert engine_of("1.0").run(database, "public", ["select count(*) from lake.t"]) == [[[106]]]


def test_added_file_of_a_table_that_is_partitioned_by_several_functions(database: str, tmp_path: Path) -> None:
    """DuckDB numbers the values of such a file alike and reads it right: a warning."""
    _run(
        database,
        tmp_path,
        "create table lake.t (i integer, ts timestamp)",
        "alter table lake.t set partitioned by (year(ts), month(ts))",
        "insert into lake.t values (1, '2023-05-06'), (2, '2024-03-05')",
        "copy (select 3 as i, timestamp '2024-03-05' as ts, 2024 as year, 3 as month) to"
        f" '{tmp_path}/added' (format parquet, partition_by (year, month))",
        f"call ducklake_add_data_files('lake', 't', '{tmp_path}/added/**/*.parquet', hive_partitioning => true,"
        " ignore_extra_columns => true)",
    )
    found = check(database)
    assert (found.ok, _rules(found, "warning")) == (True, {"partition-key-of-added-file"})
    queries = [
        f"select i from lake.t where {it} order by i" for it in ("year(ts) = 2024", "ts = '2024-03-05'", "i > 0")
    ]
    assert engine_of("1.0").run(database, "public", queries) == [[[2], [3]], [[2], [3]], [[1], [2], [3]]]
