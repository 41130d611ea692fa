"""
What an engine reads of a lake at one snapshot, so that it can be held against what it reads of another catalog of it.

Columns, and which data and delete files there are, of every table; and the rows of tables that have no data file, which
are in the catalog alone. No data file is opened: what is in one is the same for both catalogs, if it is the same one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dlbackup.engine.engine import Engine, never_migrating
from dlbackup.engine.statements import Option, Target, attach_statement, literal
from dlbackup.lake import spec
from dlbackup.tables.quoting import quote_identifier

READING_TIMEOUT_S = 600.0
"""For the tables of one job; a catalog of 5,000 tables is opened in 0.4 s."""
_TABLES_A_JOB = 2000
"""An answer of an engine has a limit, and each table takes some 100 bytes of it."""
_BEFORE = 3
"""How many results come before those of the questions: the DuckDB's version, and those of ATTACH and BEGIN."""
_SCHEMAS = """
SELECT count(*), sum(hash(schema_name)) FROM duckdb_schemas() WHERE database_name = 'lake'
"""


@dataclass(frozen=True, slots=True)
class LakeTable:
    """
    A table of a lake, as it is called at one snapshot.

    Args:
        may_have_rows: some of its rows may be in the catalog.
    """

    schema: str
    name: str
    may_have_rows: bool

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


Reading = Mapping[str, str]
"""What was read, as a digest by what that is, in words."""


def may_read(engine: Engine, version: str) -> bool:
    """Tell whether an engine opens catalogs of a spec version as they are, and lists files: 1.3 doesn't."""
    return version in spec.opened_by(engine.spec_version) and not engine.duckdb_version.startswith("1.3.")


def read_at(engine: Engine, target: Target, snapshot_id: int, tables: Sequence[LakeTable]) -> Reading:
    """
    Return what an engine reads of these tables at a snapshot; it never migrates, and changes nothing.

    Raises:
        AttachFailed: it can't.
    """
    # Without READ_ONLY an engine opens a file for writing, also for a snapshot that nobody can write to.
    options: dict[str, Option] = {**never_migrating(engine), "READ_ONLY": True, "SNAPSHOT_VERSION": snapshot_id}
    attach = attach_statement(target, options)
    found: dict[str, str] = {}
    only_rows: list[LakeTable] = []
    for some in _pieces(tables) or [()]:
        asked = [_SCHEMAS, *(statement for table in some for statement in (_columns_of(table), _files_of(table)))]
        schemas, *answers = _answers(engine, target, attach, asked)
        found["which schemas there are"] = schemas
        for table, columns, files in zip(some, answers[::2], answers[1::2], strict=True):
            found[f"the columns of table {table}"] = columns
            found[f"the files of table {table}"] = files
            if table.may_have_rows and files.startswith("0 "):
                only_rows.append(table)
    for some in _pieces(only_rows):
        for table, rows in zip(some, _answers(engine, target, attach, map(_rows_of, some)), strict=True):
            found[f"the rows of table {table}"] = rows
    return found


def differing(one: Reading, other: Reading) -> list[str]:
    """Return in what two readings of the same tables differ."""
    return [what for what in {**one, **other} if one.get(what) != other.get(what)]


def _pieces(tables: Sequence[LakeTable]) -> list[Sequence[LakeTable]]:
    return [tables[begin : begin + _TABLES_A_JOB] for begin in range(0, len(tables), _TABLES_A_JOB)]


def _answers(engine: Engine, target: Target, attach: str, asked: Iterable[str]) -> Iterator[str]:
    """Have an engine answer questions of one row each, in one transaction, which saves it half of the time."""
    results = engine.run(target, [attach, "BEGIN", *asked, "COMMIT", 'DETACH "lake"'], READING_TIMEOUT_S)
    for ((*values,),) in results[_BEFORE:-2]:
        yield " ".join(map(str, values))


def _name_of(table: LakeTable) -> str:
    return ".".join(map(quote_identifier, ("lake", table.schema, table.name)))


def _columns_of(table: LakeTable) -> str:
    one = 'concat_ws(chr(9), column_name, column_type, "null", "default")'
    return f"SELECT count(*), md5(string_agg({one}, chr(10))) FROM (DESCRIBE {_name_of(table)})"


def _files_of(table: LakeTable) -> str:
    listed = f"ducklake_list_files('lake', {literal(table.name)}, schema => {literal(table.schema)})"
    # Without their folders, which --data-path names anew; what the catalog says of those is read back as it is.
    named = ", ".join(f"parse_filename({column}) AS {column}" for column in ("data_file", "delete_file"))
    return f"SELECT count(*), sum(hash(listed::VARCHAR)) FROM (SELECT * REPLACE ({named}) FROM {listed}) AS listed"


def _rows_of(table: LakeTable) -> str:
    row = quote_identifier("a row of it")
    # DuckDB makes no difference between NaN and NaN with a sign, as 0.0 / 0.0 gives it, but prints it; PostgreSQL
    # keeps the sign for engines, and prints none. A hash of values makes none either, but knows texts from numbers; it
    # doesn't know 0.0 from -0.0 or one month from 30 days, as the texts do.
    text = f"replace({row}::VARCHAR, '-nan', 'nan')"
    texts = f"sum(hash(concat(rowid, chr(9), {text})))"
    values = f"sum(hash(rowid, {row})) FILTER (contains({row}::VARCHAR, 'nan'))"
    return f"SELECT count(*), {texts}, {values} FROM {_name_of(table)} AS {row}"
