"""The object storages that stores are tried on, beside SeaweedFS."""

from collections.abc import Iterator

import pytest
from support.servers import clouds
from support.servers.google import google as served_google


@pytest.fixture(scope="session")
def azurite() -> Iterator[dict[str, str]]:
    """The variables for an Azure account; what needs them is skipped where there is no Azurite."""
    program = clouds.azurite_program()
    if program is None:
        pytest.skip("there is no Azurite: npm install azurite@3.35.0, and its node_modules/.bin in PATH")
    with clouds.azurite(program) as variables:
        yield variables


@pytest.fixture(scope="session")
def moto() -> Iterator[dict[str, str]]:
    """The variables for an S3 that is moto's."""
    with clouds.moto() as variables:
        yield variables


@pytest.fixture(scope="session")
def google() -> Iterator[dict[str, str]]:
    """The variables for a bucket of what stands in for Google Cloud Storage."""
    with served_google(clouds.CONTAINER) as variables:
        yield variables
