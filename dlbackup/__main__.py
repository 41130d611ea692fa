"""Run dlbackup: as `python -m dlbackup`, and as the command that is installed."""

import sys

from dlbackup.runtime.memory import collector_of_a_program
from dlbackup.runtime.streams import take_places


def program() -> int:
    """Run one command in a process that is dlbackup's alone; return the exit code."""
    take_places()
    with collector_of_a_program():
        from dlbackup.cli.command import main

        return main()


if __name__ == "__main__":
    sys.exit(program())
