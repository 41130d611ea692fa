"""What info says, how a catalog is addressed, and what a user reads when the input is wrong."""

import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard
from support.cli import Cli
from support.comparison import execute
from support.faults.failures import failure, json_failure
from support.lakes.lakes import Lake, LakeFactory, Lakes
from support.longer import long
from support.servers.postgres import PASSWORD
from support.servers.servers import Server, Servers, middle_major

from dlbackup import dump

SECRET = "s3cret-that-nobody-sees"


def _parts(made: Lake) -> dict[str, str | None]:
    server = made.server
    return {
        "PGHOST": server.host,
        "PGPORT": str(server.port),
        "PGUSER": server.user,
        "PGPASSWORD": server.password,
        "PGDATABASE": made.dbname,
    }


@pytest.mark.every_major
def test_catalog_and_backup_say_the_same(lake: LakeFactory, server: Server, cli: Cli, tmp_path: Path) -> None:
    """info says of a catalog and of its backup the same version, snapshot, tables, rows and engine, and no secret."""
    made = lake("plain", "0.3", schema="ours")
    backup = dump(made.url, tmp_path)

    of_catalog, of_backup = cli("info", made.url, "--json"), cli("info", backup.path, "--json")

    first, second = of_catalog.json(), of_backup.json()
    assert (first.pop("kind"), second.pop("kind")) == ("catalog", "backup")
    assert second.pop("bytes") == Path(backup.path).stat().st_size
    assert first.pop("bytes") > 100_000
    assert (first.pop("created"), second.pop("created")[:2]) == (None, "20")
    both = ("spec_version", "snapshot_id", "snapshot_time", "tables", "rows", "database", "schema", "server_version")
    assert {key: first[key] for key in both} == {key: second[key] for key in both}
    assert (first["engine"], second["engine"]) == ("DuckDB 1.4", "DuckDB 1.4")
    assert first["spec_version"] == "0.3"
    assert (first["tables"], first["rows"]) == (backup.tables, backup.rows)
    assert first["schema"] == "ours"
    assert first["server_version"].startswith(f"{server.major}.")
    assert execute(made.url, "select max(snapshot_id) from ours.ducklake_snapshot") == [(first["snapshot_id"],)]
    for done in (of_catalog, of_backup, cli("info", made.url), cli("info", backup.path)):
        assert done.exit_code == 0
        assert PASSWORD not in done.stdout + done.stderr


@pytest.mark.parametrize("spec", ["0.2", long("0.3"), long("0.4"), "1.0"])
def test_lake_and_catalog_are_told_apart(lake: LakeFactory, cli: Cli, spec: str) -> None:
    """info and dump say how many tables and files the lake has, as its engine counts them, beside the catalog's own."""
    made = lake("plain", spec)
    tables = execute(made.url, "select count(*) from ducklake_table where end_snapshot is null")[0][0]
    files, size = execute(
        made.url, "select count(*), sum(file_size_bytes)::bigint from ducklake_data_file where end_snapshot is null"
    )[0]
    wanted = {"tables": tables, "data_files": files, "data_bytes": size, "data_path": f"{made.data_path}/"}
    assert files > 1
    assert tables > 1

    dumped = cli("dump", made.url, "--json").json()

    assert dumped["lake"] == wanted
    for target in (made.url, dumped["path"]):
        assert cli("info", target, "--json").json()["lake"] == wanted
        said = cli("info", target).stdout
        assert f"lake      {files} data files of {tables} tables, " in said
        assert f"in {made.data_path}/" in said
        assert f"content   {dumped['tables']} catalog tables, {dumped['rows']} rows, " in said
    said = cli("dump", made.url).stdout
    assert f"{dumped['tables']} catalog tables, {dumped['rows']} rows" in said
    assert f"the lake's own files: {files} data files of {tables} tables, " in said


@pytest.mark.parametrize(
    "change",
    [
        "alter table ducklake_data_file alter file_size_bytes type text",
        "drop table ducklake_data_file",
        "delete from ducklake_metadata where key = 'data_path'",
        "update ducklake_data_file set file_size_bytes = 9223372036854775807",
    ],
)
def test_a_lake_that_does_not_say_its_size_is_looked_at(plain: Lake, cli: Cli, change: str) -> None:
    """What can't be told, or is beyond measure, keeps nobody from dumping, and from looking at that."""
    execute(plain.url, change)

    dumped = cli("dump", plain.url, "--no-verify", "--json")

    assert dumped.exit_code == 0, dumped
    for target in (plain.url, dumped.json()["path"]):
        looked = cli("info", target, "--json")
        assert looked.exit_code == 0, looked
        assert looked.json()["lake"] == dumped.json()["lake"]
        assert cli("info", target).exit_code == 0


