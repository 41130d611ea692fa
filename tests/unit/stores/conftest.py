"""The object storage that stores are tried on."""

from collections.abc import Iterator

import pytest
from support.servers.seaweed import Seaweed, seaweed


@pytest.fixture(scope="session")
def weed() -> Iterator[Seaweed]:
    """A server that holds nothing at first."""
    with seaweed() as running:
        yield running
