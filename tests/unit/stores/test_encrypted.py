"""A store seen through keys: what is written by age, what is read, and who may."""

import io
import pickle
import shlex
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from support.keys import ssh_pair

from dlbackup.errors import BackupError, DlbackupError, NoIdentity, StorageError, UsageError, WrongIdentity
from dlbackup.stores.age.header import parse_header
from dlbackup.stores.age.hybrid import HybridSecretKey
from dlbackup.stores.age.passphrase import Passphrase
from dlbackup.stores.age.payload import Writer
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
    monkeypatch.delenv("DLBACKUP_PASSPHRASE_FILE", raising=False)


@pytest.fixture(autouse=True)
def scrypt_takes_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dlbackup.stores.keyfiles.Passphrase", partial(Passphrase, work_factor=5))


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


@pytest.mark.parametrize("made_by", ["age-keygen", "ssh-keygen"])
def test_the_environment_may_hold_all_of_a_file(
    made_by: str, tmp_path: Path, secret: SecretKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a store of secrets gives is what the file says, comments included: no name of a file, to be repeated."""
    public, private = ssh_pair(Ed25519PrivateKey.generate())
    text = f"# created: 2026-11-30\n# public key: {secret.public}\n{secret.text()}\n"
    written(tmp_path, Keys(encrypt_to=(public, str(secret.public))).ring())

    monkeypatch.setenv("DLBACKUP_IDENTITY", text if made_by == "age-keygen" else private.decode())

    assert content(keyed(local(tmp_path / NAME), Keyring())) == DATA


def test_a_file_may_be_called_after_what_it_holds(tmp_path: Path, secret: SecretKey) -> None:
    """Only an identity itself is refused in a command line; of each option that names a file, and not repeated."""
    written(tmp_path, ring_to(secret))
    file = _file(tmp_path, secret.text(), "age-secret-key-of-operations.txt")
    assert content(keyed(local(tmp_path / NAME), Keys(identity=(file,)).ring())) == DATA

    text = secret.text()
    for keys in (Keys(recipients_file=text), Keys(passphrase_file=text), Keys(encrypt_to_passphrase_file=text)):
        with pytest.raises(UsageError, match="holds an identity itself") as refused:
            keys.ring()
        assert secret.text() not in repr((refused.value, refused.value.hint))


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


def _file(folder: Path, text: str | bytes, name: str = "file") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def _locked(text: str) -> bytes:
    """Return a text as age encrypts it by a passphrase, in little time."""
    sink = io.BytesIO()
    writer = Writer(sink, [Passphrase(b"one", 5)])
    writer.write(text.encode())
    writer.finish()
    return sink.getvalue()


def _writing(folder: Path, keys: Keys) -> Keys:
    written(folder, keys.ring())
    return keys


SECRET = SecretKey.generate()
NISTP256 = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
PROTECTED = ssh_pair(Ed25519PrivateKey.generate(), b"secret")[1]
MISTYPED = str(SECRET.public)[:-1] + ("q" if str(SECRET.public)[-1] != "q" else "p")
WRONG: dict[str, tuple[type[DlbackupError], str, Callable[[Path], Keys]]] = {
    "recipient": (UsageError, "checksum", lambda f: Keys(encrypt_to=(MISTYPED,))),
    "ssh key": (UsageError, "ssh-ed25519", lambda f: Keys(encrypt_to=("ssh-ed25519 AAAAC3",))),
    "other ssh key": (UsageError, "only ssh-ed25519", lambda f: Keys(encrypt_to=("ecdsa-sha2-nistp256 AAAAE2",))),
    "plugin": (UsageError, "age-plugin-nowhere", lambda f: Keys(encrypt_to=(f"age1nowhere1q{'0' * 58}",))),
    "post-quantum": (UsageError, "checksum", lambda f: Keys(encrypt_to=(f"age1pq1{'q' * 1900}",))),
    "post-quantum beside others": (
        UsageError,
        "can't be combined",
        lambda f: _writing(f, Keys(encrypt_to=(str(SECRET.public), str(HybridSecretKey.generate().public)))),
    ),
    "passphrase beside others": (
        UsageError,
        "combined",
        lambda f: Keys(encrypt_to=(str(SECRET.public),), encrypt_to_passphrase_file=_wrong(f, "x\n")),
    ),
    "empty passphrase": (StorageError, "no passphrase", lambda f: Keys(encrypt_to_passphrase_file=_wrong(f, "\nx"))),
    "no file of a passphrase": (StorageError, "--passphrase-file names", lambda f: Keys(passphrase_file=f / "nowhere")),
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
    "binary file": (StorageError, "line 1", lambda f: Keys(identity=(_wrong(f, bytes(range(0x80, 0xB0))),))),
    "encrypted identity": (
        StorageError,
        "itself encrypted",
        lambda f: Keys(identity=(_wrong(f, "age-encryption.org/v1\n"),)),
    ),
    "identity of a plugin": (
        StorageError,
        "checksum",
        lambda f: Keys(identity=(_wrong(f, "AGE-PLUGIN-NOWHERE-1QXX"),)),
    ),
    "post-quantum identity": (
        StorageError,
        "checksum",
        lambda f: Keys(identity=(_wrong(f, "AGE-SECRET-KEY-PQ-1QXX"),)),
    ),
    "public key as identity": (StorageError, "public key", lambda f: Keys(identity=(_wrong(f, "ssh-ed25519 AAAA"),))),
    "cut ssh identity": (
        StorageError,
        "no private key",
        lambda f: Keys(identity=(_wrong(f, "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"),)),
    ),
    "identity encrypted by another passphrase": (
        StorageError,
        "not by the passphrase",
        lambda f: Keys(
            identity=(_wrong(f, _locked(SECRET.text())),),
            passphrase_file=_file(f, "other\n"),
        ),
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


@pytest.mark.parametrize("way", ["option", "variable", "the same that writes"])
def test_a_passphrase_writes_and_opens(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file's first line is the passphrase, for another program too; the run that wrote it needs no other."""
    file = _file(tmp_path, "öpen sesame \r\nsomething else\n", "passphrase")
    where = written(tmp_path, Keys(encrypt_to_passphrase_file=file).ring())
    assert content(where) == DATA
    keys = Keys(passphrase_file=file) if way == "option" else Keys()
    if way == "variable":
        monkeypatch.setenv("DLBACKUP_PASSPHRASE_FILE", str(file))
        assert pyrage.passphrase.decrypt((tmp_path / NAME).read_bytes(), "öpen sesame ") == DATA
    if way == "the same that writes":
        keys = Keys(encrypt_to_passphrase_file=file)
    read = keyed(local(tmp_path / NAME), keys.ring())

    assert content(read) == DATA
    file.unlink()
    assert content(pickle.loads(pickle.dumps(read))) == DATA  # noqa: S301 - our own
    assert "sesame" not in repr((where, read))


def test_who_has_no_passphrase_is_told(tmp_path: Path, identity: Path) -> None:
    """Without one, the option is named, whatever identities there are; another one is wrong as an identity is."""
    written(tmp_path, Keys(encrypt_to_passphrase_file=_file(tmp_path, "one")).ring())
    for keys in (Keys(), Keys(identity=(identity,))):
        with pytest.raises(NoIdentity, match="by a passphrase") as refused:
            content(keyed(local(tmp_path / NAME), keys.ring()))
        assert "--passphrase-file" in refused.value.hint
    with pytest.raises(WrongIdentity, match="another passphrase"):
        content(keyed(local(tmp_path / NAME), Keys(passphrase_file=_file(tmp_path, "two")).ring()))


def test_an_identity_that_is_encrypted_is_opened(tmp_path: Path, secret: SecretKey) -> None:
    """A file of identities may itself be encrypted by a passphrase, armored or not, as age -p writes it."""
    written(tmp_path, ring_to(secret))
    locked = _file(tmp_path, _locked(secret.text()), "key.age")
    opens = Keys(identity=(locked,), passphrase_file=_file(tmp_path, "one\n"))
    assert content(keyed(local(tmp_path / NAME), opens.ring())) == DATA


def test_post_quantum_keys_write_and_open(tmp_path: Path) -> None:
    """The run's own key is of their sort, so that whoever breaks others reads nothing."""
    secret = HybridSecretKey.generate()
    recipients = _file(tmp_path, f"{secret.public}\n{HybridSecretKey.generate().public}\n", "recipients")
    where = written(tmp_path, Keys(recipients_file=recipients).ring())
    assert content(where) == content(pickle.loads(pickle.dumps(where))) == DATA  # noqa: S301 - our own
    kinds = [stanza.words[0] for stanza in parse_header((tmp_path / NAME).read_bytes()).stanzas]
    assert kinds == [b"mlkem768x25519"] * 3

    opens = Keys(identity=(_file(tmp_path, secret.text(), "key"),)).ring()
    assert content(keyed(local(tmp_path / NAME), opens)) == DATA
    assert secret.text() not in repr(opens)
    other = Keys(identity=(_file(tmp_path, HybridSecretKey.generate().text(), "other"),)).ring()
    with pytest.raises(WrongIdentity, match=r"age1pq1.{17}\.\.\."):
        content(keyed(local(tmp_path / NAME), other))


def test_ssh_keys_write_and_open(tmp_path: Path, secret: SecretKey) -> None:
    """Recipients are lines of `.pub` files, beside others; identities are private keys' files."""
    public, private = ssh_pair(Ed25519PrivateKey.generate())
    recipients = _file(tmp_path, f"# all of us\n{public}\n{secret.public}\n", "recipients")
    ring = Keys(recipients_file=recipients).ring()
    written(tmp_path, ring)

    assert ring.recipients == (public.removesuffix(" somebody@somewhere"), str(secret.public))
    opens = Keys(identity=(_file(tmp_path, private, "id_ed25519"),)).ring()
    assert content(keyed(local(tmp_path / NAME), opens)) == DATA
    other = Keys(identity=(_file(tmp_path, ssh_pair(Ed25519PrivateKey.generate())[1], "other"),)).ring()
    with pytest.raises(WrongIdentity, match=r"not to the identity that was given \(ssh-ed25519 SHA256:"):
        content(keyed(local(tmp_path / NAME), other))


@pytest.mark.parametrize(("private", "hint"), [(NISTP256, "ssh-ed25519 or ssh-rsa"), (PROTECTED, "ssh-keygen -p")])
def test_an_ssh_key_that_opens_nothing_has_its_own_advice(private: bytes, hint: str, tmp_path: Path) -> None:
    """Only of one that is protected by a passphrase, a copy without one would help."""
    written(tmp_path, ring_to(SecretKey.generate()))
    with pytest.raises(NoIdentity) as refused:
        content(keyed(local(tmp_path / NAME), Keys(identity=(_file(tmp_path, private, "id"),)).ring()))
    assert hint in refused.value.hint


def test_an_armored_backup_is_read(tmp_path: Path, secret: SecretKey, identity: Path) -> None:
    """What somebody made text of is read as it is, whatever its name."""
    recipient = pyrage.x25519.Recipient.from_str(str(secret.public))
    file = _file(tmp_path, pyrage.encrypt(DATA, [recipient], armored=True), "backup.asc")
    assert content(keyed(local(file), Keys(identity=(identity,)).ring())) == DATA
