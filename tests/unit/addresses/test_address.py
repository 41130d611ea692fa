"""Addresses: every form that users have, libpq's own quoting, and no secret in any text."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from dlbackup.addresses.address import Address, parse_address, scrub
from dlbackup.addresses.libpq import conninfo, parse_uri, uri
from dlbackup.errors import UsageError, masked

FORMS = (
    ("postgres:dbname=lake", Address("postgres", {"dbname": "lake"})),
    ("postgresql:dbname=lake", Address("postgres", {"dbname": "lake"})),
    ("postgres:", Address("postgres", {})),
    ("postgres:host=h port=5432 user=u", Address("postgres", {"host": "h", "port": "5432", "user": "u"})),
    ("postgres:  dbname = 'a b' ", Address("postgres", {"dbname": "a b"})),
    (r"postgres:dbname='it\'s \\ here'", Address("postgres", {"dbname": r"it's \ here"})),
    (r"postgres:dbname=a\ b", Address("postgres", {"dbname": "a b"})),
    ("postgres:password='' dbname=x", Address("postgres", {"password": "", "dbname": "x"})),
    ("postgres:dbname=", Address("postgres", {"dbname": ""})),
    ("postgresql://user@host:5432/db", Address("postgres", {"host": "host", "port": "5432", "user": "user"})),
    ("postgres://host/db", Address("postgres", {"host": "host", "dbname": "db"})),
    ("postgres:postgresql://host/db", Address("postgres", {"host": "host", "dbname": "db"})),
    ("path/to/lake.ducklake", Address("duckdb", path="path/to/lake.ducklake")),
    ("lake.duckdb", Address("duckdb", path="lake.duckdb")),
    ("/abs/lake.db", Address("duckdb", path="/abs/lake.db")),
    ("C:/lake.ducklake", Address("duckdb", path="C:/lake.ducklake")),
    ("duckdb:any/path", Address("duckdb", path="any/path")),
    ("duckdb:a:b", Address("duckdb", path="a:b")),
    ("sqlite:path.sqlite", Address("sqlite", path="path.sqlite")),
    ("mysql:host=h passwd='a b' db=lake", Address("mysql", {"host": "h", "password": "a b", "database": "lake"})),
    ("mysql://me:a%20b@h:33/lake?ssl_mode=required", Address("mysql", {"password": "a b", "ssl_mode": "required"})),
    ("mysql:", Address("mysql")),
)


@pytest.mark.parametrize(("text", "address"), FORMS)
@pytest.mark.parametrize("prefix", ["", "ducklake:", " ducklake:"])
def test_every_form_is_understood(prefix: str, text: str, address: Address) -> None:
    """Each form that DuckLake and psql take is understood, with and without `ducklake:` in front."""
    found = parse_address(prefix + text)

    assert (found.kind, found.path) == (address.kind, address.path)
    assert address.parameters.items() <= found.parameters.items()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ducklake:",
        "lake",
        "duckdb:",
        "sqlite:",
        "dbname=lake",
        "http://host/lake.ducklake",
        "postgres:lake",
        "postgres:dbname=lake host",
        "postgres:dbname='lake",
        "postgres:=lake",
        "postgres:dbname='a'b",
        "postgresql://host:port/db",
        "postgresql://[::1/db",
        "postgresql://host/db?user",
        "postgresql://host/d%00b",
        "postgresql://host/d%zz",
        "lake.sql.zst",
    ],
)
def test_other_texts_are_wrong_usage(text: str) -> None:
    """What is no address is refused with a hint that shows some."""
    with pytest.raises(UsageError) as caught:
        parse_address(text)
    assert "postgresql://user@host/lake" in caught.value.hint


SECRET = "s3cr3t-pässwörd"


@pytest.mark.parametrize(
    "text",
    [
        f"postgres:host=h user=u password={SECRET}",
        f"postgres:password='{SECRET}'dbname=x",
        f"postgres:host=h sslpassword={SECRET}",
        f"postgresql://u:{SECRET}@h:5432/db",
        f"postgresql://u:{SECRET}@h/db?application_name=x",
        f"postgresql://h/db?password={SECRET}",
        f"postgresql://u:{SECRET}/more@h/db",
        f"postgresql://u:a@{SECRET}@h/db",
        f"postgresql://u:a?{SECRET}@h/db",
        f"postgresql://u:a#{SECRET}@h/db",
        f"postgresql://u:[{SECRET}@h/db",
        f"postgresql://u:℀{SECRET}@h/db",
        f"postgresql://u:%zz{SECRET}@h/db",
        f"postgresql://u:{SECRET}@h:port/db",
        f"postgresql://h/db?{SECRET}",
        f"postgres:dbname=postgresql://u:{SECRET}@h/db",
        f"postgres:dbname='host=h password={SECRET}'",
        f"postgres:{SECRET}",
        f"postgres:dbname=x {SECRET}",
        f"mysql://u:{SECRET}@h/db",
        f"mysql://u:{SECRET}@h:port/db",
        f"mysql:host=h password={SECRET} database=d",
        f"mysql:host=h pasword={SECRET}",
        f"unknown password={SECRET}",
        f"host=h password={SECRET}",
    ],
)
def test_passwords_are_in_no_text(text: str) -> None:
    """A password is in no text form of an address and in no error, its causes included."""
    try:
        address = parse_address(text)
    except UsageError as error:
        shown = [str(error), repr(error), error.message, error.hint, repr(error.__cause__)]
        assert error.__cause__ is None
        assert error.__context__ is None or error.__suppress_context__
    else:
        shown = [str(address), repr(address), f"{address}"]
        assert SECRET in repr(address.parameters)

    assert [text for text in shown if SECRET in text] == []


def test_shown_is_what_names_the_place() -> None:
    """The text form holds host, port, database, user and service, quoted, and nothing else."""
    address = parse_address("postgres:host='a b' port=1 dbname=d user=u service=s password=x options=-csome sslkey=k")

    assert str(address) == "postgres:host='a b' port=1 dbname=d user=u service=s"
    assert repr(address) == "Address(kind='postgres', path='')"
    assert str(parse_address("lake.ducklake")) == "duckdb:lake.ducklake"
    assert parse_address(str(address)).parameters.items() <= address.parameters.items()


def test_scrubbing_takes_secrets_out_of_messages() -> None:
    """A message loses the address's secrets, other secrets, and what follows `password`."""
    address = parse_address(f"postgres:password='{SECRET}' passfile=/home/u/.pgpass dbname=x")

    message = scrub(f"failed: {SECRET}, /home/u/.pgpass, more, password=other 'x', PASSWORD = 'a b'", address, "more")
    assert message == "failed: ***, ***, ***, password=*** 'x', PASSWORD = ***"
    assert scrub("nothing to hide", address) == "nothing to hide"
    assert scrub("at postgresql://u:other@h/db", address) == "at postgresql://***@h/db"
    assert set(address.secrets()) == {SECRET, "/home/u/.pgpass"}
    assert parse_address("postgres:password=ab sslpassword=abc").secrets() == ("abc", "ab")


