"""
The keys of a lake's encrypted Parquet files, which stand in its catalog in clear, and so in each of its backups.
"""

from dlbackup.backupfile.lineage import rows_in
from dlbackup.backupfile.reader import BackupReader
from dlbackup.errors import PlaintextKeys
from dlbackup.lake.answers import Answers, rows_of
from dlbackup.runtime.progress import Event, OnEvent
from dlbackup.tables.definition import by_name

_SAYS_SO = ("encrypted", "true")
"""Key and value of a lake's metadata, whatever scope they have."""


def catalog_holds_file_keys(answers: Answers) -> bool:
    """Tell whether a lake says of itself that its data files are encrypted."""
    metadata = by_name(answers.tables).get("ducklake_metadata")
    if metadata is None or not {"key", "value"} <= set(metadata.column_names):
        return False
    return _SAYS_SO in rows_of(answers, "select key, value from {s}.ducklake_metadata")


def backup_holds_file_keys(reader: BackupReader) -> bool:
    """Tell the same of the lake that a backup is of."""
    return any((row["key"], row["value"]) == _SAYS_SO for row in rows_in(reader, "ducklake_metadata"))


def guard_file_keys(*, remote: bool, on_event: OnEvent) -> None:
    """
    Say that the keys of Parquet files are about to be written in clear.

    Args:
        remote: the backup goes to somebody else's machine, where who reads it may read the files too.

    Raises:
        PlaintextKeys: it does.
    """
    what = "the keys to the lake's encrypted Parquet files stand in this backup, which isn't encrypted itself"
    how = "--encrypt-to encrypts it"
    if remote:
        raise PlaintextKeys(what, f"{how}; --plaintext-keys accepts that whoever reads the store can read the files")
    on_event(Event(stage="dump", message=f"{what}; {how}, --plaintext-keys accepts it", warning=True))
