"""
What dlbackup and a plugin of age's say to each other: stanzas over its standard input and output.

The protocol is https://c2sp.org/age-plugin. What a plugin wants of people, a touch, a PIN, a yes, is passed on.
"""

import os
import select
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from dlbackup.errors import Corrupt
from dlbackup.runtime import people
from dlbackup.stores.age.stanza import Stanza, from_base64

PATIENCE_VARIABLE = "DLBACKUP_PLUGIN_TIMEOUT"
"""The environment's: for how many seconds a plugin may say nothing."""
_PATIENCE_S = 120.0
_STANZA_AT_MOST = 1 << 20
_LINE = 64
_TO_END_S = 2.0


class PluginFailed(Exception):
    """A plugin isn't there, breaks off, says nothing for too long, what is no stanza, or that it can't."""


def program(name: str) -> str:
    """
    Return where a plugin's program is.

    Raises:
        PluginFailed: nowhere in the PATH.
    """
    found = shutil.which(f"age-plugin-{name}")
    if found is None or not Path(found).is_absolute():
        raise PluginFailed(f"its program age-plugin-{name} isn't in the PATH")
    return found


class Talk:
    """
    A plugin at work, from its start to its end.

    Args:
        machine: what it is to do, `recipient-v1` or `identity-v1`; nothing else stands on its command line.
    """

    def __init__(self, name: str, machine: str) -> None:
        self._name = name
        self._patience = _patience()
        self._heard = bytearray()
        try:
            self._process = subprocess.Popen(
                [program(name), f"--age-plugin={machine}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                cwd=tempfile.gettempdir(),
            )
        except OSError as exc:
            raise PluginFailed(f"its program can't be run: {exc.strerror or exc}") from exc
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("both are pipes")
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._in, False)

    def __enter__(self) -> "Talk":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipe in filter(None, (self._process.stdin, self._process.stdout)):
            with suppress(OSError):
                pipe.close()
        if kind is not None:
            self._process.terminate()
        for end in (self._process.terminate, self._process.kill):
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_TO_END_S)
                return
            end()
        self._process.wait()

    def say(self, *words: str, body: bytes = b"") -> None:
        """Say one thing; raises PluginFailed where nobody listens."""
        self.pass_on(Stanza(tuple(word.encode() for word in words), body))

    def pass_on(self, stanza: Stanza) -> None:
        """Say a stanza as it is; raises as `say`."""
        data = bytes(stanza)
        while data:
            self._wait(self._in, select.POLLOUT)
            try:
                data = data[os.write(self._in, data) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise self._broken_off() from None

    def until_done(self, answers: Mapping[bytes, Callable[[Stanza], None]]) -> None:
        """
        Listen until the plugin is done, and answer what it asks.

        Args:
            answers: what is done with each kind of stanza that this talk is about; the rest is for people.

        Raises:
            PluginFailed: it doesn't come to that.
        """
        while (stanza := self._hear()).words[0] != b"done":
            kind = stanza.words[0]
            if kind in answers:
                answers[kind](stanza)
                self.say("ok")
            elif kind in _FOR_PEOPLE:
                self.pass_on(_FOR_PEOPLE[kind](self._name, stanza))
            else:
                self.say("unsupported")

    def _hear(self) -> Stanza:
        first = self._line()
        words = tuple(first.removeprefix(b"-> ").split(b" "))
        if not first.startswith(b"-> ") or not all(words):
            raise PluginFailed("it says what is no stanza")
        body = b""
        while len(line := self._line()) == _LINE:
            body += line
            if len(body) > _STANZA_AT_MOST:
                raise PluginFailed("it says more than a stanza has")
        try:
            return Stanza(words, from_base64(body + line))
        except Corrupt:
            raise PluginFailed("it says what is no stanza") from None

    def _line(self) -> bytes:
        while (end := self._heard.find(b"\n")) < 0:
            if len(self._heard) > _STANZA_AT_MOST:
                raise PluginFailed("it says more than a stanza has")
            self._wait(self._out, select.POLLIN)
            if not (more := os.read(self._out, 1 << 16)):
                raise self._broken_off()
            self._heard += more
        line = bytes(self._heard[:end])
        del self._heard[: end + 1]
        return line

    def _wait(self, number: int, event: int) -> None:
        poll = select.poll()
        poll.register(number, event)
        if not poll.poll(self._patience * 1000):
            raise PluginFailed(
                f"it has said nothing for {self._patience:g} s (give it more by {PATIENCE_VARIABLE}=SECONDS)"
            )

    def _broken_off(self) -> PluginFailed:
        with suppress(subprocess.TimeoutExpired):
            status = self._process.wait(_TO_END_S)
            return PluginFailed(f"it ended before it was done, with status {status}")
        return PluginFailed("it broke off")


def _patience() -> float:
    text = os.environ.get(PATIENCE_VARIABLE, "")
    with suppress(ValueError):
        return max(0.1, float(text)) if text else _PATIENCE_S
    raise PluginFailed(f"{PATIENCE_VARIABLE} is no number of seconds: {text}")


def _told(name: str, stanza: Stanza) -> Stanza:
    people.tell(f"age's plugin {name}: {_text(stanza.body)}")
    return Stanza((b"ok",), b"")


def _asked(name: str, stanza: Stanza) -> Stanza:
    question = f"age's plugin {name} asks: {_text(stanza.body)}"
    answer = people.ask(question, secret=stanza.words[0] == b"request-secret")
    if answer is None:
        people.tell(f"{question} (and there is no terminal to answer at)")
        return Stanza((b"fail",), b"")
    return Stanza((b"ok",), answer.encode())


def _confirmed(name: str, stanza: Stanza) -> Stanza:
    try:
        yes, *no = (_text(from_base64(word)) for word in stanza.words[1:])
    except (ValueError, Corrupt):
        raise PluginFailed("it asks what is no question") from None
    choices = f"y: {yes}" + (f", n: {no[0]}" if no else "")
    question = f"age's plugin {name} asks: {_text(stanza.body)} ({choices})"
    answer = people.ask(question, secret=False)
    if answer is None:
        people.tell(f"{question} (and there is no terminal to answer at)")
        return Stanza((b"fail",), b"")
    return Stanza((b"ok", b"yes" if answer.strip().lower() in ("y", "yes") else b"no"), b"")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


_FOR_PEOPLE: Mapping[bytes, Callable[[str, Stanza], Stanza]] = {
    b"msg": _told,
    b"confirm": _confirmed,
    b"request-public": _asked,
    b"request-secret": _asked,
}
