"""Every scenario by name, and `p2prec sim list` and `sim run`. Each is a function of a seed and reads like a paragraph.

A run prints its seed and the command that replays it before anything else.
"""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

from tqdm import tqdm

from node.errors import UserError
from node.report import Report
from sim.checkers import BrokenLawError
from sim.outcome import Assertion, Outcome
from sim.stage import Options
from sim.world import World, one_thread, rare_collections, remembered_verifications

#: Name -> the function and its file.
SCENARIOS = {
    "two-shops": ("sim.plays_shops", "two_shops"),
    "many-shops": ("sim.plays_learning", "many_shops"),
    "one-user-a-node": ("sim.plays_learning", "one_user_a_node"),
    "cold-start": ("sim.plays_learning", "cold_start"),
    "churn": ("sim.plays_network", "churn"),
    "partition": ("sim.plays_network", "partition"),
    "byzantine": ("sim.plays_learning", "byzantine"),
    "promotion": ("sim.plays_learning", "promotion"),
    "price-storm": ("sim.plays_network", "price_storm"),
    "new-item": ("sim.plays_network", "new_item"),
    "swarm": ("sim.plays_swarm", "swarm"),
}
SEED_MAX = 2**32 - 1


def play(
    name: str,
    seed: int,
    nodes: int | None = None,
    parameters: Mapping[str, float | int | str] | None = None,
    progress: Callable[[World], object] = lambda world: None,
) -> Outcome:
    """One run. Raises: UserError for what there is not; BrokenLawError when a checker found something."""
    if not 0 <= seed <= SEED_MAX:
        raise UserError(f"--seed must be 0 to {SEED_MAX}")
    options = Options(seed, nodes, parameters or {}, progress)
    began = time.perf_counter()
    with one_thread(), rare_collections(), remembered_verifications():
        outcome = scenario(name)(options)
    outcome.wall_seconds = time.perf_counter() - began
    return outcome


def scenario(name: str) -> Callable[[Options], Outcome]:
    """Raises: UserError."""
    if name not in SCENARIOS:
        raise UserError(f"no scenario {name!r}; there are: {', '.join(SCENARIOS)}")
    module, function = SCENARIOS[name]
    found: Callable[[Options], Outcome] = getattr(import_module(module), function)
    return found


def run_list(options: Namespace) -> Report:
    """The command `sim list`."""
    told = {name: str(scenario(name).__doc__).strip() for name in SCENARIOS}
    document = {"scenarios": [{"scenario": name, "about": about} for name, about in told.items()]}
    return Report(document, [f"{name:18} {about}" for name, about in told.items()])


def run_scenario(options: Namespace) -> Report:
    """The command `sim run`."""
    from sim.reports import report, write_report

    parameters = dict(parse_parameter(one) for one in options.set)
    words = [f"--nodes {options.nodes}"] * (options.nodes is not None) + [f"--set {one}" for one in options.set]
    replay = " ".join([f"p2prec sim run {options.scenario} --seed {options.seed}", *words])
    print(f"seed {options.seed}; replay: {replay}", file=sys.stderr, flush=True)
    with tqdm(unit=" events", disable=None) as bar:
        try:
            outcome = play(options.scenario, options.seed, options.nodes, parameters, lambda world: _show(bar, world))
        except BrokenLawError as error:
            outcome = Outcome(options.scenario, options.seed, asserted=[Assertion(error.law, False, str(error))])
    outcome.replay = replay
    files = write_report(outcome, Path(options.out)) if options.out else []
    return report(outcome, files)


def parse_parameter(text: str) -> tuple[str, float | int | str]:
    """NAME=VALUE, a number where it is one. Raises: UserError."""
    name, found, value = text.partition("=")
    if not found or not name:
        raise UserError(f"--set takes NAME=VALUE, not {text!r}")
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, value


def _show(bar: tqdm[None], world: World) -> None:
    bar.set_postfix_str(f"virtual time {world.seconds:,.0f} s", refresh=False)
    bar.update(max(0, world.events - bar.n))
