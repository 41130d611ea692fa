"""A store seen through keys: what is written by age, what is read, and who may."""

import os
import pickle
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest

from dlbackup.errors import BackupError, DlbackupError, NoIdentity, StorageError, UsageError, WrongIdentity
from dlbackup.stores.age.x25519 import SecretKey
from dlbackup.stores.contract import Where
from dlbackup.stores.encrypted import Encrypted, keyed
from dlbackup.stores.folder import Folder, local
from dlbackup.stores.in_memory import InMemory
from dlbackup.stores.keys import Keyring, Keys

DATA = b"what the catalog says" * 9999
NAME = "backup.sql.zst.age"


@pytest.fixture(autouse=True)
def no_identity_of_whoever_runs_this(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DLBACKUP_IDENTITY", raising=False)


@pytest.fixture
def secret() -> SecretKey:
    return SecretKey.generate()


@pytest.fixture
def identity(secret: SecretKey, tmp_path: Path) -> Path:
    path = tmp_path / "key.txt"
    path.write_text(f"# created: now\n# public key: {secret.public}\n\n{secret.text()}\n")
    return path


def ring_to(*secrets: SecretKey) -> Keyring:
    return Keys(encrypt_to=tuple(str(secret.public) for secret in secrets)).ring()


def written(folder: Path, ring: Keyring, name: str = NAME) -> Where:
    where = Where(Encrypted(Folder(folder), ring), name)
    with where.store.create(name) as sink:
        for at in range(0, len(DATA), 10_000):
            sink.write(DATA[at : at + 10_000])
    return where


def content(where: Where) -> bytes:
    with where.open() as file:
        return file.read_at(0, file.size)


def test_what_is_written_is_a_file_of_age(tmp_path: Path, secret: SecretKey) -> None:
    """Each recipient opens it with another program; the run that wrote it needs no identity, another run one."""
    other = SecretKey.generate()
    where = written(tmp_path, ring_to(secret, other))

    assert DATA[:20] not in (tmp_path / NAME).read_bytes()
    for one in (secret, other):
        assert pyrage.decrypt((tmp_path / NAME).read_bytes(), [pyrage.x25519.Identity.from_str(one.text())]) == DATA
    assert content(where) == DATA
    assert content(pickle.loads(pickle.dumps(where))) == DATA  # noqa: S301 - our own, as a helper gets it
    with pytest.raises(NoIdentity, match="no identity was given"):
        content(keyed(local(tmp_path / NAME), Keyring()))
    with pytest.raises(NoIdentity):
        content(keyed(local(tmp_path / NAME), ring_to(secret)))


@pytest.mark.parametrize("way", ["file", "command", "variable", "key in the variable"])
def test_an_identity_opens_it(
    way: str, tmp_path: Path, secret: SecretKey, identity: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a file, a command, and the environment, by name or itself; what is read goes to another process with it."""
    written(tmp_path, ring_to(secret))
    keys = Keys()
    if way == "file":
        keys = Keys(identity=(identity,))
    elif way == "command":
        keys = Keys(identity_command=f"cat {shlex.quote(str(identity))}")
    else:
        monkeypatch.setenv("DLBACKUP_IDENTITY", str(identity) if way == "variable" else secret.text())
    where = keyed(local(tmp_path / NAME), keys.ring())

    assert content(where) == DATA
    identity.unlink()
    monkeypatch.delenv("DLBACKUP_IDENTITY", raising=False)
    assert content(pickle.loads(pickle.dumps(where))) == DATA  # noqa: S301 - our own


def test_an_option_counts_before_the_environment(
    tmp_path: Path, secret: SecretKey, identity: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where an option names an identity, what the environment names isn't even read."""
    monkeypatch.setenv("DLBACKUP_IDENTITY", "/nowhere")
    written(tmp_path, ring_to(secret))

    assert content(keyed(local(tmp_path / NAME), Keys(identity=(identity,)).ring())) == DATA


def test_secrets_are_read_only_where_they_are_needed(tmp_path: Path) -> None:
    """Neither for a plain file, whatever its name, nor for what this run wrote, is there a look at other identities."""
    (tmp_path / NAME).write_bytes(b"plain")
    ring = Keys(identity=("/nowhere",), identity_command="/nowhere").ring()

    assert content(keyed(local(tmp_path / NAME), ring)) == b"plain"
    ring = Keys(encrypt_to=(str(SECRET.public),), identity=("/nowhere",)).ring()
    assert content(written(tmp_path, ring, "own.zst.age")) == DATA


def test_others_are_told_what_is_wrong(tmp_path: Path, secret: SecretKey, identity: Path) -> None:
    """An identity that it isn't encrypted to is named by its public key, and the file by its name."""
    written(tmp_path, ring_to(SecretKey.generate()))
    with pytest.raises(WrongIdentity, match=str(secret.public)) as refused:
        content(keyed(local(tmp_path / NAME), Keys(identity=(identity,)).ring()))

    assert str(tmp_path / NAME) in refused.value.message
    assert refused.value.exit_code == 3


def test_the_name_says_what_it_is(tmp_path: Path, secret: SecretKey) -> None:
    """Neither is a plain backup called encrypted nor the other way round; what is no backup stays plain."""
    for ring, name in ((ring_to(secret), "a.sql.zst"), (Keyring(), NAME)):
        with pytest.raises(UsageError):
            written(tmp_path, ring, name)
    assert list(tmp_path.iterdir()) == []

    written(tmp_path, ring_to(secret), "a.backup.json")
    assert (tmp_path / "a.backup.json").read_bytes() == DATA


def test_nothing_is_left_of_an_error(secret: SecretKey) -> None:
    """What ends before its last chunk was never there."""
    store = Encrypted(InMemory(), ring_to(secret))
    with pytest.raises(KeyboardInterrupt), store.create(NAME) as sink:
        sink.write(DATA)
        raise KeyboardInterrupt
    assert list(store.list()) == []


def test_damage_is_found(tmp_path: Path, secret: SecretKey) -> None:
    """A flipped byte in what a file holds, and a cut, are damage of the backup's."""
    where = written(tmp_path, ring_to(secret))
    whole = (tmp_path / NAME).read_bytes()
    for broken in (whole[:-1], whole[:-40_000], whole[:100], whole[:-100] + b"x" + whole[-99:]):
        (tmp_path / NAME).write_bytes(broken)
        with pytest.raises(BackupError):
            content(where)


def _wrong(folder: Path, text: str | bytes) -> Path:
    path = folder / "wrong"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


SECRET = SecretKey.generate()
WRONG: dict[str, tuple[type[DlbackupError], str, Callable[[Path], Keys]]] = {
    "recipient": (UsageError, "checksum", lambda f: Keys(encrypt_to=(str(SECRET.public)[:-1] + "x",))),
    "ssh key": (UsageError, "ssh-ed25519", lambda f: Keys(encrypt_to=("ssh-ed25519 AAAAC3",))),
    "identity as recipient": (UsageError, "secret", lambda f: Keys(encrypt_to=(SECRET.text(),))),
    "identity among recipients": (
        UsageError,
        "line 2",
        lambda f: Keys(recipients_file=_wrong(f, f"{SECRET.public}\n{SECRET.text()}\n")),
    ),
    "no recipients": (UsageError, "no recipient", lambda f: Keys(recipients_file=_wrong(f, "# none\n"))),
    "no file of recipients": (StorageError, "No such file", lambda f: Keys(recipients_file=f / "nowhere")),
    "no file": (StorageError, "nowhere", lambda f: Keys(identity=(f / "nowhere",))),
    "identity as file": (UsageError, "everybody", lambda f: Keys(identity=(SECRET.text(),))),
    "identity in the command": (
        UsageError,
        "everybody",
        lambda f: Keys(identity_command=f"echo {SECRET.text()}"),
    ),
    "empty file": (StorageError, "no identity", lambda f: Keys(identity=(_wrong(f, ""),))),
    "cut identity": (StorageError, "line 1", lambda f: Keys(identity=(_wrong(f, SECRET.text()[:-1]),))),
    "binary file": (StorageError, "line 1", lambda f: Keys(identity=(_wrong(f, os.urandom(50).replace(b"#", b"x")),))),
    "encrypted identity": (
        StorageError,
        "itself encrypted",
        lambda f: Keys(identity=(_wrong(f, "age-encryption.org/v1\n"),)),
    ),
    "no command": (StorageError, "can't be run", lambda f: Keys(identity_command="/nowhere secret")),
    "quotes": (StorageError, "can't be run", lambda f: Keys(identity_command="echo 'secret")),
    "failing command": (StorageError, "status 3", lambda f: Keys(identity_command=f"{sys.executable} -c 'exit(3)'")),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_keys_are_named_and_not_shown(case: str, tmp_path: Path) -> None:
    """What is wrong with which file or option is said; no part of a secret is."""
    error, said, keys = WRONG[case]
    store = InMemory()
    with Encrypted(store, ring_to(SecretKey.generate())).create(NAME) as sink:
        sink.write(DATA)
    with pytest.raises(error, match=said) as refused:
        content(Where(Encrypted(store, keys(tmp_path).ring()), NAME))

    both = refused.value.message + refused.value.hint
    assert SECRET.text()[:30] not in both.upper()
    assert "nowhere secret" not in both


def test_nothing_shows_a_secret(secret: SecretKey, identity: Path, tmp_path: Path) -> None:
    """Neither options nor keys nor what they open print one."""
    ring = Keys(identity=(identity,)).ring()
    where = written(tmp_path, ring_to(secret))
    again = keyed(local(tmp_path / NAME), ring)
    assert content(again) == DATA
    for thing in (ring, again, where, Keys(encrypt_to=(secret.text(),)), Keys(identity=(secret.text(),))):
        assert secret.text() not in repr(thing)
        assert repr(secret.secret) not in repr(thing)
