"""`p2prec audit`: attacks on what this node publishes of its users, with noise and without. Exit 1 over the bar."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from node.config import Home, home_folder, load_home
from node.errors import UserError
from node.report import Report
from node.session import home_index, open_store

if TYPE_CHECKING:
    from models.audit import AuditResult, Finding, Release
    from models.interactions import Rows
    from node.index import Index
    from node.learner import LearningSet
    from node.store import Rating

# An attacker who is right so often has hardly more than a guess.
BAR = 0.55
ATTACKS = ("membership", "interaction", "community", "card")
ROUNDS_MIN, ROUNDS_MAX = 2, 100


def run_audit(options: Namespace) -> Report:
    """AUC of each attack, published with the noise of --epsilon and without any. Nothing is published by this."""
    from models.privacy import EPSILON_MAX, membership_auc_max, noise_multiplier_for
    from node.learner import DELTA, learning_set

    if not 0 < options.epsilon <= EPSILON_MAX:
        raise UserError(f"--epsilon must be above 0 and at most {EPSILON_MAX:g}")
    if not ROUNDS_MIN <= options.rounds <= ROUNDS_MAX:
        raise UserError(f"--rounds must be {ROUNDS_MIN} to {ROUNDS_MAX}")
    if options.seed < 0:
        raise UserError("--seed must be 0 or more")
    home = load_home(home_folder(options.home))
    with open_store(home) as store:
        index, ratings = home_index(home, store), store.ratings()
    noise_multiplier = noise_multiplier_for(options.epsilon, DELTA, 1)
    known = learning_set(index, ratings)
    ways = {"protected": private(noise_multiplier), "unprotected": plain}
    found = attacked(home, known, categories_of(index, ratings), ways, options.rounds, options.seed)
    rows: list[dict[str, Any]] = [
        {"attack": attack, **{name: finding_document(getattr(result, attack)) for name, result in found.items()}}
        for attack in ATTACKS
    ]
    # A card is one user's own vector: no noise on the block is over it, and its owner decides to carry it.
    judged = [row["protected"] for row in rows if row["attack"] != "card"]
    passed = all(one is None or one["auc"] <= BAR for one in judged)
    document = {
        "epsilon": options.epsilon,
        "delta": DELTA,
        "users": len(known.histories),
        "bar": BAR,
        "membership_auc_max": round(membership_auc_max([noise_multiplier]), 4),
        "passed": passed,
        "rows": rows,
    }
    return Report(document, lines_of(document), 0 if passed else 1)


def categories_of(index: Index, ratings: Sequence[Rating]) -> Rows | None:
    """The category of each rated item, as numbers, in the order of a learning set; None where there is but one."""
    places = [index.rows.get((rating.publisher, rating.item)) for rating in ratings]
    rated = sorted({row for row in places if row is not None})
    names = [index.stored[row].item.category for row in rated]
    return np.unique(names, return_inverse=True)[1].astype(np.int64) if len(set(names)) > 1 else None


def attacked(
    home: Home, known: LearningSet, categories_I: Rows | None, ways: dict[str, Release], rounds: int, seed: int
) -> dict[str, AuditResult]:
    """Every way of publishing, attacked. Raises: UserError where there is too little to attack."""
    from models.audit import audit_taste
    from models.features import basis_of
    from models.interactions import interactions_of
    from models.taste_prior import TastePrior

    try:
        model = TastePrior(basis=basis_of(home.config.encoder))
        model.prepare(interactions_of([], len(known.items)), known.items)
        return {
            name: audit_taste(
                known.histories, model, way, np.random.default_rng(seed), repeats=rounds, categories_I=categories_I
            )
            for name, way in ways.items()
        }
    except ValueError as error:
        raise UserError(str(error)) from error


def private(noise_multiplier: float) -> Release:
    """As a node with a budget publishes."""
    from models.privacy import private_sums
    from models.taste_prior import m_step

    return lambda block, told, rng: m_step(private_sums(block, told, noise_multiplier, rng))


def plain(block: Any, told: Any, rng: np.random.Generator) -> Any:
    """The same without clipping or noise: what --epsilon none would give away at once."""
    from models.taste_prior import e_step, m_step

    return m_step(e_step(block, told))


def finding_document(finding: Finding | None) -> dict[str, float] | None:
    """None where there was nothing to attack."""
    if finding is None or np.isnan(finding.auc):
        return None
    return {
        "auc": round(finding.auc, 4),
        "low": round(finding.low, 4),
        "high": round(finding.high, 4),
        "advantage": round(finding.advantage, 4),
        "guesses": finding.guesses,
    }


def lines_of(document: dict[str, Any]) -> list[str]:
    lines = [
        f"{document['users']} users; AUC of each attack (0.5 is a guess, the bar is {document['bar']:g}):",
        f"  {'':12} {'epsilon ' + format(document['epsilon'], 'g'):>22} {'without noise':>22}",
    ]
    for row in document["rows"]:
        cells = [
            "nothing to attack" if one is None else f"{one['auc']:.3f} ({one['low']:.3f} to {one['high']:.3f})"
            for one in (row["protected"], row["unprotected"])
        ]
        lines.append(f"  {row['attack']:12} {cells[0]:>22} {cells[1]:>22}")
    most = document["membership_auc_max"]
    lines.append(f"  whoever knows everybody else may be right about one user with an AUC up to {most}")
    lines.append(
        "within the bar" if document["passed"] else "over the bar: lower --epsilon of node start, or --learn none"
    )
    return lines
