"""How much a peer may ask: so many questions a minute or other span, all at once if it likes, then as time gives more.

A token bucket in whole numbers: what is kept of a peer is the moment at which its bucket is full again, so a peer that
has been quiet needs no memory at all. No clock: `now_ms` comes with each call.
"""

from __future__ import annotations

from protocol.limits import RemoteError

MINUTE_MS = 60_000
# Peers with a bucket that is not full; some 150 bytes each. Newcomers beyond are refused until one fills up.
PEERS_MAX = 10_000


class Budget:
    """Questions by peer, `questions` in any `span_ms`; 0 refuses all."""

    def __init__(self, questions: int, span_ms: int = MINUTE_MS) -> None:
        self._questions = questions
        self._span_ms = span_ms
        # In milliseconds times questions a span: one question is then a span, and nothing is ever rounded.
        self._full_at: dict[str, int] = {}

    def admits(self, peer: str, now_ms: int) -> bool:
        """Spend one of the peer's questions, if one is left."""
        try:
            self.admit(peer, now_ms)
        except RemoteError:
            return False
        return True

    def admit(self, peer: str, now_ms: int) -> None:
        """Spend one of the peer's questions. Raises: RemoteError("over_budget") when none is left."""
        now = now_ms * self._questions
        # A clock that was set back must not make anybody wait for the old time to come again.
        emptied_at = now + self._span_ms * self._questions
        full_at = min(max(self._full_at.get(peer, now), now), emptied_at) + self._span_ms
        if full_at > emptied_at:
            raise RemoteError("over_budget", f"over {self._questions} in {self._span_ms / 1000:g} s")
        if peer not in self._full_at and len(self._full_at) >= PEERS_MAX:
            self._full_at = {one: at for one, at in self._full_at.items() if at > now}
            if len(self._full_at) >= PEERS_MAX:
                raise RemoteError("over_budget", f"over {PEERS_MAX} peers ask at once")
        self._full_at[peer] = full_at
