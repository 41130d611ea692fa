"""
Run dlbackup and what people would use instead, in turn, on one catalog, and print ratios of medians.

    python benchmarks/side_by_side.py DATABASE FOLDER [--runs 5] [--jobs dump,restore,verify,...] [--json FILE]

Jobs: dump, base (the next backups), restore, verify, check, migrate, start, own (dump, verify and restore without
most peers), many (dump and restore of a catalog of thousands of tables), files-dump, files-verify, files-restore,
files-replace, files-across (restores to other kinds) and files-copy (of the lakes that `benchmarks/files.py` made in
files beside DATABASE; the first makes the backups), stores-dump, stores-verify, stores-restore and stores-cat (in a
folder and at the URL in STORE, which the cloud's own variables let in to, with and without age; the first makes what
the others read).
libpq's environment says where the server is; DATABASE was made by `benchmarks/catalog.py`, and the scratch
databases `<DATABASE>_restored` and `<DATABASE>_migrated` are made and dropped here. pg_dump, psql, pg_restore
and zstd must be on PATH, and pg_dump must not be older than the server.
"""

import argparse
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import permutations
from pathlib import Path

from dlbackup.stores.age.x25519 import SecretKey


@dataclass
class Contender:
    """One command: how it is prepared, how often it runs at most, and what its runs took."""

    name: str
    command: str
    prepare: Callable[[], None] = lambda: None
    most: int = 100
    seconds: list[float] = field(default_factory=list)
    peak_mib: float = 0.0

    def run(self) -> None:
        """Run once; the largest process of the command counts for memory, and nobody pays for writes of another."""
        self.prepare()
        os.sync()
        begun = time.monotonic()
        child = subprocess.Popen(["/bin/sh", "-c", self.command], stdout=subprocess.DEVNULL, env=_as_users_have())
        _, status, usage = os.wait4(child.pid, 0)
        self.seconds.append(time.monotonic() - begun)
        self.peak_mib = max(self.peak_mib, usage.ru_maxrss / 1024)
        if status:
            raise SystemExit(f"{self.name} failed: {self.command}")

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.seconds)


