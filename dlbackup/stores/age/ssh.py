"""
SSH keys, `ssh-ed25519` and `ssh-rsa`: recipients as `.pub` files have them, identities as `ssh-keygen` writes them.

A header says by four bytes of a digest which SSH key it is for, which an X25519 key never shows.
"""

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dlbackup.errors import Corrupt
from dlbackup.stores.age.stanza import (
    FILE_KEY,
    TAG,
    OneByOne,
    Stanza,
    base64_of,
    exactly,
    from_base64,
    hkdf,
    opened,
    sealed,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.padding import OAEP

ED25519 = b"ssh-ed25519"
RSA = b"ssh-rsa"
_RSA_BITS_AT_LEAST = 2048
_PRIME = 2**255 - 19


@dataclass(frozen=True, slots=True)
class SshPublicKey:
    """
    An SSH key to encrypt to.

    Args:
        kind: `ssh-ed25519` or `ssh-rsa`.
        blob: the key as SSH's protocol has it.
    """

    kind: bytes
    blob: bytes

    @classmethod
    def parse(cls, text: str) -> "SshPublicKey":
        """
        Read a line of a `.pub` file.

        Raises:
            ValueError: it is none, or one of a kind that can't be encrypted to.
        """
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
        from cryptography.hazmat.primitives.serialization import load_ssh_public_key

        kind, *rest = text.split()
        if kind.encode() not in (ED25519, RSA):
            raise ValueError(f"of SSH keys, only ssh-ed25519 and ssh-rsa can be encrypted to, and not {kind}")
        try:
            key = load_ssh_public_key(" ".join([kind, *rest[:1]]).encode())
            made = cls(kind.encode(), from_base64(rest[0].rstrip("=").encode()))
            made.wrap(bytes(FILE_KEY))  # not every point can be encrypted to
        except (ValueError, UnsupportedAlgorithm, Corrupt):
            raise ValueError("it is no SSH key as ssh-keygen writes it") from None
        if isinstance(key, RSAPublicKey) and key.key_size < _RSA_BITS_AT_LEAST:
            raise ValueError(f"an RSA key of {key.key_size} bits is too small: age takes {_RSA_BITS_AT_LEAST} and more")
        return made

    def __str__(self) -> str:
        padding = b"=" * (-len(self.blob) % 3)
        return (self.kind + b" " + base64_of(self.blob) + padding).decode()

    @property
    def tag(self) -> bytes:
        """By what a header names it."""
        return base64_of(hashlib.sha256(self.blob).digest()[:4])

    def wrap(self, file_key: bytes) -> Stanza:
        """Wrap a key so that only this one's private key opens it."""
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
        from cryptography.hazmat.primitives.serialization import load_ssh_public_key

        key = load_ssh_public_key(str(self).encode())
        if isinstance(key, RSAPublicKey):
            return Stanza((RSA, self.tag), key.encrypt(file_key, _padding()))
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        once, theirs = X25519PrivateKey.generate(), _as_x25519(self.blob[-32:])
        share = once.public_key().public_bytes_raw()
        key_of_both = _wrapping_key(once.private_bytes_raw(), theirs, self.blob, share + theirs)
        return Stanza((ED25519, self.tag, base64_of(share)), sealed(key_of_both, file_key))


@dataclass(frozen=True, slots=True)
class SshSecretKey(OneByOne):
    """An SSH identity; shown as `ssh-keygen -l` does. `secret` is the seed of an Ed25519 key, or an RSA key in DER."""

    public: SshPublicKey
    secret: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: bytes) -> "SshSecretKey":
        """
        Read a private key's file.

        Raises:
            ValueError: it is none, is protected by a passphrase, or of a kind that can't be decrypted with.
        """
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization as form
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

        load = form.load_ssh_private_key if b"BEGIN OPENSSH" in text else form.load_pem_private_key
        try:
            key = load(text, None)
        except TypeError:
            raise ValueError("it is protected by a passphrase") from None
        except (ValueError, UnsupportedAlgorithm):
            raise ValueError("it is no private key as ssh-keygen writes it, or protected by a passphrase") from None
        if not isinstance(key, Ed25519PrivateKey | RSAPrivateKey):
            raise ValueError("of SSH keys, only ssh-ed25519 and ssh-rsa open files of age")
        public = key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH)
        if isinstance(key, Ed25519PrivateKey):
            return cls(SshPublicKey.parse(public.decode()), key.private_bytes_raw())
        secret = key.private_bytes(form.Encoding.DER, form.PrivateFormat.PKCS8, form.NoEncryption())
        return cls(SshPublicKey.parse(public.decode()), secret)

    def __repr__(self) -> str:
        return f"SshSecretKey(of {self.public})"

    def __str__(self) -> str:
        fingerprint = base64_of(hashlib.sha256(self.public.blob).digest())
        return (self.public.kind + b" SHA256:" + fingerprint).decode()

    def _opened(self, stanza: Stanza) -> bytes | None:
        kind, *words = stanza.words
        if kind != self.public.kind:
            return None
        if len(words) != (2 if kind == ED25519 else 1) or len(exactly(words[0], 4)) != 4:
            raise Corrupt(f"the header has an {kind.decode()} stanza of another form")
        if words[0] != self.public.tag:
            return None
        return self._by_rsa(stanza.body) if kind == RSA else self._by_ed25519(exactly(words[1], 32), stanza.body)

    def _by_rsa(self, body: bytes) -> bytes | None:
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.serialization import load_der_private_key

        key = load_der_private_key(self.secret, None)
        if not isinstance(key, RSAPrivateKey):
            raise AssertionError("an RSA key")
        try:
            file_key = key.decrypt(body, _padding())
        except ValueError:
            return None
        return file_key if len(file_key) == FILE_KEY else None

    def _by_ed25519(self, share: bytes, body: bytes) -> bytes | None:
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        if len(body) != FILE_KEY + TAG:
            raise Corrupt("the header has an ssh-ed25519 stanza of another form")
        own = hashlib.sha512(self.secret).digest()[:32]
        ours = X25519PrivateKey.from_private_bytes(own).public_key().public_bytes_raw()
        try:
            key = _wrapping_key(own, share, self.public.blob, share + ours)
        except ValueError as exc:  # a point of low order: the secret would be known to everybody
            raise Corrupt("the header has an ssh-ed25519 share that is no good") from exc
        return opened(key, body)


def _padding() -> "OAEP":
    from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
    from cryptography.hazmat.primitives.hashes import SHA256

    return OAEP(MGF1(SHA256()), SHA256(), b"age-encryption.org/v1/ssh-rsa")


def _wrapping_key(own: bytes, theirs: bytes, blob: bytes, salt: bytes) -> bytes:
    """Return what both sides can compute; it depends on the SSH key as it stands, not only on its point."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    label = b"age-encryption.org/v1/ssh-ed25519"
    shared = X25519PrivateKey.from_private_bytes(own).exchange(X25519PublicKey.from_public_bytes(theirs))
    tweak = X25519PrivateKey.from_private_bytes(hkdf(b"", blob, label))
    return hkdf(tweak.exchange(X25519PublicKey.from_public_bytes(shared)), salt, label)


def _as_x25519(ed25519: bytes) -> bytes:
    """Return the same point in the other form of the curve, u = (1 + y) / (1 - y)."""
    y = int.from_bytes(ed25519, "little") & (1 << 255) - 1
    u = (1 + y) * pow(1 - y, -1, _PRIME) % _PRIME
    return u.to_bytes(32, "little")
