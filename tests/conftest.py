"""What every test run says and checks first: where its PostgreSQL servers come from."""

import pytest
from support import servers


def pytest_configure() -> None:
    """Refuse to run where the servers that were asked for can't be had."""
    try:
        servers.server_kind()
    except LookupError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_report_header() -> str:
    """Say which servers the tests run on."""
    return servers.describe()
