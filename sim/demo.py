"""`p2prec demo`: two invented shops from nothing to recommendations of each other's things, with a shop's own commands.

DIR/demo.json                      which demo this is; a folder without it is somebody else's
DIR/personas.json                  who the customers are
DIR/SHOP/catalog.csv, images/, ratings.csv   what the shop exports
DIR/SHOP/home/                     the shop's node
DIR/receipt                        one signed answer of the second shop to the first

Every step can be repeated: what is there already is left alone, so an interrupted demo is completed and a finished
one answers again. Knows the nodes only through the command line's own functions.
"""

from __future__ import annotations

import json
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from tqdm import tqdm

from node.cli import build_parser, show
from node.config import Home, load_home
from node.errors import UserError
from node.report import Report, item_line
from node.session import open_encoder, open_store
from sim.datasets import IMAGE_SIZE, Demo, write_demo, write_whole
from sim.demo_page import checked_port, serve_pages
from sim.personas import Persona
from sim.processes import NodeProcess, wait_until

DEFAULT_FOLDER = "p2prec-demo"
ENCODER = "tiny"
#: Whose lists are printed: three styles that differ at a glance.
SHOWN = ("Yuki", "Dario", "Elodie")
_RATED_SHOWN = 3
_RECOMMENDED = 5
_ELSEWHERE = 3
_ASKED = "red floral dress"
_SEED_MAX = 2**32 - 1
_TOGETHER = "Each node holds the other's catalog, and not one of the other's customers."


@dataclass(slots=True)
class Clock:
    """How long each step took, in the order of the steps."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - started, 2)


def run_demo(options: Namespace) -> Report | None:
    """The command. With --port it serves both pages until it is stopped."""
    if options.home:
        raise UserError("demo makes two homes of its own; say where with --out DIR, not with --home")
    if not 0 <= options.seed <= _SEED_MAX:
        raise UserError(f"--seed must be 0 to {_SEED_MAX}")
    port = None if options.port is None else checked_port(options.port)
    folder = Path(options.out or DEFAULT_FOLDER).expanduser()
    report = show_demo(folder, options.seed)
    if port is None:
        report.lines.append("See it in a browser: p2prec demo --port 8080" + f" --out {folder}" * bool(options.out))
        return report

    def ready(pages: list[str]) -> None:
        named = dict(zip((str(shop["platform"]) for shop in report.document["shops"]), pages, strict=True))
        lines = [*report.lines, "", *(f"{name}'s page: {page}" for name, page in named.items()), "Ctrl-C stops both."]
        show(Report({**report.document, "pages": named}, lines), as_json=options.json)

    serve_pages([Path(shop["home"]).parent for shop in report.document["shops"]], port, ready)
    return None


def show_demo(folder: Path, seed: int, *, image_size: int = IMAGE_SIZE, sizes: Sequence[int] | None = None) -> Report:
    """Build, import, rate, meet, recommend. Raises: UserError when the folder is not this demo's."""
    clock = Clock()
    claim(folder, {"p2prec_demo": 1, "seed": seed, "image_size": image_size, "sizes": sizes and list(sizes)})
    total = sum(sizes) if sizes else None
    with clock.step("render"), tqdm(total=total, desc="pictures", unit=" pictures", disable=None) as bar:
        demo = write_demo(folder, seed, image_size=image_size, sizes=sizes, progress=bar.update)
    shops = [_open_shop(folder, shop.trade.platform, clock) for shop in demo.shops]
    with clock.step("meet"):
        network = meet(folder, [load_home(Path(shop["home"])) for shop in shops])
    with clock.step("recommend"):
        people = [_person(persona, shops) for persona in demo.personas if persona.name in SHOWN]
    document = {
        "folder": str(folder),
        "seed": seed,
        "shops": shops,
        "personas": people,
        "network": network,
        "seconds": clock.seconds,
        "note": _TOGETHER,
    }
    return Report(document, _lines(document, demo))


def claim(folder: Path, settings: dict[str, object]) -> None:
    """Make the folder this demo's, or find that it is. Raises: UserError."""
    marker = folder / "demo.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = {path.name for path in folder.iterdir()} - {"demo.json.part"}
        if not found:
            write_whole(marker, json.dumps(settings) + "\n")
        elif not marker.is_file():
            raise UserError(f"{folder} holds something else; choose another folder with --out DIR")
        elif (there := marker.read_text("utf-8")) != json.dumps(settings) + "\n":
            raise UserError(f"{folder} holds another demo ({there.strip()}); choose another folder with --out DIR")
    except OSError as error:
        raise UserError(f"can't make the demo in {folder}: {error.strerror or error}") from error


def call(*words: str) -> Report:
    """What `p2prec WORDS` does, without printing."""
    options = build_parser().parse_args(words)
    module, _, name = str(options.function).partition(":")
    function: Callable[[Namespace], Report] = getattr(import_module(module), name)
    return function(options)


def _open_shop(folder: Path, platform: str, clock: Clock) -> dict[str, Any]:
    """A node for the shop, with its catalog and its customers' ratings."""
    place = folder / platform.lower()
    home = place / "home"
    with clock.step(f"{platform}: init"):
        if not (home / "config.json").is_file():
            call("init", "--home", str(home), "--platform", platform, "--encoder", ENCODER)
        elif load_home(home).config.fingerprint != open_encoder(ENCODER).fingerprint:
            raise UserError(f"{folder} was made with another encoder; delete it, or choose another with --out DIR")
    with clock.step(f"{platform}: import"):
        catalog = call(
            "catalog", "import", str(place / "catalog.csv"), "--images", str(place / "images"), "--home", str(home)
        )
    with clock.step(f"{platform}: rate"):
        ratings = call("rate", "--file", str(place / "ratings.csv"), "--home", str(home))
    return {
        "platform": platform,
        "home": str(home),
        "catalog": catalog.document,
        "ratings": ratings.document,
    }


