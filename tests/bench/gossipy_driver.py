"""gossipy's matrix factorisation, run by gossipy itself: `python gossipy_driver.py FOLDER`, in gossipy's environment.

FOLDER/train.npz holds users, items and values; FOLDER/config.json the rest. Left there: result.json, and after each
round of `marks` expected_ROUND.npy, float32 [users, items]. It knows nothing of this project: tests.bench.gossipy_peer
starts it and judges. gossipy wants torchvision to be importable and uses nothing of it here.
"""

from __future__ import annotations

import json
import logging
import random
import re
import sys
import time
import types
from pathlib import Path
from typing import Any

import networkx
import numpy as np
import torch

sys.modules.setdefault("torchvision", types.ModuleType("torchvision"))

from gossipy import LOG  # noqa: E402
from gossipy.core import AntiEntropyProtocol, CreateModelMode, StaticP2PNetwork  # noqa: E402
from gossipy.model.handler import MFModelHandler  # noqa: E402
from gossipy.node import GossipNode  # noqa: E402
from gossipy.simul import GossipSimulator, SimulationEventReceiver  # noqa: E402

#: As in gossipy's own main scripts: time steps of a round, and neighbours of a node.
STEPS, DEGREE = 100, 20


class Corrected(MFModelHandler):  # type: ignore[misc]
    """gossipy's merge divides the weighted sum by twice the weights, which halves the item factors every time; not so
    here. Also counts updates."""

    updates = 0

    def _merge(self, other: Any) -> None:
        _, (theirs_IK, theirs_I) = other.model
        user, (mine_IK, mine_I) = self.model  # type: ignore[has-type]
        mine, theirs = self.n_updates, other.n_updates
        merged_IK = (mine_IK * mine + theirs_IK * theirs) / (mine + theirs)
        merged_I = (mine_I * mine + theirs_I * theirs) / (mine + theirs)
        self.model = user, (merged_IK, merged_I)

    def _update(self, data: Any) -> None:
        Corrected.updates += 1
        super()._update(data)


class Messages(SimulationEventReceiver):  # type: ignore[misc]
    """Counts what was sent."""

    sent = 0

    def update_message(self, failed: bool, msg: Any = None) -> None:
        self.sent += not failed

    def update_evaluation(self, *_: Any) -> None: ...

    def update_timestep(self, *_: Any) -> None: ...

    def update_end(self) -> None: ...


class NoTest:
    """Judged elsewhere."""

    def has_test(self) -> bool:
        return False


def make_nodes(folder: Path, config: dict[str, Any], n_items: int, n_users: int) -> dict[int, Any]:
    """One user a node; where there are more nodes than users, users come again."""
    train = np.load(folder / "train.npz")
    pairs = np.stack([train["items"], train["values"]], axis=1).astype(np.float64)
    rng, n_nodes = np.random.default_rng(0), config["nodes"]
    graph = networkx.to_numpy_array(networkx.random_regular_graph(DEGREE, n_nodes, seed=0))
    network = StaticP2PNetwork(n_nodes, graph)
    proto = Corrected(config["rank"], n_items, config["reg"], config["rate"], CreateModelMode.MERGE_UPDATE)
    nodes = {}
    for number in range(n_nodes):
        data = (rng.permutation(pairs[train["users"] == number % n_users]), None)
        nodes[number] = GossipNode(number, data, STEPS, proto.copy(), network, True)
    return nodes


def expected(nodes: dict[int, Any], n_users: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    rows = []
    for number in range(n_users):
        (x, b), (y_IK, c_I) = nodes[number].model_handler.model
        rows.append(((x @ y_IK.T)[0] + b + c_I).astype(np.float32))
    return np.stack(rows)


def peak_mib() -> float:
    """Peak memory of this process; ru_maxrss would have that of the parent before exec in it."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else float("nan")


def main(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    torch.set_num_threads(1)
    LOG.setLevel(logging.ERROR)
    random.seed(0)
    np.random.seed(0)
    n_items, n_users = config["n_items"], config["n_users"]
    nodes = make_nodes(folder, config, n_items, n_users)
    messages = Messages()
    simulator = GossipSimulator(nodes, NoTest(), STEPS, AntiEntropyProtocol.PUSH)
    simulator.add_receiver(messages)
    simulator.init_nodes()
    Corrected.updates, done, curve = 0, 0, []
    for mark in config["marks"]:
        began = time.process_time()
        simulator.start(mark - done)
        cpu_s, done = time.process_time() - began, mark
        bytes_a_node = messages.sent * 4 * n_items * (config["rank"] + 1) / len(nodes)
        curve.append({"round": mark, "cpu_s": cpu_s, "updates": Corrected.updates, "bytes_a_node": bytes_a_node})
        if config["judged"]:
            np.save(folder / f"expected_{mark}.npy", expected(nodes, n_users))
    result = {"peak_mib": peak_mib(), "curve": curve}
    (folder / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
