"""How good a ranking is. Full-catalog ranking only: every item that the user has not rated in training competes.

Shapes: scores float32 [users, items]; relevant bool [users, items]; candidates bool [users, items].
A user without a relevant candidate says nothing about a ranking and is left out: the value is NaN, and means skip
it. Ties go to the lower row, as in models.recommender. models.metrics has the formulas, docs/evaluation.md what was
decided and why. `judge` refuses a split that leaks (models.leak_guard) before it looks at any figure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from models import metrics
from models.interactions import History
from models.leak_guard import refuse_leaks
from models.recommender import RatingPredictor, Recommender, Scores, top_rows
from models.splits import Split

Flags = npt.NDArray[np.bool_]
PerUser = npt.NDArray[np.float64]
Lists = npt.NDArray[np.int64]

#: Cells of scores held at once, 32 MB of float32: a big catalog means fewer users at a time.
CELLS_MAX = 8_000_000
ALL = "all"


def hits_at(scores_UI: Scores, relevant_UI: Flags, candidates_UI: Flags, k: int) -> Flags:
    """Which of each user's top k are relevant: bool [users, k]; missing places (too few candidates) are False."""
    return _hits(top_lists(scores_UI, candidates_UI, k), relevant_UI)


def top_lists(scores_UI: Scores, candidates_UI: Flags, k: int) -> Lists:
    """Each user's k best candidates, best first, ties to the lower row: int64 [users, k], -1 in places left empty."""
    lists_UK = np.full((len(scores_UI), k), -1, np.int64)
    for user, scores_I in enumerate(scores_UI):
        rows = top_rows(scores_I, k, candidates_UI[user])
        lists_UK[user, : len(rows)] = rows
    return lists_UK


def precision_at(scores_UI: Scores, relevant_UI: Flags, candidates_UI: Flags, k: int) -> PerUser:
    """Share of the top k that is relevant: float64 [users], NaN for users without a relevant candidate."""
    return ranking_at(scores_UI, relevant_UI, candidates_UI, k)["precision"]


def ndcg_at(scores_UI: Scores, relevant_UI: Flags, candidates_UI: Flags, k: int) -> PerUser:
    """Binary NDCG (Jarvelin and Kekalainen 2002), log2 discount, ideal = min(k, relevant) hits first."""
    return ranking_at(scores_UI, relevant_UI, candidates_UI, k)["ndcg"]


def ranking_at(scores_UI: Scores, relevant_UI: Flags, candidates_UI: Flags, k: int) -> dict[str, PerUser]:
    """Every metric of metrics.RANKING."""
    hits_UK = hits_at(scores_UI, relevant_UI, candidates_UI, k)
    return metrics.ranking_metrics(hits_UK, (relevant_UI & candidates_UI).sum(axis=1))


