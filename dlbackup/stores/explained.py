"""
What the errors of an object storage mean, and what a person can do about them.
"""

import re

from dlbackup.errors import StorageError

TIMEOUT_VARIABLE = "DLBACKUP_STORE_TIMEOUT"
"""The environment's: how many seconds one request may take; it is not made again after twice as many."""
_CREDENTIALS = (
    "set those of the cloud in the environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE;"
    " GOOGLE_APPLICATION_CREDENTIALS; AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY"
)
_ANSWER = (
    "see that it runs and that its endpoint (AWS_ENDPOINT_URL) is right, and try again;"
    f" {TIMEOUT_VARIABLE} says how many seconds one request may take"
)
_CUT_OFF = r"list response|DeleteObjects response|sent less"
"""What the library says of a list, or of the answer to a removal, that breaks off, and we of an object."""
_KNOWN = (
    (r"NoSuchBucket|ContainerNotFound|bucket does not exist", "there is no such bucket", "make it, or name another"),
    (
        r"RequestTimeTooSkewed",
        "this machine's clock and the store's differ too much",
        "set the clock, by NTP for example",
    ),
    (
        r"PermanentRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraint|Received redirect|TemporaryRedirect",
        "the bucket is in another region",
        "set AWS_REGION to the bucket's region",
    ),
    (
        r"InvalidAccessKeyId|SignatureDoesNotMatch|AuthenticationFailed|InvalidToken|ExpiredToken|401 Unauthorized",
        "the store refuses the credentials",
        "see that the key and its secret are those of this store, and not expired",
    ),
    (
        r"AccessDenied|AuthorizationFailure|AuthorizationPermissionMismatch|403 Forbidden|PermissionDenied",
        "these credentials have no right to do that",
        "see that the key is the right one; it needs the rights to list the bucket, and to get and put objects in it",
    ),
    (
        r"169\.254\.|metadata\.google|CredentialsNotLoaded|[Mm]issing .*(credential|key|account)|Account must be",
        "there are no credentials",
        _CREDENTIALS,
    ),
    (
        r"BadScheme|URL scheme is not allowed|builder error",
        "the store is asked over http, which is not encrypted",
        "name an https endpoint, or set AWS_ALLOW_HTTP=true if that network is to be trusted",
    ),
    (_CUT_OFF, "the store's answers are cut off", _ANSWER),
    (
        r"error sending request|HTTP error|[Cc]onnect|dns|timed? ?out|status code: |SlowDown|InternalError",
        "the store doesn't answer, or only with errors",
        _ANSWER,
    ),
)
"""What a store's error means, by what it says, and what to do."""
_REFUSED = re.compile(r"status code: 4(?!08|29)\d\d")
"""An answer that would be the same again, whatever else the library's text, which names its timeouts, has in it."""
_ANSWERED = re.compile(r"<Code>(?P<code>\w+)</Code>(?:\s*<Message>(?P<message>[^<]*)</Message>)?")
_TRIED = re.compile(r" in (?P<seconds>[0-9.]+)s, after [1-9][0-9]* retries")


class CutOff(OSError):
    """Less of an object arrived than was asked for, as if that were all."""

    def __str__(self) -> str:
        return "the store sent less than was asked for"


def is_cut_off(exc: Exception) -> bool:
    """Tell whether an answer broke off that the library doesn't ask for again."""
    return re.search(_CUT_OFF, str(exc)) is not None


def is_first_try(exc: Exception) -> bool:
    """Tell whether a request got no answer, or a broken one, and the library has not made it again."""
    return explained("", exc, 0.0).transient and _TRIED.search(str(exc)) is None


def explained(failed: str, exc: Exception, took_s: float) -> StorageError:
    """
    Say what a store's error means; what is not known is quoted, without the query of a URL, which may be signed.

    Args:
        failed: what could not be done.
        took_s: how long it took to fail, as far as the caller knows; what the error says counts before that.
    """
    said = str(exc)
    if isinstance(exc, FileNotFoundError) and "NoSuchBucket" not in said and "ContainerNotFound" not in said:
        return StorageError(f"{failed}: there is no such object", "see that the bucket and the name are right")
    for pattern, meaning, hint in _KNOWN:
        if re.search(pattern, said) and not (hint == _ANSWER and _REFUSED.search(said)):
            tried = _TRIED.search(said)
            seconds = float(tried["seconds"]) if tried else took_s
            after = f"; given up after {seconds:.0f} s" if hint == _ANSWER and seconds >= 1 else ""
            error = StorageError(f"{failed}: {meaning}{after}", hint)
            error.transient = hint == _ANSWER
            return error
    return StorageError(f"{failed}: {_quoted(said) or type(exc).__name__}")


def _quoted(said: str) -> str:
    """Return what a store says of an error in its own words, or else how the library's text begins."""
    if own := _ANSWERED.search(said):
        return f"the store says {own['code']}{': ' if own['message'] else ''}{own['message'] or ''}"[:300]
    return re.sub(r"\?\S*", "", said.strip().split("\n", 1)[0])[:200]
