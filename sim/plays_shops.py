"""`two-shops`: the cross-platform experiment (design, section 9) by two simulated nodes with real pictures' vectors.

The same world, stores and referee as where the two nodes are processes (tests.bench.two_shops).
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from models.evaluation import paired_difference
from models.features import basis_of, features_of
from models.shared_models import BESIDE, SHARED_MODELS
from node.errors import UserError
from node.learned import Learned
from node.learning_service import LearningPlan
from node.session import open_encoder
from node.store import Rating, Write
from protocol.records import pack_item
from sim.checkers import PLANTED, all_checkers
from sim.cross_platform import World as Shops
from sim.cross_platform import as_binary, given, hold_back, load_world
from sim.outcome import Assertion, Outcome
from sim.referee import Judgement, Place, Referee, open_place, rows
from sim.seat import Plan, Seat, Space
from sim.settled import unsettled
from sim.shops import TRADES
from sim.stage import Options, world_outcome
from sim.town import RATED_MS
from sim.world import World, address_of

ENCODER, PERIOD_MS, ASKED = "tiny", 10_000, 40


def two_shops(options: Options) -> Outcome:
    """Two shops, of the demo's size, learn together; four questions, alone, together and on one machine."""
    if options.nodes not in (None, 2):
        raise UserError("--nodes must be 2 in this scenario")
    learners = round(options.number("people", 30, 10, 10_000))
    periods = round(options.number("periods", 24, 1, 1000))
    kind = options.word("ratings", "full", ("full", "binary"))
    # Of the demo's items, for a quick look.
    share = options.number("share", 1.0, 0.05, 1.0)
    sizes = None if share == 1 else [round(share * trade.items) for trade in TRADES]
    link, folder_named = options.link(), options.word("folder", "")
    options.refuse_others()
    encoder = open_encoder(ENCODER)
    space = Space(ENCODER, bytes.fromhex(encoder.fingerprint), encoder.dim, basis_of(ENCODER), lambda: encoder)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(folder_named or temporary)
        try:
            shops = load_world(options.seed, learners + ASKED, encoder, ENCODER, folder, sizes=sizes)
        except OSError as error:
            raise UserError(f"can't keep the demo in {folder}: {error.strerror or error}") from error
    shops, new_B = hold_back(as_binary(shops) if kind == "binary" else shops)
    world = World(options.seed, space, link, all_checkers())
    a, b = open_shops(world, shops, learners, new_B)
    columns = shops.columns((a.peer, b.peer))
    alone = place_of(a, columns)
    for seat in (a, b):
        world.start(seat)
    while min(ages(a) + ages(b)) < periods:
        world.run(PERIOD_MS / 1000)
        options.progress(world)
    late_s = publish_late(world, a, b, shops, new_B)
    if unsettled([a, b]):
        raise UserError(f"the two shops did not come to know each other ({unsettled([a, b])[0]}); is all broken?")
    judged = Referee(shops, learners, alone, place_of(a, columns), place_of(b, columns)).ask(new_B)
    told = world_outcome(world, "two-shops", options.seed)
    told.rows = list(rows(judged))
    told.notes.append(
        f"truth is complete: what each of {ASKED} people in no store would rate every item; {kind} ratings"
    )
    told.asserted = claims(judged, late_s)
    return told


def open_shops(
    world: World, shops: Shops, learners: int, new_B: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> list[Seat]:
    """A and B with their catalogs, B's without what is published late, and the ratings that were given at each."""
    models = tuple(name for model in SHARED_MODELS for name in (model, *BESIDE.get(model, ())))
    plan = LearningPlan(models, features_of(ENCODER), PERIOD_MS, None)
    seats: list[Seat] = []
    for platform, columns in zip(shops.platforms, (shops.home, shops.away), strict=True):
        named = tuple(address_of(one.peer) for one in seats)
        seat = world.add(Plan(platform, named, plan))
        sold = np.ones(columns.stop - columns.start, bool) if not seats else ~new_B
        seat.write([write_of(shops, columns.start + int(place)) for place in np.flatnonzero(sold)])
        rated = given(shops, slice(0, learners), columns)
        seat.store.write_ratings(
            Rating(f"{PLANTED}{user}", seat.peer, shops.records[column].item, float(value), RATED_MS)
            for user, column, value in rated
        )
        seats.append(seat)
    return seats


def write_of(shops: Shops, column: int) -> Write:
    """An item as an import stores it."""
    record = shops.records[column]
    return Write(record.item, pack_item(record), shops.vectors[column], b"\0" * 32)


def place_of(seat: Seat, columns: list[tuple[str, str]]) -> Place:
    """The store as the referee finds it."""
    return open_place(seat.store, seat.peer, ENCODER, seat.settings.encoder.hex(), columns)


def ages(seat: Seat) -> list[int]:
    """Periods behind each model."""
    learned, features = Learned(seat.database), features_of(ENCODER)
    found = [learned.find(model, features) for model in SHARED_MODELS]
    return [row.state.age if row is not None else 0 for row in found]


def publish_late(
    world: World, a: Seat, b: Seat, shops: Shops, new_B: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> float:
    """B sells what was held back; how many seconds until A holds it too."""
    b.write([write_of(shops, shops.away.start + int(place)) for place in np.flatnonzero(new_B)])
    world.edited(b)
    began = world.seconds
    world.run(60, lambda: not unsettled([a, b]))
    return world.seconds - began


def claims(judged: Judgement, late_s: float) -> list[Assertion]:
    """The goals: Discover together within 2 % of one machine, Warm not harmed, new items known at once."""
    told = []
    for model in SHARED_MODELS:
        discover = judged.mean("Discover", (model, "p2p")) / judged.mean("Discover", (model, "pooled"))
        told.append(
            Assertion(f"{model}: Discover is at least 98 % of one machine", discover >= 0.98, f"{discover:.4f}")
        )
        together, alone = (judged.figures["Warm", (model, setting)]["ndcg"] for setting in ("p2p", "isolated"))
        less = paired_difference(together, alone, np.random.default_rng(0))
        told.append(
            Assertion(
                f"{model}: Warm is not harmed, by a paired interval over people",
                less.high >= 0,
                f"{less.mean:+.4f} [{less.low:+.4f}, {less.high:+.4f}]",
            )
        )
    told.append(Assertion("what is published late can be recommended within 10 s", late_s <= 10, f"{late_s:.1f} s"))
    return told
