"""
For tests of programs that use a lake: a throwaway PostgreSQL, and backups restored into it.

`plugin` gives pytest the fixtures `dlbackup_postgres`, `dlbackup_database` and `dlbackup_restored`. What they are made
of is here, for fixtures of one's own and other test runners. Nothing is imported before it is used.
"""

from dlbackup.testing.throwaway import Restore, database, postgres, restored

__all__ = ["Restore", "database", "postgres", "restored"]
