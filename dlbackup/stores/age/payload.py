"""
What a file holds: encrypted in chunks as it is written, decrypted where it is read.
"""

import hashlib
import os
from collections.abc import Callable, Iterable

from dlbackup.errors import Corrupt, Unfinished
from dlbackup.stores.age.header import header, read_header
from dlbackup.stores.age.stanza import FILE_KEY, TAG, Identity, Recipient, hkdf
from dlbackup.stores.contract import Readable, Sink

CHUNK = 64 * 1024
"""Bytes of a chunk before it is encrypted; only the last one has fewer."""
_NONCE = 16


class Writer:
    """
    Encrypts what is written; complete only after `finish`.

    Args:
        sink: where the file's bytes go.
        beside: returns one more recipient, which goes with the labels of the others.

    Attributes:
        file_bytes: how many bytes of the file were written.
    """

    def __init__(
        self, sink: Sink, recipients: Iterable[Recipient], beside: Callable[[frozenset[str]], Recipient] | None = None
    ) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        self._sink = sink
        self.file_bytes = 0
        self._sha256 = hashlib.sha256()
        self._rest = bytearray()
        self._number = 0
        file_key, nonce = os.urandom(FILE_KEY), os.urandom(_NONCE)
        self._cipher = ChaCha20Poly1305(hkdf(file_key, nonce, b"payload"))
        stanzas = [recipient.wrap(file_key) for recipient in recipients]
        if beside is not None:
            stanzas.append(beside(stanzas[0].labels).wrap(file_key))
        self._put(header(file_key, stanzas) + nonce)

    def write(self, data: bytes, /) -> int:
        """Write all of `data`; see `Sink`."""
        self._rest += data
        whole = (len(self._rest) - 1) // CHUNK * CHUNK  # whether a chunk is the last is known once more follows
        if whole > 0:
            self._put(b"".join(self._chunk(self._rest[at : at + CHUNK]) for at in range(0, whole, CHUNK)))
            del self._rest[:whole]
        return len(data)

    def finish(self) -> None:
        """Write what is left as the last chunk."""
        self._put(self._chunk(self._rest, last=True))

    def _chunk(self, data: bytearray, *, last: bool = False) -> bytes:
        number, self._number = self._number, self._number + 1
        return self._cipher.encrypt(_chunk_nonce(number, last=last), bytes(data), None)

    def _put(self, data: bytes) -> None:
        self._sink.write(data)
        self._sha256.update(data)
        self.file_bytes += len(data)

    @property
    def sha256(self) -> str:
        """SHA-256 of the file so far."""
        return self._sha256.hexdigest()


class Reader:
    """
    What an age file holds, to be read anywhere; see `Readable`.

    Raises:
        NoMatch: none of the identities opens it.
        BackupError: it is damaged, or cut off: its header and its last chunk were read.
    """

    def __init__(self, file: Readable, identities: Iterable[Identity]) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        head = read_header(file)
        file_key = head.file_key(identities)
        nonce = file.read_at(head.size, _NONCE)
        if len(nonce) < _NONCE:
            raise Unfinished("the file ends before what it holds begins")
        self._file = file
        self._begin = head.size + _NONCE
        self._cipher = ChaCha20Poly1305(hkdf(file_key, nonce, b"payload"))
        stored = file.size - self._begin
        self._chunks = -(-stored // (CHUNK + TAG))
        self.size = stored - self._chunks * TAG
        """How many bytes it holds."""
        if stored < TAG or self.size < (self._chunks - 1) * CHUNK or (self.size == 0 and self._chunks > 1):
            raise Unfinished("the file is cut off")
        last = self._decrypted(self._chunks - 1, self._chunks)
        if not last and self._chunks > 1:
            raise Corrupt("the last chunk of the encrypted file is empty")

    def read_at(self, offset: int, size: int) -> bytes:
        """Read and decrypt the chunks in question; see `Readable`."""
        end = min(offset + size, self.size)
        if end <= offset:
            return b""
        first = offset // CHUNK
        data = self._decrypted(first, -(-end // CHUNK))
        return data[offset - first * CHUNK : end - first * CHUNK]

    def _decrypted(self, first: int, end: int) -> bytes:
        from cryptography.exceptions import InvalidTag

        stored = memoryview(self._file.read_at(self._begin + first * (CHUNK + TAG), (end - first) * (CHUNK + TAG)))
        parts = []
        for number in range(first, end):
            at = (number - first) * (CHUNK + TAG)
            nonce = _chunk_nonce(number, last=number == self._chunks - 1)
            try:
                parts.append(self._cipher.decrypt(nonce, stored[at : at + CHUNK + TAG], None))
            except (InvalidTag, ValueError) as exc:
                raise Corrupt(f"chunk {number} of {self._chunks} of the encrypted file is damaged, or cut off") from exc
        return b"".join(parts)


def _chunk_nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])
