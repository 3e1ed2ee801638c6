"""A process that runs one transport: `python -m tests.node.libp2p.victim SEED LISTEN`.

Questions are echoed, but for `hold`, which is never answered. Events go to stdout as lines of JSON; `publish TEXT`,
`dial ADDRESS` and `stop` come from stdin.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import trio

from node.libp2p_transport import Libp2pTransport
from node.transport import Answer, Asked, Dial, Gossip, NetworkEvent, Publish


def say(**fields: Any) -> None:
    print(json.dumps(fields), flush=True)


async def main(seed: int, listen: str) -> None:
    transport = Libp2pTransport(bytes([seed]) * 32, [listen])

    async def hear(event: NetworkEvent) -> None:
        match event:
            case Asked(token, peer, data):
                say(kind="Asked", peer=peer, size=len(data))
                if data != b"hold":
                    transport.carry_out(Answer(token, data))
            case Gossip(author, forwarder, data):
                say(kind="Gossip", author=author, forwarder=forwarder, data=data[:64].decode("ascii", "replace"))
            case _:
                fields = {name: getattr(event, name) for name in event.__dataclass_fields__}
                say(kind=type(event).__name__, **fields)

    async with trio.open_nursery() as nursery:
        await nursery.start(transport.run, hear)
        say(kind="ready", address=transport.addresses[0], peer=transport.peer_id)
        stdin, rest = trio.lowlevel.FdStream(0), b""
        async for chunk in stdin:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                name, _, argument = line.decode().partition(" ")
                if name == "publish":
                    transport.carry_out(Publish(argument.encode()))
                elif name == "dial":
                    transport.carry_out(Dial(argument))
                elif name == "stop":
                    nursery.cancel_scope.cancel()
    say(kind="stopped")


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]), sys.argv[2])
