"""
A look for data files in object storage, by an engine that lists what is there.

A listing answers for 1,000 objects at once, with their sizes; no file is opened. The engine compares it with what a
catalog says of each file, so that neither all of the one nor of the other has to be in this process.
"""

import csv
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from dlbackup.engine.engine import job
from dlbackup.engine.keys import Keys, keys_at_hand
from dlbackup.engine.process import EngineProcess
from dlbackup.engine.statements import literal
from dlbackup.engine.storage import extensions_for, installing
from dlbackup.errors import AttachFailed, DlbackupError, StorageError, UsageError
from dlbackup.lake.answers import Answers
from dlbackup.lake.datafiles import SHOWN, data_paths
from dlbackup.lake.looking import Compared, Looked, look
from dlbackup.runtime.scratch import scratch_folder

_LISTED = re.compile(r"(s3|s3a|s3n|gs|gcs|r2|az|azure|abfss)://[^/]+/", re.IGNORECASE)
_LIKE_A_PATTERN = re.compile(r"[*?\[\\]")
_OTHER_SIZES = """
SELECT path || ' has ' || t.size || ' bytes, not ' || e.size AS words
FROM expected e JOIN there t USING (path)
WHERE e.size >= 0 AND e.size <> t.size
"""
LISTING_TIMEOUT_S = 600.0
LISTING_TIMEOUT_LOCKED_S = 60.0
"""Where others wait for locks that are held meanwhile."""
_READY_S = 30.0
_MOST_FOLDERS = 1000
"""How many folders outside the lake's own are listed, for files that were added from there."""


def look_everywhere(answers: Answers, secrets: str | Path | None, deadline_s: float) -> Looked:
    """
    Look for the data files of a catalog on this machine and, where there are keys, in object storage.

    Args:
        secrets: a file with CREATE SECRET statements; without it, the cloud's own variables are looked at.
        deadline_s: for listing what is in object storage.

    A file of secrets that can't be used is one more reason why there was no look; `check_secrets` asks beforehand.
    """
    with ObjectStorage(secrets, data_paths(answers), deadline_s) as elsewhere:
        return look(answers, elsewhere)


