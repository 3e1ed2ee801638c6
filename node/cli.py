"""The command line: words to a function call, its report to text or JSON, errors to one sentence.

Exit codes: 0 done, 1 a check failed, 2 the owner's mistake. Nothing heavy is imported before a command is chosen, so
`p2prec --help` is as quick as Python. The simulator is not imported from here; its commands join through the
entry-point group `p2prec.commands`, each a function `add(subcommands)`.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, NoReturn

from node.errors import UserError

if TYPE_CHECKING:
    from node.report import Report


class _Parser(ArgumentParser):
    """argparse, with its two-part complaint as one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def build_parser() -> ArgumentParser:
    """Every command and option. The text shown by --help is the manual's first page."""
    parser = _Parser(prog="p2prec", description="A recommender node that belongs to one shop, and learns with others.")
    parser.add_argument("--version", action="version", version="p2prec 0.1.0")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    _add_node(commands)
    _add_catalog(commands)
    _add_network(commands)
    _add_questions(commands)
    for plugin in sorted(entry_points(group="p2prec.commands"), key=lambda point: point.name):
        plugin.load()(commands)
    return parser


def command(commands: Any, name: str, function: str, about: str) -> ArgumentParser:
    """A command that will call `module:function` with the parsed options."""
    parser: ArgumentParser = commands.add_parser(name, help=about, description=about)
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    parser.add_argument(
        "--home", metavar="DIR", help="the node's folder (default: P2PREC_HOME, else the data directory)"
    )
    parser.set_defaults(function=function)
    return parser


def _add_node(commands: Any) -> None:
    init = command(commands, "init", "node.commands_catalog:run_init", "make a node: folder, key, configuration")
    init.add_argument("--platform", required=True, metavar="NAME", help="the shop's name, as people will see it")
    init.add_argument(
        "--encoder", default="tiny", help="tiny (embedded, default), MODEL/PRETRAINED of open_clip, or MODEL@FILE"
    )
    init.add_argument(
        "--network", default="p2prec", metavar="NAME", help="only nodes of one network hear each other (default p2prec)"
    )
    command(commands, "doctor", "node.doctor:run_doctor", "what is installed, found and wrong, and how to mend it")
    bench = command(commands, "bench", "node.commands_bench:run_bench", "speeds and quality, each beside a yardstick")
    bench.add_argument("names", metavar="NAME", nargs="*", help="benchmarks, as tests/bench names them (default: all)")


def _add_network(commands: Any) -> None:
    node = commands.add_parser("node", help="run the node; see what it holds and whom it knows")
    verbs = node.add_subparsers(metavar="VERB", required=True, parser_class=_Parser)
    start = command(verbs, "start", "node.commands_node:run_start", "run the node until it is stopped")
    start.add_argument(
        "--listen", metavar="MULTIADDR", action="append", default=[], help="default: /ip4/0.0.0.0/tcp/0, a free port"
    )
    start.add_argument(
        "--peer", metavar="MULTIADDR", action="append", default=[], help="a node to be connected to, with its /p2p/ID"
    )
    start.add_argument("--mdns", action="store_true", help="find and be found by nodes on the local network")
    start.add_argument(
        "--allow",
        metavar="PEER_ID",
        action="append",
        default=[],
        help="answer only these peers' queries (default: all)",
    )
    start.add_argument(
        "--queries-per-minute", type=int, default=600, metavar="N", help="what one peer may ask (default 600)"
    )
    start.add_argument(
        "--items-max", type=int, default=5_000_000, metavar="N", help="items of others to hold (default 5 million)"
    )
    _add_learning(start)
    start.add_argument(
        "--api", metavar="HOST:PORT", help="serve the web page and the HTTP API there, as in 127.0.0.1:8080"
    )
    start.add_argument("--images", metavar="DIR", help="own items' pictures, for the page, by the item's id or address")
    start.add_argument(
        "--images-of",
        metavar=("PEER_ID", "DIR"),
        nargs=2,
        action="append",
        default=[],
        help="the same of another shop's items (default: from the address that it gives)",
    )
    start.add_argument("--capture", metavar="FILE", help="keep a copy of every byte that leaves the node")
    command(verbs, "status", "node.commands_node:run_status", "catalogs, peers, bytes and refusals")
    command(verbs, "peers", "node.commands_node:run_peers", "who is connected, scored down or banned")
    _add_asking(commands)


