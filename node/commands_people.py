"""The commands that answer people: search, similar, recommend, rate."""

from __future__ import annotations

import time
from argparse import Namespace
from pathlib import Path

from node.cards import visitor_taste
from node.config import home_folder, load_home
from node.errors import UserError
from node.ranking import recommend, recommend_visitor, search, similar
from node.ratings import RATING_MAX, RATING_MIN, USER_BYTES_MAX, find_user, find_value, import_ratings
from node.report import Report, results_report
from node.session import home_encoder, home_index, home_taught, known_platform, open_store, results_wanted, the_item
from node.store import Rating


def run_search(options: Namespace) -> Report:
    """Items nearest to a text."""
    home = load_home(home_folder(options.home))
    if not options.text.strip():
        raise UserError("search needs a text, as in: p2prec search 'red floral dress'")
    with open_store(home) as store:
        index = home_index(home, store)
        encoder = home_encoder(home)
        vector = encoder.encode_texts([options.text]).vectors[0]
        results = search(index, vector, results_wanted(options.k), known_platform(index, options.platform))
    return results_report({"query": options.text}, results)


def run_similar(options: Namespace) -> Report:
    """Items nearest to an item."""
    home = load_home(home_folder(options.home))
    with open_store(home) as store:
        index = home_index(home, store)
        stored = the_item(store, options.item)
        row = index.rows.get((index.catalogs[stored.catalog].publisher, stored.item.item))
        if row is None:
            raise UserError(f"{options.item} was encoded with another encoder and can't be compared here")
        results = similar(index, row, results_wanted(options.k), known_platform(index, options.platform))
    return results_report({"item": stored.item.item}, results)


def run_recommend(options: Namespace) -> Report:
    """A user's list, each place with its reason."""
    home = load_home(home_folder(options.home))
    user, now_ms = checked_user(options.user), time.time_ns() // 1_000_000
    with open_store(home) as store:
        index = home_index(home, store)
        platform = known_platform(index, options.platform)
        sealed = None if options.model else store.find_card(user)
        if sealed is not None and index.stored:
            taste = visitor_taste(sealed, home, index.items.image_ID.shape[1], now_ms)
            answer = recommend_visitor(index, taste, store.ratings(), user, results_wanted(options.k), platform)
        else:
            taught = None if options.model else home_taught(home, store)
            answer = recommend(index, store.ratings(), user, results_wanted(options.k), options.model, platform, taught)
    report = results_report({"user": user, "model": answer.model, "ratings": answer.ratings}, answer.results)
    if not answer.ratings and answer.model != "card":
        report.lines.insert(0, f"{user} has rated nothing here yet: a varied choice of what is popular")
    return report


def run_rate(options: Namespace) -> Report:
    """One rating, or a file of them."""
    home = load_home(home_folder(options.home))
    now_ms = time.time_ns() // 1_000_000
    if bool(options.file) == (options.user is not None):
        raise UserError("give either USER ITEM VALUE or --file CSV")
    with open_store(home) as store:
        if options.file:
            done = import_ratings(store, Path(options.file), now_ms)
            rejected = dict(sorted(done.rejected.items()))
            lines = [f"{done.stored} of {done.rows} ratings stored"]
            lines += [f"  rejected {count}: {reason}" for reason, count in rejected.items()]
            return Report({"rows": done.rows, "stored": done.stored, "rejected": rejected}, lines)
        if options.value is None:
            raise UserError("rate needs USER ITEM VALUE, as in: p2prec rate ada 10017413 8")
        user, value = checked_user(options.user), checked_value(options.value)
        stored = the_item(store, options.item)
        publisher = next(c.publisher for c in store.catalogs() if c.catalog == stored.catalog)
        store.write_ratings([Rating(user, publisher, stored.item.item, value, now_ms)])
    document = {"user": user, "item": stored.item.item, "rating": value, "stored": 1}
    return Report(document, [f"{user} rated {stored.item.name}: {value:g}"])


def checked_user(text: str) -> str:
    user = find_user(text)
    if user is None:
        raise UserError(f"{text!r} can't be a user: give 1 to {USER_BYTES_MAX} printable bytes")
    return user


def checked_value(text: str) -> float:
    value = find_value(text)
    if value is None:
        raise UserError(f"rating {text!r} is not a number from {RATING_MIN:g} to {RATING_MAX:g}")
    return value
