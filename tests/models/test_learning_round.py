"""Learning together: blocks as sent and received, the gate, and many nodes' rounds against one machine's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.fusion import Items, centre_items
from models.gate import SLACK, Gate, Verdict, draw_exams
from models.interactions import History, interactions_of
from models.learning_round import Block, State, run_round, worth
from models.projection import Projection
from models.shared_descent import SharedProjection, SharedTowers
from models.shared_model import NO_MOMENTS, Crowd, InvalidBlockError, SharedModel
from models.shared_taste import OwnTaste, SharedTaste
from models.taste_prior import TastePrior, TasteSums, improve, start_block
from models.two_tower import TwoTower
from node.blocks import pack_block, parse_block

BASIS = "random-12"
USERS = 24
Make = Callable[[list[History]], SharedModel]


def items(n: int = 60) -> Items:
    halves = np.random.default_rng(5).normal(size=(2, n, 16)).astype(np.float32)
    image_ID, text_ID = halves / np.linalg.norm(halves, axis=2, keepdims=True)
    return centre_items(image_ID, text_ID, 0.5)


def people(n: int = USERS, seed: int = 0) -> list[History]:
    """Users of one taste with small differences: there is something to learn from each other."""
    rng = np.random.default_rng(seed)
    seen = items()
    z_IK = TastePrior(basis=BASIS).prepare(interactions_of([], len(seen)), seen).z_IK
    shared_K = np.random.default_rng(9).normal(size=z_IK.shape[1])
    histories = []
    for _ in range(n):
        rows = np.sort(rng.permutation(len(seen))[:20])
        taste_K = shared_K + 0.3 * rng.normal(size=len(shared_K))
        values = np.clip(4.5 + 2 * z_IK[rows] @ taste_K + rng.normal(0, 0.5, len(rows)), -1, 10)
        histories.append(History(rows, values.astype(np.float32)))
    return histories


def taste(histories: list[History]) -> SharedTaste:
    ratings = interactions_of(histories, 60)
    return SharedTaste(TastePrior(basis=BASIS).prepare(ratings, items()), histories)


def projection(histories: list[History]) -> SharedProjection:
    model = Projection(rank=6, basis=BASIS).prepare(interactions_of(histories, 60), items())
    return SharedProjection(model, histories, 0)


def towers(histories: list[History]) -> SharedTowers:
    return SharedTowers(TwoTower(basis=BASIS).prepare(interactions_of(histories, 60), items()), histories, 0)


MAKES: list[Make] = [taste, projection, towers]


def start(model: SharedModel) -> State:
    return State(model.start(), NO_MOMENTS, 0)


@pytest.mark.parametrize("make", MAKES)
def test_what_is_sent_is_what_is_received(make: Make) -> None:
    model = make(people())
    values, _ = model.alone()
    sent = model.send(values)
    assert tuple(map(len, sent)) == model.sections
    received = model.receive(sent)
    crowd = Crowd(USERS)
    exams = draw_exams(people(), np.random.default_rng(0))
    assert np.allclose(model.losses(received, crowd, exams), model.losses(values, crowd, exams), rtol=0.02)


@pytest.mark.parametrize("make", MAKES)
def test_what_no_honest_node_sends_is_refused(make: Make) -> None:
    model = make(people())
    sent = model.send(model.alone()[0])
    for broken in (sent[:-1], [*sent, sent[-1]], [sent[0][:-1], *sent[1:]]):
        with pytest.raises(InvalidBlockError):
            model.receive(broken)
    for value in (np.nan, np.inf, -np.inf, 1e6, -1e6):
        for place in range(len(sent)):
            poisoned = [one.copy() for one in sent]
            poisoned[place][0] = value
            with pytest.raises(InvalidBlockError):
                model.receive(poisoned)


def test_a_covariance_that_is_none_is_refused() -> None:
    model = taste(people())
    mean_K, deviation_K, above, noise = model.send(model.start())
    with pytest.raises(InvalidBlockError, match="eigenvalue"):
        model.receive([mean_K, deviation_K, np.full_like(above, -0.9), noise])
    with pytest.raises(InvalidBlockError, match="deviation"):
        model.receive([mean_K, -deviation_K, above, noise])


def test_averages_of_nodes_make_the_step_of_one_machine() -> None:
    """Equal nodes' E steps, averaged: the block that taste_prior.improve makes of everybody."""
    histories, crowd = people(), Crowd(USERS, 3)
    model = TastePrior(basis=BASIS).prepare(interactions_of(histories, 60), items())
    nodes = [SharedTaste(model, histories[number::3]) for number in range(3)]
    told_BV = np.array([node.told_by(node.start(), crowd) for node in nodes])
    # Per user the same mean and second moments; of the noise, users count alike where each has as many ratings.
    averaged = nodes[0].block(told_BV.mean(axis=0), crowd)
    step = improve(start_block(model.z_IK.shape[1]), [model.told(one) for one in histories])
    assert np.allclose(averaged.covariance_KK, step.covariance_KK) and np.allclose(averaged.mean_K, step.mean_K)
    assert averaged.noise == pytest.approx(step.noise)


