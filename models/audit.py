"""What a published taste block gives away of the users behind it: attacks, and how often they are right.

An attacker sees the block, has the ratings of whoever is suspected, and blocks that certainly do not hold them (other
releases of the same node, made from other users). Each attack is one statistic, larger where the answer is yes:

- membership: was this user among those whom the block was learned from? log p(ratings | block), less the same under the
  blocks without the user (Carlini et al. 2022, Membership Inference Attacks From First Principles: some people are
  easy to explain for any block);
- interaction: did this member rate this item? The same for one rating, given half of the member's others; what must be
  told from it are the member's own ratings that were held back, so that plausible values betray nothing;
- community: do this node's users like this category more than others do? What the block's mean expects of it, less what
  other blocks expect;
- card: which items did the owner of this taste vector rate? |cosine| of item and vector. A card is nobody's average: no
  noise on the block protects it.

The users' own randomised splits are the experiment; half are members each round. An AUC of .5 is chance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.interactions import History
from models.linear_taste import Floats, Prior, Told, posterior
from models.taste_prior import TasteBlock, TastePrior, start_block

Rows = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
#: Makes the block that leaves the node, of the common start and the members' ratings.
Release = Callable[[TasteBlock, Sequence[Told], np.random.Generator], TasteBlock]

#: Of each history: what the attacker knows, and what members were told with; the rest was held back from the block.
KNOWN_SHARE, TOLD_SHARE = 0.5, 0.75
#: Members and others that are tried each round, and blocks that each is calibrated by: a minute for 300 users.
TRIED_MAX, REFERENCES_MAX = 100, 4
DRAWS = 300


@dataclass(frozen=True, slots=True)
class Attack:
    """Guesses: score float64 [N], whether the answer is yes bool [N], whom (or what) each is about and in which round
    int64 [N]. Scores of different rounds are never compared; guesses that share a subject hang together."""

    scores_N: Floats
    labels_N: Flags
    subjects_N: Rows
    rounds_N: Rows


@dataclass(frozen=True, slots=True)
class Finding:
    """AUC, mean over rounds, with its 95 % bootstrap interval over subjects; `advantage` is 2 AUC - 1.

    The chance in the published blocks is not drawn anew: with few rounds the interval is narrower than the truth.
    """

    auc: float
    low: float
    high: float
    guesses: int

    @property
    def advantage(self) -> float:
        return 2 * self.auc - 1


@dataclass(frozen=True, slots=True)
class AuditResult:
    """Every attack on one way of publishing. `community` is None where no categories are known."""

    membership: Finding
    interaction: Finding
    community: Finding | None
    card: Finding


# -- figures -----------------------------------------------------------------------------------------------------------


def auc(scores_N: Floats, labels_N: Flags, weights_N: Floats | None = None) -> float:
    """The chance that a yes scores above a no, ties counting half (Hanley and McNeil 1982); NaN without both."""
    _, place_N = np.unique(scores_N, return_inverse=True)
    weights_N = np.ones(len(scores_N)) if weights_N is None else weights_N
    yes_S = np.bincount(place_N, weights_N * labels_N)
    no_S = np.bincount(place_N, weights_N * ~labels_N)
    pairs = yes_S.sum() * no_S.sum()
    return float(yes_S @ (no_S.cumsum() - no_S / 2) / pairs) if pairs else float("nan")


def judge(attack: Attack, rng: np.random.Generator, draws: int = DRAWS) -> Finding:
    """How good the guesses were. Subjects are drawn anew as a whole, with all their guesses in all rounds."""
    subjects, subject_N = np.unique(attack.subjects_N, return_inverse=True)
    rounds = [np.flatnonzero(attack.rounds_N == one) for one in np.unique(attack.rounds_N)]
    # Ranks once: sorting anew in each draw would be most of the time.
    ranks = [np.unique(attack.scores_N[rows], return_inverse=True)[1].astype(np.float64) for rows in rounds]

    def mean(weights_N: Floats | None) -> float:
        found = [
            auc(rank_R, attack.labels_N[rows], None if weights_N is None else weights_N[rows])
            for rank_R, rows in zip(ranks, rounds, strict=True)
        ]
        known = [one for one in found if not np.isnan(one)]
        return float(np.mean(known)) if known else float("nan")

    drawn = []
    for _ in range(draws):
        count_S = np.bincount(rng.integers(0, len(subjects), len(subjects)), minlength=len(subjects))
        drawn.append(mean(count_S[subject_N].astype(np.float64)))
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return Finding(mean(None), float(low), float(high), len(attack.scores_N))


# -- statistics --------------------------------------------------------------------------------------------------------


def log_likelihood(told: Told, prior: Prior) -> float:
    """log p(y) of all of a user's ratings, y ~ N(x m, x S x' + s2 I), in whichever form is the smaller."""
    rest_R, n, size = told.y_R - told.x_RK @ prior.mean_K, len(told.y_R), len(prior.mean_K)
    if n < size:
        seen_RR = told.x_RK @ prior.covariance_KK @ told.x_RK.T + prior.noise * np.eye(n)
        square, volume = rest_R @ np.linalg.solve(seen_RR, rest_R), np.linalg.slogdet(seen_RR)[1]
    else:
        weight_K = told.x_RK.T @ rest_R / prior.noise
        inner_KK = told.x_RK.T @ told.x_RK / prior.noise + prior.precision
        square = rest_R @ rest_R / prior.noise - weight_K @ np.linalg.solve(inner_KK, weight_K)
        volume = n * np.log(prior.noise) + np.linalg.slogdet(inner_KK)[1] - np.linalg.slogdet(prior.precision)[1]
    return float(-(square + volume + n * np.log(2 * np.pi)) / 2)


def log_predictive(known: Told, asked: Told, prior: Prior) -> Floats:
    """log p(y | what is known of the user) of each asked rating by itself: float64 [asked]."""
    found = posterior(known, prior)
    variance_R = np.einsum("rk,kr->r", asked.x_RK, found.solve(asked.x_RK.T)) + prior.noise
    square_R = (asked.y_R - asked.x_RK @ found.mean_K) ** 2 / variance_R
    return np.asarray(-(square_R + np.log(2 * np.pi * variance_R)) / 2)


def community_lean(mean_K: Floats, centres_CK: Floats) -> Floats:
    """What a mean taste expects of each category's average item, beside the other categories: float64 [C]."""
    return np.asarray((centres_CK - centres_CK.mean(axis=0)) @ mean_K)


