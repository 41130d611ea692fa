"""What `plan` says when a migration would go through, and when it would be refused."""

import re
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from support.cli import Cli
from support.comparison import execute
from support.lakes.lakes import LakeFactory
from support.longer import long
from support.rules.damages import DAMAGES
from support.rules.patients import patient_in

import dlbackup
from dlbackup.health.rules import RULES


def test_blocked_plan_is_exit_4_and_the_same_report(lake: LakeFactory, cli: Cli) -> None:
    """A script sees by the exit code that a migration is blocked; the report has the same keys, and no error."""
    made = lake("plain", "0.3")
    good = cli("plan", made.url, "--json")
    execute(made.url, "create view v as select * from ducklake_table")

    done = cli("plan", made.url, "--json")

    assert (good.exit_code, done.exit_code, done.stderr) == (0, 4, "")
    assert done.json().keys() == good.json().keys()
    assert [blocker["type"] for blocker in done.json()["blockers"]] == ["HasDependents"]
    assert (good.json()["estimate_seconds"] > 0, done.json()["estimate_seconds"]) == (True, None)
    assert (len(good.json()["steps"]) > 0, done.json()["steps"]) == (True, [])


def test_blocked_plan_promises_nothing(lake: LakeFactory, cli: Cli) -> None:
    """In words: what is in the way and what to do, and no time, step or version as if it would happen."""
    made = lake("plain", "0.3")
    good = cli("plan", made.url).stdout
    execute(made.url, "create view v as select * from ducklake_table")

    said = cli("plan", made.url).stdout

    assert said.startswith("blocked: as things are, migrate refuses")
    assert "\n  do: drop what is named" in said
    for promise in ("afterwards only", "step 1:", " s\n"):
        assert promise in good
        assert promise not in said


def test_plan_that_finds_nothing_to_do_is_exit_0(lake: LakeFactory, cli: Cli) -> None:
    """The newest version needs nothing."""
    done = cli("plan", lake("plain", "1.0").url, "--json")

    assert (done.exit_code, done.json()["needed"], done.json()["blockers"]) == (0, False, [])


def test_plan_that_no_engine_can_follow_is_blocked(lake: LakeFactory, cli: Cli) -> None:
    """A version that this engine can't bring forward is a blocker like any other."""
    made = lake("plain", "1.0")
    execute(made.url, "update ducklake_metadata set value = '1.1-dev1' where key = 'version'")

    done = cli("plan", made.url, "--json")

    assert (done.exit_code, [blocker["type"] for blocker in done.json()["blockers"]]) == (4, ["CannotMigrate"])


@pytest.mark.parametrize(
    "change",
    [
        long("alter table ducklake_snapshot drop constraint ducklake_snapshot_pkey"),
        "alter table ducklake_data_file drop column footer_size",
        long("drop table ducklake_tag"),
        long("alter table ducklake_data_file alter column path type integer using 1"),
        """alter table ducklake_snapshot drop constraint ducklake_snapshot_pkey;
        insert into ducklake_snapshot select * from ducklake_snapshot where snapshot_id = 1""",
        "delete from ducklake_snapshot",
    ],
    ids=["no key", "no column", "no table", "another type", "a snapshot twice", "no snapshot"],
)
def test_a_catalog_whose_backup_would_not_verify_is_blocked(
    lake: LakeFactory, cli: Cli, tmp_path: Path, change: str
) -> None:
    """What `migrate` stops for after its dump, `plan` says before, in the words of `check`."""
    made = lake("plain", "0.3")
    execute(made.url, change)

    planned = cli("plan", made.url, "--json")
    migrated = cli("migrate", made.url, "--backup-dir", tmp_path)

    assert (planned.exit_code, migrated.exit_code) == (4, 3)
    (blocker,) = (one for one in planned.json()["blockers"] if one["type"] == "NotVerified")
    assert "dlbackup check" in blocker["hint"]
    assert cli("check", made.url).exit_code == 3


@pytest.mark.parametrize("spec", [long("0.2"), "0.3", long("0.4")])
def test_every_error_of_check_is_known_to_plan(lake: LakeFactory, spec: str) -> None:
    """
    Of a catalog with dozens of damages, each error stands among the losses, the blockers or the warnings.

    Without those that are none in the version that the migration leads to.
    """
    made = lake("zoo", spec)
    with psycopg.connect(made.url, autocommit=True) as session, patient_in(made.url, spec) as patient:
        for damage in DAMAGES:
            statements = damage.statements(patient.names)
            wanted = {spec, "1.0"} & set(damage.specs) and "where key = 'version'" not in statements
            if wanted and statements.startswith("update"):
                with suppress(psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
                    session.execute(statements.encode())
    after = {rule.name for rule in RULES if rule.holds_for("1.0")}

    planned = dlbackup.plan(made.url)

    errors = {finding.rule for finding in dlbackup.check(made.url).findings if finding.severity == "error"}
    said = " ".join(
        [*planned.warnings, *(one.message for one in planned.blockers), *(one.rule for one in planned.losses)]
    )
    assert len(errors & after) > 10
    assert {rule for rule in errors & after if not re.search(rf"\b{rule}\b", said)} == set()


def test_errors_that_stay_are_told_by_all(lake: LakeFactory, cli: Cli, tmp_path: Path) -> None:
    """An error that no migration mends stops none: `plan`, `migrate` and a rehearsal name it, and it is there after."""
    made = lake("plain", "0.3")
    backups = tmp_path / "backups"
    backups.mkdir()
    execute(made.url, "update ducklake_table_stats set record_count = 0")
    backup = dlbackup.dump(made.url, tmp_path).path
    text = "the catalog has errors already, which stay in it: row-total ("

    planned = cli("plan", made.url, "--json")
    rehearsed = cli("verify", backup, "--rehearse", made.url, "--json")
    migrated = cli("migrate", made.url, "--backup-dir", backups, "--json")

    assert (planned.exit_code, rehearsed.exit_code, migrated.exit_code) == (0, 0, 0)
    assert text in planned.json()["warnings"][0]
    assert text in next(one["message"] for one in rehearsed.json()["findings"] if one["rule"] == "errors-before")
    assert f"warning: {text}" in migrated.stderr
    assert [one["rule"] for one in cli("check", made.url, "--json").json()["findings"]] == ["row-total"]
