"""What happens to a node and what it decides: the engine's input and output, all plain values.

Network events and effects are in `node/transport.py`; here are those of the owner (commands), of the clock, and of
heavy work (jobs), which the engine only orders and somebody else does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from models.gate import Verdict
from models.learning_round import Outcome, State
from models.shared_model import Backed, Crowd
from node.transport import NetworkEffect, NetworkEvent


@dataclass(frozen=True, slots=True)
class Started:
    """The network listens. First of all events."""

    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed; what is due is done. About once a second."""


@dataclass(frozen=True, slots=True)
class Command:
    """The owner asks through the control socket: a name and plain arguments. A `Reply` with this token follows."""

    token: int
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a command: a JSON document, or the owner's mistake in one sentence."""

    token: int
    document: dict[str, Any] | None
    mistake: str | None = None


@dataclass(frozen=True, slots=True)
class Rank:
    """A job: the k items nearest to what a peer's query is about. `kind` and `subject` as in protocol.query."""

    kind: str
    subject: bytes
    k: int


@dataclass(frozen=True, slots=True)
class RankedHead:
    """A catalog version that was ranked over."""

    publisher: bytes
    sealed: bytes


@dataclass(frozen=True, slots=True)
class RankedItem:
    """A place in the list: whose (place in `heads`), which, in which state, how near."""

    head: int
    item: str
    record: bytes
    score: float


@dataclass(frozen=True, slots=True)
class Ranked:
    """What came of a `Rank`: empty `model` means that the subject is not known here."""

    model: str
    heads: tuple[RankedHead, ...]
    items: tuple[RankedItem, ...]


@dataclass(frozen=True, slots=True)
class Heard:
    """A block as a peer sent it: not looked at yet."""

    source: str
    age: int
    values: bytes


@dataclass(frozen=True, slots=True)
class Spending:
    """Leave to publish once more: the most that users were promised, and the noise multipliers of what is out."""

    epsilon_max: float
    spent: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Released:
    """A block with noise, packed; its noise multiplier; what each user's privacy has lost with it, in all; and how many
    users there are, as the noise has it."""

    values: bytes
    noise_multiplier: float
    epsilon: float
    users: int


@dataclass(frozen=True, slots=True)
class Train:
    """A job: one period of learning. `state` None: from the common start. `others`: who is thought to be behind what is
    heard. `merged`: what a model learned beside another refines. `spending`: make a private release besides.

    The same job over the same ratings gives the same result, but for the noise of a release.
    """

    model: str
    state: State | None
    heard: tuple[Heard, ...]
    others: Crowd
    chance: int
    merged: Backed | None = None
    spending: Spending | None = None


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of a `Train`: the round's outcome; for each block heard its verdict, None if it is no block.

    How many users taught, and of what crowd they are; what others may have of it where no privacy is promised (empty
    where that is nothing); and where a release was asked for, it, or the sentence why there is none.
    """

    outcome: Outcome
    verdicts: tuple[Verdict | None, ...]
    users: int
    crowd: Crowd
    values: bytes
    released: Released | str | None = None


Job: TypeAlias = Rank | Train


@dataclass(frozen=True, slots=True)
class StartJob:
    """Do this somewhere that keeps nobody waiting; a `JobDone` with this token follows."""

    token: int
    job: Job


@dataclass(frozen=True, slots=True)
class Say:
    """A line for the owner's log: what changed, not every frame."""

    sentence: str


@dataclass(frozen=True, slots=True)
class JobDone:
    """A job's result; None where training failed, and the owner was told why."""

    token: int
    result: Ranked | Trained | None


Event: TypeAlias = NetworkEvent | Started | Tick | Command | JobDone
Effect: TypeAlias = NetworkEffect | Reply | StartJob | Say
