"""Values of megabytes, as an engine inlines them: such a row is dumped, checked, restored and moved like any other."""

from pathlib import Path

import duckdb
import pytest
from support.engines.engines import engine, with_sqlite
from support.files import is_healthy

import dlbackup
from dlbackup.addresses.address import Address
from dlbackup.catalogs.contract import Access
from dlbackup.catalogs.duckdb.process import FileProcess

_LONG = "(select string_agg(md5(range::varchar), '') from range({count}))"
_MADE = (
    "create table lake.long (i integer, s varchar, b blob, l varchar[])",
    f"insert into lake.long values (1, {_LONG.format(count=200_000)}, null, null)",
    f"insert into lake.long values (2, null, encode({_LONG.format(count=100_000)}), null)",
    f"insert into lake.long values (3, 'it''s', null, [{_LONG.format(count=60_000)}, null])",
    "create table lake.many (i integer, s varchar)",
    *(
        f"insert into lake.many select i, repeat(md5(i::varchar), 12_000) from range({first}, {first + 10}) r(i)"
        for first in (0, 10, 20)
    ),
)
_READ = (
    "select i, md5(s), md5(b), md5(l::varchar), length(s) from lake.long order by i",
    "select count(*), sum(length(s)), md5(string_agg(md5(s), '' order by i)) from lake.many",
)


def test_long_values_go_everywhere(database: str, tmp_path: Path) -> None:
    """From a DuckDB file to each kind and back: engines read the same, and each catalog is healthy."""
    path, data = tmp_path / "lake.ducklake", tmp_path / "data"
    options = {"DATA_INLINING_ROW_LIMIT": 20}
    reads = engine("1.5.5")
    reads.run(str(path), "main", _MADE, data_path=data, options=options)
    expected = reads.run(str(path), "main", _READ)
    assert expected[0][0][-1] == 6_400_000
    in_sqlite, again = f"sqlite:{tmp_path}/lake.sqlite", tmp_path / "again.ducklake"

    first = dlbackup.dump(path, tmp_path / "first.sql.zst")
    dlbackup.restore(first, f"duckdb:{tmp_path}/restored.ducklake")
    dlbackup.restore(first, database)
    dlbackup.copy(database, in_sqlite)
    dlbackup.copy(in_sqlite, f"duckdb:{again}")

    assert reads.run(str(tmp_path / "restored.ducklake"), "main", _READ) == expected
    assert reads.run(database, "public", _READ) == expected
    assert with_sqlite(reads).run(in_sqlite, "main", _READ) == expected
    assert reads.run(str(again), "main", _READ) == expected
    for catalog in (str(path), database, in_sqlite, str(first.path)):
        assert is_healthy(dlbackup.check(catalog))
    last = dlbackup.dump(again, tmp_path / "last.sql.zst")
    assert last.fingerprint == first.fingerprint


@pytest.mark.parametrize("first", [0, 400_000])
def test_rows_before_long_ones_come_once(first: int, tmp_path: Path) -> None:
    """Memory ends at once, or after many rows of the table have been given: the others follow them."""
    path, last = tmp_path / "rows.duckdb", first + 20
    text = f"case when i < {first} then 'row' else repeat(md5(i::varchar), 125_000) end"
    with duckdb.connect(str(path)) as file:
        file.execute(f"create table many (i, s) as select i, {text} from range({last}) r(i)")
    found = []
    with FileProcess(Address("duckdb", path=str(path)), Access()) as process:
        process.open()
        for texts in process.texts("select concat(i, ' ', s) from catalog_file.main.many"):
            found += [(int(text.partition(b" ")[0]), len(text) > 100) for text in texts]
    assert found == [(number, number >= first) for number in range(last)]
