"""`p2prec demo --port P`: the two shops of a demo as two running nodes, each with its page, until they are stopped.

They learn together, faster than shops would and without noise: the customers are invented, and thirty real ones are too
few for noise to leave anything to learn (docs/learning.md).
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from node.config import load_home
from node.errors import UserError
from sim.processes import NodeProcess

PORT_MAX = 65_534
LEARNING = ("--learn", "taste_prior", "--epsilon", "none", "--period", "10")
LOOK_SECONDS = 0.5


def checked_port(port: int) -> int:
    """Raises: UserError unless it and the next one can be listened at."""
    if not 0 <= port <= PORT_MAX:
        raise UserError(f"--port must be 0 (any free ones) to {PORT_MAX}; the second shop's page is at the next one")
    return port


def serve_pages(shops: Sequence[Path], port: int, ready: Callable[[list[str]], object]) -> None:
    """Run the nodes of these folders; `ready` hears the pages' addresses. Returns on SIGTERM or SIGINT."""
    stop = threading.Event()
    homes = [load_home(shop / "home") for shop in shops]
    with ExitStack() as stack:
        for number in (signal.SIGTERM, signal.SIGINT):
            stack.callback(signal.signal, number, signal.signal(number, lambda *_: stop.set()))
        nodes: list[NodeProcess] = []
        pages = []
        for place, home in enumerate(homes):
            named = [word for node in nodes for word in ("--peer", node.address)]
            words = ["--api", f"127.0.0.1:{port + place if port else 0}", "--images", str(shops[place] / "images")]
            for other, shop in zip(homes, shops, strict=True):
                words += ["--images-of", other.identity.peer_id, str(shop / "images")] * (other is not home)
            node = stack.enter_context(NodeProcess(home, *words, *LEARNING, *named))
            pages.append(str(node.ready()["api"]))
            nodes.append(node)
        ready(pages)
        while not stop.wait(LOOK_SECONDS):
            for node in nodes:
                if node.process.poll() is not None:
                    raise UserError(f"the node in {node.home.folder} has stopped; {node.log} says why")
        for node in nodes:
            node.stop()
