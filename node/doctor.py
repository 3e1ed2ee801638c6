"""`p2prec doctor`: what is installed, found and wrong, each with the way to mend it. Changes nothing."""

from __future__ import annotations

import shutil
import stat
import sys
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from node.config import Home, home_folder, load_home
from node.control import ask_node
from node.errors import UserError
from node.report import Report
from node.session import home_encoder, home_index, open_store

PACKAGES = ("torch", "open_clip_torch", "numpy", "msgpack", "cryptography", "pillow", "libp2p", "trio")
OPTIONAL_PACKAGES = ("pyarrow",)
# An import of a large catalog writes about 1.6 KB an item, twice for a moment.
DISK_BYTES_MIN = 500_000_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    what: str
    ok: bool
    found: str


def run_doctor(options: Namespace) -> Report:
    """Look at everything, also after something was found wrong. Exit code 1 if anything is."""
    findings = [_python(), *(_package(name) for name in PACKAGES), *(_optional(name) for name in OPTIONAL_PACKAGES)]
    folder = home_folder(options.home)
    findings.append(_disk(folder))
    try:
        home = load_home(folder)
    except UserError as error:
        findings.append(Finding("home", False, str(error)))
    else:
        findings.append(Finding("home", True, f"{folder}: {home.config.platform}, {home.identity.peer_id}"))
        findings.append(_key(folder / "key"))
        findings.append(_attempt("node", lambda: _node(home)))
        findings += [_attempt("store", lambda: _store(home)), _attempt("encoder", lambda: _encoder(home))]
    well = all(finding.ok for finding in findings)
    document = {"ok": well, "findings": [{"what": f.what, "ok": f.ok, "found": f.found} for f in findings]}
    lines = [f"{'ok ' if f.ok else 'BAD'} {f.what:16} {f.found}" for f in findings]
    return Report(document, lines, 0 if well else 1)


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", sys.version_info >= (3, 11), found)


def _package(name: str) -> Finding:
    try:
        return Finding(name, True, version(name))
    except PackageNotFoundError:
        return Finding(name, False, f"missing; pip install {name}")


def _optional(name: str) -> Finding:
    try:
        return Finding(name, True, version(name))
    except PackageNotFoundError:
        return Finding(name, True, "not installed; needed only for Parquet files: pip install 'p2prec[parquet]'")


def _disk(folder: Path) -> Finding:
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(there).free
    return Finding("disk", free >= DISK_BYTES_MIN, f"{free / 1e9:.1f} GB free at {there}")


def _key(path: Path) -> Finding:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return Finding("key", False, f"others can read it (mode {mode:o}); chmod 600 {path}")
    return Finding("key", True, f"mode {mode:o}")


def _attempt(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what, True, look())
    except UserError as error:
        return Finding(what, False, str(error))


def _store(home: Home) -> str:
    if not home.database.exists():
        return "empty; import a catalog with: p2prec catalog import FILE"
    with open_store(home) as store:
        index = home_index(home, store)
        return f"{len(index.stored)} comparable items in {len(index.catalogs)} catalogs, {len(store.ratings())} ratings"


def _node(home: Home) -> str:
    """Not running is no fault."""
    document = ask_node(home, "status")
    if document is None:
        return "not running; start it with: p2prec node start"
    connected = sum(peer["connected"] for peer in document["peers"])
    return f"running at {', '.join(document['addresses'])}, {connected} peers connected"


def _encoder(home: Home) -> str:
    encoder = home_encoder(home)
    return f"{encoder.name}, {encoder.dim} dimensions, fingerprint {encoder.fingerprint[:16]}"
