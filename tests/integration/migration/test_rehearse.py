"""verify --rehearse: a backup is restored, migrated and opened on a server, and nothing of that stays."""

from pathlib import Path

import psycopg
import pytest
from support.cli import Cli, Finished
from support.comparison import execute
from support.engines.engines import engine_of
from support.faults.failures import failure, json_failure
from support.faults.faults import (
    MIGRATES,
    OPENS,
    engine_that,
    new_role,
    nothing_left,
    one,
    role_of,
    sql_commits,
    state,
)
from support.lakes.lakes import Lake, LakeFactory, LakeKind

from dlbackup import dump, verify
from dlbackup.addresses.address import parse_address
from dlbackup.backupfile.prover import prove_file
from dlbackup.engine.engine import probe
from dlbackup.errors import Corrupt
from dlbackup.migration.rehearsed import rehearse_backup
from dlbackup.stores.folder import local

_WINDOWS = "D:\\\\lake\\\\"
_SCHEMAS = "select count(*) from pg_namespace where nspname like 'dlbackup%'"


def _rehearsed(cli: Cli, made: Lake, where: str, *words: str | Path) -> Finished:
    """Dump a lake, rehearse the backup somewhere, and check that nothing is left there and no data file changed."""
    files = sorted(path.name for path in made.data_path.rglob("*"))
    backup = cli("dump", made.url, "--json").json()["path"]
    done = cli("verify", backup, "--rehearse", where, "--json", *words)
    assert one(where, _SCHEMAS) == 0
    nothing_left(made)
    assert sorted(path.name for path in made.data_path.rglob("*")) == files
    return done


def _rehearsed_there(cli: Cli, made: Lake, where: str, *words: str | Path) -> Finished:
    """Dump a lake and rehearse the backup where not everything goes well."""
    backup = cli("dump", made.url, "--json").json()["path"]
    done = cli("verify", backup, "--rehearse", where, "--json", *words)
    nothing_left(made)
    return done


@pytest.mark.parametrize(
    "kind, spec, warnings",
    [
        ("plain", "0.2", []),
        pytest.param("plain", "0.3", [], marks=pytest.mark.long),
        ("inlined", "0.3", ["inlined-types"]),
        ("plain", "0.4", []),
        ("inlined", "1.0", []),
    ],
)
def test_good_backup_is_rehearsed_elsewhere(
    lake: LakeFactory, database: str, cli: Cli, kind: LakeKind, spec: str, warnings: list[str]
) -> None:
    """A backup of any version is restored, migrated where it can be, and opened in a database of no lake."""
    made = lake(kind, spec)

    done = _rehearsed(cli, made, database)

    assert done.exit_code == 0, done.stderr
    assert [(finding["severity"], finding["rule"]) for finding in done.json()["findings"]] == [
        ("warning", rule) for rule in warnings
    ]


def test_rehearsal_beside_the_catalog_leaves_it_alone(lake: LakeFactory, cli: Cli) -> None:
    """In the database of the catalog itself, the rehearsal touches nothing but its scratch schema."""
    made = lake("inlined", "0.3")
    before = state(made.url)

    assert _rehearsed(cli, made, made.url).exit_code == 0
    assert state(made.url) == before


def test_older_engine_says_that_it_can_t_open_it(lake: LakeFactory, cli: Cli) -> None:
    """With an engine that is older than the backup, it is restored, and a warning says that it was not opened."""
    made = lake("plain", "1.0")

    done = _rehearsed(cli, made, made.url, "--engine", engine_of("0.3").python)

    assert done.exit_code == 0
    assert [finding["rule"] for finding in done.json()["findings"]] == ["not-opened"]


def _not_made(done: Finished, *words: str, error: str = "RehearsalFailed") -> None:
    """Check that a rehearsal was not made, with the reason, and that the backup is not blamed."""
    answer = json_failure(done, 1, *words, "the backup is good as far as it was read")
    assert answer["error"]["type"] == error
    assert (answer["ok"], answer["rehearsal"]) == (True, "not-made")
    assert [finding for finding in answer["findings"] if finding["severity"] == "error"] == []
    assert "do not rely" not in done.stderr


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        pytest.param(MIGRATES, "os.abort()", marks=pytest.mark.long),
        (MIGRATES, "raise real.IOException('no')"),
        (OPENS, "raise real.BinderException('a view')"),
        ("LOAD", "raise real.IOException('not this')"),
    ],
)
def test_engine_that_fails_is_no_bad_backup(
    lake: LakeFactory, cli: Cli, tmp_path: Path, statement: str, fault: str
) -> None:
    """What the engine can't do says nothing about the backup: exit 1, and the scratch schema is gone."""
    made = lake("plain", "0.3")

    done = _rehearsed(cli, made, made.url, "--engine", engine_that(tmp_path, before=fault, statement=statement))

    _not_made(done, "the engine failed")


