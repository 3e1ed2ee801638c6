"""Whatever shops do and whatever order it happens in, in the end every node holds what each shop says, and no more."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.node.network.heap import Heap
from tests.node.network.homes import Node, identity

SHOPS = 3
ITEMS = st.lists(st.integers(0, 60).map(lambda number: f"i{number}"), min_size=1, max_size=40)
SHOP = st.integers(0, SHOPS - 1)
HAPPENING = st.one_of(
    st.tuples(st.just("write"), SHOP, ITEMS, st.integers(0, 9)),
    st.tuples(st.just("remove"), SHOP, ITEMS, st.just(0)),
    st.tuples(st.just("kill"), SHOP, st.just([]), st.just(0)),
    st.tuples(st.just("start"), SHOP, st.just([]), st.just(0)),
    st.tuples(st.just("wait"), st.just(0), st.just([]), st.integers(0, 9_000)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(HAPPENING, max_size=25))
def test_all_converge_on_what_each_shop_says(happenings: list[tuple[str, int, list[str], int]]) -> None:
    heap = Heap()
    # A ring: everybody knows the next one only.
    peers = [identity(number + 1).peer_id for number in range(SHOPS)]
    shops = [Node(number + 1, f"S{number}", [], [peers[(number + 1) % SHOPS]]) for number in range(SHOPS)]
    truth: list[dict[str, int]] = [{} for _ in shops]

    def start(number: int) -> None:
        if shops[number].peer not in heap.seats:
            heap.add(shops[number].peer, shops[number].engine())

    for number in range(SHOPS):
        start(number)
    for what, number, items, amount in happenings:
        if what == "write":
            shops[number].write(items, amount)
            truth[number] |= dict.fromkeys(items, amount)
        elif what == "remove":
            shops[number].remove(items)
            truth[number] = {item: price for item, price in truth[number].items() if item not in items}
        elif what == "kill" and shops[number].peer in heap.seats:
            heap.remove(shops[number].peer)
        elif what == "start":
            start(number)
        elif what == "wait":
            heap.run(amount / 1000)
    for number in range(SHOPS):
        start(number)
    heap.run(900)
    for shop, items_of_shop in zip(shops, truth, strict=True):
        for node in shops:
            stored = node.store.items(publisher=shop.peer)
            assert {one.item.item: one.item.price_minor for one in stored} == items_of_shop
            assert node.count(shop) == len(stored)
            assert node.whole(shop) == shop.whole(shop)