class ObjectStorage:
    """
    What a catalog expects to be in object storage, written down, and compared with a listing. Close it with `with`.

    Args:
        secrets: a file with CREATE SECRET statements; without it, the cloud's own variables are looked at.
        data_paths: the lake's own, which are listed as a whole.
        deadline_s: for making the listing.
    """

    def __init__(self, secrets: str | Path | None, data_paths: Iterable[str], deadline_s: float) -> None:
        self._secrets = secrets
        self._keys: dict[str, Keys | DlbackupError | None] = {}
        self._roots = tuple(path for path in data_paths if _LISTED.match(path))
        self._deadline_s = deadline_s
        self._places: dict[str, None] = {}
        self._undo = ExitStack()
        self._text: TextIO | None = None

    def __enter__(self) -> "ObjectStorage":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What could not be written when it was flushed fails again when the file is closed.
        with suppress(OSError):
            self._undo.close()

    def lists(self, path: str) -> bool:
        """Tell whether there is a listing of that place, and keys for it or a reason why they can't be had."""
        return _LISTED.match(path) is not None and self._keys_for(path) is not None

    def expect(self, path: str, size: int | None) -> bool:
        """Note a file that should be there; False where it is one of too many places."""
        place = next((root for root in self._roots if path.startswith(root)), path.rpartition("/")[0] + "/")
        if place not in self._places and len(self._places) >= _MOST_FOLDERS:
            return False
        self._places[place] = None
        with _writing():
            csv.writer(self._written(), lineterminator="\n", quoting=csv.QUOTE_ALL).writerow(
                (path, -1 if size is None else size)
            )
        return True

    def _written(self) -> TextIO:
        if self._text is None:
            folder = self._undo.enter_context(scratch_folder("dlbackup-files-"))
            file = folder / "expected.csv"
            self._text = self._undo.enter_context(file.open("w", encoding="utf-8", newline=""))
        return self._text

    def compare(self) -> Compared:
        """Return what is missing or has another size; `failed` says why there was no listing."""
        with _writing():
            expected = self._written()
            expected.flush()
        found_keys = {self._keys_for(place) for place in self._places}
        for found in found_keys:
            if isinstance(found, DlbackupError):
                return Compared(failed=found.message)
        keys = [found for found in found_keys if isinstance(found, Keys)]
        needed = (*extensions_for(self._places), *(name for found in keys for name in found.extensions))
        process = EngineProcess(Path(sys.executable), ())
        with process:
            try:
                for name in dict.fromkeys(needed):
                    load_extension(process, name)
                for found in keys:
                    make_secrets(process, found)
                answers = process.run(job({}, self._statements(expected.name)), self._deadline_s)
            except AttachFailed as exc:
                message = exc.message.partition(" LINE 1:")[0]
                for found in keys:
                    message = found.scrub(message)
                return Compared(failed=message)
        *_, gone, first_gone, other, first_other = answers
        return Compared(
            missing=int(gone[0][0]),
            missing_first=[row[0] for row in first_gone],
            other_size=int(other[0][0]),
            other_size_first=[row[0] for row in first_other],
        )

    def _keys_for(self, path: str) -> Keys | DlbackupError | None:
        scheme = path.partition("://")[0].lower()
        if scheme not in self._keys:
            try:
                self._keys[scheme] = keys_at_hand(self._secrets, scheme)
            except (UsageError, StorageError) as exc:
                self._keys[scheme] = exc
        return self._keys[scheme]

    def _statements(self, expected: str) -> list[str]:
        listed = ", ".join(dict.fromkeys(literal(_pattern(place)) for place in self._places))
        columns = "{'path': 'VARCHAR', 'size': 'BIGINT'}"
        read = f"read_csv({literal(expected)}, header = false, delim = ',', quote = '\"', escape = '\"'"
        return [
            f"CREATE TEMP TABLE there AS SELECT DISTINCT filename AS path, size FROM read_blob([{listed}])",
            f"CREATE TEMP TABLE expected AS FROM {read}, columns = {columns}, auto_detect = false)",
            "CREATE TEMP TABLE gone AS SELECT path FROM expected ANTI JOIN there USING (path)",
            f"CREATE TEMP TABLE other AS {_OTHER_SIZES}",
            "SELECT count(*) FROM gone",
            f"SELECT path FROM gone ORDER BY path LIMIT {SHOWN}",
            "SELECT count(*) FROM other",
            f"SELECT words FROM other ORDER BY words LIMIT {SHOWN}",
        ]


@contextmanager
def _writing() -> Iterator[None]:
    """Say of a temporary folder that takes no more what it was for, and where it is."""
    try:
        yield
    except OSError as exc:
        raise StorageError(
            f"can't write down which data files to look for: {exc.strerror or exc}",
            f"make room in {tempfile.gettempdir()}, or name another folder by TMPDIR",
        ) from exc


def _pattern(place: str) -> str:
    """Return the pattern for all that is below a place; a part of its name that looks like one is left out."""
    if found := _LIKE_A_PATTERN.search(place):
        place = place[: found.start()].rpartition("/")[0] + "/"
    return place + "**"


def load_extension(process: EngineProcess, name: str) -> None:
    """Load an extension; raises AttachFailed with what to install."""
    try:
        process.run(job({}, [], (name,)), _READY_S)
    except AttachFailed as exc:
        import duckdb

        raise AttachFailed(f"{exc.message}; {installing(name, duckdb.__version__)}") from None


def make_secrets(process: EngineProcess, keys: Keys) -> Any:
    """Give the keys to an engine; raises AttachFailed, which does not repeat them."""
    try:
        return process.run(job({}, list(keys.statements)), _READY_S)
    except AttachFailed as exc:
        raise AttachFailed(f"the secrets of {keys.origin} can't be made: {exc.message}") from None
