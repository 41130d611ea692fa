"""Keys to object storage: from which file or variables, what DuckDB is told, and what nobody is."""

from pathlib import Path

import duckdb
import pytest

from dlbackup.engine.keys import Keys, check_secrets, keys_at_hand
from dlbackup.errors import StorageError, UsageError

_AWS = {"AWS_ACCESS_KEY_ID": "AKIA1", "AWS_SECRET_ACCESS_KEY": "it's hidden"}


def _statement(scheme: str, variables: dict[str, str]) -> str:
    keys = keys_at_hand(None, scheme, variables)
    assert keys is not None
    (statement,) = keys.statements
    return statement


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, ""),
        ({"AWS_REGION": "eu-1"}, ", REGION 'eu-1'"),
        ({"AWS_DEFAULT_REGION": "eu-2", "AWS_SESSION_TOKEN": "t"}, ", SESSION_TOKEN 't', REGION 'eu-2'"),
        (
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:9000"},
            ", ENDPOINT '127.0.0.1:9000', URL_STYLE 'path', USE_SSL 'false'",
        ),
        (
            {"AWS_ENDPOINT_URL": "http://no", "AWS_ENDPOINT_URL_S3": "https://s3.example/base/"},
            ", ENDPOINT 's3.example/base', URL_STYLE 'path', USE_SSL 'true'",
        ),
    ],
)
def test_aws_variables_make_a_secret(more: dict[str, str], words: str) -> None:
    """Key, token, region and endpoint are those of the cloud's own tools."""
    statement = _statement("s3", _AWS | more)

    assert statement == f"CREATE SECRET dlbackup_s3 (TYPE s3, KEY_ID 'AKIA1', SECRET 'it''s hidden'{words})"


