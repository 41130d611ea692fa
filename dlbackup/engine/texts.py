"""
How the DuckDB of this environment reads a text of a catalog: an expression, a query, a value of a type.

Nothing is executed: a text is only parsed, or cast as the parameter of a statement.
"""

import json
import re
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from dlbackup.engine.errors import raise_interrupt
from dlbackup.lake.columntypes import duckdb_type

if TYPE_CHECKING:
    import duckdb

_FIRST_PARSER = (1, 5)
"""Catalogs have held expressions since this DuckDB; an older one doesn't know all of its grammar."""
_NO_SELECT = frozenset({"parser", "not implemented"})
"""How DuckDB calls that a text doesn't parse, or is another statement than SELECT."""


class Texts:
    """
    What DuckDB makes of texts; each is asked for once.

    An answer of None means that this DuckDB can't tell.
    """

    def __init__(self) -> None:
        self._made: duckdb.DuckDBPyConnection | None = None
        self.is_expression: Callable[[str], bool | None] = cache(self._is_expression)
        self.is_query: Callable[[str], bool | None] = cache(self._is_query)
        self.casts: Callable[[str, str], bool | None] = cache(self._casts)

    @property
    def duckdb_version(self) -> str:
        """The version of the DuckDB that is asked."""
        import duckdb

        return duckdb.__version__

    @property
    def _connection(self) -> "duckdb.DuckDBPyConnection":
        if self._made is None:
            import duckdb

            config: dict[str, Any] = {"threads": "1", "autoload_known_extensions": "false"}
            self._made = duckdb.connect(config=config)
        return self._made

    def _parsed(self, text: str) -> list[dict[str, Any]] | None:
        """Return the syntax trees of a text of SELECT statements, none if it is something else."""
        found = [int(part) for part in re.findall(r"\d+", self.duckdb_version)[:2]]
        if tuple(found) < _FIRST_PARSER:
            return None
        import duckdb

        try:
            row = self._connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [text]).fetchone()
        except (duckdb.Error, RuntimeError) as exc:  # RuntimeError: a text that is no UTF-8
            raise_interrupt(exc)
            return None
        answer: dict[str, Any] = json.loads(row[0]) if row else {}
        if answer.get("error"):
            return [] if answer.get("error_type") in _NO_SELECT else None
        trees: list[dict[str, Any]] = answer["statements"]
        return trees

    def _is_expression(self, text: str) -> bool | None:
        """Tell whether it is one expression, as DuckLake parses defaults and scalar macros."""
        trees = self._parsed(f"SELECT {text}")
        if trees is None:
            return None
        return len(trees) == 1 and len(trees[0]["node"].get("select_list", ())) == 1

    def _is_query(self, text: str) -> bool | None:
        """Tell whether it is one SELECT statement, as DuckLake parses table macros."""
        trees = self._parsed(text)
        return None if trees is None else len(trees) == 1

    def _casts(self, text: str, type_: str) -> bool | None:
        """Tell whether a text is a value of a type of DuckLake's."""
        name = duckdb_type(type_)
        if name is None:
            return None
        import duckdb

        try:
            row = self._connection.execute(f"SELECT TRY_CAST(?::VARCHAR AS {name}) IS NOT NULL", [text]).fetchone()
        except (duckdb.ConversionException, duckdb.InvalidInputException):
            return False
        except (duckdb.Error, RuntimeError) as exc:  # a type of newer DuckDBs, or a text that is no UTF-8
            raise_interrupt(exc)
            return None
        return bool(row and row[0])
