"""What several tests of transfers begin with."""

import pytest
from support.comparison import execute
from support.lakes.divided import PIECE_PAGES, many
from support.lakes.lakes import LakeFactory


@pytest.fixture
def divided(lake: LakeFactory, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the URL of a lake with a table that is divided into many pieces."""
    monkeypatch.setattr("dlbackup.transfer.dumping.PIECE_PAGES", PIECE_PAGES)
    monkeypatch.setattr("dlbackup.transfer.dumping.PIECES_A_HELPER", 4)
    made = lake("plain", "0.3")
    execute(made.url, many())
    return made.url
