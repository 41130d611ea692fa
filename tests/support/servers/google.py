"""
A stand-in for Google Cloud Storage: its XML API as Google's documentation describes it, as far as stores ask for it.

No emulator that can be had speaks it: they have the JSON API, which obstore doesn't use. What this one answers was
never held against Google's own. It keeps objects in memory, and asks for no key.
"""

import hashlib
import itertools
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

__all__ = ["google"]


@dataclass(frozen=True)
class _Object:
    data: bytes
    generation: int
    written: datetime

    @property
    def headers(self) -> dict[str, str]:
        return {
            "ETag": f'"{hashlib.md5(self.data, usedforsecurity=False).hexdigest()}-{self.generation}"',
            "x-goog-generation": str(self.generation),
            "Last-Modified": format_datetime(self.written, usegmt=True),
        }


class _Google(ThreadingHTTPServer):
    def __init__(self, bucket: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bucket = bucket
        self.objects: dict[str, _Object] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.numbers = itertools.count(1)
        self.lock = threading.Lock()

    def keep(self, name: str, data: bytes) -> _Object:
        made = _Object(data, next(self.numbers), datetime.now(UTC))
        self.objects[name] = made
        return made


class _Handler(BaseHTTPRequestHandler):
    server: _Google
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def _answer(self, status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | dict(headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _refuse(self, status: int, code: str) -> None:
        text = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
        self._answer(status, body=text.encode())

    def _asked(self) -> tuple[str, dict[str, str]] | None:
        """Return which object is asked for, and the query; None where the bucket is another, which is said."""
        parts = urlsplit(self.path)
        bucket, _, name = unquote(parts.path).lstrip("/").partition("/")
        if bucket != self.server.bucket:
            self._refuse(404, "NoSuchBucket")
            return None
        return name, {key: values[0] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_PUT(self) -> None:
        data, asked = self._body(), self._asked()
        if asked is None:
            return
        name, query = asked
        with self.server.lock:
            if upload := query.get("uploadId"):
                if upload not in self.server.uploads:
                    self._refuse(404, "NoSuchUpload")
                    return
                self.server.uploads[upload][int(query["partNumber"])] = data
                self._answer(200, {"ETag": f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'})
                return
            wanted = self.headers.get("x-goog-if-generation-match")
            there = self.server.objects.get(name)
            if wanted is not None and int(wanted) != (there.generation if there else 0):
                self._refuse(412, "PreconditionFailed")
                return
            self._answer(200, self.server.keep(name, data).headers)

    def do_POST(self) -> None:
        data, asked = self._body(), self._asked()
        if asked is None:
            return
        name, query = asked
        with self.server.lock:
            if "uploads" in query:
                upload = f"upload-{next(self.server.numbers)}"
                self.server.uploads[upload] = {}
                self._xml("InitiateMultipartUploadResult", Bucket=self.server.bucket, Key=name, UploadId=upload)
                return
            parts = self.server.uploads.pop(query["uploadId"], None)
            if parts is None:
                self._refuse(404, "NoSuchUpload")
                return
            listed = ElementTree.fromstring(data).iter()  # noqa: S314 - our own
            numbers = [int(found.text or 0) for found in listed if "PartNumber" in found.tag]
            made = self.server.keep(name, b"".join(parts[number] for number in numbers))
            self._xml("CompleteMultipartUploadResult", made, Bucket=self.server.bucket, Key=name)

    def _xml(self, kind: str, made: _Object | None = None, **values: str) -> None:
        headers = made.headers if made else {}
        values |= {"ETag": headers["ETag"]} if made else {}
        inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in values.items())
        self._answer(200, headers, f"<?xml version='1.0' encoding='UTF-8'?><{kind}>{inner}</{kind}>".encode())

    def do_DELETE(self) -> None:
        if (asked := self._asked()) is None:
            return
        name, query = asked
        with self.server.lock:
            kept: dict[str, object] = self.server.uploads if "uploadId" in query else self.server.objects  # type: ignore[assignment]
            if kept.pop(query.get("uploadId", name), None) is None:
                self._refuse(404, "NoSuchUpload" if "uploadId" in query else "NoSuchKey")
            else:
                self._answer(204)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if (asked := self._asked()) is None:
            return
        name, query = asked
        if not name:
            self._list(query.get("prefix", ""))
            return
        there = self.server.objects.get(name)
        if there is None:
            self._refuse(404, "NoSuchKey")
            return
        if self.headers.get("If-Match", there.headers["ETag"]) != there.headers["ETag"]:
            self._refuse(412, "PreconditionFailed")
            return
        found = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if found is None:
            self._answer(200, there.headers, there.data)
            return
        size = len(there.data)
        first = int(found[1]) if found[1] else max(0, size - int(found[2]))
        end = min(size, int(found[2]) + 1) if found[1] and found[2] else size
        if first >= size:
            self._refuse(416, "InvalidRange")
            return
        shown = {"Content-Range": f"bytes {first}-{end - 1}/{size}"}
        self._answer(206, there.headers | shown, there.data[first:end])

    def _list(self, prefix: str) -> None:
        with self.server.lock:
            found = sorted((name, kept) for name, kept in self.server.objects.items() if name.startswith(prefix))
        rows = "".join(
            f"<Contents><Key>{escape(name)}</Key><Size>{len(kept.data)}</Size>"
            f"<LastModified>{kept.written:%Y-%m-%dT%H:%M:%S.%f}Z</LastModified><ETag>{kept.headers['ETag']}</ETag></Contents>"
            for name, kept in found
        )
        text = f"<?xml version='1.0' encoding='UTF-8'?><ListBucketResult>{rows}</ListBucketResult>"
        self._answer(200, body=text.encode())


@contextmanager
def google(bucket: str) -> Iterator[dict[str, str]]:
    """Serve an empty bucket; yield the variables with which stores find it: a service account that asks for no key."""
    with _Google(bucket) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        account = {
            "gcs_base_url": f"http://127.0.0.1:{server.server_port}",
            "disable_oauth": True,
            **dict.fromkeys(("client_email", "private_key", "private_key_id"), ""),
        }
        yield {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(account), "AWS_ALLOW_HTTP": "true"}
        server.shutdown()
        thread.join()