def _add_asking(commands: Any) -> None:
    query = command(commands, "query", "node.commands_query:run_query", "ask a peer, and get a signed answer")
    query.add_argument("peer", metavar="PEER", help="peer id, platform name, or full address")
    about = query.add_mutually_exclusive_group(required=True)
    about.add_argument("--text", metavar="T", help="items nearest to a text")
    about.add_argument("--item", metavar="ITEM", help="items nearest to an item")
    about.add_argument("--card", metavar="FILE", help="items for the owner of a taste card")
    query.add_argument("-k", type=int, default=10, help="how many (default 10)")
    query.add_argument("--receipt", metavar="FILE", help="keep the signed answer, to be checked with p2prec verify")
    verify = command(commands, "verify", "node.commands_query:run_verify", "check a receipt, offline")
    verify.add_argument("receipt", metavar="RECEIPT")
    audit = command(commands, "audit", "node.commands_audit:run_audit", "attack what this node publishes of its users")
    audit.add_argument("--epsilon", type=float, default=1.0, metavar="E", help="as for node start (default 1)")
    audit.add_argument("--rounds", type=int, default=6, metavar="N", help="publications attacked (default 6)")
    audit.add_argument("--seed", type=int, default=0, metavar="S", help="of the experiment (default 0)")
    card = commands.add_parser("card", help="taste cards: what a user takes along to another shop")
    verbs = card.add_subparsers(metavar="VERB", required=True, parser_class=_Parser)
    export = command(verbs, "export", "node.commands_query:run_card_export", "a user's taste as a signed file")
    export.add_argument("user", metavar="USER")
    export.add_argument("--out", required=True, metavar="FILE")
    export.add_argument("--days", type=int, default=90, help="how long it is good for (default 90)")
    imports = command(verbs, "import", "node.commands_query:run_card_import", "a visitor's card into this shop")
    imports.add_argument("file", metavar="FILE")
    imports.add_argument("--user", metavar="NAME", help="what to call the visitor here (default: from the card)")


def _add_learning(start: ArgumentParser) -> None:
    start.add_argument(
        "--learn",
        default="taste_prior",
        metavar="MODELS",
        help="what to learn with others, by commas: taste_prior, projection, two_tower; or none (default taste_prior)",
    )
    start.add_argument(
        "--epsilon",
        default="1",
        metavar="E",
        help="the most that a user's privacy may lose by all that is ever published; none: no noise (default 1)",
    )
    start.add_argument(
        "--period", type=float, default=60.0, metavar="SECONDS", help="between two periods of learning (default 60)"
    )


def _add_catalog(commands: Any) -> None:
    catalog = commands.add_parser("catalog", help="import, list, show, remove and vet items")
    verbs = catalog.add_subparsers(metavar="VERB", required=True, parser_class=_Parser)
    imports = command(
        verbs, "import", "node.commands_catalog:run_import", "a shop's export into this node's own catalog"
    )
    imports.add_argument(
        "file", metavar="FILE", help="CSV, JSON, JSON Lines or Parquet file, or a folder of JSON files"
    )
    imports.add_argument("--images", metavar="DIR", help="folder of pictures, found by file name or item id")
    imports.add_argument(
        "--fetch-images", action="store_true", help="fetch pictures by URL (none is fetched otherwise)"
    )
    imports.add_argument("--currency", metavar="CUR", help="ISO 4217 code, where the export does not say")
    imports.add_argument("--format", metavar="NAME", help="skip detection; docs/formats.md lists the names")
    imports.add_argument(
        "--map", metavar="field=column", action="append", default=[], help="for exports of no known kind"
    )
    imports.add_argument("--rejected", action="store_true", help="list rejected rows with their reasons")
    lists = command(verbs, "list", "node.commands_catalog:run_list", "all known items")
    lists.add_argument("--publisher", metavar="P", help="only this publisher (peer id or platform name)")
    shows = command(verbs, "show", "node.commands_catalog:run_show", "everything known of one item")
    shows.add_argument("item", metavar="ITEM")
    removes = command(verbs, "remove", "node.commands_catalog:run_remove", "own items out of the catalog")
    removes.add_argument("items", metavar="ITEM", nargs="*")
    removes.add_argument("--all", action="store_true", help="the whole own catalog")
    vets = command(
        verbs, "vet", "node.commands_vetting:run_vet", "can other shops' vectors be what they are said to be?"
    )
    vets.add_argument("--publisher", metavar="P", help="only this publisher (peer id or platform name)")
    vets.add_argument(
        "--sample", type=int, default=200, metavar="N", help="items of each catalog to encode again (default 200)"
    )
    vets.add_argument("--seed", type=int, metavar="S", help="which items (default: new chance each time)")
    vets.add_argument(
        "--pictures", action="store_true", help="also fetch these items' pictures, from strangers' addresses"
    )
    vets.add_argument("--before", metavar="FILE", help="what --json printed last time, to see who is shown more since")


