"""A store in memory whose power can be cut: what was written and not yet on the disk is undone.

SQLite's log makes a durable transaction wait for the disk, and with it all that came before; what was written since in
transactions that are not durable may be lost together (https://sqlite.org/pragma.html#pragma_synchronous). Of what may
be lost, here all is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node.database import MEMORY, Connection, Database


class Disk(Database):
    """See the file's head."""

    def __init__(self) -> None:
        self.fragile = False
        """Whether the power may be cut: to be ready for it takes time."""
        self._safe: bytes | None = None
        super().__init__(Path(MEMORY))

    @contextmanager
    def step(self, *, durable: bool) -> Iterator[None]:
        if not self.fragile:
            with super().step(durable=durable):
                yield
            return
        before = None if durable or self._safe is not None else self._connection.serialize()
        changes = self.changes
        with super().step(durable=durable):
            yield
        if self.changes != changes:
            self._safe = None if durable else self._safe or before

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[Connection]:
        outside = not (self._in_step or self._connection.in_transaction)
        changes = self.changes
        with super().transaction(durable=durable) as connection:
            yield connection
        if outside and durable and self.changes != changes:
            self._safe = None

    def cut_power(self) -> None:
        """Between two steps."""
        assert self.fragile, "it was not said that the power may be cut"
        if self._safe is not None:
            self._connection.deserialize(self._safe)
            self._safe = None
