"""The owner's commands to a running node: status, peers, dial, query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from node.catalog_service import CatalogService
from node.errors import UserError
from node.events import Command
from node.learning_service import LearningService
from node.outbox import Outbox
from node.peers import Peers, peer_in
from node.query_service import QueryService
from protocol.limits import RemoteError

# How long a query waits for a peer that has to be dialled first.
DIAL_WAIT_MS = 20_000


@dataclass(frozen=True, slots=True)
class Waiting:
    """A query whose peer is being dialled."""

    command: Command
    peer: str
    until_ms: int


class OwnerService:
    """Answers commands, each with one reply."""

    def __init__(
        self,
        me: str,
        outbox: Outbox,
        peers: Peers,
        catalogs: CatalogService,
        queries: QueryService,
        learning: LearningService,
    ) -> None:
        self._me = me
        self._outbox = outbox
        self._peers = peers
        self._catalogs = catalogs
        self._queries = queries
        self._learning = learning
        self._waiting: list[Waiting] = []
        self.addresses: tuple[str, ...] = ()

    def handle(self, command: Command, now_ms: int) -> None:
        """One command. A mistake of the owner's is the reply."""
        try:
            match command.name:
                case "status":
                    self._outbox.reply(command.token, self._status(now_ms))
                case "peers":
                    self._outbox.reply(command.token, {"peers": self._peers.report(now_ms)})
                case "dial":
                    self._peers.dial(self._address(command))
                    self._peers.tick(now_ms)
                    self._outbox.reply(command.token, {"dialling": command.arguments["address"]})
                case "query":
                    self._query(command, now_ms)
                case _:
                    raise UserError(f"this node knows no command {command.name!r}; is it an older version?")
        except UserError as mistake:
            self._outbox.reply_mistake(command.token, str(mistake))

    def up(self, peer: str, now_ms: int) -> None:
        """A peer connected: queries that wait for it go out."""
        ready = [one for one in self._waiting if one.peer == peer]
        self._waiting = [one for one in self._waiting if one.peer != peer]
        for one in ready:
            self.handle(one.command, now_ms)

    def tick(self, now_ms: int) -> None:
        """Queries whose peer can't be reached are given up."""
        late = [one for one in self._waiting if one.until_ms < now_ms]
        self._waiting = [one for one in self._waiting if one.until_ms >= now_ms]
        for one in late:
            sentence = f"{one.peer} can't be reached at {one.command.arguments['peer']}; check the address"
            self._outbox.reply_mistake(one.command.token, sentence)

    def due_ms(self, now_ms: int) -> int:
        """When a query is to be given up."""
        return min((one.until_ms for one in self._waiting), default=now_ms + DIAL_WAIT_MS)

    # -- query -------------------------------------------------------------------------------------------------------

    def _query(self, command: Command, now_ms: int) -> None:
        """Ask a peer, dialling it first where its address is given. Raises: UserError."""
        asked, kind = text_of(command, "peer"), text_of(command, "kind")
        try:
            subject, k = bytes.fromhex(text_of(command, "subject")), int(command.arguments["k"])
        except (KeyError, TypeError, ValueError) as error:
            raise UserError("a query needs a subject in hexadecimal and a number k") from error
        peer = self._find_peer(asked)
        if peer == self._me:
            raise UserError("that is this node itself; p2prec search and p2prec similar ask it")
        if self._peers.banned(peer, now_ms):
            raise UserError(f"{asked} is banned for a while; p2prec node peers says why and for how long")
        if peer not in self._peers.connected:
            if not asked.startswith("/"):
                raise UserError(f"{asked} is not connected; give its full address, or see: p2prec node peers")
            self._peers.dial(asked)
            self._peers.tick(now_ms)
            self._waiting.append(Waiting(command, peer, now_ms + DIAL_WAIT_MS))
            return
        try:
            self._queries.ask(command.token, peer, kind, subject, k, now_ms)
        except RemoteError as error:
            raise UserError(f"this can't be asked: {error}") from error

    def _find_peer(self, asked: str) -> str:
        """The peer id meant by a peer id, a full address, or a platform's name. Raises: UserError."""
        if asked.startswith("/"):
            return self._address_peer(asked)
        if asked in self._peers.connected:
            return asked
        named = sorted(
            shelf.peer
            for shelf in self._catalogs.shelves.values()
            if shelf.head is not None and shelf.head.platform.casefold() == asked.casefold()
        )
        if len(named) > 1:
            raise UserError(f"several peers are called {asked!r}; give a peer id: {', '.join(named)}")
        return named[0] if named else asked

    def _address(self, command: Command) -> str:
        address = text_of(command, "address")
        self._address_peer(address)
        return address

    @staticmethod
    def _address_peer(address: str) -> str:
        peer = peer_in(address)
        if peer is None:
            raise UserError(f"{address} names no peer; it must end in /p2p/PEER_ID, as p2prec node start prints it")
        return peer

    # -- status ------------------------------------------------------------------------------------------------------

    def _status(self, now_ms: int) -> dict[str, Any]:
        return {
            "running": True,
            "addresses": list(self.addresses),
            "catalogs": self._catalogs.report(),
            "peers": self._peers.report(now_ms),
            "models": self._learning.report(now_ms),
            **self._outbox.traffic.report(),
        }


def text_of(command: Command, name: str) -> str:
    """An argument of a command. Raises: UserError when it is not there."""
    value = command.arguments.get(name)
    if not isinstance(value, str):
        raise UserError(f"{command.name} needs the argument {name!r}")
    return value
