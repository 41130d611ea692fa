"""
Write to stores and read from them, in turn, and print ratios of medians, with the processor time of both sides.

    PYTHONPATH=tests python benchmarks/stores.py FOLDER [--mib 48] [--runs 3]

A folder on the local disk, a SeaweedFS that is started for this, each with and without age, and what obstore alone does
with the same bytes in parts of the same size. The bytes are random; a backup's don't pack any further either.
Whole commands in and out of stores: the jobs `stores-...` of `benchmarks/side_by_side.py`.
"""

import argparse
import os
import shutil
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import obstore
from support.servers.seaweed import BUCKET, seaweed

from dlbackup.stores.age.x25519 import SecretKey
from dlbackup.stores.contract import Store
from dlbackup.stores.encrypted import Encrypted
from dlbackup.stores.folder import Folder
from dlbackup.stores.keys import Keyring, Keys
from dlbackup.stores.objects import PART_BYTES, Objects

_MIB = 1 << 20
_PIECE = 300_000
"""About a frame of a backup, which is what is written and read at once."""
_TICKS_S = os.sysconf("SC_CLK_TCK")


@dataclass
class Contender:
    """One way of writing or reading, and what its runs took: seconds in all, of ours, and of the server's processor."""

    name: str
    run: Callable[[], None]
    seconds: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    servers: list[float] = field(default_factory=list)

    def measure(self, server: int) -> None:
        """Run once."""
        began, ours, servers = time.monotonic(), time.process_time(), processor_seconds(server)
        self.run()
        self.seconds.append(time.monotonic() - began)
        self.ours.append(time.process_time() - ours)
        self.servers.append(processor_seconds(server) - servers)


def processor_seconds(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / _TICKS_S


def child_called(name: str) -> int:
    """Return the process of that name which this one has started."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text()
            if f"({name}) " in stat and int(stat.rpartition(")")[2].split()[1]) == os.getpid():
                return int(folder.name)
        except OSError:  # gone
            continue
    raise SystemExit(f"no {name} runs")


def write(store: Store, name: str, pieces: list[bytes]) -> None:
    with store.create(name) as sink:
        for piece in pieces:
            sink.write(piece)


def write_alone(store: Objects, name: str, pieces: list[bytes]) -> None:
    with obstore.open_writer(store.client, name, buffer_size=PART_BYTES, max_concurrency=2) as file:
        for piece in pieces:
            file.write(piece)


def read(store: Store, name: str, size: int) -> None:
    with store.open(name) as file:
        read_bytes = sum(len(file.read_at(at, _PIECE)) for at in range(0, size, _PIECE))
    if read_bytes != size:
        raise SystemExit(f"{name} has {read_bytes} bytes, and not {size}")


def contenders(places: dict[str, Store], pieces: list[bytes]) -> dict[str, list[Contender]]:
    size = sum(map(len, pieces))
    names = {name: f"some.sql.zst{'.age' if 'age' in name else ''}" for name in places}
    objects = next(store for store in places.values() if isinstance(store, Objects))
    alone = "obstore alone"

    def anew(store: Store, name: str) -> None:
        if any(blob.name == name for blob in store.list()):
            store.delete(name)
        write(store, name, pieces)

    writing = [
        Contender(name, lambda store=store, name=name: anew(store, names[name]))  # type: ignore[misc]
        for name, store in places.items()
    ]
    reading = [
        Contender(name, lambda store=store, name=name: read(store, names[name], size))  # type: ignore[misc]
        for name, store in places.items()
    ]
    writing.append(Contender(alone, lambda: write_alone(objects, "alone", pieces)))
    reading.append(Contender(alone, lambda: (obstore.get(objects.client, "alone").bytes(), None)[1]))
    return {"write": writing, "read": reading}


def report(job: str, them: list[Contender], mib: float) -> None:
    print(f"\n| {job} | MiB/s | this / folder | our processor, s | the server's, s |\n|---|---|---|---|---|")
    first = statistics.median(them[0].seconds)
    for it in them:
        median = statistics.median(it.seconds)
        ours, servers = statistics.median(it.ours), statistics.median(it.servers)
        print(f"| {it.name} | {mib / median:.0f} | {median / first:.1f} | {ours:.2f} | {servers:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mib", type=int, default=48)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    pieces = [os.urandom(_PIECE) for _ in range(options.mib * _MIB // _PIECE)]
    scratch = options.folder / "stores"
    scratch.mkdir()
    secret = SecretKey.generate()
    (options.folder / "key.txt").write_text(secret.text())
    ring = Keyring(Keys(encrypt_to=(str(secret.public),), identity=(options.folder / "key.txt",)))
    with seaweed() as running:
        os.environ.update(running.environment())
        local, remote = Folder(scratch), Objects("s3", BUCKET, "stores")
        places: dict[str, Store] = {
            "folder": local,
            "folder, age": Encrypted(local, ring),
            "object storage": remote,
            "object storage, age": Encrypted(remote, ring),
        }
        server = child_called("weed")
        for job, them in contenders(places, pieces).items():
            for _ in range(options.runs):
                for contender in them:
                    contender.measure(server)
            report(job, them, options.mib)
    shutil.rmtree(scratch)
    (options.folder / "key.txt").unlink()


if __name__ == "__main__":
    main()
