"""The age format: the published vectors, another implementation in both directions, and damage everywhere."""

import base64
import hashlib
import io
import os
import pickle
import random
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as rsa_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
from support.keys import ssh_pair

from dlbackup.errors import BackupError, Corrupt, StorageError, UsageError
from dlbackup.stores.age import bech32
from dlbackup.stores.age.armor import Dearmored, is_armored
from dlbackup.stores.age.header import FIRST_LINE, HEADER_AT_MOST, NoMatch, parse_header, read_header
from dlbackup.stores.age.hybrid import HybridPublicKey, HybridSecretKey
from dlbackup.stores.age.passphrase import Passphrase
from dlbackup.stores.age.payload import CHUNK, Reader, Writer
from dlbackup.stores.age.ssh import SshPublicKey, SshSecretKey
from dlbackup.stores.age.stanza import TAG, Identity, Recipient, Stanza
from dlbackup.stores.age.x25519 import PublicKey, SecretKey
from dlbackup.stores.contract import Readable
from dlbackup.stores.in_memory import Bytes

VECTORS = sorted(path for path in (Path(__file__).parent / "age_vectors").iterdir() if path.suffix != ".md")
KEY = SecretKey.generate()
HYBRID = HybridSecretKey.generate()
SIZES = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7)


def written(data: bytes, *recipients: Recipient, step: int = 1 << 20) -> bytes:
    sink = io.BytesIO()
    writer = Writer(sink, recipients or [KEY.public])
    for at in range(0, len(data), step):
        writer.write(data[at : at + step])
    writer.finish()
    assert writer.file_bytes == len(sink.getvalue())
    assert writer.sha256 == hashlib.sha256(sink.getvalue()).hexdigest()
    return sink.getvalue()


def read(file: bytes, *identities: Identity) -> bytes:
    reader = Reader(Bytes(file), identities or [KEY])
    return b"".join(reader.read_at(at, CHUNK) for at in range(0, reader.size, CHUNK))


@dataclass
class Vector:
    """One of the published files, and what has to come of it."""

    expect: str
    payload: str
    identities: list[Identity]
    file: bytes
    armored: bool

    @classmethod
    def of(cls, path: Path) -> "Vector":
        """Read one."""
        head, _, file = path.read_bytes().partition(b"\n\n")
        pairs = [line.split(": ", 1) for line in head.decode().splitlines()]
        said = dict(pairs)
        identities: list[Identity] = [
            (HybridSecretKey if "-PQ-" in value else SecretKey).parse(value)
            for key, value in pairs
            if key == "identity"
        ]
        identities += [Passphrase(value.encode()) for key, value in pairs if key == "passphrase"]
        file = zlib.decompress(file) if said.get("compressed") == "zlib" else file
        return cls(said["expect"], said.get("payload", ""), identities, file, said.get("armored") == "yes")

    def read(self) -> bytes:
        """Return what it holds."""
        kept: Readable = Bytes(self.file)
        if self.armored:
            if not is_armored(kept):
                raise Corrupt("not armored")
            kept = Dearmored(kept)
        reader = Reader(kept, self.identities)
        return b"".join(reader.read_at(at, CHUNK) for at in range(0, reader.size, CHUNK))


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.name)
def test_published_vectors(path: Path) -> None:
    """What the authors of the format say must open does, and what must not is refused, for the reason that they say."""
    vector = Vector.of(path)
    if vector.expect == "success":
        assert hashlib.sha256(vector.read()).hexdigest() == vector.payload
        return
    with pytest.raises(NoMatch if vector.expect == "no match" else BackupError):
        vector.read()
    if vector.expect == "payload failure" and not vector.armored:
        header = parse_header(vector.file)
        assert header.file_key(vector.identities)


def test_there_are_vectors() -> None:
    """The folder with the published files is there."""
    assert len(VECTORS) > 140


