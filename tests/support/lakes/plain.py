"""The plain lake: a little of everything, quick to build, and nothing that an engine's migration loses.

So no compacted files, up to spec 0.3 no inlined rows, and no added file in 0.2: what migrations do to
those is known and tested with lakes of their own.
"""

from collections.abc import Iterator
from pathlib import Path

from support.engines.engines import Step
from support.engines.quoting import text_literal

__all__ = ["steps"]

_FIRST = """
    create schema lake.sales;
    create table lake.sales.orders (id bigint not null, customer varchar, amount decimal(9, 2), placed date);
    insert into lake.sales.orders
        select range, 'customer ' || range % 7, range * 1.25, date '2024-01-01' + range::int from range(200);
    delete from lake.sales.orders where id % 10 = 3;
    delete from lake.sales.orders where id = 7;
    alter table lake.sales.orders add column note varchar default 'it''s new';
    insert into lake.sales.orders select range, 'late', 9.99, '2024-12-31', null from range(200, 230);
"""
_NAMES = """
    create schema lake."Odd ""Name"" it's";
    create table lake."Odd ""Name"" it's"."Mixed ""Case"" it's"
        ("Key" integer, "it's" varchar, "say ""hi"" twice" double);
    insert into lake."Odd ""Name"" it's"."Mixed ""Case"" it's"
        select range, 'it''s ' || range, range / 3 from range(30);
"""
_WORDS = """
    create view lake.sales.large as select id, amount from lake.sales.orders where amount > 100;
    comment on table lake.sales.orders is 'it''s a comment
of two lines';
    comment on column lake.sales.orders.amount is 'in euro';
    comment on view lake.sales.large is 'the large ones';
    call lake.set_option('parquet_compression', 'zstd');
"""
_PARTITIONS = """
    create table lake.visits (day date, path varchar);
    alter table lake.visits set partitioned by (month(day));
    insert into lake.visits select date '2024-01-05' + 11 * range::int, '/' || range from range(12);
"""
_TRANSACTION = """
    begin;
    insert into lake.visits select date '2024-06-01' + range::int, '/june' from range(15);
    create table lake.sales.customers as select range as id, 'name ' || range as name from range(20);
    commit;
"""
_ADDED = """
    copy (select range::bigint as id, 'added ' || range as name from range(20)) to {file};
    create table lake.added (id bigint, name varchar);
    call ducklake_add_data_files('lake', 'added', {file});
"""
_INLINED = "insert into lake.sales.customers values (100, 'it''s small'), (101, null)"
_DROP = """
    create table lake.gone as select 1 as one from range(20);
    drop table lake.gone;
"""


def steps(spec: str, data_path: Path) -> Iterator[Step]:
    """Yield the steps that build it with the engine of that spec version."""
    yield Step("orders", _FIRST)
    yield Step("names", _NAMES)
    yield Step("views, comments, options", _WORDS)
    yield Step("partitions", _PARTITIONS)
    yield Step("two tables at once", _TRANSACTION)
    if spec > "0.2":
        yield Step("added file", _ADDED.format(file=text_literal(str(data_path / "added.parquet"))))
    if spec > "0.3":
        yield Step("inlined rows", _INLINED)
    yield Step("drop", _DROP)
