"""The commands around a running node: node start, node status, node peers."""

from __future__ import annotations

import json
import random
import signal
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from node.config import Home, home_folder, load_home
from node.control import ask_node
from node.database import Database
from node.errors import UserError
from node.peers import peer_in
from node.report import Report
from node.session import home_encoder
from node.store import Store

if TYPE_CHECKING:
    from models.clip import Encoder
    from node.api_server import ApiServer
    from node.learning_service import LearningPlan
    from node.live_index import LiveIndex

# A node that is told to stop must not wait long for another process's lock, nor people for an answer.
BUSY_MS = 2_000
LISTEN = "/ip4/0.0.0.0/tcp/0"
PERIOD_SECONDS_MIN, PERIOD_SECONDS_MAX = 1.0, 86_400.0


def run_start(options: Namespace) -> None:
    """Run the node until it is told to stop. Prints one line when it is ready."""
    # Until the runtime listens to signals: importing the network takes half a second.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    home = load_home(home_folder(options.home))
    for address in options.peer:
        if peer_in(address) is None:
            raise UserError(f"--peer {address} must end in /p2p/PEER_ID, as that node's own start prints it")
    for peer in options.allow:
        if peer_in(f"/p2p/{peer}") is None:
            raise UserError(f"--allow {peer} is no peer id; p2prec node peers shows them")
    if options.queries_per_minute < 1:
        raise UserError("--queries-per-minute must be at least 1")
    if options.items_max < 0:
        raise UserError("--items-max must be 0 or more")
    plan = learning_plan(options.learn, options.epsilon, options.period, home.config.encoder)

    from node.answers import one_blas_thread
    from node.capture import Capture
    from node.engine import Engine, Settings
    from node.jobs import home_ranker
    from node.learner import home_learner
    from node.libp2p_transport import Libp2pTransport
    from node.live_index import Once, home_live_index
    from node.query_service import Policy
    from node.runtime import Runtime, locked, run_node
    from node.transport import Transport

    with one_blas_thread(), locked(home):
        # Opened before anybody else does: a new file's first reader makes its tables.
        database = Database(home.database, BUSY_MS)
        live, open_encoder = home_live_index(home), Once(partial(home_encoder, home))
        api = api_server(options, home, live, open_encoder)

        def ready(addresses: list[str]) -> None:
            document = {"peer_id": home.identity.peer_id, "addresses": addresses, "api": api.url if api else None}
            print(json.dumps(document) if options.json else " ".join(addresses), flush=True)

        dim = home.config.dim or home_encoder(home).dim
        settings = Settings(
            home.config.platform,
            bytes.fromhex(home.config.fingerprint),
            2 * dim,
            Policy(home.config.network, frozenset(options.allow) or None, options.queries_per_minute),
            tuple(options.peer),
            options.items_max,
            plan,
        )
        engine = Engine(database, home.identity, settings, random.SystemRandom())
        transport: Transport = Libp2pTransport(
            home.identity.seed, options.listen or [LISTEN], network=home.config.network, mdns=options.mdns
        )
        if options.capture:
            transport = Capture(transport, Path(options.capture))
        ranker, learner = home_ranker(home, live, open_encoder), home_learner(home, dim)
        run_node(Runtime(home, engine, transport, ranker, learner, api.run if api else None), ready)


def api_server(
    options: Namespace, home: Home, live: LiveIndex, open_encoder: Callable[[], Encoder]
) -> ApiServer | None:
    """API and page, where they are asked for. Raises: UserError."""
    if not options.api:
        if options.images or options.images_of:
            raise UserError("--images is for the page; say where with --api HOST:PORT")
        return None

    from node.answers import Answers
    from node.api_server import ApiServer
    from node.pictures import PictureFolder, ShownPictures

    folders = {} if options.images is None else {home.identity.peer_id: PictureFolder(Path(options.images))}
    for publisher, folder in options.images_of:
        if peer_in(f"/p2p/{publisher}") is None:
            raise UserError(f"--images-of {publisher} is no peer id; p2prec catalog list shows them")
        folders[publisher] = PictureFolder(Path(folder))
    answers, writer = (
        Answers(home, Store(Database(home.database, BUSY_MS)), lambda: live.current().index, open_encoder)
        for _ in range(2)
    )
    server = ApiServer(home, options.api, answers, writer, ShownPictures(folders, home.pictures))
    password = "" if server.token is None else f"; the password is in {home.folder / 'api_token'}, any name will do"
    print(f"page and API at {server.url}{password}", file=sys.stderr, flush=True)
    return server


