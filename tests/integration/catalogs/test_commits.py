"""How a transaction ended whose COMMIT got no answer is found out, or said not to be known."""

from contextlib import closing

import pytest
from psycopg import Rollback

from dlbackup.addresses.address import parse_address
from dlbackup.catalogs.postgres import commit
from dlbackup.catalogs.postgres.sessions import connect, one
from dlbackup.errors import NeedsPerson

_MADE = "select pg_current_xact_id()::text, 'public.ducklake_snapshot'::regclass::oid::bigint"


@pytest.mark.parametrize("fate", ["committed", "aborted", "of another server"])
def test_answer_that_was_lost(database: str, monkeypatch: pytest.MonkeyPatch, fate: str) -> None:
    """Committed is what the server calls so, if what was made is there: a standby may give its number to another."""
    monkeypatch.setattr(commit, "_LOOK_UP_S", 0.5)
    address = parse_address(database)
    with closing(connect(address)) as session, session.transaction():
        session.execute("create table public.ducklake_snapshot (snapshot_id bigint)")
        transaction, made = one(session, _MADE)
        if fate == "aborted":
            raise Rollback

    if fate == "of another server":
        with pytest.raises(NeedsPerson, match="another server answers"):
            commit.committed(address, transaction, "public", made + 1)
    else:
        assert commit.committed(address, transaction, "public", made) == (fate == "committed")
