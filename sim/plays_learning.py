"""Scenarios of learning together: many shops, people on their own, newcomers, liars, and who would be promoted."""

from __future__ import annotations

import numpy as np

from models.evaluation import ndcg_at
from models.interactions import History
from models.shared_models import shared_model
from node.blocks import pack_block
from node.events import Train, Trained
from node.learner import Learner, LearningSet
from node.store import Write
from protocol.records import Item, pack_item, parse_item
from protocol.vectors import pack_vectors, parse_vectors
from sim.outcome import Assertion, Outcome, Row
from sim.plays_network import settle
from sim.referee import P2P
from sim.seat import Seat
from sim.stage import CHECKED_MAX, TASTE, Cast, K, Options, Stage
from sim.town import DIM, SPACE

PERIODS = 16


def many_shops(options: Options) -> Outcome:
    """Shops whose people overlap a little learn together; each then recommends what all of them sell."""
    shops = options.nodes_or(10)
    periods = round(options.number("periods", PERIODS, 1, 1000))
    stage = Stage(options, Cast(shops, 60, round(options.number("people", 20 * shops, 1, 100_000))), options.link())
    stage.start()
    first = settle(stage)
    curve = []
    for _ in range(periods):
        stage.periods(1)
        curve.append((stage.world.seconds, stage.ndcg()))
    told = stage.outcome("many-shops")
    told.rows = stage.rows(periods)
    told.curves["NDCG@10, Discover"] = {"together": curve, **bounds(told.rows, curve)}
    told.asserted = [first, *learned_well(told.rows)]
    return told


def bounds(rows: list[Row], curve: list[tuple[float, float]]) -> dict[str, list[tuple[float, float]]]:
    """Floor, pooled and ceiling of Discover as lines beside a curve."""
    ends = [curve[0][0], curve[-1][0]]
    lines = {}
    for row in rows:
        if row["slice"] == "Discover" and (row["setting"] in ("", "pooled") or row["model"] == "ridge"):
            lines[row["model"] if row["setting"] != "pooled" else "one machine"] = [(end, row["ndcg"]) for end in ends]
    return lines


def learned_well(rows: list[Row]) -> list[Assertion]:
    """Together is as good as one machine, but for 5 %, and better than each alone."""
    ndcg = {(row["slice"], row["setting"], row["model"]): row["ndcg"] for row in rows}
    together, one = ndcg["Discover", P2P, TASTE], ndcg["Discover", "pooled", TASTE]
    alone = ndcg["Discover", P2P, "ridge"]
    return [
        Assertion("Discover is at least 95 % of one machine with all ratings", together >= 0.95 * one,
                  f"{together:.4f} / {one:.4f} = {together / one:.4f}"),
        Assertion("Discover is better than each user's own ridge", together > alone, f"{together:.4f} > {alone:.4f}"),
    ]  # fmt: skip