def test_a_catalog_that_does_not_conform_is_dumped_and_said(plain: Lake, cli: Cli) -> None:
    """The backup of it is there, exit 3 says that the catalog is at fault, and it gets no record."""
    execute(plain.url, "drop table ducklake_data_file")

    done = cli("dump", plain.url, "--json")

    answer = json_failure(done, 3, "was written and does not verify", "ducklake_data_file is missing")
    assert "--no-verify" in answer["error"]["hint"]
    assert [path.name for path in cli.cwd.iterdir()] == [answer["path"]]


def test_a_backup_that_is_damaged_is_still_known(plain: Lake, cli: Cli) -> None:
    """info of a backup reads which one it is also where its rows are damaged; that is for verify to say."""
    path = Path(cli("dump", plain.url, "--json").json()["path"])
    path = cli.cwd / path
    content = bytearray(path.read_bytes())
    content[300] ^= 1
    path.write_bytes(content)

    done = cli("info", path, "--json")

    assert (done.exit_code, done.json()["spec_version"]) == (0, "0.3")
    assert cli("verify", path).exit_code == 3


@pytest.mark.parametrize("spec", ["0.2", long("0.3"), long("0.4"), "1.0"])
def test_looking_at_a_catalog_as_an_engine_made_it_takes_no_parser(lake: LakeFactory, spec: str) -> None:
    """info says that nothing will be left out without loading sqlglot, which takes longer than all else it does."""
    program = "import sys\nfrom dlbackup import info\nprint(info(sys.argv[1]).left_out, 'sqlglot' in sys.modules)"
    command = [sys.executable, "-c", program, lake("plain" if spec == "0.2" else "inlined", spec).url]

    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "() False\n"


def test_looking_changes_nothing(lake: LakeFactory, cli: Cli) -> None:
    """info and dump leave the catalog as it is: no row, no definition and no file of a table is another one."""
    made = lake("plain", "0.3")
    state = """
        select array_agg(relname || relfilenode || relhasindex || relnatts || xmin order by relname)
        from pg_class where relnamespace = 'public'::regnamespace
    """
    before = execute(made.url, state)

    assert cli("info", made.url).exit_code == 0
    assert cli("dump", made.url).exit_code == 0

    assert execute(made.url, state) == before


def test_every_form_of_an_address(lake: LakeFactory, server: Server, cli: Cli) -> None:
    """All that DuckLake takes names the same catalog, with and without ducklake: in front."""
    made = lake("plain", "0.3")
    keywords = f"host={server.host} port={server.port} user={server.user} password='{PASSWORD}' dbname={made.dbname}"
    uri = made.url

    for address in (
        uri,
        uri.replace("postgresql:", "postgres:"),
        f"postgres:{uri}",
        f"ducklake:{uri}",
        f"ducklake:postgres:{uri}",
        f"postgres:{keywords}",
        f"postgresql:{keywords}",
        f"ducklake:postgres:{keywords}",
        f"postgresql:///{made.dbname}?host={server.host}&port={server.port}&user={server.user}&password={PASSWORD}",
        f"postgresql://{server.user}:{PASSWORD}@{server.host}:1,{server.host}:{server.port}/{made.dbname}",
    ):
        done = cli("info", address, "--json")

        assert done.exit_code == 0, (address, done)
        assert done.json()["database"] == made.dbname


