"""Backups that are kept in an object storage, from a dump to the way back from a migration."""

import json
import re
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
from support.cli import Cli, Finished
from support.comparison import contents, dumped, execute
from support.faults.faults import engine_that, nothing_left, pause
from support.lakes.lakes import Lake, LakeFactory
from support.longer import runs_all
from support.servers.failing import Failing, Half, from_the
from support.servers.proxy import Proxy
from support.servers.seaweed import BUCKET, Seaweed
from support.waiting import wait_until

from dlbackup.stores.age.x25519 import SecretKey
from dlbackup.stores.object_clients import client


@pytest.fixture
def place(weed: Seaweed) -> str:
    """A prefix of its own."""
    return f"s3://{BUCKET}/{secrets.token_hex(8)}"


def test_a_backup_is_used_where_it_is(
    plain: Lake, database: str, cli: Cli, weed: Seaweed, place: str, tmp_path: Path
) -> None:
    """It is dumped into a store, verified, read, taken for a base and restored from there; the local twin is equal."""
    env = weed.environment()
    made = cli("dump", plain.url, "-o", place, "--json", env=env).json()
    assert made["path"].startswith(f"{place}/ducklake-")
    assert cli("verify", made["path"], env=env).exit_code == 0
    assert cli("info", made["path"], "--json", env=env).json()["rows"] == made["rows"]
    assert cli("check", made["path"], env=env).exit_code == 0
    assert cli("cat", made["path"], "ducklake_snapshot", env=env).output
    again = cli("dump", plain.url, "-o", f"{place}/", "--base", "auto", "--json", env=env).json()
    assert again["base"] == made["path"]
    taken = cli("dump", plain.url, "-o", made["path"], env=env)
    assert taken.exit_code == 1
    assert "exists already" in taken.stderr

    restored = cli("restore", made["path"], database, "--no-owner", env=env)
    assert restored.exit_code == 0, restored
    cli("dump", plain.url, "-o", tmp_path / "local.sql.zst")
    assert dumped(database, tmp_path) == contents(tmp_path / "local.sql.zst")


def test_a_night_and_a_day_with_a_store(plain: Lake, database: str, cli: Cli, weed: Seaweed, place: str) -> None:
    """Encrypted backups are recorded, listed, drilled, pinned, told of and pruned where they are."""
    identity = SecretKey.generate()
    (cli.cwd / "identity.txt").write_text(identity.text() + "\n")
    env = weed.environment()
    dump = ("dump", plain.url, "-o", place, "--encrypt-to", str(identity.public), "--json")
    older, newer = (cli(*dump, env=env).json() for _ in range(2))
    assert newer["path"].endswith(".sql.zst.age")
    assert newer["record"] == newer["path"].replace(".sql.zst.age", ".backup.json")

    drill = ("drill", place, "--on", database, "--files", "none", "--json")
    assert cli(*drill, env=env).json()["outcome"] == "not-made"  # without an identity
    done = cli(*drill, "--identity", "identity.txt", env=env)
    assert (done.exit_code, done.json()["backup"]) == (0, newer["path"]), done
    assert cli("pin", older["path"], "--name", "why", "--json", env=env).json()["pins"] == ["why"]

    listed = cli("list", place, "--json", env=env).json()["backups"]
    assert [(one["state"], one["encrypted"], one["pins"]) for one in listed] == [
        ("proven", True, []),
        ("good", True, ["why"]),
    ]
    assert 'state="proven"} 1' in cli("metrics", place, env=env).stdout
    assert cli("release", older["path"], env=env).exit_code == 0
    pruned = cli("prune", place, "--keep-last", "1", "--yes", "--json", env=env).json()
    assert [one["name"] for one in pruned["remove"]] == [older["path"].rpartition("/")[2]]
    left = [meta["path"].rpartition("/")[2] for meta in weed.bucket().list(place.rpartition("/")[2]).collect()]
    stem = newer["path"].rpartition("/")[2].removesuffix(".sql.zst.age")
    assert sorted(name.removeprefix(stem).partition("-")[0] for name in left) == [
        *(".backup.json", ".drill", ".drill", ".sql.zst.age")
    ]


def test_a_migration_is_undone_from_a_store(
    lake: LakeFactory, cli: Cli, weed: Seaweed, place: str, tmp_path: Path
) -> None:
    """Its journal is in the folder for state, and the way back that it names restores from the store."""
    made = lake("plain", "0.3")
    env = weed.environment() | {"XDG_STATE_HOME": str(tmp_path / "state")}
    before = dumped(made.url, tmp_path)
    done = cli("migrate", made.url, "--backup-dir", place, "--no-rehearsal", "--json", env=env).json()
    assert done["outcome"] == "migrated"
    assert done["backup"].startswith(f"{place}/ducklake-")
    (journal,) = (tmp_path / "state/dlbackup").glob("*.journal.json")
    assert json.loads(journal.read_text())["backup"] == done["backup"]
    assert done["backup"] in done["way_back"]["command"]
    restored = cli("restore", done["backup"], made.url, "--replace", "--ignore-clients", env=env)
    assert restored.exit_code == 0, restored
    assert dumped(made.url, tmp_path) == before


