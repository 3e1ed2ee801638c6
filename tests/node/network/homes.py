"""Nodes with made-up catalogs: real stores and engines, vectors from a seed instead of an encoder."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from node.config import Config, Home, create_home
from node.database import Database
from node.engine import Engine, Settings
from node.learning_service import NO_LEARNING, LearningPlan
from node.query_service import Policy
from node.replicas import Replicas
from node.store import Store, Write
from protocol.identity import Identity
from protocol.records import Item, pack_item

DIM = 16
ENCODER = b"\xab" * 32


def identity(seed: int) -> Identity:
    return Identity(seed.to_bytes(32, "big"))


def vector_of(item: str, dim: int = DIM) -> bytes:
    return np.random.default_rng(list(item.encode())).integers(-127, 128, 2 * dim, np.int8).tobytes()


def write_of(item: str, price: int = 100, vector: bytes | None = None, platform: str = "") -> Write:
    """An item as an import would store it."""
    record = Item(item=item, name=f"{platform} thing {item}".strip(), price_minor=price, currency="GBP", brand="Brand")
    return Write(item, pack_item(record), vector or vector_of(item), b"s" * 32)


class Node:
    """One shop: its database outlives its engine."""

    def __init__(
        self,
        number: int,
        platform: str,
        items: Iterable[str] = (),
        named: Iterable[str] = (),
        encoder: bytes = ENCODER,
        path: Path = Path(":memory:"),
        allow: frozenset[str] | None = None,
        queries_per_minute: int = 600,
        items_max: int = 1_000_000,
        learning: LearningPlan = NO_LEARNING,
    ) -> None:
        self.identity = identity(number)
        self.peer = self.identity.peer_id
        self.platform = platform
        self.encoder = encoder
        self.database = Database(path)
        self.store = Store(self.database)
        self.replicas = Replicas(self.database)
        self.catalog = self.store.own_catalog(self.peer, platform, encoder.hex())
        self.named = tuple(f"/heap/{peer}/p2p/{peer}" for peer in named)
        self.items_max = items_max
        self.learning = learning
        self.policy = Policy("p2prec", allow, queries_per_minute)
        self.write(items)

    def write(self, items: Iterable[str], price: int = 100) -> None:
        """Import, or change the price of what is there."""
        self.store.write_items(self.catalog, [write_of(item, price, platform=self.platform) for item in items])

    def remove(self, items: Iterable[str]) -> None:
        self.store.remove_items(self.catalog, list(items))

    def engine(self) -> Engine:
        """The engine as a start of the node makes it."""
        settings = Settings(
            self.platform, self.encoder, 2 * DIM, self.policy, self.named, self.items_max, self.learning
        )
        return Engine(self.database, self.identity, settings, random.Random(int.from_bytes(self.identity.seed, "big")))

    def held(self, publisher: Node) -> dict[str, tuple[bytes, bytes]]:
        """What is stored here of a publisher: item -> record and vector."""
        catalog = next((one.catalog for one in self.replicas.held() if one.publisher == publisher.peer), None)
        if catalog is None:
            return {}
        stored = [one for one in self.store.items(publisher=publisher.peer) if one.catalog == catalog]
        return {one.item.item: (pack_item(one.item), self.store.find_vector(one.slot) or b"") for one in stored}

    def count(self, publisher: Node) -> int:
        """How many items of a publisher are stored here."""
        numbers = [one.catalog for one in self.replicas.held() if one.publisher == publisher.peer]
        return sum(self.replicas.count(number) for number in numbers)

    def whole(self, publisher: Node) -> bytes | None:
        """The sealed head of the version that is here whole."""
        return next((one.head for one in self.replicas.held() if one.publisher == publisher.peer), None)


def write_home(folder: Path, number: int, platform: str, items: Iterable[str], dim: int = DIM) -> Home:
    """The same as a folder, for a node in a process of its own."""
    folder.mkdir(parents=True)
    (folder / "key").write_bytes(identity(number).seed)
    # The tiny encoder's basis is over vectors of its own size; any other has one for every size.
    encoder = "tiny" if dim == 512 else "ViT-B-32/openai"
    home = create_home(folder, Config(platform, encoder, ENCODER.hex(), dim))
    database = Database(home.database)
    store = Store(database)
    catalog = store.own_catalog(home.identity.peer_id, platform, ENCODER.hex())
    store.write_items(catalog, [write_of(item, vector=vector_of(item, dim), platform=platform) for item in items])
    database.close()
    return home
