"""Every model by name. A name costs nothing; its class, and the libraries behind it, load when it is asked for."""

from __future__ import annotations

from importlib import import_module

from models.recommender import Recommender

# name -> where its class is, "module:Class"
MODELS: dict[str, str] = {
    "als": "models.als:ImplicitAls",
    "als_ratings": "models.als:RatingAls",
    "biases": "models.baselines:Biases",
    "bpr": "models.bpr:Bpr",
    "content": "models.content:Content",
    "delta": "models.delta:Delta",
    "ease": "models.ease:Ease",
    "global_mean": "models.baselines:GlobalMean",
    "hybrid": "models.hybrid:Hybrid",
    "item_factors": "models.item_factors:ItemFactors",
    "item_knn": "models.neighbours:ItemNeighbours",
    "item_knn_ratings": "models.rating_neighbours:ItemRatingNeighbours",
    "item_mean": "models.baselines:ItemMean",
    "lightgcn": "models.lightgcn:LightGcn",
    "low_rank": "models.low_rank:LowRank",
    "most_liked": "models.baselines:MostLiked",
    "popularity": "models.popularity:Popularity",
    "projection": "models.projection:Projection",
    "projection_fixed": "models.projection:FixedProjection",
    "random": "models.baselines:Random",
    "ridge": "models.ridge:Ridge",
    "sasrec": "models.sasrec:SasRec",
    "taste_prior": "models.taste_prior:TastePrior",
    "two_tower": "models.two_tower:TwoTower",
    "two_tower_seed": "models.two_tower_seed:SeedTwoTower",
    "user_knn": "models.neighbours:UserNeighbours",
    "user_knn_ratings": "models.rating_neighbours:UserRatingNeighbours",
    "user_mean": "models.baselines:UserMean",
}


def model_class(name: str) -> type[Recommender]:
    """The class of a model. Raises: ValueError that lists the names when there is none of that name."""
    if name not in MODELS:
        raise ValueError(f"no model {name!r}; there are: {', '.join(sorted(MODELS))}")
    module, _, kind = MODELS[name].partition(":")
    found: type[Recommender] = getattr(import_module(module), kind)
    return found