def test_a_migration_that_was_killed_finds_its_backup_in_the_store(
    lake: LakeFactory, cli: Cli, weed: Seaweed, place: str, tmp_path: Path
) -> None:
    """Killed when the engine has committed, the next run mends by the backup in the store, wherever its own goes."""
    made = lake("inlined", "0.3")
    env = weed.environment() | {"XDG_STATE_HOME": str(tmp_path / "state")}
    marker = tmp_path / "marker"
    words = ("--backup-dir", place, "--no-rehearsal", "--engine", engine_that(tmp_path, after=pause(marker)))
    with cli.started("migrate", made.url, *words, env=env) as running:
        wait_until(marker.exists)
        running.kill()
    nothing_left(made)

    done = cli("migrate", made.url, "--json", env=env)
    assert done.exit_code == 0, done.stderr
    assert done.json()["outcome"] == "migrated"
    assert done.json()["backup"].startswith(f"{place}/ducklake-")
    assert done.json()["mends"]


@pytest.mark.parametrize("words", [("dump", "-o"), ("plan", "--backup-dir"), ("migrate", "--backup-dir")])
def test_a_store_below_the_data_is_refused(lake: LakeFactory, cli: Cli, words: tuple[str, str]) -> None:
    """Clean-up of the lake would take it; nothing is made there."""
    made = lake("plain", "0.3")
    inside = made.data_path / "backups"
    command, option = words
    refused = cli(command, made.url, option, f"{inside}/")
    assert refused.exit_code == 4
    assert "delete_orphaned_files" in refused.stderr + refused.stdout
    assert not inside.exists()


@pytest.mark.parametrize("words", [("dump", "-o"), ("migrate", "--backup-dir")])
def test_keys_of_data_files_go_to_no_store_in_clear(
    plain: Lake, cli: Cli, weed: Seaweed, place: str, tmp_path: Path, words: tuple[str, str]
) -> None:
    """Who reads the store could read the lake's encrypted files: nothing is put there until somebody accepts that."""
    encrypted = "insert into ducklake_metadata (key, value) values ('encrypted', 'true')"
    execute(plain.url, "delete from ducklake_metadata where key = 'encrypted'", encrypted)
    env = weed.environment() | {"XDG_STATE_HOME": str(tmp_path / "state")}
    command, option = words
    refused = cli(command, plain.url, option, place, "--json", env=env)
    assert (refused.exit_code, refused.json()["error"]["type"]) == (4, "PlaintextKeys")
    assert "--plaintext-keys" in refused.json()["error"]["hint"]
    assert weed.bucket().list(place.rpartition("/")[2]).collect() == []
    if command == "dump":
        assert cli(command, plain.url, option, place, "--plaintext-keys", env=env).exit_code == 0
        return
    planned = cli("plan", plain.url, option, place, "--json", env=env).json()
    assert [blocker["type"] for blocker in planned["blockers"]] == ["PlaintextKeys"]
    assert cli("plan", plain.url, option, place, "--plaintext-keys", env=env).exit_code == 0


TABLES = "select tablename from pg_tables where tablename like 'ducklake%'"
READERS: dict[str, tuple[str, ...]] = {
    "verify": ("verify", "BACKUP", "--jobs", "3", "--json"),
    "cat": ("cat", "BACKUP", "ducklake_snapshot"),
    "restore": ("restore", "BACKUP", "DATABASE", "--json"),
    "list": ("list", "PLACE", "--json"),
    "prune": ("prune", "PLACE", "--keep-last", "1", "--json"),
    "drill": ("drill", "PLACE", "--on", "DATABASE", "--files", "none", "--no-record", "--json"),
}


FAULTS: tuple[int | Half, ...] = (503, "cut", "short", "silent")
FOR_GOOD: tuple[tuple[int | Half | None, float], ...] = (
    *((503, 0.0), ("silent", 1.0), (None, 0.0), ("cut", 1.0)),
    *((503, 0.5), ("short", 1.0), (503, 1.0)),
)
"""Faults, and from which share of a command's requests on; None: an answer is held up in the middle."""
_EACH = 2
"""How many of them each command meets in every run; one command meets others than the next."""


@pytest.fixture(params=READERS)
def command(request: pytest.FixtureRequest) -> str:
    """Each command that reads."""
    return str(request.param)


@pytest.fixture
def read(
    command: str,
    plain: Lake,
    database: str,
    cli: Cli,
    weed: Seaweed,
    place: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[int], Finished]:
    """Return what runs the command, through a port to the store, into an empty database."""
    backup = cli("dump", plain.url, "-o", place, "--json", env=weed.environment()).json()["path"]
    monkeypatch.setattr("dlbackup.backupfile.prover.FRAMES_A_HELPER", 1)
    monkeypatch.setattr("dlbackup.transfer.feed.CHILD_ROWS", 0)
    monkeypatch.setattr("dlbackup.stores.objects._FIRST_READ_BYTES", 2000)
    said = {"BACKUP": backup, "PLACE": place, "DATABASE": database}
    asked = [said.get(word, word) for word in READERS[command]]

    def done_by(port: int) -> Finished:
        client.cache_clear()  # it has the port of the run before
        execute(database, *(f"drop table {name}" for (name,) in execute(database, TABLES)))
        return cli(*asked, env=weed.environment(port) | {"DLBACKUP_STORE_TIMEOUT": "0.3"})

    return done_by


