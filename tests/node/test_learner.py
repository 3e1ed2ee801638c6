"""What the learner reads of a store, and when."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.index import Index, load_index
from node.learner import StoreReader, learning_set
from node.store import Rating, Store
from tests.node.network.homes import DIM, ENCODER, Node

ITEMS = [f"i{n}" for n in range(5)]


class Reading:
    """A store with items, its reader, and how many items each index that was made had."""

    def __init__(self) -> None:
        self.node = Node(1, "Asolo", ITEMS)
        self.made: list[int] = []
        self.read = StoreReader(lambda: self.node.database, self._load)

    def _load(self, store: Store) -> Index:
        index = load_index(store, ENCODER.hex(), 0.5, DIM)
        self.made.append(len(index.stored))
        return index

    def rate(self, item: str) -> None:
        self.node.store.write_ratings([Rating("ann", self.node.peer, item, 5.0, 1)])


@pytest.fixture
def reading() -> Reading:
    return Reading()


def test_a_store_without_ratings_is_not_read(reading: Reading) -> None:
    known = reading.read()
    assert len(known.items) == 0
    assert known.histories == []
    assert known.items.image_ID.shape == (0, DIM), "a model is made of no items too"
    assert reading.made == [0]


def test_only_rated_items_are_learned_from(reading: Reading) -> None:
    reading.rate("i3")
    known = reading.read()
    assert len(known.items) == 1
    assert known.histories[0].items.tolist() == [0]
    row = next(row for row, one in enumerate(reading.node.store.items()) if one.item.item == "i3")
    whole = load_index(reading.node.store, ENCODER.hex(), 0.5, DIM)
    assert (known.items.text_ID == whole.items.text_ID[[row]]).all(), "centred among all items, rated or not"


def test_the_index_is_made_again_for_a_new_version_and_not_for_one_on_its_way(reading: Reading) -> None:
    node = reading.node
    reading.rate("i3")
    reading.read()
    node.replicas.aim(node.catalog, b"on its way", node.platform, ENCODER.hex())
    node.write(["i9"])
    reading.read()
    assert reading.made == [5]
    node.replicas.complete(node.catalog, b"whole", node.platform, ENCODER.hex())
    reading.read()
    reading.read()
    assert reading.made == [5, 6]


def test_the_index_is_made_again_when_a_publisher_forked(reading: Reading) -> None:
    reading.rate("i3")
    other = reading.node.store.own_catalog("other", "Corso", ENCODER.hex())
    reading.node.store.write_items(other, [])
    reading.read()
    reading.node.replicas.add_fork("other", b"one", b"two")
    reading.read()
    assert len(reading.made) == 2


@given(st.permutations(ITEMS), st.integers(0, 2**32 - 1))
def test_what_is_learned_from_does_not_depend_on_the_order_in_which_items_came(order: list[str], seed: int) -> None:
    """To the bit: training magnifies what rounding leaves."""
    chance = random.Random(seed)
    ratings = [(user, item, chance.randint(0, 10)) for user in ("ann", "bob") for item in chance.sample(ITEMS, 3)]
    seen = []
    for items in (ITEMS, order):
        node = Node(1, "Asolo")
        for item in items:
            node.write([item], price=(50, 100, 200, 100)[int(item[1:]) % 4])
        node.store.write_ratings(Rating(user, node.peer, item, float(value), 1) for user, item, value in ratings)
        known = learning_set(load_index(node.store, ENCODER.hex(), 0.5, DIM), node.store.ratings())
        numbers = [known.items.image_ID, known.items.text_ID, known.items.log_price_I]
        numbers += [one for history in known.histories for one in (history.items, history.values)]
        seen.append([one.tobytes() for one in numbers])
    assert seen[0] == seen[1]
