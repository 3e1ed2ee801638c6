"""The swarm: everything at once, drawn from the seed. What the other scenarios do one by one happens here in any order.

Nodes go away, some between what they decided and what they said; networks divide; shops edit, running or not; clocks
are set back; people come; liars flip bits of what they serve; somebody signs with a stolen key. Then faults stop, and
everybody has to come to hold the same.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

from models.shared_descent import SharedProjection
from node.transport import Gossip
from protocol.heads import open_head, seal_head
from protocol.messages import Announce, kind_name, pack_frame
from sim.checkers import quarantined
from sim.network import Link
from sim.outcome import Assertion, Outcome
from sim.plays_network import flock, reprice, settle
from sim.seat import Seat
from sim.settled import resurrected
from sim.stage import TASTE, Cast, Options, Stage

#: What a liar serves is false so often.
LIES = 0.5
SERVED = ("TreeLevels", "Fill", "VectorsAnswer", "Heads", "UpdateAnswer", "Records")
# Clocks of honest nodes differ by less than SKEW_MS, however often they are set.
CLOCK_MS = 50_000
# Liars are believed again when their bans are over, of which there can be two.
SETTLE_S = 4_000


@dataclass
class Liars:
    """A node's disk or its owner flips a bit of an answer now and then: a `Network.tamper`."""

    numbers: set[int]
    chance: random.Random

    def __call__(self, sender: int, receiver: int, data: bytes) -> bytes:
        if sender not in self.numbers or kind_name(data) not in SERVED or self.chance.random() > LIES:
            return data
        # Behind the frame's kind, so that it is an answer still.
        place = self.chance.randrange(min(8, len(data) - 1), len(data))
        return data[:place] + bytes([data[place] ^ 1 << self.chance.randrange(8)]) + data[place + 1 :]


@dataclass
class Story:
    """A run so far: what each shop dropped, and whose key was stolen."""

    stage: Stage
    chance: random.Random
    dropped: dict[int, list[str]] = field(default_factory=dict)
    stolen: list[Seat] = field(default_factory=list)


def swarm(options: Options) -> Outcome:
    """Everything at once, drawn from the seed: how many, how connected, what is lost, who dies, lies, and sells."""
    chance = random.Random(f"swarm|{options.seed}")
    cast, link = _drawn(options, chance)
    stage = Stage(options, cast, link)
    story = Story(stage, chance)
    for seat in stage.seats:
        seat.database.fragile = True
    if chance.random() < 0.3:
        liars = set(chance.sample(range(cast.shops), max(1, cast.shops // 4)))
        stage.world.network.tamper = Liars(liars, random.Random(f"liars|{options.seed}"))
    stage.start()
    for _ in range(chance.randint(6, 16)):
        _fault(story)
        stage.run(chance.choice([1.0, 10.0, 45.0, 200.0]))
    stage.world.network.divide(dict.fromkeys(range(cast.shops), 0))
    stage.world.network.link = replace(link, loss=0.0, broken=0.0)
    stage.world.network.tamper = None
    flock(stage, chance, 0.0)
    settled = settle(stage, SETTLE_S, [seat.peer for seat in story.stolen])
    honest = {number: items for number, items in story.dropped.items() if stage.seats[number] not in story.stolen}
    back = [one for number, items in honest.items() for one in resurrected(stage.seats, stage.seats[number], items)]
    told = stage.outcome("swarm")
    told.notes.append(f"drawn: {cast}, {link}")
    blamed = sorted({one for seat in stage.seats for one in quarantined(seat)} - {seat.peer for seat in story.stolen})
    told.asserted = [
        settled,
        Assertion("nothing that was dropped comes back", not back, back[0] if back else ""),
        Assertion("nobody forks whose key was not stolen", not blamed, blamed[0] if blamed else ""),
    ]
    return told


def _drawn(options: Options, chance: random.Random) -> tuple[Cast, Link]:
    nodes = options.nodes_or(chance.randint(3, 16))
    epsilon = chance.choice([None, None, 1.0])
    cast = Cast(
        shops=nodes,
        items=chance.choice([1, 5, 30, 120]) if epsilon is None else 10,
        # Fewer than 20 users a shop publish nothing with noise.
        people=(chance.randint(0, 6) if epsilon is None else chance.randint(8, 14)) * nodes,
        degree=chance.randint(1, 4),
        period_s=chance.choice([30.0, 120.0]),
        learning=chance.random() < 0.7,
        clocks_ms=chance.choice([0, 0, 5_000, CLOCK_MS]),
        epsilon=epsilon,
        models=(TASTE, SharedProjection.called) if chance.random() < 0.3 else (TASTE,),
    )
    latency_ms, loss = chance.choice([1, 50, 400]), chance.choice([0, 0.01, 0.1])
    return cast, options.link(latency_ms, loss, chance.choice([0, 0.01, 0.2]), chance.choice([0, 0, 0.05]))


def _fault(story: Story) -> None:
    """One of them, at a shop drawn by chance."""
    stage, chance = story.stage, story.chance
    seat = chance.choice(stage.shops)
    match chance.randrange(10):
        case 0 | 1 | 2:
            flock(stage, chance, chance.choice([0.0, 0.3, 0.6]))
        case 3:
            sides = {one.number: chance.randrange(2) for one in stage.seats}
            stage.world.network.divide(sides if chance.random() < 0.6 else dict.fromkeys(sides, 0))
        case 4:
            known = story.dropped.setdefault(seat.number, [])
            left = [one for one in stage.town.writes_of(seat.number) if one.item not in known]
            gone = [one.item for one in chance.sample(left, min(2, len(left)))]
            seat.store.remove_items(seat.catalog, gone)
            known += gone
            stage.world.edited(seat)
        case 5:
            _reprice(story, seat)
        case 6:
            # Between two edits: a clock that is set back must not bring an older version.
            _reprice(story, seat)
            stage.run(5.0)
            stage.world.set_clock(seat, chance.randint(-CLOCK_MS, CLOCK_MS))
            _reprice(story, seat)
        case 7:
            if seat.engine is not None:
                stage.world.cut_power(seat)
        case 8:
            for user in stage.asked:
                rated = stage.town.rated(user, stage.town.columns(seat.number), stage.publishers)
                seat.store.write_ratings(rated)
        case _:
            if not story.stolen and chance.random() < 0.3:
                _fork(story, seat)


def _reprice(story: Story, seat: Seat) -> None:
    gone = story.dropped.get(seat.number, [])
    left = [one for one in story.stage.town.writes_of(seat.number) if one.item not in gone]
    some = story.chance.sample(left, min(5, len(left)))
    seat.write([reprice(one, story.chance.randint(500, 9_000)) for one in some])
    story.stage.world.edited(seat)


def _fork(story: Story, seat: Seat) -> None:
    """Somebody has the shop's key, and tells a shop that hears all of them another catalog of the same version."""
    sealed = seat.whole().get(seat.peer)
    knows = [one for one in story.stage.seats if one is not seat and one.whole().get(seat.peer) == sealed]
    if sealed is None or not [one for one in knows if one.engine is not None]:
        return
    head = open_head(sealed)
    other = seal_head(seat.identity, replace(head, root=head.root[::-1]))
    story.stolen.append(seat)
    thief = story.chance.choice([one for one in knows if one.engine is not None])
    story.stage.world.tell(thief, Gossip(seat.peer, seat.peer, pack_frame(Announce(other))))
