"""Keys that backups of tests are encrypted to, as files have them."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from dlbackup.stores.age.x25519 import SecretKey

__all__ = ["identity_file", "ssh_pair"]


def identity_file(folder: Path, secret: SecretKey) -> Path:
    """Write an identity down as `age-keygen` does."""
    path = folder / "key.txt"
    path.write_text(f"# created: now\n# public key: {secret.public}\n\n{secret.text()}\n")
    return path


def ssh_pair(key: Ed25519PrivateKey | RSAPrivateKey, passphrase: bytes = b"") -> tuple[str, bytes]:
    """Return what `ssh-keygen` would write of a key: the line of its `.pub` file, and its private file."""
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    protection = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    form = PrivateFormat.TraditionalOpenSSL if passphrase else PrivateFormat.OpenSSH
    if passphrase and isinstance(key, Ed25519PrivateKey):
        form = PrivateFormat.PKCS8
    return f"{public} somebody@somewhere", key.private_bytes(Encoding.PEM, form, protection)
