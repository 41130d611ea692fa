"""
What engines' migrations are known to lose without a word, as named rules: how it is found, and mended.

A rule finds what a migration would lose in plain SQL, remembers what the mend will need, and mends after the
engine is done, so that doing it again changes nothing more. What can't be mended exactly blocks the migration
until the user accepts that loss by name. The facts are in docs/losses.md; each rule was reproduced with real engines.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from dlbackup.catalogs.contract import Mending, Snapshot
from dlbackup.errors import UsageError
from dlbackup.health.checkup import findings_of
from dlbackup.health.rules.rule import Rule
from dlbackup.lake.answers import Answers
from dlbackup.lake.findings import Finding
from dlbackup.migration.losses.files import (
    lists_with_flushed_files,
    lists_with_rewritten_files,
    plain_lists,
    set_partial_max,
    unordered_lists,
)
from dlbackup.migration.losses.foreseen import AsOf03
from dlbackup.migration.losses.inlined import (
    convert_inlined,
    empty_double_tables,
    empty_outdated_tables,
    filled_double_tables,
    filled_outdated_tables,
    old_inlined_tables,
    registered,
    unregister,
    wide_tables,
)
from dlbackup.migration.losses.loss import KnownLoss, Loss
from dlbackup.migration.losses.references import mapped_files, set_is_partition
from dlbackup.migration.losses.statistics import forget_statistics, unknown_statistics
from dlbackup.migration.losses.versions import (
    all_columns,
    expired_beginnings,
    fill_schema_versions,
    name_changes,
    name_versions,
    null_as_text,
    quote_null_as_text,
    schema_versions,
    set_beginnings,
    set_default_types,
    unknown_versions,
    unnamed_changes,
    versions_named,
    versions_replaced,
)
from dlbackup.migration.steps import Step
from dlbackup.tables.digest import Rows, digest, less, total


def known_losses(snapshot: Snapshot, step: Step, *, unreadable: bool = True) -> tuple[Loss, ...]:
    """
    Return what this step would lose of this catalog, which may have to take another one before, or leave unreadable.

    Args:
        unreadable: look for what engines can't read, too; that reads all that a lake's schema is. Only for the first
            step: what no engine can read doesn't come to a second one.
    """
    with snapshot.answers() as plain:
        version = snapshot.head.spec_version
        answers: Answers = AsOf03(plain) if version == "0.2" and step.crosses("0.4") else plain
        first = version == step.from_version
        left = findings_of(plain, step.from_version, _is_left_unreadable) if unreadable and first else []
        lost = tuple(
            Loss(
                rule=rule.name,
                rows=len(found),
                message=rule.message.format(count=f"{len(found)} {rule.what}{'' if len(found) == 1 else 's'}"),
                part=rule.part,
                mendable=rule.mend is not None,
                before=found,
                unreadable=rule.unreadable,
            )
            for rule in RULES
            if rule.applies(step) and snapshot.dialect in rule.dialects and (found := rule.find(answers))
        )
        return lost + tuple(_unmended(finding) for finding in left)


def errors_already(snapshot: Snapshot, steps: Sequence[Step], *, losses: bool) -> list[Finding]:
    """
    Return what `check` calls errors in this catalog, and would again after these steps, of which there may be none.

    Args:
        losses: with what `known_losses` tells of: what keeps the lake from being read, or what a step mends or loses.
    """
    told = {known.name for known in RULES for step in steps if known.applies(step)}
    to_version = steps[-1].to_version if steps else snapshot.head.spec_version

    def stays(rule: Rule) -> bool:
        is_loss = rule.name in told or (bool(steps) and _is_left_unreadable(rule))
        return rule.severity == "error" and rule.holds_for(to_version) and (losses or not is_loss)

    with snapshot.answers() as answers:
        found = findings_of(answers, snapshot.head.spec_version, stays)
    return [finding for finding in found if finding.severity == "error"]


def _is_left_unreadable(rule: Rule) -> bool:
    return rule.unreadable or rule.name in _FAILING


def _unmended(finding: Finding) -> Loss:
    return Loss(
        rule=finding.rule,
        rows=finding.count,
        message=f"{finding.message}: {finding.why}",
        part="",
        mendable=False,
        before=[],
        unreadable=finding.rule not in _FAILING,
    )


def refuse_unknown(names: Iterable[str]) -> None:
    """
    Refuse names of losses that there are not, which would accept nothing.

    Raises:
        UsageError: one is no loss that can be accepted.
    """
    known = sorted((*_RULES, *_FAILING))
    for name in names:
        if name not in known:
            raise UsageError(
                f"--accept-loss: there is no loss {name!r} that can be accepted", f"those are: {', '.join(known)}"
            )


def batches(losses: tuple[Loss, ...], tables: int) -> Iterator[tuple[Loss, ...]]:
    """Divide what is to be mended into what one transaction has the locks for: all at once up to so many tables."""
    by_table = [loss for loss in losses if _RULES[loss.rule].by_table]
    if sum(len(loss.before) for loss in by_table) <= tables:
        yield losses
        return
    for loss in by_table:
        for begin in range(0, len(loss.before), tables):
            yield (replace(loss, before=loss.before[begin : begin + tables]),)
    yield tuple(loss for loss in losses if loss not in by_table)


def retyped(losses: Iterable[Loss]) -> list[Any]:
    """Return the tables whose columns get other types by the mends of these losses, as `Mending.retype` takes them."""
    return [table for loss in losses if _RULES[loss.rule].mend is convert_inlined for table in loss.before]


def mend(mending: Mending, losses: tuple[Loss, ...]) -> list[tuple[str, int]]:
    """Put right what can be; return rules and how much each touched."""
    done = []
    for loss in losses:
        rule = _RULES[loss.rule]
        if rule.mend is not None:
            done.append((loss.rule, rule.mend(mending, loss.before)))
    return done


def added_by(losses: Iterable[Loss]) -> dict[str, Rows]:
    """Return what the mends of these losses add to tables whose other rows stay as they are, less what they take."""
    added: dict[str, Rows] = {}
    for loss in losses:
        rule = _RULES[loss.rule]
        adds = rule.adds(loss.before) if rule.adds is not None else {}
        takes = rule.takes(loss.before) if rule.takes is not None else {}
        changes = [(name, _rows(texts)) for name, texts in adds.items()]
        for name, rows in changes + [(name, less(_rows(texts))) for name, texts in takes.items()]:
            added[name] = total([added.get(name, Rows(0, 0)), rows])
    return added


def _rows(texts: list[bytes]) -> Rows:
    return Rows(len(texts), digest(texts))


_FAILING = frozenset(
    {"cut-column-name", "column-once", "name-once", "table-without-columns", "schema-once", "schema-of-object"}
)
"""
Rules of `health` for what engines of every version fail at, in one table or as soon as they look.