def meet(folder: Path, homes: list[Home]) -> dict[str, Any]:
    """Both nodes run, until each holds both catalogs; then the first asks the second, and checks its receipt."""
    receipt = folder / "receipt"
    first, second = homes
    # Without learning: what is learned in these seconds hangs on the machine's speed, and a demo says the same twice.
    with NodeProcess(first, "--learn", "none") as one:
        one.ready()
        with NodeProcess(second, "--learn", "none", "--peer", one.address) as other:
            other.ready()
            try:
                seconds = wait_until(lambda: _connected(one) and _roots(one) == _roots(other) and len(_roots(one)) == 2)
            except TimeoutError as error:
                raise UserError(f"the two nodes did not agree {error}; {one.log} and {other.log} say why") from error
            moved = sum(sum(node.status()["bytes_in"].values()) for node in (one, other))
            words = ("--text", _ASKED, "--receipt", str(receipt), "--home", str(first.folder))
            answer = call("query", second.identity.peer_id, *words)
            other.stop()
        one.stop()
    verified = call("verify", str(receipt)).document
    return {
        "seconds": round(seconds, 2),
        "bytes": moved,
        "items": answer.document["items"],
        "receipt": str(receipt),
        "receipt_valid": verified["valid"],
    }


def _connected(node: NodeProcess) -> bool:
    return any(peer["connected"] for peer in node.status()["peers"])


def _roots(node: NodeProcess) -> dict[str, str]:
    """Publisher -> root of each catalog that the node holds whole."""
    return {one["publisher"]: one["root"] for one in node.status()["catalogs"] if one["state"] == "whole"}


def _person(persona: Persona, shops: list[dict[str, Any]]) -> dict[str, Any]:
    """What a persona rated highest and is recommended, at every shop."""
    return {
        "name": persona.name,
        "bio": persona.bio,
        "shops": [
            {
                "platform": shop["platform"],
                "rated_highest": _rated_highest(Path(shop["home"]), persona.name),
                "recommended": _recommended(persona.name, shop, shop["platform"], _RECOMMENDED),
                "elsewhere": _recommended(persona.name, shop, other["platform"], _ELSEWHERE),
            }
            for shop, other in zip(shops, reversed(shops), strict=True)
        ],
    }


def _recommended(user: str, shop: dict[str, Any], platform: str, k: int) -> list[dict[str, Any]]:
    """What this shop's node recommends to its user of that platform's items."""
    words = ("recommend", user, "-k", str(k), "--platform", platform, "--home", shop["home"])
    items: list[dict[str, Any]] = call(*words).document["items"]
    return items


def _rated_highest(home: Path, user: str) -> list[dict[str, Any]]:
    """The user's best-rated items at one shop, the latest first among equals."""
    with open_store(load_home(home)) as store:
        best = sorted(store.ratings(user), key=lambda rating: (-rating.value, -rating.at_ms))[:_RATED_SHOWN]
        return [
            {"item": rating.item, "name": store.find_items(rating.item)[0].item.name, "rating": rating.value}
            for rating in best
        ]


def _lines(document: dict[str, Any], demo: Demo) -> list[str]:
    """The report for a person."""
    lines = []
    for shop, built in zip(document["shops"], demo.shops, strict=True):
        stored, catalog = shop["ratings"]["stored"], shop["catalog"]
        lines.append(
            f"{shop['platform']}: {len(built.listings)} items for {built.trade.audience} in {built.trade.currency}, "
            f"{stored} ratings by {len(demo.personas)} people; {catalog['imported']} items imported, "
            f"{catalog['unchanged']} unchanged, {sum(catalog['rejected'].values())} rejected"
        )
    met = document["network"]
    lines.append(
        f"two nodes met: after {met['seconds']:.1f} s each held the other's catalog, verified; "
        f"{met['bytes']:,} bytes moved"
    )
    lines.append(
        f"{document['shops'][0]['platform']} asked for '{_ASKED}' and got {len(met['items'])} items, signed; "
        f"the receipt is {'valid' if met['receipt_valid'] else 'NOT VALID'}: p2prec verify {met['receipt']}"
    )
    for person in document["personas"]:
        lines += ["", f"{person['name']}. {person['bio']}"]
        for shop in person["shops"]:
            loved = "; ".join(f"{rated['name']} ({rated['rating']:g})" for rated in shop["rated_highest"])
            lines += [f"  at {shop['platform']} rated highest: {loved or 'nothing yet'}", "  and would like:"]
            for place, item in enumerate(shop["recommended"] + shop["elsewhere"], 1):
                lines += [f"  {place}. {item_line(item)}", f"       {item.get('reason', '')}"]
    seconds = document["seconds"]
    home = document["shops"][0]["home"]
    lines += [
        "",
        f"{sum(seconds.values()):.0f} s: " + ", ".join(f"{step} {took:.1f}" for step, took in seconds.items()),
        _TOGETHER,
        f"Look further: p2prec search 'red floral dress' --home {home}",
    ]
    return lines
