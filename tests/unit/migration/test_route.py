"""What the engines of a route need is asked of all of them before the first step."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from dlbackup.errors import EngineError
from dlbackup.migration import route
from dlbackup.migration.steps import Step

STEPS = (Step("0.2", "0.3", "1.4.4"), Step("0.3", "1.0", "1.5.5"))


class _Engine:
    """Notes what it is asked to reach; fails where it has no httpfs."""

    def __init__(self, *, httpfs: bool) -> None:
        self.asked: list[tuple[str, ...]] = []
        self._httpfs = httpfs

    def __enter__(self) -> "_Engine":
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing ends."""

    def reach(self, paths: Iterable[str]) -> None:
        """Note the paths."""
        self.asked.append(tuple(paths))
        if not self._httpfs:
            raise EngineError("no httpfs")


def _snapshot(path: str) -> Any:
    @contextmanager
    def answers() -> Iterator[None]:
        yield

    return SimpleNamespace(answers=answers, path=path)


@pytest.mark.parametrize(
    ("steps", "path", "asks_second"),
    [(STEPS, "s3://lake/", True), (STEPS[:1], "s3://lake/", False), (STEPS, "/lake/", False)],
)
def test_second_engine_is_asked_where_it_needs_an_extension(
    monkeypatch: pytest.MonkeyPatch, steps: tuple[Step, ...], path: str, asks_second: bool
) -> None:
    """An extension that the second engine lacks is found before the first step, and only where there is a second."""
    first, second = _Engine(httpfs=True), _Engine(httpfs=False)
    monkeypatch.setattr(route, "probe", lambda: second)
    monkeypatch.setattr(route, "data_paths", lambda answers: (path,))
    engine: Any = first

    if asks_second:
        with pytest.raises(EngineError, match="no httpfs"):
            route.reach(_snapshot(path), engine, steps)
    else:
        route.reach(_snapshot(path), engine, steps)

    assert (first.asked, second.asked) == ([(path,)], [(path,)] * asks_second)