@pytest.mark.parametrize("size", SIZES)
def test_another_implementation_reads_and_writes_the_same(size: int) -> None:
    """Files of ours are opened by pyrage, and its by us, at every size around a chunk's."""
    data, other = random.Random(size).randbytes(size), pyrage.x25519.Identity.generate()
    ours = PublicKey.parse(str(other.to_public()))

    assert pyrage.decrypt(written(data, ours, KEY.public, step=50_000), [other]) == data
    theirs = pyrage.encrypt(data, [other.to_public(), pyrage.x25519.Recipient.from_str(str(KEY.public))])
    assert read(theirs) == data
    assert read(theirs, SecretKey.generate(), SecretKey.parse(str(other))) == data


def test_another_implementation_reads_what_a_passphrase_has_encrypted() -> None:
    """With a passphrase of ours."""
    assert pyrage.passphrase.decrypt(written(b"abc", Passphrase(b"open sesame", 10)), "open sesame") == b"abc"


@pytest.mark.long  # it makes us, and itself, work for seconds; published vectors are read in every run
def test_passphrases_of_another_implementation() -> None:
    """With a passphrase of its own, which it makes as slow as it likes."""
    made = pyrage.passphrase.encrypt(b"abc", "open sesame")
    assert read(made, Passphrase(b"open sesame")) == b"abc"


def test_keys_are_those_of_another_implementation() -> None:
    """A key is read and written as pyrage does; what is no key is refused without repeating it."""
    other = pyrage.x25519.Identity.generate()
    mine = SecretKey.parse(str(other))

    assert (mine.text(), str(mine.public)) == (str(other), str(other.to_public()))
    for wrong in (str(other)[:-1], str(other).lower(), str(other)[:-1] + "B", str(other.to_public()), "", "1"):
        with pytest.raises(ValueError) as refused:
            SecretKey.parse(wrong)
        assert not wrong or wrong not in str(refused.value) or wrong == "1"
    for wrong in (str(mine.public)[:-1], str(mine.public).upper(), str(other), "ssh-ed25519 AAAA"):
        with pytest.raises(ValueError):
            PublicKey.parse(wrong)


def test_post_quantum_keys_are_those_of_the_format() -> None:
    """The example of the format's description, there and back; what is no key is refused without repeating it."""
    secret = HybridSecretKey.parse("AGE-SECRET-KEY-PQ-1XX76JRALNLXDMEW0CRK45QMCCH4X06SE84UN3VPM33W6HWDX0H3SK3ZQFR")
    public = str(secret.public)
    assert (len(public), public[:24], public[-24:]) == (1959, "age1pq1x34nzsvr0rxjsgdn8", "3qheyty7saeq0d3fzv49zc0k")
    assert HybridPublicKey.parse(public) == secret.public
    assert HybridSecretKey.parse(secret.text()) == secret
    for wrong in (secret.text()[:-1], secret.text().lower(), KEY.text(), public):
        with pytest.raises(ValueError) as refused:
            HybridSecretKey.parse(wrong)
        assert wrong not in str(refused.value)
    not_reduced = bech32.encoded("age1pq", b"\xff" * 1216)  # no coefficients modulo 3329
    for wrong in (public[:-1], str(KEY.public), not_reduced, bech32.encoded("age1pq", bytes(32))):
        with pytest.raises(ValueError):
            HybridPublicKey.parse(wrong)


def test_a_post_quantum_key_writes_and_opens() -> None:
    """Beside its like, each of which opens it; beside others it isn't written."""
    other = HybridSecretKey.generate()
    file = written(b"abc", HYBRID.public, other.public)
    assert read(file, HYBRID) == read(file, KEY, other) == b"abc"
    with pytest.raises(NoMatch):
        read(file, HybridSecretKey.generate())
    for others in (KEY.public, Passphrase(b"open sesame", 5)):
        with pytest.raises(UsageError):
            written(b"abc", HYBRID.public, others)


