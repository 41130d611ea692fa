"""
Has a table still the rows that an earlier snapshot saw? PostgreSQL can prove it without sending one.

Let X be the oldest transaction that was still running when the earlier snapshot was taken. A row that is visible now
and was inserted by an older one was visible then: that transaction had been committed, and a row that somebody deleted
does not come back. So where every row is older than X, and there are as many as then, it is the same set of rows, if
they are rows of the same table and of no other that inherits from it, in the same database, which must be older too;
and rows stay on their pages as long as the table keeps its file. What can come out wrong is only that rows count as new
which are not: those of transactions that were committed beside older ones, and frozen ones after a wraparound.

Ages are compared, since the numbers in rows have 32 bits; both are counted from the same transaction. What the numbers
rest on is that no transaction is ever given a number twice: the server must have run without a break since then. One
that was restored to an earlier point of its history, or lost commits in a crash that were not on disk yet, hands out
the same numbers again, and nothing in the numbers shows it; but it was started at another time, or counts its
statistics anew, as every server does after a crash. (Not where a running machine was set back with its memory.)
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import NamedTuple

import psycopg

from dlbackup.backupfile.origin import Moment, Origin, parted
from dlbackup.catalogs.contract import Change, Claim
from dlbackup.catalogs.postgres.bulk.copy_out import on_pages
from dlbackup.catalogs.postgres.sessions import Session, named, one, system_identifier
from dlbackup.tables.definition import Table
from dlbackup.tables.quoting import qualified, quote_literal

_NOW = """
select ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int as timeline,
       (pg_current_wal_insert_lsn() - '0/0')::bigint as position,
       to_char(pg_postmaster_start_time() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as started,
       coalesce(to_char(pg_stat_get_bgwriter_stat_reset_time() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '')
         as counts_from,
       (select oid from pg_database where datname = current_database())::bigint as database,
       pg_snapshot_xmin(pg_current_snapshot())::text::bigint as oldest,
       pg_snapshot_xmax(pg_current_snapshot())::text::bigint as newest
where not pg_is_in_recovery()
"""
_ATTRIBUTES = """
select c.oid::bigint as oid,
       (select string_agg(concat_ws(' ', attnum, atttypid, atttypmod, case when attisdropped then 'dropped' end,
                                    case when atthasmissing then md5(attmissingval::text) end), ';' order by attnum)
        from pg_attribute where attrelid = c.oid and attnum > 0) as attributes
from pg_class c
where c.oid = any(%s::oid[]) and c.relam = (select oid from pg_am where amname = 'heap') and not c.relhassubclass
"""
"""
What the columns of tables are, and were.

Only of those that keep their rows in the way that the proof goes by: in a heap, and in no other table that inherits.
"""
VIEW = "pg_current_snapshot()::text, pg_postmaster_start_time()::text, pg_is_in_recovery()"
"""What a query selects for the fields of a `View`."""
_COMMITTED_SINCE = """
with earlier as (select %(earlier)s::pg_snapshot as view),
later as (select transaction::text::xid8 as id
          from earlier, generate_series(pg_snapshot_xmax(view)::text::bigint,
                                        pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1) as transaction
          limit %(most)s + 1),
open_then as (select pg_snapshot_xip(view) as id from earlier)
select (select count(*) > %(most)s from later)
       or exists (select from (table later union all table open_then) as ended
                  where coalesce(pg_xact_status(id), '') not in ('aborted', 'in progress'))
"""
_MOST_TRANSACTIONS = 300_000
"""Of so many it is asked how they ended, which takes 0.2 s; the rules alone take 20 s of a large catalog meanwhile."""
_FURTHEST = 1 << 30
"""So many transactions later, ages of 32 bits are not relied on any more, which they could be for twice as many."""
_AT_ONCE = 100
"""Tables that are asked about in one query: their locks are held together."""
_UNSTEADY = frozenset({"money", "money[]"})
"""Types whose values another role may see as other texts (lc_monetary)."""


class _Now(NamedTuple):
    """The row of `_NOW`: none on a standby."""

    timeline: int
    position: int
    started: str
    counts_from: str
    database: int
    oldest: int
    newest: int


class View(NamedTuple):
    """
    What a snapshot sees: everything that was committed before `transactions`, which are as PostgreSQL writes them.

    Args:
        started: when the server was.
    """

    transactions: str
    started: str
    on_standby: bool


def nothing_committed(session: Session, earlier: View, present: View) -> bool:
    """
    Tell whether no transaction of the server was committed between an earlier view and the session's present one.

    Then no table can be another one, nor any row in it: VACUUM, which has no part in that, changes none that is seen.
    Told from how each ended that was open then or began since. What is open on a standby's primary, it doesn't list.
    """
    if earlier.on_standby or present.on_standby or present.started != earlier.started:
        return False
    try:
        asked = {"earlier": earlier.transactions, "most": _MOST_TRANSACTIONS}
        ((committed,),) = session.execute(_COMMITTED_SINCE.encode(), asked).fetchall()
    except psycopg.errors.InvalidParameterValue:  # a number of the future: the server is at an earlier moment
        session.execute("ROLLBACK TO SAVEPOINT dlbackup")
        return False
    return not committed


def moment_of(session: Session) -> Moment | None:
    """
    Return the moment of the session's snapshot; None where nothing could be proved from it later.

    That is on a standby, and where the server doesn't tell.
    """
    found = _present(session)
    return found[0] if found else None


def _present(session: Session) -> tuple[Moment, int] | None:
    """Return the moment of the session's snapshot, and the newest transaction that it knows."""
    try:
        rows = named(session, _Now, _NOW)
    except psycopg.Error:  # some services have no log of their own to tell of; a lost session is heard of soon enough
        session.execute("ROLLBACK TO SAVEPOINT dlbackup")
        return None
    for now in rows:
        moment = Moment(
            server=system_identifier(session),
            started=now.started,
            counts_from=now.counts_from,
            timeline=now.timeline,
            database=now.database,
            oldest=now.oldest,
            position=now.position,
        )
        return moment, now.newest
    return None


def origins_of(
    session: Session, tables: Sequence[Table], oids: Mapping[str, int], files: Mapping[str, int]
) -> dict[str, Origin]:
    """Return, by name, what tables are beyond their definitions; of those of which something can be proved later."""
    attributes: dict[int, str] = dict(session.execute(_ATTRIBUTES.encode(), [list(oids.values())]).fetchall())
    session.execute("ROLLBACK TO SAVEPOINT dlbackup")
    return {
        table.name: Origin(oid=oid, filenode=files[table.name], attributes=attributes[oid])
        for table in tables
        if (oid := oids[table.name]) in attributes and not any(column.type in _UNSTEADY for column in table.columns)
    }


def changes_since(
    session: Session, schema: str, present: Mapping[str, Origin], then: Moment, claims: Sequence[Claim]
) -> list[Change | None]:
    """See `Snapshot.since`. `present` are the origins as they are now."""
    found_now = _present(session)
    if found_now is None:
        return [None] * len(claims)
    now, newest = found_now
    if parted(then, now) or newest - then.oldest > _FURTHEST:
        return [None] * len(claims)
    found: list[Change | None] = [None] * len(claims)
    if _is_made_anew(session, then):
        return found
    fitting = [number for number, claim in enumerate(claims) if _fits(claim, present.get(claim.table.name))]
    for some in _batches(fitting):
        queries = (_question(schema, number, claims[number], then) for number in some)
        rows = session.execute(" union all ".join(queries).encode()).fetchall()
        session.execute("ROLLBACK TO SAVEPOINT dlbackup")
        for number, oid, filenode, count, young in rows:
            claim = claims[number]
            same_file = filenode == claim.origin.filenode or _may_be_written_anew(claim, present[claim.table.name])
            gone = claim.rows - (count - young)
            # More old rows than there were would be another history.
            if oid == claim.origin.oid and same_file and gone >= 0:
                found[number] = Change(added=young, removed=gone)
    return found


def _is_made_anew(session: Session, then: Moment) -> bool:
    """Tell whether the database may be younger than a moment: from PostgreSQL 15 on another may be given its number."""
    query = f"select {_is_young(then)} from pg_database where datname = current_database()"
    return bool(one(session, query)[0])


def _fits(claim: Claim, present: Origin | None) -> bool:
    """Tell whether a table is the same one, with columns that its rows read by as they did."""
    if present is None or present.oid != claim.origin.oid:
        return False
    if present.attributes == claim.origin.attributes:
        return True
    if claim.columns is not None:
        return _begins_alike(claim.columns, claim.origin.attributes.split(";"), present.attributes.split(";"))
    added = present.attributes.removeprefix(claim.origin.attributes + ";")
    return (
        claim.may_have_more_columns
        and added != present.attributes
        and all(_is_null_in_older_rows(attribute) for attribute in added.split(";"))
    )


def _may_be_written_anew(claim: Claim, present: Origin) -> bool:
    """
    Tell whether rows can stand in another file and say the same: where their pages don't count, nor columns came.

    What a column that came later gives to older rows is written into them then, and stands nowhere else any more.
    """
    return claim.pages is None and present.attributes == claim.origin.attributes


def _is_null_in_older_rows(attribute: str) -> bool:
    """Tell whether a column that came later has no value for older rows: number, type, modifier and no more."""
    return len(attribute.split(" ")) == 3


def _begins_alike(columns: int, then: Sequence[str], now: Sequence[str]) -> bool:
    """Tell whether that many columns are what they were, and others, which held NULL, are so, dropped, or hold NULL."""
    for before, after in zip_longest(then, now):
        if before != after:
            if columns > 0 or after is None:
                return False
            if not (_is_null_in_older_rows(after) if before is None else after.endswith(" dropped")):
                return False
        elif not before.endswith(" dropped"):
            columns -= 1
    return True


def _batches(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    for first in range(0, len(numbers), _AT_ONCE):
        yield numbers[first : first + _AT_ONCE]


def _question(schema: str, number: int, claim: Claim, then: Moment) -> str:
    table = qualified(schema, claim.table.name)
    return (
        f"select {number}, to_regclass({quote_literal(table)})::oid::bigint,"
        f" pg_relation_filenode({claim.origin.oid})::bigint, count(*),"
        f" count(*) filter (where {_is_young(then)}) from only {table}{on_pages(claim.pages)}"
    )


def _is_young(then: Moment) -> str:
    """Return the condition that a row of any table may have come after a moment."""
    return f"age(xmin) <= (select age('{then.oldest % (1 << 32)}'::xid))"
