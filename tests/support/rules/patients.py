"""Lakes on an open session, to be damaged and checked in transactions that are rolled back."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from dlbackup.catalogs.postgres.snapshot import PostgresSnapshot
from dlbackup.health.checkup import Check, check_snapshot, findings_of
from dlbackup.health.rules import RULES
from dlbackup.lake.findings import Finding

__all__ = ["Patient", "counts", "patient_in"]

_ASKED = {rule.name for rule in RULES}


def counts(found: Check) -> dict[str, int]:
    """Return how often each rule is broken."""
    return {finding.rule: max(finding.count, 1) for finding in found.findings}


@dataclass(frozen=True, slots=True)
class Patient:
    """
    A lake on an open session.

    Args:
        before: what `check` counts before any damage.
        names: what the words of damages that differ between lakes stand for.
    """

    session: "psycopg.Connection[tuple[Any, ...]]"
    before: dict[str, int]
    names: dict[str, str]
    schema: str = "public"

    def apply(self, statements: str) -> bool:
        """Execute SQL on the lake's schema; tell whether it changed anything."""
        self.session.execute("select set_config('search_path', %s, true)", [self.schema])
        done = self.session.execute(statements.encode())
        changes = [(done.statusmessage, done.rowcount)]
        while done.nextset():
            changes.append((done.statusmessage, done.rowcount))
        self.session.execute("set local search_path = ''")
        rows = [count for word, count in changes if word and word.startswith(("INSERT", "UPDATE", "DELETE"))]
        return any(rows) or not rows

    def check(self) -> Check:
        """Check the lake as it is in this transaction."""
        return check_snapshot(PostgresSnapshot.begin(self.session, self.schema))

    def findings(self, rule: str) -> list[Finding]:
        """Check the lake by one rule; by all where it is one of those that compare tables with the spec version."""
        if rule not in _ASKED:
            return [finding for finding in self.check().findings if finding.rule == rule]
        snapshot = PostgresSnapshot.begin(self.session, self.schema)
        with snapshot.answers() as content:
            return findings_of(content, snapshot.head.spec_version, lambda asked: asked.name == rule)


@contextmanager
def patient_in(url: str, spec: str, schema: str = "public") -> Iterator[Patient]:
    """Open a session of its own on the lake in a schema."""
    # As in sessions of our own: compiling the rules' queries takes seconds on a server that can.
    with psycopg.connect(url, autocommit=True, options="-c jit=off") as session:
        with session.transaction():
            session.execute("select set_config('search_path', %s, true)", [schema])
            inlined = session.execute(
                "select i.table_name from ducklake_inlined_data_tables i join ducklake_table t using (table_id)"
                " where t.end_snapshot is null order by 1 desc"
            ).fetchall()
            rows = next(
                (
                    name
                    for (name,) in inlined
                    if session.execute(f'select from "{name}" where end_snapshot is null'.encode()).rowcount
                ),
                "no_table",
            )
            (deletes,) = session.execute(
                "select min(relname) from pg_class where relname ~ '^ducklake_inlined_delete_'"
                " and relnamespace = %s::regnamespace",
                [schema],
            ).fetchall()
        stats = "ducklake_file_column_" + ("statistics" if spec == "0.2" else "stats")
        names = {":rows": rows, ":deletes": deletes[0] or "no_table", ":stats": stats}
        patient = Patient(session, {}, names, schema)
        with session.transaction(force_rollback=True):
            patient.before.update(counts(patient.check()))
        yield patient
