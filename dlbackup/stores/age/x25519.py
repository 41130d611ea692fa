"""
X25519 keys: recipients `age1...` and identities `AGE-SECRET-KEY-1...`.
"""

import os
from dataclasses import dataclass, field

from dlbackup.errors import Corrupt
from dlbackup.stores.age import bech32
from dlbackup.stores.age.stanza import FILE_KEY, TAG, OneByOne, Stanza, base64_of, exactly, hkdf, opened, sealed

_X25519 = b"X25519"
_WRAP = b"age-encryption.org/v1/X25519"


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
        return cls(bech32.decoded(text, "age"))

    def __str__(self) -> str:
        return bech32.encoded("age", self.key)

    def wrap(self, file_key: bytes) -> Stanza:
        """Wrap a key by a shared secret that is new each time."""
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        once = X25519PrivateKey.generate()
        share = once.public_key().public_bytes_raw()
        return Stanza((_X25519, base64_of(share)), sealed(_wrapping_key(once, self.key, share, self.key), file_key))


@dataclass(frozen=True, slots=True)
class SecretKey(OneByOne):
    """An X25519 identity; shown as its public key."""

    secret: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "SecretKey":
        """
        Read an identity's `AGE-SECRET-KEY-1...`.

        Raises:
            ValueError: it is none; the text is not repeated.
        """
        return cls(bech32.decoded(bech32.in_small_letters(text), "age-secret-key-"))

    @classmethod
    def generate(cls) -> "SecretKey":
        """Make a new one."""
        return cls(os.urandom(32))

    def __repr__(self) -> str:
        return f"SecretKey(of {self.public})"

    def __str__(self) -> str:
        return str(self.public)

    def text(self) -> str:
        """Return it as files of identities have it; nobody shows that to anybody."""
        return bech32.encoded("age-secret-key-", self.secret).upper()

    @property
    def public(self) -> PublicKey:
        """Who encrypts to this one, encrypts to that."""
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        return PublicKey(X25519PrivateKey.from_private_bytes(self.secret).public_key().public_bytes_raw())

    def _opened(self, stanza: Stanza) -> bytes | None:
        if stanza.words[0] != _X25519:
            return None
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        if len(stanza.words) != 2 or len(stanza.body) != FILE_KEY + TAG:
            raise Corrupt("the header has an X25519 stanza of another form")
        share = exactly(stanza.words[1], 32)
        own = X25519PrivateKey.from_private_bytes(self.secret)
        try:
            key = _wrapping_key(own, share, share, own.public_key().public_bytes_raw())
        except ValueError as exc:  # a point of low order: the secret would be known to everybody
            raise Corrupt("the header has an X25519 share that is no good") from exc
        return opened(key, stanza.body)


def _wrapping_key(own: object, theirs: bytes, share: bytes, recipient: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    if not isinstance(own, X25519PrivateKey):
        raise AssertionError("a private key")
    secret = own.exchange(X25519PublicKey.from_public_bytes(theirs))
    return hkdf(secret, share + recipient, _WRAP)
