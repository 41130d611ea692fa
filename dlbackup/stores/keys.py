"""
Who is to be able to read what is written, and what opens what is read: a user's words, and the keys that they name.

Secrets are read when the first encrypted file needs them, and not before. Nothing here shows one, in errors or printed.
"""

import os
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dlbackup.errors import NoIdentity, UsageError, WrongIdentity, counted
from dlbackup.stores import keyfiles
from dlbackup.stores.age.header import NoMatch
from dlbackup.stores.age.hybrid import POST_QUANTUM, HybridSecretKey
from dlbackup.stores.age.passphrase import SCRYPT, Passphrase
from dlbackup.stores.age.payload import Reader, Writer
from dlbackup.stores.age.stanza import Identity, Recipient
from dlbackup.stores.age.x25519 import SecretKey
from dlbackup.stores.contract import Readable, Sink
from dlbackup.stores.keyfiles import AnyRecipient

ENDING = ".age"
"""How the name of an encrypted backup ends."""
VARIABLE = "DLBACKUP_IDENTITY"
"""The environment's: a file with identities, or one itself; counts where no option names any."""
PASSPHRASE_VARIABLE = "DLBACKUP_PASSPHRASE_FILE"  # noqa: S105 - the name of a variable
"""The environment's: a file whose first line is a passphrase; counts where no option names one."""
_GIVE = (
    f"--identity FILE, --identity-command CMD or {VARIABLE} says where its identity is (AGE-SECRET-KEY-1..., one of a"
    " plugin's, or a private key of SSH's)"
)
_GIVE_PASSPHRASE = f"--passphrase-file FILE or {PASSPHRASE_VARIABLE} names a file whose first line is the passphrase"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """
    Whom backups are encrypted to, and where the identities are that open them; files and keys are those of age.

    Args:
        encrypt_to: recipients: `age1...`, of plugins and post-quantum ones too, or SSH keys as `.pub` files have them.
        recipients_file: a file with more of them, one a line.
        encrypt_to_passphrase_file: a file whose first line is a passphrase to encrypt to, instead of recipients.
        identity: files with identities (`AGE-SECRET-KEY-1...`, `AGE-SECRET-KEY-PQ-1...`, `AGE-PLUGIN-NAME-1...`), one
            a line, or each with a private key of SSH's.
        identity_command: a command that prints identities; it is run without a shell, when an encrypted backup is read.
        passphrase_file: a file whose first line is a passphrase that opens backups, or the files with identities.
    """

    encrypt_to: tuple[str, ...] = ()
    recipients_file: str | Path | None = None
    encrypt_to_passphrase_file: str | Path | None = None
    identity: tuple[str | Path, ...] = ()
    identity_command: str | None = None
    passphrase_file: str | Path | None = None

    def __repr__(self) -> str:
        return f"Keys({len(self.encrypt_to)} recipients, {len(self.identity)} identity files)"  # a slip may be a secret

    def ring(self) -> "Keyring":
        """
        Return the keys of one run.

        Raises:
            UsageError: a recipient is none, there is a passphrase beside others, or an identity stands where the name
                of a file belongs.
            StorageError: the file with recipients, or the one with a passphrase to encrypt to, can't be read.
        """
        return Keyring(self)

    @property
    def encrypts(self) -> bool:
        """Whether backups are to be encrypted."""
        return bool(self.encrypt_to or self.recipients_file or self.encrypt_to_passphrase_file)

    def words(self) -> list[str]:
        """Return the options that say again where the identities are, or the passphrase."""
        words = [word for path in self.identity for word in ("--identity", str(Path(path).absolute()))]
        words += ["--identity-command", self.identity_command] if self.identity_command else []
        passphrase = self.passphrase_file or self.encrypt_to_passphrase_file
        return words + (["--passphrase-file", str(Path(passphrase).absolute())] if passphrase else [])


NO_KEYS = Keys()