def card_scores(card_K: Floats, z_IK: Floats) -> Floats:
    """How far each item lies along the card's vector, either way, since a dislike tells as much: float64 [I]."""
    lengths_I = np.linalg.norm(z_IK, axis=1) * np.linalg.norm(card_K)
    return np.asarray(np.abs(z_IK @ card_K) / np.maximum(lengths_I, 1e-12))


# -- the experiment ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Cut:
    """One user's ratings in one round, in a random order: known, then told as well, then held back."""

    items_R: Rows
    y_R: Floats
    known: int
    told: int


@dataclass(frozen=True, slots=True)
class _Round:
    number: int
    member_U: Flags
    cuts: list[_Cut]
    prior: Prior


def audit_taste(
    histories: Sequence[History],
    model: TastePrior,
    release: Release,
    rng: np.random.Generator,
    *,
    repeats: int = 6,
    categories_I: Rows | None = None,
) -> AuditResult:
    """Attack what `release` publishes of random halves of these users; `model` is prepared and says how users are told.

    Blocks of other rounds that a user was no member of calibrate the attacks. `categories_I` int64 [items], from 0 on.
    Raises: ValueError for fewer than two users with four ratings or more, or fewer than two repeats.
    """
    usable = [one for one in histories if len(one) >= 4]
    if len(usable) < 2 or repeats < 2:
        raise ValueError("an audit needs two rounds or more, and two users who rated four items or more")
    rounds = [_play(number, usable, model, release, rng) for number in range(repeats)]
    member, interaction = _suspect(rounds, model, rng)
    community = None if categories_I is None else judge(_lean_attack(rounds, model, categories_I), rng)
    return AuditResult(judge(member, rng), judge(interaction, rng), community, judge(_card_attack(rounds, model), rng))


