"""Statements at which a server lets whoever comes to them wait."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from support.comparison import execute
from support.engines.quoting import text_literal

__all__ = ["Stop", "stopped_at"]


@dataclass(frozen=True, slots=True)
class Stop:
    """A place where a session waits until it is released, or until the block ends."""

    _holder: psycopg.Connection

    def release(self) -> None:
        """Let go on what waits."""
        self._holder.execute("select pg_advisory_unlock(4711)")


@contextmanager
def stopped_at(url: str, tag: str, words: str) -> Iterator[Stop]:
    """Stop definitions of one command tag, such as CREATE TABLE, whose statement holds these words."""
    execute(
        url,
        f"""
        create function stop() returns event_trigger language plpgsql as $$
        begin
            if position({text_literal(words)} in current_query()) > 0 then
                perform pg_advisory_xact_lock(4711);
            end if;
        end $$;
        create event trigger stopped on ddl_command_end when tag in ({text_literal(tag)}) execute function stop();
        """,
    )
    try:
        with psycopg.connect(url) as holder:
            holder.execute("select pg_advisory_lock(4711)")
            yield Stop(holder)
    finally:
        execute(url, "drop event trigger stopped", "drop function stop")
