"""What a step decided to say: services write here, the engine hands it out once the step is committed.

Also the place where questions meet their answers. Whoever asks leaves a continuation, which is called with the peer's
frame (or None when none will come) and the time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from node.events import Effect, Rank, Ranked, Reply, Say, StartJob, Train, Trained
from node.transport import Answer, Ask, Publish
from protocol.limits import Reason
from protocol.messages import Frame, Refused, kind_name, pack_frame

Then: TypeAlias = Callable[[Frame | None, int], None]
ThenRanked: TypeAlias = Callable[[Ranked, int], None]
ThenTrained: TypeAlias = Callable[[Trained | None, int], None]


@dataclass(slots=True)
class Traffic:
    """Frames and their bytes by kind, both ways, and refusals by reason, since the node started."""

    frames_in: Counter[str] = field(default_factory=Counter)
    frames_out: Counter[str] = field(default_factory=Counter)
    bytes_in: Counter[str] = field(default_factory=Counter)
    bytes_out: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    """What came and was not accepted, by reason."""

    def count_in(self, packed: bytes) -> None:
        kind = kind_name(packed)
        self.frames_in[kind] += 1
        self.bytes_in[kind] += len(packed)

    def count_out(self, packed: bytes) -> None:
        kind = kind_name(packed)
        self.frames_out[kind] += 1
        self.bytes_out[kind] += len(packed)

    def report(self) -> dict[str, dict[str, int]]:
        """By direction, then kind."""
        return {
            "bytes_in": dict(sorted(self.bytes_in.items())),
            "bytes_out": dict(sorted(self.bytes_out.items())),
            "frames_in": dict(sorted(self.frames_in.items())),
            "frames_out": dict(sorted(self.frames_out.items())),
            "refused": dict(sorted(self.refused.items())),
        }


@dataclass(frozen=True, slots=True)
class Pending:
    """A question on its way."""

    peer: str
    then: Then


class Outbox:
    """Effects in the order decided, and who waits for what."""

    def __init__(self) -> None:
        self._effects: list[Effect] = []
        self._questions: dict[int, Pending] = {}
        # Each hears the kind of result that its job has.
        self._jobs: dict[int, Callable[[Any, int], None]] = {}
        self._last_token = 0
        self.traffic = Traffic()

    def add(self, effect: Effect) -> None:
        self._effects.append(effect)

    def ask(self, peer: str, question: Frame, then: Then) -> None:
        """Ask a connected peer; `then` hears the answer, in a later step."""
        token = self._token()
        self._questions[token] = Pending(peer, then)
        self._effects.append(Ask(token, peer, self._counted(question)))

    def answer(self, token: int, answer: Frame) -> None:
        self._effects.append(Answer(token, self._counted(answer)))

    def refuse(self, token: int, reason: Reason) -> None:
        """The answer that says why there is none."""
        self.traffic.refused[reason] += 1
        self.answer(token, Refused(reason))

    def publish(self, announcement: Frame) -> None:
        self._effects.append(Publish(self._counted(announcement)))

    def start(self, job: Rank, then: ThenRanked) -> None:
        """Order a ranking; `then` hears the result, in a later step."""
        self._start(job, then)

    def train(self, job: Train, then: ThenTrained) -> None:
        """Order a period of learning; `then` hears the result, or None."""
        self._start(job, then)

    def _start(self, job: Rank | Train, then: Callable[[Any, int], None]) -> None:
        token = self._token()
        self._jobs[token] = then
        self._effects.append(StartJob(token, job))

    def reply(self, token: int, document: dict[str, object]) -> None:
        self._effects.append(Reply(token, document))

    def reply_mistake(self, token: int, sentence: str) -> None:
        self._effects.append(Reply(token, None, sentence))

    def say(self, sentence: str) -> None:
        """A line for the owner's log."""
        self._effects.append(Say(sentence))

    def take_question(self, token: int) -> Pending | None:
        """The question of that token, no longer waiting; None when nobody waits any more."""
        return self._questions.pop(token, None)

    def take_job(self, token: int) -> Callable[[Any, int], None]:
        return self._jobs.pop(token)

    def take_effects(self) -> list[Effect]:
        taken, self._effects = self._effects, []
        return taken

    @property
    def jobs(self) -> int:
        """How many jobs are on their way."""
        return len(self._jobs)

    def forget(self, peer: str) -> list[Then]:
        """The peer's questions, no longer waiting: late answers find nobody."""
        tokens = [token for token, pending in self._questions.items() if pending.peer == peer]
        return [self._questions.pop(token).then for token in tokens]

    def _token(self) -> int:
        self._last_token += 1
        return self._last_token

    def _counted(self, frame: Frame) -> bytes:
        packed = pack_frame(frame)
        self.traffic.count_out(packed)
        return packed
