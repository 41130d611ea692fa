"""
The state of a store of backups, in the text format of Prometheus.
"""

from datetime import UTC, datetime
from pathlib import Path

from dlbackup.inventory.listing import listing_of
from dlbackup.inventory.metrics import exposition
from dlbackup.stores.files import rewrite
from dlbackup.stores.named import store_of_backups

_READABLE = 0o644
"""Who collects the file is another user, and what it says is no secret."""


def metrics(store: str | Path, to: str | Path | None = None) -> str:
    """
    Return the metrics of all backups in a store; no backup is opened.

    Args:
        store: a folder of backups, or the URL of a place for them.
        to: a file that they are written to as well: whole, or not at all.

    Raises:
        StorageError: the store can't be listed, or the file not be written.
    """
    text = exposition(listing_of(store_of_backups(store)), datetime.now(UTC))
    if to is not None:
        rewrite(Path(to), text.encode(), mode=_READABLE)
    return text
