"""
Commands that write into an object storage which fails, or which are killed while they do.

`--kill-points N` tries N requests of each command, and N moments of each that is killed; `--seed S` others.
"""

import json
import random
import secrets
from collections.abc import Callable
from typing import Any

import pytest
from support.cli import Cli, Finished
from support.comparison import execute
from support.faults.faults import children, is_running, nothing_left, one
from support.lakes.lakes import Lake, LakeFactory
from support.longer import long
from support.servers.failing import Failing, Half, from_the
from support.servers.proxy import Proxy
from support.servers.seaweed import BUCKET, Seaweed
from support.waiting import wait_until

from dlbackup.stores.object_clients import client

WRITERS: dict[str, tuple[str, ...]] = {
    "dump": ("dump", "ADDRESS", "-o", "PLACE", "--base", "auto", "--json"),
    "migrate": ("migrate", "ADDRESS", "--backup-dir", "PLACE", "--no-rehearsal", "--json"),
    "pin": ("pin", "BACKUP", "--name", "why", "--json"),
    "prune": ("prune", "PLACE", "--keep-last", "1", "--yes", "--json"),
    "drill": ("drill", "PLACE", "--on", "DATABASE", "--files", "none", "--json"),
}
FAULTS: tuple[int | Half, ...] = ("silent", 503, "cut", "short")
_POINTS, _KILLS = 1, 1
_BEFORE = {"prune": 2}
"""How many backups there are before, where it isn't one."""
_IN_PARTS = "from dlbackup.stores import objects; objects.PART_BYTES = objects.SMALL_BYTES = 5 << 20"
_LARGE = """
insert into ducklake_tag
select n, 0, null, 'some', string_agg(md5(concat(n, m)), '')
from generate_series(1, 100) n, generate_series(1, 10000) m group by n
"""
"""16 MB of what hardly packs, so that the backup goes in several parts."""
_REQUESTS = 12
"""After the parts of an upload: its completion, the reading back, the record."""
Writing = Callable[[int], tuple[Finished, list[dict[str, Any]]]]


@pytest.fixture
def place(weed: Seaweed) -> str:
    """A prefix of its own."""
    return f"s3://{BUCKET}/{secrets.token_hex(8)}"


def _listed(cli: Cli, weed: Seaweed, place: str) -> list[dict[str, Any]]:
    """List a place, past every fault; what is not called unlisted is whole."""
    client.cache_clear()  # it has the port of the run before
    found: list[dict[str, Any]] = cli("list", place, "--json", env=weed.environment()).json()["backups"]
    for backup in found:
        if backup["state"] != "unlisted":
            assert cli("verify", f"{place}/{backup['name']}", env=weed.environment()).exit_code == 0, backup
    return found


@pytest.fixture(params=[long(it) if it == "drill" else it for it in WRITERS])
def write(
    request: pytest.FixtureRequest, lake: LakeFactory, database: str, cli: Cli, weed: Seaweed, place: str
) -> Writing:
    """
    Return what runs one of the commands through a port to the store, and then lists that.

    Each run has a place of its own, in which there are good backups: the newest is never touched.
    """
    words = WRITERS[request.param]
    shared = lake("plain", "0.3")

    def done_by(port: int) -> tuple[Finished, list[dict[str, Any]]]:
        client.cache_clear()
        made = lake("plain", "0.3") if request.param == "migrate" else shared
        own = f"{place}/{secrets.token_hex(4)}"
        for _ in range(_BEFORE.get(words[0], 1)):
            before = cli("dump", made.url, "-o", own, "--json", env=weed.environment()).json()["path"]
        client.cache_clear()
        said = {"ADDRESS": made.url, "PLACE": own, "BACKUP": before, "DATABASE": database}
        limits = {"DLBACKUP_STORE_TIMEOUT": "0.3", "XDG_STATE_HOME": str(cli.cwd / "state")}
        done = cli(*(said.get(word, word) for word in words), env=weed.environment(port) | limits)
        listed = _listed(cli, weed, own)
        kept = [backup["name"] for backup in listed if backup["state"] in ("good", "proven")]
        assert before.rpartition("/")[2] in kept, done
        nothing_left(made)
        _is_as_said(words[0], made, done, listed)
        return done, listed

    return done_by


def _is_as_said(command: str, made: Lake, done: Finished, listed: list[dict[str, Any]]) -> None:
    """Check that what a command says of its end is what there is."""
    states = [backup["state"] for backup in listed]
    if done.exit_code == 1:
        assert done.json()["transient"], done
        assert "the store doesn't answer" in done.stderr or "the store's answers are cut off" in done.stderr, done
        assert ("was written, and is not proved" in done.stderr) == (command == "dump" and "unlisted" in states), done
    else:
        assert done.exit_code == 0, done
        assert states.count("good") + states.count("proven") == {"dump": 2, "migrate": 2}.get(command, 1)
    if command == "migrate":
        assert (_version(made) == "1.0") == (done.exit_code == 0), done


def _version(made: Lake) -> object:
    return one(made.url, "select value from ducklake_metadata where key = 'version'")


