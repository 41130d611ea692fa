"""
The error tree: everything that dlbackup refuses or fails at, with exit code and hint.

    DlbackupError 1 ─┬─ UsageError 2
                     ├─ CatalogError 1 (Unreachable, NoRight, NotALake, UnknownVersion, Ambiguous, ..., Unhealthy 3)
                     ├─ BackupError 3 (Unfinished, Corrupt, UnknownFormat, UnsafeStatement, NotVerified, WrongIdentity)
                     ├─ Refused 4 (NotEmpty, NewerSnapshots, ClientsConnected, NotOwner, ...)
                     ├─ StorageError 1 (NoIdentity)
                     ├─ EngineError 1 (AttachFailed)
                     ├─ MigrationError (Unchanged 5, RolledBack 6, NeedsPerson 7)
                     └─ Interrupted 130

A message is lower case without a full stop: what failed, on which object, with which values.
The hint says what to do next. Neither ever holds a password.
"""

import re
from collections.abc import Sequence

_IN_DATABASE_URI = re.compile(r"\b((?:postgres(?:ql)?|mysql)(?:\+\w+)?:/++)(?!user@)\S*@", re.IGNORECASE)
"""A password with a `/` in it has to be escaped there; who forgot that has it in the path, as libpq reads it."""
_IN_URI = re.compile(r"(\b[a-z][a-z0-9+.-]*:/++)(?!user@)[^/]*@", re.IGNORECASE)
"""Also where somebody took one for a path, in which two slashes are one."""
_IN_PAIR = re.compile(
    r"((?:passw(?:or)?d|pwd|passphrase|scram_client_key|scram_server_key|oauth_client_secret"
    r"|(?<=[?&])[\w-]*(?:secret|token|signature|credential|key))\s*=\s*)"
    r"('(?:[^'\\]|\\.)*(?:'|$)|(?:\\.|\S)+)",
    re.IGNORECASE | re.DOTALL,
)


def masked(text: str) -> str:
    """Return `text` without what looks like a password, in a URI or as key=value."""
    text = _IN_URI.sub(r"\1***@", _IN_DATABASE_URI.sub(r"\1***@", text))
    return _IN_PAIR.sub(r"\1***", text)


def listed(items: Sequence[object], most: int = 5, *, separator: str = "; ", more: int = 0) -> str:
    """
    Name the first few of what a message is about, and say how many more there are.

    Args:
        more: how many there are beside the items.
    """
    text = separator.join(str(item) for item in items[:most])
    more += max(0, len(items) - most)
    return f"{text}{separator.rstrip(' ,')} and {more} more" if more else text


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: `1 row`, `2 rows`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


class DlbackupError(Exception):
    """
    Base of all errors that a user can meet; `exit_code` is the process's exit status.

    Whatever was given in a wrong place, and is repeated, is so without what looks like a password.
    """

    exit_code = 1
    transient = False
    """Whether the same may go well in a while, when others are done: nothing is unsafe about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = masked(message)
        self.hint = masked(hint)
        super().__init__(self.message)
        self.result: object | None = None
        """A record of what was found or done until then, where there is one."""


class UsageError(DlbackupError):
    """The command line or an address makes no sense."""

    exit_code = 2


class CatalogError(DlbackupError):
    """A catalog can't be read or written; nothing was changed."""


class Unreachable(CatalogError):
    """The server, the database or the right to connect is missing."""


class NoRight(CatalogError):
    """The server refused it to this role."""


class NotALake(CatalogError):
    """There is no DuckLake catalog at the address."""


class UnknownVersion(CatalogError):
    """The catalog has no spec version, or one that can't be handled."""


class Ambiguous(CatalogError):
    """The address fits several catalogs."""


class Unsupported(CatalogError):
    """The catalog holds something that a backup can't carry, or is of a kind not supported yet."""


class MovedOn(CatalogError):
    """The catalog's tables were changed again and again while they were read."""

    transient = True


class Unhealthy(CatalogError):
    """The catalog breaks rules that every healthy one keeps."""

    exit_code = 3


class BackupError(DlbackupError):
    """A backup is damaged, unfinished, or not what dlbackup would have written."""

    exit_code = 3


class Unfinished(BackupError):
    """The file ends before its manifest and seek table."""


class Corrupt(BackupError):
    """A byte of the backup isn't what it was when it was written."""