def test_catalog_that_no_engine_reads_is_no_bad_backup(lake: LakeFactory, cli: Cli) -> None:
    """A catalog of the engine's own version that it can't open was so before: exit 1, and who to ask what it is."""
    made = lake("plain", "1.0")
    execute(made.url, "update ducklake_column set column_type = 'no_such_type' where column_id = 1")

    done = _rehearsed(cli, made, made.url)

    _not_made(done, "the engine failed", "no_such_type")
    assert "dlbackup check BACKUP" in done.stderr


@pytest.mark.parametrize("spec", [pytest.param("0.3", marks=pytest.mark.long), "1.0"])
def test_role_without_a_right_is_no_bad_backup(lake: LakeFactory, cli: Cli, spec: str) -> None:
    """A role that may make no schema is told so; that the backup is good stands on standard output."""
    made = lake("plain", spec)
    with new_role(made, "a-pass-word", owner=False) as url:
        execute(made.url, f"revoke create on database {made.dbname} from public, {role_of(url)}")

        done = _rehearsed(cli, made, url)

        _not_made(done, "the role lacks a right", "permission denied for database")
        (backup,) = cli.cwd.glob("*.zst")
        text = cli("verify", backup, "--rehearse", url)
        failure(text, 1, "permission denied", hint="have the rights granted")
        assert f"{backup}: good" in text.stdout
        assert (text.stdout + text.stderr).count("permission denied") == 1


def test_server_that_lets_nobody_in_is_no_bad_backup(lake: LakeFactory, cli: Cli) -> None:
    """Limits of connections, a database that isn't there and a session that is ended are exit 1."""
    made = lake("plain", "1.0")
    with new_role(made, "a-pass-word", owner=False) as url:
        execute(made.url, f"alter role {role_of(url)} connection limit 0")
        _not_made(_rehearsed_there(cli, made, url), "the connection failed", "too many", error="Unreachable")
    nowhere = made.server.url_of("nowhere")
    _not_made(_rehearsed_there(cli, made, nowhere), "the connection failed", "does not exist", error="Unreachable")


def test_session_that_is_ended_is_no_bad_backup(lake: LakeFactory, cli: Cli, tmp_path: Path) -> None:
    """A rehearsal that loses its session says that the connection failed."""
    made = lake("plain", "1.0")
    ends = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'dlbackup-rehearsal'"
    engine = engine_that(tmp_path, before=sql_commits(made.url, ends), statement=OPENS)

    _not_made(_rehearsed_there(cli, made, made.url, "--engine", engine), "administrator command", error="Unreachable")


@pytest.mark.usefixtures("impatient")
def test_somebody_s_lock_is_no_bad_backup(lake: LakeFactory, cli: Cli) -> None:
    """A lock timeout is told as one: other sessions were in the way, which may be over the next time."""
    made = lake("plain", "1.0")
    backup = cli("dump", made.url, "--json").json()["path"]
    with psycopg.connect(made.url) as other:
        other.execute("lock table pg_namespace in share mode")
        done = cli("verify", backup, "--rehearse", made.url, "--json")

    _not_made(done, "other sessions were in the way", "lock timeout")
    assert done.json()["transient"] is True


def test_event_trigger_is_no_bad_backup(lake: LakeFactory, cli: Cli) -> None:
    """Tables that the database's own event triggers change are the database's doing."""
    made = lake("plain", "1.0")
    execute(
        made.url,
        "create function adds() returns event_trigger language plpgsql as $$declare it record; begin"
        " for it in select * from pg_event_trigger_ddl_commands() where command_tag = 'CREATE TABLE' loop"
        " execute format('alter table %s add extra int', it.object_identity); end loop; end$$",
        "create event trigger adds on ddl_command_end when tag in ('CREATE TABLE') execute function adds()",
    )

    done = _rehearsed_there(cli, made, made.url)

    _not_made(done, "event triggers of the database change new tables")
    assert "adds" in done.json()["error"]["hint"]


