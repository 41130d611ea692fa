"""Names of dlbackup's own schemas."""

from dlbackup.catalogs.postgres.schemas import aside_name, own_name, whole

_ALIKE = [f"tenant_550e8400_e29b_41d4_a716_446655440000_of_the_north_sea_{n}" for n in "ab"]
"""Alike in their first 60 bytes."""


def test_schemas_of_tenants_with_names_alike_are_told_apart() -> None:
    """What is left of a schema's name in 63 bytes doesn't decide whose a schema of ours is."""
    one, two = (own_name("rehearsal", schema).split("_")[3] for schema in _ALIKE)

    assert one != two
    assert whole(_ALIKE[0]) != whole(_ALIKE[1])


def test_names_fit_into_63_bytes() -> None:
    """PostgreSQL cuts nothing off, also where a cut falls into a character."""
    for schema in (*_ALIKE, "ü" * 31, "x", "a b"):
        for name in (own_name("restoring", schema), own_name("rehearsal", schema), aside_name(schema)):
            assert len(name.encode()) <= 63
