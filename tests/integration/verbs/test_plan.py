"""What `plan` says when a migration would go through, and when it would be refused."""

from support.cli import Cli
from support.comparison import execute
from support.lakes.lakes import LakeFactory


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