def test_other_rows_than_the_backup_s_are_a_bad_backup(
    lake: LakeFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was restored and reads otherwise is an error of the verification, and the only one of a rehearsal."""
    made = lake("plain", "1.0")
    backup = dump(made.url, tmp_path).path
    monkeypatch.setattr("dlbackup.transfer.filling.summed", lambda blocks: sum(1 for _ in blocks))

    report = verify(backup, rehearse=made.url)

    assert (report.ok, report.rehearsal) == (False, "failed")
    assert [finding.rule for finding in report.findings if finding.severity == "error"] == ["rehearsal"]
    assert one(made.url, _SCHEMAS) == 0


def test_loss_that_is_not_accepted_blocks(lake: LakeFactory, cli: Cli) -> None:
    """A rehearsal that meets what a migration is refused for is exit 4, with the report of any other."""
    made = lake("plain", "0.3")
    good = _rehearsed(cli, made, made.url).json()
    list_that_falls = "update ducklake_data_file set partial_file_info = '6:15|5:16' where data_file_id = 0"
    execute(made.url, list_that_falls)

    done = _rehearsed(cli, made, made.url)

    assert (done.exit_code, done.stderr.count("error:")) == (4, 0)
    assert done.json().keys() == good.keys()
    assert (good["rehearsal"], done.json()["rehearsal"], done.json()["ok"]) == ("passed", "blocked", True)
    mended = {finding["rule"]: finding["mended"] for finding in done.json()["findings"]}
    assert mended["unordered-partial-files"] is False


def test_what_is_mended_is_said_to_be(lake: LakeFactory, cli: Cli) -> None:
    """What a migration puts right by itself blocks nothing."""
    done = _rehearsed(cli, (made := lake("inlined", "0.3")), made.url)

    assert (done.exit_code, done.json()["rehearsal"]) == (0, "passed")
    assert [finding["mended"] for finding in done.json()["findings"]] == [True]


@pytest.mark.parametrize(
    ("spec", "data_path"),
    [
        *(("0.2", _WINDOWS), ("1.0", "data/")),
        *(pytest.param(spec, _WINDOWS, marks=pytest.mark.long) for spec in ("0.3", "1.0")),
        *(pytest.param(spec, "data/", marks=pytest.mark.long) for spec in ("0.2", "0.3")),
    ],
)
def test_data_path_of_another_machine_is_no_obstacle(lake: LakeFactory, cli: Cli, spec: str, data_path: str) -> None:
    """A rehearsal needs no data file: a Windows or relative path keeps no engine from opening the copy."""
    made = lake("plain", spec)
    execute(made.url, f"update ducklake_metadata set value = E'{data_path}' where key = 'data_path'")

    done = _rehearsed(cli, made, made.url, "--engine", made.engine.python)

    assert (done.exit_code, done.json()["rehearsal"]) == (0, "passed"), done
    looked = cli("verify", next(cli.cwd.glob("*.zst")), "--data-files", "--json")
    assert looked.exit_code in (0, 3)
    assert "data-files-out-of-reach" in [finding["rule"] for finding in looked.json()["findings"]]


@pytest.mark.parametrize("where", ["nope", "mysql:x", "postgres:dbname=x y"])
def test_wrong_address_is_refused_before_anything_is_read(cli: Cli, where: str) -> None:
    """Wrong usage is found at once: not even the backup has to be there."""
    done = cli("verify", "no-such-backup.zst", "--rehearse", where, "--json")

    assert json_failure(done, 2)["error"]["type"] == "UsageError"


def test_only_what_was_verified_is_rehearsed(lake: LakeFactory, tmp_path: Path) -> None:
    """Another good backup of the same catalog that took the verified one's name is refused, and nothing is left."""
    made = lake("plain", "1.0")
    backup, other = (
        dump(made.url, tmp_path / name, level=level).path for name, level in (("one.zst", 1), ("two.zst", 2))
    )
    verified, _ = prove_file(local(backup))
    Path(other).replace(backup)

    with probe() as engine, pytest.raises(Corrupt, match="not the backup that was verified"):
        rehearse_backup(parse_address(made.url), verified, engine)
    assert one(made.url, _SCHEMAS) == 0
    nothing_left(made)


def test_server_that_is_not_there_is_no_damage(lake: LakeFactory, cli: Cli) -> None:
    """A rehearsal without a server, or on something else, says nothing about the backup: exit 1 and 2."""
    backup = cli("dump", lake("plain", "1.0").url, "--json").json()["path"]

    nowhere = cli("verify", backup, "--json", "--rehearse", "postgres:host=127.0.0.1 port=1 dbname=x")
    assert (nowhere.exit_code, nowhere.json()["error"]["type"]) == (1, "Unreachable")
    no_server = cli("verify", backup, "--json", "--rehearse", "x.ducklake")
    assert (no_server.exit_code, no_server.json()["error"]["type"]) == (2, "UsageError")
