"""Beside gossipy, the peer-to-peer learning simulator of PyPI: one user of MovieLens small a node, rank 10.

    python -m tests.bench.gossipy_peer [--rounds N] [--fan-out N] [--remembered] [--environment DIR]
                                       [--model NAME] [--validation] [--json]

The split is that of tests.bench.movielens, and one piece of code judges everybody's predictions: RMSE over the held-out
ratings, NDCG@10 of liked ones among all films not rated in training. Three sides, each a process of its own: gossipy
(matrix factorisation, PUSH to one of 20 neighbours a round, its merge corrected); *engines*, our production engines
with stores, signatures and frames on a virtual network; *rounds*, models.learning_round alone, with none of these.
An update is a node's period: merge and learn. As many rounds and as many peers told a round for all, but an engine's
exchange goes both ways. What is known of a film is its title and its genres, as RANK numbers; tags are left out, for
they say who has seen a film.

gossipy is installed into an environment of its own (--environment), made where it is missing. RATE was chosen with
--validation, on a tenth of the training part. The notes measured on ml-100k, whose 943 users this data set has not:
where 943 nodes are asked for, users come again. *alone*: a node of ours that never heard of anybody.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from models.baselines import Biases, MostLiked, UserMean
from models.interactions import interactions_of
from models.item_factors import ItemFactors
from models.metrics import ceiling_metrics, floor_metrics
from models.popularity import Popularity
from models.recommender import RatingPredictor, Recommender, Scores
from models.shared_model import Crowd
from models.splits import Split, random_split
from models.taste_prior import TastePrior
from sim.ratings_file import read_ratings
from tests.bench.film_people import film_vectors
from tests.bench.gossipy_ours import BASIS, RANK, TASTE, answer_by, both, on_file_scale, read
from tests.bench.movielens import DATA, LIKED, SEED, Answer, K, figures_of, movielens
from tests.bench.row import Row

WANTED = "gossipy-dfl==0.0.1"
ENVIRONMENT = Path(tempfile.gettempdir()) / "p2prec-bench-gossipy"
INSTALL_SECONDS, RUN_SECONDS = 1_200, 3_600
DRIVER = Path(__file__).with_name("gossipy_driver.py")
ROUNDS, MANY, MANY_ROUNDS = 20, 943, 3
# On the validation part after 20 rounds: .01 / .03 / .06 came to RMSE .941 / .947 / .952, NDCG@10 .071 / .071 / .065.
RATE, REG = 0.01, 0.1
#: What gossipy took on ml-100k, as shipped, CPU seconds per 1,000 updates: ../shared/notes/peers.md, section 3.
NOTED = 0.79
CLASS_RMSE = 0.931
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Side:
    """What a run left: peak memory, and figures by round; `cpu_s` since the round before, the rest since the start."""

    peak_mib: float
    curve: list[Figures]

    @property
    def cpu_s(self) -> float:
        """CPU seconds per 1,000 updates, of all rounds."""
        return 1000 * sum(one["cpu_s"] for one in self.curve) / self.end["updates"]

    def late_cpu_s(self, place: int) -> float:
        """The same, of the rounds between two looks."""
        before = self.curve[place - 1]["updates"] if place else 0
        return 1000 * self.curve[place]["cpu_s"] / (self.curve[place]["updates"] - before)

    @property
    def end(self) -> Figures:
        return self.curve[-1]

    def reached(self, rmse: float) -> Figures | None:
        """The first round looked at with an RMSE no larger."""
        return next((one for one in self.curve if one["rmse"] <= rmse), None)


# -- gossipy's environment ---------------------------------------------------------------------------------------------


def gossipy_python(folder: Path) -> Path:
    """The interpreter of an environment with gossipy. Raises: OSError, subprocess.SubprocessError."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    package, version = WANTED.split("==")
    asked = f"from importlib.metadata import version; assert version({package!r}) == {version!r}"
    if subprocess.run([python, "-c", asked], capture_output=True).returncode:
        print(f"installing {WANTED} into {folder}", file=sys.stderr)
        command = [str(python), "-m", "pip", "install", "--quiet", WANTED]
        subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_SECONDS)
    return python


