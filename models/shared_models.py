"""The models that nodes can learn together, by name, each made with one node's users."""

from __future__ import annotations

from collections.abc import Sequence

from models.factor_table import Keys
from models.fusion import Items
from models.interactions import History, interactions_of
from models.item_factors import ItemFactors
from models.projection import Projection
from models.shared_descent import SharedProjection, SharedTowers
from models.shared_factors import SharedFactors
from models.shared_model import Backed, SharedModel
from models.shared_taste import OwnTaste, SharedTaste
from models.taste_prior import TastePrior, start_block
from models.two_tower import TwoTower

#: Those that know what items look like, and so can be asked of any shop's. The first is what a node learns unless told
#: otherwise.
SHARED_MODELS = (SharedTaste.called, SharedProjection.called, SharedTowers.called)
#: All; where several help, the first of them ranks.
LEARNABLE = (*SHARED_MODELS, SharedFactors.called)

#: What is learned beside a model, of what others made of it.
BESIDE = {SharedTaste.called: (OwnTaste.called,)}


def shared_model(
    name: str,
    items: Items,
    histories: Sequence[History],
    basis: str,
    seed: int,
    merged: Backed | None = None,
    keys_I: Keys | None = None,
) -> SharedModel:
    """The model of that name over these items (all that the histories name) and these users.

    `merged` is what a model that is learned beside another refines; None: the common start.
    `keys_I` are the items' keys: what the item-factor table calls them. Raises: ValueError for an unknown name, or a
    table without keys.
    """
    ratings = interactions_of(histories, len(items))
    if name == SharedTaste.called:
        return SharedTaste(TastePrior(basis=basis).prepare(ratings, items), histories)
    if name == OwnTaste.called:
        prepared = TastePrior(basis=basis).prepare(ratings, items)
        towards = start_block(prepared.z_IK.shape[1])
        if merged is not None:
            towards = SharedTaste(prepared, ()).block(merged.values_V, merged.crowd)
        return OwnTaste(prepared, histories, towards)
    if name == SharedProjection.called:
        return SharedProjection(Projection(basis=basis).prepare(ratings, items), histories, seed)
    if name == SharedTowers.called:
        return SharedTowers(TwoTower(basis=basis).prepare(ratings, items), histories, seed)
    if name == SharedFactors.called and keys_I is not None:
        return SharedFactors(ItemFactors().prepare(ratings, items), keys_I, histories)
    raise ValueError(f"no model {name!r} is learned together over these; there are {', '.join(LEARNABLE)}")