The migration fails too, or leaves the catalog so that clients do: it is refused, unless somebody accepts that by name.
"""
_FIRST_1_5 = ("1.5.0", "1.5.1")
RULES = (
    KnownLoss(
        name="partial-file-lists",
        applies=lambda step: step.crosses("0.4"),
        find=plain_lists,
        what="compacted data file",
        message="{count} would lose the list of the snapshots in it: time travel shows too many rows",
        part="ducklake_data_file",
        mend=set_partial_max,
    ),
    KnownLoss(
        name="unordered-partial-files",
        applies=lambda step: step.crosses("0.4"),
        find=unordered_lists,
        what="compacted data file",
        message="{count} would lose a list of snapshots that the new layout can't express: time travel over them"
        " shows too many rows, or rows twice",
        part="ducklake_data_file",
    ),
    KnownLoss(
        name="rewritten-partial-files",
        applies=lambda step: step.crosses("0.4"),
        find=lists_with_rewritten_files,
        what="compacted data file",
        message="{count} may hold rewritten files: in the new layout snapshots from before the rewrite show their"
        " rows twice",
        part="ducklake_data_file",
    ),
    KnownLoss(
        name="flushed-partial-files",
        applies=lambda step: step.crosses("0.4"),
        find=lists_with_flushed_files,
        what="compacted data file",
        message="{count} would lose the list of the snapshots in it, and may hold flushed rows that DuckDB 1.4 shows"
        " before they were inserted: mended, they show from their insert on",
        part="ducklake_data_file",
        mend=set_partial_max,
    ),
    KnownLoss(
        name="inlined-types",
        applies=lambda step: step.crosses("0.4"),
        find=old_inlined_tables,
        what="inlined table",
        message="{count} would keep column types that the new engine misuses: new text comes back as \\x..., new"
        " dates are refused",
        mend=convert_inlined,
        by_table=True,
        dialects=("postgres",),
    ),
    KnownLoss(
        name="inlined-doubles",
        applies=lambda step: step.crosses("0.4"),
        find=empty_double_tables,
        what="inlined table",
        message="{count} would keep columns in which SQLite turns a NaN, which the new engine writes there, into NULL",
        mend=convert_inlined,
        dialects=("sqlite",),
    ),
    KnownLoss(
        name="inlined-double-rows",
        applies=lambda step: (
            step.crosses("0.4") and not step.staged
        ),  # written anew, they are as the new engine has them
        find=filled_double_tables,
        what="inlined table",
        message="{count} with rows would keep columns in which SQLite turns a NaN into NULL; --staged writes them as"
        " the new engine does",
        dialects=("sqlite",),
    ),
    KnownLoss(
        name="inlined-columns",
        applies=lambda step: step.crosses("0.4"),
        find=empty_outdated_tables,
        what="inlined table",
        message="{count} would get small inserts, which the new engine inlines unasked, although columns have changed"
        " since: inserts fail, or values land in other columns and are lost",
        mend=unregister,
        takes=registered,
    ),
    KnownLoss(
        name="inlined-column-rows",
        applies=lambda step: step.crosses("0.4"),
        find=filled_outdated_tables,
        what="inlined table",
        message="{count} with rows would get small inserts, which the new engine inlines unasked, although columns have"
        " changed since: inserts fail, or values land in other columns and are lost, unless the rows are flushed before"
        " (CALL ducklake_flush_inlined_data('lake')), or data_inlining_row_limit is 0 for their tables",
    ),
    KnownLoss(
        name="wide-tables",
        applies=lambda step: step.crosses("0.4"),
        find=wide_tables,
        what="table",
        message="{count} with more columns than can be inlined, which the new engine does unasked, could not be"
        " altered any more, nor take small inserts, unless data_inlining_row_limit is 0, which CALL"
        " lake.set_option('data_inlining_row_limit', 0, table_name => '...') says, also before the migration",
        dialects=("postgres",),
    ),
    KnownLoss(
        name="name-mapping-partition",
        applies=lambda step: step.crosses("0.3"),
        find=mapped_files,
        what="column",
        message="{count} of added files would not be marked as no partition: reading the table ends the client",
        part="ducklake_name_mapping",
        mend=set_is_partition,
        dialects=("postgres",),
    ),
    KnownLoss(
        name="schema-versions-at-one-snapshot",
        applies=lambda step: step.crosses("0.4") and step.duckdb_version in _FIRST_1_5,
        find=schema_versions,
        what="schema version",
        message="DuckDB 1.5.0 and 1.5.1 let {count} begin where a table does: compaction reads files by the wrong"
        " columns",
        part="ducklake_schema_versions",
        mend=set_beginnings,
    ),
    KnownLoss(
        name="schema-version-holes",
        applies=lambda step: step.crosses("0.4"),
        find=expired_beginnings,
        what="table",
        message="{count} would have no schema version from the begin on: compaction crashes",
        part="ducklake_schema_versions",
        mend=fill_schema_versions,
    ),
    KnownLoss(
        name="schema-version-gaps",
        applies=lambda step: step.crosses("0.4"),
        find=unnamed_changes,
        what="change",
        message="{count} of columns would have no schema version: compaction reads files from before and after by the"
        " columns from before, and values are lost",
        part="ducklake_schema_versions",
        mend=name_changes,
        adds=versions_named,
        takes=versions_replaced,
    ),
    KnownLoss(
        name="inlined-versions",
        applies=lambda step: step.crosses("1.0"),
        find=unknown_versions,
        what="inlined table",
        message="{count} would have a schema version that is not known of its table: what the table has got since it"
        " was made would be NULL in its rows",
        mend=name_versions,
        adds=versions_named,
        takes=versions_replaced,
    ),
    KnownLoss(
        name="unknown-statistics",
        applies=lambda step: step.crosses("1.0"),
        find=unknown_statistics,
        what="column",
        message="{count} would keep statistics without minimum and maximum, which the new engine takes for no values"
        " at all: after the next insert, queries with a filter miss the older rows",
        mend=forget_statistics,
    ),
    KnownLoss(
        name="null-text-defaults",
        applies=lambda step: step.crosses("0.4"),
        find=null_as_text,
        what="column",
        message="{count} would lose the text NULL as the default: the new engine takes it for none",
        part="ducklake_column",
        mend=quote_null_as_text,
    ),
    KnownLoss(
        name="unreadable-defaults",
        applies=lambda step: step.crosses("0.4") and step.duckdb_version in _FIRST_1_5,
        find=all_columns,
        what="column",
        message="DuckDB 1.5.0 and 1.5.1 leave {count} without the type of a default: every read fails afterwards",
        part="ducklake_column",
        mend=set_default_types,
        unreadable=True,
    ),
)
_RULES = {rule.name: rule for rule in RULES}
