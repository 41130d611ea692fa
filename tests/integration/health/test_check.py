"""`check` finds each damage, is silent about healthy lakes, and says the same of a backup as of its catalog."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.comparison import execute, schema_lines, server_digests
from support.engines.engines import EngineError, engine, engine_of
from support.lakes.lakes import LakeFactory, LakeKind, Lakes
from support.rules.damages import DAMAGES, Damage
from support.rules.patients import Patient, counts, patient_in
from support.rules.scenes import SCENES, broken, statements_before
from support.servers.servers import Servers, middle_major

from dlbackup import dump
from dlbackup.catalogs.postgres.answers import TABLES_AT_ONCE
from dlbackup.catalogs.postgres.snapshot import PostgresSnapshot
from dlbackup.errors import Corrupt, NotALake
from dlbackup.health.checkup import Check, check_snapshot
from dlbackup.health.rules import RULES
from dlbackup.runtime.progress import Event
from dlbackup.verbs.check import check

HEALTHY: list[tuple[LakeKind, str]] = [
    *(("plain", spec) for spec in ("0.2", "0.3", "0.4", "1.0")),
    *(("inlined", spec) for spec in ("0.3", "0.4", "1.0")),
    *(("zoo", spec) for spec in ("0.2", "0.3", "0.4", "1.0")),
]
# What DuckDB's own releases leave behind in the lakes above, without any harm to the newest snapshot.
LEFT_BEHIND = {
    ("plain", "0.2"): {"file-of-dropped-table", "part-of-dropped-table"},
    ("zoo", "0.2"): {"column-overlap", "file-of-dropped-table", "part-of-dropped-table", "partial-file-lists"},
    ("zoo", "0.3"): {"partial-file-lists"},
    ("zoo", "0.4"): {"variant-statistics-without-file", "inlined-column-added"},
    **{("inlined", spec): {"inlined-column-added"} for spec in ("0.3", "0.4")},
}
# Tables of the zoo that its own engine can't read any more.
UNREADABLE = {("zoo", "0.3"), ("zoo", "0.4")}
MIGRATING = {"AUTOMATIC_MIGRATION": True}
# Attaches, waits until the file `go` is there, and goes on as if nothing had happened to the catalog.
STALE_CLIENT = """
import sys, time
from pathlib import Path
from engine_program import connect
connection, folder = connect(), Path(sys.argv[2])
connection.execute(sys.argv[1])
connection.execute("create table lake.added_to (i int)")
(folder / "attached").touch()
while not (folder / "go").exists():
    time.sleep(0.01)
for statement in (
    "create table lake.stale (i int)",
    f"copy (select 1 as i) to '{folder}/added.parquet'",
    f"call ducklake_add_data_files('lake', 'added_to', '{folder}/added.parquet')",
):
    connection.execute(statement)
"""


def _rules(found: Check) -> set[str]:
    return {finding.rule for finding in found.findings}


@pytest.fixture(scope="module")
def patients(servers: Servers, lakes: Lakes) -> Iterator[Callable[[str], Patient]]:
    """The zoo of each spec version, made when first asked for."""
    made: dict[str, Patient] = {}
    with ExitStack() as open_ones:

        def patient(spec: str) -> Patient:
            if spec not in made:
                lake = open_ones.enter_context(lakes.copy("zoo", spec, servers[middle_major()], "public"))
                made[spec] = open_ones.enter_context(patient_in(lake.url, spec))
            return made[spec]

        yield patient


def _of_kinds(lakes: list[tuple[LakeKind, str]], *in_every_run: tuple[LakeKind, str]) -> list[Any]:
    return [pytest.param(*it, marks=[] if it in in_every_run else [pytest.mark.long]) for it in lakes]


_ZOOS: list[tuple[LakeKind, str]] = [("zoo", spec) for spec in ("0.2", "0.3", "0.4", "1.0")]


@pytest.mark.parametrize(("kind", "spec"), _of_kinds(HEALTHY, *_ZOOS))
def test_healthy_lake_has_no_error(lake: LakeFactory, tmp_path: Path, kind: LakeKind, spec: str) -> None:
    """A healthy lake of any engine gives no error but for what that can't read, and the same from its backup."""
    made = lake(kind, spec)

    found = check(made.url)

    unreadable = {"renamed-inlined-column"} if (kind, spec) in UNREADABLE else set()
    assert (found.ok, found.spec_version) == (not unreadable, spec)
    assert _rules(found) == LEFT_BEHIND.get((kind, spec), set()) | unreadable
    assert check(dump(made.url, tmp_path).path) == found


