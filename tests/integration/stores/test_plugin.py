"""Keys of age's plugins: a real program at the other end, what it asks of people, and every way in which it fails."""

import os
import pickle
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support.plugins import toy_identity, toy_plugin, toy_recipient

from dlbackup.errors import Corrupt, DlbackupError, NoIdentity, StorageError, UsageError, WrongIdentity
from dlbackup.runtime import people
from dlbackup.stores.age.header import parse_header
from dlbackup.stores.age.x25519 import SecretKey
from dlbackup.stores.contract import Where
from dlbackup.stores.encrypted import Encrypted, keyed
from dlbackup.stores.folder import Folder, local
from dlbackup.stores.keys import Keyring, Keys

DATA = b"what the catalog says" * 9999
NAME = "backup.sql.zst.age"
KEY = bytes(range(32))


@pytest.fixture(autouse=True)
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plugin in the PATH, and what it was started with."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = toy_plugin(folder)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    for name in ("DLBACKUP_IDENTITY", "DLBACKUP_PASSPHRASE_FILE", "TOY"):
        monkeypatch.delenv(name, raising=False)
    return program.with_name(f"{program.name}.log")


def written(folder: Path, *recipients: str) -> Where:
    where = Where(Encrypted(Folder(folder), Keys(encrypt_to=recipients or (toy_recipient(KEY),)).ring()), NAME)
    with where.store.create(NAME) as sink:
        sink.write(DATA)
    return where


def content(where: Where) -> bytes:
    with where.open() as file:
        return file.read_at(0, file.size)


def opened_by(folder: Path, *texts: str) -> Where:
    path = folder / "identity"
    path.write_text("# made by hand\n" + "\n".join(texts or (toy_identity(KEY),)) + "\n")
    return keyed(local(folder / NAME), Keys(identity=(path,)).ring())