def _as_users_have() -> dict[str, str]:
    """Return an environment in which Python keeps what it compiles: each command would compile dlbackup, for 0.2 s."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def psql(database: str, sql: str) -> None:
    subprocess.run(["psql", "-qX", "-d", database, "-c", sql], check=True, stdout=subprocess.DEVNULL)


def dump_contenders(database: str, folder: Path) -> Iterator[Contender]:
    out = folder / "ours.sql.zst"
    yield Contender(
        "dlbackup dump",
        f"{sys.executable} -m dlbackup dump -q postgres:dbname={database} -o {out}",
        lambda: out.unlink(missing_ok=True),
    )
    yield Contender("pg_dump | zstd -3", f"pg_dump {database} | zstd -q -3 -f -o {folder}/copy.sql.zst")
    yield Contender(
        "pg_dump --rows-per-insert=1000 | zstd -3",
        f"pg_dump --rows-per-insert=1000 {database} | zstd -q -3 -f -o {folder}/insert.sql.zst",
    )
    yield Contender("pg_dump -Fc", f"pg_dump -Fc {database} -f {folder}/custom.dump")


def base_contenders(database: str, folder: Path) -> Iterator[Contender]:
    """The next backup: with nothing changed, one row in a hundred appended, all rows updated; and a first one."""
    base, out, changed = folder / "base.sql.zst", folder / "next.sql.zst", f"{database}_changed"
    dump = f"{sys.executable} -m dlbackup dump -q"
    statistics = "ducklake_file_column_stats"
    appended = f"insert into {statistics} select * from {statistics} where data_file_id % 100 = 0"

    def fresh(name: str, *changes: str) -> Callable[[], None]:
        def prepare() -> None:
            psql("postgres", f"drop database if exists {changed}")
            psql("postgres", f"create database {changed} template {database}")
            psql(changed, f"vacuum freeze {statistics}")
            for path in (base, out):
                path.unlink(missing_ok=True)
            subprocess.run(["/bin/sh", "-c", f"{dump} postgres:dbname={name} -o {base}"], check=True)
            for change in changes:
                psql(changed, change)

        return prepare

    with_base = f"{dump} postgres:dbname={changed} -o {out} --base {base}"
    yield Contender("dlbackup dump --base, nothing changed", with_base, fresh(changed))
    yield Contender("dlbackup dump --base, 1 % appended", with_base, fresh(changed, appended))
    yield Contender(
        "dlbackup dump --base, all changed", with_base, fresh(changed, f"update {statistics} set null_count = 1")
    )
    yield from list(dump_contenders(database, folder))[:2]
    yield Contender(
        "dlbackup info --since",
        f"{sys.executable} -m dlbackup info postgres:dbname={changed} --since {base}",
        fresh(changed),
    )


def restore_contenders(database: str, folder: Path) -> Iterator[Contender]:
    target = f"{database}_restored"

    def fresh() -> None:
        psql("postgres", f"drop database if exists {target}")
        psql("postgres", f"create database {target}")

    ours = f"{sys.executable} -m dlbackup restore -q {folder}/ours.sql.zst postgres:dbname={target}"
    yield Contender("dlbackup restore", ours, fresh)
    yield Contender("dlbackup restore --no-read-back", f"{ours} --no-read-back", fresh)
    psql_one = f"psql -qX -1 -v ON_ERROR_STOP=1 -d {target}"
    yield Contender("zstd | psql -1, COPY dump", f"zstd -dcq {folder}/copy.sql.zst | {psql_one}", fresh)
    yield Contender("pg_restore -j2", f"pg_restore -j2 -d {target} {folder}/custom.dump", fresh)
    yield Contender("zstd | psql -1, INSERT dump", f"zstd -dcq {folder}/insert.sql.zst | {psql_one}", fresh)
    replay = f"zstd -dcq {folder}/ours.sql.zst | psql -qX -d {target}"
    yield Contender("zstd | psql of our own backup", replay, fresh, 1)


def verify_contenders(_: str, folder: Path) -> Iterator[Contender]:
    yield Contender("dlbackup verify", f"{sys.executable} -m dlbackup verify -q {folder}/ours.sql.zst")
    yield Contender("zstd -t", f"zstd -tq {folder}/ours.sql.zst")


def check_contenders(database: str, folder: Path) -> Iterator[Contender]:
    ours, backup = f"{sys.executable} -m dlbackup", folder / "ours.sql.zst"
    yield from list(dump_contenders(database, folder))[:1]
    yield Contender("dlbackup check, of the catalog", f"{ours} check -q postgres:dbname={database}")
    yield Contender("dlbackup check, of the backup", f"{ours} check -q {backup}")
    yield Contender("dlbackup verify --rehearse", f"{ours} verify -q {backup} --rehearse postgres:dbname={database}")


def migrate_contenders(database: str, folder: Path) -> Iterator[Contender]:
    target, backups = f"{database}_migrated", folder / "backups"

    def fresh() -> None:
        psql("postgres", f"drop database if exists {target}")
        psql("postgres", f"create database {target} template {database}")
        shutil.rmtree(backups, ignore_errors=True)
        backups.mkdir()

    ours = f"{sys.executable} -m dlbackup migrate -q postgres:dbname={target} --backup-dir {backups}"
    yield Contender("dlbackup migrate", ours, fresh)
    yield Contender("dlbackup migrate --no-rehearsal", f"{ours} --no-rehearsal", fresh)
    attach = f"ATTACH 'ducklake:postgres:dbname={target}' AS lake (AUTOMATIC_MIGRATION TRUE)"
    code = (
        "import duckdb; from dlbackup.engine.child import load; c = duckdb.connect();"
        f' [load(c, name) for name in ("ducklake", "postgres")]; c.execute("{attach}")'
    )
    yield Contender("bare ATTACH with migration", f"{sys.executable} -c {shlex.quote(code)}", fresh)
    yield from list(dump_contenders(database, folder))[:1]
    yield from list(restore_contenders(database, folder))[:1]


def start_contenders(database: str, folder: Path) -> Iterator[Contender]:
    ours = f"{sys.executable} -m dlbackup"
    yield Contender("dlbackup --help", f"{ours} --help")
    yield Contender("dlbackup info, of the catalog", f"{ours} info postgres:dbname={database}")
    yield Contender("dlbackup info, of the backup", f"{ours} info {folder}/ours.sql.zst")
    for table in ("ducklake_table", "ducklake_data_file"):
        yield Contender(f"dlbackup cat BACKUP {table}", f"{ours} cat {folder}/ours.sql.zst {table}")


def own_contenders(database: str, folder: Path) -> Iterator[Contender]:
    yield from list(dump_contenders(database, folder))[:2]
    yield from list(verify_contenders(database, folder))[:1]
    yield from list(restore_contenders(database, folder))[:3]


def many_contenders(database: str, folder: Path) -> Iterator[Contender]:
    """Thousands of tables: more than one transaction of `psql -1` can hold the locks of."""
    ours, pg_dump, _, custom = dump_contenders(database, folder)
    yield from (ours, pg_dump, custom)
    restores = list(restore_contenders(database, folder))
    each = f"zstd -dcq {folder}/copy.sql.zst | psql -qX -v ON_ERROR_STOP=1 -d {database}_restored"
    yield from restores[:2]
    yield Contender("zstd | psql, each statement a transaction", each, restores[0].prepare)
    yield from (it for it in restores if it.name == "pg_restore -j2")


def _places(database: str, folder: Path) -> dict[str, tuple[str, Path, str]]:
    """Return for each backend the lake that `files.py` made, its backup, and where that is restored."""
    return {
        "PostgreSQL": (f"postgres:dbname={database}", folder / "p.sql.zst", f"postgres:dbname={database}_restored"),
        "DuckDB file": (f"{folder}/lake.ducklake", folder / "d.sql.zst", f"{folder}/new.ducklake"),
        "SQLite file": (f"{folder}/lake.sqlite", folder / "s.sql.zst", f"{folder}/new.sqlite"),
    }


def _cleared(database: str, *paths: Path | str) -> Callable[[], None]:
    def clear() -> None:
        psql("postgres", f"drop database if exists {database}_restored")
        psql("postgres", f"create database {database}_restored")
        for path in paths:
            Path(path).unlink(missing_ok=True)

    return clear


def files_dump_contenders(database: str, folder: Path) -> Iterator[Contender]:
    for name, (place, backup, _) in _places(database, folder).items():
        command = f"{sys.executable} -m dlbackup dump -q {place} -o {backup}"
        yield Contender(f"dump: {name}", command, _cleared(database, backup))


def files_verify_contenders(database: str, folder: Path) -> Iterator[Contender]:
    for name, (_, backup, _) in _places(database, folder).items():
        yield Contender(f"verify: {name}", f"{sys.executable} -m dlbackup verify -q {backup}")


def files_restore_contenders(database: str, folder: Path) -> Iterator[Contender]:
    for name, (_, backup, target) in _places(database, folder).items():
        command = f"{sys.executable} -m dlbackup restore -q {backup} {target}"
        yield Contender(f"restore: {name}", command, _cleared(database, target))


def files_replace_contenders(database: str, folder: Path) -> Iterator[Contender]:
    """Over the catalog that is there: of a SQLite file into the file itself, so that its clients see it."""
    for name, (place, backup, target) in _places(database, folder).items():
        command = f"{sys.executable} -m dlbackup restore -q {backup} {target} --replace --drop-replaced"
        yield Contender(f"restore --replace: {name}", command, partial(_filled, database, place, target))


def _filled(database: str, place: str, target: str) -> None:
    """Have the catalog of a place at a target, as its own backend copies it."""
    if place.startswith("postgres:"):
        psql("postgres", f"drop database if exists {database}_restored")
        psql("postgres", f"create database {database}_restored template {database}")
    else:
        shutil.copyfile(place, target)


def files_across_contenders(database: str, folder: Path) -> Iterator[Contender]:
    """Restores to the other kinds, which an engine reads beside the backup before anything is published."""
    return _across(database, folder, "restore")


def files_copy_contenders(database: str, folder: Path) -> Iterator[Contender]:
    return _across(database, folder, "copy")


def _across(database: str, folder: Path, verb: str) -> Iterator[Contender]:
    for source, to in permutations(_places(database, folder).items(), 2):
        (name, (place, backup, _)), (other, (_, _, target)) = source, to
        command = f"{sys.executable} -m dlbackup {verb} -q {place if verb == 'copy' else backup} {target}"
        yield Contender(f"{verb}: {name} to {other}", command, _cleared(database, target))


def _stores(folder: Path) -> dict[str, tuple[str, str, str]]:
    """Return for each kind of store its place, how a dump writes there, and how it is read."""
    key = folder / "key.txt"
    if not key.exists():
        key.write_text(SecretKey.generate().text())
    to, opens = f"--encrypt-to {SecretKey.parse(key.read_text()).public}", f"--identity {key}"
    url = os.environ["STORE"]
    return {
        "folder": (f"{folder}/plain", "", ""),
        "folder, age": (f"{folder}/age", to, opens),
        "object storage": (f"{url}/plain", "", ""),
        "object storage, age": (f"{url}/age", to, opens),
    }


def stores_dump_contenders(database: str, folder: Path) -> Iterator[Contender]:
    """Read back, proved and recorded, as every dump into a store is."""
    for name, (place, to, _) in _stores(folder).items():
        yield Contender(
            f"dump: {name}", f"{sys.executable} -m dlbackup dump -q postgres:dbname={database} -o {place}/ {to}"
        )


def _newest(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield for each kind of store what a command needs to read its newest backup."""
    for name, (place, _, opens) in _stores(folder).items():
        listed = [sys.executable, "-m", "dlbackup", "list", place, "--json"]
        said = json.loads(subprocess.run(listed, check=True, stdout=subprocess.PIPE).stdout)
        yield name, f"{opens} {place}/{said['backups'][0]['name']}"


