"""What all commands take, or several, and what `--help` says of it."""

import argparse
from typing import Any

from dlbackup.cli.usage import rate, seconds, web_url, whole
from dlbackup.runtime.workers import JOBS

ADDRESS = (
    "where the catalog is: path/to/lake.ducklake, postgres:dbname=..., postgresql://..., with or without ducklake: in"
    " front; "
    "libpq's environment (PGHOST, PGUSER, PGPASSWORD, PGSERVICE ...) counts"
)
BACKUP = "the file that dump wrote, or - for standard input"


Commands = Any  # argparse's own type for a group of subcommands is private


def command(commands: Commands, name: str, summary: str, more: str, *, as_json: bool = True) -> argparse.ArgumentParser:
    """Add a command, with what all commands take."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}. {more}"
    )
    parser.set_defaults(command=name)
    output_options(parser, as_json=as_json)
    return parser


def output_options(
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


def schema_option(parser: argparse.ArgumentParser) -> None:
    """Take the schema of the catalog."""
    parser.add_argument(
        "--metadata-schema",
        metavar="NAME",
        help="the schema of the catalog, where the database holds several",
    )


def rate_option(parser: argparse.ArgumentParser, does: str) -> None:
    """Take how much of its work a command does in a second at most."""
    parser.add_argument(
        "--max-rate",
        type=rate,
        metavar="RATE",
        help=f"{does} at most this many bytes of SQL text a second; k, M and G are thousands, millions, billions",
    )


def wait_option(parser: argparse.ArgumentParser) -> None:
    """Take for how long to wait for who writes to a file."""
    parser.add_argument(
        "--wait",
        type=seconds,
        default=0.0,
        metavar="S",
        help="seconds to wait for a program that has the catalog's file open for writing (default: none)",
    )


def file_options(parser: argparse.ArgumentParser) -> None:
    """Take how a catalog in a file is read."""
    wait_option(parser)
    parser.add_argument(
        "--engine",
        metavar="PATH",
        help="the python of the environment whose DuckDB reads the catalog's file (default: this one)",
    )


def told_options(parser: argparse.ArgumentParser) -> None:
    """Take whom to tell how a job ended."""
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


def secrets_option(parser: argparse.ArgumentParser) -> None:
    """Take the keys to object storage."""
    parser.add_argument(
        "--secrets",
        metavar="FILE",
        help="keys to object storage, to look for data files there: a file with DuckDB's CREATE SECRET statements"
        " (default: $DLBACKUP_SECRETS, else AWS_ACCESS_KEY_ID and the like)",
    )


def data_files_option(parser: argparse.ArgumentParser) -> None:
    """Take whether to look for data files."""
    parser.add_argument(
        "--data-files",
        action="store_true",
        help="also look whether every data file is there with its recorded size: on this machine, and with keys in"
        " object storage",
    )
    secrets_option(parser)


def identity_options(parser: argparse.ArgumentParser) -> None:
    """Take what opens an encrypted backup."""
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


def encryption_options(parser: argparse.ArgumentParser) -> None:
    """Take whom a backup is encrypted to, and what opens another that is."""
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
    identity_options(parser)


def client_options(parser: argparse.ArgumentParser) -> None:
    """Take what becomes of others who are connected."""
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


def jobs_option(parser: argparse.ArgumentParser, work: str) -> None:
    """Take how many processes do some work."""
    parser.add_argument(
        "--jobs",
        type=whole(1),
        default=JOBS,
        metavar="N",
        help=f"how many processes {work} (default here: %(default)s)",
    )


def restore_options(parser: argparse.ArgumentParser) -> None:
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
    secrets_option(parser)
    identity_options(parser)
    rate_option(parser, "load, and read back,")
    add(
        "--storage-version",
        metavar="V",
        help="of a DuckDB file, such as v1.0.0, which every DuckDB since 0.10 reads (default: that of the file that the"
        " backup is of)",
    )
    file_options(parser)
    client_options(parser)


def migrate_options(parser: argparse.ArgumentParser) -> None:
    """Take what `migrate` and `plan` do, who say the same."""
    parser.add_argument("address", metavar="ADDRESS", help=ADDRESS)
    schema_option(parser)
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
    rate_option(parser, "let the dump read")
    wait_option(parser)
    encryption_options(parser)
    client_options(parser)


def store_argument(parser: argparse.ArgumentParser, **more: Any) -> None:
    """Take where the backups are."""
    parser.add_argument("store", metavar="STORE", help="the folder in which the backups are", **more)


def catalog_options(parser: argparse.ArgumentParser, does: str) -> None:
    """Take a live catalog that a command about backups asks."""
    parser.add_argument("--catalog", metavar="ADDRESS", help=f"the live catalog: {does}; {ADDRESS}")
    file_options(parser)
    schema_option(parser)
