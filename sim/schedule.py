"""Virtual time: what happens when, in whole milliseconds; of two things at one moment the first ordered comes first.

Nothing here knows what happens. Floats would collide and drift, so times are integers (design, section 8).
"""

from __future__ import annotations

import heapq
from typing import Generic, TypeVar

What = TypeVar("What")


class Schedule(Generic[What]):
    """A heap of (moment, order) -> what."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self._heap: list[tuple[int, int, What]] = []
        self._last = 0

    def __len__(self) -> int:
        return len(self._heap)

    def later(self, delay_ms: int, what: What) -> None:
        """Let it happen so long from now: never before now."""
        self._last += 1
        heapq.heappush(self._heap, (self.now_ms + max(delay_ms, 0), self._last, what))

    def take(self, end_ms: int) -> What | None:
        """The next thing, and its moment is now; None, and now is `end_ms`, where nothing comes before or at it."""
        if not self._heap or self._heap[0][0] > end_ms:
            self.now_ms = max(self.now_ms, end_ms)
            return None
        self.now_ms, _, what = heapq.heappop(self._heap)
        return what