# -- the work ----------------------------------------------------------------------------------------------------------


def film_split(*, validation: bool) -> Split:
    """The split of tests.bench.movielens; with `validation`, its training part split again as there."""
    split = random_split(movielens(), SEED)
    return random_split(split.train, SEED + 1, 0.1) if validation else split


def write_work(folder: Path, split: Split) -> None:
    """What every side reads. Films are in the order that movielens() draws."""
    films = np.unique(read_ratings(DATA).items)
    drawn_I = np.random.default_rng(0).permutation(len(films))
    text_ID = np.empty((len(films), RANK), np.float32)
    text_ID[drawn_I] = film_vectors([str(film) for film in films], RANK, with_tags=False)
    np.save(folder / "films.npy", text_ID)
    np.savez(folder / "train.npz", users=split.train.users, items=split.train.items, values=split.train.values)


def marks_of(rounds: int) -> list[int]:
    """Rounds after which quality is looked at."""
    return sorted({max(1, round(rounds * part)) for part in (0.05, 0.1, 0.25, 0.5, 1)})


def run_side(command: Sequence[str | Path], work: Path, split: Split, config: dict[str, Any]) -> Side:
    """One process, judged by what it left. Raises: OSError, subprocess.SubprocessError."""
    (work / "config.json").write_text(json.dumps(config))
    subprocess.run(
        [*command, work],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=RUN_SECONDS,
        env=os.environ | ONE_THREAD,
    )
    result = json.loads((work / "result.json").read_text())
    for one in result["curve"] if config["judged"] else []:
        expected_UI = np.load(work / f"expected_{one['round']}.npy")
        score_UI = np.load(work / f"score_{one['round']}.npy") if "part" in config else None
        one |= judged(expected_UI, split, score_UI)
    return Side(result["peak_mib"], result["curve"])


def judged(expected_UI: Scores, split: Split, score_UI: Scores | None = None) -> Figures:
    """Everybody's predictions by the same rule, on the file's scale; `score_UI` ranks where it is not they."""
    predicted = np.clip(expected_UI[split.test.users, split.test.items], 0.5, 5.0)
    return figures_of(Answer(expected_UI if score_UI is None else score_UI, predicted), split)


def baselines(work: Path, split: Split, rounds: int, model: str) -> dict[str, Figures]:
    """Chance, what everybody likes, one machine with everybody's ratings, and a perfect order."""
    relevant_U = np.bincount(split.test.users[split.test.values >= LIKED], minlength=split.test.n_users)
    candidates_U = split.train.n_items - np.bincount(split.train.users, minlength=split.train.n_users)
    floor, ceiling = floor_metrics(relevant_U, candidates_U, K), ceiling_metrics(relevant_U, K)
    items, told = read(work)
    found = {"chance": {"ndcg": float(np.nanmean(floor["ndcg"])), "rmse": float("nan")}}
    # Before anything was heard: no byte sent.
    alone_UI, score_UI = both([answer_by(model, items, one, None, Crowd()) for one in told])
    found["alone"] = judged(alone_UI, split, score_UI)
    others: dict[str, Recommender] = {
        "popularity (mean)": Popularity(),
        "popularity (likes)": MostLiked(relevant=LIKED),
        "user's mean": UserMean(),
        "biases": Biases(),
    }
    histories = split.train.histories()
    for name, other in others.items():
        other.fit(split.train, items)
        expected_UI = other.expected(histories) if isinstance(other, RatingPredictor) else other.scores(histories)
        found[name] = judged(expected_UI, split)
        if not isinstance(other, RatingPredictor):
            found[name]["rmse"] = float("nan")
    pooled = TastePrior(basis=BASIS, iterations=rounds) if model == TASTE else ItemFactors(sweeps=rounds)
    pooled.fit(interactions_of(told, len(items)), items)
    found["one machine"] = judged(on_file_scale(pooled.expected(told)), split, pooled.scores(told))
    return found | {"perfect": {"ndcg": float(np.nanmean(ceiling["ndcg"])), "rmse": 0.0}}


