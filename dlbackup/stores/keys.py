"""
Who is to be able to read what is written, and what opens what is read: a user's words, and the keys that they name.

Secrets are read when the first encrypted file needs them, and not before. Nothing here shows one, in errors or printed.
"""

import os
import shlex
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dlbackup.errors import NoIdentity, StorageError, UsageError, WrongIdentity, counted
from dlbackup.stores.age.header import FIRST_LINE, NoMatch
from dlbackup.stores.age.payload import Reader, Writer
from dlbackup.stores.age.x25519 import PublicKey, SecretKey
from dlbackup.stores.contract import Readable, Sink

ENDING = ".age"
"""How the name of an encrypted backup ends."""
VARIABLE = "DLBACKUP_IDENTITY"
"""The environment's: a file with identities, or one itself; counts where no option names any."""
_SECRET = "AGE-SECRET-KEY-"  # noqa: S105 - how secrets begin
_GIVE = f"--identity FILE, --identity-command CMD or {VARIABLE} says where its identity (AGE-SECRET-KEY-1...) is"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """
    Whom backups are encrypted to, and where the identities are that open them; files and keys are those of age.

    Args:
        encrypt_to: recipients (`age1...`).
        recipients_file: a file with more of them, one a line.
        identity: files with identities (`AGE-SECRET-KEY-1...`), one a line.
        identity_command: a command that prints identities; it is run without a shell, when an encrypted backup is read.
    """

    encrypt_to: tuple[str, ...] = ()
    recipients_file: str | Path | None = None
    identity: tuple[str | Path, ...] = ()
    identity_command: str | None = None

    def __repr__(self) -> str:
        return f"Keys({len(self.encrypt_to)} recipients, {len(self.identity)} identity files)"  # a slip may be a secret

    def ring(self) -> "Keyring":
        """
        Return the keys of one run.

        Raises:
            UsageError: a recipient is none, or an identity stands where the name of a file belongs.
            StorageError: the file with recipients can't be read.
        """
        return Keyring(self)

    def words(self) -> list[str]:
        """Return the options that say again where the identities are."""
        words = [word for path in self.identity for word in ("--identity", str(Path(path).absolute()))]
        return words + (["--identity-command", self.identity_command] if self.identity_command else [])


NO_KEYS = Keys()


class Keyring:
    """
    The keys of one run. Pickled, it has what it has read: a helper gets that on its standard input.

    Whoever writes has one more identity, made for this run and kept in memory, so that what was written can be read
    back, proved and restored where the identities of its recipients are not.
    """

    def __init__(self, keys: Keys = NO_KEYS) -> None:
        _refuse_identities((*map(str, keys.identity), keys.identity_command or ""))
        self.keys = keys
        self._recipients = tuple(_recipients(keys))
        self._own = SecretKey.generate() if self._recipients else None
        self._read: tuple[SecretKey, ...] | None = None

    def __repr__(self) -> str:
        return f"Keyring({counted(len(self._recipients), 'recipient')})"

    @property
    def encrypts(self) -> bool:
        """Whether what is written is encrypted."""
        return bool(self._recipients)

    @property
    def recipients(self) -> tuple[str, ...]:
        """Whom it is encrypted to, without the run's own."""
        return tuple(map(str, self._recipients))

    def writer(self, sink: Sink) -> Writer:
        """Return what encrypts into a sink."""
        own = (self._own.public,) if self._own else ()
        return Writer(sink, (*self._recipients, *own))

    def reader(self, file: Readable, name: str) -> Reader:
        """
        Open an encrypted file, which has that name for a user.

        Raises:
            NoIdentity: nothing was given to open it with, or what was given can't be read or used.
            WrongIdentity: it is encrypted to others.
            BackupError: it is damaged.
        """
        try:
            return Reader(file, self._identities())
        except NoMatch:
            pass
        if not self._read:
            raise NoIdentity(f"{name} is encrypted, and no identity was given that opens it", _GIVE)
        tried = ", ".join(str(identity.public) for identity in self._read[:3])
        raise WrongIdentity(
            f"{name} is encrypted, and to none of the {counted(len(self._read), 'identity', 'identities')} that were"
            f" given ({tried}), or its header is damaged",
            "give the identity of one of those that it was encrypted to; what age encrypted by a passphrase or to other"
            f" kinds of keys: age -d {shlex.quote(name)} | dlbackup verify -",
        )

    def _identities(self) -> Iterator[SecretKey]:
        """Yield what may open a file: first the run's own, so that others are only read where they are needed."""
        if self._own:
            yield self._own
        if self._read is None:
            self._read = tuple(_identities(self.keys))
        yield from self._read