def learning_plan(models: str, epsilon: str, period_seconds: float, encoder: str) -> LearningPlan:
    """What the options of `node start` say of learning. Raises: UserError."""
    from models.features import features_of
    from models.privacy import EPSILON_MAX
    from models.shared_models import BESIDE, LEARNABLE
    from node.learning_service import LearningPlan

    chosen = () if models == "none" else tuple(models.split(","))
    for model in chosen:
        if model not in LEARNABLE or chosen.count(model) > 1:
            raise UserError(f"--learn takes each of {', '.join(LEARNABLE)} once, by commas, or none; not {models!r}")
    try:
        most = None if epsilon == "none" else float(epsilon)
    except ValueError:
        raise UserError(f"--epsilon must be a number or none, not {epsilon!r}") from None
    if most is not None and not 0 < most <= EPSILON_MAX:
        raise UserError(f"--epsilon must be above 0 and at most {EPSILON_MAX:g}, or none")
    if most is not None and set(chosen) - {"taste_prior"}:
        raise UserError("only taste_prior can be shared with noise; for the other models say --epsilon none")
    if not PERIOD_SECONDS_MIN <= period_seconds <= PERIOD_SECONDS_MAX:
        raise UserError(f"--period must be {PERIOD_SECONDS_MIN:g} to {PERIOD_SECONDS_MAX:g} seconds")
    beside = tuple(other for model in chosen for other in BESIDE.get(model, ()))
    return LearningPlan((*chosen, *beside), features_of(encoder), round(1000 * period_seconds), most)


def run_status(options: Namespace) -> Report:
    """What the node holds and whom it knows; of a node that does not run, what its store says."""
    home = load_home(home_folder(options.home))
    document = {"peer_id": home.identity.peer_id, "platform": home.config.platform, **node_status(home)}
    lines = [f"{home.config.platform} {home.identity.peer_id}: {'running' if document['running'] else 'not running'}"]
    lines += [f"  at {address}" for address in document["addresses"]]
    for one in document["catalogs"]:
        state = one["state"] if one["comparable"] or one["state"] == "empty" else f"{one['state']}, another encoder"
        lines.append(
            f"  {one['platform'] or '-':20} {one['items_known']:>8} of {one['items_total']:>8} items"
            f"  version {one['version'] or '-'}  {state}"
        )
    lines += [model_line(one) for one in document["models"]]
    lines.append(f"  {sum(peer['connected'] for peer in document['peers'])} peers connected")
    for way in ("in", "out"):
        counts = document[f"bytes_{way}"]
        lines += [f"  bytes {way}: " + ", ".join(f"{kind} {count:,}" for kind, count in counts.items())] * bool(counts)
    if document["refused"]:
        lines.append("  refused: " + ", ".join(f"{reason} {count}" for reason, count in document["refused"].items()))
    return Report(document, lines)


def model_line(one: dict[str, Any]) -> str:
    """A learned model in one line."""
    helps = {None: "nobody heard yet", True: "the network helps", False: "the network does not help: ranks alone"}
    accepted, refused = (sum(entry[key] for entry in one["ledger"].values()) for key in ("accepted", "refused"))
    privacy = "no privacy promised" if one["epsilon"] is None else f"epsilon {one['epsilon']:.2f}"
    if not one["published"]:
        privacy = "nothing published"
    return (
        f"  {one['model']}: age {one['age']}, {one['users']} users here, {one['nodes']} nodes;"
        f" {helps[one['network_helps']]}; updates accepted {accepted}, refused {refused}; {privacy}"
        + (f" ({one['stopped']})" if one.get("stopped") else "")
    )


def run_peers(options: Namespace) -> Report:
    """Peers of the running node: connected, scored down, banned."""
    home = load_home(home_folder(options.home))
    peers = node_status(home)["peers"]
    lines = [
        f"{peer['peer_id']}  {'connected' if peer['connected'] else 'gone':9}  score {peer['score']:g}"
        + (f"  banned for {peer['banned_seconds']} s" if peer["banned_seconds"] else "")
        + (f"  faults: {', '.join(f'{reason} {n}' for reason, n in peer['faults'].items())}" if peer["faults"] else "")
        for peer in peers
    ]
    return Report({"peers": peers}, lines or ["no peers; connect with: p2prec node start --peer ADDRESS"])


def node_status(home: Home) -> dict[str, Any]:
    """Of the running node, else read from its store."""
    document = ask_node(home, "status")
    if document is not None:
        return document
    from models.features import features_of
    from node.learned import Learned
    from node.learning_status import model_document
    from node.outbox import Traffic
    from node.status import stored_catalogs

    database = Database(home.database)
    try:
        catalogs = stored_catalogs(database, bytes.fromhex(home.config.fingerprint))
        learned, features = Learned(database), features_of(home.config.encoder)
        models = [model_document(learned, one, features, time.time_ns() // 1_000_000) for one in learned.models()]
    finally:
        database.close()
    empty: dict[str, Any] = {"addresses": [], "peers": [], "models": models, **Traffic().report()}
    return {"running": False, "catalogs": catalogs, **empty}