def test_chain_is_for_those_who_say_where_keys_are() -> None:
    """A profile or a role takes DuckDB's aws extension, which asks as the cloud's tools do."""
    for name in ("AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        keys = keys_at_hand(None, "s3", {name: "x", "AWS_REGION": "eu-1"})
        assert keys is not None
        assert keys.extensions == ("httpfs", "aws")
        assert keys.statements == ("CREATE SECRET dlbackup_s3 (TYPE s3, PROVIDER 'credential_chain', REGION 'eu-1')",)


@pytest.mark.parametrize(
    ("scheme", "variables"),
    [
        ("s3", {}),
        ("s3", {"AWS_ACCESS_KEY_ID": "only"}),
        ("s3", {"AWS_REGION": "eu-1"}),
        ("gs", _AWS),
        ("r2", _AWS),
        ("az", _AWS),
    ],
)
def test_without_keys_there_are_none(scheme: str, variables: dict[str, str]) -> None:
    """Half a key is none, and one cloud's key is none for another."""
    assert keys_at_hand(None, scheme, variables) is None


def test_azure_has_its_own() -> None:
    """The connection string is all that DuckDB needs."""
    statement = _statement("abfss", {"AZURE_STORAGE_CONNECTION_STRING": "AccountKey=k;X=y"})

    assert statement == "CREATE SECRET dlbackup_azure (TYPE azure, CONNECTION_STRING 'AccountKey=k;X=y')"


@pytest.mark.parametrize(
    ("text", "extensions"),
    [
        ("create secret (type s3, key_id 'k')", ("httpfs",)),
        ("CREATE OR REPLACE TEMPORARY SECRET x (TYPE GCS, KEY_ID 'k')", ("httpfs",)),
        ("-- ours\nCREATE SECRET IF NOT EXISTS x (TYPE 'azure', PROVIDER credential_chain);", ("azure",)),
        (
            "/* a */ CREATE SECRET a (TYPE azure); CREATE SECRET b (TYPE s3, PROVIDER credential_chain)",
            ("azure", "httpfs", "aws"),
        ),
    ],
)
def test_file_of_secrets_says_what_it_needs(tmp_path: Path, text: str, extensions: tuple[str, ...]) -> None:
    """It wins over variables, is named by an option or a variable, and is taken as it stands."""
    file = tmp_path / "keys.sql"
    file.write_text(text)

    for keys in (keys_at_hand(file, "s3", _AWS), keys_at_hand(None, "s3", _AWS | {"DLBACKUP_SECRETS": str(file)})):
        assert keys is not None
        assert (keys.origin, keys.extensions) == (str(file), extensions)
        assert len(keys.statements) == len(duckdb.extract_statements(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-- nothing",
        "CREATE SECRET (TYPE s3, KEY_ID 'k' SECRET 's3cr3tS3cr3t')",
        "CREATE PERSISTENT SECRET (TYPE s3, SECRET 's3cr3tS3cr3t')",
        "CREATE OR REPLACE PERSISTENT SECRET x (TYPE s3, SECRET 's3cr3tS3cr3t')",
        "ATTACH 's3cr3tS3cr3t' AS x",
        "CREATE SECRET (TYPE s3); COPY (SELECT 1) TO 's3cr3tS3cr3t'",
        "CREATE TABLE secret AS SELECT 's3cr3tS3cr3t'",
        "DROP SECRET s3cr3tS3cr3t",
    ],
)
def test_file_of_something_else_is_refused_unread(tmp_path: Path, text: str) -> None:
    """Only temporary secrets are taken, and what the file holds is in no error, nor behind one."""
    file = tmp_path / "keys.sql"
    file.write_text(text)

    with pytest.raises(UsageError, match=str(file)) as caught:
        keys_at_hand(file, "s3", {})
    assert "s3cr3tS3cr3t" not in caught.value.message + caught.value.hint
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_file_that_can_not_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    """It is missing, or no text."""
    file = tmp_path / "keys.sql"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(StorageError, match=str(file)):
        keys_at_hand(file, "s3", {})


def test_keys_are_not_told() -> None:
    """Not where they are printed, nor in an engine's words, whichever way they were written; the rest is."""
    s3 = (
        "CREATE SECRET lakes (TYPE s3, KEY_ID 'AKIA1', secret := 'it''s hidden', SESSION_TOKEN bareT0ken,"
        " REGION 'eu-1', ENDPOINT 'h:1', EXTRA_HTTP_HEADERS MAP {'Authorization': 'Bearer b34rer'})"
    )
    azure = "CREATE SECRET (TYPE azure, CONNECTION_STRING 'AccountName=lake;AccountKey=abc==')"
    keys = Keys("keys.sql", (s3, azure), ("httpfs",))

    told = "AKIA1 it's hidden bareT0ken Bearer b34rer abc== in eu-1 at h:1 of s3"
    assert keys.scrub(told) == "*** *** *** *** *** in eu-1 at h:1 of s3"
    assert "AKIA1" not in repr(keys)


def test_keys_that_nobody_would_use_are_wrong_usage(tmp_path: Path) -> None:
    """Who gives keys and doesn't ask for data files is told so, rather than left to think that they were looked at."""
    file = tmp_path / "keys.sql"
    file.write_text("CREATE SECRET (TYPE s3)")

    check_secrets(file, data_files=True)
    check_secrets(None, data_files=False)
    with pytest.raises(UsageError, match="looking for data files, which is not asked for"):
        check_secrets(file, data_files=False)


def test_a_statement_where_a_file_belongs_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever writes the keys themselves where their file is to be named, is told so, and nobody else the keys."""
    text = "CREATE SECRET (TYPE s3, KEY_ID 'k', SECRET 's3cr3t')"
    with pytest.raises(UsageError) as given:
        check_secrets(text, data_files=True)
    with pytest.raises(UsageError) as found:
        keys_at_hand(None, "s3", {"DLBACKUP_SECRETS": text})

    assert "s3cr3t" not in repr((given.value, given.value.hint, found.value, found.value.hint))