def one_user_a_node(options: Options) -> Outcome:
    """A few shops, and beside them nodes of one person each: nobody's ratings are anywhere but at home."""
    nodes = options.nodes_or(100, 10)
    shops = min(5, nodes // 4)
    cast = Cast(
        shops,
        round(options.number("items", 20, 2, 10_000)),
        0,
        persons=nodes - shops,
        degree=2,
        period_s=options.number("period_s", 1200, 1),
    )
    seconds = options.number("seconds", 3600, 1)
    stage = Stage(options, cast, options.link(), checked=nodes <= CHECKED_MAX)
    stage.start()
    stage.run(seconds)
    settled = settle(stage, 300)
    told = stage.outcome("one-user-a-node")
    some = stage.seats[shops : shops + 200]
    figures = {line: float(np.nanmean([own_ndcg(stage, seat, line) for seat in some])) for line in ("learned", "ridge")}
    alone, together = figures["ridge"], figures["learned"]
    told.rows = [
        {"setting": P2P, "model": "ridge", "platform": "all", "slice": "own user", "ndcg": alone},
        {"setting": P2P, "model": TASTE, "platform": "all", "slice": "own user", "ndcg": together},
    ]
    gain = Assertion(
        "people are recommended better than by each one's own ridge", together > alone, f"{together:.4f} > {alone:.4f}"
    )
    told.asserted = [settled, gain]
    return told


def own_ndcg(stage: Stage, seat: Seat, line: str) -> float:
    """How well a person's own node knows the person: everything not rated yet competes."""
    ((user, columns),) = stage.parts[seat.number]
    history = stage.history(user, columns)
    setting, model = (P2P, "ridge") if line == "ridge" else (P2P, TASTE)
    scores_UI = stage.scores(setting, model, seat, [history])
    among_UI = ~stage.town.ratings.present_UI[user][None]
    return float(ndcg_at(scores_UI, stage.town.liked[user][None], among_UI, K)[0])


def cold_start(options: Options) -> Outcome:
    """Newcomers of 1 to 10 ratings at shops that learned together, and at the same shops each alone."""
    shops = options.nodes_or(8)
    periods = options.number("periods", PERIODS, 1, 1000)
    stage = Stage(options, Cast(shops, 60, 20 * shops), options.link())
    stage.start()
    settled = settle(stage)
    stage.periods(periods)
    told = stage.outcome("cold-start")
    gains = []
    for count in (1, 2, 5, 10):
        figures = {}
        for setting, model in ((P2P, "content"), (P2P, "ridge"), (P2P, TASTE)):
            found = [newcomers(stage, seat, setting, model, count) for seat in stage.judged()]
            figures[model] = float(np.nanmean(np.concatenate(found)))
            told.rows.append({"setting": setting, "model": model, "platform": "all", "slice": f"{count} ratings",
                              "ndcg": figures[model]})  # fmt: skip
        gains.append(figures[TASTE] - max(figures["content"], figures["ridge"]))
    told.curves["NDCG@10 of newcomers by ratings known"] = {
        model: [(float(row["slice"].split()[0]), row["ndcg"]) for row in told.rows if row["model"] == model]
        for model in ("content", "ridge", TASTE)
    }
    better = Assertion("newcomers are served better than by content or their own ridge, at every number of ratings",
                       min(gains) > 0, ", ".join(f"{gain:+.3f}" for gain in gains))  # fmt: skip
    told.asserted = [settled, better]
    return told


def newcomers(
    stage: Stage, seat: Seat, setting: str, model: str, count: int
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """NDCG over all that is sold anywhere and not told of, of people who told so many ratings."""
    home = stage.town.columns(seat.number)
    rng = np.random.default_rng([stage.options.seed, seat.number, count])
    asked = []
    for user in stage.asked:
        whole = stage.history(user, home)
        some = np.sort(rng.permutation(len(whole))[:count])
        asked.append(History(whole.items[some], whole.values[some]))
    scores_UI = stage.scores(setting, model, seat, asked)
    among_UI = np.ones(scores_UI.shape, bool)
    for row, one in enumerate(asked):
        among_UI[row, one.items] = False
    return ndcg_at(scores_UI, stage.town.liked[stage.asked.start : stage.asked.stop], among_UI, K)


class Liar(Learner):
    """Learns as anybody, and tells the opposite: its block turned round the common start."""

    def run(self, job: Train) -> Trained:
        honest = super().run(job)
        known: LearningSet = self._read()
        model = shared_model(job.model, known.items, known.histories, self._basis, job.chance, job.merged)
        start_V = model.start()
        lie_V = start_V - (honest.outcome.state.values_V - start_V)
        bounded = getattr(model, "within_bounds", None)
        return Trained(
            honest.outcome,
            honest.verdicts,
            honest.users,
            honest.crowd,
            pack_block(model, bounded(lie_V) if bounded is not None else lie_V, job.chance),
        )


def byzantine(options: Options) -> Outcome:
    """A fifth of the nodes tell the opposite of what they learned; the others' gates keep it out."""
    shops = options.nodes_or(10, 5)
    lying, periods = options.number("lying", 0.2, 0, 0.5), round(options.number("periods", PERIODS, 1, 1000))
    figures = []
    for share in (0.0, lying):
        stage = Stage(options, Cast(shops, 60, 20 * shops), options.link())
        liars = set(range(shops - round(share * shops), shops))
        for seat in (stage.seats[number] for number in sorted(liars)):
            seat.learner = Liar(seat.learner._read, SPACE.basis, seat.learner._noise)
        stage.start()
        settled = settle(stage)
        stage.periods(periods)
        honest = [seat for seat in stage.judged() if seat.number < shops - round(lying * shops)]
        figures.append((stage, honest, settled))
    (calm, calm_honest, _), (stage, honest, settled) = figures
    told = stage.outcome("byzantine")
    told.rows = stage.rows(periods)
    for question in ("Discover", "Warm"):
        clean, attacked = calm.ndcg(calm_honest, question), stage.ndcg(honest, question)
        for name, ndcg in (("nobody lies", clean), (f"{lying:.0%} lie", attacked)):
            told.rows.append({"setting": P2P, "model": f"{TASTE}, {name}", "platform": "honest", "slice": question,
                              "ndcg": ndcg})  # fmt: skip
        told.asserted.append(Assertion(f"{question}: liars cost honest nodes at most 5 %", attacked >= 0.95 * clean,
                                       f"{attacked:.4f} / {clean:.4f} = {attacked / clean:.4f}"))  # fmt: skip
    told.asserted.append(settled)
    return told


def promotion(options: Options) -> Outcome:
    """A shop puts the mean of what is liked everywhere into one item's vector, to be shown everywhere."""
    shops = options.nodes_or(8)
    periods = options.number("periods", PERIODS, 1, 1000)
    stage = Stage(options, Cast(shops, 60, 20 * shops), options.link())
    stage.start()
    settled = settle(stage)
    stage.periods(periods)
    pushed = stage.town.columns(0).start
    clean = exposure(stage, pushed)
    shop, write = stage.shops[0], stage.town.writes_of(0)[0]
    shop.write([blended(stage, write)])
    stage.world.edited(shop)
    again = settle(stage)
    stage.periods(2)
    lied = exposure(stage, pushed)
    usual = K / len(stage.town.writes)
    told = stage.outcome("promotion")
    for name, share in (("honest vector", clean), ("blended vector", lied)):
        told.rows.append({"setting": P2P, "model": name, "platform": "all", "slice": "promotion", "exposure": share,
                          "times_usual": share / usual})  # fmt: skip
    told.notes.append(
        "vetting (p2prec catalog vet) is the owner's to run and is not run here: this is the exposure without it"
    )
    told.asserted = [settled, again]
    return told


def exposure(stage: Stage, column: int) -> float:
    """Share of other shops' people who see it in their top 10 of others' items."""
    seen = [
        column in stage.top_list(seat, user)
        for seat in stage.judged()
        if seat.number
        for user in stage.people[seat.number][:20]
    ]
    return sum(seen) / max(len(seen), 1)


def blended(stage: Stage, write: Write) -> Write:
    """The item with the mean direction of the best-liked tenth of the town as its vector."""
    liked = np.argsort(-stage.town.liked.mean(axis=0), kind="stable")[: len(stage.town.writes) // 10]
    image_ID, text_ID = parse_vectors([stage.town.writes[column].vector for column in liked.tolist()], DIM)
    (vector,) = pack_vectors(image_ID.mean(axis=0, keepdims=True), text_ID.mean(axis=0, keepdims=True))
    item: Item = parse_item(write.packed)
    return Write(write.item, pack_item(item), vector, write.source)