@pytest.mark.parametrize(
    "text",
    [
        f"given mysql:host=h passwd={SECRET} database=d",
        f"oauth_client_secret={SECRET}",
        f"scram_client_key='a {SECRET}'",
        f"password=a\\ {SECRET} dbname=d",
        f"password='a {SECRET}",
        f"postgresql://u:a@{SECRET}@h/db",
        f"postgresql://u:a b{SECRET}@h/db",
        f"postgresql://u:a/{SECRET}@h/db",
        f"https://u:a@{SECRET}@h/db",
        f"https:/u:{SECRET}@h/db",
        f"s3://bucket/prefix?X-Amz-Signature={SECRET}",
    ],
)
def test_what_looks_like_a_password_is_masked(text: str) -> None:
    """Whatever it holds that ends words or begins a path, and by every name that a parameter has for it."""
    assert SECRET not in masked(text)


def test_what_holds_no_password_stays() -> None:
    """A sign in a path is none that ends a password."""
    text = "see https://example.org/a@b, s3://bucket/a@c/d and ~/.pgpass"

    assert masked(text) == text


@pytest.mark.parametrize("text", ["duckdb:~/a.db", "sqlite:~/a.db", "~/a.ducklake", "ducklake:~/a.ducklake"])
def test_the_user_s_folder_is_as_duckdb_has_it(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No shell sees `~` after a colon, or in a unit's file; DuckDB takes it for the user's folder."""
    monkeypatch.setenv("HOME", "/home/me")

    assert parse_address(text).path.startswith("/home/me/a.")
    assert parse_address("duckdb:a/~/b").path == "a/~/b"


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
hostile = st.sampled_from(["", " ", "'", "\\", "\\'", "a b", "a=b", "\n", "'a'", "\\\\", "é", "a'", "=", "#%+"])
KEYS = ("host", "port", "user", "password", "dbname", "options", "application_name", "sslmode")
given_parameters = st.dictionaries(st.sampled_from(KEYS), hostile | texts, max_size=5)


@given(given_parameters)
def test_quoting_is_what_libpq_reads(parameters: dict[str, str]) -> None:
    """Parameters with any values come back from libpq's parser, and from ours, as they were."""
    text = conninfo(parameters)

    assert conninfo_to_dict(text) == parameters
    assert parse_address("postgres:" + text).parameters == parameters


@settings(max_examples=300)
@example(["host", "=", "\\", " "])
@given(st.lists(st.sampled_from(["host", "user", "=", " ", "'", "\\", "a", "b'", "''", "\t", "\n"]), max_size=10))
def test_keywords_are_read_as_libpq_reads_them(parts: list[str]) -> None:
    """Whatever libpq takes as keywords and values means the same to us; what it refuses never means more."""
    text = "".join(parts)
    try:
        theirs = conninfo_to_dict(text)
    except ProgrammingError:
        return

    assert parse_address("postgres:" + text).parameters == theirs


URIS = (
    "postgresql://",
    "postgresql:///",
    "postgresql://h",
    "postgresql://h/",
    "postgresql://h/db",
    "postgresql://h:5432/db",
    "postgresql://h:/db",
    "postgresql://u@h/db",
    "postgresql://u:p@h/db",
    "postgresql://u:@h/db",
    "postgresql://:p@h/db",
    "postgresql://u%20x:p%40%2F%3A@h/d%20b",
    "postgresql://u:p+q@h/db?application_name=a+b",
    "postgresql://u:p#q@h/db#f",
    "postgresql://u:p[q@h/db",
    "postgresql://u:p?q@h/db",
    "postgresql://ü:ß@h/db",
    "postgresql://[::1]/db",
    "postgresql://[::1]:5/db",
    "postgresql://%2Ftmp%2Fx/db",
    "postgresql:///db?host=/tmp&port=5",
    "postgresql://h1:1,h2:2/db",
    "postgresql://h1,h2:2/db",
    "postgresql://h1:1,h2/db?target_session_attrs=any",
    "postgresql://h?sslmode=require",
    "postgresql://h/db?ssl=true",
    "postgresql://h/db?",
    "postgresql://h/db?password=x%26y",
    "postgresql://h/db?user=a&user=b",
)


@pytest.mark.parametrize("text", URIS)
def test_uris_are_read_as_libpq_reads_them(text: str) -> None:
    """A URI means to us what it means to libpq."""
    ours = parse_address(text).parameters

    assert conninfo_to_dict(conninfo(ours)) == conninfo_to_dict(text)


def test_a_password_may_hold_an_at_sign() -> None:
    """Where libpq would look for a host named after a part of the password, we take all of it as the password."""
    assert parse_address("postgresql://u:p@q@h/db").parameters == {
        "user": "u",
        "password": "p@q",
        "host": "h",
        "dbname": "db",
    }


@given(
    st.dictionaries(
        st.sampled_from(["host", "port", "user", "password", "dbname", "sslmode", "application_name"]),
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1),
    ),
    st.sampled_from(["", "db", "db.example.org", "::1", "/run/postgresql", "a,b"]),
    st.sampled_from(["", "5432", "1,2"]),
)
def test_uris_are_read_as_they_were_written(parameters: dict[str, str], host: str, port: str) -> None:
    """Whatever stands in a parameter, the URI has it for us and for libpq."""
    place = {name: value for name, value in {"host": host, "port": port}.items() if value}
    meant = {name: value for name, value in parameters.items() if name not in ("host", "port")} | place

    assert parse_uri(uri(meant)) == meant
    assert conninfo_to_dict(uri(meant)) == meant


