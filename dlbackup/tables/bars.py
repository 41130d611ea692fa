"""
The bars against stale clients, word for word: PostgreSQL 14 to 18 print them as they stand here.

They call a function, which no other constraint in a backup may do. What they are for is told in
`catalogs.postgres.clients.bars`, which puts them up.
"""

from dlbackup.tables.definition import Constraint

BAR_PREFIX = "dlbackup_bar_"
"""How the names of all bars begin, those of earlier versions too: made by choice, dropped by `unbar`."""
BAR_TABLE = "ducklake_snapshot_changes"
_NAME = f"{BAR_PREFIX}snapshot_changes"
_SCHEMA = '"([^"]|"")*"'
_FIRST = rf"^\s*INSERT INTO {_SCHEMA}\.ducklake_snapshot\s"
_LATER = (
    rf";\s*INSERT INTO {_SCHEMA}\.ducklake_snapshot\s"
    rf'|^\s*COPY {_SCHEMA}\."ducklake_snapshot_changes" FROM STDIN \(FORMAT BINARY'
)
BAR_OF_NEWER = Constraint(_NAME, f"CHECK ((current_query() !~ '{_FIRST}'::text))")
"""Keeps commits of clients of 0.4 and later out of a catalog of 0.3 or older."""
BAR_OF_OLDER = Constraint(
    _NAME, f"CHECK (((current_query() ~ '{_FIRST}'::text) OR (current_query() !~ '{_LATER}'::text)))"
)
"""Keeps commits of clients of 0.3 and older out of a catalog of 0.4 or later."""
