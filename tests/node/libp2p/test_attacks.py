"""Everything in attacks.py against one live node, which serves an honest peer meanwhile and afterwards."""

from __future__ import annotations

import pytest
import trio

from node.transport import Answered, PeerUp
from tests.node.libp2p.attacks import ATTACKS
from tests.node.libp2p.rig import Peer, Victim, eventually, running, victim

# An answer while somebody attacks; the attacks share two cores with their victim.
SECONDS_MAX = 15.0
MEMORY_MB_MAX = 150


@pytest.mark.slow
def test_a_node_outlives_every_attack() -> None:
    async def main() -> None:
        honest = Peer(1)
        async with running(honest), victim(2) as it:
            assert isinstance(await honest.dial(it.address), PeerUp)
            await honest.hears(b"before", it)
            descriptors, memory = it.descriptors(), it.memory_mb()
            for name, attack in ATTACKS.items():
                with trio.fail_after(30):
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(attack, it.address)
                        await serves(it, honest, f"during {name}")
                await serves(it, honest, f"after {name}")
                assert it.memory_mb() < memory + MEMORY_MB_MAX, name
            assert not honest.downs(it.id)
            await honest.hears(b"gossip still flows", it)
            await eventually(lambda: it.descriptors() <= descriptors)
            assert it.memory_mb() < memory + MEMORY_MB_MAX
            told = {(one["reason"]) for one in it.told("Misbehaved")}
            assert told == {"too_big", "malformed", "too_many"}
            assert not it.told("Misbehaved", peer=honest.id)
            it.command("stop", "")
            await it.until(lambda: it.told("stopped"), 5)
            assert it.stderr == b""

    trio.run(main)


async def serves(it: Victim, honest: Peer, when: str) -> None:
    outcome = await honest.ask(it.id, when.encode(), SECONDS_MAX)
    assert outcome == Answered(outcome.token, when.encode()), (when, outcome, it.stderr[-2000:])
