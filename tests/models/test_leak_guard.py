"""The leak guard: each kind of leak is refused with its own sentence, and clean splits pass."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from models.interactions import Interactions
from models.leak_guard import LeakError, Names, own_twins, refuse_leaks, twin_groups, twins
from models.splits import Split, new_item_split, random_split


def table(pairs: list[tuple[int, int]], n_items: int = 6) -> Interactions:
    users, items = np.array(pairs, np.int64).T
    return Interactions(users, items, np.ones(len(pairs), np.float32), 4, n_items)


TRAIN = table([(0, 0), (0, 1), (1, 1), (2, 3)])
TEST = table([(0, 2), (1, 0)])


def test_a_clean_split_passes() -> None:
    refuse_leaks(Split("random", TRAIN, TRAIN, TEST))


def test_a_pair_on_both_sides_is_refused_and_named() -> None:
    with pytest.raises(LeakError, match=r"1 of 2 test ratings.*user row 1 and item row 1"):
        refuse_leaks(Split("given", TRAIN, TRAIN, table([(0, 2), (1, 1)])))
    with pytest.raises(LeakError, match="1 of 2 test ratings"):
        refuse_leaks(Split("given", TRAIN, table([(3, 4), (0, 2)]), TEST))


def test_doubled_pairs_are_refused_on_either_side() -> None:
    doubled = table([(0, 2), (1, 0), (0, 2)])
    with pytest.raises(LeakError, match="1 test ratings are there twice, the first of user row 0 and item row 2"):
        refuse_leaks(Split("random", TRAIN, TRAIN, doubled))
    with pytest.raises(LeakError, match="1 training ratings are there twice"):
        refuse_leaks(Split("random", doubled, doubled, table([(3, 3)])))


def seed_binary_protocol() -> Split:
    """As the seed did it: one generator shuffles the pairs twice; trained on the second cut, judged by the first."""
    rng = random.Random(42)
    cells = [(user, item) for item in range(60) for user in range(4)]
    full, binary = cells[:], cells[:]
    rng.shuffle(full)
    rng.shuffle(binary)
    border = int(0.8 * len(cells))
    return Split("seed", table(binary[:border], 60), table(full[:border], 60), table(full[border:], 60))


def test_the_seeds_binary_protocol_is_refused_by_name() -> None:
    with pytest.raises(LeakError, match=r"the seed's binary protocol.*\d\d\.\d% of the pairs"):
        refuse_leaks(seed_binary_protocol())


def test_judged_by_its_own_split_the_same_data_pass() -> None:
    split = seed_binary_protocol()
    refuse_leaks(replace(split, train=split.given))


def test_an_ordinary_overlap_is_not_called_the_seeds() -> None:
    with pytest.raises(LeakError) as caught:
        refuse_leaks(Split("given", TRAIN, TRAIN, TRAIN))
    assert "seed" not in str(caught.value)


def vectors() -> np.ndarray:
    """Six items; 0 and 4 are copies but for rounding and length, 2 is missing."""
    found = np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32)
    found[4] = found[0] * 2 + np.float32(1e-4)
    found[2] = 0
    return found


def test_a_new_item_with_a_known_twin_is_refused_where_items_are_meant_to_be_new() -> None:
    test = table([(0, 4)])
    with pytest.raises(LeakError, match="item row 4 is new in the test, but is all but identical to item row 0"):
        refuse_leaks(Split("new-item", TRAIN, TRAIN, test), vectors())
    refuse_leaks(Split("random", TRAIN, TRAIN, test), vectors())


def test_the_same_product_on_two_platforms_is_refused() -> None:
    platforms, asked = np.array([0, 0, 0, 0, 1, 1]), np.array([1, -1, -1, -1])
    leaky = Split("cross-platform", TRAIN, TRAIN, table([(0, 4)]), platforms, asked)
    with pytest.raises(LeakError, match="row 4"):
        refuse_leaks(leaky, vectors())
    refuse_leaks(replace(leaky, test=table([(0, 5)])), vectors())


def test_in_a_given_test_file_a_twin_counts_where_the_same_user_has_both() -> None:
    others, own = table([(0, 2), (1, 4)]), table([(0, 2), (0, 4), (1, 4)])
    refuse_leaks(Split("given", TRAIN, TRAIN, others), vectors())
    with pytest.raises(LeakError, match=r"1 of 3 test ratings.*user row 0: item row 4 and item row 0"):
        refuse_leaks(Split("given", TRAIN, TRAIN, own), vectors())
    refuse_leaks(Split("given", TRAIN, TRAIN, own))
    # What p2prec cut itself is what the data are.
    for name in ("random", "per-user", "timeline", "new-user"):
        refuse_leaks(Split(name, TRAIN, TRAIN, own), vectors())
    assert own_twins(Split("timeline", TRAIN, TRAIN, own), vectors()) == [(0, 4, 0)]
    assert own_twins(Split("new-user", table([(1, 1)]), TRAIN, own), vectors()) == [(0, 4, 0)]
    assert own_twins(Split("timeline", TRAIN, TRAIN, others), vectors()) == []


def test_the_sentences_name_what_the_owner_knows() -> None:
    names = Names(["ann", "bob", "eve", "joe"], ["pen", "hat", "mug", "cap", "biro", "bag"])
    for split, sentence in (
        (Split("random", TRAIN, TRAIN, table([(1, 1)])), "user 'bob' and item 'hat'"),
        (Split("random", TRAIN, TRAIN, table([(0, 2), (0, 2)])), "user 'ann' and item 'mug'"),
        (Split("new-item", TRAIN, TRAIN, table([(0, 4)])), "item 'biro' is new.* identical to item 'pen'"),
        (Split("given", TRAIN, TRAIN, table([(0, 4)])), "user 'ann': item 'biro' and item 'pen'"),
    ):
        with pytest.raises(LeakError, match=sentence) as caught:
            refuse_leaks(split, vectors(), names)
        assert " row " not in str(caught.value)


def test_twins_and_their_groups() -> None:
    every = np.arange(6)
    assert twins(vectors(), every, every) == [(0, 4), (4, 0)]
    groups = twin_groups(vectors())
    assert groups[0] == groups[4]
    assert len(set(groups.tolist())) == 5


def test_a_new_item_split_by_groups_passes_where_one_without_may_not() -> None:
    rng = np.random.default_rng(1)
    half = rng.normal(size=(15, 8)).astype(np.float32)
    copies = np.concatenate([half, half])
    users, items = np.nonzero(rng.random((6, 30)) < 0.6)
    full = Interactions(users, items, np.ones(len(users), np.float32), 6, 30)
    refuse_leaks(new_item_split(full, 0, twin_groups(copies)), copies)
    with pytest.raises(LeakError):
        refuse_leaks(new_item_split(full, 0), copies)


def test_random_splits_of_big_numbers_do_not_collide() -> None:
    """Pair keys are user * items + item: the corners of a large table stay apart."""
    n = 200_000
    users, items = np.array([0, n - 1, n - 1, 0]), np.array([n - 1, 0, n - 1, 0])
    full = Interactions(users, items, np.ones(4, np.float32), n, n)
    refuse_leaks(random_split(full, 0))


def test_tables_of_different_sizes_are_no_split() -> None:
    """Pairs are compared by their numbers, which mean something else in a table of other sizes."""
    rows = np.array([0, 1, 2], np.int64)
    small, large = (Interactions(rows, rows, np.ones(3, np.float32), 3, items) for items in (3, 4))
    with pytest.raises(LeakError, match="same users and items"):
        refuse_leaks(Split("random", small, small, large))
