"""
The options of the command line: which commands there are, what each takes, and what `--help` says of it.

Nothing is done here; wrong usage is an error like any other.
"""

import argparse
import sys
from datetime import timedelta
from typing import NoReturn, get_args

from dlbackup.backupfile.frames import LEVEL
from dlbackup.cli.shared_options import (
    ADDRESS,
    BACKUP,
    Commands,
    catalog_options,
    command,
    data_files_option,
    encryption_options,
    file_options,
    identity_options,
    jobs_option,
    migrate_options,
    output_options,
    rate_option,
    restore_options,
    schema_option,
    secrets_option,
    store_argument,
    told_options,
)
from dlbackup.cli.usage import Parser, duration, moment, seconds, whole
from dlbackup.tables.formats import Format

_EXIT_CODES = """\
exit codes:
  0  done
  1  failed; nothing was changed
  2  wrong usage
  3  a backup is damaged or does not verify; check found errors
  4  refused because it would be unsafe; the message names the option that accepts the risk;
     plan, verify --rehearse and drill --rehearse: a migration would be refused
  5  migration failed; the catalog is as it was (proved)
  6  migration failed after the catalog had changed; the backup was restored (proved)
  7  migration failed and the state can't be proved: a person is needed
  130  interrupted; nothing was changed, or as 5 and 6 say
"""


