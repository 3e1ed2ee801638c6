"""Rankings for peers' queries: what is ranked over, and by what."""

from __future__ import annotations

import numpy as np

from models.features import PortableTaste
from node.cards import pack_taste
from node.events import Rank
from node.index import load_index
from node.jobs import Ranker
from node.live_index import RELOAD_SECONDS, LiveIndex
from node.replicas import Replicas
from protocol.card import Card, seal_card
from tests.node.network.homes import DIM, ENCODER, Node, identity, vector_of, write_of


def no_encoder() -> None:
    raise AssertionError("nobody asked for a text")


class Asked:
    """A shop whose catalog is signed, and a second one's beside it."""

    def __init__(self) -> None:
        self.node = Node(1, "Asolo", ["i0", "i1"])
        self.node.replicas.complete(self.node.catalog, b"own head", "Asolo", ENCODER.hex())
        self.other = identity(2).peer_id
        other = self.node.replicas.add(self.other, "Corso", ENCODER.hex(), own=False)
        self.node.store.write_items(other, [write_of(item) for item in ("x0", "x1")])
        self.node.replicas.complete(other, b"other head", "Corso", ENCODER.hex())
        self.now = 0.0
        live = LiveIndex(
            lambda: self.node.database, lambda store: load_index(store, ENCODER.hex(), 0.5, DIM), lambda: self.now
        )
        self.ranker = Ranker(live, lambda: self.node.database, no_encoder)  # type: ignore[arg-type]

    def rank(self, kind: str, subject: bytes) -> list[str]:
        (ranked,) = self.ranker.run([Rank(kind, subject, 10)])
        return [one.item for one in ranked.items]


def test_items_of_who_forked_are_no_answer() -> None:
    asked = Asked()
    assert set(asked.rank("vector", vector_of("i0"))) == {"i0", "i1", "x0", "x1"}
    Replicas(asked.node.database).add_fork(asked.other, b"one", b"two")
    asked.now += RELOAD_SECONDS + 1
    assert set(asked.rank("vector", vector_of("i0"))) == {"i0", "i1"}


def test_a_card_ranks_by_looks_and_by_prices() -> None:
    """The oracle is the taste itself, over the same items."""
    asked = Asked()
    asked.node.write(["cheap"], price=10)
    asked.node.write(["dear"], price=90_000)
    asked.node.replicas.complete(asked.node.catalog, b"next head", "Asolo", ENCODER.hex())
    index = load_index(asked.node.store, ENCODER.hex(), 0.5, DIM)
    rng = np.random.default_rng(3)
    for price_2 in ([0.8, 0.1], [-0.8, 0.1], [0.0, 0.0]):
        taste = PortableTaste(*rng.normal(size=(2, DIM)).astype(np.float32) / 4, np.array(price_2, np.float32))
        card = Card(ENCODER, *pack_taste(taste), b"n" * 16, 0, 10**9, "yes", 0.0)
        scores_I = taste.scores(index.items)
        wanted = [index.stored[row].item.item for row in np.argsort(-scores_I, kind="stable")]
        assert asked.rank("card", seal_card(identity(9), card)) == wanted
        if price_2[0]:
            assert wanted.index("dear") < wanted.index("cheap") if price_2[0] > 0 else wanted.index("cheap") == 0