def test_environment_of_libpq_counts(lake: LakeFactory, cli: Cli, tmp_path: Path) -> None:
    """PGHOST and its like, a service file and a password file work as they do for psql."""
    made = lake("plain", "0.3")
    every = _parts(made)
    service = tmp_path / "services"
    service.write_text(
        f"[ours]\nhost={every['PGHOST']}\nport={every['PGPORT']}\nuser={every['PGUSER']}\n"
        f"dbname={made.dbname}\npassword={PASSWORD}\n"
    )
    passwords = tmp_path / "passwords"
    passwords.write_text(f"*:*:{made.dbname}:*:{PASSWORD}\n")
    passwords.chmod(stat.S_IRUSR | stat.S_IWUSR)
    without_password = {**every, "PGPASSWORD": None}
    services: dict[str, str | None] = {"PGSERVICEFILE": str(service)}

    for address, env in (
        ("postgres:", every),
        ("ducklake:postgres:", every),
        ("postgresql://", every),
        (f"postgres:dbname={made.dbname}", {**every, "PGDATABASE": "no_such_database"}),
        ("postgres:", {**without_password, "PGPASSFILE": str(passwords)}),
        (f"postgres:passfile={passwords}", without_password),
        ("postgres:service=ours", services),
        ("postgresql:///?service=ours", services),
        ("postgres:", {**services, "PGSERVICE": "ours"}),
    ):
        done = cli("info", address, "--json", env=env)

        assert done.exit_code == 0, (address, done)
        assert done.json()["database"] == made.dbname
        assert PASSWORD not in done.stdout + done.stderr


def test_password_with_any_sign(lake: LakeFactory, server: Server, cli: Cli) -> None:
    """A password full of signs works in every form, and shows in no message."""
    made = lake("plain", "0.3")
    password = "p@ss:w/rd?#[%]' \\ =&ü"
    escaped = "".join(f"%{byte:02X}" for byte in password.encode())
    keyword = password.replace("\\", "\\\\").replace("'", "\\'")
    role = "signs_in_password"
    execute(server.url, f"create role {role} superuser login password '{password.replace(chr(39), chr(39) * 2)}'")
    try:
        place = f"host={server.host} port={server.port} user={role}"
        addresses = (
            f"postgresql://{role}:{escaped}@{server.host}:{server.port}/{{}}",
            f"postgres:{place} password='{keyword}' dbname={{}}",
        )
        for address in addresses:
            assert cli("info", address.format(made.dbname)).exit_code == 0
            wrong = cli("info", address.format("no_such_database"))
            failure(wrong, 1, "no_such_database", hint="create the database")
            assert password not in wrong.stderr
            assert escaped not in wrong.stderr
    finally:
        execute(server.url, f"drop role {role}")


# For each: the words after `dlbackup`, the exit code, words of the error, and of the hint or None.
_Wrong = tuple[list[str], int, list[str], str | None]


def _with(made: Lake, **changes: str) -> str:
    parts = {
        "host": made.server.host,
        "port": str(made.server.port),
        "user": made.server.user,
        "password": made.server.password,
        "dbname": made.dbname,
    }
    return "postgres:" + " ".join(f"{key}={value}" for key, value in {**parts, **changes}.items())


