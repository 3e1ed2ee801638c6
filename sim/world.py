"""The world: production engines on a heap of virtual time. One seed decides everything that happens.

    schedule ─► event ─► Engine.step ─► effects ─► network, jobs, replies ─► schedule

A node ticks each second, as in production; ticks that the engine says will find nothing are left out. Jobs are done at
once and their results arrive after a modelled time. Every event goes into the trace's digest. After every step the
checkers look; what they find ends the run.
"""

from __future__ import annotations

import gc
import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Protocol

from threadpoolctl import threadpool_limits

import protocol.envelope
from node.engine import Engine
from node.events import (
    Effect,
    Event,
    JobDone,
    Rank,
    Ranked,
    Say,
    Started,
    StartJob,
    Tick,
    Train,
    Trained,
)
from node.transport import Answer, Answered, Ask, Asked, Dial, Gossip, HangUp, Publish
from protocol.identity import verify
from sim.network import Arriving, Link, Network
from sim.schedule import Schedule
from sim.seat import Indexes, Plan, Seat, Space, make_seat

START_MS = 1_700_000_000_000
TICK_MS = 1_000
# After which a job's result is there, whatever it took. A guess, not a measurement.
RANK_MS, TRAIN_MS = 20, 200
# An import that is going on ends within so many ticks of its last write.
EDIT_TICKS = 5
VERIFICATIONS_REMEMBERED = 100_000
# New objects until they are searched for cycles.
COLLECT_AFTER = 200_000


class Checker(Protocol):
    """Looks at every step. Raises: BrokenLawError."""

    def after(self, seat: Seat, event: Event, effects: Sequence[Effect], now_ms: int) -> None: ...


class DueTick(Tick):
    """A tick that the engine asked for. What came meanwhile may have left it nothing to find: then it is left out."""


