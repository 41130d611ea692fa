"""The mark of a migration under way: an empty schema whose comment says where the journal is."""

import json
from dataclasses import dataclass
from pathlib import Path

from psycopg.errors import InsufficientPrivilege

from dlbackup.catalogs.contract import Identity
from dlbackup.catalogs.postgres.schemas import whole
from dlbackup.catalogs.postgres.sessions import Session, one, quoted_text, system_identifier
from dlbackup.tables.quoting import quote_identifier


@dataclass(frozen=True, slots=True)
class PostgresMark:
    """The mark beside the schema of one catalog."""

    session: Session
    schema: str

    @property
    def catalog(self) -> Identity:
        """Which catalog the session and the schema mean."""
        (database,) = one(self.session, "select current_database()")
        return Identity(system_identifier(self.session), database, self.schema)

    @property
    def name(self) -> str:
        """The name of the schema that is the mark."""
        return f"dlbackup_migrating_{whole(self.schema)}"

    def read(self) -> tuple[Path, str] | None:
        """Return the journal and the version that the mark names; None where there is none."""
        row = self.session.execute(
            "select obj_description(oid, 'pg_namespace') from pg_namespace where nspname = %s", [self.name]
        ).fetchone()
        if row is None:
            return None
        said = json.loads(row[0] or "{}")
        return Path(said.get("journal", "unknown")), str(said.get("from_version", ""))

    def leave(self, journal: Path, from_version: str) -> bool:
        """Leave the mark; False where the role may not make schemas, so that only the journal is there."""
        name = quote_identifier(self.name)
        said = json.dumps({"journal": str(journal.resolve()), "from_version": from_version})
        text = quoted_text(self.session, said)
        try:
            with self.session.transaction():
                self.session.execute(f"CREATE SCHEMA IF NOT EXISTS {name}".encode())
                self.session.execute(f"COMMENT ON SCHEMA {name} IS {text}".encode())
        except InsufficientPrivilege:
            return False
        return True

    def take_away(self) -> None:
        """Take the mark away, if there is one."""
        if self.read() is not None:
            self.session.execute(f"DROP SCHEMA IF EXISTS {quote_identifier(self.name)}".encode())
