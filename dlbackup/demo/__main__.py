"""
`python -m dlbackup.demo`: the main job, command by command, as a user would type it.

Each command is a real process that writes to this terminal by itself. The demo only sets the scene: a
folder, a server, an empty database, and the data files of the lake that comes with it.
"""

import argparse
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from types import FrameType

from dlbackup.demo import reader
from dlbackup.demo.reader import DemoError
from dlbackup.errors import DlbackupError, Interrupted
from dlbackup.servers.embedded import Server, embedded_server

_DATABASE = "demo"
_ADDRESS = f"postgres:dbname={_DATABASE}"
_MOVED = "moved"
_FILE = "laptop.ducklake"
_QUERIES = (
    f"ATTACH 'ducklake:{_ADDRESS}' AS lake (READ_ONLY)",
    "SELECT * FROM lake.shop.revenue ORDER BY month",
    "SELECT * FROM lake.shop.orders WHERE order_id BETWEEN 798 AND 801",
    "SELECT * FROM lake.shop.orders AT (VERSION => 5) WHERE order_id BETWEEN 798 AND 801",
)


class StepFailed(DlbackupError):
    """A command of the demo failed; the demo ends with its exit code."""

    def __init__(self, step: int, command: str, exit_code: int) -> None:
        super().__init__(f"step {step} of the demo failed with exit code {exit_code}: {command}")
        self.exit_code = exit_code


@dataclass(slots=True)
class Walk:
    """The steps of the demo, one after the other, in one folder and against one server."""

    folder: Path
    server: Server
    step: int = 0

    def begin(self, title: str) -> None:
        """Print the title of the next step."""
        self.step += 1
        print(f"\n{self.step}. {title}\n", flush=True)

    def dlbackup(self, *words: str) -> None:
        """Print a command and run it; its words go to the terminal as they come."""
        command = shlex.join(["dlbackup", *words])
        print(f"$ {command}", flush=True)
        self._run([sys.executable, "-m", "dlbackup", *words], command)

    def query(self, statements: Iterable[str]) -> None:
        """Execute SQL in a DuckDB of its own, which prints the statements too."""
        self._run([sys.executable, "-m", reader.__name__, *statements], "reading the lake")

    def new_backup(self, folder: Path, *known: Path) -> str:
        """Return the one backup in `folder` that isn't known yet, as a user in the demo's folder names it."""
        (found,) = set(folder.glob("*.sql.zst")) - set(known)
        return str(found.relative_to(self.folder))

    def _run(self, words: list[str], command: str) -> None:
        done = subprocess.run(
            words, cwd=self.folder, env=self.server.environment(), stdin=subprocess.DEVNULL, check=False
        )
        if done.returncode:
            raise StepFailed(self.step, command, done.returncode)


def main(arguments: list[str] | None = None) -> int:
    """Show the demo and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m dlbackup.demo", description=__doc__)
    parser.add_argument(
        "--keep-folder",
        type=Path,
        metavar="DIR",
        help="a folder to make for the demo's files, instead of a new one among the temporary files",
    )
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        _show(options.keep_folder)
    except DlbackupError as error:
        return _report(error)
    except KeyboardInterrupt:
        return _report(Interrupted("the demo was interrupted"))
    return 0


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise Interrupted("the demo was interrupted")


def _report(error: DlbackupError) -> int:
    print(f"error: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)
    return error.exit_code


def _show(keep_folder: Path | None) -> None:
    started = time.monotonic()
    reader.find_extensions()
    folder = _make_folder(keep_folder)
    try:
        with embedded_server(folder, user="demo", extra="demo") as server:
            print(f"The demo works in {folder},")
            print(f"on a PostgreSQL {server.major} of its own at port {server.port} of {server.host}.")
            _take_steps(folder, server)
    except OSError as error:
        raise DemoError(f"the demo can't work in {folder}: {error.strerror}") from error
    finally:
        if not any(folder.iterdir()):
            folder.rmdir()
    print(f"\nDone in {time.monotonic() - started:.0f} seconds. The server is stopped and gone.")
    print(f"The backups and the lake's data files are still in {folder}")


def _make_folder(keep_folder: Path | None) -> Path:
    if keep_folder is None:
        return Path(tempfile.mkdtemp(prefix="dlbackup-demo-"))
    folder = keep_folder.absolute()
    try:
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise DemoError(f"{folder} can't be made: {error.strerror}") from error
    return folder


def _take_steps(folder: Path, server: Server) -> None:
    server.create_database(_DATABASE)
    _copy(resources.files("dlbackup.demo") / "lake", folder)
    backups = folder / "backups"
    walk = Walk(folder, server)

    shipped = walk.new_backup(folder)
    walk.begin("Restore a backup into an empty database: the catalog of a small lake that DuckDB 1.4 wrote.")
    walk.dlbackup("restore", shipped, _ADDRESS, "--data-path", f"{folder / 'files'}/")

    walk.begin("Look at it. Nothing is attached for that, so nothing is migrated by accident.")
    walk.dlbackup("info", _ADDRESS)

    walk.begin("Back it up, and prove the backup good.")
    walk.dlbackup("dump", _ADDRESS)
    print()
    walk.dlbackup("verify", walk.new_backup(folder, folder / shipped))

    walk.begin("Migrate to the newest version: first another backup, then its proof, and only then the migration.")
    print(f"$ mkdir {backups.name}")
    backups.mkdir()
    walk.dlbackup("migrate", _ADDRESS, "--backup-dir", backups.name)

    walk.begin("Read the migrated lake with DuckDB, also as it was before order 800 was cancelled.")
    walk.query(_QUERIES)

    walk.begin("Now without a server: the old lake in a file of its own, backed up and migrated there.")
    walk.dlbackup("restore", shipped, _FILE, "--data-path", f"{folder / 'files'}/")
    print()
    walk.dlbackup("dump", _FILE, "-o", "laptop/")
    print()
    walk.dlbackup("migrate", _FILE, "--backup-dir", "laptop")

    walk.begin("Move that lake from its file to PostgreSQL: everything of it, exactly. Read it there.")
    server.create_database(_MOVED)
    walk.dlbackup("copy", _FILE, f"postgres:dbname={_MOVED}")
    print()
    walk.query((f"ATTACH 'ducklake:postgres:dbname={_MOVED}' AS lake (READ_ONLY)", _QUERIES[1]))

    walk.begin("Go back: the backup that migrate made takes the place of the migrated catalog.")
    walk.dlbackup("restore", walk.new_backup(backups), _ADDRESS, "--replace")
    print()
    walk.dlbackup("info", _ADDRESS)


def _copy(source: Traversable, target: Path) -> None:
    """Copy what is in a folder of this package, wherever it is installed."""
    for item in source.iterdir():
        if item.is_dir():
            (target / item.name).mkdir()
            _copy(item, target / item.name)
        else:
            (target / item.name).write_bytes(item.read_bytes())


if __name__ == "__main__":
    sys.exit(main())
