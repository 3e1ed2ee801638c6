"""Every metric against somebody else's program, or against the definition written out in plain Python."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest

from models import metrics
from models.evaluation import ranking_at, top_lists

CASES, N_ITEMS = 1000, 17
TREC_NAMES = {
    "precision": "P_{k}",
    "recall": "recall_{k}",
    "ndcg": "ndcg_cut_{k}",
    "map": "map_cut_{k}",
    "mrr": "recip_rank",
    "hit_rate": "success_{k}",
}


def random_cases() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores with three values over 17 items (ties everywhere), few relevant, few candidates, many cases with none."""
    rng = np.random.default_rng(20)
    scores = rng.integers(0, 3, (CASES, N_ITEMS)).astype(np.float32)
    relevant = rng.random((CASES, N_ITEMS)) < rng.choice([0.0, 0.05, 0.3, 1.0], (CASES, 1))
    candidates = rng.random((CASES, N_ITEMS)) < rng.choice([0.0, 0.2, 0.7, 1.0], (CASES, 1))
    return scores, relevant, candidates


@pytest.mark.parametrize("k", [1, 5, 10, 30])
def test_ranking_metrics_equal_trec_evals_on_a_thousand_cases(k: int) -> None:
    trec = pytest.importorskip("pytrec_eval")
    scores, relevant, candidates = random_cases()
    ours = ranking_at(scores, relevant, candidates, k)
    qrels, run = {}, {}
    for case in range(CASES):
        pool = sorted(np.flatnonzero(candidates[case]).tolist(), key=lambda i: (-scores[case, i], i))
        # trec_eval has a tie rule of its own; it is handed the order after ours has decided, cut at k for recip_rank.
        run[str(case)] = {f"d{item}": float(len(pool) - place) for place, item in enumerate(pool[:k])}
        qrels[str(case)] = {f"d{item}": int(relevant[case, item]) for item in pool}
    measures = {"P", "recall", "ndcg_cut", "map_cut", "success"}
    theirs = trec.RelevanceEvaluator(qrels, {*(f"{one}.{k}" for one in measures), "recip_rank"}).evaluate(run)
    without = [case for case in range(CASES) if not (relevant & candidates)[case].any()]
    assert 200 < len(without) < 800
    for name, trec_name in TREC_NAMES.items():
        assert np.isnan(ours[name][without]).all(), name
        for case in set(range(CASES)) - set(without):
            assert ours[name][case] == pytest.approx(theirs[str(case)][trec_name.format(k=k)], abs=1e-9), (name, case)


def test_ndcg_and_map_equal_scikit_learns() -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(3)
    scores = rng.permuted(np.tile(np.arange(25, dtype=np.float32), (200, 1)), axis=1)
    relevant = rng.random((200, 25)) < 0.2
    relevant[:, 7] = True
    everything = np.ones_like(relevant)
    at_7, at_all = ranking_at(scores, relevant, everything, 7), ranking_at(scores, relevant, everything, 25)
    for user in range(200):
        assert at_7["ndcg"][user] == pytest.approx(sklearn.ndcg_score([relevant[user]], [scores[user]], k=7), abs=1e-9)
        whole = sklearn.average_precision_score(relevant[user], scores[user])
        assert at_all["map"][user] == pytest.approx(whole, abs=1e-9)


@pytest.mark.parametrize(("n", "r", "k"), [(5, 2, 3), (6, 1, 2), (4, 4, 2), (3, 2, 5), (6, 3, 6), (1, 1, 1)])
def test_the_floor_is_the_mean_over_every_order(n: int, r: int, k: int) -> None:
    orders = np.array(list(permutations(range(n))))
    hits = np.zeros((len(orders), k), bool)
    hits[:, : min(n, k)] = orders[:, :k] < r
    every = metrics.ranking_metrics(hits, np.full(len(orders), r))
    floor = metrics.floor_metrics(np.array([r]), np.array([n]), k)
    for name in metrics.RANKING:
        assert floor[name][0] == pytest.approx(every[name].mean(), abs=1e-12), name


def test_no_order_beats_the_ceiling() -> None:
    orders = np.array(list(permutations(range(5))))
    every = metrics.ranking_metrics(orders[:, :3] < 2, np.full(len(orders), 2))
    ceiling = metrics.ceiling_metrics(np.array([2]), 3)
    for name in metrics.RANKING:
        assert ceiling[name][0] == pytest.approx(every[name].max(), abs=1e-12), name
    # Two relevant items cannot fill three places, nor can ten places hold twenty relevant items.
    assert ceiling["precision"][0] == pytest.approx(2 / 3)
    assert metrics.ceiling_metrics(np.array([20]), 10)["recall"][0] == 0.5
    assert metrics.ceiling_metrics(np.array([20]), 10)["ndcg"][0] == 1


def test_coverage_and_gini_by_hand() -> None:
    lists = np.array([[0, 1], [0, 2], [0, -1]])
    assert metrics.coverage(lists, 6) == 0.5
    counts = [3, 1, 1, 0, 0, 0]
    # Gini as mean absolute difference over twice the mean.
    plain = sum(abs(a - b) for a in counts for b in counts) / (2 * len(counts) * sum(counts))
    assert metrics.gini(lists, 6) == pytest.approx(plain)
    assert metrics.gini(np.array([[0], [1], [2]]), 3) == pytest.approx(0)
    assert np.isnan(metrics.gini(np.array([[-1]]), 3))
    assert metrics.coverage(np.array([[-1]]), 3) == 0


def test_novelty_and_diversity_by_hand() -> None:
    lists = np.array([[0, 1, 2], [2, -1, -1], [-1, -1, -1]])
    bits = metrics.novelty(lists, np.array([6, 2, 0]), 6)
    assert bits[0] == pytest.approx(np.mean([-np.log2(7 / 8), -np.log2(3 / 8), 3.0]))
    assert bits[1] == 3
    assert np.isnan(bits[2])
    vectors = np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32)
    spread = metrics.list_diversity(lists, vectors)
    assert spread[0] == pytest.approx(
        np.mean([1 - float(vectors[a] @ vectors[b]) for a, b in combinations(range(3), 2)])
    )
    assert np.isnan(spread[1:]).all()


def test_rating_errors_by_hand_and_of_nothing() -> None:
    rmse, mae = metrics.rating_errors(np.array([1, 5], np.float32), np.array([2, 2], np.float32))
    assert (rmse, mae) == (pytest.approx(5**0.5), pytest.approx(2))
    assert np.isnan(metrics.rating_errors(np.empty(0, np.float32), np.empty(0, np.float32))).all()


def test_ties_go_to_the_lower_row_and_empty_places_are_marked() -> None:
    scores, candidates = np.zeros((2, 4), np.float32), np.array([[0, 1, 1, 1], [0, 0, 1, 0]], bool)
    assert top_lists(scores, candidates, 2).tolist() == [[1, 2], [2, -1]]
