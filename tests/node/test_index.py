"""An index that is read again is the index that would be read anew."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.features import PricedItems
from node.database import Database
from node.errors import UserError
from node.index import Index, Remembered, load_index
from node.store import Store
from tests.node.network.homes import DIM, vector_of, write_of

# What an edit writes: (item, price, which look); a look of None removes the item.
EDITS = st.lists(
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 99), st.sampled_from([None, 0, 0, 0, 1])), max_size=4),
    max_size=8,
)


def make_store() -> tuple[Store, list[int]]:
    store = Store(Database(Path(":memory:")))
    return store, [store.own_catalog("me", "Asolo", "f"), store.own_catalog("other", "Mynt", "f")]


def same(one: Index, other: Index) -> None:
    assert one.stored == other.stored
    assert one.rows == other.rows
    assert one.catalogs == other.catalogs
    for name in (part.name for part in fields(PricedItems)):
        np.testing.assert_array_equal(getattr(one.items, name), getattr(other.items, name), err_msg=name)


@settings(max_examples=60, deadline=None)
@given(edits=EDITS)
def test_read_again_is_read_anew(edits: list[list[tuple[int, int, int | None]]]) -> None:
    store, catalogs = make_store()
    known = Remembered()
    for catalog in catalogs:
        store.write_items(catalog, [write_of(f"i{n}") for n in range(8)])
    for some in [[], *edits]:
        for number, price, look in some:
            item, catalog = f"i{number}", catalogs[number % 2]
            if look is None:
                store.remove_items(catalog, [item])
            else:
                store.write_items(catalog, [write_of(item, price, vector_of(f"{item} {look}" if look else item))])
        same(load_index(store, "f", 0.5, DIM, known), load_index(store, "f", 0.5, DIM))


def test_a_changed_price_reads_no_other_items_vectors() -> None:
    """Damage to the others' bytes shows that they are not looked at, and a changed look that they then are."""
    store, (own, _) = make_store()
    known = Remembered()
    store.write_items(own, [write_of(f"i{n}") for n in range(50)])
    before = load_index(store, "f", 0.5, DIM, known)
    store.write_items(own, [write_of("i7", 99_999)])
    with store.database.transaction() as connection:
        connection.execute("UPDATE vector SET packed = zeroblob(3) WHERE slot <> ?", (before.stored[7].slot,))
    after = load_index(store, "f", 0.5, DIM, known)
    assert after.items.image_ID is before.items.image_ID
    assert np.argmax(after.items.log_price_I) == 7
    store.write_items(own, [write_of("i7", vector=vector_of("another look"))])
    for _ in range(2):
        with pytest.raises(UserError, match="damaged"):
            load_index(store, "f", 0.5, DIM, known)


def test_a_vector_that_was_gone_is_there_again() -> None:
    store, (own, _) = make_store()
    known = Remembered()
    store.write_items(own, [write_of(f"i{n}") for n in range(6)])
    slot = load_index(store, "f", 0.5, DIM, known).stored[2].slot
    with store.database.transaction() as connection:
        connection.execute("DELETE FROM vector WHERE slot = ?", (slot,))
    store.write_items(own, [write_of("i4", 7, vector_of("another look"))])
    with pytest.raises(UserError, match="vector is gone"):
        load_index(store, "f", 0.5, DIM, known)
    store.write_items(own, [write_of("i2")])
    same(load_index(store, "f", 0.5, DIM, known), load_index(store, "f", 0.5, DIM))


def test_an_item_that_is_gone_is_said_so() -> None:
    store, (own, _) = make_store()
    known = Remembered()
    store.write_items(own, [write_of(f"i{n}") for n in range(6)])
    load_index(store, "f", 0.5, DIM, known)
    store.write_items(own, [write_of("i2", 99)])
    with store.database.transaction() as connection:
        connection.execute("DELETE FROM item WHERE slot = ?", (store.find_items("i2")[0].slot,))
    with pytest.raises(UserError, match="item is gone"):
        load_index(store, "f", 0.5, DIM, known)


def test_another_weight_is_another_index() -> None:
    store, (own, _) = make_store()
    known = Remembered()
    store.write_items(own, [write_of(f"i{n}") for n in range(6)])
    load_index(store, "f", 0.5, DIM, known)
    assert load_index(store, "f", 0.9, DIM, known).items.image_weight == 0.9