WRONG: dict[str, Callable[[Lake], _Wrong]] = {
    "no server": lambda made: (["info", _with(made, port="1")], 1, ["can't connect", "port=1"], "check host and port"),
    "no host": lambda made: (["info", _with(made, host="no-such-host.invalid")], 1, ["no-such-host.invalid"], "host"),
    "no server for dump": lambda made: (["dump", _with(made, port="1")], 1, ["can't connect"], "check host and port"),
    "no server for migrate": lambda made: (["migrate", _with(made, port="1")], 1, ["can't connect"], "host and port"),
    "no server for restore": lambda made: (["restore", "good", _with(made, port="1")], 1, ["can't connect"], "host"),
    "wrong password": lambda made: (["info", _with(made, password=SECRET)], 1, ["password"], "PGPASSWORD"),
    "wrong user": lambda made: (["dump", _with(made, user="nobody_here")], 1, ["nobody_here"], ""),
    "no database": lambda made: (["info", _with(made, dbname="no_such")], 1, ["no_such"], "create the database"),
    "no lake": lambda made: (["info", _with(made, dbname="postgres")], 1, ["no DuckLake catalog"], "check dbname="),
    "no lake to dump": lambda made: (["dump", _with(made, dbname="postgres")], 1, ["no DuckLake catalog"], "dbname="),
    "no lake to migrate": lambda made: (["migrate", _with(made, dbname="postgres")], 1, ["no DuckLake catalog"], ""),
    "schema without a lake": lambda made: (
        ["dump", made.url, "--metadata-schema", "nowhere"], 1, ["'nowhere'", "no DuckLake catalog"], "public"
    ),
    "not a backup": lambda made: (["verify", "text"], 3, ["text"], None),
    "not a backup for info": lambda made: (["info", "text"], 3, [], None),
    "not a backup for restore": lambda made: (["restore", "text", made.url], 3, [], None),
    "only compressed": lambda made: (["verify", "compressed"], 3, [], None),
    "empty file": lambda made: (["verify", "empty"], 3, [], None),
    "empty file for restore": lambda made: (["restore", "empty", made.url], 3, [], None),
    "unfinished backup": lambda made: (["verify", "unfinished"], 3, [], None),
    "unfinished backup for restore": lambda made: (["restore", "unfinished", made.url], 3, [], None),
    "unfinished backup for info": lambda made: (["info", "unfinished"], 3, [], None),
    "directory": lambda made: (["verify", "folder"], 1, ["folder", "directory"], None),
    "directory for restore": lambda made: (["restore", "folder", made.url], 1, ["folder", "directory"], None),
    "no file": lambda made: (["verify", "missing.zst"], 1, ["missing.zst", "No such file"], None),
    "no file for restore": lambda made: (["restore", "missing.zst", made.url], 1, ["missing.zst"], None),
    "no file for info": lambda made: (["info", "missing.zst"], 1, ["missing.zst"], None),
    "no folder for the backup": lambda made: (["migrate", made.url, "--backup-dir", "no"], 1, ["no"], "--backup-dir"),
    "address": lambda made: (["dump", f"nonsense {SECRET}"], 2, ["address", "nonsense"], "an address looks like"),
    "address without a value": lambda made: (["dump", f"postgres:{SECRET}"], 2, ["address"], "an address looks like"),
    "address that is a URI of something": lambda made: (["dump", f"mssql://u:{SECRET}@h/d"], 2, ["mssql"], "looks"),
    "port": lambda made: (["dump", f"postgresql://u:{SECRET}@host:x/db"], 2, ["port"], None),
    "port number": lambda made: (["info", _with(made, port="0")], 1, [], ""),
    "unknown parameter": lambda made: (["dump", f"postgres:dbname=x pasword={SECRET}"], 2, ["pasword"], None),
    "unknown parameter in a URI": lambda made: (["dump", f"postgresql://u@h/d?pasword={SECRET}"], 2, ["pasword"], None),
    "unclosed quote": lambda made: (["dump", f"postgres:dbname=x password='{SECRET}"], 2, ["address"], "looks like"),
    "file that is a catalog": lambda made: (["dump", "sqlite:lake.db"], 1, ["no file", "lake.db"], "path"),
    "no place to restore into": lambda made: (["restore", "good", "mysql://u@h/d"], 2, ["mysql"], "dlbackup copy"),
    "no service": lambda made: (["info", "postgres:service=no_such_service"], 1, ["no_such_service"], None),
    "no command": lambda made: ([], 2, ["COMMAND"], "--help"),
    "unknown command": lambda made: (["backup", made.url], 2, ["backup"], "--help"),
    "unknown option": lambda made: (["dump", made.url, "--fast"], 2, ["--fast"], "--help"),
    "no address": lambda made: (["dump"], 2, ["ADDRESS"], "dlbackup dump --help"),
}  # fmt: skip


@pytest.fixture(scope="module")
def one_lake(lakes: Lakes, servers: Servers) -> Iterator[Lake]:
    """One lake for all tests that can't get as far as to change it."""
    with lakes.copy("plain", "0.3", servers[middle_major()], "public") as made:
        yield made


@pytest.fixture
def wrong_files(one_lake: Lake, tmp_path: Path) -> None:
    """Put a backup into the test's folder, and files that look like one."""
    path = Path(dump(one_lake.url, tmp_path / "good.zst").path).rename(tmp_path / "good")
    good = path.read_bytes()
    (tmp_path / "text").write_text("SELECT 1;\n" * 1000)
    (tmp_path / "compressed").write_bytes(zstandard.compress(b"SELECT 1;\n" * 1000))
    (tmp_path / "unfinished").write_bytes(good[:-100])
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "folder").mkdir()


@pytest.mark.usefixtures("wrong_files")
@pytest.mark.parametrize("what", WRONG)
def test_wrong_input_is_one_clear_line(one_lake: Lake, cli: Cli, tmp_path: Path, what: str) -> None:
    """Wrong input ends in an exit code, one error line, a hint and no traceback; with --json in one JSON object."""
    before = set(tmp_path.iterdir())
    words, exit_code, said, hint = WRONG[what](one_lake)

    text = cli(*words)
    answer = json_failure(cli(*words, "--json"), exit_code, *said)

    failure(text, exit_code, *said, hint=hint)
    assert (answer["error"]["hint"] != "") == ("hint: " in text.stderr)
    assert SECRET not in text.stderr + text.stdout + str(answer)
    assert set(tmp_path.iterdir()) == before