@pytest.mark.every_major
def test_rules_run_on_every_major(lake: LakeFactory) -> None:
    """The rules run on every PostgreSQL version, and find a damage there."""
    made = lake("inlined", "0.3")
    healthy = check(made.url)

    execute(made.url, "delete from ducklake_table where table_name = 'hostile' or table_id = 1")

    assert _rules(healthy) == LEFT_BEHIND["inlined", "0.3"]
    assert {"column-without-table", "inlined-table-of-dropped-table"} <= _rules(check(made.url))


@pytest.mark.parametrize(
    ("kind", "spec"),
    _of_kinds([it for it in HEALTHY if it[1] in ("0.3", "0.4")], ("zoo", "0.3"), ("inlined", "0.4")),
)
def test_well_migrated_lake_has_no_error(lake: LakeFactory, tmp_path: Path, kind: LakeKind, spec: str) -> None:
    """A lake migrated to 1.0 by DuckDB 1.5.5 gives no error; what the engine lost is a warning."""
    made = lake(kind, spec)
    engine("1.5.5").run(made.url, "public", ["select 1"], options=MIGRATING)

    found = check(made.url)

    expected = LEFT_BEHIND.get((kind, spec), set()) - {"partial-file-lists", "inlined-column-added"}
    if kind != "plain" and spec == "0.3":
        expected |= {"inlined-types", "lost-partial-list" if kind == "zoo" else "inlined-text-as-hexadecimal"}
    if (kind, spec) == ("zoo", "0.3"):
        expected |= {"unknown-statistics"}
    assert (found.ok, _rules(found)) == (True, expected)
    assert check(dump(made.url, tmp_path).path) == found


@pytest.mark.parametrize("spec", ["0.3", pytest.param("0.4", marks=pytest.mark.long)])
def test_renamed_columns_of_inlined_rows_are_found(database: str, tmp_path: Path, spec: str) -> None:
    """The spec version's own engine can't read such a table any more, and check says so; migrated, it is in order."""
    old, newest = engine_of(spec), engine("1.5.5")
    steps = [
        "create table lake.t (i integer, s varchar)",
        "insert into lake.t values (1, 'a')",
        "alter table lake.t rename column s to t",
        "insert into lake.t values (2, 'b')",
    ]
    read = "select * from lake.t order by i"
    old.run(database, "public", steps, data_path=tmp_path / "data", options={"DATA_INLINING_ROW_LIMIT": 10})
    assert check(database).findings == ()
    assert old.run(database, "public", [read])[0] == [[1, "a"], [2, "b"]]

    old.run(database, "public", ["create table lake.another (i integer)"])

    with pytest.raises(EngineError, match="not found in FROM clause"):
        old.run(database, "public", [read])
    found = check(database)
    assert (found.ok, _rules(found)) == (False, {"renamed-inlined-column"})
    assert check(dump(database, tmp_path).path) == found
    engine("1.5.5").run(database, "public", [], options=MIGRATING)
    assert newest.run(database, "public", [read])[0] == [[1, "a"], [2, "b"]]
    assert check(database).ok


@pytest.mark.parametrize("spec", [pytest.param("0.3", marks=pytest.mark.long), "0.4"])
def test_columns_renamed_before_a_later_change_are_found(database: str, tmp_path: Path, spec: str) -> None:
    """The inlined table of a change after the rename is the only one, and the engine can't read it either."""
    old = engine_of(spec)
    run = partial(old.run, database, "public", data_path=tmp_path / "data")
    steps = ["create table lake.t (i integer, s varchar)", "alter table lake.t rename column s to t"]
    run(steps, options={"DATA_INLINING_ROW_LIMIT": 0})
    later = ["alter table lake.t add column u integer", "insert into lake.t values (1, 'a', 2)"]
    run(later, options={"DATA_INLINING_ROW_LIMIT": 10})
    assert check(database).findings == ()
    run(["create table lake.another (i integer)"])

    with pytest.raises(EngineError, match="not found in FROM clause"):
        run(["select t from lake.t"])
    found = check(database)
    assert (found.ok, _rules(found)) == (False, {"renamed-inlined-column", "inlined-column-added"})


