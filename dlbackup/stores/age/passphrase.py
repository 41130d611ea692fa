"""
Passphrases, of which scrypt makes a key.
"""

import os
import re
from dataclasses import dataclass, field

from dlbackup.errors import Corrupt, StorageError
from dlbackup.stores.age.stanza import FILE_KEY, TAG, OneByOne, Stanza, base64_of, exactly, opened, sealed

SCRYPT = b"scrypt"
_SALT = b"age-encryption.org/v1/scrypt"
WORK_FACTOR = 18
"""What age itself writes: 2^18, about a second and 256 MiB."""
_WORK_FACTOR_AT_MOST = 22  # age's own bound for what it reads; each step more doubles time and memory


@dataclass(frozen=True, slots=True)
class Passphrase(OneByOne):
    """
    A passphrase, recipient and identity in one; it must be a file's only recipient.

    What scrypt made of it is kept, and goes to other processes with it, so that each file costs its second once.
    """

    secret: bytes = field(repr=False)
    work_factor: int = WORK_FACTOR
    _made: dict[tuple[bytes, int], bytes] = field(default_factory=dict, repr=False, compare=False)

    def __str__(self) -> str:
        return "a passphrase"

    def wrap(self, file_key: bytes) -> Stanza:
        """Wrap a key by what scrypt makes of the passphrase."""
        salt = os.urandom(16)
        words = (SCRYPT, base64_of(salt), str(self.work_factor).encode())
        return Stanza(words, sealed(self._key(salt, self.work_factor), file_key))

    def _opened(self, stanza: Stanza) -> bytes | None:
        if stanza.words[0] != SCRYPT:
            return None
        if len(stanza.words) != 3 or len(stanza.body) != FILE_KEY + TAG:
            raise Corrupt("the header has a scrypt stanza of another form")
        salt, factor = exactly(stanza.words[1], 16), stanza.words[2]
        if re.fullmatch(rb"[1-9][0-9]?", factor) is None or int(factor) > _WORK_FACTOR_AT_MOST:
            raise Corrupt("the header asks for an scrypt work factor that is no good")
        return opened(self._key(salt, int(factor)), stanza.body)

    def _key(self, salt: bytes, work_factor: int) -> bytes:
        from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

        if (salt, work_factor) not in self._made:
            try:
                made = Scrypt(salt=_SALT + salt, length=32, n=2**work_factor, r=8, p=1).derive(self.secret)
            except MemoryError as exc:
                needed = f"{2**work_factor >> 10} MiB"
                raise StorageError(
                    f"a passphrase of work factor {work_factor} needs {needed} of memory, and so much isn't to be had",
                    "open it where there is more",
                ) from exc
            self._made[salt, work_factor] = made
        return self._made[salt, work_factor]