def test_every_flip_in_a_post_quantum_header_is_found() -> None:
    """Some of the bits of the encapsulated key, and of the rest all."""
    file = written(b"abc", HYBRID.public)
    size = parse_header(file).size
    dice = random.Random(3)
    for place in [*range(60), *dice.sample(range(60, size - 100), 200), *range(size - 100, size)]:
        flipped = bytearray(file)
        flipped[place] ^= 1 << dice.randrange(8)
        with pytest.raises((BackupError, NoMatch)):
            read(bytes(flipped), HYBRID)


def test_post_quantum_keys_need_a_newer_cryptography(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is older, what to install is said, and nothing else is missing."""
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.hpke", None)
    for parse, text in ((HybridSecretKey.parse, HYBRID.text()), (HybridPublicKey.parse, str(HYBRID.public))):
        with pytest.raises(ValueError, match=r"dlbackup\[pq\]"):
            parse(text)
    assert read(written(b"abc", KEY.public), KEY) == b"abc"


def test_secrets_are_not_shown() -> None:
    """Neither a key nor a passphrase is in what Python prints of it; pickled, it is the same."""
    for secret in (KEY, HYBRID, Passphrase(b"open sesame")):
        for text in (repr(secret), str(secret), f"{secret}", repr([secret])):
            assert KEY.text() not in text
            assert HYBRID.text() not in text
            assert repr(HYBRID.secret) not in text
            assert repr(KEY.secret) not in text
            assert "sesame" not in text
        assert pickle.loads(pickle.dumps(secret)) == secret  # noqa: S301 - our own


@given(st.binary(max_size=3 * CHUNK), st.lists(st.tuples(st.integers(0, 4 * CHUNK), st.integers(0, 2 * CHUNK))))
def test_reads_anywhere(data: bytes, places: list[tuple[int, int]]) -> None:
    """Any part is what was written there, beyond the end too."""
    reader = Reader(Bytes(written(data)), [KEY])

    assert reader.size == len(data)
    for offset, size in places:
        assert reader.read_at(offset, size) == data[offset : offset + size]


@pytest.mark.parametrize("size", [0, 100, CHUNK, CHUNK + 50])
def test_every_cut_is_found(size: int) -> None:
    """A file that ends anywhere before its end is refused at once, also inside its header."""
    file = written(os.urandom(size))
    ends = set(range(min(600, len(file)))) | set(range(max(0, len(file) - 200), len(file))) | {CHUNK + 300}
    for end in (end for end in ends if end < len(file)):
        with pytest.raises((BackupError, NoMatch)):
            Reader(Bytes(file[:end]), [KEY])


def test_every_flip_is_found() -> None:
    """Any bit that is another, in header, nonce, chunks or tags, is found when all is read."""
    file = written(random.Random(1).randbytes(CHUNK + 40), SecretKey.generate().public, KEY.public)
    begin = parse_header(file).size
    dice = random.Random(2)
    places = [
        *range(begin + 16),
        *dice.sample(range(begin + 16, len(file)), 60),
        *range(len(file) - 2 * TAG, len(file)),
    ]
    for place in places:
        flipped = bytearray(file)
        flipped[place] ^= 1 << dice.randrange(8)
        with pytest.raises((BackupError, NoMatch)):
            read(bytes(flipped))


def test_what_is_added_or_exchanged_is_found() -> None:
    """Chunks of a file in another order, twice, or with something behind them, are not what was written."""
    file = written(os.urandom(3 * CHUNK))
    begin = parse_header(file).size + 16
    a, b, c = (file[begin + at * (CHUNK + TAG) :][: CHUNK + TAG] for at in range(3))
    for chunks in ([b, a, c], [a, a, b, c], [a, c], [a, b], [a, b, c, c], [a, b, c, b"x"], [a, b, c, bytes(TAG)]):
        with pytest.raises(BackupError):
            read(file[:begin] + b"".join(chunks))


def test_a_header_without_an_end_is_given_up() -> None:
    """No more is read of a header than one may have, however long the file is."""

    class Endless:
        size = 1 << 40
        asked = 0

        def read_at(self, offset: int, size: int) -> bytes:
            self.asked = max(self.asked, offset + size)
            text = FIRST_LINE + b"-> X25519 abc\n" * (size // 10)
            return text[offset : offset + size]

    file = Endless()
    with pytest.raises(Corrupt):
        read_header(file)
    assert file.asked == HEADER_AT_MOST


def test_the_line_of_the_mac_is_compared_as_it_stands() -> None:
    """Unused bits of the MAC's last character, or another space, make another header."""
    file = written(b"abc")
    end = parse_header(file).size
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = letters.index(file[end - 2])
    for other in (bytes([letters[last ^ 1]]) + b"\n", bytes([letters[last ^ 2]]) + b"\n", b"=\n", b" \n", b"\r\n"):
        with pytest.raises(BackupError):
            read(file[: end - 2] + other + file[end:])
        with pytest.raises(BackupError):
            read(file[: end - 1] + other + file[end:])


def test_many_recipients() -> None:
    """A header longer than the first look at a file is read whole."""
    others = [SecretKey.generate().public for _ in range(100)]
    assert read(written(b"abc", *others, KEY.public)) == b"abc"


def test_a_passphrase_is_alone() -> None:
    """A passphrase is never written beside other recipients."""
    with pytest.raises(UsageError):
        written(b"abc", Passphrase(b"x", 5), KEY.public)


@given(st.binary(max_size=200))
def test_stanzas_are_read_as_they_are_written(body: bytes) -> None:
    """A body of any length, also one that fills its lines, comes back."""
    stanza = Stanza((b"kind", b"word"), body)
    text = FIRST_LINE + bytes(stanza) + b"--- " + b"A" * 43 + b"\n"
    assert parse_header(text).stanzas == (stanza,)


SSH_KEYS: dict[str, Ed25519PrivateKey | RSAPrivateKey] = {
    "ed25519": Ed25519PrivateKey.generate(),
    "rsa": rsa_key(65537, 2048),
}


def _fingerprint(public: str) -> str:
    """Return what `ssh-keygen -l` shows of the line of a `.pub` file."""
    digest = hashlib.sha256(base64.b64decode(public.split()[1])).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


@pytest.mark.parametrize("kind", SSH_KEYS)
def test_ssh_keys_of_another_implementation(kind: str) -> None:
    """Files to SSH keys are opened by pyrage, and its by us; another key of the kind opens none."""
    public, private = ssh_pair(SSH_KEYS[kind])
    theirs = pyrage.ssh.Recipient.from_str(public), pyrage.ssh.Identity.from_buffer(private)
    ours = SshPublicKey.parse(public), SshSecretKey.parse(private)

    assert pyrage.decrypt(written(b"abc", ours[0], KEY.public), [theirs[1]]) == b"abc"
    made = pyrage.encrypt(b"abc", [theirs[0], pyrage.x25519.Recipient.from_str(str(KEY.public))])
    assert read(made, ours[1]) == read(made) == b"abc"
    assert pickle.loads(pickle.dumps(ours)) == ours  # noqa: S301 - our own
    assert str(ours[0]) == public.removesuffix(" somebody@somewhere")
    assert str(ours[1]) == f"ssh-{kind} {_fingerprint(public)}"
    assert ours[1].secret not in repr(ours).encode("latin-1", "replace")
    assert "secret" not in repr(ours[1])
    other = Ed25519PrivateKey.generate() if kind == "ed25519" else rsa_key(65537, 2048)
    with pytest.raises(NoMatch):
        read(made, SshSecretKey.parse(ssh_pair(other)[1]))


@pytest.mark.parametrize("kind", SSH_KEYS)
def test_every_flip_in_a_header_to_an_ssh_key_is_found(kind: str) -> None:
    """Any bit of an SSH stanza that is another is found."""
    public, private = ssh_pair(SSH_KEYS[kind])
    file, identity = written(b"abc", SshPublicKey.parse(public)), SshSecretKey.parse(private)
    for place in range(len(FIRST_LINE), parse_header(file).size, 31 if kind == "rsa" else 13):
        with pytest.raises((BackupError, NoMatch)):
            read(file[:place] + bytes([file[place] ^ 1]) + file[place + 1 :], identity)


def test_ssh_keys_that_are_none() -> None:
    """Other kinds, small ones, cut ones and protected ones are refused, by what is wrong with them."""
    public, private = ssh_pair(SSH_KEYS["ed25519"])
    other = generate_private_key(SECP256R1())
    low_order = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    small = ssh_pair(rsa_key(65537, 1024))[0]  # noqa: S505 - to be refused
    for text, why in (
        ("ecdsa-sha2-nistp256 AAAAE2VjZHNh", "only ssh-ed25519 and ssh-rsa"),
        ("ssh-ed25519", "no SSH key"),
        (public[:40], "no SSH key"),
        (low_order, "no SSH key"),
        (small, "too small"),
    ):
        with pytest.raises(ValueError, match=why):
            SshPublicKey.parse(text)
    for data, why in (
        (private[:100], "no private key"),
        (ssh_pair(SSH_KEYS["ed25519"], b"secret")[1], "passphrase"),
        (ssh_pair(SSH_KEYS["rsa"], b"secret")[1], "passphrase"),
        (other.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()), "only ssh-ed25519 and ssh-rsa"),
    ):
        with pytest.raises(ValueError, match=why):
            SshSecretKey.parse(data)


