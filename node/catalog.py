"""A shop's export into its own catalog: compare, encode what is new, store batch by batch.

An item is encoded only when what the encoder would read (caption, picture bytes, encoder) differs from last time; a
new price alone rewrites the record and keeps the vector. Each batch is one transaction, and the batches of a resumed
import begin where the last committed one ended, so an import that was killed and run again stores the same bytes as
one that was left in peace.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from models.clip import Encoder
from node.importers import Product, Rejection
from node.pictures import PictureCache, PictureFolder
from node.store import Known, Store, Write
from protocol.records import Item, pack_item
from protocol.vectors import pack_vectors

# One transaction and one look at the encoder: large enough to keep both busy, small enough that a kill loses seconds.
BATCH_ITEMS = 256
# Part of every source digest: change how a caption is composed, change this, and items are encoded anew.
CAPTION_RULE = b"caption-1"
LISTED_MAX = 1000

T = TypeVar("T")


@dataclass(slots=True)
class ImportReport:
    """What became of every row. rows == imported + unchanged + replaced + sum(rejected)."""

    rows: int = 0
    imported: int = 0
    unchanged: int = 0
    replaced: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    without_image: int = 0
    texts_cut: int = 0
    rejections: list[Rejection] = field(default_factory=list)
    bad_pictures: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Pending:
    """A product that differs from what is stored. `known` is set where its vector can stay."""

    item: Item
    packed: bytes
    picture: Path | None
    source: bytes
    known: Known | None


@dataclass(frozen=True, slots=True)
class PictureSources:
    """Where pictures may come from. Neither: the catalog is text only."""

    folder: PictureFolder | None = None
    cache: PictureCache | None = None

    def find(self, product: Product) -> Path | None:
        """The product's picture, if one is at hand."""
        path = self.folder.find(product.pictures, product.item.item) if self.folder else None
        if path is None and self.cache:
            path = next((found for url in product.pictures if (found := self.cache.find(url))), None)
        return path

    def fetch(self, products: Iterable[Product]) -> None:
        """Have the pictures of these products brought here, where the owner asked for that."""
        if self.cache:
            wanted = (p for p in products if self.folder is None or not self.folder.find(p.pictures, p.item.item))
            self.cache.fetch(url for product in wanted for url in product.pictures[:1] if "://" in url)


class CatalogImport:
    """One run over one export."""

    def __init__(self, store: Store, catalog: int, encoder: Encoder, pictures: PictureSources) -> None:
        self._store = store
        self._catalog = catalog
        self._encoder = encoder
        self._pictures = pictures
        self._pending: list[Pending] = []
        self.report = ImportReport()

    def run(self, rows: Iterable[Product | Rejection], advance: Callable[[int], object]) -> ImportReport:
        """Import every row. `advance` hears how many rows were dealt with. Raises: UserError from disk or export."""
        for chunk in _chunks(rows, BATCH_ITEMS):
            self._pictures.fetch(row for row in chunk if isinstance(row, Product))
            for row in chunk:
                self.report.rows += 1
                if isinstance(row, Rejection):
                    self._reject(row)
                else:
                    self._compare(row)
                if len(self._pending) == BATCH_ITEMS:
                    self._flush()
            advance(len(chunk))
        self._flush()
        return self.report

    def _reject(self, rejection: Rejection) -> None:
        self.report.rejected[rejection.reason] += 1
        if len(self.report.rejections) < LISTED_MAX:
            self.report.rejections.append(rejection)

    def _compare(self, product: Product) -> None:
        """Sort a product into unchanged, new, or changed; what must be written waits in the batch."""
        self.report.notes.update(product.notes)
        packed = pack_item(product.item)
        picture = self._pictures.find(product)
        source = self._source(product.item, picture)
        known = self._store.find_known(self._catalog, product.item.item)
        same_source = known is not None and known.source == source
        if known is not None and same_source and known.packed == packed:
            self.report.unchanged += 1
            self.report.without_image += not _has_picture(known.vector)
            return
        if known is None:
            self.report.imported += 1
        else:
            self.report.replaced += 1
        self._pending.append(Pending(product.item, packed, picture, source, known if same_source else None))

    def _source(self, item: Item, picture: Path | None) -> bytes:
        """Digest of all that the encoder will read."""
        digest = hashlib.sha256(CAPTION_RULE + bytes.fromhex(self._encoder.fingerprint))
        text = caption(item).encode()
        digest.update(len(text).to_bytes(4, "big") + text)
        if picture is not None:
            digest.update(_picture_digest(picture))
        return digest.digest()

    def _flush(self) -> None:
        """Encode the batch where needed and store it in one transaction."""
        fresh = [pending for pending in self._pending if pending.known is None]
        vectors = dict(zip((pending.item.item for pending in fresh), self._encode(fresh), strict=True))
        writes = []
        for pending in self._pending:
            vector = pending.known.vector if pending.known else vectors[pending.item.item]
            self.report.without_image += not _has_picture(vector)
            writes.append(Write(pending.item.item, pending.packed, vector, pending.source))
        if writes:
            self._store.write_items(self._catalog, writes)
        self._pending.clear()

    def _encode(self, fresh: list[Pending]) -> list[bytes]:
        """Packed vectors, in order; a missing or unreadable picture leaves its half empty."""
        if not fresh:
            return []
        texts = self._encoder.encode_texts([caption(pending.item) for pending in fresh])
        self.report.texts_cut += len(texts.cut)
        images = np.zeros_like(texts.vectors)
        with_picture = [(row, pending.picture) for row, pending in enumerate(fresh) if pending.picture is not None]
        if with_picture:
            encoded = self._encoder.encode_images([picture for _, picture in with_picture])
            images[[row for row, _ in with_picture]] = encoded.vectors
            room = LISTED_MAX - len(self.report.bad_pictures)
            self.report.bad_pictures.extend(islice(encoded.problems.values(), room))
        return pack_vectors(images, texts.vectors)


def caption(item: Item) -> str:
    """What the text encoder reads of an item: the name, what the name leaves unsaid, then the description."""
    said = item.name.casefold()
    extra = [
        word for word in (item.colour, item.category, item.gender, item.brand) if word and word.casefold() not in said
    ]
    return ". ".join(part for part in (", ".join([item.name, *extra]), item.description) if part)


def _has_picture(vector: bytes) -> bool:
    return any(vector[: len(vector) // 2])


def _picture_digest(picture: Path) -> bytes:
    """Of the bytes; of the mere name when they can't be read, so that a mended file is noticed."""
    try:
        with picture.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest()
    except OSError:
        return hashlib.sha256(b"unreadable").digest()


def _chunks(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, size)):
        yield chunk
