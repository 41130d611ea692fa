"""Where the data files of a restored catalog are: their path is moved, and they are looked for."""

from collections.abc import Sequence

from dlbackup.catalogs.contract import Existing, Place
from dlbackup.errors import CatalogError, MissingDataFiles, NotCarried, UsageError, counted, listed
from dlbackup.lake.answers import rows_of
from dlbackup.lake.datafiles import COLUMNS, outside, relative_paths, stored
from dlbackup.runtime.memory import collector_paused
from dlbackup.runtime.progress import Event
from dlbackup.tables.definition import Table, by_name
from dlbackup.transfer.job import Job


def settle(place: Place, job: Job, existing: Existing, scheduled: list[tuple[int, str]]) -> None:
    """Do what comes last: move the data path, and look for data files; nothing is committed yet."""
    if job.options.data_path is not None:
        _move_data(place, job, str(job.options.data_path))
    if job.options.frozen:
        _refuse_relative(place, job)
    if job.options.data_files:
        _look_for_data_files(place, job, scheduled)
    gone, changed = job.missing_data_files or 0, job.changed_data_files
    if (gone or changed) and existing.tables and not job.options.missing_data_files:
        said = [f"{counted(gone, 'data file')} that the backup needs {_is(gone)} missing or can't be reached from here"]
        changes = f"{counted(changed, 'data file')} that the backup needs {_is(changed)} of another size than it says"
        said = [*(said if gone else []), *([changes] if changed else [])]
        raise MissingDataFiles(
            f"{', '.join(said)}, and the catalog in {existing.place} would be replaced",
            "bring them back, or name where they are with --data-path; --missing-data-files accepts that they are gone",
        )


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def _look_for_data_files(place: Place, job: Job, scheduled: list[tuple[int, str]]) -> None:
    """Warn of data files that are not there, and of those that will soon be gone; count the former."""
    from dlbackup.engine.listing import LISTING_TIMEOUT_LOCKED_S, look_everywhere

    restored, on_event = job.tables, job.on_event
    if _has_files(restored):
        with collector_paused(), place.answers(restored) as answers:
            looked = look_everywhere(answers, job.options.secrets, LISTING_TIMEOUT_LOCKED_S)
        job.missing_data_files, job.changed_data_files = looked.missing, looked.changed
        for finding in looked.findings:
            warning = finding.severity == "error" or finding.rule == "data-files-out-of-reach"
            on_event(Event(stage="data-files", message=finding.message, warning=warning))
    if scheduled and (needed := _needed(place, restored, [file for file, _ in scheduled])):
        were = "was" if needed == 1 else "were"
        text = (
            f"{counted(needed, 'data file')} that the backup needs {were} scheduled for deletion by the replaced"
            f" catalog, the first at {scheduled[0][1]}: they stay only as long as nobody cleans up by that catalog"
        )
        on_event(Event(stage="data-files", message=text, warning=True))


def _has_files(restored: Sequence[Table]) -> bool:
    """Tell whether the tables have what is asked about data files."""
    tables = by_name(restored)
    return all(name in tables and set(columns) <= set(tables[name].column_names) for name, columns in COLUMNS.items())


def _refuse_relative(place: Place, job: Job) -> None:
    """Refuse to freeze a lake whose data files are found only by clients that work in the right folder."""
    with place.answers(job.tables) as answers:
        found = relative_paths(answers)
    if found:
        raise NotCarried(
            f"the lake's files are not found from everywhere: these paths are relative to the folder that a client"
            f" works in: {listed(found)}",
            "name where the data files are with --data-path: an absolute path, or an address such as https://...",
        )


def _needed(place: Place, restored: Sequence[Table], files: Sequence[int]) -> int:
    """Return how many of these data and delete files the restored catalog refers to."""
    listed = ", ".join(map(str, files))
    count = 0
    with place.answers(restored) as answers:
        for name in ("data_file", "delete_file"):
            query = f"select count(*) from {{s}}.ducklake_{name} where {name}_id in ({listed})"
            count += rows_of(answers, query)[0][0]
    return count


def _move_data(place: Place, job: Job, path: str) -> None:
    if not path:
        raise UsageError("--data-path is empty")
    if place.set_data_path(stored(path)) != 1:
        raise CatalogError("the catalog has no data_path of its own to be changed")
    if _has_files(job.tables):
        with place.answers(job.tables) as answers:
            job.not_moved = outside(answers)
