"""Learning with others: when to learn, whom to exchange with, what to let in, and whom not to listen to.

Each period, for each model: a job learns from this node's users and what was heard since the last one; its outcome is
written down, signed, and exchanged with three connected peers drawn by chance, both ways in one question. What comes
back waits for the next period, for judging it takes work. Where privacy is promised, what leaves is a release that was
made with noise and is told again; what was learned from it and from others stays here.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import median_low
from typing import Any

from models.gate import Verdict
from models.learning_round import AGE_MAX
from models.shared_model import Backed, Crowd
from models.shared_models import BESIDE
from node.events import Heard, Released, Spending, Train, Trained
from node.learned import Entry, HeldBlock, Learned, LearnedRow, Release, Report
from node.learning_status import model_document
from node.outbox import Outbox
from node.peers import Peers
from protocol.budget import Budget
from protocol.identity import Identity, parse_peer_id
from protocol.limits import SKEW_MS, RemoteError
from protocol.messages import AskUpdate, Frame, UpdateAnswer
from protocol.updates import (
    UNPROTECTED,
    USERS_LOG2_MAX,
    ModelUpdate,
    check_update_time,
    open_update,
    seal_update,
)

FAN_OUT = 3
NOTHING_DUE_MS = 60_000
# What a peer may ask for: three a period, saved up for three periods.
ACCOUNT, ACCOUNT_PERIODS = 9, 3
# Updates judged in a period, drawn by chance: strangers could send any number.
HEARD_MAX = 16
# Sources whose updates came so many periods ago are not counted as part of the crowd.
AWAY_PERIODS = 20
# Nobody counts more than so many times what the usual source says: a lie about users must not weigh down one's own.
CROWD_SHARE_MAX = 4.0
# Refused so often running, a source is not listened to for so many periods.
QUARANTINE_ROW, QUARANTINE_PERIODS = 3, 20
# Published again when so many times as many users can be told of, if the owner has raised the budget by then.
RELEASE_GROWTH = 2
# What a release says of its age, which would tell what was let in here.
RELEASE_AGE = AGE_MAX
BARE = (
    "what was learned here was published without noise before, so no epsilon can be promised: go on with "
    "--epsilon none, or make a new home"
)


@dataclass(frozen=True, slots=True)
class LearningPlan:
    """What the owner chose. `features` names what values are over; `epsilon` None: no privacy is promised."""

    models: tuple[str, ...]
    features: str
    period_ms: int
    epsilon: float | None


#: A node that only answers.
NO_LEARNING = LearningPlan((), "", 1, None)


@dataclass(slots=True)
class Course:
    """A model between two periods."""

    next_ms: int | None = None
    learning: bool = False
    stopped: str | None = None
    """Why nothing more is published."""
    update: bytes = field(default=b"", repr=False)


class LearningService:
    """Both sides of an exchange."""

    def __init__(
        self,
        learned: Learned,
        outbox: Outbox,
        peers: Peers,
        identity: Identity,
        encoder: bytes,
        plan: LearningPlan,
        rng: random.Random,
    ) -> None:
        self._learned = learned
        self._outbox = outbox
        self._peers = peers
        self._identity = identity
        self._encoder = encoder
        self._plan = plan
        self._rng = rng
        self._budget = Budget(ACCOUNT * max(len(plan.models), 1), ACCOUNT_PERIODS * plan.period_ms)
        self._courses = {model: Course() for model in plan.models}

    def start(self, now_ms: int) -> None:
        """Go on where the last run stopped; the first period comes by chance, not everywhere at once."""
        private = self._plan.epsilon is not None
        for model, course in self._courses.items():
            row = self._learned.find(model, self._plan.features)
            course.stopped = BARE if private and self._learned.bare() else None
            course.update = row.sealed if row and course.stopped is None else b""
            course.next_ms = now_ms + self._rng.randrange(self._plan.period_ms)

    def tick(self, now_ms: int) -> None:
        """What is due is begun. A clock that was set back does not stop learning."""
        for model, course in self._courses.items():
            if course.next_ms is None or course.learning:
                continue
            if not 0 < course.next_ms - now_ms <= 2 * self._plan.period_ms:
                course.learning = True
                course.next_ms = now_ms + int(self._plan.period_ms * self._rng.uniform(0.9, 1.1))
                self._learn(model, now_ms)

    def due_ms(self, now_ms: int) -> int:
        """When the next period begins."""
        dues = [one.next_ms for one in self._courses.values() if one.next_ms is not None and not one.learning]
        # A clock that was set back: as in `tick`.
        dues = [due if due - now_ms <= 2 * self._plan.period_ms else now_ms for due in dues]
        # Where none is due by the clock, a job's end is what comes next, or nothing.
        return min(dues, default=now_ms + NOTHING_DUE_MS)

    # -- learning ----------------------------------------------------------------------------------------------------

    def _learn(self, model: str, now_ms: int) -> None:
        row = self._learned.find(model, self._plan.features)
        ledger = self._learned.ledger(model)
        held = [one for one in self._learned.blocks(model) if not self._quarantined(ledger.get(one.source), now_ms)]
        crowd = self._crowd([one for one in held if trusted(ledger.get(one.source))], row, now_ms)
        waiting = [one for one in held if one.fresh]
        fresh = self._rng.sample(waiting, min(HEARD_MAX, len(waiting)))
        heard = tuple(Heard(one.source, one.update.age, one.update.values) for one in fresh)
        chance, merged, spending = self._rng.getrandbits(63), self._merged(model), self._spending(model)
        job = Train(model, row.state if row else None, heard, crowd, chance, merged, spending)
        self._outbox.train(job, partial(self._learned_more, model, fresh))

    def _crowd(self, held: Sequence[HeldBlock], row: LearnedRow | None, now_ms: int) -> Crowd:
        """How many users are thought to be behind what is heard from these; the lower median of all, with one's own, is
        the usual."""
        recent = [one for one in held if abs(now_ms - one.at_ms) <= AWAY_PERIODS * self._plan.period_ms]
        said = [1 << one.update.users_log2 for one in recent]
        own = [row.report.users] if row and row.report.users else []
        most = CROWD_SHARE_MAX * median_low([*said, *own]) if said else 0
        return Crowd(float(sum(min(one, most) for one in said)), len(said))

    def _merged(self, model: str) -> Backed | None:
        """What is known of the model that this one is learned beside."""
        for merged, beside in BESIDE.items():
            row = self._learned.find(merged, self._plan.features) if model in beside else None
            if row is not None:
                return Backed(row.state.values_V, row.report.crowd)
        return None

    def _spending(self, model: str) -> Spending | None:
        """Leave for a release, where one is due: the first, and when there are many more users than at the last.

        What is learned beside a model is never published under a promise: the budget is the model's.
        """
        course = self._courses[model]
        if self._plan.epsilon is None or course.stopped is not None or model not in BESIDE:
            return None
        releases = self._learned.releases(model)
        row = self._learned.find(model, self._plan.features)
        if releases and (row is None or row.report.users < RELEASE_GROWTH * releases[-1].users):
            return None
        return Spending(self._plan.epsilon, tuple(one.noise_multiplier for one in releases))

    def _learned_more(self, model: str, fresh: Sequence[HeldBlock], result: Trained | None, now_ms: int) -> None:
        """A period is over: write down what came of it, then exchange."""
        course = self._courses[model]
        course.learning = False
        if result is None:
            # Should one of them be the reason, it must not be the reason again.
            for block in fresh:
                self._learned.mark_seen(model, block.source, block.update.made_ms)
            return
        for block, verdict in zip(fresh, result.verdicts, strict=True):
            self._learned.mark_seen(model, block.source, block.update.made_ms)
            self._enter(model, block.source, verdict, now_ms)
        outcome, crowd = result.outcome, result.crowd
        losses = outcome.losses["network"], outcome.losses["start"]
        report = Report(outcome.ranks, *losses, result.users, crowd.users, crowd.nodes, outcome.judges)
        course.update = self._update(model, result, now_ms)
        self._learned.write(model, self._plan.features, LearnedRow(outcome.state, now_ms, course.update, report))
        self._exchange(model, now_ms)

    def _enter(self, model: str, source: str, verdict: Verdict | None, now_ms: int) -> None:
        """A verdict into the ledger; who is refused again and again is not listened to for a while."""
        entry = self._learned.ledger(model).get(source, Entry())
        if verdict is None:
            entry.invalid += 1
            self._outbox.traffic.refused["bad_update"] += 1
            if self._peers.fault(source, "bad_update", now_ms):
                self._outbox.say(f"{source} is not talked to for a while: its updates are no blocks")
        else:
            entry.warm, entry.cold = verdict.warm, verdict.cold
            entry.accepted += verdict.accepted
            entry.refused += not verdict.accepted
        if verdict is not None and verdict.accepted:
            entry.row = entry.until_ms = 0
        else:
            entry.row += 1
        if entry.row >= QUARANTINE_ROW:
            entry.row, entry.until_ms = 0, now_ms + QUARANTINE_PERIODS * self._plan.period_ms
            self._outbox.say(
                f"{source} taught {model} nothing good {QUARANTINE_ROW} times running: not heard for a while"
            )
        self._learned.write_entry(model, source, entry)

    def _update(self, model: str, result: Trained, now_ms: int) -> bytes:
        """What others may have of this node now, signed; empty where that is nothing."""
        if self._plan.epsilon is None:
            if not result.values:
                return b""
            if result.users and not self._learned.bare():
                self._learned.write_bare(model, now_ms)
            return self._sealed(model, result.outcome.state.age, result.users, UNPROTECTED, result.values, now_ms)
        if isinstance(result.released, str):
            self._courses[model].stopped = result.released
            self._outbox.say(f"{model}: {result.released}")
        if isinstance(result.released, Released):
            # Spent and stored in this step, and sent after it.
            made = result.released
            release = Release(now_ms, made.noise_multiplier, made.epsilon, made.users, made.values)
            self._learned.write_release(model, release)
        releases = self._learned.releases(model)
        if not releases or self._learned.bare():
            return b""
        latest = releases[-1]
        epsilon_milli = min(math.ceil(1000 * latest.epsilon), UNPROTECTED - 1)
        return self._sealed(model, RELEASE_AGE, latest.users, epsilon_milli, latest.values, now_ms)

    def _sealed(self, model: str, age: int, users: int, epsilon_milli: int, values: bytes, now_ms: int) -> bytes:
        # Later than the last one, even when the clock was set back: others pass over what is not newer. But what was
        # made in a future that nobody believes in, nobody holds.
        before = open_update(self._courses[model].update).made_ms if self._courses[model].update else -1
        made_ms = max(now_ms, before + 1) if before <= now_ms + SKEW_MS else now_ms
        update = ModelUpdate(
            self._identity.public,
            model,
            self._plan.features,
            self._encoder,
            age,
            made_ms,
            min(round(math.log2(max(users, 1))), USERS_LOG2_MAX),
            epsilon_milli,
            values,
        )
        return seal_update(self._identity, update)

    # -- exchange ----------------------------------------------------------------------------------------------------

    def _exchange(self, model: str, now_ms: int) -> None:
        """Ask a few peers, drawn anew; this node's own update goes along.

        Under a promise of privacy who is not heard is asked all the same: it would see what was thought of its blocks.
        """
        ledger = self._learned.ledger(model)
        able = sorted(self._peers.connected)
        if self._plan.epsilon is None:
            able = [peer for peer in able if not self._quarantined(ledger.get(peer), now_ms)]
        for peer in self._rng.sample(able, min(FAN_OUT, len(able))):
            seen_ms = self._learned.made_ms(model, peer)
            question = AskUpdate(model, self._plan.features, seen_ms, self._courses[model].update)
            self._outbox.ask(peer, question, partial(self._hear_answer, model, peer))

    def hear(self, ask: AskUpdate, peer: str, token: int, now_ms: int) -> None:
        """A peer asks, and tells. Raises: RemoteError with the reason of the refusal.

        Who asks too often gets nothing, and no blame: its owner may have chosen a shorter period.
        """
        course = self._courses.get(ask.model)
        if course is None or ask.features != self._plan.features or not self._budget.admits(peer, now_ms):
            self._outbox.answer(token, UpdateAnswer(b""))
            return
        if ask.update:
            self._take(ask.model, peer, ask.update, now_ms)
        newer = bool(course.update) and open_update(course.update).made_ms > ask.seen_ms
        self._outbox.answer(token, UpdateAnswer(course.update if newer else b""))

    def _hear_answer(self, model: str, peer: str, answer: Frame | None, now_ms: int) -> None:
        """Raises: RemoteError."""
        if isinstance(answer, UpdateAnswer) and answer.update:
            self._take(model, peer, answer.update, now_ms)

    def _take(self, model: str, peer: str, sealed: bytes, now_ms: int) -> None:
        """An update into the store, to be judged with the next period. Raises: RemoteError."""
        update = open_update(sealed)
        if update.source != parse_peer_id(peer) or (update.model, update.features) != (model, self._plan.features):
            raise RemoteError("misdirected", "an update of another node or model than asked")
        if update.encoder != self._encoder:
            raise RemoteError("wrong_encoder", "an update over vectors of another encoder")
        check_update_time(update, now_ms)
        if update.made_ms <= self._learned.made_ms(model, peer):
            return
        # Also of who is not heard: what is asked for next tells when the last one came, and must not tell of verdicts.
        self._learned.write_block(model, sealed, update, now_ms)

    def _quarantined(self, entry: Entry | None, now_ms: int) -> bool:
        """Not beyond one quarantine from now: the clock may have been set back since."""
        return entry is not None and 0 < entry.until_ms - now_ms <= QUARANTINE_PERIODS * self._plan.period_ms

    # -- status ------------------------------------------------------------------------------------------------------

    def report(self, now_ms: int) -> list[dict[str, Any]]:
        """The models as the owner sees them."""
        return [
            model_document(self._learned, model, self._plan.features, now_ms)
            | {"period_seconds": self._plan.period_ms / 1000, "stopped": course.stopped}
            for model, course in self._courses.items()
        ]


def trusted(entry: Entry | None) -> bool:
    return entry is not None and entry.trusted
