"""drill: a backup is restored for practice and proven, or said to be bad; what keeps it from being made is neither."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from support.cli import Cli, Finished
from support.comparison import execute
from support.disks import small_disk
from support.engines.engines import engine_of
from support.faults.failures import failure, json_failure
from support.faults.faults import OPENS, engine_that, new_role, nothing_left, one, pause, role_of, started, state
from support.files import execute_in
from support.lakes.in_files import FileLakes
from support.lakes.lakes import Lake, LakeFactory
from support.lakes.private_lake import private_lake
from support.longer import long
from support.servers.postgres import PASSWORD
from support.waiting import wait_until

import dlbackup
from dlbackup import Keys
from dlbackup.inventory.listing import listing_of
from dlbackup.stores.age.x25519 import SecretKey
from dlbackup.stores.folder import Folder

_SCHEMAS = "select count(*) from pg_namespace where nspname like 'dlbackup%'"


def _dumped(cli: Cli, address: str) -> Path:
    """Dump a catalog into a file of the command's folder."""
    done = cli("dump", address, "-o", "backup.sql.zst")
    assert done.exit_code == 0, done
    return cli.cwd / "backup.sql.zst"


def _proven(done: Finished) -> None:
    answer = done.json()
    assert (done.exit_code, answer["ok"], answer["outcome"]) == (0, True, "proven"), done
    assert answer["proven_at"] >= answer["started"]


def _bad(done: Finished, rule: str) -> str:
    """Check that a drill found a backup bad by a rule; return what it says."""
    answer = json_failure(done, 3, "failed its drill", rule)
    assert (answer["ok"], answer["outcome"], answer["proven_at"]) == (False, "bad", None)
    (message,) = [found["message"] for found in answer["findings"] if found["rule"] == rule]
    return str(message)


def _not_made(done: Finished, *words: str) -> None:
    """Check that a drill could not be made, and that the backup is not blamed."""
    answer = json_failure(done, 1, *words)
    assert (answer["ok"], answer["outcome"], answer["proven_at"]) == (False, "not-made", None)
    assert [found for found in answer["findings"] if found["severity"] == "error"] == []


def test_without_a_server(lake: LakeFactory, cli: Cli) -> None:
    """On a server that is started for it, a backup is restored, read back and migrated, and nothing stays."""
    backup = _dumped(cli, private_lake(lake("plain", "0.3"), cli.cwd / "files").url)

    done = cli("drill", backup, "--files", "sample=2", "--rehearse", "--json")

    _proven(done)
    answer = done.json()
    assert (answer["spec_version"], answer["rehearsed_to"], answer["blocked"]) == ("0.3", "1.0", False)
    assert (answer["files"]["looked_at"] > 2, answer["files"]["missing"], answer["files"]["read"]) == (True, 0, 2)
    assert [stage["stage"] for stage in answer["stages"]] == [
        *("verify", "check", "data-files", "sample", "start", "restore", "rehearse")
    ]
    assert "an embedded PostgreSQL" in answer["on"]


def test_on_a_server(lake: LakeFactory, database: str, cli: Cli) -> None:
    """In another database, only a scratch schema is made, which is gone afterwards; the lake is not touched."""
    made = lake("inlined", "1.0")
    backup, before = _dumped(cli, made.url), state(made.url)

    done = cli("drill", backup, "--on", database)

    assert done.exit_code == 0, done
    assert f"{backup}: proven at" in done.stdout
    assert one(database, _SCHEMAS) == 0
    assert state(made.url) == before


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files that no other drill uses, and that an embedded server's user can pass."""
    with tempfile.TemporaryDirectory(prefix="dlb-") as folder:
        Path(folder).chmod(0o711)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


def test_of_a_file(file_lakes: FileLakes, cli: Cli, scratch: Path) -> None:
    """
    A backup of a DuckDB file is restored into a file, and opened; beside the catalog where that is named.

    A database is no place for it.
    """
    made = file_lakes.copy("inlined", "1.5.5", cli.cwd)
    backup = _dumped(cli, str(made.path))

    _proven(cli("drill", backup, "--json"))
    before = sorted(cli.cwd.iterdir())
    beside = cli("drill", backup, "--on", made.path, "--files", "none", "--json")
    _proven(beside)
    assert (beside.json()["on"], sorted(cli.cwd.iterdir())) == (f"a scratch file beside duckdb:{made.path}", before)
    server = f"postgres:dbname=x password={PASSWORD}"
    assert json_failure(cli("drill", backup, "--on", server, "--json"), 2, "catalog in a file")
    assert list(scratch.glob("dlbackup-drill-*")) == []


