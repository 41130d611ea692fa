"""
A stanza of a header, who makes and who opens one, and what all kinds of them are made of.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dlbackup.errors import Corrupt

TAG = 16
"""Bytes that authenticate what is encrypted."""
FILE_KEY = 16
"""Bytes of the key that each stanza holds."""
_ONE_NONCE = bytes(12)  # each of the keys that wrap a file's key is used once


@dataclass(frozen=True, slots=True)
class Stanza:
    """
    What a header holds for one recipient: words, of which the first is the kind, and a body.

    Args:
        labels: what all stanzas of a header have to have in common; nothing of it is written.
    """

    words: tuple[bytes, ...]
    body: bytes
    labels: frozenset[str] = field(default=frozenset(), compare=False)

    def __bytes__(self) -> bytes:
        text = base64_of(self.body)
        lines = [text[at : at + 64] for at in range(0, len(text) + 1, 64)]  # the last one is shorter, and may be empty
        return b"-> " + b" ".join(self.words) + b"\n" + b"".join(line + b"\n" for line in lines)


class Recipient(Protocol):
    """Somebody to encrypt to."""

    def wrap(self, file_key: bytes) -> Stanza:
        """Return the file's key as only this one can read it; raises StorageError where that needs others, who fail."""


class Identity(Protocol):
    """What opens the files of a recipient. It shows itself without its secret."""

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """
        Return the file's key, or None where all the stanzas are somebody else's.

        Raises:
            Corrupt: nobody would have written one of the stanzas.
            NoIdentity: it takes others to open one, and they fail; another identity may open the file still.
        """


class OneByOne:
    """An identity that looks at each stanza by itself."""

    __slots__ = ()

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """Open the first stanza that it can; see `Identity`."""
        return next((key for stanza in stanzas if (key := self._opened(stanza)) is not None), None)

    def _opened(self, stanza: Stanza) -> bytes | None:
        raise NotImplementedError


def hkdf(key: bytes, salt: bytes, info: bytes) -> bytes:
    """Derive a key of 32 bytes by HKDF with SHA-256."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), 32, salt or None, info).derive(key)


def sealed(key: bytes, file_key: bytes) -> bytes:
    """Encrypt a file's key by one that is used only for that."""
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    return ChaCha20Poly1305(key).encrypt(_ONE_NONCE, file_key, None)


def opened(key: bytes, body: bytes) -> bytes | None:
    """Return the file's key, or None where it was sealed by another."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    try:
        return ChaCha20Poly1305(key).decrypt(_ONE_NONCE, body, None)
    except InvalidTag:
        return None


def base64_of(data: bytes) -> bytes:
    """Return bytes as headers have them: in base64 without padding."""
    return base64.b64encode(data).rstrip(b"=")


def from_base64(text: bytes) -> bytes:
    """Decode base64 without padding; one text for one value."""
    try:
        data = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except ValueError:
        data = b""
    if base64_of(data) != text:
        raise Corrupt("the header of the encrypted file is damaged: not base64 as age writes it")
    return data


def exactly(text: bytes, size: int) -> bytes:
    """Decode what has to be of one size."""
    data = from_base64(text)
    if len(data) != size:
        raise Corrupt("the header of the encrypted file has a key or a salt of the wrong size")
    return data
