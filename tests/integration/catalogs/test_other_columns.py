"""Tables of a catalog that somebody changed: what engines take all the same is kept, what they don't is said by all."""

from pathlib import Path

import pytest
from support.cli import Cli
from support.comparison import contents, dumped, execute, server_digests
from support.engines.engines import engine_of
from support.lakes.lakes import LakeFactory, hash_lake
from support.longer import long
from support.servers.postgres import Server

_ALL_TEXT = """
do $$ declare it record; begin
  for it in select table_name, column_name from information_schema.columns
            where table_schema = 'public' and table_name like 'ducklake\\_%' and data_type = 'character varying'
              and table_name not like 'ducklake\\_inlined\\_data\\__%' loop
    execute format('alter table %I alter %I type text', it.table_name, it.column_name);
  end loop;
end $$
"""
_TAKEN = {
    "text": ("alter table ducklake_table alter table_name type text", "wrong-type"),
    "all text": (_ALL_TEXT, "wrong-type"),
    "NULL": ("alter table ducklake_metadata alter key drop not null", "nullable-column"),
    "a column more": ("alter table ducklake_table add note text not null default 'x'", "extra-column"),
}
_SHOWN = (("all text", "0.3"), ("all text", "1.0"), ("NULL", "1.0"), ("a column more", "0.3"))
_REFUSED = {
    "varchar(255)": ("alter table ducklake_table alter table_name type varchar(255)", "wrong-type"),
    "integer": ("alter table ducklake_snapshot alter snapshot_id type integer", "wrong-type"),
    "timestamp": ("alter table ducklake_snapshot alter snapshot_time type timestamp", "wrong-type"),
    "text for uuid": ("alter table ducklake_table alter table_uuid type text", "wrong-type"),
    "text for boolean": ("alter table ducklake_data_file alter path_is_relative type text", "wrong-type"),
    "no key": ("alter table ducklake_snapshot drop constraint ducklake_snapshot_pkey", "missing-key"),
    "a column less": ("alter table ducklake_table drop path", "missing-column"),
}


@pytest.mark.parametrize(
    ("member", "spec"),
    [(it, spec) if (it, spec) in _SHOWN else long(it, spec) for it in _TAKEN for spec in ("0.3", "1.0")],
)
def test_what_engines_take_is_kept_as_it_is(
    lake: LakeFactory, server: Server, cli: Cli, tmp_path: Path, spec: str, member: str
) -> None:
    """It is dumped, verified and restored exactly, with a warning; engines read what they read before."""
    made = lake("plain", spec)
    before = hash_lake(made.engine, made.url, made.schema)
    statement, rule = _TAKEN[member]
    execute(made.url, statement)

    assert cli("dump", made.url, "-o", "one.sql.zst").exit_code == 0
    assert cli("dump", made.url, "-o", "kept/").exit_code == 0
    verified, checked = cli("verify", "one.sql.zst", "--json"), cli("check", made.url, "--json")
    for done in (verified, checked):
        assert done.exit_code == 0, done
        assert {(it["severity"], it["rule"]) for it in done.json()["findings"]} == {("warning", rule)}
    with server.database() as url:
        assert cli("restore", "one.sql.zst", url).exit_code == 0
        assert dumped(url, tmp_path) == contents(tmp_path / "one.sql.zst")
        assert server_digests(url) == server_digests(made.url)
        assert hash_lake(made.engine, url, made.schema) == before


def test_a_catalog_with_text_is_migrated(lake: LakeFactory, cli: Cli) -> None:
    """A lake whose columns are all text goes from 0.3 to 1.0, and its tables read as before."""
    made = lake("plain", "0.3")
    before = hash_lake(made.engine, made.url, made.schema)
    execute(made.url, _ALL_TEXT)

    planned, done = cli("plan", made.url, "--json"), cli("migrate", made.url, "--json", "--ignore-clients")

    assert planned.exit_code == 0, planned
    assert not planned.json()["blockers"]
    assert done.exit_code == 0, done
    assert done.json()["outcome"] == "migrated"
    assert cli("verify", done.json()["backup"]).exit_code == 0
    assert hash_lake(engine_of("1.0"), made.url, made.schema) == before


def test_a_plan_says_what_verification_would_refuse(lake: LakeFactory, cli: Cli) -> None:
    """What migrate is refused for when its backup is verified stands in a plan."""
    made = lake("plain", "0.3")
    execute(made.url, _REFUSED["integer"][0])

    planned, done = cli("plan", made.url, "--json"), cli("migrate", made.url)

    assert "column snapshot_id of table ducklake_snapshot is integer" in str(planned.json()["blockers"])
    assert done.exit_code == 3


@pytest.mark.parametrize(
    "member", [long(it) if it in ("integer", "timestamp", "text for boolean") else it for it in _REFUSED]
)
def test_what_engines_do_not_take_is_said_by_all(lake: LakeFactory, cli: Cli, member: str) -> None:
    """A dump into a file or a folder says what verify and check say, and that the catalog is at fault."""
    made = lake("plain", "1.0")
    statement, rule = _REFUSED[member]
    execute(made.url, statement)

    for where in ("one.sql.zst", "kept/"):
        done = cli("dump", made.url, "-o", where)
        assert done.exit_code == 3
        assert "does not verify" in done.stderr
        assert "the catalog as it is, and that is at fault" in done.stderr
    for done in (cli("verify", "one.sql.zst", "--json"), cli("check", made.url, "--json")):
        assert done.exit_code == 3
        assert rule in {it["rule"] for it in done.json()["findings"] if it["severity"] == "error"}
    assert cli("dump", made.url, "-o", "quiet.sql.zst", "--no-verify").exit_code == 0
