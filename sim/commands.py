"""The simulator's commands for the command line, joined through the entry-point group `p2prec.commands`.

Imports nothing but the command line itself: `p2prec --help` reads this file and must stay quick.
"""

from __future__ import annotations

from typing import Any

from node.cli import command


def add(commands: Any) -> None:
    """Register `p2prec demo` and `p2prec sim ...`."""
    demo = command(
        commands,
        "demo",
        "sim.demo:run_demo",
        "two invented shops with thirty invented customers: build, import, rate, recommend",
    )
    demo.add_argument("--out", metavar="DIR", help="where the demo goes (default: p2prec-demo in this folder)")
    demo.add_argument("--seed", type=int, default=0, help="which shops and customers (default 0)")
    demo.add_argument(
        "--port",
        metavar="P",
        type=int,
        help="then serve the shops' web pages at 127.0.0.1, ports P and P+1 (0: free ones), until stopped",
    )
    sim = commands.add_parser("sim", help="simulate networks of nodes; judge recommenders on any ratings")
    # The parser class of the command line, whose complaints are one line.
    verbs = sim.add_subparsers(metavar="VERB", required=True, parser_class=type(sim))
    command(verbs, "list", "sim.scenarios:run_list", "the scenarios that can be run")
    run = command(verbs, "run", "sim.scenarios:run_scenario", "a simulation by the very engine that nodes run")
    run.add_argument("scenario", metavar="SCENARIO", help="one of p2prec sim list")
    run.add_argument("--nodes", metavar="N", type=int, help="how many nodes (default: the scenario's own number)")
    run.add_argument("--seed", metavar="S", type=int, default=0, help="decides everything that happens (default 0)")
    run.add_argument("--out", metavar="DIR", help="where report.html, outcome.json and plots go (default: nowhere)")
    run.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[], help="a parameter of the scenario; may be repeated"
    )
    sweep = command(
        verbs,
        "sweep",
        "sim.sweep:run_sweep",
        "many simulations: seeds, scenarios, parameters, or a search by Optuna",
    )
    sweep.add_argument("config", metavar="CONFIG", help="TOML file; docs/simulator.md says what is in it")
    sweep.add_argument(
        "--engine",
        metavar="NAME",
        default="local",
        help="local (default: all cores) or ray (RAY_ADDRESS, else this machine)",
    )
    sweep.add_argument(
        "--out", metavar="DIR", help="where rows are kept, and gone on from (default: CONFIG's name and -sweep)"
    )
    _add_evaluate(verbs)
    reproduce = command(
        verbs, "reproduce", "sim.reproduce:run_reproduce", "the seed's table: published, as published run again, honest"
    )
    reproduce.add_argument(
        "--data", metavar="DIR", help="the seed's persona_ratings.json and row_ranges.json (default: demo data)"
    )
    reproduce.add_argument("--out", metavar="DIR", help="where the plots go (default: no plots)")
    reproduce.add_argument("--seeds", metavar="N", type=int, default=10, help="runs of what is random (default 10)")


def _add_evaluate(verbs: Any) -> None:
    evaluate = command(verbs, "evaluate", "sim.evaluate:run_evaluate", "recommenders judged honestly on any ratings")
    evaluate.add_argument("--ratings", metavar="CSV", required=True, help="user, item and mostly rating and timestamp")
    evaluate.add_argument(
        "--test", metavar="CSV", help="ratings to judge by (default: a part of --ratings, see --split)"
    )
    evaluate.add_argument("--items", metavar="CSV", help="the whole catalog: item, and perhaps platform")
    evaluate.add_argument(
        "--vectors", metavar="NPY", help="a vector for each item, [items, dim], in the order of --items"
    )
    evaluate.add_argument(
        "--split",
        metavar="NAME",
        help="random (default), per-user, timeline, new-user, new-item or cross-platform",
    )
    evaluate.add_argument(
        "--relevant", metavar="R", type=float, help="a rating of R or more is liked (default: chosen, and printed)"
    )
    evaluate.add_argument("-k", type=int, default=10, help="length of the lists that are judged (default 10)")
    evaluate.add_argument(
        "--model", metavar="NAME", action="append", default=[], help="may be repeated (default: all that can)"
    )
    evaluate.add_argument(
        "--trials",
        metavar="N",
        type=int,
        default=1,
        help="settings tried for each model, on a part of the training set (default 1: its defaults)",
    )
    evaluate.add_argument("--seeds", metavar="N", type=int, default=1, help="so many splits and fits (default 1)")
    evaluate.add_argument("--seed", metavar="S", type=int, default=42, help="the first of them (default 42)")
    evaluate.add_argument(
        "--map", metavar="field=column", action="append", default=[], help="for columns of unknown names"
    )