def _add_questions(commands: Any) -> None:
    searches = command(
        commands, "search", "node.commands_people:run_search", "items nearest to a text, on all platforms"
    )
    searches.add_argument("text", metavar="TEXT")
    similars = command(
        commands, "similar", "node.commands_people:run_similar", "items nearest to an item, on all platforms"
    )
    similars.add_argument("item", metavar="ITEM")
    rates = command(
        commands, "rate", "node.commands_people:run_rate", "record a user's opinion, -1 to 10; it stays here"
    )
    rates.add_argument("user", metavar="USER", nargs="?")
    rates.add_argument("item", metavar="ITEM", nargs="?")
    rates.add_argument("value", metavar="VALUE", nargs="?")
    rates.add_argument("--file", metavar="CSV", help="columns user,item,rating[,timestamp]")
    recommends = command(commands, "recommend", "node.commands_people:run_recommend", "what a user would like, and why")
    recommends.add_argument("user", metavar="USER")
    recommends.add_argument(
        "--model", metavar="NAME", help="as content, ridge, taste_prior (default: by what is known)"
    )
    for parser in (searches, similars, recommends):
        parser.add_argument("-k", type=int, default=10, help="how many (default 10)")
        parser.add_argument("--platform", metavar="P", help="only this platform's items")


def run(arguments: Sequence[str]) -> int:
    """Parse, call, print. Returns the exit code."""
    options = build_parser().parse_args(arguments)
    try:
        check_words(arguments)
        module, _, name = str(options.function).partition(":")
        function: Callable[[Namespace], Report | None] = getattr(importlib.import_module(module), name)
        report = function(options)
        # A command that ran until it was stopped has said what there was to say.
        return show(report, as_json=options.json) if report else 0
    except UserError as error:
        # One line, whatever a file's or column's name is made of.
        sentence = "".join(letter if letter.isprintable() else " " for letter in str(error))
        print(f"p2prec: {sentence}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("p2prec: interrupted; what was stored stays, run the command again to go on", file=sys.stderr)
        return 130


def check_words(arguments: Sequence[str]) -> None:
    """Python lets bytes that are no text through as lone surrogates; nothing further on can use those."""
    for word in arguments:
        if any("\ud800" <= letter <= "\udfff" for letter in word):
            raise UserError(f"{word.encode('utf-8', 'replace').decode()!r} is not UTF-8 text")


def show(report: Report, *, as_json: bool) -> int:
    """Print the answer. Returns its exit code."""
    text = json.dumps(report.document, ensure_ascii=False) if as_json else "\n".join(report.lines)
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # The reader (head, less) has enough. Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise UserError(f"the answer can't be written: {error.strerror}") from error
    return report.exit_code


def main() -> NoReturn:
    """The console script."""
    if not __debug__:
        sys.exit("p2prec: python -O removes the checks that keep a node safe; run without it")
    code = run(sys.argv[1:])
    if "trio" in sys.modules and threading.active_count() > 1:
        # A node that stops leaves a job behind in a thread. It holds nothing that must be written, and torch in a
        # thread that outlives the interpreter would abort the process.
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