@pytest.mark.parametrize("path", ["metadata.catalog", "./lake", "/data/my lake", "lakes/one"])
def test_whatever_looks_like_a_file_after_ducklake_is_one(path: str) -> None:
    """DuckLake takes any name with a path's signs for a DuckDB file, whatever its ending."""
    assert parse_address(f"ducklake:{path}") == Address("duckdb", path=path)
    if not path.endswith(".catalog"):
        with pytest.raises(UsageError):
            parse_address(path)


@pytest.mark.parametrize("text", ["ducklake:my_secret", "ducklake:mysql:nothing", "ducklake:md:lake", "ducklake:a=b.c"])
def test_what_is_no_file_after_ducklake_is_none(text: str) -> None:
    """A bare word is a secret's name to DuckLake, and other schemes are other backends."""
    with pytest.raises(UsageError):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("md:lake", "MotherDuck"),
        ("ducklake:md:lake?motherduck_token=hidden", "MotherDuck"),
        ("motherduck:lake", "MotherDuck"),
        ("ducklake:mssql:Server=host;Password=hidden", "SQL Server"),
        ("ducklake:moraine:s3://bucket/lake", "object storage by moraine"),
    ],
)
def test_other_catalogs_are_refused_by_name(text: str, name: str) -> None:
    """What DuckLake, or an extension, keeps catalogs in and dlbackup can't read is named, without its secrets."""
    with pytest.raises(UsageError, match=f"a catalog in {name} ") as refused:
        parse_address(text)
    assert "hidden" not in refused.value.message


@pytest.mark.parametrize("text", ["s3://bucket/lakes/", "gs://bucket", "az://hidden@container/x", "ducklake:S3://b/x"])
def test_a_place_for_backups_is_no_catalog(text: str) -> None:
    """Who names a place where a backup or a catalog is meant is told so, and not what addresses look like."""
    with pytest.raises(UsageError, match="is of an object storage") as refused:
        parse_address(text)
    assert "name a backup there" in refused.value.hint
    assert "hidden" not in refused.value.message + refused.value.hint


@pytest.mark.parametrize("path", ["/srv/my lake", "./lake", "../lake.dat", "~/lake"])
def test_path_without_a_known_ending_is_called_a_path(path: str) -> None:
    """What helps is said: a word in front, or an ending; nothing of it is repeated."""
    with pytest.raises(UsageError, match="is a path whose ending") as refused:
        parse_address(path)

    assert "sqlite:" in refused.value.hint
    assert "lake" not in refused.value.message
