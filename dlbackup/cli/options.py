"""
The options of the command line: which commands there are, what each takes, and what `--help` says of it.

Nothing is done here; wrong usage is an error like any other.
"""

import argparse
import sys
from datetime import timedelta
from typing import Any, NoReturn, get_args

from dlbackup.backupfile.frames import LEVEL
from dlbackup.cli.usage import Parser, duration, moment, rate, seconds, web_url, whole
from dlbackup.runtime.workers import JOBS
from dlbackup.tables.formats import Format

_ADDRESS = (
    "where the catalog is: path/to/lake.ducklake, postgres:dbname=..., postgresql://..., with or without ducklake: in"
    " front; "
    "libpq's environment (PGHOST, PGUSER, PGPASSWORD, PGSERVICE ...) counts"
)
_BACKUP = "the file that dump wrote, or - for standard input"
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
    _output_options(made, default=False)
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


_Commands = Any  # argparse's own type for a group of subcommands is private


def _command(
    commands: _Commands, name: str, summary: str, more: str, *, as_json: bool = True
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}. {more}"
    )
    parser.set_defaults(command=name)
    _output_options(parser, as_json=as_json)
    return parser


def _output_options(
    parser: argparse.ArgumentParser, default: bool | str = argparse.SUPPRESS, *, as_json: bool = True
) -> None:
    """Add what a user may say before the command as well as after it; only the former has a default."""
    if as_json:
        parser.add_argument("--json", action="store_true", default=default, help="print the result as one JSON object")
    parser.add_argument("-q", "--quiet", action="store_true", default=default, help="print no progress")
    parser.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        default=default,
        help="print a traceback when something unexpected fails",
    )


def _schema_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--metadata-schema",
        metavar="NAME",
        help="the schema of the catalog, where the database holds several",
    )


def _rate_option(parser: argparse.ArgumentParser, does: str) -> None:
    parser.add_argument(
        "--max-rate",
        type=rate,
        metavar="RATE",
        help=f"{does} at most this many bytes of SQL text a second; k, M and G are thousands, millions, billions",
    )


def _wait_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--wait",
        type=seconds,
        default=0.0,
        metavar="S",
        help="seconds to wait for a program that has the catalog's file open for writing (default: none)",
    )


def _file_options(parser: argparse.ArgumentParser) -> None:
    _wait_option(parser)
    parser.add_argument(
        "--engine",
        metavar="PATH",
        help="the python of the environment whose DuckDB reads the catalog's file (default: this one)",
    )


def _told_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--ping",
        type=web_url,
        metavar="URL",
        help="tell a service that watches jobs, as healthchecks do: URL/start now, and then URL, or URL/<exit code>,"
        " with the JSON of the result",
    )
    parser.add_argument(
        "--notify",
        type=web_url,
        metavar="URL",
        help="post JSON to a webhook when this job fails that went well the last time, and when it goes well again",
    )


def _secrets_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--secrets",
        metavar="FILE",
        help="keys to object storage, to look for data files there: a file with DuckDB's CREATE SECRET statements"
        " (default: $DLBACKUP_SECRETS, else AWS_ACCESS_KEY_ID and the like)",
    )


def _data_files_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-files",
        action="store_true",
        help="also look whether every data file is there with its recorded size: on this machine, and with keys in"
        " object storage",
    )
    _secrets_option(parser)


def _identity_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--identity",
        action="append",
        default=[],
        metavar="FILE",
        help="a file with the identity (AGE-SECRET-KEY-1..., one of a plugin, or a private key of SSH's) that opens an"
        " encrypted backup; may be given more than once (default: $DLBACKUP_IDENTITY, such a file or an identity"
        " itself)",
    )
    parser.add_argument(
        "--identity-command",
        metavar="CMD",
        help="a command that prints the identity; it is run, without a shell, when an encrypted backup is read",
    )
    parser.add_argument(
        "--passphrase-file",
        metavar="FILE",
        help="a file whose first line is the passphrase that opens an encrypted backup, or the file with its identity"
        " (default: $DLBACKUP_PASSPHRASE_FILE)",
    )


