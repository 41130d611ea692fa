"""
What makes the requests to an object storage, as the environment says: credentials, as the tools of each cloud take
them, endpoints, and for how long a request is waited for and made again.
"""

import os
from datetime import timedelta
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dlbackup.errors import StorageError, UsageError
from dlbackup.stores.explained import TIMEOUT_VARIABLE

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

_TIMEOUT_S = 60.0
_RETRIES = 10
FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=0.5), timedelta(seconds=8)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@lru_cache(maxsize=16)
def client(scheme: str, bucket: str, prefix: str, pid: int) -> "ObjectStore":
    """Return a client for what is below a prefix, one for each process."""
    from obstore.store import AzureStore, GCSStore, S3Store

    seconds = timeout_s()
    retries: RetryConfig = {
        "max_retries": _RETRIES,
        "backoff": {"init_backoff": FIRST_PAUSE, "max_backoff": _LONGEST_PAUSE, "base": 2},
        "retry_timeout": timedelta(seconds=2 * seconds),
    }
    options: ClientConfig = {"timeout": timedelta(seconds=seconds), "allow_http": _may_use_http()}
    below = prefix or None
    if scheme == "gs":
        return GCSStore(bucket, prefix=below, client_options=options, retry_config=retries)
    if scheme == "az":
        return AzureStore(bucket, prefix=below, client_options=options, retry_config=retries)
    credentials, region = _profile("/".join(filter(None, (f"{scheme}://{bucket}", prefix))))
    config: Any = {"checksum_algorithm": "SHA256"} | region
    return S3Store(
        bucket,
        prefix=below,
        config=config,
        client_options=options,
        retry_config=retries,
        credential_provider=credentials,
    )


def timeout_s() -> float:
    """Return how long one request may take; what is given up is given up after that, or after twice as long."""
    value = os.environ.get(TIMEOUT_VARIABLE, "").strip()
    if not value:
        return _TIMEOUT_S
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 86_400:  # a day, for links of a few bytes a second
        raise UsageError(
            f"{TIMEOUT_VARIABLE} is {value!r}, which is no number of seconds", f"leave it away: {_TIMEOUT_S:g}"
        )
    return seconds


def _may_use_http() -> bool:
    """Tell whether requests may go unencrypted: to this machine, or where the environment says so."""
    if os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true", "yes"):
        return True
    named = [os.environ.get(name, "") for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")]
    endpoints = [urlsplit(url) for url in (*named, os.environ.get("AZURE_STORAGE_ENDPOINT", "")) if url]
    return bool(endpoints) and all(url.hostname in _LOOPBACK for url in endpoints)


def _profile(shown: str) -> tuple[Any, dict[str, str]]:
    """Return what gives the credentials of `AWS_PROFILE`, and its region; nothing where keys are set or none is."""
    if not os.environ.get("AWS_PROFILE") or os.environ.get("AWS_ACCESS_KEY_ID"):
        return None, {}
    if find_spec("boto3") is None:
        raise StorageError(
            f"{shown}: AWS_PROFILE is set, and profiles are read by boto3, which isn't here",
            "pip install boto3, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead",
        )
    from importlib import import_module

    from obstore.auth.boto3 import Boto3CredentialProvider

    try:
        session = import_module("boto3").Session()
        region = session.region_name
        return Boto3CredentialProvider(session), ({"region": region} if region else {})
    except Exception as exc:  # noqa: BLE001 - botocore's: there is no such profile, or nothing in it
        raise StorageError(
            f"the credentials of AWS_PROFILE={os.environ['AWS_PROFILE']} can't be read: {type(exc).__name__}",
            "see ~/.aws/config; with single sign-on: aws sso login",
        ) from None
