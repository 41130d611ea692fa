"""What inlined values mean, whatever engine wrote their texts."""

from dlbackup.lake.canonical import canonical_of
from dlbackup.tables.definition import Column, Table


def test_long_numbers_take_no_longer_than_other_texts() -> None:
    """A text of a hundred thousand digits is read once, though it may begin like a time's year."""
    names = ("row_id", "begin_snapshot", "end_snapshot")
    columns = (*(Column(name=name, type="bigint") for name in names), Column(name="t", type="VARCHAR"))
    table = Table(name="ducklake_inlined_data_1_1", columns=columns)

    meant = canonical_of(table.name, table, set()).text(b"1,1,NULL,'%s'\n" % (b"7" * 100_000))

    assert meant is not None
    assert (b"7".hex() * 100_000).encode() in meant