@pytest.mark.parametrize("make", MAKES)
def test_a_round_repeats_and_learns(make: Make) -> None:
    histories = people()

    def after(periods: int) -> tuple[State, SharedModel]:
        model = make(histories)
        state = start(model)
        for period in range(periods):
            state = run_round(model, histories, state, [], Crowd(USERS), np.random.default_rng(period)).state
        return state, model

    one, model = after(6)
    other, _ = after(6)
    assert np.array_equal(one.values_V, other.values_V) and one.age == 6
    exams = draw_exams(people(30, seed=7), np.random.default_rng(1))
    learned = model.losses(one.values_V, Crowd(USERS), exams).mean()
    assert learned < model.losses(model.start(), Crowd(), exams).mean()


@pytest.mark.parametrize("make", [projection, towers])
def test_a_round_goes_on_from_what_was_put_down(make: Make) -> None:
    """The optimizer's memory is part of the state: another object goes on with the very same steps."""
    histories, crowd = people(), Crowd(USERS)
    whole = make(histories)
    state = start(whole)
    for period in range(4):
        values, moments = whole.improve(state.values_V, state.moments, period, crowd)
        state = State(values, moments, period + 1)
        if period == 1:
            half = state
    resumed = make(histories)
    for period in (2, 3):
        values, moments = resumed.improve(half.values_V, half.moments, period, crowd)
        half = State(values, moments, period + 1)
    assert np.array_equal(half.values_V, state.values_V)
    with pytest.raises(ValueError, match="Adam"):
        resumed.improve(half.values_V, half.moments[:-1], 4, crowd)


def spread(nodes: list[SharedTaste], periods: int) -> float:
    """How far apart the blocks of these nodes are at last, each having heard two others a period."""
    states = [start(node) for node in nodes]
    rng, crowd = np.random.default_rng(0), Crowd(3 * len(nodes), len(nodes))
    for _ in range(periods):
        heard = [rng.permutation(len(nodes))[:2] for _ in nodes]
        blocks = [[Block(str(one), states[one].values_V, states[one].age) for one in some.tolist()] for some in heard]
        states = [
            State(run_round(node, [], state, some, crowd, rng).state.values_V, NO_MOMENTS, state.age + 1)
            for node, state, some in zip(nodes, states, blocks, strict=True)
        ]
    values_NV = np.array([state.values_V for state in states])
    for node, values_V in zip(nodes, values_NV, strict=True):
        node.check(values_V)
    return float(
        np.linalg.norm(values_NV - values_NV.mean(axis=0), axis=1).mean() / np.linalg.norm(values_NV.mean(axis=0))
    )