def test_a_store_that_fails_has_all_or_nothing(write: Writing, weed: Seaweed, pytestconfig: pytest.Config) -> None:
    """
    From some request on the store fails: exit 1 and words for it, nothing listed that isn't whole, nothing lost.

    One fault alone nobody notices, and it costs one more request.
    """
    options = pytestconfig.option
    place = random.Random(options.seed)
    with Failing(weed.port, from_the(1 << 30)) as counting:
        assert write(counting.port)[0].exit_code == 0
    requests = counting.asked
    for number in range(options.kill_points or _POINTS):
        point, fault = place.randint(1, requests), FAULTS[number % len(FAULTS)]
        with Failing(weed.port, from_the(point), fault) as failing:
            done, _ = write(failing.port)
        assert failing.asked <= requests + 5, (fault, point, failing.failed)
        with Failing(weed.port, from_the(point), fault, times=1) as failing:
            done, _ = write(failing.port)
        assert done.exit_code == 0, (fault, point, failing.failed, done)
        assert failing.asked <= requests + 1, (fault, point, failing.failed)


def _kill(cli: Cli, *words: str, env: dict[str, str], proxy: Proxy, arrives: bool) -> None:
    """Run a command until all stands still before the store, and kill it; what was on its way arrives or doesn't."""
    with cli.started(*words, env=env, first=_IN_PARTS) as running:
        wait_until(lambda: proxy.struck.is_set() or running.poll() is not None)
        orphans = children(running.pid)
        running.kill()
        running.communicate()
    if arrives:
        proxy.go_on()
    proxy.heal()
    wait_until(lambda: not any(map(is_running, orphans)))


def _messages(cli: Cli, weed: Seaweed, *words: str, **env: str) -> int:
    """Return how many messages a command sends to the store where nobody disturbs it."""
    with (
        Proxy("127.0.0.1", weed.port) as proxy,
        cli.started(*words, env=env | weed.environment(proxy.port), first=_IN_PARTS) as running,
    ):
        assert running.wait() == 0
        return proxy.messages


def _moments(pytestconfig: pytest.Config, messages: int) -> list[int]:
    """Return before which messages to kill: half of them anywhere, half at the end, where there are many requests."""
    options = pytestconfig.option
    place = random.Random(options.seed)
    number = options.kill_points or _KILLS
    late = max(1, messages - _REQUESTS)
    return [place.randint(late if number % 2 else 1, messages) for number in range(number)]


def test_a_killed_dump_in_parts_is_there_or_not(
    plain: Lake,
    cli: Cli,
    weed: Seaweed,
    place: str,
    pytestconfig: pytest.Config,
    record_property: Callable[[str, object], None],
) -> None:
    """Nothing is listed that isn't whole, what nobody proved is called so, and the next dump works."""
    execute(plain.url, _LARGE)
    messages = _messages(cli, weed, "dump", plain.url, "-o", f"{place}/first")
    before, ends = weed.uploads(), []
    for number, moment in enumerate(_moments(pytestconfig, messages)):
        own = f"{place}/{number}"
        with Proxy("127.0.0.1", weed.port) as proxy:
            proxy.strike_at_message("stall", moment)
            words = ("dump", plain.url, "-o", own)
            _kill(cli, *words, env=weed.environment(proxy.port), proxy=proxy, arrives=number % 2 == 0)
        nothing_left(plain)
        states = [backup["state"] for backup in _listed(cli, weed, own)]
        assert states in ([], ["unlisted"], ["good"]), moment
        ends += states or ["nothing"]
        made = cli("dump", plain.url, "-o", own, env=weed.environment())
        assert made.exit_code == 0, made
        assert [backup["state"] for backup in _listed(cli, weed, own)] == ["good", *states]
    left = weed.stray_parts(before)
    for name, value in (("ends", json.dumps(ends)), ("stray_parts", len(left)), ("stray_bytes", sum(left))):
        record_property(name, value)


@pytest.mark.long
def test_a_migration_that_is_killed_before_its_store_is_made_again(
    lake: LakeFactory, cli: Cli, weed: Seaweed, place: str, pytestconfig: pytest.Config
) -> None:
    """Killed at a request to the store, the catalog is as it was, and the next migration works."""
    env = {"XDG_STATE_HOME": str(cli.cwd / "state")}
    words = ("--backup-dir", place, "--no-rehearsal")
    messages = _messages(cli, weed, "migrate", lake("plain", "0.3").url, *words, **env)
    for number, moment in enumerate(_moments(pytestconfig, messages)):
        made = lake("plain", "0.3")
        with Proxy("127.0.0.1", weed.port) as proxy:
            proxy.strike_at_message("stall", moment)
            through = env | weed.environment(proxy.port)
            _kill(cli, "migrate", made.url, *words, env=through, proxy=proxy, arrives=number % 2 == 0)
        nothing_left(made)
        _listed(cli, weed, place)
        done = cli("migrate", made.url, *words, "--json", env=env | weed.environment())
        assert (done.exit_code, _version(made)) == (0, "1.0"), (moment, done)
        _listed(cli, weed, place)
