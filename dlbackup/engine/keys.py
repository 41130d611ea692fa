"""
The keys to object storage: DuckDB secrets from a file of the user's own, or made of the cloud's own variables.

They reach an engine as statements on its standard input, and no error repeats them.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from dlbackup.engine.statements import literal
from dlbackup.errors import StorageError, UsageError

VARIABLE = "DLBACKUP_SECRETS"
_ONLY_SECRETS = "it may hold CREATE SECRET statements, none of them PERSISTENT, and nothing else"
_CREATES = re.compile(
    r"(\s|--[^\n]*\n|/\*.*?\*/)*create\s+(or\s+replace\s+)?(temporary\s+|temp\s+)?secret\b"
    r"""(?!\s*(\w+|"[^"]*")?\s*in\b)""",  # IN a storage: that would be written to a file
    re.IGNORECASE | re.DOTALL,
)
_VALUES = re.compile(r"(?:(\w+)(?:\s*:?=\s*|\s+))?'((?:[^']|'')*+)'|(\w+)(?:\s*:?=\s*|\s+)([^\s,()'{}]+)")
_TELLABLE = {"account_name", "chain", "endpoint", "provider", "region", "scope", "type", "url_style", "use_ssl"}
"""Parameters whose values may be told."""
_CHAIN_VARIABLES = (
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


@dataclass(frozen=True, slots=True)
class Keys:
    """
    How an engine gets in.

    Args:
        origin: where they are from, in words.
        statements: what makes DuckDB's secrets of them.
        extensions: what these statements need.
    """

    origin: str
    statements: tuple[str, ...] = field(repr=False)
    extensions: tuple[str, ...]

    def scrub(self, text: str) -> str:
        """Return a text without what only those may know who have the keys."""
        for statement in self.statements:
            parameters = statement.partition("(")[2]
            for before, quoted, name, bare in _VALUES.findall(parameters):
                value = quoted.replace("''", "'") or bare.strip("$")
                if (before or name).lower() in _TELLABLE:
                    continue
                for secret in (value, *(part.partition("=")[2] for part in value.split(";"))):
                    text = text.replace(secret, "***") if secret else text
        return text


def keys_at_hand(file: str | Path | None, scheme: str, variables: Mapping[str, str] = os.environ) -> Keys | None:
    """
    Return the keys for paths of a scheme: from the file that is named, else from the cloud's variables.

    None where there are none: nobody is asked who may not answer.

    Raises:
        UsageError: the file holds something else than secrets.
        StorageError: it can't be read.
    """
    if named := file or variables.get(VARIABLE):
        return _of_file(Path(named))
    if scheme in ("az", "azure", "abfss"):
        return _of_azure(variables)
    return _of_aws(variables) if scheme in ("s3", "s3a", "s3n") else None


def check_secrets(file: str | Path | None, *, data_files: bool) -> None:
    """
    See that the file that somebody named can be used, before anything is done that takes long.

    Args:
        data_files: whether data files are looked for, which is all that keys are for.

    Raises:
        UsageError: it holds something else than secrets, or nobody would use them.
        StorageError: it can't be read.
    """
    if file is None:
        return
    if not data_files:
        raise UsageError(
            f"the keys in {file} are for looking for data files, which is not asked for",
            "ask for it (--data-files; restore looks unless told --no-data-files), or leave --secrets out",
        )
    _of_file(Path(file))


def _of_file(path: Path) -> Keys:
    import duckdb

    if re.search(r"\bsecret\b[^/]*\(", str(path), re.IGNORECASE):
        raise UsageError(
            f"--secrets and {VARIABLE} name a file with secrets, and one holds a statement itself",
            "write it to a file that only you can read",
        )
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is no text"
        raise StorageError(f"can't read the secrets in {path}: {reason}") from None
    try:
        statements = tuple(statement.query for statement in duckdb.extract_statements(text))
    except duckdb.Error:
        raise UsageError(f"{path} holds something that DuckDB can't parse", _ONLY_SECRETS) from None
    if not statements or not all(map(_CREATES.match, statements)):
        raise UsageError(f"{path} holds something else than secrets", _ONLY_SECRETS)
    types = {found.lower() for found in re.findall(r"\btype\s+'?(\w+)", text, re.IGNORECASE)}
    extensions = ["azure"] if "azure" in types else []
    if types - {"azure"}:
        extensions.append("httpfs")
        if re.search("credential_chain", text, re.IGNORECASE):
            extensions.append("aws")
    return Keys(str(path), statements, tuple(extensions))


def _of_azure(variables: Mapping[str, str]) -> Keys | None:
    if connection := variables.get("AZURE_STORAGE_CONNECTION_STRING"):
        return Keys("the environment", (_secret("azure", connection_string=connection),), ("azure",))
    return None


def _of_aws(variables: Mapping[str, str]) -> Keys | None:
    region = variables.get("AWS_REGION") or variables.get("AWS_DEFAULT_REGION", "")
    endpoint = urlsplit(variables.get("AWS_ENDPOINT_URL_S3") or variables.get("AWS_ENDPOINT_URL", ""))
    where = {"region": region, "endpoint": endpoint.netloc + endpoint.path.rstrip("/")}
    if endpoint.netloc:
        where |= {"url_style": "path", "use_ssl": str(endpoint.scheme != "http").lower()}
    key, secret = variables.get("AWS_ACCESS_KEY_ID"), variables.get("AWS_SECRET_ACCESS_KEY")
    if key and secret:
        token = variables.get("AWS_SESSION_TOKEN", "")
        statement = _secret("s3", key_id=key, secret=secret, session_token=token, **where)
        return Keys("the environment", (statement,), ("httpfs",))
    if any(map(variables.get, _CHAIN_VARIABLES)):
        statement = _secret("s3", provider="credential_chain", **where)
        return Keys("the environment", (statement,), ("httpfs", "aws"))
    return None


def _secret(kind: str, **parameters: str) -> str:
    words = [f"TYPE {kind}", *(f"{name.upper()} {literal(value)}" for name, value in parameters.items() if value)]
    return f"CREATE SECRET dlbackup_{kind} ({', '.join(words)})"
