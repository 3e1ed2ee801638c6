"""The commands that answer people: search, similar, recommend, rate."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from node.answers import open_answers
from node.config import home_folder, load_home
from node.errors import UserError
from node.ratings import import_ratings
from node.report import Report, results_report
from node.session import now_ms, open_store


def run_search(options: Namespace) -> Report:
    """Items nearest to a text."""
    with open_answers(load_home(home_folder(options.home))) as answers:
        return results_report(answers.search(options.text, options.k, options.platform))


def run_similar(options: Namespace) -> Report:
    """Items nearest to an item."""
    with open_answers(load_home(home_folder(options.home))) as answers:
        return results_report(answers.similar(options.item, options.k, options.platform))


def run_recommend(options: Namespace) -> Report:
    """A user's list, each place with its reason."""
    with open_answers(load_home(home_folder(options.home))) as answers:
        document = answers.recommend(options.user, options.k, options.model, options.platform, now_ms())
    report = results_report(document)
    if "note" in document:
        report.lines.insert(0, document["note"])
    if not document["ratings"] and document["model"] != "card":
        report.lines.insert(0, f"{document['user']} has rated nothing here yet: a varied choice of what is popular")
    return report


def run_rate(options: Namespace) -> Report:
    """One rating, or a file of them."""
    home = load_home(home_folder(options.home))
    if bool(options.file) == (options.user is not None):
        raise UserError("give either USER ITEM VALUE or --file CSV")
    if options.file:
        with open_store(home) as store:
            done = import_ratings(store, Path(options.file), now_ms())
        rejected = dict(sorted(done.rejected.items()))
        lines = [f"{done.stored} of {done.rows} ratings stored"]
        lines += [f"  rejected {count}: {reason}" for reason, count in rejected.items()]
        return Report({"rows": done.rows, "stored": done.stored, "rejected": rejected}, lines)
    if options.value is None:
        raise UserError("rate needs USER ITEM VALUE, as in: p2prec rate ada 10017413 8")
    with open_answers(home) as answers:
        rating, stored = answers.rate(options.user, options.item, options.value, now_ms())
    document = {"user": rating.user, "item": rating.item, "rating": rating.value, "stored": 1}
    return Report(document, [f"{rating.user} rated {stored.item.name}: {rating.value:g}"])
