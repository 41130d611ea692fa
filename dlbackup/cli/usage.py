"""
What a user reads when a command line is wrong: which option, what was given, and what would do.

The types say it of an option's value; the parser says what an option is for that has none, and which word is
meant by one that it doesn't know. Whatever was given is shown without passwords.
"""

import argparse
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn
from urllib.parse import urlsplit

from dlbackup.errors import UsageError, masked
from dlbackup.runtime.throttle import parse_rate

__all__ = ["Parser", "duration", "rate", "seconds", "web_url", "whole"]

_MOST_SECONDS = 1_000_000


def seconds(text: str) -> float:
    """Return how long an option says to wait."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < _MOST_SECONDS:
        raise _not(text, f"a number of seconds above 0 and below {_MOST_SECONDS:,}, such as 10 or 0.5")
    return value


def rate(text: str) -> float:
    """Return how many bytes a second an option allows."""
    try:
        return parse_rate(text)
    except ValueError:
        raise _not(text, "a number of bytes a second above 0, such as 500k, 20M or 1.5G") from None


_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def duration(text: str) -> timedelta:
    """Return how much time an option says, in hours, days or weeks."""
    found = re.fullmatch(r"([1-9]\d{0,4})([hdw])", text)
    if not found:
        raise _not(text, "a number of hours, days or weeks, such as 36h, 14d or 8w")
    return int(found[1]) * _UNITS[found[2]]


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """Return the type of an option that takes a whole number."""
    wanted = f"from {least} to {most}" if most else f"of {least} or more"

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least or (most is not None and value > most):
            raise _not(text, f"a whole number {wanted}, such as {least}")
        return value

    return parse


def moment(text: str) -> datetime:
    """Return a time; it is of UTC where it has no zone."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise _not(text, "a time in the form of ISO 8601, such as 2026-11-29T12:00:00Z") from None
    return found.replace(tzinfo=found.tzinfo or UTC)


def web_url(text: str) -> str:
    """Return the URL of a check or a webhook; what comes after its host is a secret."""
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - a wrong one is a ValueError
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and re.fullmatch("[!-~]+", text) is not None
    except ValueError:
        right = False
    if not right:
        shown = "/".join([*text.split("/")[:1], "..."]) if "/" in text else text
        raise _not(shown, "a URL, such as https://hc-ping.com/your-uuid")
    return text


def _not(text: str, wanted: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(f"{masked(text)!r} is not {wanted}")


class Parser(argparse.ArgumentParser):
    """Raises UsageError where argparse would print and exit; its hint explains the options that the message names."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse found, with what would do."""
        message = re.sub(r"ignored explicit argument (.+)", r"takes no value, but was given \1", message)
        raise UsageError(masked(message), "; ".join([*self._explained(message), self._see()]))

    def parse_known_args(  # type: ignore[override]  # argparse's own has one signature for each kind of namespace
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Parse as argparse does; but a command itself refuses what it doesn't know, for it knows what is near."""
        found, left = super().parse_known_args(args, namespace)
        if left:
            self._refuse(left)
        return found, left

    def _refuse(self, left: list[str]) -> NoReturn:
        # A word after an unknown option may be its value, taken for an argument: the option alone is at fault.
        options = [word.partition("=")[0] for word in left if word.startswith("-")]
        raise UsageError(
            f"unrecognized arguments: {masked(' '.join(options or left))}",
            "; ".join([*(self._near(options[0]) if options else self._taken()), self._see()]),
        )

    def _see(self) -> str:
        return f"see {self.prog} --help"

    def _taken(self) -> list[str]:
        names = [_name(action) for action in self._actions if not action.option_strings]
        return [f"{self.prog} takes {' and '.join(names)} only; a value with spaces needs quotes"]

    def _near(self, option: str) -> list[str]:
        """Say which option is meant."""
        for action in self._actions:
            if isinstance(action.choices, dict):  # the commands
                return [f"the options of a command stand after it: {self.prog} {action.metavar} {option}"]
        return _nearest(option, self._option_string_actions)

    def _explained(self, message: str) -> list[str]:
        """Say of each option that a message of argparse names what it is for, or which of its choices is meant."""
        actions = {_name(action): action for action in self._actions}
        if wrong := re.match(r"argument (\S+): invalid choice: '(.*?)'", message):
            return _nearest(wrong[2], actions[wrong[1]].choices or ())
        if named := re.match(r"argument (\S+): ", message) or re.search(r"arguments are required: (.+)", message):
            return [self._about(actions[name]) for name in named[1].split(", ")]
        return []

    def _about(self, action: argparse.Action) -> str:
        """Return an option with its value as `--help` names it, and what it says of it."""
        value = action.metavar or "|".join(map(str, action.choices or ()))
        usage = f"{action.option_strings[-1]} {value}".rstrip() if action.option_strings else _name(action)
        does = action.help or f"one of {', '.join(map(str, action.choices or ()))}"
        return f"{usage}: {does % {**vars(action), 'prog': self.prog}}"


def _name(action: argparse.Action) -> str:
    """Return what argparse calls an option in its messages."""
    return "/".join(action.option_strings) or str(action.metavar or action.dest)


def _nearest(word: str, known: Iterable[object]) -> list[str]:
    from difflib import get_close_matches  # no command that is right waits for it

    return [f"the nearest is {near}" for near in get_close_matches(word, map(str, known), 1)]
