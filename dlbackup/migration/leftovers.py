"""What a migration that was cut off has left: its journal, its mark, and what is done with them."""

from dataclasses import dataclass, replace
from pathlib import Path

from dlbackup.catalogs.contract import Mark
from dlbackup.errors import CutOff, StorageError
from dlbackup.migration.journal import ENDING, Journal, read, write


@dataclass(frozen=True, slots=True)
class Left:
    """
    A migration that didn't come to its end.

    Args:
        journal: None when it can't be read from here.
        from_version: of the catalog before that migration.
    """

    path: Path
    journal: Journal | None
    from_version: str


def left_behind(mark: Mark, folder: Path) -> Left | None:
    """
    Look for a migration of a catalog that didn't come to its end: in the folder, and by the mark in the database.

    Raises:
        StorageError: a journal in the folder can't be read.
    """
    place = mark.catalog
    for path in sorted(folder.glob(f"*{ENDING}"), reverse=True):
        found = read(path)
        if found.place == place and not found.done:
            return Left(path, found, found.from_version)
    if (said := mark.read()) is None:
        return None
    path, from_version = said
    try:
        found = read(path)
    except StorageError:
        return Left(path, None, from_version)
    if found.place != place or found.done:  # the mark outlived its journal's end, which took the session with it
        return None
    return Left(path, found, from_version)


def outlived(mark: Mark) -> bool:
    """Tell whether a mark is there whose migration has come to its end: it was killed before it took that away."""
    said = mark.read()
    if said is None:
        return False
    try:
        found = read(said[0])
    except StorageError:
        return False
    return found.place == mark.catalog and found.done


def cut_off(mark: Mark, left: Left) -> CutOff:
    """Return the refusal of a catalog that a migration left half-finished and whose journal can't be read."""
    return CutOff(
        f"an earlier migration of the catalog was cut off after its engine was done; its journal is {left.path}",
        "run migrate again where that file is, and what is missing will be mended or undone; if the file is lost,"
        f" compare the catalog with a backup and drop the schema {mark.name}",
    )


def replaced(mark: Mark, folder: Path) -> None:
    """Take mark and journals of unfinished migrations as settled: a restore has put another state there."""
    while (left := left_behind(mark, folder)) is not None and left.journal is not None:
        write(left.path, replace(left.journal, progress="replaced"))
    mark.take_away()
