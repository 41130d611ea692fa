"""What the words of object storages mean; the texts are those of AWS's answers, as obstore quotes them."""

import pytest

from dlbackup.stores.explained import explained

_AROUND = (
    "Generic S3 error: Error performing PUT https://s3.example/b/k?X-Amz-Signature=secret in 41.5ms - Server returned"
    ' non-2xx status code: {status}: <?xml version="1.0"?><Error><Code>{code}</Code><Message>made up</Message></Error>'
)


@pytest.mark.parametrize(
    ("status", "code", "meaning", "hint"),
    [
        ("301 Moved Permanently", "PermanentRedirect", "in another region", "AWS_REGION"),
        ("400 Bad Request", "AuthorizationHeaderMalformed", "in another region", "AWS_REGION"),
        ("403 Forbidden", "RequestTimeTooSkewed", "clock", "NTP"),
        ("403 Forbidden", "AccessDenied", "no right to do that", "the rights to list"),
        ("403 Forbidden", "InvalidAccessKeyId", "refuses the credentials", "the key and its secret"),
        ("404 Not Found", "NoSuchBucket", "no such bucket", "make it"),
    ],
)
def test_what_a_person_can_do_is_said(status: str, code: str, meaning: str, hint: str) -> None:
    """Each is told from the others, isn't tried again, and shows no signature."""
    error = explained("can't write s3://b/k", PermissionError(_AROUND.format(status=status, code=code)), 0.1)

    assert error.message.startswith("can't write s3://b/k: ")
    assert (meaning in error.message, hint in error.hint, error.transient) == (True, True, False)
    assert "secret" not in error.message
