"""Encrypted backups on real servers and files: made, proved, read, restored, and found out when damaged."""

import hashlib
import os
import re
import shutil
import subprocess
from functools import partial
from pathlib import Path

import pyrage
import pytest
import zstandard
from support.cli import Cli
from support.comparison import execute
from support.debian import unpacked
from support.faults.faults import state
from support.lakes.divided import ROWS, STATISTICS
from support.lakes.in_files import FileLakes
from support.lakes.lakes import Lake
from support.plugins import toy_identity, toy_plugin, toy_recipient
from support.servers.servers import Server
from support.waiting import wait_until

from dlbackup import Keys, cat, dump, verify
from dlbackup.stores.age.passphrase import Passphrase
from dlbackup.stores.age.x25519 import SecretKey

ENCRYPTED = "insert into ducklake_metadata (key, value) values ('encrypted', 'true')"


def _sql(data: bytes, secret: SecretKey) -> bytes:
    """Return what age and zstd make of a backup."""
    plain = pyrage.decrypt(data, [pyrage.x25519.Identity.from_str(secret.text())])
    with zstandard.ZstdDecompressor().stream_reader(plain, read_across_frames=True) as text:
        return text.read()


def test_there_and_back(
    divided: str,
    database: str,
    cli: Cli,
    secret: SecretKey,
    identity: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Dump, verify, look, restore, and dump with the first as base: as with plain backups, by several processes."""
    to = ("--encrypt-to", str(secret.public))
    said = cli("dump", divided, "-o", "backups/", *to, "--json").json()
    path = Path(tmp_path / said["path"])
    file = path.read_bytes()
    plain = dump(divided, tmp_path / "plain.sql.zst")

    assert re.fullmatch(r"ducklake-.+-v0\.3-[0-9a-f]{6}\.sql\.zst\.age", path.name)
    assert (said["file_bytes"], said["sha256"]) == (len(file), hashlib.sha256(file).hexdigest())
    assert path.stat().st_mode & 0o777 == 0o600
    with zstandard.open(plain.path, "rb", dctx=zstandard.ZstdDecompressor()) as one:
        begin = one.read(4096).partition(b"BEGIN;")[2][:1000]
    assert begin in _sql(file, secret)

    opens = ("--identity", identity)
    for jobs in (1, 3):
        assert cli("verify", path, *opens, "--jobs", str(jobs), "--json").json()["ok"]
    assert cli("info", path, *opens, "--json").json()["rows"] == said["rows"]
    assert cli("cat", path, "ducklake_snapshot", *opens).stdout.startswith("snapshot_id,")
    assert len(list(cat(path, STATISTICS, keys=Keys(identity=(identity,))))) >= ROWS
    assert cli("check", path, *opens).exit_code == cli("check", plain.path).exit_code
    assert cli("info", divided, "--since", path, *opens, "--json").json()["since"]["changed"] == []

    monkeypatch.setattr("dlbackup.transfer.feed.CHILD_ROWS", 0)
    done = cli("restore", path, database, *opens, "--json")
    assert done.exit_code == 0, done.stderr
    assert state(database)[2] == state(divided)[2]

    again = cli("dump", divided, "-o", "backups/", *to, *opens, "--base", "auto", "--json").json()
    assert Path(tmp_path / again["base"]) == path
    assert again["reused_rows"] >= ROWS
    assert cli("verify", again["path"], *opens).exit_code == 0
    closed = cli("dump", divided, "-o", "backups/", *to, "--base", "auto", "--json")
    assert closed.json()["base"] is None
    assert "2 encrypted backups can't be the base without an identity" in closed.stderr


def test_who_may_not_read_it_is_told(plain: Lake, cli: Cli, secret: SecretKey, identity: Path, tmp_path: Path) -> None:
    """Without an identity, with another's, and for damage anywhere in the file, with what to do and its exit code."""
    made = dump(plain.url, tmp_path / "b.sql.zst.age", keys=Keys(encrypt_to=(str(secret.public),)))
    other = tmp_path / "other.txt"
    other.write_text(SecretKey.generate().text())

    for command in (["verify", made.path], ["info", made.path], ["restore", made.path, plain.url]):
        done = cli(*command, "--json")
        assert (done.exit_code, done.json()["error"]["type"]) == (1, "NoIdentity")
        assert made.path in done.json()["error"]["message"]
        assert "--identity" in done.json()["error"]["hint"]
    wrong = cli("verify", made.path, "--identity", other, "--json")
    assert wrong.exit_code == 3
    assert [finding["rule"] for finding in wrong.json()["findings"]] == ["wrong-identity"]
    assert "with what opens it" in wrong.json()["error"]["hint"]

    file = Path(made.path).read_bytes()
    places = [0, 10, 30, 150, 300, 420, len(file) // 2, len(file) - 1]
    broken = [file[:at] + bytes([file[at] ^ 1]) + file[at + 1 :] for at in places] + [file[:at] for at in places]
    for number, data in enumerate(broken):
        bad = tmp_path / f"bad-{number}.sql.zst.age"
        bad.write_bytes(data)
        done = cli("verify", bad, "--identity", identity)
        assert done.exit_code == 3, (number, done.stderr)


def test_standard_output_and_input(plain: Lake, cli: Cli, secret: SecretKey, identity: Path) -> None:
    """What goes through pipes is encrypted and opened too; the identity comes from the environment."""
    piped = cli("dump", plain.url, "-o", "-", "--encrypt-to", str(secret.public))
    env = {"DLBACKUP_IDENTITY": secret.text()}

    assert _sql(piped.output, secret).startswith(b"-- dlbackup 1\n")
    assert cli("verify", "-", stdin=piped.output, env=env).exit_code == 0
    assert cli("verify", "-", stdin=piped.output).exit_code == 1
    assert cli("verify", "-", "--identity-command", f"cat {identity}", stdin=piped.output).exit_code == 0


@pytest.mark.skipif(shutil.which("zstd") is None, reason="there is no zstd")
def test_by_age_itself(plain: Lake, server: Server, database: str, cli: Cli, tmp_path: Path) -> None:
    """Debian's age opens what dlbackup made, down to psql; and dlbackup opens, and writes for, what age made."""
    age = unpacked("age-1.1", "age") / "usr/bin"
    subprocess.run([age / "age-keygen", "-o", "key.txt"], cwd=tmp_path, capture_output=True, check=True)
    public = subprocess.run([age / "age-keygen", "-y", "key.txt"], cwd=tmp_path, capture_output=True, check=True).stdout
    made = cli("dump", plain.url, "-o", "b.sql.zst.age", "--encrypt-to", public.decode().strip())
    assert made.exit_code == 0, made.stderr

    pipe = f"{age}/age -d -i key.txt b.sql.zst.age | tee b.sql.zst | zstd -dc"
    sql = subprocess.run(["sh", "-c", pipe], cwd=tmp_path, capture_output=True, check=True).stdout
    server.run("psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-d", database.rpartition("/")[2], stdin=sql)
    assert state(database)[2] == state(plain.url)[2]

    for words in (("-R", "recipients.txt"), ("-a", "-R", "recipients.txt")):
        (tmp_path / "recipients.txt").write_bytes(public)
        subprocess.run([age / "age", *words, "-o", "theirs.age", "b.sql.zst"], cwd=tmp_path, check=True)
        assert cli("verify", "theirs.age", "--identity", "key.txt").exit_code == 0


def test_keys_of_a_plugin(divided: str, cli: Cli, tmp_path: Path) -> None:
    """A plugin is started once for a file, however many processes read it; Debian's age has the same one as well."""
    log, (to, key) = Path(f"{toy_plugin(tmp_path)}.log"), (toy_recipient(bytes(32)), toy_identity(bytes(32)))
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    (tmp_path / "key.txt").write_text(key)
    made = cli("dump", divided, "-o", "b.sql.zst.age", "--encrypt-to", to, env=env)
    assert made.exit_code == 0, made.stderr
    assert cli("verify", "b.sql.zst.age", "--identity", "key.txt", "--jobs", "3", "--json", env=env).json()["ok"]
    assert log.read_text().split() == ["--age-plugin=recipient-v1", "--age-plugin=identity-v1"]

    age = str(unpacked("age-1.1", "age") / "usr/bin/age")

    def run(*words: str, stdin: bytes = b"") -> bytes:
        command = [age, *words]
        done = subprocess.run(command, cwd=tmp_path, env=os.environ | env, input=stdin, capture_output=True, check=True)
        return done.stdout

    opened = run("-d", "-i", "key.txt", "b.sql.zst.age")
    assert opened.startswith(zstandard.FRAME_HEADER)
    run("-r", to, "-o", "theirs.age", stdin=opened)
    assert cli("verify", "theirs.age", "--identity", "key.txt", env=env).exit_code == 0


def test_a_passphrase_there_and_back(
    divided: str, database: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a passphrase too: several processes, the next night's base, a restore, and another program."""
    assert Passphrase(b"").work_factor == 18  # a second for each file and process
    monkeypatch.setattr("dlbackup.stores.keyfiles.Passphrase", partial(Passphrase, work_factor=10))
    (tmp_path / "words").write_text("correct horse\n")
    to, opens = ("--encrypt-to-passphrase-file", "words"), ("--passphrase-file", "words")
    said = cli("dump", divided, "-o", "backups/", *to, "--json").json()
    path = tmp_path / said["path"]

    assert pyrage.passphrase.decrypt(path.read_bytes(), "correct horse").startswith(zstandard.FRAME_HEADER)
    refused = cli("verify", path, "--json")
    assert (refused.exit_code, "--passphrase-file" in refused.json()["error"]["hint"]) == (1, True)
    assert cli("verify", path, *opens, "--jobs", "3", "--json").json()["ok"]
    assert cli("info", path, "--json", env={"DLBACKUP_PASSPHRASE_FILE": "words"}).json()["rows"] == said["rows"]
    assert cli("dump", divided, "-o", "backups/", *to, "--base", "auto", "--json").json()["reused_rows"] >= ROWS
    assert cli("restore", path, database, *opens).exit_code == 0
    assert state(database)[2] == state(divided)[2]


def test_a_catalog_in_a_file(
    file_lakes: FileLakes, cli: Cli, secret: SecretKey, identity: Path, tmp_path: Path
) -> None:
    """The same for a DuckDB file: its copy has the same rows."""
    one = file_lakes.copy("inlined", "1.5.5", tmp_path)
    made = dump(str(one.path), tmp_path / "b.sql.zst.age", keys=Keys(encrypt_to=(str(secret.public),)))

    done = cli("restore", made.path, tmp_path / "new.ducklake", "--identity", identity, "--no-data-files")

    assert done.exit_code == 0, done.stderr
    again = dump(str(tmp_path / "new.ducklake"), tmp_path / "again.sql.zst")
    assert again.contents == made.contents


def test_secrets_and_rows_stay_inside(
    divided: str, database: str, cli: Cli, secret: SecretKey, identity: Path, tmp_path: Path
) -> None:
    """While helpers and children work, no process list has the identity; killed, a dump leaves no plaintext."""
    execute(divided, f"insert into {STATISTICS} (data_file_id, max_value) values (1, 'very private')")
    to, opens = ("--encrypt-to", str(secret.public)), ("--identity", identity)
    made = cli("dump", divided, "-o", "b.sql.zst.age", *to)
    texts = [made.stdout + made.stderr]
    for words in (("verify", "b.sql.zst.age", "--jobs", "3", *opens), ("restore", "b.sql.zst.age", database, *opens)):
        with cli.started(*words) as process:
            while process.poll() is None:
                texts.append(subprocess.run(["ps", "-A", "-o", "args"], capture_output=True, text=True).stdout)
            texts += [stream.read().decode() for stream in (process.stdout, process.stderr) if stream]
        assert process.returncode == 0, texts[-1]
    assert len(texts) > 6
    assert not any(secret.text() in text for text in texts)

    with cli.started("dump", divided, "-o", "killed.sql.zst.age", "--max-rate", "10k", *to) as process:
        wait_until(lambda: list(tmp_path.glob(".killed*.part")))
        process.kill()
        process.wait()
    assert not (tmp_path / "killed.sql.zst.age").exists()
    for path in (*tmp_path.glob(".killed*.part"), tmp_path / "b.sql.zst.age"):
        data = path.read_bytes()
        assert not data or data.startswith(b"age-encryption.org/v1\n")
        assert zstandard.MAGIC_NUMBER.to_bytes(4, "little") not in data[:4096]
    assert verify(tmp_path / "b.sql.zst.age", keys=Keys(identity=(identity,))).ok


def test_keys_of_data_files_in_clear(plain: Lake, cli: Cli, secret: SecretKey) -> None:
    """A plain backup of a lake with encrypted files is warned of, until somebody accepts it, or encrypts it."""
    execute(plain.url, "delete from ducklake_metadata where key = 'encrypted'", ENCRYPTED)

    assert "keys to the lake's encrypted Parquet files" in cli("dump", plain.url, "-o", "a.sql.zst").stderr
    for words in (("b.sql.zst", "--plaintext-keys"), ("c.sql.zst.age", "--encrypt-to", str(secret.public))):
        assert "Parquet" not in cli("dump", plain.url, "-o", *words).stderr
