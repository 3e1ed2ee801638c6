"""A shop's export into its own catalog: compare, encode what is new, store batch by batch.

A half of an item is encoded only when what the encoder would read of it (caption or picture bytes, and the encoder)
differs from last time; a new price alone rewrites the record and keeps the vector. Where an import says nothing of
pictures (neither a folder nor fetching), the pictures known from before stay. Each batch is one transaction, and the
batches of a resumed import begin where the last committed one ended, so an import that was killed and run again
stores the same bytes as one that was left in peace.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TypeVar

from models.clip import Encoder
from node.importers import Product, Rejection
from node.pictures import PictureCache, PictureFolder
from node.store import Store, Write
from protocol.records import Item, pack_item
from protocol.vectors import pack_halves

# One transaction and one look at the encoder: large enough to keep both busy, small enough that a kill loses seconds.
BATCH_ITEMS = 256
# Part of every source digest: change how a caption is composed, change this, and items are encoded anew.
CAPTION_RULE = b"caption-1 "
LISTED_MAX = 1000
DIGEST_BYTES = 32

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
class Source:
    """Digests of what the encoder read of each half; `picture` is empty where there was none."""

    text: bytes
    picture: bytes

    def pack(self) -> bytes:
        return self.text + self.picture

    @staticmethod
    def parse(packed: bytes) -> Source:
        return Source(packed[:DIGEST_BYTES], packed[DIGEST_BYTES:])


@dataclass(frozen=True, slots=True)
class Pending:
    """A product that differs from what is stored. A half that need not be encoded again is given as bytes."""

    item: Item
    packed: bytes
    source: Source
    picture: Path | None
    text_half: bytes | None
    image_half: bytes | None


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

    def fetch(self, products: Iterable[Product]) -> list[str]:
        """Bring the pictures of these products here, where the owner asked for that. Returns what could not be had."""
        if self.cache is None:
            return []
        wanted = (p for p in products if self.folder is None or not self.folder.find(p.pictures, p.item.item))
        return self.cache.fetch([[url for url in p.pictures if "://" in url] for p in wanted])

    @property
    def silent(self) -> bool:
        """Whether this import says nothing of pictures."""
        return self.folder is None and self.cache is None


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
            self._note_pictures(self._pictures.fetch(row for row in chunk if isinstance(row, Product)))
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

    def _note_pictures(self, sentences: Iterable[str]) -> None:
        self.report.bad_pictures.extend(islice(sentences, LISTED_MAX - len(self.report.bad_pictures)))

    def _compare(self, product: Product) -> None:
        """Sort a product into unchanged, new, or changed; what must be written waits in the batch."""
        self.report.notes.update(product.notes)
        item, packed = product.item, pack_item(product.item)
        picture = self._pictures.find(product)
        known = self._store.find_known(self._catalog, item.item)
        before = Source.parse(known.source) if known is not None else None
        source = Source(self._text_digest(item), _picture_digest(picture) if picture else b"")
        text_half = image_half = None
        if known is not None and before is not None and any(known.vector):
            middle = len(known.vector) // 2
            if self._pictures.silent:
                source = Source(source.text, before.picture)
            text_half = known.vector[middle:] if before.text == source.text else None
            image_half = known.vector[:middle] if before.picture == source.picture else None
            if known.packed == packed and text_half is not None and image_half is not None:
                self.report.unchanged += 1
                self.report.without_image += not any(image_half)
                return
        if known is None:
            self.report.imported += 1
        else:
            self.report.replaced += 1
        self._pending.append(Pending(item, packed, source, picture, text_half, image_half))

    def _text_digest(self, item: Item) -> bytes:
        return hashlib.sha256(CAPTION_RULE + bytes.fromhex(self._encoder.fingerprint) + caption(item).encode()).digest()

    def _flush(self) -> None:
        """Encode what the batch lacks and store it in one transaction."""
        texts, images = self._encode_texts(), self._encode_images()
        writes = []
        for pending in self._pending:
            image_half = pending.image_half if pending.image_half is not None else images[pending.item.item]
            text_half = pending.text_half if pending.text_half is not None else texts[pending.item.item]
            self.report.without_image += not any(image_half)
            writes.append(Write(pending.item.item, pending.packed, image_half + text_half, pending.source.pack()))
        if writes:
            self._store.write_items(self._catalog, writes)
        self._pending.clear()

    def _encode_texts(self) -> dict[str, bytes]:
        """The text halves that are not known yet, by item."""
        fresh = [pending for pending in self._pending if pending.text_half is None]
        if not fresh:
            return {}
        encoded = self._encoder.encode_texts([caption(pending.item) for pending in fresh])
        self.report.texts_cut += len(encoded.cut)
        return dict(zip((pending.item.item for pending in fresh), pack_halves(encoded.vectors), strict=True))

    def _encode_images(self) -> dict[str, bytes]:
        """The image halves that are not known yet, by item; zeros where there is no picture, or an unreadable one."""
        halves = {p.item.item: bytes(self._encoder.dim) for p in self._pending if p.image_half is None}
        fresh = {p.item.item: p.picture for p in self._pending if p.image_half is None and p.picture is not None}
        if fresh:
            encoded = self._encoder.encode_images(list(fresh.values()))
            self._note_pictures(encoded.problems.values())
            halves |= dict(zip(fresh, pack_halves(encoded.vectors), strict=True))
        return halves


def caption(item: Item) -> str:
    """What the text encoder reads of an item: the name, what the name leaves unsaid, then the description."""
    said = item.name.casefold()
    extra = [
        word for word in (item.colour, item.category, item.gender, item.brand) if word and word.casefold() not in said
    ]
    return ". ".join(part for part in (", ".join([item.name, *extra]), item.description) if part)


def _picture_digest(picture: Path) -> bytes:
    """Of the bytes; of the mere name when they can't be read, so that a mended file is noticed."""
    try:
        with picture.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest()
    except OSError:
        return hashlib.sha256(b"unreadable").digest()


def _chunks(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    # Reading ahead in a thread was tried and was slower: both sides are Python, and wait for each other's lock.
    iterator = iter(rows)
    while chunk := list(islice(iterator, size)):
        yield chunk
