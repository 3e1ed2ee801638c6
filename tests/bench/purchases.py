"""Real clothing purchases (H&M, one day): users and items that training has not seen, several splits.

    python -m tests.bench.purchases [--seeds N] [--json]

Purchases are all of value 1: whatever a user bought is relevant, and every other article competes. Articles are seen by
their text alone, through the bundled tiny encoder. *New user*: a fifth of the customers is not there at fit time; one
half of what each bought is their history, the other is sought. *New item*: a fifth of the products (all colours of a
product together, and whatever has the same vector) has no purchase in training, and only those items compete, so that
nobody profits from knowing which they are. Intervals are over customers, each one's mean over the splits that judged
them. The data are not part of the project and are looked for in ../shared/data.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from models.evaluation import ALL, PerUser, interval, judge, paired_difference
from models.fusion import Items, centre_items
from models.interactions import Interactions
from models.leak_guard import twin_groups
from models.splits import Split, new_item_split, new_user_split
from sim.validation import make_model
from tests.bench.row import Row

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "hm_2018"
K, SEEDS, FIRST = 10, 10, 1
RANDOM, POPULARITY, ITEM_KNN = "random", "most_liked", "item_knn"
MODELS = (RANDOM, POPULARITY, ITEM_KNN, "ease", "als", "content", "ridge", "taste_prior", "hybrid")
OURS = ("content", "hybrid")
NEW_ITEMS = "new items"


@dataclass(frozen=True, slots=True)
class Purchases:
    """Who bought what, and the articles; items in a drawn order, so that ties tell nothing."""

    ratings: Interactions
    items: Items
    vectors_ID: npt.NDArray[np.float32]
    group_I: npt.NDArray[np.int64]
    """Articles that may not be on different sides of a split have the same number."""


def read_purchases() -> Purchases:
    from models.clip import Encoder

    with (FOLDER / "articles.csv").open(encoding="utf-8", newline="") as file:
        articles = list(csv.DictReader(file))
    with (FOLDER / "transactions.csv").open(encoding="utf-8", newline="") as file:
        bought = [(row["customer_id"], row["article_id"]) for row in csv.DictReader(file)]
    articles = [articles[place] for place in np.random.default_rng(0).permutation(len(articles)).tolist()]
    row_of = {article["article_id"]: row for row, article in enumerate(articles)}
    # A customer who buys two of the same has bought it.
    pairs = sorted({(customer, row_of[article]) for customer, article in bought if article in row_of})
    users = np.unique([customer for customer, _ in pairs], return_inverse=True)[1].astype(np.int64)
    rows = np.array([row for _, row in pairs], np.int64)
    ones = np.ones(len(rows), np.float32)
    ratings = Interactions(users, rows, ones, int(users.max()) + 1, len(articles), None, (0.0, 1.0))
    encoder = Encoder.load("tiny")
    vectors_ID = encoder.encode_texts([text_of_article(article) for article in articles]).vectors
    codes_I = np.unique([article["product_code"] for article in articles], return_inverse=True)[1]
    return Purchases(
        ratings,
        centre_items(np.zeros_like(vectors_ID), vectors_ID, 0.5),
        vectors_ID,
        joined(codes_I, twin_groups(vectors_ID)),
    )


def text_of_article(article: dict[str, str]) -> str:
    words = [article[name] for name in ("colour_group_name", "graphical_appearance_name", "product_type_name")]
    return f"{' '.join(words)}, {article['index_group_name']}. {article['prod_name']}. {article['detail_desc']}"


def joined(first_I: npt.NDArray[np.int64], second_I: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Groups of items that either numbering puts together."""
    nodes = [first_I, first_I.max() + 1 + second_I]
    n = int(nodes[1].max()) + 1
    edges = sparse.coo_matrix((np.ones(len(first_I), np.int8), (nodes[0], nodes[1])), (n, n))
    return np.asarray(connected_components(edges, directed=False)[1][first_I], np.int64)


def splits_of(purchases: Purchases, seeds: int) -> Iterator[tuple[str, int, Split]]:
    for seed in range(FIRST, FIRST + seeds):
        yield "new users", seed, new_user_split(purchases.ratings, seed)
        yield NEW_ITEMS, seed, new_item_split(purchases.ratings, seed, purchases.group_I)


