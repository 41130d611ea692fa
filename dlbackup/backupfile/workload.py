"""
How much work each table is for a dump, a restore or a proof, so that the time it takes can be told.

The unit is a byte of SQL text. A row costs something beside its bytes, and so does a table, mostly by the
round trips to a server; both were measured on a server on the same machine.
"""

from dlbackup.backupfile.manifest import Entry, Manifest
from dlbackup.runtime.progress import MOST_ROWS

PROOF_BYTES = 10_000
"""What a table costs beside its rows when it is proved."""
RESTORE_BYTES = 60_000
"""What a table costs beside its rows when it is restored."""
READ_BACK = 0.7
"""What reading all rows back is worth beside restoring them: 0.6 to 0.9 were measured."""
RULES = 0.3
"""What the rules of a check are worth beside loading the rows."""
FILE_BYTES = 300
"""What it costs to look for one data file."""
_ROW_BYTES = 64


def of_backup(manifest: Manifest, table_bytes: int) -> dict[str, float]:
    """Return the work that each table of a backup is; how long their rows are is told by their frames."""
    return {entry.table.name: table_bytes + _rows_bytes(manifest, entry) for entry in manifest.tables}


def _rows_bytes(manifest: Manifest, entry: Entry) -> float:
    there = manifest.frames[entry.first_frame : entry.last_frame + 1]
    own = there[1:-1] or there  # the first and the last hold other tables too
    rows = sum(frame.rows for frame in own)
    row_bytes = sum(frame.text_size for frame in own) / rows if rows > 0 else 0.0
    return min(max(entry.rows, 0), MOST_ROWS) * (row_bytes + _ROW_BYTES)  # a damaged manifest may say anything
