"""
Which backups stay: a table of cases (cases/retention.json), and what holds whatever the policy is.
"""

import json
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.stores import CONTENT, name_at, record_at

from dlbackup.errors import Refused
from dlbackup.inventory.listing import Entry
from dlbackup.inventory.record import Drill, as_text
from dlbackup.inventory.retention import Decisions, Policy, decide
from dlbackup.stores.contract import Blob

CASES = json.loads((Path(__file__).parent / "cases/retention.json").read_text())
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def entry(time: datetime, number: int = 0, **values: Any) -> Entry:
    """Return a good backup of a time, with other values of `Entry`; `kind`, `lake` and `catalog` make it another."""
    kind, catalog = values.pop("kind", "good"), values.pop("catalog", "lake")
    name = name_at(time, catalog=catalog, digits=f"{number:06x}")
    modified = values.pop("modified", time)
    record = record_at(name, time, **({"lake": values.pop("lake")} if "lake" in values else {}))
    drill = Drill(backup=name, ok=True, created=as_text(time), seconds=1.0)
    made = Entry(blob=Blob(name, len(CONTENT), modified), record=record, **values)
    if kind == "proven":
        return replace(made, drills=(drill,))
    if kind == "damaged":
        return replace(made, drills=(replace(drill, ok=False),), damage="the drill found it bad")
    if kind == "unreadable":
        return replace(made, record=None, unreadable=("its record is damaged",))
    return replace(made, record=None) if kind == "unlisted" else made


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text if text.startswith("20") else f"2026-{text}").replace(tzinfo=UTC)


def _case_entry(about: str | dict[str, Any], number: int) -> Entry:
    about = {"at": about} if isinstance(about, str) else dict(about)
    time = _time(about.pop("at"))
    values = {"pins": tuple(about.pop("pins", ())), "kind": about.pop("is", "good"), **about}
    if "modified" in values:
        values["modified"] = _time(values["modified"])
    return entry(time, number, **values)


@pytest.mark.parametrize("case", CASES, ids=[case["about"] for case in CASES])
def test_cases(case: dict[str, Any]) -> None:
    """Each backup of a case is kept or removed for the reasons that it names."""
    policy = dict(case["policy"])
    if "within" in policy:
        policy["within"] = timedelta(days=int(policy["within"].removesuffix("d")))
    made = {name: _case_entry(about, number) for number, (name, about) in enumerate(case["backups"].items())}
    names = {one.name: name for name, one in made.items()}
    now = _time(case.get("now", "2026-11-20T12"))

    def found() -> Decisions:
        broken = [made[name].name for name in case.get("broken", ())]
        return decide(
            list(made.values()), Policy(**policy), now, other_lakes=case.get("other_lakes", False), broken=broken
        )

    if "refused" in case:
        with pytest.raises(Refused) as caught:
            found()
        assert f"{type(caught.value).__name__}: {caught.value.message}".startswith(case["refused"])
        assert caught.value.hint
        return
    decided = found()
    assert {names[one.name]: list(one.reasons) for one in decided.keep} == case["keep"]
    assert {names[one.name]: one.reasons[0] for one in decided.remove} == case["remove"]
    assert [names[one.name] for one in decided.keep] == list(case["keep"])


POLICIES = st.builds(
    Policy,
    last=st.integers(0, 3),
    hourly=st.integers(0, 3),
    daily=st.integers(0, 3),
    weekly=st.integers(0, 3),
    monthly=st.integers(0, 3),
    yearly=st.integers(0, 2),
    within=st.sampled_from([timedelta(), timedelta(days=1), timedelta(days=40)]),
).filter(lambda policy: not policy.is_empty)
KINDS = st.tuples(
    st.integers(0, 24 * 400),
    st.sampled_from(["good", "good", "good", "proven", "damaged", "unlisted", "unreadable"]),
    st.sampled_from([(), (), (), ("audit",), ("migration",)]),
    st.sampled_from(["", "", "", "migrated", "attached", "rolled-back"]),
    st.sampled_from(["a", "b"]),
)


@st.composite
def stores(draw: st.DrawFn) -> list[Entry]:
    """Return backups of two catalogs from the last year, at least one of them good."""
    kinds = draw(st.lists(KINDS, max_size=12))
    made = [
        entry(NOW - hours * HOUR, number, kind=kind, pins=pins, journal=journal, catalog=catalog)
        for number, (hours, kind, pins, journal, catalog) in enumerate(kinds)
    ]
    return [*made, entry(NOW - draw(st.integers(0, 9000)) * HOUR, 999, catalog="a")]


def kept(decided: Decisions) -> set[str]:
    return {one.name for one in decided.keep}


@given(stores(), POLICIES)
def test_the_last_way_back_always_stays(backups: list[Entry], policy: Policy) -> None:
    """Of each catalog the newest good one, the newest proven one, what is pinned, what a migration relies on."""
    decided = decide(backups, policy, NOW)

    stays = kept(decided)
    assert stays | {one.name for one in decided.remove} == {one.name for one in backups}
    assert not stays & {one.name for one in decided.remove}
    assert all(one.reasons for one in (*decided.keep, *decided.remove))
    newest = sorted(backups, key=lambda one: (one.created, one.name), reverse=True)
    for catalog in ("a", "b"):
        good = [one.name for one in newest if one.catalog == catalog and one.is_good]
        proven = [one.name for one in newest if one.catalog == catalog and one.state == "proven"]
        assert {*good[:1], *proven[:1]} <= stays
    for one in backups:
        if "audit" in one.pins or one.migrates or ("migration" in one.pins and one.journal in ("", "migrated")):
            assert one.name in stays
        if one.name in {gone.name for gone in decided.remove}:
            assert any(other.is_good and other.catalog == one.catalog and other.name in stays for other in backups)


@given(stores(), POLICIES, st.sampled_from(["good", "proven", "unlisted", "damaged"]), st.sampled_from(["a", "b"]))
def test_one_more_backup_takes_no_protected_one(backups: list[Entry], policy: Policy, kind: str, catalog: str) -> None:
    """What is kept beside the policy stays when a newer backup comes, unless that is itself the better way back."""
    before = decide(backups, policy, NOW)
    newer = entry(NOW + HOUR / 2, 1000, kind=kind, catalog=catalog)
    after = kept(decide([*backups, newer], policy, NOW + HOUR))

    assert newer.name in after
    for one in before.keep:
        lasting = [why for why in one.reasons if "pinned" in why or "migration" in why or "can't be read" in why]
        if lasting or ("the newest proven one" in one.reasons and kind != "proven"):
            assert one.name in after
        if "the newest good one" in one.reasons and kind not in ("good", "proven"):
            assert one.name in after


@given(stores(), POLICIES, st.randoms(use_true_random=False), st.integers(-50, 50))
def test_order_and_clocks_do_not_matter(
    backups: list[Entry], policy: Policy, order: random.Random, minutes: int
) -> None:
    """The same is decided in whatever order the store lists, and by a clock that is up to an hour off."""
    settled = [one for one in backups if one.is_good or NOW - one.created > 60 * HOUR]
    shuffled = order.sample(settled, len(settled))

    decided = decide(settled, policy, NOW)

    assert decide(shuffled, policy, NOW) == decided
    assert decide(shuffled, policy, NOW + timedelta(minutes=minutes)) == decided


@given(stores(), POLICIES)
def test_what_is_left_is_kept_again(backups: list[Entry], policy: Policy) -> None:
    """A second prune by the same policy and time has nothing to do."""
    stays = kept(decide(backups, policy, NOW))

    again = decide([one for one in backups if one.name in stays], policy, NOW)

    assert again.remove == ()
