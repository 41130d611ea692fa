"""
Recipients, identities and passphrases as people have them: words, files, and what a command prints.

Whatever is wrong is said with its place and what to do; no error repeats what may be a secret.
"""

import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from dlbackup.errors import BackupError, NoIdentity, StorageError, UsageError, masked
from dlbackup.stores.age.armor import BEGIN, Dearmored, is_armored
from dlbackup.stores.age.header import FIRST_LINE, NoMatch
from dlbackup.stores.age.hybrid import HybridPublicKey, HybridSecretKey
from dlbackup.stores.age.passphrase import Passphrase
from dlbackup.stores.age.payload import Reader
from dlbackup.stores.age.plugin import PluginIdentity, PluginRecipient
from dlbackup.stores.age.ssh import SshPublicKey, SshSecretKey
from dlbackup.stores.age.stanza import Identity
from dlbackup.stores.age.x25519 import PublicKey, SecretKey
from dlbackup.stores.in_memory import Bytes

SECRETS = ("AGE-SECRET-KEY-", "AGE-PLUGIN-")
"""How identities begin."""
_BEGINNINGS = (*SECRETS, "AGE-ENCRYPTION.ORG/", "-----BEGIN ")
_WHOLE = re.compile(
    r"AGE-SECRET-KEY-(PQ-)?1[02-9AC-HJ-NP-Z]{20}|AGE-PLUGIN-[^/\s]+-1[02-9AC-HJ-NP-Z]{6}", re.IGNORECASE
)
_KEY_OF_SSH = re.compile("-----BEGIN [A-Z ]*PRIVATE KEY-----")
_POST_QUANTUM = "AGE-SECRET-KEY-PQ-"
_MAKE = "age-keygen makes one (AGE-SECRET-KEY-1...)"

Key = PublicKey | HybridPublicKey | SshPublicKey | PluginRecipient
"""What can stand beside others in a header."""
AnyRecipient = Key | Passphrase


def names_no_file(text: str) -> bool:
    """Tell whether a text that names a file with identities, or is one itself, is what such a file holds."""
    return "\n" in text or text.upper().startswith(_BEGINNINGS)


def holds_identity(text: str) -> bool:
    """Tell whether there is an identity in a text; a file that is called after one is none."""
    return _WHOLE.search(text) is not None or _KEY_OF_SSH.search(text) is not None


def recipient(text: str, place: str) -> Key:
    """
    Read a recipient; `place` is where it stands.

    Raises:
        UsageError: it is none, of a kind that is not known here, or of a plugin that isn't there.
    """
    if text.upper().startswith(SECRETS):
        raise UsageError(
            f"{place} holds an identity, which is secret, where a recipient belongs",
            "name the public key that age-keygen -y prints of it (age1...)",
        )
    try:
        return _key(text)
    except ValueError as exc:
        raise UsageError(
            f"{place} holds what is no recipient of dlbackup's: {masked(text)[:20]}...: {exc}",
            "name a key of age's (age1...), or an SSH key as a .pub file has it; for one of a plugin's (age1NAME1...)"
            " have age-plugin-NAME in the PATH; --recipients-file names a file with such lines",
        ) from None


def _key(text: str) -> Key:
    if text.startswith(("ssh-", "ecdsa-", "sk-")):
        return SshPublicKey.parse(text)
    if text.startswith("age1pq1"):
        return HybridPublicKey.parse(text)
    return PluginRecipient.parse(text) or PublicKey.parse(text)


def recipients_at(path: str | Path) -> list[Key]:
    """
    Read a file of recipients.

    Raises:
        UsageError: as for `recipient`, or there is none; StorageError: it can't be read.
    """
    found = [recipient(line, f"{path}, line {number}") for number, line in _lines(_text_of(path))]
    if not found:
        raise UsageError(f"{path} names no recipient", "write one a line: age1..., or an SSH key")
    return found


def passphrase_at(path: str | Path, named_by: str) -> Passphrase:
    """
    Read a passphrase: the first line of a file.

    Raises:
        NoIdentity: it can't be read, or is empty.
    """
    try:
        first = _text_of(path).split(b"\n", 1)[0].removesuffix(b"\r")
    except StorageError as exc:
        raise NoIdentity(f"{exc.message}; {named_by} names it", "its first line is to be the passphrase") from exc
    if not first:
        raise NoIdentity(f"{path} has no passphrase in its first line", "write it there, and nothing else")
    return Passphrase(first)


