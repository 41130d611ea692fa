"""
Standard streams that are closed, as some daemons start their jobs: the next file that is opened would be one of them.

What a library or a child writes there would then go into a backup.
"""

import os
import sys

_STREAMS = (("stdin", "r", os.O_WRONLY), ("stdout", "w", os.O_RDONLY), ("stderr", "w", os.O_WRONLY))
"""Their names, what they are for, and how the nothing in their place is opened: who reads or writes results, fails."""


def take_places() -> None:
    """Have nothing stand where a standard stream is closed; what is said on standard error goes there."""
    for number, (name, mode, access) in enumerate(_STREAMS):
        try:
            os.fstat(number)
        except OSError:
            taken = os.open(os.devnull, access)  # the lowest number that is free, and so that of the stream
            os.set_inheritable(taken, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - as long as we run
