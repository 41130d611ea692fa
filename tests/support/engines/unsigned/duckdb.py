"""
DuckDB that loads extensions without looking at their signatures, for every Python that searches this folder first.

To check the two that a lake needs takes half a second of processor time, three quarters of an engine's start. The
files are those of the wheels that tests install, and what a wheel holds is checked when it is installed.
`tests/integration/engine/test_engine.py` shows that engines start and work with the check too.
"""

import importlib
import sys
from pathlib import Path
from typing import Any

sys.path.remove(str(Path(__file__).parent))
del sys.modules["duckdb"]
_real: Any = importlib.import_module("duckdb")
_connect = _real.connect


def _connect_unsigned(*words: Any, config: dict[str, Any] | None = None, **named: Any) -> Any:
    return _connect(*words, config={"allow_unsigned_extensions": "true", **(config or {})}, **named)


_real.connect = _connect_unsigned