def test_nodes_come_to_agree() -> None:
    histories = people()
    nodes = [taste(histories[3 * number : 3 * number + 3]) for number in range(8)]
    assert spread(nodes, 80) < 0.75 * spread(nodes, 8)


def own_share(users: int, age: int, crowd: Crowd) -> float:
    """What a node's own users count in the block it makes."""
    model = taste(people()[:users])
    before_V = model.start()
    after_V, _ = model.improve(before_V, NO_MOMENTS, age, crowd)
    told_V = model.told_by(before_V, crowd)
    return float((after_V - before_V) @ (told_V - before_V) / ((told_V - before_V) @ (told_V - before_V)))


def test_the_own_share_shrinks_with_age_and_grows_with_users() -> None:
    shares = [own_share(6, age, Crowd(24, 4)) for age in (0, 5, 20, 100, 10_000)]
    assert shares == sorted(shares, reverse=True) and shares[-1] > 0.05
    assert own_share(2, 5, Crowd(8, 4)) < own_share(6, 5, Crowd(24, 4)) < own_share(12, 5, Crowd(48, 4)) < 0.9
    # Among larger nodes users count alike; among smaller ones nobody takes all.
    assert own_share(6, 5, Crowd(240, 4)) == pytest.approx(own_share(6, 5, Crowd(24, 4)) / 10)
    assert own_share(12, 0, Crowd(12, 12)) == pytest.approx(0.9)


