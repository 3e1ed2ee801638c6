"""What most commands need: the home's store, index and encoder, and an item by the name that people give it.

torch is imported only when an encoder is opened; commands that don't encode answer in a fraction of a second.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tqdm import tqdm

from models.features import basis_of, features_of
from models.fusion import image_weight_of
from node.config import Home
from node.database import Database
from node.errors import NotFoundError, UserError
from node.index import Index, Remembered, load_index
from node.learned import Learned
from node.store import Store, StoredItem
from node.taught import Taught, taught_by

if TYPE_CHECKING:
    from models.clip import Encoder


@contextmanager
def open_store(home: Home) -> Iterator[Store]:
    """The home's store, closed afterwards."""
    store = Store(Database(home.database))
    try:
        yield store
    finally:
        store.close()


def open_encoder(name: str) -> Encoder:
    """The encoder of that name. Raises: UserError."""
    # Idle OpenMP threads spin by default and take the cores that pictures are read on, or that another process needs:
    # encoding was ten times slower beside one busy process. libgomp reads this once, when torch is first imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from models.clip import Encoder, EncoderError

    try:
        # stdout belongs to the answer.
        return Encoder.load(name, say=lambda sentence: tqdm.write(sentence, file=sys.stderr))
    except EncoderError as error:
        raise UserError(str(error)) from error


def home_encoder(home: Home) -> Encoder:
    """The encoder of this home, being the very one that it was made with. Raises: UserError."""
    encoder = open_encoder(home.config.encoder)
    if encoder.fingerprint != home.config.fingerprint:
        raise UserError(
            f"encoder {home.config.encoder} is no longer the one that {home.folder} was made with, so their vectors "
            "can't be mixed; make a new home with p2prec init, and import the catalog there"
        )
    return encoder


def home_index(home: Home, store: Store, known: Remembered | None = None, dim: int = 0) -> Index:
    """`known` as in `load_index`; `dim`: the size of the encoder's halves, where the home does not say it."""
    weight = image_weight_of(home.config.encoder)
    return load_index(store, home.config.fingerprint, weight, home.config.dim or dim or 1, known)


def home_taught(home: Home, store: Store) -> Taught | None:
    """What this node ranks by of all that was learned with others; None before that, or where it does not help."""
    return taught_by(Learned(store.database), features_of(home.config.encoder), basis_of(home.config.encoder))


def find_item(store: Store, reference: str) -> list[StoredItem]:
    """Items of that id, or of PUBLISHER/ITEM (peer id or platform): none, one, or several shops'.

    Behind a peer id that is known, it is that publisher's item, whatever others call theirs.
    """
    publisher, _, item = reference.partition("/")
    is_theirs = "/" in reference and any(publisher == c.publisher for c in store.catalogs())
    found = [] if is_theirs else store.find_items(reference)
    if not found:
        numbers = {c.catalog for c in store.catalogs() if publisher in (c.publisher, c.platform)}
        found = [one for one in store.find_items(item) if one.catalog in numbers]
    return found


def the_item(store: Store, reference: str) -> StoredItem:
    """The one item meant. Raises: UserError when there is none, or more than one."""
    found = find_item(store, reference)
    if not found:
        raise NotFoundError(f"no item {reference!r} is known here; p2prec search or p2prec catalog list shows what is")
    if len(found) > 1:
        shops = {c.catalog: c.platform for c in store.catalogs()}
        names = " or ".join(f"{shops[one.catalog]}/{reference}" for one in found)
        raise UserError(f"several shops have an item {reference!r}; say {names}")
    return found[0]


def known_platform(index: Index, platform: str | None) -> str | None:
    """The platform asked for. Raises: UserError when no catalog has that name."""
    names = sorted({catalog.platform for catalog in index.catalogs.values()})
    if platform is not None and platform.casefold() not in {name.casefold() for name in names}:
        raise NotFoundError(f"no platform {platform!r} is known here; there are: {', '.join(names) or 'none'}")
    return platform


def now_ms() -> int:
    """Unix milliseconds, as a command begins."""
    return time.time_ns() // 1_000_000