def test_migrations_that_damage_are_found_with_mends(lake: LakeFactory) -> None:
    """What the migrations of DuckDB 1.4.4 and 1.5.1 break is named with SQL, after which no error is left."""
    for spec, versions, damaged in (
        ("0.3", ["1.5.1"], {"default-type", "schema-versions-at-one-snapshot"}),
        ("0.2", ["1.4.4"], {"mapping-is-partition"}),
        ("0.2", ["1.4.4", "1.5.5"], {"mapping-is-partition", "schema-version-of-table", "schema-version-of-file"}),
    ):
        made = lake("zoo", spec)
        for version in versions:
            options = {"MIGRATE_IF_REQUIRED": True} if version == "1.4.4" else MIGRATING
            engine(version).run(made.url, "public", ["select 1"], options=options)
        found = check(made.url)

        assert not found.ok
        assert damaged <= _rules(found)

        for finding in found.findings:
            if finding.rule in damaged:
                execute(made.url, finding.mend)
        left = {f.rule for f in check(made.url).findings if f.severity == "error"}
        assert left == (set() if versions[-1] == "1.5.5" else {"renamed-inlined-column"})


def test_marks_of_a_stale_client_are_found_with_mends(lake: LakeFactory, tmp_path: Path) -> None:
    """A client of 1.4.4 that goes on after the migration is found by what it writes; the mends leave no error."""
    made = lake("plain", "0.3")
    with ThreadPoolExecutor() as pool:
        client = pool.submit(
            made.engine.script, STALE_CLIENT, made.engine.attach_statement(made.url, made.schema), str(tmp_path)
        )
        while not (tmp_path / "attached").exists() and not client.done():
            time.sleep(0.01)
        engine("1.5.5").run(made.url, made.schema, ["select 1"], options=MIGRATING)
        (tmp_path / "go").touch()
        client.result()

    found = check(made.url)

    mends = {finding.rule: finding.mend for finding in found.findings if finding.severity == "error"}
    assert {"schema-version-without-table", "stale-mapping"} <= mends.keys()
    execute(made.url, *filter(None, mends.values()))
    assert check(made.url).ok


@pytest.mark.parametrize("spec", ["0.3", pytest.param("0.4", marks=pytest.mark.long)])
def test_statistics_that_a_migration_made_narrow_are_found_with_a_mend(
    database: str, tmp_path: Path, spec: str
) -> None:
    """DuckDB 1.5.5 alone leaves unknown statistics, and its next insert makes them leave out the older rows."""
    statements = [
        "create table lake.t (k bigint, i integer, s varchar, d date, t timestamptz, f double)",
        "insert into lake.t (k) values (0)",
        "insert into lake.t select 1, 1, 'a', '2020-01-01', '2020-01-01 00:00:00+00', 1",
    ]
    old, newest = engine_of(spec), engine_of("1.0")
    old.run(database, "public", statements, data_path=tmp_path, options={"DATA_INLINING_ROW_LIMIT": 0})
    newest.run(database, "public", ["select 1"], options=MIGRATING)
    assert counts(check(database)) == {"unknown-statistics": 5}
    insert = "insert into lake.t select {0}, {0}, 'z', '2024-01-01', '2024-01-01 00:00:00+00', 9 from range(20)"
    wanted = ("i = 1", "s = 'a'", "d = '2020-01-01'", "t < '2024-01-01 00:00:00+00'", "f = 1")
    queries = [f"select count(*) from lake.t where {condition}" for condition in wanted]

    rows = newest.run(database, "public", [insert.format(10), *queries])
    found = check(database)
    (mend,) = (finding.mend for finding in found.findings)
    execute(database, mend)
    after = newest.run(database, "public", [*queries, insert.format(20), *queries])

    assert (rows[1:], found.ok, counts(found)) == ([[[0]]] * 5, False, {"narrow-statistics": 5})
    assert after[:5] == after[6:] == [[[1]]] * 5
    assert check(database).findings == ()