@settings(max_examples=60)
@given(
    st.lists(st.floats(-9, 4), min_size=14, max_size=14),
    st.floats(-300, 2),
    st.floats(0, 100),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_what_is_takeable_is_taken(exponents: list[float], noise: float, mean: float, turned: bool, seed: int) -> None:
    """Whatever averages came about, after rounding too; and what was learned by people is left as it is."""
    model = taste(people())
    size = model.sections[0]
    rng = np.random.default_rng(seed)
    axes_KK = np.linalg.qr(rng.normal(size=(size, size)))[0] if turned else np.eye(size)
    covariance_KK = (axes_KK * 10.0 ** np.array(exponents[:size])) @ axes_KK.T
    mean_K = mean * rng.normal(size=size)
    outer_KK = covariance_KK + np.outer(mean_K, mean_K)
    values_V = model.takeable(model.averages(TasteSums(mean_K, outer_KK, 10.0**noise, 1, 1)))
    model.check(values_V)
    assert parse_block(model, pack_block(model, values_V, seed)) is not None
    learned_V, _ = model.alone()
    assert np.array_equal(model.takeable(learned_V), learned_V)


def test_own_blocks_stay_within_bounds() -> None:
    """People so sure of such odd tastes that what explains them best is beyond all bounds."""
    rng = np.random.default_rng(0)
    rows = np.arange(60, dtype=np.int64)
    z_IK = TastePrior(basis=BASIS).prepare(interactions_of([], 60), items()).z_IK
    odd = [History(rows, (1e6 * z_IK @ rng.normal(size=z_IK.shape[1])).astype(np.float32)) for _ in range(40)]
    calm = TastePrior(basis=BASIS).prepare(interactions_of(people(), 60), items())
    own = OwnTaste(calm, odd, start_block(z_IK.shape[1]))
    values_V = own.start()
    for _ in range(5):
        values_V, _ = own.improve(values_V, NO_MOMENTS, 0, Crowd(40))
    own.check(values_V)
    with pytest.raises(InvalidBlockError):
        own.check(own.told_by(values_V, Crowd(40)))


def test_the_gate_lets_honest_blocks_in_and_harmful_ones_not() -> None:
    mine, theirs = people(10, seed=1), people(10, seed=2)
    model = taste(mine)
    honest = taste(theirs).alone()[0]
    mean_K, deviation_K, above, noise = model.send(honest)
    # Sure of the contrary of what people like.
    harmful = model.receive([-mean_K, 0.05 * deviation_K, 0 * above, noise])
    gate = Gate(model, mine, np.random.default_rng(0))
    assert gate.judge(honest, Crowd(20, 2)).accepted
    verdict = gate.judge(harmful, Crowd(20, 2))
    assert not verdict.accepted and verdict.warm < 0
    blocks = [Block("honest", honest, 3), Block("liar", harmful, 3)]
    state = start(model)
    guarded = run_round(model, mine, state, blocks, Crowd(20, 2), np.random.default_rng(0))
    alone = run_round(model, mine, state, blocks[:1], Crowd(20, 2), np.random.default_rng(0))
    assert [one.accepted for one in guarded.verdicts] == [True, False]
    assert np.array_equal(guarded.state.values_V, alone.state.values_V)
    naive = run_round(model, mine, state, blocks, Crowd(20, 2), np.random.default_rng(0), gated=False)
    assert not np.array_equal(naive.state.values_V, alone.state.values_V)


def test_a_node_without_users_passes_on_what_it_hears() -> None:
    model = taste([])
    honest = taste(people()).alone()[0]
    outcome = run_round(model, [], start(model), [Block("a", honest, 1)], Crowd(24, 2), np.random.default_rng(0))
    assert outcome.verdicts[0].accepted
    assert outcome.ranks == "start" and outcome.judges == 0
    assert outcome.state.age == 1 and not np.array_equal(outcome.state.values_V, model.start())


def test_the_start_is_let_in_as_nobodys_harm() -> None:
    model = taste(people())
    assert Gate(model, people(), np.random.default_rng(0)).judge(model.start(), Crowd(24, 2)).accepted


def test_who_rates_everything_alike_is_no_judge() -> None:
    rows = np.arange(20, dtype=np.int64)
    alike = [History(rows, np.full(20, 7, np.float32)) for _ in range(5)]
    assert draw_exams(alike, np.random.default_rng(0)) == []


@pytest.mark.parametrize(("own", "heard", "next_age"), [(10, [2**31 - 1], 11), (10, [10, 10, 2**31 - 1], 11)])
def test_a_liar_about_age_makes_nobody_old(own: int, heard: list[int], next_age: int) -> None:
    model = taste(people())
    blocks = [Block(str(place), model.start(), age) for place, age in enumerate(heard)]
    state = State(model.start(), NO_MOMENTS, own)
    outcome = run_round(model, people(), state, blocks, Crowd(24, 2), np.random.default_rng(0))
    assert outcome.state.age == next_age


def test_a_late_joiner_takes_over_the_age_that_it_finds() -> None:
    model = taste(people())
    blocks = [Block(str(place), model.start(), 12) for place in range(3)]
    outcome = run_round(model, people(), start(model), blocks, Crowd(24, 2), np.random.default_rng(0))
    assert outcome.state.age == 13


def test_what_harms_newcomers_alone_is_refused() -> None:
    """Users of many ratings override a wrong mean; those of a handful are ranked by it."""
    mine = people(USERS)
    model = taste(mine)
    honest = model.alone()[0]
    sections = model.send(honest)
    turned = model.receive([-4 * sections[0], *sections[1:]])
    gate = Gate(model, mine, np.random.default_rng(0))
    assert gate.judge(honest, Crowd(24, 2)).accepted
    verdict = gate.judge(turned, Crowd(24, 2))
    assert verdict.cold < -SLACK and not verdict.accepted


def test_a_block_counts_by_what_it_gains_beside_the_usual() -> None:
    verdicts = [
        Verdict(True, warm, cold) for warm, cold in ((0.2, 0.4), (0.2, 0.4), (0.3, 0.5), (0.1, 0.4), (0.2, 0.0))
    ]
    assert worth(verdicts) == pytest.approx([1, 1, 1, 0.5, 0])
    assert worth([]) == pytest.approx([])
    nobody_gains = [Verdict(True, 0.0, -0.01), Verdict(True, 0.1, 0.0)]
    assert worth(nobody_gains) == pytest.approx([1, 1])
