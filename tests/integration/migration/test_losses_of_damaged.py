"""What is looked for before a migration is looked for in damaged catalogs too; none ends in an error called a bug."""

from contextlib import suppress

import psycopg
import pytest
from support.lakes.lakes import LakeFactory
from support.rules.patients import patient_in

from dlbackup.catalogs.postgres.snapshot import PostgresSnapshot
from dlbackup.lake.spec import load
from dlbackup.migration.losses.known import known_losses
from dlbackup.migration.steps import Step


@pytest.mark.parametrize(
    ("spec", "value", "of_type"),
    [
        ("0.3", "null", ""),
        *(pytest.param(spec, "null", "", marks=pytest.mark.long) for spec in ("0.2", "0.4")),
        ("0.3", "-1", "bigint"),
        pytest.param("0.3", "''", "character varying", marks=pytest.mark.long),
    ],
)
def test_losses_are_found_whatever_a_column_says(lake: LakeFactory, spec: str, value: str, of_type: str) -> None:
    """Each column of the catalog by itself has no value, or none that an engine writes."""
    step, tried = Step(spec, "1.0", "1.5.5", staged=spec == "0.2"), 0
    columns = [
        (table.name, column.name)
        for table in load(spec).values()
        for column in table.columns
        if column.type.startswith(of_type)
        and table.name != "ducklake_metadata"  # without a version nothing is looked for
    ]
    with patient_in(lake("zoo", spec).url, spec) as patient:
        for table, column in columns:
            with patient.session.transaction(force_rollback=True):
                with suppress(psycopg.errors.InvalidTableDefinition), patient.session.transaction():  # a primary key
                    patient.apply(f"alter table {table} alter {column} drop not null")
                with (
                    suppress(psycopg.errors.NotNullViolation, psycopg.errors.UniqueViolation),
                    patient.session.transaction(),
                ):
                    patient.apply(f"update {table} set {column} = {value}")
                found = known_losses(PostgresSnapshot.begin(patient.session, "public"), step, unreadable=False)
                assert all(loss.rows for loss in found), (table, column)
                tried += 1
    assert tried > 20