def starts(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def test_a_plugin_writes_and_opens(tmp_path: Path, log: Path, secret: SecretKey) -> None:
    """Beside other recipients; the run that wrote needs it no more, other processes don't ask it again."""
    where = written(tmp_path, str(secret.public), toy_recipient(KEY), toy_recipient(bytes(32)))
    kinds = [stanza.words[0] for stanza in parse_header((tmp_path / NAME).read_bytes()).stanzas]
    assert kinds == [b"X25519", b"toy", b"toy", b"X25519"]
    assert content(where) == DATA
    assert starts(log) == ["--age-plugin=recipient-v1"] * 2

    read = opened_by(tmp_path, toy_identity(KEY))
    assert content(read) == content(pickle.loads(pickle.dumps(read))) == content(read) == DATA  # noqa: S301 - our own
    assert starts(log)[2:] == ["--age-plugin=identity-v1"]
    assert content(opened_by(tmp_path, secret.text())) == DATA
    assert toy_identity(KEY) not in repr(read.store)


def test_an_identity_of_a_plugin_is_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may stand in the environment, and neither on a command line nor where recipients belong."""
    written(tmp_path)
    monkeypatch.setenv("DLBACKUP_IDENTITY", toy_identity(KEY))
    assert content(keyed(local(tmp_path / NAME), Keyring())) == DATA
    for keys in (Keys(identity=(toy_identity(KEY),)), Keys(encrypt_to=(toy_identity(KEY),))):
        with pytest.raises(UsageError, match=r"everybody|which is secret") as refused:
            keys.ring()
        assert toy_identity(KEY)[-20:] not in refused.value.message + refused.value.hint


def test_another_opens_it_where_a_plugin_fails(
    tmp_path: Path, secret: SecretKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plugin that is not there or can't is no reason not to try the next identity; it is named if none opens it."""
    written(tmp_path, str(secret.public), toy_recipient(KEY))
    monkeypatch.setenv("TOY", "error")
    absent = toy_identity(KEY).replace("TOY", "NONE")
    assert content(opened_by(tmp_path, toy_identity(KEY), secret.text())) == DATA
    with pytest.raises(NoIdentity, match="the key is at home"):
        content(opened_by(tmp_path, toy_identity(KEY), SecretKey.generate().text()))
    with pytest.raises(NoIdentity, match="checksum"):
        content(opened_by(tmp_path, absent))


def test_an_identity_of_others(tmp_path: Path, secret: SecretKey) -> None:
    """What a plugin doesn't open is encrypted to others, as with other keys."""
    written(tmp_path, toy_recipient(KEY), str(secret.public))
    with pytest.raises(WrongIdentity, match="one of age's plugin toy") as refused:
        content(opened_by(tmp_path, toy_identity(bytes(32))))
    assert toy_identity(bytes(32))[-20:] not in refused.value.message + refused.value.hint


def test_a_plugin_that_is_not_there(tmp_path: Path, log: Path) -> None:
    """It is said which program is missing: of a recipient before anything is written, of an identity when it's used."""
    written(tmp_path)
    log.with_name("age-plugin-toy").unlink()
    with pytest.raises(UsageError, match="age-plugin-toy isn't in the PATH"):
        Keys(encrypt_to=(toy_recipient(KEY),)).ring()
    with pytest.raises(NoIdentity, match="age-plugin-toy isn't in the PATH") as refused:
        content(opened_by(tmp_path))
    assert "have age-plugin-toy in the PATH" in refused.value.hint


FAILS: dict[str, tuple[type[DlbackupError], str]] = {
    "mute": (NoIdentity, "said nothing for 0.3 s.*DLBACKUP_PLUGIN_TIMEOUT"),
    "dies": (NoIdentity, "ended before it was done, with status 3"),
    "nonsense": (NoIdentity, "no stanza"),
    "endless": (NoIdentity, "more than a stanza has"),
    "error": (NoIdentity, "the key is at home"),
    "damaged": (Corrupt, "low order"),
    "long": (NoIdentity, "no key of the file's"),
}


@pytest.mark.parametrize("way", FAILS)
def test_failures_of_a_plugin_are_said(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it does, reading and writing end soon, in its words where it has any; nothing is left of the file."""
    written(tmp_path)
    (tmp_path / NAME).rename(tmp_path / "kept")
    monkeypatch.setenv("TOY", way)
    monkeypatch.setenv("DLBACKUP_PLUGIN_TIMEOUT", "0.3" if way == "mute" else "30")
    error, said = FAILS[way]

    if way not in ("long", "damaged"):
        with pytest.raises(StorageError, match=said):
            written(tmp_path)
    assert not (tmp_path / NAME).exists()
    (tmp_path / "kept").rename(tmp_path / NAME)
    with pytest.raises(error, match=said):
        content(opened_by(tmp_path))


def test_two_stanzas_for_one_recipient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin that makes another number of stanzas than it was asked for is not believed."""
    monkeypatch.setenv("TOY", "two")
    with pytest.raises(StorageError, match="2 stanzas"):
        written(tmp_path)


def test_labels_of_a_plugin_count(tmp_path: Path, secret: SecretKey, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is post-quantum by a plugin stands beside its like, the run's own key included; others stand alone."""
    monkeypatch.setenv("TOY", "postquantum")
    assert content(written(tmp_path)) == DATA
    kinds = [stanza.words[0] for stanza in parse_header((tmp_path / NAME).read_bytes()).stanzas]
    assert kinds == [b"toy", b"mlkem768x25519"]
    (tmp_path / NAME).unlink()
    with pytest.raises(UsageError, match="post-quantum"):
        written(tmp_path, toy_recipient(KEY), str(secret.public))
    monkeypatch.setenv("TOY", "alone")
    with pytest.raises(UsageError, match="no other recipients"):
        written(tmp_path)
    assert not (tmp_path / NAME).exists()


def test_a_message_reaches_people(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard error, without what would steer a terminal; what dlbackup doesn't know is answered so."""
    monkeypatch.setenv("TOY", "touch")
    written(tmp_path)
    assert content(opened_by(tmp_path)) == DATA
    assert capsys.readouterr().err == "age's plugin toy: touch the ?[31mkey\n" * 2


@pytest.mark.parametrize(("way", "answer", "wrong"), [("pin", "1234", "4321"), ("plugged in", "Y", "n")])
def test_what_a_plugin_asks(
    way: str,
    answer: str,
    wrong: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An answer goes back; where there is nobody to answer, the plugin is told, and people see what was asked."""
    written(tmp_path)
    monkeypatch.setenv("TOY", way)
    asked: list[bool] = []
    answers: list[str | None] = [None, wrong, answer]

    def ask(question: str, *, secret: bool) -> str | None:
        asked.append(secret)
        return answers.pop()

    monkeypatch.setattr(people, "ask", ask)
    for given in (answer, wrong, None):
        if given == answer:
            assert content(opened_by(tmp_path)) == DATA
            continue
        with pytest.raises(NoIdentity, match=r"no PIN, no key|there is no key"):
            content(opened_by(tmp_path))
    assert asked == [way == "pin"] * 3
    said = capsys.readouterr().err
    assert "no terminal to answer at" in said
    assert "1234" not in said


@pytest.mark.skipif(sys.platform != "linux", reason="script of util-linux")
def test_a_terminal_is_asked(tmp_path: Path) -> None:
    """The terminal of whoever started it, even where standard input is a file; a secret isn't shown."""
    for secret, shown in ((True, False), (False, True)):
        code = f"from dlbackup.runtime.people import ask; print('got', len(ask('what?', secret={secret})))"
        inner = f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} < /dev/null"
        command = ["script", "-qec", inner, "/dev/null"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
            assert process.stdin
            assert process.stdout
            said = b""
            while not said.endswith(b"what? "):
                said += process.stdout.read(1) or pytest.fail(f"it ended: {said!r}")
            process.stdin.write(b"twelve chars\n")
            answer = process.stdout.read()
        assert b"got 12" in answer
        assert (b"twelve" in answer) is shown


def test_nobody_is_asked_without_a_terminal() -> None:
    """Where no terminal belongs to the process, there is no answer, and no waiting for one."""
    code = "from dlbackup.runtime.people import ask; print(ask('a', secret=True), ask('b', secret=False))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, stdin=subprocess.DEVNULL, start_new_session=True, timeout=60
    )
    assert done.stdout == b"None None\n"


def test_a_ring_of_a_plugin_is_shown_without_secrets(tmp_path: Path) -> None:
    """Neither ring nor identity print what opens a backup."""
    identity = opened_by(tmp_path).store
    assert isinstance(identity, Encrypted)
    assert toy_identity(KEY) not in f"{identity.ring!r} {Keyring(Keys(identity=(tmp_path / 'identity',)))!r}"
