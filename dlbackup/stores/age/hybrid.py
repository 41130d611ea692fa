"""
Post-quantum keys: recipients `age1pq1...` and identities `AGE-SECRET-KEY-PQ-1...`, ML-KEM-768 and X25519 in one.

Whoever is to read a file has to break both. So in a header they stand beside their like only.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dlbackup.errors import Corrupt
from dlbackup.stores.age import bech32
from dlbackup.stores.age.stanza import FILE_KEY, TAG, OneByOne, Stanza, base64_of, exactly

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.hpke import MLKEM768X25519PrivateKey, MLKEM768X25519PublicKey, Suite

POST_QUANTUM = "postquantum"
"""The label of such recipients, as plugins name it too."""
_KIND = b"mlkem768x25519"
_INFO = b"age-encryption.org/mlkem768x25519"
_LATTICE, _CURVE = 1184, 32
_ENCAPSULATED_LATTICE = 1088
_ENCAPSULATED = _ENCAPSULATED_LATTICE + _CURVE
_SHOWN = 24


@dataclass(frozen=True, slots=True)
class HybridPublicKey:
    """A post-quantum key to encrypt to."""

    key: bytes

    @classmethod
    def parse(cls, text: str) -> "HybridPublicKey":
        """
        Read a recipient's `age1pq1...`.

        Raises:
            ValueError: it is none, or what is needed for it isn't installed.
        """
        made = cls(bech32.decoded(text, "age1pq", _LATTICE + _CURVE))
        made._loaded()
        return made

    def __str__(self) -> str:
        return bech32.encoded("age1pq", self.key)

    def wrap(self, file_key: bytes) -> Stanza:
        """Wrap a key by secrets that are new each time."""
        both = _suite().encrypt(file_key, self._loaded(), info=_INFO)
        words = (_KIND, base64_of(both[:_ENCAPSULATED]))
        return Stanza(words, both[_ENCAPSULATED:], labels=frozenset([POST_QUANTUM]))

    def _loaded(self) -> "MLKEM768X25519PublicKey":
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

        with _needed():
            from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
            from cryptography.hazmat.primitives.hpke import MLKEM768X25519PublicKey

            lattice = MLKEM768PublicKey.from_public_bytes(self.key[:_LATTICE])
            return MLKEM768X25519PublicKey(lattice, X25519PublicKey.from_public_bytes(self.key[_LATTICE:]))


@dataclass(frozen=True, slots=True)
class HybridSecretKey(OneByOne):
    """A post-quantum identity; shown by how its public key begins."""

    secret: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "HybridSecretKey":
        """
        Read an identity's `AGE-SECRET-KEY-PQ-1...`.

        Raises:
            ValueError: it is none, or what is needed for it isn't installed; the text is not repeated.
        """
        made = cls(bech32.decoded(bech32.in_small_letters(text), "age-secret-key-pq-"))
        made._loaded()
        return made

    @classmethod
    def generate(cls) -> "HybridSecretKey":
        """Make a new one."""
        return cls(os.urandom(32))

    def __repr__(self) -> str:
        return f"HybridSecretKey(of {self})"

    def __str__(self) -> str:
        return f"{str(self.public)[:_SHOWN]}..."

    def text(self) -> str:
        """Return it as files of identities have it; nobody shows that to anybody."""
        return bech32.encoded("age-secret-key-pq-", self.secret).upper()

    @property
    def public(self) -> HybridPublicKey:
        """Who encrypts to this one, encrypts to that."""
        with _needed():
            from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        lattice, curve = self._halves()
        return HybridPublicKey(
            MLKEM768PrivateKey.from_seed_bytes(lattice).public_key().public_bytes_raw()
            + X25519PrivateKey.from_private_bytes(curve).public_key().public_bytes_raw()
        )

    def _opened(self, stanza: Stanza) -> bytes | None:
        if stanza.words[0] != _KIND:
            return None
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

        if len(stanza.words) != 2 or len(stanza.body) != FILE_KEY + TAG:
            raise Corrupt(f"the header has an {_KIND.decode()} stanza of another form")
        encapsulated = exactly(stanza.words[1], _ENCAPSULATED)
        share = X25519PublicKey.from_public_bytes(encapsulated[_ENCAPSULATED_LATTICE:])
        try:
            X25519PrivateKey.from_private_bytes(self._halves()[1]).exchange(share)
        except ValueError as exc:  # a point of low order: that half of the secret would be known to everybody
            raise Corrupt(f"the header has an {_KIND.decode()} share that is no good") from exc
        try:
            return _suite().decrypt(encapsulated + stanza.body, self._loaded(), info=_INFO)
        except InvalidTag:
            return None

    def _halves(self) -> tuple[bytes, bytes]:
        """Return the seed of ML-KEM's key and the X25519 key, which come from one secret."""
        expanded = hashlib.shake_256(self.secret).digest(96)
        return expanded[:64], expanded[64:]

    def _loaded(self) -> "MLKEM768X25519PrivateKey":
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        lattice, curve = self._halves()
        with _needed():
            from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
            from cryptography.hazmat.primitives.hpke import MLKEM768X25519PrivateKey

            seed = MLKEM768PrivateKey.from_seed_bytes(lattice)
            return MLKEM768X25519PrivateKey(seed, X25519PrivateKey.from_private_bytes(curve))


def _suite() -> "Suite":
    from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

    return Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


@contextmanager
def _needed() -> Iterator[None]:
    """Say what is missing where `cryptography` is too old, or made without these keys; raises ValueError."""
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        yield
    except (ImportError, UnsupportedAlgorithm):
        raise ValueError("post-quantum keys need cryptography 47 or newer: pip install 'dlbackup[pq]'") from None