def stores_verify_contenders(_: str, folder: Path) -> Iterator[Contender]:
    for name, backup in _newest(folder):
        yield Contender(f"verify: {name}", f"{sys.executable} -m dlbackup verify -q {backup}")


def stores_restore_contenders(database: str, folder: Path) -> Iterator[Contender]:
    for name, backup in _newest(folder):
        command = f"{sys.executable} -m dlbackup restore -q {backup} postgres:dbname={database}_restored"
        yield Contender(f"restore: {name}", command, _cleared(database))


def stores_cat_contenders(_: str, folder: Path) -> Iterator[Contender]:
    for name, backup in _newest(folder):
        yield Contender(f"cat: {name}", f"{sys.executable} -m dlbackup cat {backup} ducklake_table")


JOBS = {
    "dump": dump_contenders,
    "base": base_contenders,
    "restore": restore_contenders,
    "verify": verify_contenders,
    "check": check_contenders,
    "migrate": migrate_contenders,
    "start": start_contenders,
    "own": own_contenders,
    "many": many_contenders,
    "files-dump": files_dump_contenders,
    "files-verify": files_verify_contenders,
    "files-restore": files_restore_contenders,
    "files-replace": files_replace_contenders,
    "files-across": files_across_contenders,
    "files-copy": files_copy_contenders,
    "stores-dump": stores_dump_contenders,
    "stores-verify": stores_verify_contenders,
    "stores-restore": stores_restore_contenders,
    "stores-cat": stores_cat_contenders,
}


