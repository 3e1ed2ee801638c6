"""Scenarios of the network: what happens to catalogs when nodes go away, networks break, prices storm."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from pathlib import Path

from node.events import Event
from node.store import Write
from protocol.records import Item, pack_item, parse_item
from sim.outcome import Assertion, Outcome
from sim.seat import Seat
from sim.settled import resurrected, unsettled
from sim.stage import Cast, Options, Stage
from sim.trace import Trace, read_trace
from sim.world import World

SETTLE_S = 600.0


def settle(stage: Stage, seconds: float = SETTLE_S, stolen: Iterable[str] = ()) -> Assertion:
    """Faults have stopped: everybody comes to hold the same, and nothing waits any more."""
    began = stage.world.seconds
    stage.run(seconds, lambda: not unsettled(stage.seats, stolen))
    complaints = unsettled(stage.seats, stolen)
    took = stage.world.seconds - began
    figures = f"after {took:.0f} s" if not complaints else f"after {took:.0f} s: {complaints[0]}"
    return Assertion("all nodes hold the same verified catalogs once faults have stopped", not complaints, figures)


def reprice(write: Write, price_minor: int) -> Write:
    """The same item at another price."""
    item = parse_item(write.packed)
    changed = Item(**{name: getattr(item, name) for name in item.__slots__} | {"price_minor": price_minor})
    return Write(write.item, pack_item(changed), write.vector, write.source)


def churn(options: Options) -> Outcome:
    """About half of the nodes are away at any moment; once they are back, all know all, and recommend as well."""
    nodes = options.nodes_or(20)
    away, turn_s = options.number("away", 0.5, 0, 0.9), options.number("turn_s", 120.0, 10)
    file, periods = options.word("trace", ""), options.number("periods", 16, 1, 200)
    # As long again, for those who were away to catch up.
    after = options.number("after", periods, 0, 200)
    trace = read_trace(Path(file), nodes) if file else None
    calm, told = (Stage(options, Cast(nodes, 40, 12 * nodes), options.link()) for _ in range(2))
    seconds = trace.seconds if trace else periods * calm.cast.period_s
    toss = random.Random(f"churn|{options.seed}")
    for stage in (calm, told):
        stage.start()
        stage.run(stage.cast.period_s)
    calm.run(seconds)
    curve = follow(told, toss, trace) if trace else take_turns(told, toss, away, turn_s, seconds)
    send_away(told, toss, set())
    settled = [settle(stage) for stage in (calm, told)][1]
    for stage in (calm, told):
        stage.periods(after)
    calm_ndcg, ndcg = calm.ndcg(), told.ndcg()
    outcome = told.outcome("churn")
    outcome.rows = told.rows(max(1, round(seconds / calm.cast.period_s)))
    outcome.rows.append({"setting": "p2p", "model": "taste_prior, nobody away", "platform": "all", "slice": "Discover",
                         "ndcg": calm_ndcg})  # fmt: skip
    share = trace.away if trace else away
    outcome.curves["nodes that run"] = {f"{share:.0%} away": curve}
    ratio = ndcg / calm_ndcg
    outcome.asserted = [
        settled,
        Assertion("what was learned is within 1 % of the same nodes never away", ratio >= 0.99, f"{ratio:.4f}"),
    ]
    return outcome


def take_turns(
    stage: Stage, toss: random.Random, away: float, turn_s: float, seconds: float
) -> list[tuple[float, float]]:
    """Others are away each turn. How many run, by time."""
    end, curve = stage.world.seconds + seconds, []
    while stage.world.seconds < end:
        flock(stage, toss, away)
        stage.run(turn_s)
        curve.append((stage.world.seconds, running(stage)))
    return curve


def follow(stage: Stage, toss: random.Random, trace: Trace) -> list[tuple[float, float]]:
    """Nodes come and go as in the trace, which begins now. How many run, by time."""
    began, curve = stage.world.seconds, []
    for moment in trace.moments():
        stage.run(began + moment - stage.world.seconds)
        send_away(stage, toss, set(range(len(stage.seats))) - trace.running(moment))
        curve.append((stage.world.seconds, running(stage)))
    return curve


def running(stage: Stage) -> float:
    return float(sum(seat.engine is not None for seat in stage.seats))


def flock(stage: Stage, toss: random.Random, away: float) -> None:
    """So many, drawn by chance, are away from now on."""
    send_away(stage, toss, set(toss.sample(range(len(stage.seats)), round(away * len(stage.seats)))))


def send_away(stage: Stage, toss: random.Random, gone: set[int]) -> None:
    """These are away from now on, and nobody else; half of those who go are killed between what they decided and what
    they said."""
    for seat in stage.seats:
        if seat.number in gone and seat.engine is not None:
            (stage.world.stop if toss.random() < 0.5 else stage.world.kill_at_next_step)(seat)
        elif seat.number not in gone and seat.engine is None:
            stage.world.start(seat)
    # By then the last step has come to all of them.
    stage.run(1.0)


def partition(options: Options) -> Outcome:
    """For an hour half of the nodes can't reach the others, while both sides sell, reprice and drop things."""
    nodes = options.nodes_or(50)
    hours = options.number("hours", 1.0, 0.01, 24)
    stage = Stage(options, Cast(nodes, 30, 0, learning=False), options.link())
    stage.start()
    first = settle(stage)
    stage.world.network.divide({seat.number: seat.number % 2 for seat in stage.seats})
    chance = random.Random(f"partition|{options.seed}")
    dropped: dict[int, list[str]] = {}
    changed = 0
    for _ in range(6):
        for seat in chance.sample(stage.shops, max(2, nodes // 10)):
            writes = stage.town.writes_of(seat.number)
            gone = [chance.choice(writes).item]
            seat.store.remove_items(seat.catalog, gone)
            kept = [one for one in writes if one.item not in {*dropped.get(seat.number, []), *gone}]
            seat.write([reprice(one, chance.randint(500, 9_000)) for one in chance.sample(kept, 3)])
            dropped.setdefault(seat.number, []).extend(gone)
            changed += 4
            stage.world.edited(seat)
        stage.run(3600 * hours / 6)
    apart = len(unsettled(stage.seats))
    stage.world.network.divide(dict.fromkeys(range(nodes), 0))
    told_ms = stage.world.now_ms
    settled = settle(stage, 1200)
    back = [one for number, items in dropped.items() for one in resurrected(stage.seats, stage.seats[number], items)]
    told = stage.outcome("partition")
    took = (stage.world.now_ms - told_ms) / 1000
    told.rows = [{"setting": "p2p", "model": "catalogs", "platform": "all", "slice": "healing", "edits": changed,
                  "differences_apart": apart, "seconds_to_heal": took}]  # fmt: skip
    told.asserted = [
        first,
        Assertion("the sides differ while they are apart", apart > 0, f"{apart} differences"),
        settled,
        Assertion(
            "nothing that was dropped comes back",
            not back,
            back[0] if back else f"{sum(map(len, dropped.values()))} dropped",
        ),
    ]
    return told


def price_storm(options: Options) -> Outcome:
    """A shop changes a tenth of its prices every half minute; what moves is what changed."""
    nodes = options.nodes_or(10)
    items, storms = round(options.number("items", 1000, 10, 100_000)), round(options.number("storms", 10, 1, 1000))
    stage = Stage(options, Cast(nodes, items, 0, learning=False), options.link())
    for seat in stage.shops[1:]:
        seat.store.remove_items(seat.catalog, [one.item for one in stage.town.writes_of(seat.number)[10:]])
    stage.start()
    settle(stage)
    before = catalog_bytes(stage.world)
    chance = random.Random(f"storm|{options.seed}")
    shop, changes, waits = stage.shops[0], 0, []
    for _ in range(storms):
        some = chance.sample(stage.town.writes_of(0), max(1, items // 10))
        shop.write([reprice(one, chance.randint(500, 9_000)) for one in some])
        stage.world.edited(shop)
        began, own = stage.world.now_ms, shop.whole()[shop.peer]
        stage.run(30.0, lambda: shop.whole()[shop.peer] != own and not unsettled(stage.seats))  # noqa: B023
        waits.append(stage.world.now_ms - began)
        stage.run(max(0.0, 30.0 - waits[-1] / 1000))
        changes += len(some)
    settled = settle(stage)
    moved = catalog_bytes(stage.world) - before
    sizes = [len(one.packed) for one in stage.town.writes_of(0)]
    changed_bytes = changes * (nodes - 1) * (sum(sizes) / len(sizes) + 64)
    told = stage.outcome("price-storm")
    told.latencies_ms["until every node has the new prices"] = waits
    each = moved / (changes * (nodes - 1))
    told.rows = [{"setting": "p2p", "model": "catalogs", "platform": "all", "slice": "storm", "changes": changes,
                  "bytes_a_change": each, "share_of_records": moved / changed_bytes}]  # fmt: skip
    told.asserted = [
        settled,
        Assertion("a changed price moves its record and at most 1 KB beside", each <= sum(sizes) / len(sizes) + 1024,
                  f"{each:.0f} bytes a change and node, a record has {sum(sizes) / len(sizes):.0f}"),
    ]  # fmt: skip
    return told


def catalog_bytes(world: World) -> int:
    """Bytes sent for catalogs so far."""
    kinds = ("AskTree", "TreeLevels", "AskFill", "Fill", "AskVectors", "VectorsAnswer", "Heads", "AskHeads", "Announce")
    return sum(world.network.bytes_by_kind.get(kind, 0) for kind in kinds)


def new_item(options: Options) -> Outcome:
    """Something new at one shop: how long until every other node could recommend it, with its vector and verified."""
    nodes, launches = options.nodes_or(100), round(options.number("launches", 10, 1, 1000))
    stage = Stage(options, Cast(nodes, 12, 2 * nodes, period_s=120.0, degree=3), options.link(50, 0.01))
    for seat in stage.seats:
        held_back = stage.town.writes_of(seat.number)[-1]
        seat.store.remove_items(seat.catalog, [held_back.item])
    stage.start()
    first = settle(stage)
    waits: list[int] = []
    eligible: list[int] = []
    chance = random.Random(f"new item|{options.seed}")
    for shop in chance.sample(stage.shops, min(nodes, launches)):
        arrived = _launch(stage, shop)
        waits += arrived.values()
        # A list is made when somebody looks, so an item stands there from the moment it is verified.
        eligible += [arrived[number] for number in _listed(stage, shop)]
        stage.run(10)
    told = stage.outcome("new-item")
    told.latencies_ms["from publication to the verified item at another node"] = waits
    told.latencies_ms["until it stood in the top 10 of somebody there"] = eligible
    p95, p95_listed = (sorted(one)[max(0, round(0.95 * len(one)) - 1)] if one else 0 for one in (waits, eligible))
    told.rows = [{"setting": "p2p", "model": "catalogs", "platform": "all", "slice": "New item", "waits": len(waits),
                  "p95_ms": p95, "top_10": len(eligible), "p95_top_10_ms": p95_listed}]  # fmt: skip
    told.asserted = [
        first,
        Assertion("95 of 100 nodes can recommend a new item within 5 virtual seconds", p95 <= 5_000, f"p95 {p95} ms"),
        Assertion(
            "and it stands in the top 10 of those it suits, as soon",
            bool(eligible) and p95_listed <= 5_000,
            f"{len(eligible)} lists, p95 {p95_listed} ms",
        ),
    ]
    return told


def _launch(stage: Stage, shop: Seat) -> dict[int, int]:
    """Publish the item that was held back; for each other node the wait, in ms."""
    write = stage.town.writes_of(shop.number)[-1]
    shop.write([write])
    stage.world.edited(shop)
    began, waits = stage.world.now_ms, dict[int, int]()
    stage.world.watch = _arrivals(shop, write.item, began, waits)
    stage.run(120, lambda: len(waits) == len(stage.seats) - 1)
    stage.world.watch = None
    return {seat.number: waits.get(seat.number, 120_000) for seat in stage.seats if seat is not shop}


def _arrivals(shop: Seat, item: str, began: int, waits: dict[int, int]) -> Callable[[World, Seat, Event], None]:
    def watch(world: World, seat: Seat, event: Event) -> None:
        if seat is not shop and seat.number not in waits:
            held = next((one for one in seat.replicas.held() if one.publisher == shop.peer), None)
            if (
                held is not None
                and held.target is None
                and item in (one.item.item for one in seat.store.find_items(item))
            ):
                waits[seat.number] = world.now_ms - began

    return watch


def _listed(stage: Stage, shop: Seat) -> list[int]:
    """Nodes where the new item is in the top 10 of somebody: of each such person once."""
    column = stage.town.columns(shop.number).stop - 1
    others = [seat for seat in stage.seats if seat is not shop]
    return [
        seat.number for seat in others for user in stage.people[seat.number] if column in stage.top_list(seat, user)
    ]