def measure(options: Any, work: Path) -> tuple[dict[str, Figures], dict[str, Side]]:
    """All sides, and again with MANY nodes for their memory. Without gossipy: ours alone, and a sentence."""
    split = film_split(validation=options.validation)
    write_work(work, split)
    users, ours = int(split.train.n_users), [sys.executable, "-m", "tests.bench.gossipy_ours"]
    config: dict[str, Any] = {"n_users": users, "n_items": int(split.train.n_items), "fan_out": options.fan_out}
    config |= {"model": options.model, "remembered": options.remembered, "rank": RANK, "rate": options.rate, "reg": REG}
    full = config | {"nodes": users, "marks": marks_of(options.rounds), "judged": True}
    many = config | {"nodes": MANY, "marks": [MANY_ROUNDS], "judged": False}
    sides = {}
    for part in ("engines", "rounds"):
        sides[part] = run_side(ours, work, split, full | {"part": part})
        sides[f"{part}, {MANY}"] = run_side(ours, work, split, many | {"part": part})
    try:
        theirs = [gossipy_python(options.environment), DRIVER]
        sides["gossipy"] = run_side(theirs, work, split, full)
        sides[f"gossipy, {MANY}"] = run_side(theirs, work, split, many)
    except (OSError, subprocess.SubprocessError) as error:
        told = getattr(error, "stderr", None) or b""
        last = told.decode(errors="replace").strip().rpartition("\n")[2]
        print(f"gossipy is left out, for it could not be installed or run: {error} {last}", file=sys.stderr)
    return baselines(work, split, options.rounds, options.model), sides


# -- telling -----------------------------------------------------------------------------------------------------------


def row(name: str, ours: float, yardstick: float, unit: str, goal: str | None = None) -> Row:
    return Row(name, ours, yardstick, ours / yardstick if yardstick else float("nan"), unit, goal)


def rows_of(beside: dict[str, Figures], sides: dict[str, Side]) -> list[Row]:
    """Against the figures of the notes, and against gossipy as it ran here."""
    rows, engines = [], sides["engines"]
    goals = {"rounds": "ours <= 0.08", "engines": "ours <= 0.5"}
    gossipy = sides.get("gossipy")
    for part, goal in goals.items():
        name = f"{part}: CPU per 1,000 updates"
        rows.append(row(f"{name} / gossipy on ml-100k", sides[part].cpu_s, NOTED, "s", goal))
        if gossipy:
            rows.append(row(f"{name} / gossipy here", sides[part].cpu_s, gossipy.cpu_s, "s", goal))
    end = engines.end
    if gossipy:
        rows.append(row("engines: RMSE / gossipy", end["rmse"], gossipy.end["rmse"], "stars", "<= 1"))
        rows.append(row("engines: NDCG@10 / gossipy", end["ndcg"], gossipy.end["ndcg"], "NDCG@10", ">= 1"))
    for name in ("popularity (likes)", "popularity (mean)"):
        rows.append(row(f"engines: NDCG@10 / {name}", end["ndcg"], beside[name]["ndcg"], "NDCG@10", "> 1"))
        if gossipy:
            rows.append(row(f"gossipy: NDCG@10 / {name}", gossipy.end["ndcg"], beside[name]["ndcg"], "NDCG@10"))
    for name in ("biases", "alone", "one machine"):
        rows.append(row(f"engines: RMSE / {name}", end["rmse"], beside[name]["rmse"], "stars"))
    rows.append(row(f"engines: RMSE after {end['round']} rounds / goal", end["rmse"], CLASS_RMSE, "stars", "<= 1"))
    if gossipy:
        rows += byte_rows(engines, gossipy)
        if beside["alone"]["rmse"] <= CLASS_RMSE:
            print(
                f"RMSE {CLASS_RMSE} is reached alone, before a byte is sent: what it costs to reach says little",
                file=sys.stderr,
            )
    for part in ("engines", "rounds", "gossipy"):
        if f"{part}, {MANY}" in sides:
            mib = sides[f"{part}, {MANY}"].peak_mib
            rows.append(row(f"{part}: memory, {MANY} nodes", mib, 614.4, "MiB", "<= 1" if part != "gossipy" else None))
    return rows


