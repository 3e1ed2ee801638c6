"""A catalog's head: its publisher's signed word for one version, a few hundred bytes whatever the size.

Whoever holds a head can verify any part of the catalog, from any replica, against its root. A publisher signs one
head a version; two different ones of the same version prove that it says different things to different people.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

from protocol import limits, wire
from protocol.envelope import OVERHEAD_BYTES, open_sealed, seal
from protocol.identity import Identity
from protocol.limits import RemoteError
from protocol.merkle import BUCKET_ITEMS_MEAN_MAX, DEPTH_MAX, HASH_BYTES

DOMAIN = "head/1"
# As sealed. The largest that the rules below allow takes about 300; 1,000 fork proofs of two each fit a frame.
HEAD_BYTES_MAX = 512
VERSION_MAX = 2**63 - 1
COUNT_MAX = BUCKET_ITEMS_MEAN_MAX << DEPTH_MAX
# Unix milliseconds up to the year 9999.
AT_MS_MAX = 253_402_300_800_000


@dataclass(frozen=True, slots=True)
class CatalogHead:
    """`publisher` is the signer's public key (32 bytes), `encoder` the fingerprint (32 bytes)."""

    publisher: bytes
    platform: str
    version: int
    root: bytes
    count: int
    encoder: bytes
    at_ms: int


def seal_head(identity: Identity, head: CatalogHead) -> bytes:
    """The head as it is stored and gossiped. Raises: RemoteError if it breaks a rule, ValueError if it is not ours."""
    if head.publisher != identity.public:
        raise ValueError("a head is signed by its publisher")
    body = wire.pack(list(astuple(head))[1:])
    _check(head)
    return seal(identity, DOMAIN, body)


def open_head(sealed: bytes) -> CatalogHead:
    """Untrusted bytes to a verified head. Raises: RemoteError("too_big" | "malformed" | "bad_signature")."""
    opened = open_sealed(DOMAIN, sealed, HEAD_BYTES_MAX - OVERHEAD_BYTES)
    fields = wire.parse(opened.body)
    if not (isinstance(fields, list) and len(fields) == 6):
        raise RemoteError("malformed", "not a catalog head")
    head = CatalogHead(opened.public, *fields)
    _check(head)
    return head


def is_fork(one: CatalogHead, other: CatalogHead) -> bool:
    """Whether two verified heads prove that their publisher forked its catalog."""
    return one.publisher == other.publisher and one.version == other.version and one != other


def _check(head: CatalogHead) -> None:
    platform_fits = (
        isinstance(head.platform, str)
        and 0 < len(head.platform.encode("utf-8", "surrogatepass")) <= limits.ATTRIBUTE_BYTES_MAX
        and head.platform.isprintable()
    )
    hashes_fit = all(isinstance(one, bytes) and len(one) == HASH_BYTES for one in (head.root, head.encoder))
    numbers_fit = all(
        type(number) is int and least <= number <= most
        for number, least, most in (
            (head.version, 1, VERSION_MAX),
            (head.count, 0, COUNT_MAX),
            (head.at_ms, 0, AT_MS_MAX),
        )
    )
    if not (platform_fits and hashes_fit and numbers_fit):
        raise RemoteError("malformed", "a field of the head")