class UnknownFormat(BackupError):
    """The file isn't a dlbackup backup, or one of a newer format."""


class UnsafeStatement(BackupError):
    """The backup holds a statement that dlbackup would not have written."""


class NotVerified(BackupError):
    """The backup is whole, but what it holds doesn't pass verification."""


class WrongIdentity(BackupError):
    """The backup is encrypted to others than the identities that were given, or what says to whom is damaged."""


class Refused(DlbackupError):
    """It could be done, but would be unsafe; the hint names the option that accepts the risk, if any."""

    exit_code = 4


class NotEmpty(Refused):
    """The place to restore into already holds a catalog."""


class NewerSnapshots(Refused):
    """The catalog holds snapshots that the backup doesn't."""


class OtherLake(Refused):
    """The place holds another lake than the backup."""


class OtherEncoding(Refused):
    """The database has another encoding than the text that is to be stored in it."""


class NotCarried(Refused):
    """Something in a catalog can't be carried exactly to one of another kind."""


class MissingDataFiles(Refused):
    """Data files of the backup are gone, and a catalog stands where it would be restored."""


class PlaintextKeys(Refused):
    """A backup that isn't encrypted would take the keys of the lake's Parquet files along."""


class ClientsConnected(Refused):
    """Other clients are connected to the catalog's database."""


class NotOwner(Refused):
    """The role may not do what the job needs."""


class MigratorRuns(Refused):
    """Another migration or restore of the same catalog is under way."""

    transient = True


class Locked(Refused):
    """Somebody holds a lock that the job needs."""

    transient = True


class HasDependents(Refused):
    """Objects depend on catalog tables that a backup can't carry."""


class TooManyLocks(Refused):
    """The server has too few locks for one transaction, and the schema can't be exchanged as a whole."""


class CannotMigrate(Refused):
    """The engine can't bring this catalog to that version."""


class MigrationNeeded(Refused):
    """The engine opens the catalog only after a migration, which was not allowed."""


class AliasTaken(Refused):
    """Something else is attached under that name already."""


class Pooled(Refused):
    """A transaction-pooling proxy is between dlbackup and the server."""


class CutOff(Refused):
    """A migration was cut off before its end, and what it left has to be finished or undone first."""


class WouldLose(Refused):
    """The engine's migration is known to lose something that this lake has."""


class NoPolicy(Refused):
    """Nothing says which backups are to be kept."""


class NothingGood(Refused):
    """No good backup is there, so that none may go."""


class ClockOff(Refused):
    """A clock is off, so that nobody can say which backup is the newest."""


class RestoredOtherwise(CatalogError):
    """What a server gives back of a backup is not what it was given."""


class OtherRows(RestoredOtherwise):
    """The server gives back other rows than it was given."""


class MigratedOtherwise(CatalogError):
    """What a migration made of a catalog is not what it should be."""


class RehearsalFailed(CatalogError):
    """A copy of the catalog could not be made or migrated; the catalog itself was not touched."""


class DrillNotMade(DlbackupError):
    """A drill could not be made or ended, which says nothing of the backup; `result` is what was found until then."""


class StorageError(DlbackupError):
    """A file can't be read or written where the user wants it."""


class NoIdentity(StorageError):
    """The backup is encrypted, and nothing was given that may open it, or what was given can't be read."""


class EngineError(DlbackupError):
    """DuckDB or one of its extensions is missing or failed outside a migration."""


class AttachFailed(EngineError):
    """An engine failed, crashed or was ended in the middle of a job; says nothing about the catalog."""


class MigrationError(DlbackupError):
    """A migration began and did not succeed."""


class Unchanged(MigrationError):
    """The migration failed and the catalog is as it was: proved by comparing it with the backup."""

    exit_code = 5


class RolledBack(MigrationError):
    """The migration failed after changes, and the backup was restored and compared."""

    exit_code = 6


class NeedsPerson(MigrationError):
    """The state can't be proved or mended by the tool; the message says what to do."""

    exit_code = 7


class Interrupted(DlbackupError, KeyboardInterrupt):
    """
    The user or the system asked to stop (SIGINT, SIGTERM, SIGHUP).

    A KeyboardInterrupt too, because that is what makes psycopg cancel the query that it waits for.
    """

    exit_code = 130


class DeadlinePassed(Interrupted):
    """A job took longer than its user gave it; it was ended, and cleaned up, as by an interrupt."""

    exit_code = 1
