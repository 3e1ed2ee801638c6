"""The store against a dictionary: any order of writes and removals leaves the same items."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from node.database import Database
from node.errors import UserError
from node.store import Rating, ReadItems, Store, Write
from protocol.records import Item, pack_item, record_hash

IDS = st.sampled_from([f"i{n}" for n in range(8)])


def write(item: str, price: int, vector: bytes = b"\x01" * 8) -> Write:
    return Write(item, pack_item(Item(item=item, name="x", price_minor=price, currency="GBP")), vector, b"s")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(Database(tmp_path / "node.sqlite"))


class StoreMachine(RuleBasedStateMachine):
    """Two catalogs with overlapping ids; the model is a dict."""

    prices = Bundle("prices")

    @initialize()
    def open(self) -> None:
        self.store = Store(Database(Path(":memory:")))
        self.catalogs = [self.store.own_catalog("me", "Asolo", "f"), self.store.own_catalog("other", "Mynt", "f")]
        self.model: dict[tuple[int, str], int] = {}
        self.known: ReadItems = {}

    @rule(catalog=st.integers(0, 1), items=st.lists(st.tuples(IDS, st.integers(0, 99)), max_size=5))
    def write(self, catalog: int, items: list[tuple[str, int]]) -> None:
        self.store.write_items(self.catalogs[catalog], [write(item, price) for item, price in items])
        self.model |= {(self.catalogs[catalog], item): price for item, price in items}

    @rule(catalog=st.integers(0, 1), items=st.lists(IDS, max_size=4))
    def remove(self, catalog: int, items: list[str]) -> None:
        self.store.remove_items(self.catalogs[catalog], items)
        for item in items:
            self.model.pop((self.catalogs[catalog], item), None)

    @invariant()
    def the_store_is_the_model(self) -> None:
        stored = self.store.items()
        assert {(one.catalog, one.item.item): one.item.price_minor for one in stored} == self.model
        assert len({one.slot for one in stored}) == len(stored) == len(self.store.vectors("f"))
        assert self.store.items_again("f", self.known)[0] == stored
        assert list(self.known) == [one.slot for one in stored]
        counted = {catalog.catalog: catalog.items for catalog in self.store.catalogs()}
        assert counted == {number: sum(one == number for one, _ in self.model) for number in self.catalogs}
        for catalog, item in self.model:
            known = self.store.find_known(catalog, item)
            assert known is not None
            assert known.vector == b"\x01" * 8

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(max_examples=30, stateful_step_count=12, deadline=None)


def test_a_replaced_item_keeps_its_slot_and_gets_a_new_record(store: Store) -> None:
    own = store.own_catalog("me", "Asolo", "f")
    store.write_items(own, [write("a", 1), write("b", 1)])
    before = store.find_items("a")[0]
    store.write_items(own, [write("a", 2)])
    after = store.find_items("a")[0]
    assert (after.slot, after.item.price_minor) == (before.slot, 2)
    ((record,),) = store._database.rows("SELECT record FROM entry WHERE slot = ?", after.slot)
    assert record == record_hash(pack_item(after.item), b"\x01" * 8)


def test_only_comparable_catalogs_are_given(store: Store) -> None:
    store.write_items(store.own_catalog("me", "Asolo", "f"), [write("a", 1)])
    store.write_items(store.own_catalog("you", "Mynt", "other encoder"), [write("a", 2, b"\x02" * 8)])
    assert [one.item.price_minor for one in store.items(fingerprint="f")] == [1]
    assert store.vectors("f") == [b"\x01" * 8]
    assert [one.item.price_minor for one in store.find_items("a")] == [1, 2]


def test_a_later_rating_replaces_an_earlier_one_and_not_the_reverse(store: Store) -> None:
    def rate(value: float, at_ms: int) -> Rating:
        return Rating("ada", "me", "a", value, at_ms)

    store.write_ratings([rate(5, 100), rate(7, 200), rate(1, 50)])
    assert store.ratings() == [rate(7, 200)]
    store.write_ratings([Rating("bob", "me", "a", 3, 1)])
    assert store.ratings("bob") == [Rating("bob", "me", "a", 3, 1)]
    assert store.ratings("eve") == []


def test_ratings_outlive_their_item(store: Store) -> None:
    own = store.own_catalog("me", "Asolo", "f")
    store.write_items(own, [write("a", 1)])
    store.write_ratings([Rating("ada", "me", "a", 9, 1)])
    store.remove_items(own, ["a", "never there"])
    assert store.items() == []
    assert len(store.ratings("ada")) == 1


def test_what_did_not_change_is_not_read_again(store: Store) -> None:
    """Damage to an item's bytes shows that they are not looked at."""
    catalog, known = store.own_catalog("me", "Asolo", "f"), dict[int, Any]()
    store.write_items(catalog, [write(f"i{n}", n) for n in range(1_200)])
    before, read = store.items_again("f", known)
    assert len(before) == len(read) == 1_200
    with store.database.transaction() as connection:
        connection.execute("UPDATE item SET packed = x'00'")
    store.write_items(catalog, [write("i7", 99), *(write(f"new{n}", n) for n in range(520))])
    again, read = store.items_again("f", known)
    changed = [one.item.item for one in again if one not in before]
    assert changed == ["i7", *(f"new{n}" for n in range(520))]
    assert len(read) == 521
    with pytest.raises(UserError, match="damaged"):
        store.items("f")