def report(job: str, contenders: list[Contender]) -> None:
    print(f"\n### {job}\n\n| command | median s | min-max s | ours / this | peak MiB |\n|---|---|---|---|---|")
    ours = contenders[0].median
    for it in contenders:
        spread = f"{min(it.seconds):.2f}-{max(it.seconds):.2f}"
        print(f"| `{it.name}` | {it.median:.2f} | {spread} | {ours / it.median:.2f} | {it.peak_mib:.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("database")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--jobs", default="dump,restore,verify")
    parser.add_argument("--json", type=Path, help="where the figures of each run go")
    options = parser.parse_args()
    figures = {}
    for job in options.jobs.split(","):
        contenders = list(JOBS[job](options.database, options.folder))
        for number in range(options.runs):
            for contender in contenders:
                if number < contender.most:
                    contender.run()
        report(job, contenders)
        figures[job] = [
            {"name": it.name, "seconds": [round(s, 3) for s in it.seconds], "peak_mib": round(it.peak_mib)}
            for it in contenders
        ]
        if options.json:
            options.json.write_text(json.dumps(figures, indent=1) + "\n")
        sys.stdout.flush()
    ours, theirs = options.folder / "ours.sql.zst", options.folder / "copy.sql.zst"
    if "dump" in options.jobs.split(","):
        ratio = ours.stat().st_size / theirs.stat().st_size
        print(f"\nfile size: {ratio:.3f} x that of `pg_dump | zstd -3`")


if __name__ == "__main__":
    main()
