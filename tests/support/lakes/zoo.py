"""The zoo: everything that DuckLake can do to a catalog, over a hundred snapshots of it.

Types, schema evolution, views, macros, partitions, sorting, added files, options, inlined rows, merges,
compaction, expiry and clean-up, in an order that is always the same. Each engine leaves out what it
can't do, so that a step that fails is an error. Compaction and inlined rows are here to stay: what
migrations damage can be seen on the zoos of older engines.
"""

from collections.abc import Iterator
from pathlib import Path

from support.engines.engines import Step
from support.engines.quoting import text_literal
from support.lakes.zoo_steps import ADDED_FILES, AFTER_FILES, BEFORE_FILES

__all__ = ["steps"]


def steps(spec: str, data_path: Path) -> Iterator[Step]:
    """Yield the steps that build it with the engine of that spec version."""
    for since, name, script in (*BEFORE_FILES, *_with_paths(data_path), *AFTER_FILES):
        if spec >= since:
            yield Step(name, script)


def _with_paths(data_path: Path) -> Iterator[tuple[str, str, str]]:
    """Put the paths of three files into the steps: in the lake's own folder, outside, and in a Hive folder."""
    outside = data_path.with_name(f"{data_path.name}-outside")
    paths = {
        "INSIDE": data_path / "main" / "t_map" / "added.parquet",
        "OUTSIDE": outside / "added.parquet",
        "HIVE": outside / "p=7" / "added.parquet",
    }
    for path in paths.values():
        path.parent.mkdir(parents=True, exist_ok=True)
    for since, name, script in ADDED_FILES:
        for word, path in paths.items():
            script = script.replace(f":{word}", text_literal(str(path)))
        yield since, name, script
