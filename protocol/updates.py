"""A model update: what one node has learned so far, signed, in a size that does not grow with anything.

It names the model and the features that its values are over; both sides must mean the same by every value. It says how
many periods are behind it, about how many users (as a power of two, for no more is needed), and what its publication
has cost each of them of their privacy. It has no field for a user, a rating or an item, and nothing in it is code.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

from protocol import wire
from protocol.envelope import OVERHEAD_BYTES, open_sealed, seal
from protocol.heads import AT_MS_MAX
from protocol.identity import Identity
from protocol.limits import SKEW_MS, RemoteError
from protocol.merkle import HASH_BYTES

DOMAIN = "update/1"
# As sealed: what one exchange may cost, whatever the catalogs.
UPDATE_BYTES_MAX = 65_536
# Names are our own: "taste_prior", "phi-1/tiny-128".
MODEL_BYTES_MAX = 48
AGE_MAX = 2**31 - 1
# A million users on one node.
USERS_LOG2_MAX = 20
# In thousandths; this one means that no privacy is promised.
EPSILON_MILLI_MAX = 1_000_000
UNPROTECTED = EPSILON_MILLI_MAX


@dataclass(frozen=True, slots=True)
class ModelUpdate:
    """`source` is the signer's public key, `encoder` the fingerprint (32 bytes), `values` as protocol/weights.py says.

    `epsilon_milli`: each user's privacy loss by all that this node has published, in thousandths.
    """

    source: bytes
    model: str
    features: str
    encoder: bytes
    age: int
    made_ms: int
    users_log2: int
    epsilon_milli: int
    values: bytes


def seal_update(identity: Identity, update: ModelUpdate) -> bytes:
    """The update as it is sent. Raises: RemoteError if it breaks a rule, ValueError if it is not ours."""
    if update.source != identity.public:
        raise ValueError("an update is signed by its source")
    _check(update)
    return seal(identity, DOMAIN, wire.pack(list(astuple(update))[1:]))


def open_update(sealed: bytes, *, verified: bool = False) -> ModelUpdate:
    """Untrusted bytes to a verified update; `verified`: they were once. Its values are not looked at.

    Raises: RemoteError("too_big" | "malformed" | "bad_signature").
    """
    opened = open_sealed(DOMAIN, sealed, UPDATE_BYTES_MAX - OVERHEAD_BYTES, verified=verified)
    fields = wire.parse(opened.body)
    if not (isinstance(fields, list) and len(fields) == 8):
        raise RemoteError("malformed", "not a model update")
    update = ModelUpdate(opened.public, *fields)
    _check(update)
    return update


def check_update_time(update: ModelUpdate, now_ms: int) -> None:
    """Raise RemoteError("expired") for an update from the future: nothing newer could ever replace it."""
    if update.made_ms > now_ms + SKEW_MS:
        raise RemoteError("expired", "an update that is not made yet")


def _check(update: ModelUpdate) -> None:
    names_fit = all(
        isinstance(name, str) and 0 < len(name.encode("utf-8", "surrogatepass")) <= MODEL_BYTES_MAX and name.isascii()
        for name in (update.model, update.features)
    )
    numbers_fit = all(
        type(number) is int and 0 <= number <= most
        for number, most in (
            (update.age, AGE_MAX),
            (update.made_ms, AT_MS_MAX),
            (update.users_log2, USERS_LOG2_MAX),
            (update.epsilon_milli, EPSILON_MILLI_MAX),
        )
    )
    bytes_fit = (
        isinstance(update.encoder, bytes)
        and len(update.encoder) == HASH_BYTES
        and isinstance(update.values, bytes)
        and 0 < len(update.values) < UPDATE_BYTES_MAX
    )
    if not (names_fit and numbers_fit and bytes_fit):
        raise RemoteError("malformed", "a field of the model update")
