"""A private copy of a catalog behind a Quack server, and what can go wrong with it, in words."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dlbackup.addresses.address import Address
from dlbackup.catalogs.contract import Access
from dlbackup.catalogs.quack import child
from dlbackup.engine import child as engine
from dlbackup.engine.errors import reason_first
from dlbackup.errors import CatalogError, DlbackupError, EngineError, NotALake, StorageError, Unreachable, Unsupported
from dlbackup.runtime.child import start, start_file
from dlbackup.runtime.scratch import scratch_folder

TOKEN_VARIABLE = "DLBACKUP_QUACK_TOKEN"  # noqa: S105 - the name of a variable
FILE_VARIABLE = "DLBACKUP_QUACK_TOKEN_FILE"
_TOKENS = (
    f"{FILE_VARIABLE} names a file whose first line is the token that CALL quack_serve returned, or {TOKEN_VARIABLE}"
    " holds it; without both, DuckDB's own stored secrets are asked"
)
SILENCE_S = (30.0, 600.0)
"""How long a server may take for its first answer, and for any other, such as all rows of a table."""
_NOT_CONNECTED = ("Failed to send message", "Could not connect", "Could not resolve", "Timeout", "Connection")


def token(variables: Mapping[str, str] = os.environ) -> str:
    """
    Return what lets us in; empty where nobody said it.

    Raises:
        StorageError: the file that is named can't be read, or holds none.
    """
    if not (named := variables.get(FILE_VARIABLE)):
        return variables.get(TOKEN_VARIABLE, "").strip()
    try:
        text = Path(named).read_text().strip()
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is no text"
        raise StorageError(f"can't read the token in {named}: {reason}", _TOKENS) from None
    if not text:
        raise StorageError(f"there is no token in {named}: it is empty", _TOKENS)
    return text.splitlines()[0].strip()


@contextmanager
def copied(address: Address, schema: str | None, access: Access) -> Iterator[Path]:
    """
    Copy a catalog as it is in one transaction, into a DuckDB file for the block.

    Args:
        schema: as the user named it; the others that hold a catalog are there without their rows.

    Raises:
        Unreachable: the server doesn't answer, or refuses the token.
        NotALake: the database that it serves holds no catalog.
        EngineError: DuckDB has no extension for Quack.
        CatalogError, StorageError: it can't be copied.
    """
    with scratch_folder("dlbackup-quack-") as folder:
        task: dict[str, object] = {
            "server": address.path,
            "token": token(),
            "folder": str(folder),
            "schema": schema,
            "loader": engine.__file__,
            "silence_s": SILENCE_S,
        }
        yield Path(_asked(address, access, task))


def _asked(address: Address, access: Access, task: dict[str, object]) -> str:
    try:
        started = start(child.main) if access.engine is None else start_file(access.engine, child.__file__)
    except OSError as exc:
        raise EngineError(f"can't start a process for {address}: {exc.strerror}") from exc
    with started as copying:
        copying.say(json.dumps(task).encode() + b"\n")
        try:
            line = copying.says.readline()
        except BaseException:
            copying.finish()  # it ends the server's transaction, or itself
            raise
        if not line:
            raise CatalogError(f"the process that copies {address} {copying.ended()}", "try again")
    said = json.loads(line)
    if "file" in said:
        return str(said["file"])
    if "elsewhere" in said:
        others = ", ".join(said["elsewhere"])
        raise NotALake(
            f"the database {said['database']}, which is what clients of {address} see, holds no DuckLake catalog",
            (f"the server has one in: {others}; " if others else "")
            + "a server shows the file that it was started with: duckdb lake.ducklake, then CALL quack_serve(...)",
        )
    raise _failure(address, **said)


def _failure(address: Address, stage: str, type: str, message: str) -> DlbackupError:  # noqa: A002 - the child's word
    """Return the error that a failure of DuckDB's is for us."""
    text = " ".join(reason_first(message).split())
    if type == "ModuleNotFoundError":
        return EngineError(f"no DuckDB to read {address}: {text}", "pip install duckdb in that environment")
    if stage == "extensions":
        return EngineError(
            f"DuckDB has no extension to read {address} with: {text}",
            "pip install 'dlbackup[quack]', or name the Python of an environment that has duckdb 1.5.3 or newer with"
            " duckdb-extension-quack and duckdb-extension-httpfs: --engine PYTHON",
        )
    if "authentication token" in message:
        return Unreachable(f"{address} lets nobody in without a token, and there is none", _TOKENS)
    if "Authentication failed" in message:
        return Unreachable(f"{address} refuses the token", _TOKENS)
    if 'Catalog "served" does not exist' in message:
        return Unsupported(
            f"DuckDB can't attach {address}: the default of a column in its database calls a function",
            "DuckLake makes no such defaults: take it away on the server, ALTER TABLE ... ALTER COLUMN ... SET DEFAULT",
        )
    if any(words in message for words in _NOT_CONNECTED):
        if stage == "reading":
            return Unreachable(f"{address} has gone while it was read: {text}", "see that it is there, and try again")
        return Unreachable(
            f"{address} can't be reached: {text}",
            "check host and port (9494 unless it was started with another), and that CALL quack_serve(...) was made;"
            " all but this machine itself are asked by https, or over a tunnel: ssh -L 9494:localhost:9494 HOST",
        )
    if type == "OutOfMemoryException" or "No space left" in message:
        return StorageError(f"no room for a copy of {address}: {text}", "let TMPDIR name a larger place")
    return CatalogError(f"{address} can't be read: {type}: {text}")