def _recipients(keys: Keys) -> Iterator[PublicKey]:
    for text in keys.encrypt_to:
        yield _recipient(text, "--encrypt-to")
    if keys.recipients_file is not None:
        found = [
            _recipient(line, f"{keys.recipients_file}, line {number}")
            for number, line in _lines(_text_of(keys.recipients_file))
        ]
        if not found:
            raise UsageError(f"{keys.recipients_file} names no recipient", "write one a line: age1...")
        yield from found


def _recipient(text: str, place: str) -> PublicKey:
    if text.upper().startswith(_SECRET):
        raise UsageError(
            f"{place} holds an identity, which is secret, where a recipient belongs",
            "name the public key that age-keygen -y prints of it (age1...)",
        )
    try:
        return PublicKey.parse(text)
    except ValueError as exc:
        raise UsageError(
            f"{place} holds what is no recipient of dlbackup's: {text[:20]}...: {exc}",
            "name an X25519 key (age1 and 58 characters); SSH, plugin and post-quantum keys can't be used yet",
        ) from None


def _identities(keys: Keys) -> Iterator[SecretKey]:
    for path in keys.identity:
        yield from _identities_at(path, "--identity")
    if keys.identity_command:
        yield from _identities_in(_printed(keys.identity_command), "what --identity-command printed")
    if not keys.identity and not keys.identity_command and (value := os.environ.get(VARIABLE, "").strip()):
        if value.upper().startswith(_SECRET):
            yield from _identities_in(value.encode(), VARIABLE)
        else:
            yield from _identities_at(value, VARIABLE)


def _identities_at(path: str | Path, named_by: str) -> list[SecretKey]:
    try:
        text = _text_of(path)
    except StorageError as exc:
        raise NoIdentity(f"{exc.message}; {named_by} names it", _GIVE) from exc
    return _identities_in(text, str(path))


def _refuse_identities(texts: Iterable[str]) -> None:
    """Refuse an identity where it is to be said where one is: everybody sees a command line, and it may be repeated."""
    if any(_SECRET in text.upper() for text in texts):
        raise UsageError(
            "--identity and --identity-command say where an identity is, and one holds an identity itself, which"
            " everybody on the machine can see now",
            "write it to a file that only you can read, and make a new identity",
        )


def _identities_in(text: bytes, place: str) -> list[SecretKey]:
    if text.startswith((FIRST_LINE, b"-----BEGIN AGE")):
        raise NoIdentity(
            f"{place} is itself encrypted",
            f"have it decrypted when it is needed: --identity-command {shlex.quote('age -d ' + shlex.quote(place))}",
        )
    found = []
    for number, line in _lines(text):
        try:
            found.append(SecretKey.parse(line))
        except ValueError as exc:
            raise NoIdentity(
                f"{place}, line {number}, holds no identity that dlbackup can use: {exc}",
                "age-keygen makes one (AGE-SECRET-KEY-1...); SSH, plugin and post-quantum keys can't be used yet",
            ) from None
    if not found:
        raise NoIdentity(f"{place} holds no identity", "age-keygen makes one (AGE-SECRET-KEY-1...)")
    return found


def _lines(text: bytes) -> Sequence[tuple[int, str]]:
    """Return the lines that say something, with their numbers."""
    lines = ((number, line.strip()) for number, line in enumerate(text.decode("utf-8", "replace").splitlines(), 1))
    return [(number, line) for number, line in lines if line and not line.startswith("#")]


def _text_of(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as exc:
        raise StorageError(f"can't read {path}: {exc.strerror or exc}") from exc


def _printed(command: str) -> bytes:
    """Run a command and return what it prints; what it asks, it asks at the terminal. No error repeats it."""
    try:
        words = shlex.split(command)
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
    except (OSError, ValueError, IndexError) as exc:
        raise NoIdentity(f"--identity-command can't be run: {getattr(exc, 'strerror', None) or exc}") from None
    if done.returncode:
        raise NoIdentity(f"--identity-command {Path(words[0]).name} ended with status {done.returncode}")
    return done.stdout