def _play(
    number: int, histories: Sequence[History], model: TastePrior, release: Release, rng: np.random.Generator
) -> _Round:
    """Draw members, hold ratings back, publish."""
    member_U = np.zeros(len(histories), bool)
    member_U[rng.permutation(len(histories))[: len(histories) // 2]] = True
    cuts = [_cut(one, model, rng) for one in histories]
    told = [_part(model, cut, 0, cut.told) for cut, member in zip(cuts, member_U, strict=True) if member]
    block = release(start_block(model.z_IK.shape[1]), told, rng)
    return _Round(number, member_U, cuts, block.prior)


def _cut(history: History, model: TastePrior, rng: np.random.Generator) -> _Cut:
    order = rng.permutation(len(history))
    known, told = (int(share * len(history)) for share in (KNOWN_SHARE, TOLD_SHARE))
    items_R, values_R = history.items[order], history.values[order]
    # What was held back must not be in the level either.
    level = model.level(History(items_R[:told], values_R[:told]))
    return _Cut(items_R, (values_R.astype(np.float64) - level) / model.spread, known, told)


def _part(model: TastePrior, cut: _Cut, start: int, end: int) -> Told:
    return Told(model.z_IK[cut.items_R[start:end]].astype(np.float64), cut.y_R[start:end])


def _references(rounds: Sequence[_Round], this: _Round, user: int) -> list[Prior]:
    """Blocks of other rounds without the user; the common start when the user was in all of them."""
    others = [one.prior for one in rounds if one.number != this.number and not one.member_U[user]]
    return others[:REFERENCES_MAX] or [start_block(len(this.prior.mean_K)).prior]


def _suspect(rounds: Sequence[_Round], model: TastePrior, rng: np.random.Generator) -> tuple[Attack, Attack]:
    """Membership of some users, half of them members; and of the members' ratings, told or held back."""
    users: list[tuple[float, bool, int, int]] = []
    parts: list[Attack] = []
    for this in rounds:
        sides = (np.flatnonzero(this.member_U), np.flatnonzero(~this.member_U))
        for user in np.concatenate([rng.permutation(side)[:TRIED_MAX] for side in sides]).tolist():
            cut, references = this.cuts[user], _references(rounds, this, user)
            told, member = _part(model, cut, 0, cut.told), bool(this.member_U[user])
            without = float(np.mean([log_likelihood(told, prior) for prior in references]))
            users.append((log_likelihood(told, this.prior) - without, member, user, this.number))
            if member:
                known, asked = _part(model, cut, 0, cut.known), _part(model, cut, cut.known, len(cut.y_R))
                calm_R = np.mean([log_predictive(known, asked, prior) for prior in references], axis=0)
                scores_R = log_predictive(known, asked, this.prior) - calm_R
                parts.append(_about(user, this, scores_R, np.arange(len(scores_R)) < cut.told - cut.known))
    score, member_N, user_N, number = (np.array(column) for column in zip(*users, strict=True))
    return Attack(score, member_N, user_N, number), _joined(parts)


def _lean_attack(rounds: Sequence[_Round], model: TastePrior, categories_I: Rows) -> Attack:
    """For each category: did the members rate it higher, beside their other ratings, than the others did?"""
    one_hot_CI = np.arange(int(categories_I.max()) + 1)[:, None] == categories_I
    centres_CK = one_hot_CI @ model.z_IK.astype(np.float64) / np.maximum(one_hot_CI.sum(axis=1, keepdims=True), 1)
    lean_TC = np.stack([community_lean(one.prior.mean_K, centres_CK) for one in rounds])
    parts = []
    for place, this in enumerate(rounds):
        sums_2C, counts_2C = np.zeros((2, 2, len(centres_CK)))
        for cut, member in zip(this.cuts, this.member_U, strict=True):
            category_R, y_R = categories_I[cut.items_R[: cut.told]], cut.y_R[: cut.told]
            sums_2C[int(member)] += np.bincount(category_R, y_R, len(centres_CK))
            counts_2C[int(member)] += np.bincount(category_R, minlength=len(centres_CK))
        mean_2C = sums_2C / np.maximum(counts_2C, 1)
        rated_C = counts_2C.all(axis=0)
        scores_C = lean_TC[place] - np.delete(lean_TC, place, axis=0).mean(axis=0)
        # All guesses of a round hang on one mean, so that rounds are what is drawn; calibrated, they are on one scale.
        round_C = np.full(int(rated_C.sum()), this.number)
        parts.append(Attack(scores_C[rated_C], (mean_2C[1] > mean_2C[0])[rated_C], round_C, np.zeros_like(round_C)))
    return _joined(parts)


def _card_attack(rounds: Sequence[_Round], model: TastePrior) -> Attack:
    """The fitted vectors of the first round's members, as a card would carry them: which items did each rate?"""
    this, z_IK = rounds[0], model.z_IK.astype(np.float64)
    parts = []
    for user in np.flatnonzero(this.member_U)[:TRIED_MAX].tolist():
        cut = this.cuts[user]
        card_K = posterior(_part(model, cut, 0, cut.told), this.prior).mean_K
        rated_I = np.zeros(len(z_IK), bool)
        rated_I[cut.items_R[: cut.told]] = True
        # A person's own items are compared with each other alone: cosines of two cards are not on one scale.
        scores_I = card_scores(card_K, z_IK)
        ranks_I = scores_I.argsort().argsort() / len(z_IK)
        parts.append(_about(user, this, ranks_I, rated_I))
    return _joined(parts)


def _about(user: int, this: _Round, scores_N: Floats, labels_N: Flags) -> Attack:
    subjects_N, rounds_N = np.full(len(scores_N), user), np.full(len(scores_N), this.number)
    return Attack(scores_N, labels_N, subjects_N, rounds_N)


def _joined(parts: Sequence[Attack]) -> Attack:
    names = ("scores_N", "labels_N", "subjects_N", "rounds_N")
    return Attack(*(np.concatenate([getattr(one, name) for one in parts]) for name in names))