def byte_rows(engines: Side, gossipy: Side) -> list[Row]:
    """At equal rounds, and until the class of quality is reached; where gossipy does not reach it, it takes more."""
    ours, theirs = engines.reached(CLASS_RMSE), gossipy.reached(CLASS_RMSE)
    sent = (engines.end["bytes_a_node"], gossipy.end["bytes_a_node"])
    rows = [row("engines: bytes a node / gossipy, equal rounds", *sent, "bytes", "<= 0.1")]
    if ours is None:
        print(
            f"RMSE {CLASS_RMSE} is not reached by the engines; gossipy: {'reached' if theirs else 'not reached'}",
            file=sys.stderr,
        )
        return rows
    name = f"engines: bytes a node to RMSE {CLASS_RMSE} (round {ours['round']}) / gossipy"
    name += f" (round {theirs['round']})" if theirs else " (not reached: all it sent)"
    yardstick = (theirs or gossipy.end)["bytes_a_node"]
    return [*rows, row(name, ours["bytes_a_node"], yardstick, "bytes", "<= 0.1")]


def tell(beside: dict[str, Figures], sides: dict[str, Side]) -> None:
    print(f"{'':22} {'round':>5} {'RMSE':>8} {'NDCG@10':>8} {'kB a node':>10} {'CPU s/1000':>10} {'MiB':>6}")
    for name, one in beside.items():
        print(f"{name:22} {'':5} {one['rmse']:8.4f} {one['ndcg']:8.4f}")
    for name, side in sides.items():
        for place, one in enumerate(side.curve):
            quality = f"{one.get('rmse', float('nan')):8.4f} {one.get('ndcg', float('nan')):8.4f}"
            cost = f"{one['bytes_a_node'] / 1000:10.1f} {side.late_cpu_s(place):10.3f} {side.peak_mib:6.0f}"
            print(f"{name:22} {one['round']:5} {quality} {cost}")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gossipy_peer", description=str(__doc__)[:97])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--fan-out", type=int, default=1, help="peers that a node tells a round (gossipy: always 1)")
    parser.add_argument("--model", choices=("taste_prior", "item_factors"), default="taste_prior", help="ours")
    parser.add_argument("--remembered", action="store_true", help="engines verify a signature once in the process")
    parser.add_argument("--rate", type=float, default=RATE, help="gossipy's learning rate")
    parser.add_argument("--environment", type=Path, default=ENVIRONMENT, help="where gossipy is, or will be, installed")
    parser.add_argument("--validation", action="store_true", help="judge on a part of the training set")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if not DATA.is_file():
        print(f"gossipy_peer is left out: {DATA} is not there", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as temporary, threadpool_limits(1):
        beside, sides = measure(options, Path(temporary))
    rows = rows_of(beside, sides)
    if options.json:
        told = {name: asdict(side) for name, side in sides.items()}
        print(json.dumps({"rows": [asdict(one) for one in rows], "sides": told, "beside": beside}))
        return
    tell(beside, sides)
    for one in rows:
        goal = f"   goal {one.goal}" if one.goal else ""
        print(f"{one.name:76} {one.ours:11.4g} / {one.yardstick:11.4g} {one.unit:8} = {one.ratio:8.4f}{goal}")


if __name__ == "__main__":
    main()
