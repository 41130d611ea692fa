"""What every test run says and checks first: where its PostgreSQL servers come from."""

import os

import pytest
from hypothesis import HealthCheck, settings
from support.servers import servers

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")  # shared and noisy ones too: no test of ours is about time

_MOST_WORKERS = 4
"""Of `-n auto`: each has servers of its own."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let anybody run the fault tests longer, and again with the same faults."""
    parser.addoption("--kill-points", type=int, metavar="N", help="points at which each fault test strikes")
    parser.addoption("--seed", type=int, default=1, metavar="S", help="what these points are chosen by (default: 1)")


def pytest_configure() -> None:
    """Refuse to run where the servers that were asked for can't be had."""
    try:
        servers.server_kind()
    except LookupError as error:
        raise pytest.UsageError(str(error)) from None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Say how many workers `-n auto` starts."""
    return min(os.cpu_count() or 1, _MOST_WORKERS)


def pytest_report_header() -> str:
    """Say which servers the tests run on."""
    return servers.describe()
