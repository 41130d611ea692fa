"""verify --rehearse: a backup is restored, migrated and opened on a server, and nothing of that stays."""

from pathlib import Path

import pytest
from support.cli import Cli, Finished
from support.engines.engines import engine_of
from support.faults.faults import engine_that, nothing_left, one, state
from support.lakes.lakes import Lake, LakeFactory, LakeKind

from dlbackup import dump
from dlbackup.addresses.address import parse_address
from dlbackup.backupfile.prover import prove_file
from dlbackup.engine.engine import probe
from dlbackup.errors import Corrupt
from dlbackup.migration.rehearsal import rehearse_backup
from dlbackup.stores.folder import local

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


@pytest.mark.parametrize(
    "kind, spec, warnings",
    [
        ("plain", "0.2", ["not-opened"]),
        ("plain", "0.3", []),
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


@pytest.mark.parametrize("fault", ["os.abort()", "raise real.IOException('no')"])
def test_engine_that_fails_is_an_error(lake: LakeFactory, cli: Cli, tmp_path: Path, fault: str) -> None:
    """What fails in the rehearsal is an error of the verification: exit 3, and the scratch schema is gone."""
    made = lake("plain", "0.3")

    done = _rehearsed(cli, made, made.url, "--engine", engine_that(tmp_path, before=fault))

    assert done.exit_code == 3
    assert [finding["rule"] for finding in done.json()["findings"]] == ["rehearsal"]


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
