"""
A file's header: a stanza for each recipient, and a MAC over all of it by the file's key.
"""

import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass

from dlbackup.errors import Corrupt, NoIdentity, UsageError
from dlbackup.stores.age.passphrase import SCRYPT
from dlbackup.stores.age.stanza import Identity, Stanza, base64_of, from_base64, hkdf
from dlbackup.stores.contract import Readable

FIRST_LINE = b"age-encryption.org/v1\n"
"""What every such file begins with."""
HEADER_AT_MOST = 1 << 20
"""Longer than the header of any file with thousands of recipients."""
_HEADER_GUESS = 4096

_STANZA = re.compile(
    rb"-> (?P<words>[\x21-\x7e]+(?: [\x21-\x7e]+)*)\n(?P<body>(?:[A-Za-z0-9+/]{64}\n)*[A-Za-z0-9+/]{0,63}\n)"
)
_MAC = re.compile(rb"---(?P<mac> [A-Za-z0-9+/]{43}\n)")
_HEADER_END = re.compile(rb"^---[^\n]*\n", re.MULTILINE)


class NoMatch(Exception):
    """
    None of the identities opens the file: it is encrypted to others, or what its header has for them is damaged.

    Args:
        kinds: of what it is encrypted to, as the header has them.
    """

    def __init__(self, kinds: Iterable[bytes]) -> None:
        self.kinds = frozenset(kinds)


@dataclass(frozen=True, slots=True)
class Header:
    """
    A header as it was read.

    Args:
        authenticated: its text up to the MAC; `mac`: the rest of its last line.
        size: in bytes.
    """

    stanzas: tuple[Stanza, ...]
    authenticated: bytes
    mac: bytes
    size: int

    def file_key(self, identities: Iterable[Identity]) -> bytes:
        """
        Return the file's key; raises as `Reader` does.

        The MAC's line is compared as it stands, and not what it says in base64: several texts say the same.
        """
        failed: NoIdentity | None = None
        for identity in identities:
            try:
                found = identity.unwrap(self.stanzas)
            except NoIdentity as exc:
                failed, found = failed or exc, None
            if found is not None:
                break
        else:
            raise failed or NoMatch(stanza.words[0] for stanza in self.stanzas)
        if not hmac.compare_digest(_mac_line(found, self.authenticated), self.mac):
            raise Corrupt("the header of the encrypted file is damaged: its MAC is another")
        return found


def is_age(file: Readable) -> bool:
    """Tell by its first line whether a file is one of age."""
    return file.read_at(0, len(FIRST_LINE)) == FIRST_LINE


def read_header(file: Readable) -> Header:
    """
    Read no more than a header may have.

    Raises:
        BackupError: there is none, it doesn't end, or nobody would have written it so.
    """
    for size in (_HEADER_GUESS, HEADER_AT_MOST):
        text = file.read_at(0, size)
        if _HEADER_END.search(text) or len(text) < size:
            break
    return parse_header(text)


def parse_header(text: bytes) -> Header:
    """Read the header that a text begins with; raises as `read_header`."""
    if not text.startswith(FIRST_LINE):
        raise Corrupt("the encrypted file is damaged, or of another version of age")
    at, stanzas = len(FIRST_LINE), []
    while found := _STANZA.match(text, at):
        words = tuple(found["words"].split(b" "))
        stanzas.append(Stanza(words, from_base64(found["body"].replace(b"\n", b""))))
        at = found.end()
    end = _MAC.match(text, at)
    if end is None or not stanzas:
        raise Corrupt("the header of the encrypted file is damaged, or cut off")
    from_base64(end["mac"].strip())
    if any(stanza.words[0] == SCRYPT for stanza in stanzas) and len(stanzas) > 1:
        raise Corrupt("the header has a passphrase beside other recipients, which age never writes")
    return Header(tuple(stanzas), text[: at + 3], end["mac"], end.end())


def header(file_key: bytes, stanzas: list[Stanza]) -> bytes:
    """Return the header of a new file."""
    if any(stanza.words[0] == SCRYPT for stanza in stanzas) and len(stanzas) > 1:
        raise UsageError("a passphrase can't be combined with other recipients", "name recipients only")
    if not stanzas:
        raise AssertionError("somebody has to be able to read it")
    if len({stanza.labels for stanza in stanzas}) > 1:
        raise UsageError(
            "post-quantum recipients can't be combined with others: who breaks one of those reads the file",
            "name recipients of one sort only, age1pq1... or others",
        )
    text = FIRST_LINE + b"".join(map(bytes, stanzas)) + b"---"
    return text + _mac_line(file_key, text)


def _mac_line(file_key: bytes, authenticated: bytes) -> bytes:
    mac = hmac.digest(hkdf(file_key, b"", b"header"), authenticated, "sha256")
    return b" " + base64_of(mac) + b"\n"