def test_of_a_frozen_lake(file_lakes: FileLakes, cli: Cli, scratch: Path) -> None:
    """The file itself is drilled, by a backup that is made of it: its files, its rows, and an engine that opens it."""
    made = file_lakes.copy("plain", "1.5.5", cli.cwd)
    frozen = cli.cwd / "frozen.ducklake"
    assert cli("copy", made.path, frozen, "--frozen").exit_code == 0
    before = frozen.read_bytes()

    done = cli("drill", frozen, "--files", "sample=1", "--json")

    _proven(done)
    answer = done.json()
    assert (answer["backup"], answer["on"], answer["files"]["read"]) == (f"duckdb:{frozen}", "a scratch file", 1)
    assert (frozen.read_bytes(), list(scratch.glob("dlbackup-drill-*"))) == (before, [])
    assert [path.name for path in cli.cwd.iterdir() if "drill" in path.name] == []
    frozen.chmod(0o644)
    execute_in(frozen, "update ducklake_data_file set path = '/nowhere/' || path, path_is_relative = false")
    _bad(cli("drill", frozen, "--json"), "missing-data-files")


def test_finds_a_damaged_backup(plain: Lake, cli: Cli) -> None:
    """A flipped byte is found, and nothing is started for it."""
    backup = _dumped(cli, plain.url)
    content = bytearray(backup.read_bytes())
    content[len(content) // 3] ^= 1
    backup.write_bytes(content)

    done = cli("drill", backup, "--json")

    _bad(done, "corrupt")
    assert [stage["stage"] for stage in done.json()["stages"]] == ["verify"]


def test_finds_what_can_not_be_decrypted(
    plain: Lake, cli: Cli, secret: SecretKey, identity: Path, tmp_path: Path
) -> None:
    """A backup that is encrypted to others, and one whose age file is damaged, are bad."""
    made = dlbackup.dump(plain.url, tmp_path / "b.sql.zst.age", keys=Keys(encrypt_to=(str(secret.public),)))
    (tmp_path / "other.txt").write_text(SecretKey.generate().text())
    _bad(cli("drill", made.path, "--identity", "other.txt", "--json"), "wrong-identity")

    content = bytearray(Path(made.path).read_bytes())
    content[len(content) // 2] ^= 1
    Path(made.path).write_bytes(content)
    _bad(cli("drill", made.path, "--identity", identity, "--json"), "corrupt")


def test_finds_what_is_wrong_with_data_files(plain: Lake, database: str, cli: Cli) -> None:
    """A missing file, one of another size, and one of the same size that can't be read are each found."""
    made = private_lake(plain, cli.cwd / "files")
    backup = _dumped(cli, made.url)
    files = sorted(made.data_path.rglob("*.parquet"))
    size = files[0].stat().st_size

    files[0].write_bytes(os.urandom(size))
    _proven(cli("drill", backup, "--on", database, "--json"))
    assert str(files[0]) in _bad(cli("drill", backup, "--files", "sample=1000", "--json"), "unreadable-data-files")
    files[0].write_bytes(b"")
    assert str(files[0]) in _bad(cli("drill", backup, "--json"), "data-file-sizes")
    files[0].unlink()
    missing = cli("drill", backup, "--json")
    assert str(files[0]) in _bad(missing, "missing-data-files")
    assert missing.json()["files"]["missing"] == 1
    assert "the backup itself is good" in missing.stderr


def test_finds_a_file_with_other_rows(plain: Lake, cli: Cli) -> None:
    """What the catalog says of a file's rows is compared with what is in it."""
    made = private_lake(plain, cli.cwd / "files")
    file = max(path for path in made.data_path.rglob("ducklake-*.parquet") if "delete" not in path.name)
    duckdb.sql(f"copy (select i from range(12345) r(i)) to '{file}' (format parquet)")
    changed = f"update ducklake_data_file set file_size_bytes = {file.stat().st_size} where path like '%{file.name}'"
    execute(made.url, changed)

    message = _bad(cli("drill", _dumped(cli, made.url), "--files", "sample=1000", "--json"), "unreadable-data-files")

    assert f"{file} has 12,345 rows, not " in message


def test_finds_a_damaged_catalog(plain: Lake, cli: Cli) -> None:
    """A backup of what the rules call damaged is as good as that."""
    execute(plain.url, "update ducklake_snapshot set next_file_id = 0")

    done = cli("drill", _dumped(cli, plain.url), "--files", "none", "--json")

    assert done.exit_code == 3
    assert done.json()["outcome"] == "bad"
    assert [stage["stage"] for stage in done.json()["stages"]] == ["verify", "check"]


def test_finds_an_engine_that_fails(lake: LakeFactory, database: str, cli: Cli, tmp_path: Path) -> None:
    """A catalog that is restored as it was, and that the engine can't open, is no lake that anybody can read."""
    backup = _dumped(cli, lake("plain", "1.0").url)
    engine = engine_that(tmp_path, before="raise real.BinderException('a view')", statement=OPENS)

    done = cli("drill", backup, "--on", database, "--files", "none", "--engine", engine, "--json")

    assert "a view" in _bad(done, "engine-fails")
    assert "the backup gives back the catalog as it was" in done.stderr
    assert one(database, _SCHEMAS) == 0


def test_older_engine_is_said(lake: LakeFactory, database: str, cli: Cli) -> None:
    """What no engine at hand opens is proven as far as it was restored, and a warning says so."""
    backup = _dumped(cli, lake("plain", "1.0").url)
    older = engine_of("0.3").python

    done = cli("drill", backup, "--on", database, "--files", "none", "--engine", older, "--json")

    _proven(done)
    assert [found["rule"] for found in done.json()["findings"]] == ["not-opened"]


def test_blocked_migration_is_said(plain: Lake, database: str, cli: Cli) -> None:
    """A rehearsal in a drill that meets what a migration is refused for is exit 4, and the backup is proven."""
    execute(plain.url, "update ducklake_data_file set partial_file_info = '6:15|5:16' where data_file_id = 0")

    done = cli("drill", _dumped(cli, plain.url), "--on", database, "--files", "none", "--rehearse", "--json")

    assert (done.exit_code, done.json()["ok"], done.json()["blocked"]) == (4, True, True)
    assert done.json()["rehearsed_to"] is None


def test_what_keeps_it_from_being_made(lake: LakeFactory, cli: Cli) -> None:
    """No server, no right, no backup and no engine are exit 1, which says nothing of the backup."""
    made = lake("plain", "1.0")
    backup = _dumped(cli, made.url)

    _not_made(cli("drill", backup, "--on", "postgres:host=127.0.0.1 port=1 dbname=x", "--json"), "refused")
    _not_made(cli("drill", backup, "--on", made.url, "--engine", "/no/python", "--json"), "/no/python")
    with new_role(made, "a-pass-word", owner=False) as url:
        execute(made.url, f"revoke create on database {made.dbname} from public, {role_of(url)}")
        _not_made(cli("drill", backup, "--on", url, "--json"), "permission denied for database")
    failure(cli("drill", "no-such.sql.zst"), 1, "no-such.sql.zst")
    failure(cli("drill", backup, "--files", "some"), 2, "'some'", hint="sample=N")


@pytest.mark.parametrize("kind", ["file", "embedded"])
def test_full_disk(
    plain: Lake, file_lakes: FileLakes, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Where there is no room to restore to, that is no fault of the backup's, and nothing is left."""
    address = plain.url if kind == "embedded" else str(file_lakes.copy("inlined", "1.5.5", tmp_path).path)
    backup = _dumped(cli, address)
    with small_disk(tmp_path / "small", 2) as disk:
        disk.leave(100)
        monkeypatch.setattr(tempfile, "tempdir", str(disk.path))
        monkeypatch.setenv("TMPDIR", str(disk.path))
        done = cli("drill", backup, "--files", "none", "--json")
        assert disk.names() == set()
    _not_made(done)
    assert "TMPDIR" in done.stderr


def test_deadline(lake: LakeFactory, database: str, cli: Cli, tmp_path: Path) -> None:
    """A drill that hangs is given up when its time is over, and nothing is left of it."""
    backup = _dumped(cli, lake("plain", "1.0").url)
    engine = engine_that(tmp_path, before=pause(tmp_path / "waits"), statement=OPENS)
    words = ("--on", database, "--files", "none", "--engine", engine)

    done = cli.apart("drill", backup, *words, "--deadline", "3", "--json")

    answer = json_failure(done, 1, "took longer than 3 s")
    assert (answer["outcome"], answer["error"]["type"]) == ("not-made", "DeadlinePassed")
    assert one(database, _SCHEMAS) == 0


@pytest.mark.parametrize("place", ["server", long("embedded")])
def test_killed(lake: LakeFactory, database: str, cli: Cli, tmp_path: Path, scratch: Path, place: str) -> None:
    """What a killed drill leaves, the next one takes away."""
    made = lake("plain", "1.0")
    backup, waits = _dumped(cli, made.url), tmp_path / "waits"
    engine = engine_that(tmp_path, before=pause(waits), statement=OPENS)
    words = ("--on", database if place == "server" else "embedded", "--files", "none")
    with started(cli, "drill", backup, *words, "--engine", engine) as running:
        wait_until(waits.exists)
        running.kill()

    _proven(cli("drill", backup, *words, "--json"))

    assert one(database, _SCHEMAS) == 0
    assert list(scratch.glob("dlbackup-drill-*")) == []
    nothing_left(made)


def test_interrupted(lake: LakeFactory, database: str, cli: Cli, tmp_path: Path) -> None:
    """An interrupt ends it like any other command, and nothing is left."""
    backup, waits = _dumped(cli, lake("plain", "1.0").url), tmp_path / "waits"
    engine = engine_that(tmp_path, before=pause(waits), statement=OPENS)
    with started(cli, "drill", backup, "--on", database, "--files", "none", "--engine", engine) as running:
        wait_until(waits.exists)
        running.signal(signal.SIGINT)
        done = running.end()

    failure(done, 130, "interrupted by SIGINT")
    assert one(database, _SCHEMAS) == 0


def test_result_is_written_down(lake: LakeFactory, database: str, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a folder of backups the wanted one is drilled, and what came out stands beside it for all who list them."""
    made = lake("plain", "1.0")
    folder = cli.cwd / "backups"
    folder.mkdir()
    older, newer = (Path(cli("dump", made.url, "-o", folder, "--json").json()["path"]) for _ in range(2))
    words = ("--on", database, "--files", "none", "--json")

    assert cli("drill", folder, *words).json()["backup"] == str(newer)
    in_vain = ("--engine", "/no/python", "--no-record")
    assert cli("drill", folder, "--pick", "oldest", *words, *in_vain).json()["backup"] == str(older)
    monkeypatch.setattr("dlbackup.verbs.drill.random.choice", lambda entries: entries[-1])
    assert cli("drill", folder, "--pick", "random", *words, *in_vain).json()["backup"] == str(older)
    assert cli("drill", older, *words, "--engine", "/no/python").exit_code == 1
    older.write_bytes(older.read_bytes()[:-9])
    assert cli("drill", older, *words).exit_code == 3

    found = {entry.name: entry.drills for entry in listing_of(Folder(folder)).entries}
    assert [(drill.ok, drill.couldnt_run) for drill in found[newer.name]] == [(True, None)]
    (not_made, bad) = found[older.name]
    assert "/no/python" in str(not_made.couldnt_run)
    assert (bad.ok, bad.couldnt_run, bad.findings[0].severity) == (False, None, "error")
    failure(cli("drill", cli.cwd, "--pick", "random"), 1, "there is no backup in")


def test_from_a_program(lake: LakeFactory, database: str, tmp_path: Path) -> None:
    """The same as a function: a record, or with `raise_for_errors` an error that has it."""
    made = dlbackup.dump(lake("plain", "1.0").url, tmp_path / "one.sql.zst")

    assert dlbackup.drill(made, on=database, files="none").raise_for_errors().ok
    with Path(made.path).open("r+b") as file:
        file.truncate(made.file_bytes - 10)
    with pytest.raises(dlbackup.NotVerified, match="failed its drill") as caught:
        dlbackup.drill(made, on=database).raise_for_errors()
    assert isinstance(caught.value.result, dlbackup.Drill)