def test_a_fault_of_the_network_is_no_damage(
    read: Callable[[int], Finished], command: str, database: str, weed: Seaweed, pytestconfig: pytest.Config
) -> None:
    """
    A store that answers with errors or by half, or falls silent, is exit 1 of each command that reads, never 3.

    Nothing is left of a restore then, and no more is asked than what repeating one request takes. What fails once is
    asked for once more and nobody notices; `--kill-points N` tries that at N points, and --all all faults.
    """
    with Failing(weed.port, from_the(1 << 30)) as counting:
        assert read(counting.port).exit_code == 0
    requests, place, options = counting.asked, list(READERS).index(command), pytestconfig.option
    every = runs_all(pytestconfig)
    for number in range(len(FOR_GOOD) if every else _EACH):
        fault, share = FOR_GOOD[(_EACH * place + number) % len(FOR_GOOD)]
        _fails_for_good(read, weed, fault, max(1, int(share * requests)), requests)
        assert execute(database, TABLES) == []
    for first in range(options.kill_points or 1):
        for number in range(len(FAULTS) if every or options.kill_points else 1):
            fault, point = FAULTS[(place + number) % len(FAULTS)], 1 + (place + first + number) % requests
            with Failing(weed.port, from_the(point), fault, times=1) as failing:
                done = read(failing.port)
            assert (done.exit_code, len(failing.failed)) == (0, 1), (fault, failing.failed, done)
            assert failing.asked <= requests + 1, (fault, failing.failed)


def _fails_for_good(
    read: Callable[[int], Finished], weed: Seaweed, fault: int | Half | None, point: int, requests: int
) -> None:
    """Run a command to which the store fails from a request on; see how it ends."""
    if fault is None:
        with Proxy("127.0.0.1", weed.port) as proxy:
            proxy.strike("stall", "down", 1000)
            done = read(proxy.port)
            assert (done.exit_code, proxy.struck.is_set()) == (1, True), done
        return
    with Failing(weed.port, from_the(point), fault) as failing:
        done = read(failing.port)
    assert done.exit_code == 1, (fault, point, done)
    said = done.stdout + done.stderr
    assert "the store doesn't answer" in said or "the store's answers are cut off" in said, (fault, point, done)
    assert failing.asked <= requests + 3, (fault, point, failing.failed)


_MORE = """
insert into ducklake_tag
select n, 0, null, 'some', string_agg(md5(concat(n, m)), '')
from generate_series({0}, {1}) n, generate_series(1, 10000) m group by n
"""
"""Sixty of these are 10 MB of a backup, a hundred and eighty more 29 MB more."""
_READ = (("verify",), ("cat", "ducklake_tag"))
_SMALL_PARTS = """
import atexit, os
from pathlib import Path
from dlbackup.stores import objects
objects.PART_BYTES = objects.SMALL_BYTES = 5 << 20
atexit.register(lambda: Path(os.environ["DLBACKUP_TOLD"]).write_bytes(Path("/proc/self/status").read_bytes()))
"""


def test_memory_does_not_grow_with_a_backup(
    plain: Lake, cli: Cli, weed: Seaweed, place: str, pytestconfig: pytest.Config
) -> None:
    """Dumped into a store, verified and, with --all, printed from there, four times as much takes the same memory."""
    reading = _READ if runs_all(pytestconfig) else _READ[:1]

    def peaks(first: int, last: int) -> dict[str, float]:
        execute(plain.url, _MORE.format(first, last))
        own = f"{place}/{last}"
        made = _peak_mib(cli, weed, "dump", plain.url, "-o", own)
        backup = f"{own}/{cli('list', own, '--json', env=weed.environment()).json()['backups'][0]['name']}"
        read = {words[0]: _peak_mib(cli, weed, words[0], backup, *words[1:]) for words in reading}
        return read | {"dump": made}

    less, more = peaks(1, 60), peaks(61, 240)
    assert {name: more[name] - less[name] for name in less if more[name] > less[name] + 20} == {}, (less, more)


def _peak_mib(cli: Cli, weed: Seaweed, *words: str) -> float:
    """Run a command and return how much memory it had at most; `wait4` would count also what forked it."""
    told = cli.cwd / "told"
    with cli.started(*words, env=weed.environment() | {"DLBACKUP_TOLD": str(told)}, first=_SMALL_PARTS) as running:
        running.communicate()
    assert running.returncode == 0, words
    found = re.search(r"VmHWM:\s*(\d+) kB", told.read_text())
    assert found
    return int(found[1]) / 1024