def identities_at(path: str | Path, named_by: str, passphrase: Passphrase | None, give: str) -> Sequence[Identity]:
    """
    Read a file of identities; raises as `identities_in`.

    Args:
        named_by: the option or variable that names the file.
        passphrase: opens the file where it is itself encrypted.
        give: what to say to whom it isn't there for.
    """
    try:
        text = _text_of(path)
    except StorageError as exc:
        raise NoIdentity(f"{exc.message}; {named_by} names it", give) from exc
    return identities_in(text, str(path), passphrase)


def identities_in(text: bytes, place: str, passphrase: Passphrase | None) -> Sequence[Identity]:
    """
    Read identities: age's, one a line, or one private key of SSH's.

    Raises:
        NoIdentity: there is none, one is of a kind that is not known here, or the text is encrypted and not opened.
    """
    if text.startswith((FIRST_LINE, BEGIN)):
        text = _decrypted(text, place, passphrase)
    if text.lstrip().startswith(b"-----BEGIN ") and b"PRIVATE KEY-----" in text:
        return [_ssh_identity(text, place)]
    found = [_identity(line, f"{place}, line {number}") for number, line in _lines(text)]
    if not found:
        raise NoIdentity(f"{place} holds no identity", _MAKE)
    return found


def _identity(line: str, place: str) -> SecretKey | HybridSecretKey | PluginIdentity:
    if line.startswith(("ssh-", "age1")):
        raise NoIdentity(
            f"{place}, holds a public key where an identity belongs",
            "name the file with the private key that goes with it",
        )
    try:
        if line.upper().startswith(_POST_QUANTUM):
            return HybridSecretKey.parse(line)
        return PluginIdentity.parse(line) or SecretKey.parse(line)
    except ValueError as exc:
        raise NoIdentity(
            f"{place}, holds no identity that dlbackup can use: {exc}", f"{_MAKE}; or name a private key of SSH's"
        ) from None


def _ssh_identity(text: bytes, place: str) -> SshSecretKey:
    try:
        return SshSecretKey.parse(text)
    except ValueError as exc:
        hint = "name a private key of ssh-ed25519 or ssh-rsa"
        if "passphrase" in str(exc):
            hint = "of one with a passphrase, give a copy without: ssh-keygen -p -N '' -f COPY"
        raise NoIdentity(f"{place} holds an SSH key that can't be used: {exc}", hint) from None


def _decrypted(text: bytes, place: str, passphrase: Passphrase | None) -> bytes:
    if passphrase is None:
        command = shlex.quote("age -d " + shlex.quote(place))
        raise NoIdentity(
            f"{place} is itself encrypted",
            "--passphrase-file FILE says where its passphrase is; or have it decrypted when it is needed:"
            f" --identity-command {command}",
        )
    file = Bytes(text)
    try:
        reader = Reader(Dearmored(file) if is_armored(file) else file, [passphrase])
        return reader.read_at(0, reader.size)
    except (NoMatch, BackupError):
        raise NoIdentity(
            f"{place} is itself encrypted, and not by the passphrase that was given, or damaged",
            "age -d opens it with its passphrase, if it is whole",
        ) from None


def printed(command: str) -> bytes:
    """
    Run a command and return what it prints; what it asks, it asks at the terminal. No error repeats it.

    Raises:
        NoIdentity: it can't be run, or fails.
    """
    try:
        words = shlex.split(command)
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
    except (OSError, ValueError, IndexError) as exc:
        raise NoIdentity(f"--identity-command can't be run: {getattr(exc, 'strerror', None) or exc}") from None
    if done.returncode:
        raise NoIdentity(f"--identity-command {Path(words[0]).name} ended with status {done.returncode}")
    return done.stdout


def _lines(text: bytes) -> Sequence[tuple[int, str]]:
    """Return the lines that say something, with their numbers."""
    lines = ((number, line.strip()) for number, line in enumerate(text.decode("utf-8", "replace").splitlines(), 1))
    return [(number, line) for number, line in lines if line and not line.startswith("#")]


def _text_of(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as exc:
        raise StorageError(f"can't read {path}: {exc.strerror or exc}") from exc