def test_flushed_file_is_no_stale_clients(database: str, tmp_path: Path) -> None:
    """A flushed file whose snapshot has the number of a mapping of its table is not taken for an added file."""
    copied = f"copy (select 2 as k) to '{tmp_path}/added.parquet'"
    statements = [
        "create table lake.t (k bigint)",
        "insert into lake.t values (1)",
        "call ducklake_flush_inlined_data('lake')",
        copied,
        f"call ducklake_add_data_files('lake', 't', '{tmp_path}/added.parquet')",
    ]
    engine("1.4.4").run(
        database, "public", statements, data_path=tmp_path / "data", options={"DATA_INLINING_ROW_LIMIT": 8}
    )
    engine("1.5.5").run(database, "public", ["select 1"], options=MIGRATING)
    with psycopg.connect(database) as session:
        (row,) = session.execute(
            "select f.begin_snapshot, f.partial_max, m.mapping_id from ducklake_data_file f"
            " join ducklake_column_mapping m on m.table_id = f.table_id where f.partial_max is not null"
        ).fetchall()

    assert row == (2, 2, 2)
    assert "stale-mapping" not in _rules(check(database))


_BY_ALL_RULES = 12
"""All rules look at each damage of that number and its multiples; with --all at each."""


def _tried(damage: Damage, spec: str) -> Any:
    marks = [] if spec == damage.specs[-1] else [pytest.mark.long]
    return pytest.param(damage, spec, id=f"{damage.rule}-{damage.what}-{spec}", marks=marks)


@pytest.mark.parametrize(("damage", "spec"), [_tried(damage, spec) for damage in DAMAGES for spec in damage.specs])
def test_damage_is_found(
    patients: Callable[[str], Patient], damage: Damage, spec: str, pytestconfig: pytest.Config
) -> None:
    """
    Each damage is found by its rule, with evidence; where there is a mend, it leaves nothing of it.

    All rules look at some of them, in the newest version that these are tried on.
    """
    by_all = pytestconfig.option.all or pytestconfig.option.long or DAMAGES.index(damage) % _BY_ALL_RULES == 0
    patient = patients(spec)
    with patient.session.transaction(force_rollback=True):
        patient.apply(damage.statements(patient.names))
        if by_all and spec == damage.specs[-1]:
            found = patient.check()
            findings = [finding for finding in found.findings if finding.rule == damage.rule]
            assert found.ok == all(f.severity == "warning" for f in found.findings)
            assert all(f.mend or f.advice or f.severity == "warning" for f in findings)
        else:
            findings = patient.findings(damage.rule)

        assert findings
        assert max(findings[0].count, 1) > patient.before.get(damage.rule, 0)
        if findings[0].evidence:
            assert findings[0].why
            assert len(findings[0].evidence) == min(findings[0].count, 5)
        if findings[0].mend:
            patient.apply(findings[0].mend)
            assert patient.findings(damage.rule) == []


@pytest.mark.parametrize(
    "version", ["0.2", *(pytest.param(it, marks=pytest.mark.long) for it in ("0.3", "0.4")), "1.0"]
)
def test_scenes_play_alike_on_postgresql(database: str, version: str) -> None:
    """Rules find on PostgreSQL what they find in DuckDB, and a mend leaves exactly what its scene says."""
    rules = {rule.name: rule for rule in RULES}
    with psycopg.connect(database, autocommit=True) as session:
        for statement in statements_before(version):
            session.execute(statement.encode())
        for scene in (scene for scene in SCENES if version in scene.specs):
            with session.transaction(force_rollback=True):
                patient = Patient(session, {}, {})
                for statement in scene.statements(version):
                    patient.apply(statement)
                with PostgresSnapshot.begin(session, "public").answers() as answers:
                    finding = broken(answers, version, rules[scene.rule])

                found = (finding.count, finding.evidence) if finding else (0, ())
                assert (scene.rule, scene.number, *found) == (
                    *(scene.rule, scene.number),
                    *(len(scene.evidence), scene.evidence),
                )
                if finding and finding.mend:
                    session.execute(finding.mend.encode())
                    session.execute("set local search_path = public")
                    rows = [tuple(map(str, row)) for row in session.execute(scene.question.encode())]
                    left = [", ".join(row).replace("None", "NULL") for row in rows]
                    assert (scene.rule, scene.number, *left) == (scene.rule, scene.number, *scene.mended)


