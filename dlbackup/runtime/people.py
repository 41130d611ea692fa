"""
What is said to people, and asked of them, while a job runs: on standard error, and at the terminal.
"""

import getpass
import os
import sys
from contextlib import suppress
from pathlib import Path

_TERMINAL = Path("/dev/tty")


def printable(text: str) -> str:
    """Return the text with `?` in the place of every character that is not to be seen."""
    return "".join(sign if sign.isprintable() or sign == "\n" else "?" for sign in text)


def tell(text: str) -> None:
    """Say something that can't wait, on standard error, where there is one."""
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"{printable(text)}\n")
        sys.stderr.flush()


def ask(question: str, *, secret: bool) -> str | None:
    """Ask for a line at the terminal; return None where there is nobody to answer. What is secret isn't shown."""
    try:
        with _TERMINAL.open("rb+", buffering=0) as terminal:
            if secret:
                return getpass.getpass(printable(question) + " ")
            terminal.write(printable(question).encode() + b" ")
            line = b""
            while not line.endswith(b"\n"):
                if not (more := os.read(terminal.fileno(), 1024)):
                    return None
                line += more
            return line.rstrip(b"\r\n").decode("utf-8", "replace")
    except (OSError, EOFError):
        return None
