"""
The file format of age, version 1 (https://c2sp.org/age): written as a stream, read anywhere.

A header holds the file's key for each recipient, wrapped so that only that recipient opens it. Behind it stands the
payload in chunks of 64 KiB, each authenticated with its number and whether it is the last: so a chunk can be read
without the others, and nothing can be cut off, added or exchanged. Recipients are X25519 keys (`age1...`) and
passphrases.
"""

import base64
import hashlib
import hmac
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from dlbackup.errors import Corrupt, Unfinished, UsageError
from dlbackup.stores.contract import Readable, Sink

FIRST_LINE = b"age-encryption.org/v1\n"
"""What every such file begins with."""
CHUNK = 64 * 1024
"""Bytes of a chunk before it is encrypted; only the last one has fewer."""
TAG = 16
HEADER_AT_MOST = 1 << 20
"""Longer than the header of any file with thousands of recipients."""
_HEADER_GUESS = 4096
_FILE_KEY = 16
_NONCE = 16
_X25519 = b"X25519"
_SCRYPT = b"scrypt"
_WRAP = b"age-encryption.org/v1/X25519"
_SALT = b"age-encryption.org/v1/scrypt"
WORK_FACTOR = 18
"""What age itself writes: 2^18, about a second and 256 MiB."""
_WORK_FACTOR_AT_MOST = 22
_ONE_NONCE = bytes(12)  # each of the keys that wrap a file's key is used once

_STANZA = re.compile(
    rb"-> (?P<words>[\x21-\x7e]+(?: [\x21-\x7e]+)*)\n(?P<body>(?:[A-Za-z0-9+/]{64}\n)*[A-Za-z0-9+/]{0,63}\n)"
)
_MAC = re.compile(rb"---(?P<mac> [A-Za-z0-9+/]{43}\n)")
_HEADER_END = re.compile(rb"^---[^\n]*\n", re.MULTILINE)


class NoMatch(Exception):
    """None of the identities opens the file: it is encrypted to others, or what its header has for them is damaged."""


@dataclass(frozen=True, slots=True)
class Stanza:
    """What a header holds for one recipient: words, of which the first is the kind, and a body."""

    words: tuple[bytes, ...]
    body: bytes

    def __bytes__(self) -> bytes:
        text = _base64(self.body)
        lines = [text[at : at + 64] for at in range(0, len(text) + 1, 64)]  # the last one is shorter, and may be empty
        return b"-> " + b" ".join(self.words) + b"\n" + b"".join(line + b"\n" for line in lines)


class Recipient(Protocol):
    """Somebody to encrypt to."""

    def wrap(self, file_key: bytes) -> Stanza:
        """Return the file's key as only this one can read it."""