def _encryption_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--encrypt-to",
        action="append",
        default=[],
        metavar="RECIPIENT",
        help="encrypt the backup to this recipient (age1..., also of a plugin or post-quantum, or an SSH key as a .pub"
        " file has it), as age does; may be given more than once",
    )
    parser.add_argument("--recipients-file", metavar="FILE", help="encrypt it to the recipients in a file, one a line")
    parser.add_argument(
        "--encrypt-to-passphrase-file",
        metavar="FILE",
        help="encrypt it by a passphrase instead, the first line of a file",
    )
    parser.add_argument(
        "--plaintext-keys",
        action="store_true",
        help="accept that the keys to a lake's encrypted Parquet files stand in a backup that is not encrypted",
    )
    _identity_options(parser)


def _client_options(parser: argparse.ArgumentParser) -> None:
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--terminate-clients", action="store_true", help="end the other sessions on the database first")
    choice.add_argument(
        "--ignore-clients",
        action="store_true",
        help="accept that other clients stay connected: attached DuckLake clients then crash or write by a stale view",
    )
    parser.add_argument(
        "--bar-stale-clients",
        action="store_true",
        help="leave a constraint behind that makes commits of stale clients fail; dlbackup unbar removes it",
    )


def _jobs_option(parser: argparse.ArgumentParser, work: str) -> None:
    parser.add_argument(
        "--jobs",
        type=whole(1),
        default=JOBS,
        metavar="N",
        help=f"how many processes {work} (default here: %(default)s)",
    )


def _add_dump(commands: _Commands) -> None:
    more = "One consistent snapshot of all catalog tables; writers are neither blocked nor waited for."
    parser = _command(commands, "dump", "write one backup of a catalog", more)
    parser.add_argument("address", metavar="ADDRESS", help=_ADDRESS)
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
    _jobs_option(parser, "read and compress, each on a connection of its own; the file is the same")
    _rate_option(parser, "read")
    _encryption_options(parser)
    _file_options(parser)
    _schema_option(parser)
    _told_options(parser)


def _add_verify(commands: _Commands) -> None:
    more = "Every byte, every statement and every row is checked; without --rehearse no server is needed."
    parser = _command(commands, "verify", "prove a backup good", more)
    parser.add_argument("backup", metavar="BACKUP", help=_BACKUP)
    _data_files_option(parser)
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
    _jobs_option(parser, "decompress and prove")
    _identity_options(parser)


def _add_restore(commands: _Commands) -> None:
    more = (
        "All in one transaction that ends with proof, or with nothing changed; where the server has too few locks for "
        "that, in batches in a schema of its own, which one short transaction exchanges for the old one."
    )
    parser = _command(commands, "restore", "restore a backup into a PostgreSQL database or a DuckDB file", more)
    parser.add_argument("backup", metavar="BACKUP", help=_BACKUP)
    parser.add_argument("address", metavar="ADDRESS", help=_ADDRESS)
    parser.set_defaults(frozen=False)
    _schema_option(parser)
    _restore_options(parser)


def _add_copy(commands: _Commands) -> None:
    more = (
        "The copy has all snapshots, keys and inlined rows, and is proved before it is there. Data files stay where "
        "they are, and both catalogs name them: clean up in neither, as long as both are in use."
    )
    parser = _command(commands, "copy", "copy a catalog to another place, of the same or of another kind", more)
    parser.add_argument("source", metavar="SOURCE", help="the address of a catalog, or a backup")
    parser.add_argument("target", metavar="TARGET", help=_ADDRESS)
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
    _schema_option(parser)
    parser.add_argument("--target-schema", metavar="NAME", help="the schema at TARGET (default: as in SOURCE)")
    _jobs_option(parser, "read the source")
    _restore_options(parser)