@given(
    data=st.binary(max_size=500),
    places=st.lists(st.tuples(st.integers(0, 900), st.integers(0, 300))),
    crlf=st.booleans(),
)
def test_an_armored_file_is_read_anywhere(data: bytes, places: list[tuple[int, int]], *, crlf: bool) -> None:
    """Any part of what another program wrote as text is what it is without armor, by either kind of lines."""
    text = pyrage.encrypt(data, [pyrage.x25519.Recipient.from_str(str(KEY.public))], armored=True)
    file = Dearmored(Bytes(text.replace(b"\n", b"\r\n") if crlf else text))
    plain = base64.b64decode(b"".join(text.splitlines()[1:-1]))

    assert file.size == len(plain)
    for offset, size in places:
        assert file.read_at(offset, size) == plain[offset : offset + size]
    assert Reader(file, [KEY]).read_at(0, len(data)) == data


def test_every_cut_of_an_armored_file_is_found() -> None:
    """Whatever is missing at its end is noticed when it is opened; what is another, when it is read."""
    text = pyrage.encrypt(os.urandom(200), [pyrage.x25519.Recipient.from_str(str(KEY.public))], armored=True)
    for end in range(40, len(text.rstrip())):
        with pytest.raises((BackupError, NoMatch)):
            Reader(Dearmored(Bytes(text[:end])), [KEY])
    for place in range(35, len(text) - 34):
        flipped = text[:place] + bytes([text[place] ^ 1]) + text[place + 1 :]
        with pytest.raises((BackupError, NoMatch)):
            reader = Reader(Dearmored(Bytes(flipped)), [KEY])
            reader.read_at(0, reader.size)


def test_a_passphrase_costs_its_second_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What scrypt made of it goes along to other processes; a machine without the memory says how much it needs."""
    file = written(b"abc", Passphrase(b"open sesame", 5))
    opens = Passphrase(b"open sesame")
    assert read(file, opens) == b"abc"

    def no_memory(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("cryptography.hazmat.primitives.kdf.scrypt.Scrypt", no_memory)
    assert read(file, pickle.loads(pickle.dumps(opens))) == b"abc"  # noqa: S301 - our own
    with pytest.raises(StorageError, match="256 MiB"):
        Passphrase(b"open sesame").wrap(bytes(16))
