"""
Promise 1, read from the sources and tried: no migration without a proven backup.

Only `attach_migrating` may produce the words that let DuckLake migrate, it takes nothing but a
VerifiedBackup, and only verification makes one.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from support import sources
from support.backups import small, write_backup

from dlbackup.addresses.address import parse_address
from dlbackup.backupfile.backup import VERIFIER, Backup, VerifiedBackup
from dlbackup.backupfile.reader import BackupReader
from dlbackup.engine.engine import Engine, attach_migrating
from dlbackup.engine.statements import Target, attach_statement
from dlbackup.errors import AttachFailed
from dlbackup.stores.folder import local

ENGINE = Engine(python=Path("/nonexistent/python"), duckdb_version="1.5.5", spec_version="1.0")
TARGET = Target(
    address=parse_address("postgres:dbname=x password=s3cr3t"),
    schema="public",
    name="dlbackup-engine-1",
    lock_timeout_ms=1000,
)


@cache
def words() -> list[tuple[str, str, str]]:
    """Return each name, keyword and text in code, in lower case: itself, module and function."""
    return [
        (text.lower(), module, owner)
        for module, node, owner in sources.places()
        for field in ("id", "attr", "arg", "name", "value")
        if isinstance(text := getattr(node, field, None), str)
    ]


def places(word: str) -> Iterator[tuple[str, str]]:
    """Yield where a word stands in code, be it a name, a keyword or in a text: module and function."""
    return ((module, owner) for text, module, owner in words() if word.lower() in text)


def statements() -> Iterator[tuple[str, str]]:
    """Yield each text that stands in code, by module."""
    for module, node, _ in sources.places():
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield module, node.value


def test_only_one_function_lets_an_engine_migrate() -> None:
    """The option that lets DuckLake migrate stands in attach_migrating and nowhere else."""
    assert set(places("AUTOMATIC_MIGRATION")) == {("engine/engine.py", "attach_migrating")}
    assert set(places("MIGRATION TRUE")) == set()


def test_only_the_engine_module_attaches() -> None:
    """ATTACH of lakes is built in one module, for the child process that it starts; the demo reads with its own."""
    outside = {module for module, text in statements() if text.startswith("ATTACH ")}

    assert {module for module in outside if not module.startswith("demo/")} == {
        "catalogs/duckdb/child.py",  # a file as any other, by a DuckDB without the ducklake extension
        "catalogs/loaded_backup.py",  # a file of its own for rows, by a DuckDB without the ducklake extension
        "catalogs/quack/child.py",  # a server, and a new file to copy into, as the one above
        "engine/statements.py",
    }


def test_only_verification_makes_proofs() -> None:
    """VERIFIER, without which there is no VerifiedBackup, is used where it is checked and where it is shown."""
    assert {module for module, _ in places("VERIFIER")} == {"backupfile/backup.py", "backupfile/prover.py"}


def test_definitions_are_checked_before_they_are_used() -> None:
    """
    A backup's tables come from `BackupReader.manifest`, which checks them all.

    Unchecked ones are taken by who counts rows, looks for names, compares them with live tables, or scans: a scan
    checks what it reads.
    """
    assert {module for module, _ in places("unchecked")} == {
        "backupfile/lineage.py",
        "backupfile/reader.py",
        "inventory/publishing.py",
        "transfer/base.py",
        "transfer/feed.py",
        "verbs/cat.py",
        "verbs/info.py",
    }


def test_a_verified_backup_s_place_is_asked_for_its_journal_only() -> None:
    """What was verified is read through `open`: `kept_at` stands in code for the place of journal and pin alone."""
    assert {module for module, _ in places("kept_at")} == (
        {"backupfile/backup.py", "migration/pipeline.py", "migration/copied.py"}
    )


def _last_name(function: ast.expr) -> str:
    """Return what a call's text would end with before its parentheses, where that is a name."""
    return str(getattr(function, "attr", getattr(function, "id", "")))


def test_only_verification_builds_verified_backups() -> None:
    """No other module calls VerifiedBackup, makes one without its constructor, or derives from it."""
    callers, makers, heirs = set(), set(), set()
    for name, node, _ in sources.places():
        if isinstance(node, ast.Call) and _last_name(node.func).endswith("VerifiedBackup"):
            callers.add(name)
        if isinstance(node, ast.Attribute) and node.attr in ("__new__", "__class__"):
            makers.add(name)
        if isinstance(node, ast.ClassDef) and any("VerifiedBackup" in ast.unparse(base) for base in node.bases):
            heirs.add(name)

    assert (callers, makers, heirs) == ({"backupfile/prover.py"}, set(), set())


def written(path: Path) -> Backup:
    manifest = write_backup(path, small())
    return Backup(
        path=str(path),
        format=1,
        spec_version="9.9",
        snapshot_id=1,
        tables=2,
        rows=4,
        raw_bytes=1,
        file_bytes=1,
        sha256="",
        seconds=0.0,
        contents=manifest.contents,
    )


def test_attach_takes_nothing_but_a_proof(tmp_path: Path) -> None:
    """A path, a Backup, a manifest, a look-alike or nothing is refused before any engine is started."""

    class LookAlike(VerifiedBackup):  # type: ignore[misc]
        def __init__(self) -> None:
            pass

    backup = written(tmp_path / "backup")
    with BackupReader(local(tmp_path / "backup")) as reader:
        manifest = reader.manifest
    others: list[Any] = [None, True, str(backup.path), Path(backup.path), backup, manifest, LookAlike(), VerifiedBackup]
    for other in others:
        with pytest.raises(TypeError, match="VerifiedBackup"):
            attach_migrating(ENGINE, other, TARGET, 1)


def test_attach_takes_a_proof(tmp_path: Path) -> None:
    """With a proof the engine is started: here one that isn't there."""
    with BackupReader(local(written(tmp_path / "backup").path)) as reader:
        proof = VerifiedBackup(local(tmp_path / "backup"), reader.seal, reader.manifest, proof=VERIFIER)

    with pytest.raises(AttachFailed, match="can't start /nonexistent/python"):
        attach_migrating(ENGINE, proof, TARGET, 1)


def test_no_statement_of_an_engine_holds_a_secret() -> None:
    """Neither the ATTACH statement nor the conninfo in it holds a password; the child gets it by its environment."""
    target = Target(
        address=parse_address("postgres:host=h password='it''s s3cr3t' passfile=/s3cr3t".replace("''", r"\'")),
        schema="sch'ema",
        name="name",
        lock_timeout_ms=5,
    )

    statement = attach_statement(target, {"SNAPSHOT_VERSION": 4, "READ_ONLY": True}, 'a"b')
    assert "s3cr3t" not in statement
    assert "s3cr3t" not in repr(target)
    assert target.secrets() == {"PGPASSWORD": "it's s3cr3t", "PGPASSFILE": "/s3cr3t"}
    assert "METADATA_SCHEMA 'sch''ema'" in statement
    assert "META_SCHEMA 'sch''ema'" in statement  # so that nothing beside the catalog is read
    assert 'AS "a""b"' in statement
    assert "CREATE_IF_NOT_EXISTS FALSE" in statement
    assert "MIGRATION" not in statement