def interval(values: PerUser, rng: np.random.Generator, draws: int = 2000) -> tuple[float, float, float]:
    """Mean and 95 % bootstrap interval over users (percentile; Efron 1979). NaN users are skipped.

    Of values [splits, users] the mean of the splits' means, and users are drawn with all that they have in any split.
    """
    values_SU = np.atleast_2d(values)
    values_SU = values_SU[:, ~np.isnan(values_SU).all(axis=0)]
    users = values_SU.shape[1]
    if not users:
        return np.nan, np.nan, np.nan
    # In portions, so that a hundred thousand users do not mean draws x users numbers at once.
    portion = max(1, CELLS_MAX // values_SU.size)
    sizes = [min(portion, draws - start) for start in range(0, draws, portion)]
    means = np.concatenate([_mean_of_splits(values_SU[:, rng.integers(0, users, (n, users))]) for n in sizes])
    low, high = np.percentile(means, [2.5, 97.5])
    return float(_mean_of_splits(values_SU)), float(low), float(high)


def _mean_of_splits(values: PerUser) -> PerUser:
    """Over the users (last axis) of each split (first axis), then over the splits that judged any of them."""
    count = (~np.isnan(values)).sum(axis=-1)
    means = np.nansum(values, axis=-1) / np.maximum(count, 1)
    return np.asarray((means * (count > 0)).sum(axis=0) / np.maximum((count > 0).sum(axis=0), 1))


@dataclass(frozen=True, slots=True)
class Difference:
    """Ours less theirs over the users that both have a figure for; `p` is two-sided."""

    mean: float
    low: float
    high: float
    p: float


def paired_difference(ours_U: PerUser, theirs_U: PerUser, rng: np.random.Generator, draws: int = 2000) -> Difference:
    """Mean difference, its bootstrap interval, and p of the randomisation test that flips signs at random (Fisher 1935;
    Smucker et al. 2007 on why not a t-test). The smallest p is 1 / (draws + 1). Of [splits, users] as `interval`; a
    user's signs flip together.
    """
    differences_SU = np.atleast_2d(ours_U - theirs_U)
    differences_SU = differences_SU[:, ~np.isnan(differences_SU).all(axis=0)]
    mean, low, high = interval(differences_SU, rng, draws)
    if np.isnan(mean):
        return Difference(mean, low, high, np.nan)
    extreme = 1
    for _ in range(draws):
        signs_U = rng.integers(0, 2, differences_SU.shape[1]) * 2 - 1
        # Rounding must not turn an equally extreme draw into a lesser one.
        extreme += abs(float(_mean_of_splits(signs_U * differences_SU))) >= abs(mean) - 1e-12
    return Difference(mean, low, high, extreme / (draws + 1))


@dataclass(frozen=True, slots=True)
class Ranking:
    """Figures of one slice of the catalog. Per user, in the order of Verdict.users; NaN: nothing relevant in it."""

    figures: dict[str, PerUser]
    floor: dict[str, PerUser]
    ceiling: dict[str, PerUser]
    novelty_U: PerUser
    diversity_U: PerUser
    """Intra-list diversity; all NaN without vectors."""
    coverage: float
    gini: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `judge` found. `users` int64: rows of those with a test rating. RMSE and MAE are NaN when the model predicts
    no ratings, and over all test ratings, relevant or not.
    """

    users: Lists
    given_U: Lists
    """How many ratings each one's history had."""
    rmse: float
    mae: float
    slices: dict[str, Ranking]


@dataclass(slots=True)
class _Batch:
    """What one portion of users left behind for one slice."""

    figures: list[dict[str, PerUser]] = field(default_factory=list)
    floor: list[dict[str, PerUser]] = field(default_factory=list)
    ceiling: list[dict[str, PerUser]] = field(default_factory=list)
    diversity: list[PerUser] = field(default_factory=list)
    lists: list[Lists] = field(default_factory=list)


def judge(
    model: Recommender,
    split: Split,
    relevant: float,
    k: int,
    *,
    vectors_ID: npt.NDArray[np.float32] | None = None,
    slices: Mapping[str, Flags] | None = None,
) -> Verdict:
    """Judge a fitted model by the test ratings; one of `relevant` or more makes its item relevant.

    `slices`, name -> bool [items]: further rankings in which only those items compete. `vectors_ID` are unit rows.
    Raises: LeakError for a split that leaks.
    """
    refuse_leaks(split, vectors_ID)
    masks = {ALL: np.ones(split.test.n_items, bool), **(slices or {})}
    batches = {name: _Batch() for name in masks}
    truths, predictions = [], []
    users = np.unique(split.test.users)
    histories, tests = split.given.histories(), split.test.histories()
    for rows in _portions(users, split.test.n_items):
        asked = [histories[user] for user in rows]
        scores_UI = model.scores(asked)
        if isinstance(model, RatingPredictor):
            predicted_UI = model.predict(asked)
            for place, user in enumerate(rows):
                truths.append(tests[user].values)
                predictions.append(predicted_UI[place, tests[user].items])
        candidates_UI = _candidates(split, rows, asked)
        relevant_UI = np.zeros_like(candidates_UI)
        for place, user in enumerate(rows):
            relevant_UI[place, tests[user].items[tests[user].values >= relevant]] = True
        for name, mask_I in masks.items():
            _rank(batches[name], scores_UI, relevant_UI, candidates_UI & mask_I, k, vectors_ID)
    rmse, mae = metrics.rating_errors(_joined(truths), _joined(predictions))
    return Verdict(
        users,
        np.array([len(histories[user]) for user in users], np.int64),
        rmse,
        mae,
        {name: _ranking(batch, split, int(masks[name].sum())) for name, batch in batches.items()},
    )


def _rank(
    batch: _Batch,
    scores_UI: Scores,
    relevant_UI: Flags,
    candidates_UI: Flags,
    k: int,
    vectors_ID: npt.NDArray[np.float32] | None,
) -> None:
    lists_UK = top_lists(scores_UI, candidates_UI, k)
    relevant_U = (relevant_UI & candidates_UI).sum(axis=1)
    batch.lists.append(lists_UK)
    batch.figures.append(metrics.ranking_metrics(_hits(lists_UK, relevant_UI), relevant_U))
    batch.floor.append(metrics.floor_metrics(relevant_U, candidates_UI.sum(axis=1), k))
    batch.ceiling.append(metrics.ceiling_metrics(relevant_U, k))
    blank_U = np.full(len(lists_UK), np.nan)
    batch.diversity.append(blank_U if vectors_ID is None else metrics.list_diversity(lists_UK, vectors_ID))


def _ranking(batch: _Batch, split: Split, n_items: int) -> Ranking:
    lists_UK = np.concatenate(batch.lists)
    raters_I = np.bincount(split.train.items, minlength=split.train.n_items)
    figures, floor, ceiling = (
        {name: np.concatenate([part[name] for part in parts]) for name in metrics.RANKING}
        for parts in (batch.figures, batch.floor, batch.ceiling)
    )
    # Lists of users who are not judged would count in these, and differ from what the other figures are about.
    judged_U = ~np.isnan(figures["precision"])
    judged_UK = lists_UK[judged_U]
    novelty_U = metrics.novelty(lists_UK, raters_I, len(np.unique(split.train.users)))
    inequality = metrics.gini(_renumbered(judged_UK), n_items) if n_items else np.nan
    return Ranking(
        figures,
        floor,
        ceiling,
        np.where(judged_U, novelty_U, np.nan),
        np.where(judged_U, np.concatenate(batch.diversity), np.nan),
        metrics.coverage(judged_UK, n_items),
        inequality,
    )


def _renumbered(lists_UK: Lists) -> Lists:
    """Rows numbered from 0 among those shown: only how often each is shown matters, and the slice's size is given."""
    _, places = np.unique(lists_UK, return_inverse=True)
    shift = int((lists_UK < 0).any())
    return np.asarray(places.reshape(lists_UK.shape) - shift, np.int64)


def _candidates(split: Split, rows: Lists, histories: list[History]) -> Flags:
    candidates_UI = np.ones((len(rows), split.test.n_items), bool)
    if split.platform_I is not None and split.asked_U is not None:
        candidates_UI = split.asked_U[rows][:, None] == split.platform_I
    for place, history in enumerate(histories):
        candidates_UI[place, history.items] = False
    return candidates_UI


def _portions(users: Lists, n_items: int) -> Iterator[Lists]:
    size = max(1, CELLS_MAX // max(n_items, 1))
    for start in range(0, len(users), size):
        yield users[start : start + size]


def _hits(lists_UK: Lists, relevant_UI: Flags) -> Flags:
    hits_UK = (
        np.take_along_axis(relevant_UI, np.maximum(lists_UK, 0), axis=1) if relevant_UI.shape[1] else lists_UK >= 0
    )
    return np.asarray(hits_UK & (lists_UK >= 0))


def _joined(parts: list[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    return np.concatenate([np.empty(0, np.float32), *parts])