def _restore_options(parser: argparse.ArgumentParser) -> None:
    """Add what a user may say of the place that a catalog comes to."""
    add = parser.add_argument
    add(
        "--replace",
        action="store_true",
        help="put the backup in the place of the catalog that is there; that one is kept aside",
    )
    add("--drop-replaced", action="store_true", help="drop the replaced catalog instead of keeping it aside")
    add(
        "--discard-newer",
        action="store_true",
        help="accept losing snapshots that the backup doesn't have: newer ones, or another branch's",
    )
    add("--other-lake", action="store_true", help="accept that the catalog that is replaced is of another lake")
    add("--no-owner", dest="owner", action="store_false", help="leave the tables to the restoring role")
    add("--no-privileges", dest="privileges", action="store_false", help="do not grant what was granted")
    add("--data-path", metavar="NEW", help="where the data files are now, if they were moved")
    add(
        "--no-read-back",
        dest="read_back",
        action="store_false",
        help="trust the server's row counts instead of reading every row again",
    )
    add(
        "--missing-data-files",
        action="store_true",
        help="accept that a catalog is replaced by one whose data files are gone",
    )
    add(
        "--no-data-files",
        dest="data_files",
        action="store_false",
        help="do not look whether the data files are there",
    )
    _secrets_option(parser)
    _identity_options(parser)
    _rate_option(parser, "load, and read back,")
    add(
        "--storage-version",
        metavar="V",
        help="of a DuckDB file, such as v1.0.0, which every DuckDB since 0.10 reads (default: that of the file that the"
        " backup is of)",
    )
    _file_options(parser)
    _client_options(parser)


def _add_migrate(commands: _Commands) -> None:
    more = "Always dump, verify, attach, in that order; a failed backup blocks the migration."
    parser = _command(commands, "migrate", "migrate a catalog to the engine's newest spec version", more)
    _migrate_options(parser)
    _told_options(parser)


def _migrate_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("address", metavar="ADDRESS", help=_ADDRESS)
    _schema_option(parser)
    add = parser.add_argument
    add(
        "--backup-dir",
        default=".",
        metavar="DIR",
        help="the folder where the backup goes, one that ends in / is made; or a place in an object storage, as for"
        " dump -o (default: the current folder)",
    )
    add("--to", metavar="VERSION", help="refuse unless the engine migrates to exactly this version")
    add(
        "--engine",
        metavar="PATH",
        help="the python of the environment whose DuckDB migrates (default: this one)",
    )
    add(
        "--no-rehearsal", dest="rehearsal", action="store_false", help="do not migrate a copy in a scratch schema first"
    )
    add(
        "--staged",
        action="store_true",
        help="migrate over a scratch DuckDB file, as is done for versions that the engine can't migrate where they are",
    )
    add("--no-mend", dest="mend", action="store_false", help="refuse a lake that the engine's migration would damage")
    add(
        "--accept-loss",
        action="append",
        default=[],
        metavar="RULE",
        help="accept a loss that is known, by its name",
    )
    add(
        "--lock-timeout",
        type=seconds,
        default=10.0,
        metavar="S",
        help="seconds to wait for one lock (default: %(default)g)",
    )
    add(
        "--attach-timeout",
        type=seconds,
        default=600.0,
        metavar="S",
        help="seconds after which the engine is ended that migrates (default: %(default)g)",
    )
    _rate_option(parser, "let the dump read")
    _wait_option(parser)
    _encryption_options(parser)
    _client_options(parser)


def _add_check(commands: _Commands) -> None:
    more = (
        "Each finding says what breaks which rule, why that matters and what to do, with the SQL where a mend is "
        "known. Changes nothing."
    )
    parser = _command(commands, "check", "check a catalog, or the one in a backup, for damage", more)
    parser.add_argument("target", metavar="ADDRESS|BACKUP", help=f"a backup: {_BACKUP}; or {_ADDRESS}")
    parser.add_argument(
        "--store",
        metavar="STORE",
        help="where its backups are kept: warn where the lake deletes data files sooner than backups that need them go",
    )
    _data_files_option(parser)
    _identity_options(parser)
    _file_options(parser)
    _schema_option(parser)


def _add_plan(commands: _Commands) -> None:
    more = "Looks at catalog and engine, and changes nothing; takes the same options as migrate."
    parser = _command(commands, "plan", "say what migrate would do, and what stands in its way", more)
    _migrate_options(parser)


def _add_unbar(commands: _Commands) -> None:
    more = "Takes away what --bar-stale-clients left, once no client from before the migration or restore is left."
    parser = _command(commands, "unbar", "take the bars against stale clients away", more)
    parser.add_argument("address", metavar="ADDRESS", help=_ADDRESS)
    _schema_option(parser)


def _add_info(commands: _Commands) -> None:
    more = "Looks with plain SQL, or at a backup's manifest, and changes nothing."
    parser = _command(commands, "info", "say what is in a catalog or a backup", more)
    parser.add_argument("target", metavar="ADDRESS|BACKUP", help=f"a backup: {_BACKUP}; or {_ADDRESS}")
    parser.add_argument("--fingerprint", action="store_true", help="compute what the lake means; reads all rows")
    parser.add_argument(
        "--since",
        metavar="BACKUP",
        help="of a catalog: say which tables changed since that backup of it, and by how many rows",
    )
    _identity_options(parser)
    _file_options(parser)
    _schema_option(parser)


