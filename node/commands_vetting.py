"""`p2prec catalog vet`: can other shops' vectors be what they are said to be? Exit code 1 when one's cannot."""

from __future__ import annotations

import json
import secrets
from argparse import Namespace
from pathlib import Path
from typing import Any

from models.vetting import BARS
from node.config import home_folder, load_home
from node.errors import UserError
from node.report import Report
from node.session import home_encoder, home_index, open_store
from node.store import Catalog
from node.vetting import Vetted, vet

# 200 items find a catalog of which one in twenty is a lie with probability .99996, and take the tiny encoder 0.2 s.
SAMPLE = 200
SAMPLE_MAX = 100_000
SEED_MAX = 2**32 - 1


def run_vet(options: Namespace) -> Report:
    """A table of every foreign catalog's checks. Nothing is changed."""
    if not 1 <= options.sample <= SAMPLE_MAX:
        raise UserError(f"--sample must be 1 to {SAMPLE_MAX}")
    if options.seed is not None and not 0 <= options.seed <= SEED_MAX:
        raise UserError(f"--seed must be 0 to {SEED_MAX}")
    # A publisher who knew which items are looked at would be honest about those.
    seed = secrets.randbelow(SEED_MAX) if options.seed is None else options.seed
    before = load_exposures(Path(options.before)) if options.before else {}
    home = load_home(home_folder(options.home))
    with open_store(home) as store:
        wanted = foreign_catalogs(store.catalogs(), options.publisher)
        index = home_index(home, store)
        found = (
            vet(
                store,
                index,
                home_encoder(home),
                wanted,
                n=options.sample,
                seed=seed,
                pictures=options.pictures,
                before=before,
            )
            if wanted
            else []
        )
    document = {"seed": seed, "catalogs": [catalog_document(one) for one in found]}
    return Report(document, _lines(found, len(index.stored), seed), 0 if all(one.passed for one in found) else 1)


def foreign_catalogs(catalogs: list[Catalog], publisher: str | None) -> list[Catalog]:
    """All that are not this node's own, or the one asked for. Raises: UserError when that is none."""
    foreign = [one for one in catalogs if not one.own]
    if publisher is None:
        return foreign
    found = [one for one in foreign if publisher in (one.publisher, one.platform)]
    if not found:
        known = ", ".join(f"{one.platform} ({one.publisher})" for one in foreign) or "none"
        raise UserError(f"no other publisher {publisher!r} is known here; there are: {known}")
    return found


def load_exposures(path: Path) -> dict[str, float]:
    """Publisher -> exposure, out of what `catalog vet --json` printed once. Raises: UserError."""
    try:
        catalogs = json.loads(path.read_text("utf-8"))["catalogs"]
        return {str(one["publisher"]): float(one["exposure"]) for one in catalogs if one["exposure"] is not None}
    except OSError as error:
        raise UserError(f"--before {path} can't be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"--before {path} is not what p2prec catalog vet --json printed") from error


def catalog_document(one: Vetted) -> dict[str, Any]:
    """One catalog's row of the JSON document."""
    return {
        "publisher": one.catalog.publisher,
        "platform": one.catalog.platform,
        "items": one.catalog.items,
        "comparable": one.comparable,
        "checked": one.checked,
        "mismatched": one.mismatched,
        "checks": [
            {"name": check.name, "value": round(check.value, 4), "bar": check.bar, "passed": check.passed}
            for check in one.checks
        ],
        "exposure": None if one.exposure is None else round(one.exposure, 6),
        "passed": one.passed,
    }


def _lines(found: list[Vetted], items: int, seed: int) -> list[str]:
    lines = []
    for one in found:
        verdict = (
            ("passed" if one.passed else "FAILED") if one.comparable else "not compared: another encoder, or forked"
        )
        lines.append(f"{one.catalog.platform} ({one.catalog.publisher}): {one.catalog.items} items, {verdict}")
        if not one.comparable:
            continue
        shown = "" if one.exposure is None else f"; {one.exposure:.1%} of people's top places"
        lines.append(
            f"  {one.checked} items encoded again, {one.mismatched} are not what was published; "
            f"{one.catalog.items / max(items, 1):.1%} of all items{shown}"
        )
        for check in one.checks:
            sign = "<=" if BARS[check.name].most else ">="
            why = "" if check.passed else f"  {BARS[check.name].why}"
            lines.append(
                f"  {'ok ' if check.passed else 'BAD'} {check.name:10} {check.value:8.3f} {sign} {check.bar:g}{why}"
            )
    return [*lines, f"the same sample again: --seed {seed}"] if found else ["no other shop's catalog is known here yet"]
