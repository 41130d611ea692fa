"""
Makes the demo's lake again: in the folder `tests`, `python -m support.lakes.make_demo_lake`.

The engine of spec 0.3 writes the catalog, on the demo's own PostgreSQL, and the data files; `dlbackup dump`
backs the catalog up. The rows are always the same; snapshot times, UUIDs and so file names are not.
"""

import contextlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from dlbackup.servers.embedded import Server, embedded_server
from support.engines.engines import engine_of

LAKE = Path(__file__).parents[3] / "dlbackup" / "demo" / "lake"
SPEC_VERSION = "0.3"

# One snapshot each, from 1 on. No compaction and no inlined rows, so the migration to 1.0 needs no mends.
SNAPSHOTS = {
    "open the shop": """
        CREATE SCHEMA lake.shop;
        CREATE SCHEMA lake.stock;
        CREATE TABLE lake.stock.products (product_id INTEGER NOT NULL, name VARCHAR, price DECIMAL(8, 2),
            tags VARCHAR[]);
        CREATE TABLE lake.shop.customers (customer_id INTEGER NOT NULL, name VARCHAR, country VARCHAR,
            since DATE);
        CREATE TABLE lake.shop.orders (order_id BIGINT NOT NULL, customer_id INTEGER, product_id INTEGER,
            quantity SMALLINT, ordered_at TIMESTAMP)""",
    "first products": """
        INSERT INTO lake.stock.products
        SELECT i, ['Lamp', 'Chair', 'Desk', 'Shelf'][i % 4 + 1] || ' No. ' || i, 9.90 + 7 * (i % 11),
            CASE WHEN i % 3 = 0 THEN ['new', 'oak'] ELSE ['oak'] END
        FROM range(1, 25) r(i)""",
    "first customers": """
        INSERT INTO lake.shop.customers
        SELECT i, ['Ada', 'Björn', 'Chloé', 'Daan', 'O''Hara'][i % 5 + 1] || ' ' || i,
            ['AT', 'DK', 'FR', 'NL', 'IE', NULL][i % 6 + 1], DATE '2025-11-03' + i::INTEGER
        FROM range(1, 61) r(i)""",
    "orders of January": """
        INSERT INTO lake.shop.orders
        SELECT i, 1 + i * 7 % 60, 1 + i * 5 % 24, 1 + i % 3,
            TIMESTAMP '2026-01-01 08:00' + to_minutes(i * 108)
        FROM range(1, 401) r(i)""",
    "orders of February": """
        INSERT INTO lake.shop.orders
        SELECT i, 1 + i * 11 % 60, 1 + i * 5 % 24, 1 + i % 4,
            TIMESTAMP '2026-02-01 08:00' + to_minutes((i - 400) * 98)
        FROM range(401, 801) r(i)""",
    "cancelled orders": "DELETE FROM lake.shop.orders WHERE order_id % 50 = 0",
    "orders know their channel": "ALTER TABLE lake.shop.orders ADD COLUMN channel VARCHAR DEFAULT 'web'",
    "orders of March": """
        INSERT INTO lake.shop.orders
        SELECT i, 1 + i * 13 % 60, 1 + i * 5 % 24, 1 + i % 2,
            TIMESTAMP '2026-03-01 08:00' + to_minutes((i - 800) * 108),
            CASE WHEN i % 3 = 0 THEN 'app' ELSE 'web' END
        FROM range(801, 1201) r(i)""",
    "revenue by month": """
        CREATE VIEW lake.shop.revenue AS
        SELECT strftime(ordered_at, '%Y-%m') AS month, count(*) AS orders, sum(quantity * price) AS revenue
        FROM lake.shop.orders JOIN lake.stock.products USING (product_id) GROUP BY ALL""",
    "chairs cost more": "UPDATE lake.stock.products SET price = price + 5 WHERE name LIKE 'Chair%'",
}


def write_lake(server: Server, folder: Path) -> None:
    """Have the old engine write catalog and data files."""
    statements = []
    for message, sql in SNAPSHOTS.items():
        note = f"CALL lake.set_commit_message('demo', '{message}')"
        statements += ["BEGIN", *sql.split(";"), note, "COMMIT"]
    login = f"user={server.user} password={server.password}"
    address = f"postgres:host={server.host} port={server.port} {login} dbname=demo"
    # In the lake's folder with a relative data path, so that no path of this machine gets into the catalog.
    with contextlib.chdir(folder):
        engine_of(SPEC_VERSION).run(address, None, statements, data_path="files")


def dump_catalog(server: Server, folder: Path) -> None:
    """Back the catalog up into the lake's folder, readable for everybody: it holds no keys."""
    command = [sys.executable, "-m", "dlbackup", "dump", "postgres:dbname=demo", "-o", f"{folder}/"]
    subprocess.run(command, env=server.environment(), check=True)
    (backup,) = folder.glob(f"ducklake-demo-*-v{SPEC_VERSION}.sql.zst")
    backup.chmod(0o644)


def main() -> None:
    """Replace the shipped lake, once the new one is complete."""
    with tempfile.TemporaryDirectory(prefix="dlbackup-demo-lake-") as name:
        new_lake = Path(name) / "lake"
        new_lake.mkdir()
        with embedded_server(Path(name), user="demo", extra="demo") as server:
            server.create_database("demo")
            write_lake(server, new_lake)
            dump_catalog(server, new_lake)
        shutil.rmtree(LAKE, ignore_errors=True)
        shutil.copytree(new_lake, LAKE)


if __name__ == "__main__":
    main()
