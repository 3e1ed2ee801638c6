"""The demo data is what docs/demo_data.md says: sizes, shares, ceilings, one seed, no embedding anywhere."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.evaluation import precision_at
from models.fusion import centre_items
from models.interactions import History, interactions_of
from models.popularity import Popularity
from node.errors import UserError
from node.importers import Product, open_export
from node.pictures import PictureFolder
from sim.datasets import Demo, build_demo, write_demo
from sim.tastes import (
    LIKED,
    NOISE_SHARE,
    OWN,
    POPULATION,
    SHARES,
    STYLE,
    block_scores,
    draw_ratings,
    draw_weights,
)

SMALL = (12, 9)
DIGEST = """
import hashlib, sys
from pathlib import Path
from sim.datasets import build_demo, write_demo
demo = build_demo(5)
digest = hashlib.sha256(demo.ratings.complete_UI.tobytes() + demo.ratings.present_UI.tobytes())
digest.update(repr(demo.listings).encode())
folder = Path(sys.argv[1])
write_demo(folder, 5, image_size=32, sizes=(12, 9))
for path in sorted(folder.rglob("*.*")):
    if path.is_file():
        digest.update(path.name.encode() + path.read_bytes())
print(digest.hexdigest())
"""


@pytest.fixture(scope="module")
def demo() -> Demo:
    return build_demo(0)


def test_the_shops_have_the_sizes_that_the_project_began_with(demo: Demo) -> None:
    assert [len(shop.listings) for shop in demo.shops] == [1373, 1146]
    assert [{one.currency for one in shop.listings} for shop in demo.shops] == [{"GBP"}, {"INR"}]
    assert len({one.item for one in demo.listings}) == 2519
    assert all(one.name and one.description and one.brand and one.price_minor > 0 for one in demo.listings)
    assert demo.ratings.complete_UI.shape == (30, 2519)
    assert demo.columns(1) == slice(1373, 2519)


def test_ratings_are_whole_numbers_on_the_scale_and_four_fifths_are_missing(demo: Demo) -> None:
    complete_UI = demo.ratings.complete_UI
    assert complete_UI.dtype == np.int8
    assert (complete_UI.min(), complete_UI.max()) == (-1, 10)
    assert set(range(-1, 11)) == set(np.unique(complete_UI).tolist())
    assert 1 - demo.ratings.present_UI.mean() == pytest.approx(0.80, abs=0.01)
    assert 0.1 < (complete_UI >= LIKED).mean() < 0.3


def test_stated_shares_hold_over_many_users(demo: Demo) -> None:
    assert sum(SHARES.values()) + NOISE_SHARE == pytest.approx(1)
    # Many worlds of few users: within one world all users share the population's part and its accidents.
    variance, explained = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        scores = block_scores(draw_weights(demo.features, rng.integers(0, 6, 50), rng), demo.features)
        ratings = draw_ratings(scores, rng)
        for block, share in SHARES.items():
            assert scores[block].var(axis=1) == pytest.approx(share)
        variance.append(ratings.ideal_UI.var(axis=1).mean())
        pairs = zip(ratings.ideal_UI, ratings.complete_UI, strict=True)
        explained += [np.corrcoef(ideal_I, complete_I)[0, 1] ** 2 for ideal_I, complete_I in pairs]
    # Blocks are drawn independently, so on average they don't covary.
    assert np.mean(variance) == pytest.approx(1 - NOISE_SHARE, abs=0.01)
    # Rounding and the ends of the scale cost one or two hundredths more than the noise itself.
    assert 1 - NOISE_SHARE - 0.03 < np.mean(explained) < 1 - NOISE_SHARE


def test_stated_parts_of_population_style_and_own_hold(demo: Demo) -> None:
    assert pytest.approx(1) == POPULATION + STYLE + OWN
    products: dict[bool, list[float]] = {True: [], False: []}
    style_U = np.array([0, 0, 1])
    for seed in range(300):
        weights = draw_weights(demo.features, style_U, np.random.default_rng(seed))
        row = np.concatenate([weights[block] for block in SHARES], axis=1)
        products[True].append(float((row[0] * row[1]).mean()))
        products[False].append(float((row[0] * row[2]).mean()))
    assert np.mean(products[True]) == pytest.approx(POPULATION + STYLE, abs=0.04)
    assert np.mean(products[False]) == pytest.approx(POPULATION, abs=0.04)


@pytest.mark.parametrize("seed", range(3))
def test_ceiling_over_what_can_be_seen_over_popularity_over_chance(seed: int) -> None:
    demo = build_demo(seed)
    ratings = demo.ratings
    for shop in range(2):
        columns = demo.columns(shop)
        complete_UI, present_UI = ratings.complete_UI[:, columns], ratings.present_UI[:, columns]
        rows = [np.flatnonzero(mine) for mine in present_UI]
        histories = [History(mine, complete_UI[user, mine].astype(np.float32)) for user, mine in enumerate(rows)]
        n_items = complete_UI.shape[1]
        nothing = np.zeros((n_items, 1), np.float32)
        popular = Popularity().fit(interactions_of(histories, n_items), centre_items(nothing, nothing, 0.5))
        rankings = {
            "ceiling": ratings.ideal_UI[:, columns],
            "visible": ratings.visible_UI[:, columns],
            "popularity": popular.scores(histories),
            "chance": np.random.default_rng(seed).random(complete_UI.shape),
        }
        quality = {
            name: np.nanmean(precision_at(scores.astype(np.float32), complete_UI >= LIKED, ~present_UI, 10))
            for name, scores in rankings.items()
        }
        assert quality["ceiling"] > quality["visible"] > quality["popularity"] + 0.2, quality
        assert quality["popularity"] > quality["chance"] + 0.05, quality
        assert quality["ceiling"] > 0.97


def test_no_encoder_is_anywhere_near() -> None:
    code = "import sys, sim.datasets; print([m for m in ('torch', 'open_clip', 'models') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_one_seed_gives_one_world_in_every_process(tmp_path: Path) -> None:
    digests = []
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", DIGEST, str(tmp_path / hash_seed)],
            capture_output=True, text=True, check=True, timeout=120, env=environment,
        )  # fmt: skip
        digests.append(done.stdout)
    assert digests[0] == digests[1] != ""
    assert not np.array_equal(build_demo(5).ratings.complete_UI, build_demo(6).ratings.complete_UI)


def test_exports_are_read_back_as_they_were_meant(tmp_path: Path) -> None:
    demo = write_demo(tmp_path, 0, image_size=32, sizes=SMALL)
    for shop in demo.shops:
        place = tmp_path / shop.trade.platform.lower()
        rows = list(open_export(place / "catalog.csv"))
        assert all(isinstance(row, Product) for row in rows)
        products = [row for row in rows if isinstance(row, Product)]
        assert [product.item for product in products] == [listing.record() for listing in shop.listings]
        pictures = PictureFolder(place / "images")
        found = [pictures.find(product.pictures, product.item.item) for product in products]
        assert [path and path.name for path in found] == [listing.picture for listing in shop.listings]


def test_ratings_files_hold_each_shops_own_ratings_and_no_others(tmp_path: Path) -> None:
    demo = write_demo(tmp_path, 0, image_size=32, sizes=SMALL)
    for number, shop in enumerate(demo.shops):
        lines = (tmp_path / shop.trade.platform.lower() / "ratings.csv").read_text().splitlines()
        assert lines[0] == "user,item,rating,timestamp"
        stated = {(user, item): int(rating) for user, item, rating, _ in (line.split(",") for line in lines[1:])}
        columns = demo.columns(number)
        users, items = np.nonzero(demo.ratings.present_UI[:, columns])
        expected = {
            (demo.personas[user].name, shop.listings[item].item): int(demo.ratings.complete_UI[user, columns][item])
            for user, item in zip(users.tolist(), items.tolist(), strict=True)
        }
        assert stated == expected


def test_an_interrupted_run_is_completed_and_what_was_there_is_left_alone(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    write_demo(whole, 1, image_size=32, sizes=SMALL)

    def stop(pictures: int) -> None:
        if pictures and len(list(broken.rglob("*.jpg"))) >= 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_demo(broken, 1, image_size=32, sizes=SMALL, progress=stop)
    early = {path: path.stat().st_mtime_ns for path in broken.rglob("*.jpg")}
    assert 5 <= len(early) < 21
    heard: list[int] = []
    write_demo(broken, 1, image_size=32, sizes=SMALL, progress=heard.append)
    assert sum(heard) == 21
    assert all(path.stat().st_mtime_ns == when for path, when in early.items())
    assert digest_of(whole) == digest_of(broken)


def test_two_processes_make_what_one_makes(tmp_path: Path) -> None:
    """Above 200 pictures a helper takes half; an early stop leaves few enough for one process to finish alone."""
    heard: list[int] = []

    def stop(pictures: int) -> None:
        heard.append(pictures)
        if sum(heard) >= 50:
            raise KeyboardInterrupt

    sizes = (110, 95)
    with pytest.raises(KeyboardInterrupt):
        write_demo(tmp_path / "twice", 2, image_size=16, sizes=sizes, progress=stop)
    for helper in multiprocessing.active_children():
        helper.join(5)
        assert not helper.is_alive()
    write_demo(tmp_path / "twice", 2, image_size=16, sizes=sizes)
    heard = []
    write_demo(tmp_path / "once", 2, image_size=16, sizes=sizes, progress=heard.append)
    assert sum(heard) == 205
    unfinished = {name for name in digest_of(tmp_path / "twice") if name.endswith(".part")}
    assert len(unfinished) <= 1
    twice = digest_of(tmp_path / "twice")
    assert digest_of(tmp_path / "once") == {name: twice[name] for name in twice.keys() - unfinished}


def test_pictures_of_other_garments_are_never_taken_for_these(tmp_path: Path) -> None:
    write_demo(tmp_path, 1, image_size=32, sizes=SMALL)
    with pytest.raises(UserError, match="another seed"):
        write_demo(tmp_path, 2, image_size=32, sizes=SMALL)


def digest_of(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
