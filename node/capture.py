"""A transport that keeps a copy of every byte it is handed, so that an owner can see what leaves the node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from node.errors import UserError
from node.transport import Answer, Ask, Hear, NetworkEffect, Publish, Transport


class Capture:
    """Passes everything on. The file holds each outgoing frame behind its length (4 bytes, big-endian)."""

    def __init__(self, transport: Transport, path: Path) -> None:
        """Raises: UserError when the file can't be written."""
        self._transport = transport
        try:
            self._file = path.open("wb")
        except OSError as error:
            raise UserError(f"can't write {path}: {error.strerror}") from error

    @property
    def addresses(self) -> list[str]:
        return self._transport.addresses

    async def run(self, hear: Hear, *, task_status: Any) -> None:
        with self._file:
            await self._transport.run(hear, task_status=task_status)

    def carry_out(self, effect: NetworkEffect) -> None:
        if isinstance(effect, Ask | Answer | Publish):
            self._file.write(len(effect.data).to_bytes(4, "big") + effect.data)
        self._transport.carry_out(effect)