class _Version(argparse.Action):
    """As argparse's own, but looking the version up, which takes a fifth of the start, only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import PackageNotFoundError, version

        try:
            found = version("dlbackup")
        except PackageNotFoundError:
            found = "(a checkout that isn't installed)"
        sys.stdout.write(f"dlbackup {found}\n")
        parser.exit()


def command_line() -> argparse.ArgumentParser:
    """Return the parser of the whole command line; `command` is set to the command's name."""
    made = Parser(
        prog="dlbackup",
        description="Backups that prove themselves, restores and safe migrations for DuckLake catalogs.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action=_Version, nargs=0, help="print dlbackup's version and end")
    output_options(made, default=False)
    commands = made.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    _add_dump(commands)
    _add_verify(commands)
    _add_restore(commands)
    _add_copy(commands)
    _add_migrate(commands)
    _add_plan(commands)
    _add_check(commands)
    _add_unbar(commands)
    _add_info(commands)
    _add_cat(commands)
    _add_drill(commands)
    _add_metrics(commands)
    _add_list(commands)
    _add_prune(commands)
    _add_pin(commands)
    _add_release(commands)
    return made


def _add_dump(commands: Commands) -> None:
    more = "One consistent snapshot of all catalog tables; writers are neither blocked nor waited for."
    parser = command(commands, "dump", "write one backup of a catalog", more)
    parser.add_argument("address", metavar="ADDRESS", help=ADDRESS)
    parser.add_argument(
        "-o",
        "--output",
        metavar="PATH",
        default=".",
        help="a new file, whose name ends in .sql.zst, or in .sql.zst.age if it is encrypted; a folder that exists, or"
        " ends in / and is made; the URL of one of these in an object storage (s3://BUCKET/PREFIX, gs://, az://); or -"
        " for standard output (default: the current folder)",
    )
    parser.add_argument(
        "--level", type=whole(1, 22), default=LEVEL, metavar="N", help="zstd level, 1 to 22 (default: %(default)s)"
    )
    parser.add_argument(
        "--base",
        metavar="BACKUP",
        help="an earlier backup of the same catalog: what PostgreSQL proves unchanged since is taken over from there"
        " and not read again; auto: the newest in the folder where the new one goes. The file is as without",
    )
    parser.add_argument(
        "--no-verify",
        dest="verify",
        action="store_false",
        help="do not read a backup in a folder back; it gets no record then, and prune takes it for unfinished",
    )
    jobs_option(parser, "read and compress, each on a connection of its own; the file is the same")
    rate_option(parser, "read")
    encryption_options(parser)
    file_options(parser)
    schema_option(parser)
    told_options(parser)


def _add_verify(commands: Commands) -> None:
    more = "Every byte, every statement and every row is checked; without --rehearse no server is needed."
    parser = command(commands, "verify", "prove a backup good", more)
    parser.add_argument("backup", metavar="BACKUP", help=BACKUP)
    data_files_option(parser)
    parser.add_argument(
        "--rehearse",
        metavar="ADDRESS",
        help="also restore it into a scratch schema of that PostgreSQL database, migrate that if need be, and open it;"
        " one of a DuckDB file into a scratch file beside the one at that address",
    )
    parser.add_argument(
        "--engine",
        metavar="PATH",
        help="for --rehearse: the python of the environment whose DuckDB opens it (default: this one)",
    )
    parser.add_argument(
        "--record",
        action="store_true",
        help="give a good backup in a folder the record that it lacks, without which prune takes it for unfinished",
    )
    jobs_option(parser, "decompress and prove")
    identity_options(parser)


def _add_restore(commands: Commands) -> None:
    more = (
        "All in one transaction that ends with proof, or with nothing changed; where the server has too few locks for "
        "that, in batches in a schema of its own, which one short transaction exchanges for the old one."
    )
    parser = command(commands, "restore", "restore a backup into a PostgreSQL database or a DuckDB file", more)
    parser.add_argument("backup", metavar="BACKUP", help=BACKUP)
    parser.add_argument("address", metavar="ADDRESS", help=ADDRESS)
    parser.set_defaults(frozen=False)
    schema_option(parser)
    restore_options(parser)


def _add_copy(commands: Commands) -> None:
    more = (
        "The copy has all snapshots, keys and inlined rows, and is proved before it is there. Data files stay where "
        "they are, and both catalogs name them: clean up in neither, as long as both are in use."
    )
    parser = command(commands, "copy", "copy a catalog to another place, of the same or of another kind", more)
    parser.add_argument("source", metavar="SOURCE", help="the address of a catalog, or a backup")
    parser.add_argument("target", metavar="TARGET", help=ADDRESS)
    parser.add_argument(
        "--frozen",
        action="store_true",
        help="make a read-only DuckDB file, to be put anywhere, also behind https: it has no relative paths, and the"
        " lowest storage version that can hold it",
    )
    one = parser.add_mutually_exclusive_group()
    one.add_argument(
        "--snapshot",
        type=whole(0),
        metavar="N",
        help="with --frozen: only what is live at this snapshot, as SNAPSHOT_VERSION of ATTACH shows it",
    )
    one.add_argument(
        "--snapshot-time",
        type=moment,
        metavar="TIME",
        help="with --frozen: only what is live at the newest snapshot at that time, such as 2026-11-29T12:00:00Z; UTC"
        " where it has no zone",
    )
    schema_option(parser)
    parser.add_argument("--target-schema", metavar="NAME", help="the schema at TARGET (default: as in SOURCE)")
    jobs_option(parser, "read the source")
    restore_options(parser)


def _add_migrate(commands: Commands) -> None:
    more = "Always dump, verify, attach, in that order; a failed backup blocks the migration."
    parser = command(commands, "migrate", "migrate a catalog to the engine's newest spec version", more)
    migrate_options(parser)
    told_options(parser)


def _add_check(commands: Commands) -> None:
    more = (
        "Each finding says what breaks which rule, why that matters and what to do, with the SQL where a mend is "
        "known. Changes nothing."
    )
    parser = command(commands, "check", "check a catalog, or the one in a backup, for damage", more)
    parser.add_argument("target", metavar="ADDRESS|BACKUP", help=f"a backup: {BACKUP}; or {ADDRESS}")
    parser.add_argument(
        "--store",
        metavar="STORE",
        help="where its backups are kept: warn where the lake deletes data files sooner than backups that need them go",
    )
    data_files_option(parser)
    identity_options(parser)
    file_options(parser)
    schema_option(parser)


def _add_plan(commands: Commands) -> None:
    more = "Looks at catalog and engine, and changes nothing; takes the same options as migrate."
    parser = command(commands, "plan", "say what migrate would do, and what stands in its way", more)
    migrate_options(parser)


def _add_unbar(commands: Commands) -> None:
    more = "Takes away what --bar-stale-clients left, once no client from before the migration or restore is left."
    parser = command(commands, "unbar", "take the bars against stale clients away", more)
    parser.add_argument("address", metavar="ADDRESS", help=ADDRESS)
    schema_option(parser)


def _add_info(commands: Commands) -> None:
    more = "Looks with plain SQL, or at a backup's manifest, and changes nothing."
    parser = command(commands, "info", "say what is in a catalog or a backup", more)
    parser.add_argument("target", metavar="ADDRESS|BACKUP", help=f"a backup: {BACKUP}; or {ADDRESS}")
    parser.add_argument("--fingerprint", action="store_true", help="compute what the lake means; reads all rows")
    parser.add_argument(
        "--since",
        metavar="BACKUP",
        help="of a catalog: say which tables changed since that backup of it, and by how many rows",
    )
    identity_options(parser)
    file_options(parser)
    schema_option(parser)


def _add_cat(commands: Commands) -> None:
    more = (
        "Only the part of the file that holds the table is read, and what is read is proved as verify does it; "
        "when that part is damaged, the exit code is 3 and the output is incomplete."
    )
    parser = command(commands, "cat", "print the rows of one table in a backup", more, as_json=False)
    parser.add_argument("backup", metavar="BACKUP", help=BACKUP)
    parser.add_argument("table", metavar="TABLE", help="the table's name, such as ducklake_snapshot")
    parser.add_argument(
        "--format",
        choices=get_args(Format),
        default="csv",
        help="CSV with a header, an object of JSON a line, or the CREATE TABLE and INSERT statements of the backup"
        " (default: %(default)s)",
    )
    identity_options(parser)


def _add_drill(commands: Commands) -> None:
    more = (
        "Everything is proved: bytes, rules, rows read back, an engine that opens the copy, the data files. Nothing is"
        " left of it, however it ends. Exit code 3: the backup is bad; 1: the drill could not be made."
    )
    parser = command(commands, "drill", "restore a backup for practice, and say whether it is proven", more)
    parser.add_argument("backup", metavar="STORE|BACKUP", help=f"a folder of backups; a catalog in a file; or {BACKUP}")
    add = parser.add_argument
    add(
        "--pick",
        choices=("latest", "random", "oldest"),
        default="latest",
        help="which backup of a folder (default: %(default)s)",
    )
    add(
        "--on",
        default="embedded",
        metavar="ADDRESS",
        help="the PostgreSQL database in which a scratch schema is made; embedded: a server that is started for this,"
        " out of a wheel that dlbackup[demo] brings (default: %(default)s); a backup of a catalog in a file needs"
        " neither, and is restored into a temporary file, or into one beside that of an ADDRESS",
    )
    add(
        "--files",
        default="list",
        metavar="HOW",
        help="list: whether the data files are there with their sizes; sample=N: also read N of them and count their"
        " rows; none (default: %(default)s)",
    )
    add("--rehearse", action="store_true", help="also migrate the copy to what the engine writes")
    add("--deadline", type=seconds, metavar="S", help="seconds after which it is given up (default: none)")
    add(
        "--engine",
        metavar="PATH",
        help="the python of the environment whose DuckDB opens the copy (default: this one)",
    )
    add(
        "--no-record",
        dest="record",
        action="store_false",
        help="do not write the result down beside the backup",
    )
    secrets_option(parser)
    identity_options(parser)
    jobs_option(parser, "decompress and prove")
    told_options(parser)


def _add_metrics(commands: Commands) -> None:
    more = "From the listing: no backup is opened, and no server asked but that of --catalog."
    summary = "print the state of a store of backups in Prometheus' text format"
    parser = command(commands, "metrics", summary, more, as_json=False)
    parser.add_argument("store", metavar="STORE", help="a folder of backups")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="write them to this file instead, whole or not at all, as a textfile collector needs it; its name ends in"
        " .prom by custom; - for standard output",
    )
    catalog_options(parser, "also tell for how many of its backups the data files are still there")


