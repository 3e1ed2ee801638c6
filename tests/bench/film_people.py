"""MovieLens small as people to learn from and people to ask: a fifth of the users is asked, the others teach.

Of each one asked half of the ratings are known, and the other half is ranked (*rated-only*), 4 and more being a like.
The films' vectors are of their genres, years, titles' words and tags, each word hashed to a direction and weighted by
its rarity: no encoder here knows films, and the question is how nodes compare with one machine, not which text is best.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from typing import Any

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from models.features import priced
from models.fusion import Vectors, centre_items
from models.interactions import History, Values
from sim.ratings_file import read_ratings
from tests.bench.learning_together import Experiment, People
from tests.bench.movielens import DATA, LIKED

DIM, BASIS = 256, "random-128"
ASKED_SHARE = 0.2
RATINGS_MIN = 20
# A node's scale beside that of the file.
LOW, STRETCH, FILE_LOW = -1.0, 11 / 4.5, 0.5


def on_node_scale(values: Values) -> Values:
    """Stars as a node's ratings."""
    return np.asarray(LOW + STRETCH * (values - FILE_LOW), np.float32)


def film_words(*, with_tags: bool = True) -> dict[str, str]:
    """By film: all that is said of it. Tags are of the people who rated."""
    words: dict[str, str] = {}
    with (DATA.parent / "movies.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            words[row["movieId"]] = f"{row['title']} {row['genres'].replace('|', ' ')}"
    if not with_tags:
        return words
    tags: dict[str, list[str]] = defaultdict(list)
    with (DATA.parent / "tags.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            tags[row["movieId"]].append(re.sub(r"\W+", "_", row["tag"].lower()))
    return {film: f"{text} {' '.join(tags[film])}" for film, text in words.items()}


def film_vectors(films: list[str], dim: int = DIM, *, with_tags: bool = True) -> Vectors:
    """float32 [films, dim], rows of length 1."""
    words = film_words(with_tags=with_tags)
    counts = TfidfVectorizer(sublinear_tf=True, min_df=2).fit_transform([words[film] for film in films])
    found: Any = TruncatedSVD(dim, random_state=0).fit_transform(counts)
    return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12), np.float32)


def film_people(seed: int) -> People:
    """The split of that seed."""
    file = read_ratings(DATA)
    films, rows = np.unique(file.items, return_inverse=True)
    users = np.unique(file.users, return_inverse=True)[1]
    text_ID = film_vectors([str(film) for film in films])
    items = priced(centre_items(np.zeros_like(text_ID), text_ID, 0.5), np.full(len(films), np.nan, np.float32))
    rng = np.random.default_rng([seed, 5])
    histories = []
    for user in range(users.max() + 1):
        mine = np.flatnonzero(users == user)
        values = on_node_scale(file.values[mine])
        histories.append(History(rows[mine].astype(np.int64), values))
    able = [place for place in rng.permutation(len(histories)).tolist() if len(histories[place]) >= RATINGS_MIN]
    cut = round(ASKED_SHARE * len(able))
    truth_UI, asked = np.full((cut, len(films)), np.nan, np.float32), []
    for place, one in enumerate(histories[user] for user in able[:cut]):
        order = rng.permutation(len(one))
        known, hidden = order[: len(one) // 2], order[len(one) // 2 :]
        asked.append(History(one.items[known], one.values[known]))
        truth_UI[place, one.items[hidden]] = one.values[hidden]
    return People(
        items,
        BASIS,
        [histories[user] for user in able[cut:]],
        asked,
        truth_UI,
        float(on_node_scale(np.array(LIKED, np.float32))),
    )


def film_experiment(model: str, seed: int) -> Experiment:
    return Experiment(film_people(seed), model)
