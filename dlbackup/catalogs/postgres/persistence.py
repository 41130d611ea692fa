"""Which tables and sequences count as permanent: those of rehearsals too, which go without the write-ahead log."""

COUNTS_AS_PERMANENT = r"(c.relpersistence = 'p' or n.nspname like 'dlbackup\_rehearsal\_%%')"
"""`c` is of pg_class and `n` its schema; a query with parameters."""
