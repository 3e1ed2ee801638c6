"""The item-factor table as nodes learn it: values and tables, who is refused, and many nodes against one machine."""

from __future__ import annotations

import numpy as np
import pytest

from models.evaluation import ranking_at
from models.factor_table import FACTORS, FIRST, FactorTable, no_table
from models.fusion import Items
from models.gate import Gate
from models.interactions import History, interactions_of
from models.item_factors import ItemFactors
from models.learning_round import Block, State, run_round
from models.shared_factors import SharedFactors, table_of, values_of
from models.shared_model import NO_MOMENTS, Crowd, InvalidBlockError
from models.shared_models import shared_model
from tests.models.conformance import world

N_ITEMS, CIRCLES = 60, 4
KEYS = (np.random.default_rng(8).permutation(N_ITEMS) * 1_000).astype(np.uint64)


def circles(n_users: int, seed: int) -> list[History]:
    """Everybody has 20 items, and likes those of the own circle: a quarter of all."""
    rng = np.random.default_rng(seed)
    histories = []
    for user in range(n_users):
        own = rng.permutation(np.arange(user % CIRCLES, N_ITEMS, CIRCLES))[:10]
        others = rng.permutation(np.setdiff1d(np.arange(N_ITEMS), np.arange(user % CIRCLES, N_ITEMS, CIRCLES)))[:10]
        rows = np.concatenate([own, others])
        values = np.concatenate([rng.uniform(7, 10, 10), rng.uniform(-1, 6, 10)])
        histories.append(History(rows.astype(np.int64), values.astype(np.float32)))
    return histories


def shared(histories: list[History]) -> SharedFactors:
    _, items = world()
    model = shared_model("item_factors", items, histories, "random-8", 0, keys_I=KEYS)
    assert isinstance(model, SharedFactors)
    return model


def quality(model: SharedFactors, values_V: np.ndarray, crowd: Crowd) -> float:
    """NDCG@10 of the own circle's items that 40 others have not rated, among all that they have not."""
    asked = circles(40, 99)
    candidates_UI, own_UI = np.ones((2, len(asked), N_ITEMS), bool)
    for user, one in enumerate(asked):
        candidates_UI[user, one.items] = False
        own_UI[user] = np.arange(N_ITEMS) % CIRCLES == user % CIRCLES
    scores_UI = model.take(values_V, crowd).scores(asked)
    return float(np.nanmean(ranking_at(scores_UI, own_UI & candidates_UI, candidates_UI, 10)["ndcg"]))


def test_values_are_a_table_and_a_table_is_values() -> None:
    histories = circles(12, 0)
    model = shared(histories)
    values_V, _ = model.alone()
    again_V = values_of(table_of(values_V))
    assert np.array_equal(values_V, again_V) and model.fits(values_V)
    assert not model.fits(values_V[:-1]) and model.fits(model.start())
    rated = np.unique(np.concatenate([one.items for one in histories]))
    assert table_of(values_V).keys_R.tolist() == sorted(KEYS[rated].tolist())


def test_many_nodes_come_near_one_machine() -> None:
    """Twelve nodes of four people, rounds and parts as in production, against one machine; alone each is far below."""
    everybody = circles(48, 1)
    parts, crowd = [everybody[number::12] for number in range(12)], Crowd(48, 12)
    models = [shared(part) for part in parts]
    states = [State(one.start(), NO_MOMENTS, 0) for one in models]
    rng = np.random.default_rng(0)
    inboxes: list[list[Block]] = [[] for _ in models]
    refused = judged = 0
    for _ in range(30):
        for number, model in enumerate(models):
            outcome = run_round(model, parts[number], states[number], inboxes[number], crowd, rng)
            states[number], inboxes[number] = outcome.state, []
            refused += sum(not one.accepted for one in outcome.verdicts)
            judged += len(outcome.verdicts)
        for number, model in enumerate(models):
            part = model.receive_part(model.part(states[number].values_V, 30, int(rng.integers(100))))
            for other in rng.permutation(len(models))[:3].tolist():
                inboxes[other].append(Block(str(number), part, states[number].age))
    pooled = shared(everybody)
    whole = quality(pooled, pooled.alone()[0], Crowd(48))
    together = np.mean([quality(*one, crowd) for one in zip(models, [one.values_V for one in states], strict=True)])
    alone = np.mean([quality(one, one.alone()[0], Crowd(4)) for one in models])
    assert whole > 0.9
    assert together > 0.95 * whole
    assert alone < 0.8 * whole
    assert refused < 0.05 * judged


def test_one_machine_is_the_recommenders_own_fit() -> None:
    histories = circles(20, 2)
    _, items = world()
    fitted = ItemFactors(sweeps=10).fit(interactions_of(histories, N_ITEMS), items)
    model = shared(histories)
    values_V, crowd = model.alone()
    ranker = model.take(values_V, crowd)
    # The start goes by keys, which differ here; what is learned is the same up to a rotation that no score sees.
    one, other = (np.argsort(-each.scores(histories), axis=1)[:, :5] for each in (fitted, ranker))
    assert np.mean([len(set(a) & set(b)) for a, b in zip(one.tolist(), other.tolist(), strict=True)]) > 4


def test_a_table_turned_round_is_refused_by_who_has_one() -> None:
    """By its own users' vectors it ranks as before, and in an average it undoes what everybody knows."""
    histories = circles(16, 3)
    model = shared(histories)
    values_V, crowd = model.alone()
    honest = table_of(values_V)
    turned = FactorTable(honest.keys_R, honest.sums_RC * np.repeat([1.0, -1.0], [FIRST, FACTORS]), honest.gram_FF)
    received_V = model.receive_part(turned)
    model.stand_on(values_V)
    gate = Gate(model, histories, np.random.default_rng(0))
    assert gate.judge(values_V, crowd).accepted and gate.judge(values_V, crowd).warm > 0.1
    assert not gate.judge(received_V, crowd).accepted


def test_what_no_people_could_have_taught_is_no_block() -> None:
    model = shared(circles(16, 4))
    table = table_of(model.alone()[0])
    with pytest.raises(InvalidBlockError, match="item-factor table"):
        model.receive_part(FactorTable(table.keys_R, 3 * table.sums_RC, table.gram_FF))


def test_who_has_no_users_passes_on_what_it_heard() -> None:
    teacher, nobody = shared(circles(16, 5)), shared([])
    block = Block("teacher", teacher.alone()[0], 5)
    state = State(nobody.start(), NO_MOMENTS, 0)
    outcome = run_round(nobody, [], state, [block], Crowd(16, 1), np.random.default_rng(0))
    assert outcome.verdicts[0].accepted and outcome.ranks == "start"
    np.testing.assert_allclose(outcome.state.values_V, block.values_V)
    assert table_of(nobody.start()).empty and no_table().empty


def test_a_table_without_keys_is_not_made() -> None:
    items: Items = world()[1]
    with pytest.raises(ValueError, match="item_factors"):
        shared_model("item_factors", items, [], "random-8", 0)