class Keyring:
    """
    The keys of one run. Pickled, it has what it has read: a helper gets that on its standard input.

    Whoever writes has one more identity, made for this run and kept in memory, so that what was written can be read
    back, proved and restored where the identities of its recipients are not; by a passphrase, that itself.
    """

    def __init__(self, keys: Keys = NO_KEYS) -> None:
        files = (*keys.identity, keys.recipients_file, keys.encrypt_to_passphrase_file, keys.passphrase_file)
        _refuse_identities((*(str(file) for file in files if file is not None), keys.identity_command or ""))
        self.keys = keys
        self._recipients = tuple(_recipients(keys))
        self._own = _own_of(self._recipients)
        self._read: tuple[Identity, ...] | None = None

    def __repr__(self) -> str:
        return f"Keyring({counted(len(self._recipients), 'recipient')})"

    @property
    def encrypts(self) -> bool:
        """Whether what is written is encrypted."""
        return bool(self._recipients)

    @property
    def recipients(self) -> tuple[str, ...]:
        """Whom it is encrypted to, without the run's own; `a passphrase` for one."""
        return tuple(map(str, self._recipients))

    def writer(self, sink: Sink) -> Writer:
        """Return what encrypts into a sink."""
        return Writer(sink, self._recipients, self._own.beside if isinstance(self._own, _OfOneRun) else None)

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
        except NoMatch as exc:
            raise self._not_opened(name, exc.kinds) from None

    def _identities(self) -> Iterator[Identity]:
        """Yield what may open a file: first the run's own, so that others are only read where they are needed."""
        if isinstance(self._own, _OfOneRun):
            yield from (self._own.key, self._own.hybrid)
        elif self._own:
            yield self._own
        if self._read is None:
            self._read = tuple(_identities(self.keys))
        yield from self._read

    def _not_opened(self, name: str, kinds: frozenset[bytes]) -> NoIdentity | WrongIdentity:
        given = [*(self._read or ()), *([self._own] if isinstance(self._own, Passphrase) else [])]
        if kinds == {SCRYPT} and not any(isinstance(identity, Passphrase) for identity in given):
            return NoIdentity(f"{name} is encrypted by a passphrase, and none was given", _GIVE_PASSPHRASE)
        by_age = f"age -d -i IDENTITY {shlex.quote(name)} | dlbackup verify -"
        if not given:
            hint = f"{_GIVE}; what age can open and dlbackup can't: {by_age}"
            return NoIdentity(f"{name} is encrypted, and no identity was given that opens it", hint)
        if kinds == {SCRYPT}:
            return WrongIdentity(
                f"{name} is encrypted by another passphrase than the one that was given, or its header is damaged",
                "give the passphrase that it was encrypted by",
            )
        tried = ", ".join(str(identity) for identity in given[:3])
        these = (
            "not to the identity that was" if len(given) == 1 else f"to none of the {len(given)} identities that were"
        )
        return WrongIdentity(
            f"{name} is encrypted, and {these} given ({tried}), or its header is damaged",
            "give the identity of one of those that it was encrypted to; what age can open and dlbackup can't:"
            f" {by_age}",
        )


def of_one_run() -> Keyring:
    """Return keys of which nobody has the identity but this run, in memory."""
    return Keyring(Keys(encrypt_to=(str(SecretKey.generate().public),)))


@dataclass(frozen=True, slots=True)
class _OfOneRun:
    """What this run reads by what it writes: of each sort of keys one, since the sorts don't stand in one header."""

    key: SecretKey
    hybrid: HybridSecretKey

    def beside(self, labels: frozenset[str]) -> Recipient:
        """Return the one that goes with others of these labels; raises UsageError where none does."""
        if not labels <= {POST_QUANTUM}:
            raise UsageError(
                f"a recipient's plugin wants no other recipients beside it (labels: {', '.join(sorted(labels))}), and"
                " dlbackup adds one to prove what it wrote",
                "let age itself encrypt: dlbackup dump ADDRESS -o - | age -r RECIPIENT -o NAME.sql.zst.age",
            )
        return self.hybrid.public if labels else self.key.public


def _own_of(recipients: tuple[AnyRecipient, ...]) -> _OfOneRun | Passphrase | None:
    """Return what this run reads with what it writes, if that is encrypted."""
    alone = next((one for one in recipients if isinstance(one, Passphrase)), None)
    return alone or (_OfOneRun(SecretKey.generate(), HybridSecretKey.generate()) if recipients else None)


def _recipients(keys: Keys) -> Iterator[AnyRecipient]:
    if keys.encrypt_to_passphrase_file is not None:
        if keys.encrypt_to or keys.recipients_file is not None:
            raise UsageError(
                "a passphrase can't be combined with other recipients",
                "name either recipients, or --encrypt-to-passphrase-file",
            )
        yield keyfiles.passphrase_at(keys.encrypt_to_passphrase_file, "--encrypt-to-passphrase-file")
    for text in keys.encrypt_to:
        yield keyfiles.recipient(text, "--encrypt-to")
    if keys.recipients_file is not None:
        yield from keyfiles.recipients_at(keys.recipients_file)


def _identities(keys: Keys) -> Iterator[Identity]:
    passphrase = _passphrase(keys)
    for path in keys.identity:
        yield from keyfiles.identities_at(path, "--identity", passphrase, _GIVE)
    if keys.identity_command:
        text = keyfiles.printed(keys.identity_command)
        yield from keyfiles.identities_in(text, "what --identity-command printed", passphrase)
    if not keys.identity and not keys.identity_command and (value := os.environ.get(VARIABLE, "").strip()):
        if keyfiles.names_no_file(value):
            yield from keyfiles.identities_in(value.encode(), VARIABLE, passphrase)
        else:
            yield from keyfiles.identities_at(value, VARIABLE, passphrase, _GIVE)
    if passphrase:
        yield passphrase


def _passphrase(keys: Keys) -> Passphrase | None:
    if keys.passphrase_file is not None:
        return keyfiles.passphrase_at(keys.passphrase_file, "--passphrase-file")
    if path := os.environ.get(PASSPHRASE_VARIABLE, "").strip():
        return keyfiles.passphrase_at(path, PASSPHRASE_VARIABLE)
    return None


def _refuse_identities(texts: Iterable[str]) -> None:
    """Refuse an identity where it is to be said where one is: everybody sees a command line, and it may be repeated."""
    if any(map(keyfiles.holds_identity, texts)):
        raise UsageError(
            "an option that says where an identity, a passphrase or recipients are holds an identity itself, which"
            " everybody on the machine can see now",
            "write it to a file that only you can read, and make a new identity",
        )
