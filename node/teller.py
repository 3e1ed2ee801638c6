"""A connected peer as a source of catalogs: what it said that it holds, and when and how much it is asked.

Moments are compared so that a clock that is set back only brings them forward.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# A peer is asked for its heads again soon after it had news, or after news of others; then less and less often.
# Gossip brings news in a moment; asking is for what it lost.
HEADS_MS_FIRST, HEADS_MS_MAX = 1_000, 600_000
# Questions on their way to one peer: a page each.
ASKS_PEER_MAX = 10
# A peer that did not answer in time is left alone for so long, twice as long each time, and asked half as much.
REST_MS, REST_MS_MAX = 5_000, 160_000


@dataclass(slots=True)
class Teller:
    """`versions`: publisher -> version that the peer said it holds; `asks`: questions on their way to it."""

    versions: dict[bytes, int] = field(default_factory=dict)
    seen: bytes = b""
    asking: bool = False
    ask_again_ms: int = 0
    wait_ms: int = HEADS_MS_FIRST
    asks: int = 0
    timeouts: int = 0
    rests_until_ms: int = 0

    def is_due(self, now_ms: int) -> bool:
        """Whether to ask for its heads again."""
        return not self.asking and not 0 < self.ask_again_ms - now_ms <= HEADS_MS_MAX

    def later(self, now_ms: int) -> None:
        """It was asked: wait twice as long as before."""
        self.wait_ms = min(2 * self.wait_ms, HEADS_MS_MAX)
        self.ask_again_ms = now_ms + self.wait_ms

    def soon(self, now_ms: int) -> None:
        """There is news."""
        self.wait_ms = HEADS_MS_FIRST
        self.ask_again_ms = min(self.ask_again_ms, now_ms + HEADS_MS_FIRST)

    def rests(self, now_ms: int) -> bool:
        return 0 < self.rests_until_ms - now_ms <= REST_MS_MAX

    def rest(self, now_ms: int) -> None:
        """It did not answer in time."""
        self.rests_until_ms = now_ms + min(REST_MS << self.timeouts, REST_MS_MAX)
        self.timeouts = min(self.timeouts + 1, 8)

    def answered(self) -> None:
        self.timeouts = 0

    @property
    def asks_max(self) -> int:
        return max(1, ASKS_PEER_MAX >> self.timeouts)