class Identity(Protocol):
    """What opens the files of a recipient. It shows itself without its secret."""

    def unwrap(self, stanza: Stanza) -> bytes | None:
        """
        Return the file's key, or None where the stanza is somebody else's.

        Raises:
            Corrupt: nobody would have written that stanza.
        """


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An X25519 key to encrypt to."""

    key: bytes

    @classmethod
    def parse(cls, text: str) -> "PublicKey":
        """
        Read a recipient's `age1...`.

        Raises:
            ValueError: it is none.
        """
        return cls(_bech32_decoded(text, "age"))

    def __str__(self) -> str:
        return _bech32("age", self.key)

    def wrap(self, file_key: bytes) -> Stanza:
        """Wrap a key by a shared secret that is new each time."""
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        once = X25519PrivateKey.generate()
        share = once.public_key().public_bytes_raw()
        return Stanza((_X25519, _base64(share)), _sealed(_wrapping_key(once, self.key, share, self.key), file_key))


@dataclass(frozen=True, slots=True)
class SecretKey:
    """An X25519 identity; shown as its public key."""

    secret: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "SecretKey":
        """
        Read an identity's `AGE-SECRET-KEY-1...`.

        Raises:
            ValueError: it is none; the text is not repeated.
        """
        if text != text.upper():
            raise ValueError("an identity is written in capital letters")
        return cls(_bech32_decoded(text.lower(), "age-secret-key-"))

    @classmethod
    def generate(cls) -> "SecretKey":
        """Make a new one."""
        return cls(os.urandom(32))

    def __repr__(self) -> str:
        return f"SecretKey(of {self.public})"

    def text(self) -> str:
        """Return it as files of identities have it; nobody shows that to anybody."""
        return _bech32("age-secret-key-", self.secret).upper()

    @property
    def public(self) -> PublicKey:
        """Who encrypts to this one, encrypts to that."""
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        return PublicKey(X25519PrivateKey.from_private_bytes(self.secret).public_key().public_bytes_raw())

    def unwrap(self, stanza: Stanza) -> bytes | None:
        """Open a stanza of kind X25519; see `Identity`."""
        if stanza.words[0] != _X25519:
            return None
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        if len(stanza.words) != 2 or len(stanza.body) != _FILE_KEY + TAG:
            raise Corrupt("the header has an X25519 stanza of another form")
        share = _exactly(stanza.words[1], 32)
        own = X25519PrivateKey.from_private_bytes(self.secret)
        try:
            key = _wrapping_key(own, share, share, own.public_key().public_bytes_raw())
        except ValueError as exc:  # a point of low order: the secret would be known to everybody
            raise Corrupt("the header has an X25519 share that is no good") from exc
        return _opened(key, stanza.body)


@dataclass(frozen=True, slots=True)
class Passphrase:
    """A passphrase, recipient and identity in one; it must be a file's only recipient."""

    secret: bytes = field(repr=False)
    work_factor: int = WORK_FACTOR

    def wrap(self, file_key: bytes) -> Stanza:
        """Wrap a key by what scrypt makes of the passphrase."""
        salt = os.urandom(16)
        words = (_SCRYPT, _base64(salt), str(self.work_factor).encode())
        return Stanza(words, _sealed(self._key(salt, self.work_factor), file_key))

    def unwrap(self, stanza: Stanza) -> bytes | None:
        """Open a stanza of kind scrypt; see `Identity`."""
        if stanza.words[0] != _SCRYPT:
            return None
        if len(stanza.words) != 3 or len(stanza.body) != _FILE_KEY + TAG:
            raise Corrupt("the header has a scrypt stanza of another form")
        salt, factor = _exactly(stanza.words[1], 16), stanza.words[2]
        if re.fullmatch(rb"[1-9][0-9]?", factor) is None or int(factor) > _WORK_FACTOR_AT_MOST:
            raise Corrupt("the header asks for an scrypt work factor that is no good")
        return _opened(self._key(salt, int(factor)), stanza.body)

    def _key(self, salt: bytes, work_factor: int) -> bytes:
        from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

        return Scrypt(salt=_SALT + salt, length=32, n=2**work_factor, r=8, p=1).derive(self.secret)


class Writer:
    """
    Encrypts what is written; complete only after `finish`.

    Args:
        sink: where the file's bytes go.

    Attributes:
        file_bytes: how many bytes of the file were written.
    """

    def __init__(self, sink: Sink, recipients: Iterable[Recipient]) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        self._sink = sink
        self.file_bytes = 0
        self._sha256 = hashlib.sha256()
        self._rest = bytearray()
        self._number = 0
        file_key, nonce = os.urandom(_FILE_KEY), os.urandom(_NONCE)
        self._cipher = ChaCha20Poly1305(_hkdf(file_key, nonce, b"payload"))
        self._put(_header(file_key, [recipient.wrap(file_key) for recipient in recipients]) + nonce)

    def write(self, data: bytes, /) -> int:
        """Write all of `data`; see `Sink`."""
        self._rest += data
        whole = (len(self._rest) - 1) // CHUNK * CHUNK  # whether a chunk is the last is known once more follows
        if whole > 0:
            self._put(b"".join(self._chunk(self._rest[at : at + CHUNK]) for at in range(0, whole, CHUNK)))
            del self._rest[:whole]
        return len(data)

    def finish(self) -> None:
        """Write what is left as the last chunk."""
        self._put(self._chunk(self._rest, last=True))

    def _chunk(self, data: bytearray, *, last: bool = False) -> bytes:
        number, self._number = self._number, self._number + 1
        return self._cipher.encrypt(_chunk_nonce(number, last=last), bytes(data), None)

    def _put(self, data: bytes) -> None:
        self._sink.write(data)
        self._sha256.update(data)
        self.file_bytes += len(data)

    @property
    def sha256(self) -> str:
        """SHA-256 of the file so far."""
        return self._sha256.hexdigest()


