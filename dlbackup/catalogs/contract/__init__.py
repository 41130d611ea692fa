"""
What every backend promises of a catalog that it holds; nothing above this room knows which backend that is.

A `Catalog` is opened by `catalogs.open`. A `Snapshot` is one consistent view for reading, which other processes enter
by a `Joinable`, and which answers SQL by `lake.answers.Answers`. A `Replacement` puts a backup where a catalog is or
will be: in parts, each of which has a `Place` to be filled. Each promise is shown for each backend by
`tests/integration/catalogs/test_contract.py`.
"""

from dlbackup.catalogs.contract.catalog import Access, Catalog, Copy, Identity, Locks, Mark, Mending, Retyped, Site
from dlbackup.catalogs.contract.clients import Client, clients_connected
from dlbackup.catalogs.contract.replacement import Encoding, Existing, Part, Place, Replacement, Rewrite, Terms
from dlbackup.catalogs.contract.served import Declared, Fence, Guard, Served
from dlbackup.catalogs.contract.snapshot import Change, Claim, Head, Joinable, Pages, Snapshot
from dlbackup.catalogs.contract.trial import Remake, Trial

__all__ = [
    "Access",
    "Catalog",
    "Change",
    "Claim",
    "Client",
    "Copy",
    "Declared",
    "Encoding",
    "Existing",
    "Fence",
    "Guard",
    "Head",
    "Identity",
    "Joinable",
    "Locks",
    "Mark",
    "Mending",
    "Pages",
    "Part",
    "Place",
    "Remake",
    "Replacement",
    "Retyped",
    "Rewrite",
    "Served",
    "Site",
    "Snapshot",
    "Terms",
    "Trial",
    "clients_connected",
]