def measure(purchases: Purchases, seeds: int) -> dict[tuple[str, str, str], PerUser]:
    """(slice, model, metric) -> each customer's mean over splits: float64 [users], NaN for those never judged."""
    n_users = purchases.ratings.n_users
    total: dict[tuple[str, str, str], PerUser] = {}
    times: dict[tuple[str, str, str], PerUser] = {}
    for kind, seed, split in splits_of(purchases, seeds):
        known_I = np.bincount(split.train.items, minlength=purchases.ratings.n_items) > 0
        for name in MODELS:
            model = make_model(name, seed).fit(split.train, purchases.items)
            slices = {NEW_ITEMS: ~known_I & sought_of(split, purchases.group_I)}
            verdict = judge(model, split, 1.0, K, vectors_ID=purchases.vectors_ID, slices=slices)
            ranking = verdict.slices[NEW_ITEMS if kind == NEW_ITEMS else ALL]
            for metric in ("ndcg", "hit_rate", "recall"):
                for label, figures in ((name, ranking.figures), ("(floor)", ranking.floor)):
                    figure_U = figures[metric]
                    judged_U = ~np.isnan(figure_U)
                    key = (kind, label, metric)
                    np.add.at(total.setdefault(key, np.zeros(n_users)), verdict.users[judged_U], figure_U[judged_U])
                    np.add.at(times.setdefault(key, np.zeros(n_users)), verdict.users[judged_U], 1)
    return {key: np.where(times[key] > 0, value / np.maximum(times[key], 1), np.nan) for key, value in total.items()}


def sought_of(split: Split, group_I: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Items of the groups that were held out: bool [items]."""
    return np.isin(group_I, group_I[split.test.items])


def lines_of(found: dict[tuple[str, str, str], PerUser]) -> Iterator[str]:
    for kind in ("new users", NEW_ITEMS):
        judged = int((~np.isnan(found[kind, POPULARITY, "ndcg"])).sum())
        yield f"{kind} ({judged} customers): {'NDCG@10':>8} {'95 %':>15} {'hit@10':>7} {'R@10':>7}   less popularity"
        for name in ("(floor)", *MODELS):
            mean, low, high = interval(found[kind, name, "ndcg"], np.random.default_rng(0))
            more = [f"{np.nanmean(found[kind, name, metric]):7.4f}" for metric in ("hit_rate", "recall")]
            ahead = paired_difference(
                found[kind, name, "ndcg"], found[kind, POPULARITY, "ndcg"], np.random.default_rng(1)
            )
            less = f"{ahead.mean:+.4f} ({ahead.low:+.4f}..{ahead.high:+.4f})"
            yield f"  {name:20} {mean:13.4f} {f'{low:.4f}..{high:.4f}':>15} {' '.join(more)}   {less}"


def rows_of(found: dict[tuple[str, str, str], PerUser]) -> list[Row]:
    rows = []
    for kind in ("new users", NEW_ITEMS):
        for ours in OURS:
            for other in (POPULARITY, ITEM_KNN):
                mine, their = (float(np.nanmean(found[kind, name, "ndcg"])) for name in (ours, other))
                rows.append(Row(f"{kind}: {ours} / {other}", mine, their, mine / max(their, 1e-9), "NDCG@10"))
    return rows


def run(seeds: int = SEEDS) -> list[Row]:
    """For tests.bench. Without the data: nothing, and a sentence."""
    if not FOLDER.is_dir():
        print(f"purchases is left out: {FOLDER} is not there")
        return []
    found = measure(read_purchases(), seeds)
    print(*lines_of(found), sep="\n")
    return rows_of(found)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.purchases")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"splits of each kind (default {SEEDS})")
    parser.add_argument("--json", action="store_true", help="the comparison as JSON, after the table")
    options = parser.parse_args()
    rows = run(options.seeds)
    if options.json:
        print(json.dumps({"rows": [asdict(row) for row in rows]}))


if __name__ == "__main__":
    main()