def _add_list(commands: Commands) -> None:
    more = (
        "The newest first: age, size, whether a drill has proved it, whether its data files are still there, why it is"
        " kept. Nothing is opened but the records beside the backups."
    )
    parser = command(commands, "list", "list the backups in a folder", more)
    store_argument(parser, nargs="?", default=".")
    catalog_options(parser, "say whether the data files that its backups name are still there")


def _add_prune(commands: Commands) -> None:
    more = (
        "Says of every backup whether it is kept or may go, and why; nothing goes without --yes. Whatever the options"
        " say, the newest good backup stays, the newest proven one, pinned ones, and those that a migration made until"
        " they are released."
    )
    parser = command(commands, "prune", "take old backups away by a policy", more)
    store_argument(parser)
    add = parser.add_argument
    add("--keep-last", type=whole(0), default=0, metavar="N", help="keep the last N backups")
    for kind in ("hour", "day", "week", "month", "year"):
        option = "daily" if kind == "day" else f"{kind}ly"
        add(
            f"--keep-{option}",
            type=whole(0),
            default=0,
            metavar="N",
            help=f"keep the newest backup of each of the last N {kind}s that have one (UTC)",
        )
    add(
        "--keep-within",
        type=duration,
        default=timedelta(),
        metavar="TIME",
        help="keep all that are at most so much older than the newest, such as 36h, 14d or 8w",
    )
    add("--yes", action="store_true", help="take away what may go; without it, only say what would")
    add(
        "--other-lake",
        dest="other_lakes",
        action="store_true",
        help="accept that backups of one name are of several lakes, and keep those of each by the policy",
    )
    told_options(parser)
    catalog_options(parser, "let backups of it whose data files are gone fill no slot")


def _add_pin(commands: Commands) -> None:
    parser = command(commands, "pin", "keep a backup whatever the policy says", "Until it is released.")
    parser.add_argument("backup", metavar="BACKUP", help="the file that dump or migrate wrote into a folder")
    parser.add_argument("--name", metavar="NAME", default="manual", help="of the pin (default: %(default)s)")


def _add_release(commands: Commands) -> None:
    more = "It then goes by the policy like others. What a migration made is kept until it is released."
    parser = command(commands, "release", "take the pins from a backup", more)
    parser.add_argument("backup", metavar="BACKUP", help="the file that dump or migrate wrote into a folder")
    parser.add_argument("--name", metavar="NAME", help="only the pin of that name (default: all)")