def test_every_rule_has_a_damage() -> None:
    """No rule is without a damage that it finds."""
    assert {rule.name for rule in RULES} <= {damage.rule for damage in DAMAGES}


@pytest.mark.parametrize("spec", ["0.2", *(pytest.param(it, marks=pytest.mark.long) for it in ("0.3", "0.4")), "1.0"])
def test_backup_gives_the_findings_of_its_catalog(lake: LakeFactory, tmp_path: Path, spec: str) -> None:
    """A catalog with dozens of damages and its backup give the same findings, evidence and mends included."""
    made = lake("zoo", spec)
    with psycopg.connect(made.url, autocommit=True) as session, patient_in(made.url, spec) as patient:
        for damage in DAMAGES:
            statements = damage.statements(patient.names)
            # Updates only: what is lost or doubled would hide other damages, or keep them from being made.
            if statements.startswith("update") and {spec, "1.0"} & set(damage.specs):
                with suppress(psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
                    session.execute(statements.encode())

    found = check(made.url)

    assert len(_rules(found)) > 15
    again = check(dump(made.url, tmp_path).path)
    assert set(again.findings) ^ set(found.findings) == set()
    assert again == found


def test_inlined_tables_are_read_in_batches_without_keeping_locks(database: str) -> None:
    """More inlined tables than one query reads are all read, doubled rows too, and no lock on a table is kept."""
    tables = TABLES_AT_ONCE + 1
    with psycopg.connect(database, autocommit=True) as session:
        for statement in statements_before("1.0"):
            session.execute(statement.encode())
        for number in range(1, tables + 1):
            name = f"ducklake_inlined_data_{number}_1"
            session.execute(
                f"create table {name} (row_id bigint, begin_snapshot bigint, end_snapshot bigint);"
                f"insert into {name} values (1, 20, null), (1, 20, null);"
                f"insert into ducklake_inlined_data_tables values ({number}, '{name}', 1)".encode()
            )
        with session.transaction():
            found = check_snapshot(PostgresSnapshot.begin(session, "public"))
            locks = session.execute("select count(*) from pg_locks where relation >= 16384 and pid = pg_backend_pid()")

            assert locks.fetchall() == [(0,)]
    finding = next(finding for finding in found.findings if finding.rule == "inlined-row-range")
    assert finding.count == 2 * tables
    assert [text.split(",")[0] for text in finding.evidence] == [f"table_id {n}" for n in (1, 1, 2, 2, 3)]


def test_check_changes_nothing(lake: LakeFactory) -> None:
    """A check, which is heard while it runs, leaves definitions and rows of a damaged catalog as they are."""
    made = lake("zoo", "0.3")
    execute(made.url, "delete from ducklake_schema_versions")
    before = server_digests(made.url), schema_lines(made.server, made.url)

    heard: list[Event] = []

    assert not check(made.url, on_event=heard.append).ok

    assert heard
    assert (server_digests(made.url), schema_lines(made.server, made.url)) == before


def test_damaged_backup_is_an_error(lake: LakeFactory, tmp_path: Path) -> None:
    """A backup with a flipped bit is refused, not checked."""
    path = Path(dump(lake("plain", "1.0").url, tmp_path).path)
    text = bytearray(path.read_bytes())
    text[len(text) // 3] ^= 1
    path.write_bytes(text)

    with pytest.raises(Corrupt):
        check(str(path))


def test_check_needs_a_lake(database: str) -> None:
    """An empty database is no lake."""
    with pytest.raises(NotALake):
        check(database)
