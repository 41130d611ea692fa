"""The program of dlbackup's engines at the path given, which goes to another folder for each job that says one."""

import importlib.util
import os
import sys
from typing import Any

_spec = importlib.util.spec_from_file_location("engine_child", sys.argv[1])
assert _spec is not None
assert _spec.loader is not None
child: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(child)
_run = child._run


def _run_there(connection: Any, job: dict[str, Any]) -> Any:
    os.chdir(job.pop("folder"))
    return _run(connection, job)


if __name__ == "__main__":
    child._run = _run_there
    child.main()
