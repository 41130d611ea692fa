"""Run dlbackup as `python -m dlbackup`."""

import sys

from dlbackup.cli.command import main

if __name__ == "__main__":
    sys.exit(main())
