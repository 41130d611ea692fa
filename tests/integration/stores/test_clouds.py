"""What clouds do that SeaweedFS doesn't, or does otherwise: Azure by Azurite, and AWS by moto and by its own client."""

import json
import os
import secrets
from pathlib import Path

import boto3
import obstore
import pytest
from support.longer import long
from support.servers.clouds import CONTAINER
from support.servers.seaweed import BUCKET, Seaweed

from dlbackup.errors import StorageError
from dlbackup.stores.objects import PART_BYTES, Objects

SCHEMES = {"moto": "s3", "azurite": "az", "google": "gs"}
_MIB = 1 << 20


@pytest.fixture(params=[long("moto"), "azurite", "google"])
def cloud(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Objects:
    """An empty store of each."""
    variables: dict[str, str] = request.getfixturevalue(request.param)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return Objects(SCHEMES[request.param], CONTAINER, secrets.token_hex(8))


def test_a_large_object_is_there_whole_or_not(cloud: Objects) -> None:
    """It goes in parts: an error leaves nothing, its end all of them, and another's of that name stays."""
    pieces = [os.urandom(_MIB) for _ in range(2 * PART_BYTES // _MIB + 3)]
    with pytest.raises(ValueError, match="stop"), cloud.create("large") as sink:
        for piece in pieces:
            sink.write(piece)
        raise ValueError("stop")
    assert list(cloud.list()) == []

    with cloud.create("large") as sink:
        for piece in pieces:
            sink.write(piece)
    with cloud.open("large") as file:
        assert file.read_at(0, file.size) == b"".join(pieces)
    with pytest.raises(StorageError, match="exists already"), cloud.create("other") as sink:
        for piece in pieces:
            sink.write(piece)
        obstore.put(cloud.client, "other", b"early")
    assert [(blob.name, blob.size) for blob in cloud.list()] == [("large", len(pieces) * _MIB), ("other", 5)]


def test_a_place_that_is_missing_is_not_made(cloud: Objects) -> None:
    """To list it and to write there are errors that say so; SeaweedFS makes a bucket that is written to."""
    missing = Objects(cloud.scheme, "elsewhere")
    for large in (False, True):
        with pytest.raises(StorageError, match="there is no such bucket"), missing.create("some") as sink:
            sink.write(bytes(PART_BYTES if large else 1))
    with pytest.raises(StorageError, match="there is no such bucket"):
        list(missing.list())
    with pytest.raises(StorageError, match="there is no such bucket"), missing.open("some"):
        pytest.fail("opened what isn't there")


def test_the_rule_for_parts_is_taken(moto: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The lifecycle rule that the documentation gives is one that S3 knows."""
    for name, value in moto.items():
        monkeypatch.setenv(name, value)
    page = (Path(__file__).parents[3] / "docs/operations.md").read_text()
    rule = json.loads(page.partition("```json\n")[2].partition("```")[0])
    client = boto3.Session().client("s3", endpoint_url=moto["AWS_ENDPOINT_URL"])
    client.put_bucket_lifecycle_configuration(Bucket=CONTAINER, LifecycleConfiguration=rule)
    (kept,) = client.get_bucket_lifecycle_configuration(Bucket=CONTAINER)["Rules"]
    assert kept["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    client.delete_bucket_lifecycle(Bucket=CONTAINER)


def test_a_wrong_key_of_azure_is_said(azurite: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the key, and as what it is."""
    wrong = secrets.token_hex(32)
    for name, value in (azurite | {"AZURE_STORAGE_ACCOUNT_KEY": wrong}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StorageError, match=r"refuses the credentials|no right") as caught:
        list(Objects("az", CONTAINER, secrets.token_hex(8)).list())
    assert wrong not in str(vars(caught.value))
    assert caught.value.hint


@pytest.mark.parametrize("size", [100, 2 * PART_BYTES])
def test_checksums_are_sent(weed: Seaweed, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """AWS's own client is told a SHA-256 of each object, however it was written; moto keeps those of parts alone."""
    variables = weed.environment()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    store = Objects("s3", BUCKET, secrets.token_hex(8))
    with store.create("some") as sink:
        sink.write(bytes(size))

    client = boto3.Session().client("s3", endpoint_url=variables["AWS_ENDPOINT_URL"])
    head = client.head_object(Bucket=BUCKET, Key=f"{store.prefix}/some", ChecksumMode="ENABLED")
    assert head["ChecksumSHA256"]


def test_a_profile_gives_keys_and_region(weed: Seaweed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of AWS_PROFILE, where boto3 is there to read it and no keys are set."""
    variables = weed.environment()
    (tmp_path / "config").write_text(
        f"[profile nightly]\nregion = us-east-1\naws_access_key_id = {variables['AWS_ACCESS_KEY_ID']}\n"
        f"aws_secret_access_key = {variables['AWS_SECRET_ACCESS_KEY']}\n"
    )
    for name in variables:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", variables["AWS_ENDPOINT_URL"])
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "nightly")
    store = Objects("s3", BUCKET, secrets.token_hex(8))
    with store.create("some") as sink:
        sink.write(b"some")
    assert [blob.name for blob in store.list()] == ["some"]