class World:
    """Nodes by number. Times are virtual."""

    def __init__(
        self,
        seed: int,
        space: Space,
        link: Link | None = None,
        checkers: Sequence[Checker] = (),
    ) -> None:
        self.seed = seed
        self.space = space
        self.schedule: Schedule[tuple[int, int, Event | Arriving]] = Schedule(START_MS)
        self.network = Network(
            link or Link(), random.Random(f"network|{seed}"), lambda: self.schedule.now_ms, self._deliver
        )
        self.seats: list[Seat] = []
        self.indexes = Indexes(space)
        self.checkers = checkers
        self.events = 0
        self.watch: Callable[[World, Seat, Event], None] | None = None
        """Sees every event after its step: how scenarios measure."""
        self.every_tick = False
        """Leave no tick out: a test finds that nothing else differs."""
        self._digest = hashlib.blake2b(digest_size=16)

    # -- nodes -------------------------------------------------------------------------------------------------------

    def add(self, plan: Plan) -> Seat:
        """A node that does not run yet."""
        seat = make_seat(self.seed, len(self.seats), plan, self.space, self.indexes, lambda: self.schedule.now_ms)
        self.seats.append(seat)
        self.network.join(seat.peer)
        return seat

    def start(self, seat: Seat) -> None:
        """Run, from whatever is in its store."""
        assert seat.engine is None, "it runs already"
        seat.engine = seat.make_engine(self.seed)
        seat.start_ms, seat.tick_ms = self.now_ms, None
        self.network.up(seat.number)
        self._deliver(0, seat.number, Started((address_of(seat.peer),)))

    def stop(self, seat: Seat) -> None:
        """Stopped or killed: each step was one transaction, so the store is the same."""
        seat.engine, seat.doomed = None, False
        self.network.down(seat.number)

    def cut_power(self, seat: Seat) -> None:
        """Down at once, and what was stored since the disk was last waited for is lost."""
        self.stop(seat)
        seat.database.cut_power()
        seat.power_cut = True

    def kill_at_next_step(self, seat: Seat) -> None:
        """Killed between what it decides and what it says: the next step, within a second, is in the store, its effects
        are lost, and the node is down."""
        seat.doomed = True
        self._deliver(TICK_MS, seat.number, Tick())

    def set_clock(self, seat: Seat, clock_ms: int) -> None:
        """From now on the node's clock is so far ahead. It looks at it within a second, as every second."""
        seat.clock_ms = clock_ms
        self._deliver(TICK_MS, seat.number, Tick())

    def tell(self, seat: Seat, event: Event) -> None:
        """What comes to a node from outside of this world."""
        self._deliver(0, seat.number, event)

    def edited(self, seat: Seat) -> None:
        """The node's own catalog was written to: it looks at its store within a second, as every second."""
        first_ms = self._on_grid(seat, self.now_ms + 1) - self.now_ms
        for tick in range(EDIT_TICKS):
            self._deliver(first_ms + tick * TICK_MS, seat.number, Tick())

    # -- time --------------------------------------------------------------------------------------------------------

    @property
    def now_ms(self) -> int:
        return self.schedule.now_ms

    @property
    def seconds(self) -> float:
        """Virtual, since the start."""
        return (self.now_ms - START_MS) / 1000

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass; True as soon as `until` holds, which is asked once a virtual second."""
        end_ms, look_ms = self.now_ms + round(1000 * seconds), self.now_ms
        while True:
            if until is not None and self.now_ms >= look_ms:
                look_ms = self.now_ms + TICK_MS
                if until():
                    return True
            what = self.schedule.take(end_ms)
            if what is None:
                return until is not None and until()
            self._happen(*what)

    def _happen(self, number: int, life: int, event: Event | Arriving) -> None:
        seat = self.seats[number]
        if seat.engine is None or life != self.network.ports[number].life:
            return
        if isinstance(event, Arriving):
            gossip = self.network.heard(number, event.forwarder, event.rumour)
            if gossip is None:
                return
            event = gossip
        if isinstance(event, DueTick):
            if seat.tick_ms != self.now_ms:
                return
            seat.tick_ms = None
            due_ms = self._due_ms(seat, seat.engine)
            if due_ms > self.now_ms:
                return self._order(seat, self._on_grid(seat, due_ms))
        self.events += 1
        self._digest.update(b"%d %d %s" % (self.now_ms, number, _mark(event)))
        now_ms = self.now_ms + seat.clock_ms
        effects = seat.engine.step([event], now_ms)
        if seat.doomed:
            self.stop(seat)
            effects = []
        for effect in effects:
            self._carry_out(seat, effect)
        for checker in self.checkers:
            checker.after(seat, event, effects, now_ms)
        if self.watch is not None:
            self.watch(self, seat, event)
        self._order_tick(seat)

    def _order_tick(self, seat: Seat) -> None:
        """The next tick that may find something, on the node's own grid of seconds."""
        if seat.engine is None:
            return
        first_ms = self._on_grid(seat, self.now_ms + 1)
        if seat.tick_ms is not None and seat.tick_ms <= first_ms:
            return
        self._order(seat, self._on_grid(seat, max(self._due_ms(seat, seat.engine), first_ms)))

    def _order(self, seat: Seat, tick_ms: int) -> None:
        if seat.tick_ms is None or tick_ms < seat.tick_ms:
            seat.tick_ms = tick_ms
            self._deliver(tick_ms - self.now_ms, seat.number, DueTick())

    def _due_ms(self, seat: Seat, engine: Engine) -> int:
        return self.now_ms if self.every_tick else engine.due_ms(self.now_ms + seat.clock_ms) - seat.clock_ms

    @staticmethod
    def _on_grid(seat: Seat, at_ms: int) -> int:
        """The node's first tick that is not before that moment."""
        return seat.start_ms - (-(at_ms - seat.start_ms) // TICK_MS) * TICK_MS

    def _carry_out(self, seat: Seat, effect: Effect) -> None:
        match effect:
            case Say():
                seat.said.append((self.now_ms, effect.sentence))
            case StartJob(token, Rank() as job):
                self._deliver(RANK_MS, seat.number, JobDone(token, seat.ranker.run([job])[0]))
            case StartJob(token, Train() as job):
                self._deliver(TRAIN_MS, seat.number, JobDone(token, seat.learner.run(job)))
            case Ask() | Answer() | Publish() | Dial() | HangUp():
                self.network.carry_out(seat.number, effect)

    def _deliver(self, delay_ms: int, number: int, event: Event | Arriving) -> None:
        self.schedule.later(delay_ms, (number, self.network.ports[number].life, event))


def address_of(peer: str) -> str:
    """Where a node can be dialled."""
    return f"/sim/{peer}/p2p/{peer}"


def _mark(event: Event) -> bytes:
    """What of an event goes into the digest: everything that an engine could tell apart."""
    match event:
        case Tick():
            return b"tick"
        case Asked() | Answered():
            return b"%d %s" % (event.token, event.data)
        case Gossip():
            return event.author.encode() + event.forwarder.encode() + event.data
        case JobDone(token, Trained() as trained):
            return b"%d %s %s" % (token, trained.outcome.state.values_V.tobytes(), trained.values)
        case JobDone(token, Ranked() as ranked):
            return b"%d %s" % (token, repr(ranked.items).encode())
        case _:
            return repr(event).encode()


@contextmanager
def one_thread() -> Iterator[None]:
    """Within, arithmetic runs on one thread: small matrices are slower on two, and sums come out alike everywhere."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def rare_collections() -> Iterator[None]:
    """Within, memory is searched for cycles among what is new only: what is old are the nodes, and they stay."""
    before = gc.get_threshold()
    gc.set_threshold(COLLECT_AFTER, before[1], 1_000_000)
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def remembered_verifications() -> Iterator[None]:
    """Within, a signature that was good once is not verified again, whichever node asks: that is a pure function of its
    bytes, and thousands of nodes hear the same. What is not good is verified, and refused, every time."""
    setattr(protocol.envelope, "verify", lru_cache(VERIFICATIONS_REMEMBERED)(verify))  # noqa: B010
    try:
        yield
    finally:
        setattr(protocol.envelope, "verify", verify)  # noqa: B010