def _add_cat(commands: _Commands) -> None:
    more = (
        "Only the part of the file that holds the table is read, and what is read is proved as verify does it; "
        "when that part is damaged, the exit code is 3 and the output is incomplete."
    )
    parser = _command(commands, "cat", "print the rows of one table in a backup", more, as_json=False)
    parser.add_argument("backup", metavar="BACKUP", help=_BACKUP)
    parser.add_argument("table", metavar="TABLE", help="the table's name, such as ducklake_snapshot")
    parser.add_argument(
        "--format",
        choices=get_args(Format),
        default="csv",
        help="CSV with a header, an object of JSON a line, or the CREATE TABLE and INSERT statements of the backup"
        " (default: %(default)s)",
    )
    _identity_options(parser)


def _add_drill(commands: _Commands) -> None:
    more = (
        "Everything is proved: bytes, rules, rows read back, an engine that opens the copy, the data files. Nothing is"
        " left of it, however it ends. Exit code 3: the backup is bad; 1: the drill could not be made."
    )
    parser = _command(commands, "drill", "restore a backup for practice, and say whether it is proven", more)
    parser.add_argument(
        "backup", metavar="STORE|BACKUP", help=f"a folder of backups; a catalog in a file; or {_BACKUP}"
    )
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
    _secrets_option(parser)
    _identity_options(parser)
    _jobs_option(parser, "decompress and prove")
    _told_options(parser)


def _add_metrics(commands: _Commands) -> None:
    more = "From the listing: no backup is opened, and no server asked but that of --catalog."
    summary = "print the state of a store of backups in Prometheus' text format"
    parser = _command(commands, "metrics", summary, more, as_json=False)
    parser.add_argument("store", metavar="STORE", help="a folder of backups")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="write them to this file instead, whole or not at all, as a textfile collector needs it; its name ends in"
        " .prom by custom; - for standard output",
    )
    _catalog_options(parser, "also tell for how many of its backups the data files are still there")


def _store_argument(parser: argparse.ArgumentParser, **more: Any) -> None:
    parser.add_argument("store", metavar="STORE", help="the folder in which the backups are", **more)


def _catalog_options(parser: argparse.ArgumentParser, does: str) -> None:
    parser.add_argument("--catalog", metavar="ADDRESS", help=f"the live catalog: {does}; {_ADDRESS}")
    _file_options(parser)
    _schema_option(parser)


def _add_list(commands: _Commands) -> None:
    more = (
        "The newest first: age, size, whether a drill has proved it, whether its data files are still there, why it is"
        " kept. Nothing is opened but the records beside the backups."
    )
    parser = _command(commands, "list", "list the backups in a folder", more)
    _store_argument(parser, nargs="?", default=".")
    _catalog_options(parser, "say whether the data files that its backups name are still there")


def _add_prune(commands: _Commands) -> None:
    more = (
        "Says of every backup whether it is kept or may go, and why; nothing goes without --yes. Whatever the options"
        " say, the newest good backup stays, the newest proven one, pinned ones, and those that a migration made until"
        " they are released."
    )
    parser = _command(commands, "prune", "take old backups away by a policy", more)
    _store_argument(parser)
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
    _told_options(parser)
    _catalog_options(parser, "let backups of it whose data files are gone fill no slot")


def _add_pin(commands: _Commands) -> None:
    parser = _command(commands, "pin", "keep a backup whatever the policy says", "Until it is released.")
    parser.add_argument("backup", metavar="BACKUP", help="the file that dump or migrate wrote into a folder")
    parser.add_argument("--name", metavar="NAME", default="manual", help="of the pin (default: %(default)s)")


def _add_release(commands: _Commands) -> None:
    more = "It then goes by the policy like others. What a migration made is kept until it is released."
    parser = _command(commands, "release", "take the pins from a backup", more)
    parser.add_argument("backup", metavar="BACKUP", help="the file that dump or migrate wrote into a folder")
    parser.add_argument("--name", metavar="NAME", help="only the pin of that name (default: all)")
