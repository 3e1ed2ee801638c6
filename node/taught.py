"""What was learned with others, as this node's users are ranked by it.

One list holds the items of many shops, so one block decides how they stand to each other: the merged one. But people
may judge a shop's things by other tastes than another's. Where that shop's own block is at hand, its items are put in
the order that *it* gives, on the places that the merged block gave them. So a shop has a say on its own items alone,
and none on how they stand beside others': a lie about them gains it no place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from models.factor_table import Keys
from models.interactions import History
from models.linear_taste import posterior
from models.recommender import Recommender, Scores
from models.shared_factors import SharedFactors
from models.shared_model import Backed
from models.shared_models import LEARNABLE, shared_model
from models.shared_taste import OwnTaste, SharedTaste
from models.taste_prior import TastePrior
from node.blocks import parse_block
from node.index import Index
from node.learned import Learned
from protocol.factor_rows import row_key
from protocol.updates import UNPROTECTED


@dataclass(frozen=True, slots=True)
class Taught:
    """What nodes learned together, of which the gate found that it helps this node's users: a model's name and block.

    `by_source` holds the own blocks of others, packed, by publisher.
    """

    model: str
    basis: str
    block: Backed
    by_source: Mapping[str, bytes] = field(default_factory=dict)


def taught_by(learned: Learned, features: str, basis: str) -> Taught | None:
    """What ranks here, of what a home has learned: the first model that helps. None before that, or where none does.

    Where most of what was heard was told with noise, one's own users, whose ratings never leave, refine it.
    """
    for name in LEARNABLE:
        row = learned.find(name, features)
        if row is None or row.report.ranks != "network":
            continue
        own = learned.find(OwnTaste.called, features) if name == SharedTaste.called else None
        if own is None:
            return Taught(name, basis, Backed(row.state.values_V, row.report.crowd))
        noisy = [one.update.epsilon_milli != UNPROTECTED for one in learned.blocks(name)]
        if 2 * sum(noisy) > len(noisy):
            return Taught(OwnTaste.called, basis, Backed(own.state.values_V, own.report.crowd))
        return Taught(name, basis, Backed(row.state.values_V, row.report.crowd), own_blocks(learned))
    return None


def own_blocks(learned: Learned) -> dict[str, bytes]:
    """The own blocks of others that the gate let in, packed, by source."""
    ledger = learned.ledger(OwnTaste.called)
    trusted = {source for source, entry in ledger.items() if entry.trusted}
    held = learned.blocks(OwnTaste.called, verify_all=True)
    return {one.source: one.update.values for one in held if one.source in trusted}


def taught_model(taught: Taught, index: Index, histories: Sequence[History]) -> Recommender:
    """Ranks by the merged block; the scale is that of these histories, all local users'."""
    keys_I = index_keys(index) if taught.model == SharedFactors.called else None
    model = shared_model(taught.model, index.items, histories, taught.basis, 0, keys_I=keys_I)
    # A damaged state ranks as none: it is learned anew.
    values_V = taught.block.values_V if model.fits(taught.block.values_V) else model.start()
    ranker: Recommender = model.take(values_V, taught.block.crowd)
    return ranker


def taught_scores(taught: Taught, model: Recommender, index: Index, history: History) -> Scores:
    """What `model` makes of a user, float32 [items], each source's items in its own order."""
    scores_I: Scores = model.scores([history])[0]
    if not taught.by_source or not isinstance(model, TastePrior):
        return scores_I
    own, told = OwnTaste(model, [history], model.block), model.told(history)
    for source, packed in taught.by_source.items():
        rows = rows_of(index, source)
        values_V = parse_block(own, packed) if len(rows) else None
        if values_V is not None:
            taste_K = posterior(told, own.block(values_V, taught.block.crowd).prior).mean_K
            order_R = np.argsort(model.z_IK[rows] @ taste_K.astype(np.float32), kind="stable")
            scores_I[rows[order_R]] = np.sort(scores_I[rows])
    return scores_I


def rows_of(index: Index, publisher: str) -> npt.NDArray[np.int64]:
    """Where a publisher's items are."""
    catalogs = [one.catalog for one in index.catalogs.values() if one.publisher == publisher]
    return np.flatnonzero(np.isin(index.catalog_I, catalogs)).astype(np.int64)


def index_keys(index: Index) -> Keys:
    """What the item-factor table calls the rows of an index."""
    keys_I = np.empty(len(index.items), np.uint64)
    for name, row in index.rows.items():
        keys_I[row] = row_key(*name)
    return keys_I