def test_wrong_password_in_the_environment_is_not_echoed(lake: LakeFactory, cli: Cli) -> None:
    """A wrong PGPASSWORD is answered without repeating it."""
    made = lake("plain", "0.3")
    env = {**_parts(made), "PGPASSWORD": SECRET}

    done = cli("dump", "postgres:", "-v", env=env)

    failure(done, 1, "password authentication failed", hint="PGPASSWORD")
    assert SECRET not in done.stderr + done.stdout


def test_help_of_every_command(cli: Cli) -> None:
    """Each command explains itself on standard output."""
    for command in ([], ["dump"], ["verify"], ["restore"], ["migrate"], ["info"]):
        done = cli(*command, "--help")

        assert (done.exit_code, done.stderr) == (0, "")
        assert done.stdout.startswith("usage: dlbackup")
    assert cli("--version").stdout.startswith("dlbackup ")


def test_what_changed_since_a_backup(plain: Lake, cli: Cli, tmp_path: Path) -> None:
    """Tables that changed, came and went, with how many rows; none was read for that."""
    backup = dump(plain.url, tmp_path).path
    assert "nothing changed" in cli("info", plain.url, "--since", backup).stdout
    counts = "select (select count(*) from ducklake_table), (select count(*) from ducklake_tag), max(snapshot_id)"
    ((tables, tags, head),) = execute(plain.url, f"{counts} from ducklake_snapshot")
    execute(
        plain.url,
        "insert into ducklake_tag (object_id, key, value) values (1, 'a', 'b'), (1, 'c', 'd')",
        "update ducklake_table set table_name = table_name || '!'"
        " where table_id in (select min(table_id) from ducklake_table)",
        "drop table ducklake_column_tag",
        "create table ducklake_inlined_data_77_1 (row_id bigint, begin_snapshot bigint, end_snapshot bigint)",
    )

    told = cli("info", plain.url, "--since", backup, "--json").json()["since"]

    keys = ("change", "rows_then", "rows", "added", "removed")
    assert {it["table"]: tuple(it[key] for key in keys) for it in told["changed"]} == {
        "ducklake_column_tag": ("gone", 1, 0, 0, 1),
        "ducklake_inlined_data_77_1": ("new", 0, 0, 0, 0),
        "ducklake_table": ("changed", tables, tables, 1, 1),
        "ducklake_tag": ("changed", tags, tags + 2, 2, 0),
    }
    assert (told["rows_read"], told["snapshot_id"]) == (0, head)
    assert "ducklake_tag: changed:" in cli("info", plain.url, "--since", backup).stdout


def test_changes_that_nobody_can_tell_are_read(plain: Lake, lake: LakeFactory, cli: Cli, tmp_path: Path) -> None:
    """Where the server has begun anew since, or the catalog is another one, rows are compared."""
    backup = dump(plain.url, tmp_path).path
    execute(plain.url, "select pg_stat_reset_shared('bgwriter')", "delete from ducklake_snapshot_changes")

    told = cli("info", plain.url, "--since", backup, "--json").json()["since"]
    assert [(it["table"], it["added"]) for it in told["changed"]] == [("ducklake_snapshot_changes", None)]
    assert told["rows_read"] > 0

    other = cli("info", lake("plain", "1.0").url, "--since", backup, "--json").json()["since"]
    assert "ducklake_macro" in {it["table"] for it in other["changed"] if it["change"] == "new"}


def test_since_needs_a_catalog_and_a_backup(plain: Lake, cli: Cli, tmp_path: Path) -> None:
    """A backup doesn't change, and what is no backup tells nothing."""
    backup = dump(plain.url, tmp_path).path
    (tmp_path / "x.zst").write_bytes(b"nothing")

    failure(cli("info", backup, "--since", backup), 2, "only a catalog changes")
    failure(cli("info", plain.url, "--since", str(tmp_path / "x.zst")), 3)
    failure(cli("info", plain.url, "--since", str(tmp_path / "nowhere.zst")), 1, "nowhere")
