"""
Keys of age's plugins: recipients `age1NAME1...` and identities `AGE-PLUGIN-NAME-1...`.

A plugin, the program `age-plugin-NAME`, knows what they mean; it gets the key of a file to wrap, or the stanzas of a
header to open, and nothing of what the file holds.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from dlbackup.errors import Corrupt, NoIdentity, StorageError
from dlbackup.stores.age import bech32
from dlbackup.stores.age.stanza import FILE_KEY, Stanza
from dlbackup.stores.age.talk import PluginFailed, Talk, program

_NAME = "[a-z0-9+._-]+"
_RECIPIENT = re.compile(rf"age1(?P<name>{_NAME})1[a-z0-9]+")
_IDENTITY = re.compile(rf"AGE-PLUGIN-(?P<name>{_NAME})-1[A-Z0-9]*", re.IGNORECASE)
_SHOWN = 24


@dataclass(frozen=True, slots=True)
class PluginRecipient:
    """A recipient that a plugin encrypts to."""

    name: str
    text: str

    @classmethod
    def parse(cls, text: str) -> "PluginRecipient | None":
        """
        Read an `age1NAME1...`; None where it is none of a plugin's.

        Raises:
            ValueError: somebody slipped, or the plugin's program isn't there.
        """
        if (found := _RECIPIENT.fullmatch(text)) is None:
            return None
        try:
            program(found["name"])
        except PluginFailed as exc:
            raise ValueError(f"of age's plugin {found['name']}, {exc}") from None
        bech32.checked(text, f"age1{found['name']}")
        return cls(found["name"], text)

    def __str__(self) -> str:
        return self.text

    def wrap(self, file_key: bytes) -> Stanza:
        """Have the plugin wrap a key; see `Recipient`."""
        made: list[Stanza] = []
        labels: list[str] = []

        def keep(stanza: Stanza) -> None:
            if stanza.words[1:2] != (b"0",) or len(stanza.words) < 3:
                raise PluginFailed("it says what is no stanza of a header")
            made.append(Stanza(stanza.words[2:], stanza.body))

        def label(stanza: Stanza) -> None:
            labels.extend(word.decode("ascii", "replace") for word in stanza.words[1:])

        try:
            with Talk(self.name, "recipient-v1") as talk:
                talk.say("add-recipient", self.text)
                talk.say("wrap-file-key", body=file_key)
                talk.say("extension-labels")
                talk.say("done")
                talk.until_done({b"recipient-stanza": keep, b"labels": label, b"error": _give_up})
            if len(made) != 1:
                raise PluginFailed(f"it made {len(made)} stanzas for one recipient")
        except PluginFailed as exc:
            raise StorageError(
                f"age's plugin {self.name} didn't encrypt to {self.text[:_SHOWN]}...: {exc}",
                _hint(self.name),
            ) from None
        return Stanza(made[0].words, made[0].body, labels=frozenset(labels))


@dataclass(frozen=True, slots=True)
class PluginIdentity:
    """
    An identity that a plugin opens files with; shown by the plugin's name.

    The keys that it found are kept, and go to other processes with it: nobody is asked twice for one file.
    """

    name: str
    text: str = field(repr=False)
    _found: dict[bytes, bytes] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def parse(cls, text: str) -> "PluginIdentity | None":
        """
        Read an `AGE-PLUGIN-NAME-1...`; None where it is none of a plugin's.

        Raises:
            ValueError: somebody slipped; the text is not repeated.
        """
        if (found := _IDENTITY.fullmatch(text)) is None:
            return None
        small, name = bech32.in_small_letters(text), found["name"].lower()
        bech32.checked(small, f"age-plugin-{name}-")
        return cls(name, text)

    def __str__(self) -> str:
        return f"one of age's plugin {self.name}"

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """Have the plugin open one of them; see `Identity`."""
        asked = hashlib.sha256(b"".join(map(bytes, stanzas))).digest()
        if asked not in self._found:
            if (key := self._asked(stanzas)) is None:
                return None
            self._found[asked] = key
        return self._found[asked]

    def _asked(self, stanzas: Sequence[Stanza]) -> bytes | None:
        found: list[bytes] = []

        def keep(stanza: Stanza) -> None:
            if stanza.words[1:] != (b"0",) or len(stanza.body) != FILE_KEY:
                raise PluginFailed("it says what is no key of the file's")
            found.append(stanza.body)

        try:
            with Talk(self.name, "identity-v1") as talk:
                talk.say("add-identity", self.text)
                for stanza in stanzas:
                    talk.pass_on(Stanza((b"recipient-stanza", b"0", *stanza.words), stanza.body))
                talk.say("done")
                talk.until_done({b"file-key": keep, b"error": _give_up})
        except PluginFailed as exc:
            raise NoIdentity(
                f"age's plugin {self.name} didn't open the backup: {exc}",
                _hint(self.name),
            ) from None
        return found[0] if found else None


def _give_up(stanza: Stanza) -> NoReturn:
    """Raise what a plugin says that it can't."""
    said = stanza.body.decode("utf-8", "replace")
    if stanza.words[1:2] == (b"stanza",):
        raise Corrupt(f"the header of the encrypted file is damaged: {said}")
    raise PluginFailed(said)


def _hint(name: str) -> str:
    return f"have age-plugin-{name} in the PATH, and see that age itself works with it"