class Reader:
    """
    What an age file holds, to be read anywhere; see `Readable`.

    Raises:
        NoMatch: none of the identities opens it.
        BackupError: it is damaged, or cut off: its header and its last chunk were read.
    """

    def __init__(self, file: Readable, identities: Iterable[Identity]) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        header = read_header(file)
        file_key = header.file_key(identities)
        nonce = file.read_at(header.size, _NONCE)
        if len(nonce) < _NONCE:
            raise Unfinished("the file ends before what it holds begins")
        self._file = file
        self._begin = header.size + _NONCE
        self._cipher = ChaCha20Poly1305(_hkdf(file_key, nonce, b"payload"))
        stored = file.size - self._begin
        self._chunks = -(-stored // (CHUNK + TAG))
        self.size = stored - self._chunks * TAG
        """How many bytes it holds."""
        if stored < TAG or self.size < (self._chunks - 1) * CHUNK or (self.size == 0 and self._chunks > 1):
            raise Unfinished("the file is cut off")
        last = self._decrypted(self._chunks - 1, self._chunks)
        if not last and self._chunks > 1:
            raise Corrupt("the last chunk of the encrypted file is empty")

    def read_at(self, offset: int, size: int) -> bytes:
        """Read and decrypt the chunks in question; see `Readable`."""
        end = min(offset + size, self.size)
        if end <= offset:
            return b""
        first = offset // CHUNK
        data = self._decrypted(first, -(-end // CHUNK))
        return data[offset - first * CHUNK : end - first * CHUNK]

    def _decrypted(self, first: int, end: int) -> bytes:
        from cryptography.exceptions import InvalidTag

        stored = memoryview(self._file.read_at(self._begin + first * (CHUNK + TAG), (end - first) * (CHUNK + TAG)))
        parts = []
        for number in range(first, end):
            at = (number - first) * (CHUNK + TAG)
            nonce = _chunk_nonce(number, last=number == self._chunks - 1)
            try:
                parts.append(self._cipher.decrypt(nonce, stored[at : at + CHUNK + TAG], None))
            except (InvalidTag, ValueError) as exc:
                raise Corrupt(f"chunk {number} of {self._chunks} of the encrypted file is damaged, or cut off") from exc
        return b"".join(parts)


@dataclass(frozen=True, slots=True)
class Header:
    """
    A header as it was read.

    Args:
        authenticated: its text up to the MAC; `mac`: the rest of its last line.
        size: in bytes.
    """

    stanzas: tuple[Stanza, ...]
    authenticated: bytes
    mac: bytes
    size: int

    def file_key(self, identities: Iterable[Identity]) -> bytes:
        """
        Return the file's key; raises as `Reader` does.

        The MAC's line is compared as it stands, and not what it says in base64: several texts say the same.
        """
        found = next((key for identity in identities for key in self._unwrapped(identity)), None)
        if found is None:
            raise NoMatch
        if not hmac.compare_digest(_mac_line(found, self.authenticated), self.mac):
            raise Corrupt("the header of the encrypted file is damaged: its MAC is another")
        return found

    def _unwrapped(self, identity: Identity) -> Iterator[bytes]:
        for stanza in self.stanzas:
            if (key := identity.unwrap(stanza)) is not None:
                yield key


def is_age(file: Readable) -> bool:
    """Tell by its first line whether a file is one of age."""
    return file.read_at(0, len(FIRST_LINE)) == FIRST_LINE


def read_header(file: Readable) -> Header:
    """
    Read no more than a header may have.

    Raises:
        BackupError: there is none, it doesn't end, or nobody would have written it so.
    """
    for size in (_HEADER_GUESS, HEADER_AT_MOST):
        text = file.read_at(0, size)
        if _HEADER_END.search(text) or len(text) < size:
            break
    return parse_header(text)


def parse_header(text: bytes) -> Header:
    """Read the header that a text begins with; raises as `read_header`."""
    if not text.startswith(FIRST_LINE):
        raise Corrupt("the encrypted file is damaged, or of another version of age")
    at, stanzas = len(FIRST_LINE), []
    while found := _STANZA.match(text, at):
        words = tuple(found["words"].split(b" "))
        stanzas.append(Stanza(words, _debase64(found["body"].replace(b"\n", b""))))
        at = found.end()
    end = _MAC.match(text, at)
    if end is None or not stanzas:
        raise Corrupt("the header of the encrypted file is damaged, or cut off")
    _debase64(end["mac"].strip())
    if any(stanza.words[0] == _SCRYPT for stanza in stanzas) and len(stanzas) > 1:
        raise Corrupt("the header has a passphrase beside other recipients, which age never writes")
    return Header(tuple(stanzas), text[: at + 3], end["mac"], end.end())


def _header(file_key: bytes, stanzas: list[Stanza]) -> bytes:
    if any(stanza.words[0] == _SCRYPT for stanza in stanzas) and len(stanzas) > 1:
        raise UsageError("a passphrase can't be combined with other recipients", "name recipients only")
    if not stanzas:
        raise AssertionError("somebody has to be able to read it")
    text = FIRST_LINE + b"".join(map(bytes, stanzas)) + b"---"
    return text + _mac_line(file_key, text)


def _mac_line(file_key: bytes, authenticated: bytes) -> bytes:
    mac = hmac.digest(_hkdf(file_key, b"", b"header"), authenticated, "sha256")
    return b" " + _base64(mac) + b"\n"


def _wrapping_key(own: object, theirs: bytes, share: bytes, recipient: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    if not isinstance(own, X25519PrivateKey):
        raise AssertionError("a private key")
    secret = own.exchange(X25519PublicKey.from_public_bytes(theirs))
    return _hkdf(secret, share + recipient, _WRAP)


def _hkdf(key: bytes, salt: bytes, info: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), 32, salt or None, info).derive(key)


def _sealed(key: bytes, file_key: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    return ChaCha20Poly1305(key).encrypt(_ONE_NONCE, file_key, None)


def _opened(key: bytes, body: bytes) -> bytes | None:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    try:
        return ChaCha20Poly1305(key).decrypt(_ONE_NONCE, body, None)
    except InvalidTag:
        return None


def _chunk_nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def _base64(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")


def _debase64(text: bytes) -> bytes:
    """Decode base64 without padding; one text for one value."""
    try:
        data = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except ValueError:
        data = b""
    if _base64(data) != text:
        raise Corrupt("the header of the encrypted file is damaged: not base64 as age writes it")
    return data


def _exactly(text: bytes, size: int) -> bytes:
    data = _debase64(text)
    if len(data) != size:
        raise Corrupt("the header of the encrypted file has a key or a salt of the wrong size")
    return data


_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def _checksum(prefix: str, values: Iterable[int]) -> int:
    """Return the Bech32 checksum's state after a text (BIP 173)."""
    state = 1
    for value in (*(ord(c) >> 5 for c in prefix), 0, *(ord(c) & 31 for c in prefix), *values):
        top, state = state >> 25, (state & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATORS):
            state ^= generator if top >> bit & 1 else 0
    return state


def _bech32(prefix: str, data: bytes) -> str:
    padding = -len(data) * 8 % 5
    number, count = int.from_bytes(data, "big") << padding, (len(data) * 8 + padding) // 5
    values = [number >> 5 * place & 31 for place in reversed(range(count))]
    check = _checksum(prefix, [*values, 0, 0, 0, 0, 0, 0]) ^ 1
    values += [check >> 5 * place & 31 for place in reversed(range(6))]
    return f"{prefix}1{''.join(_BECH32[value] for value in values)}"


def _bech32_decoded(text: str, prefix: str) -> bytes:
    """Return the 32 bytes of a key; the text is not repeated in errors, since it may be a secret."""
    found, _, rest = text.rpartition("1")
    if found != prefix:
        raise ValueError(f"it doesn't begin with {prefix}1")
    if not set(rest) <= set(_BECH32) or _checksum(found, values := [_BECH32.index(c) for c in rest]) != 1:
        raise ValueError("its checksum is wrong: a character is missing or another")
    number = 0
    for value in values[:-6]:
        number = number << 5 | value
    padding = 5 * (len(values) - 6) - 8 * 32
    if not 0 <= padding < 5 or number & (1 << padding) - 1:
        raise ValueError("it is no key of 32 bytes")
    return (number >> padding).to_bytes(32, "big")
