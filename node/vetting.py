"""Every foreign catalog on trial: what its vectors look like, whether its words give them, and how often it is shown.

The text half of any item can be encoded again by whoever holds the record, offline: the caption is composed from it and
the encoder is known by its fingerprint. A random sample is, and so are the items that this node's users are shown,
because a lie that is shown to nobody earns nothing. Pictures are behind addresses that strangers chose, so they are
fetched only when asked for. Nothing is changed here; the owner decides what follows.
"""

from __future__ import annotations

import ipaddress
import socket
import tempfile
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.content import Content
from models.fusion import Flags, Vectors, has_half, similarity
from models.interactions import Rows, interactions_of
from models.recommender import top_rows
from models.vetting import (
    CHUNK_ROWS,
    Check,
    broken_halves,
    exposure,
    exposure_ratio,
    exposure_shift,
    find_agreement,
    find_spread,
    judge,
    sample,
    twin_share,
)
from node.catalog import caption
from node.fits import everybody
from node.index import Index
from node.pictures import PictureCache
from node.store import Catalog, Rating, Store
from protocol.vectors import parse_vectors

if TYPE_CHECKING:
    from models.clip import Encoder

K = 10
# Rounding to int8 leaves a cosine of at least .9999 (15,000 captions, tiny); other processors change the sixth digit.
TEXT_COSINE_MIN = 0.999
# Half the width and JPEG 75 leave .97, a quarter .90 (300 shop photos, tiny); the nearest *other* photo is at .84.
PICTURE_COSINE_MIN = 0.9
# The node's own items are the one reference that no stranger chose; with fewer, all other publishers' must do.
REFERENCE_MIN = 50
# What three people like says nothing of what everybody is shown.
USERS_MIN = 10
USERS_MAX = 500


@dataclass(frozen=True, slots=True)
class Vetted:
    """What was found of one catalog. `exposure`: its share of its users' top places; None: nobody has rated yet.

    A catalog of another encoder, or in quarantine, is never compared or shown: `comparable` is false, nothing checked.
    """

    catalog: Catalog
    comparable: bool
    checked: int
    mismatched: int
    checks: list[Check]
    exposure: float | None

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)


@dataclass(frozen=True, slots=True)
class Scene:
    """All that is the same for every publisher: raw halves [items, dim], which items are the node's own, lists of
    nearest and of recommended rows, and which row each nearest list is about."""

    index: Index
    image_ID: Vectors
    text_ID: Vectors
    own_I: Flags
    asked: Rows
    nearest: list[Rows]
    shown: list[Rows]


def scene_of(index: Index, image_ID: Vectors, text_ID: Vectors, ratings: Sequence[Rating], seed: int) -> Scene:
    """Lists of random items' neighbours and of users' best, over the index as it is. Raw halves are its rows'."""
    own_I = np.isin(index.catalog_I, [catalog.catalog for catalog in index.catalogs.values() if catalog.own])
    asked = sample(np.arange(len(own_I)), np.random.default_rng(seed))
    shown = _shown(index, ratings, seed)
    return Scene(index, image_ID, text_ID, own_I, asked, _nearest(index, asked), shown)


def _nearest(index: Index, asked: Rows) -> list[Rows]:
    """The K items nearest to each of these, without itself."""
    lists = []
    for start in range(0, len(asked), CHUNK_ROWS):
        rows = asked[start : start + CHUNK_ROWS]
        for row, scores_I in zip(rows.tolist(), similarity(index.items, rows), strict=True):
            scores_I[row] = -np.inf
            lists.append(top_rows(scores_I, min(K, len(scores_I) - 1)))
    return lists


def _shown(index: Index, ratings: Sequence[Rating], seed: int) -> list[Rows]:
    """The content model's K best unrated items for each user who has rated something that is known here."""
    histories = everybody(index, ratings)
    model = Content().fit(interactions_of(histories, len(index.stored)), index.items)
    rated = np.array([user for user, history in enumerate(histories) if len(history)], np.int64)
    lists = []
    for user in np.sort(sample(rated, np.random.default_rng([seed, 1]), USERS_MAX)).tolist():
        allowed_I = np.ones(len(index.stored), bool)
        allowed_I[histories[user].items] = False
        lists.append(top_rows(model.scores([histories[user]])[0], K, allowed_I))
    return lists


def vet_catalog(
    scene: Scene, catalog: Catalog, encoder: Encoder, n: int, seed: int, before: float | None, *, pictures: bool
) -> Vetted:
    """All checks of one foreign catalog. `n` items at random are encoded again, and the `n` that are shown most.

    `before`: the catalog's exposure at the last check. The sample depends on nothing but seed, publisher and index.
    """
    mine_I = scene.index.catalog_I == catalog.catalog
    rows = np.flatnonzero(mine_I)
    if not len(rows):
        return Vetted(catalog, False, 0, 0, [], None)
    rng = np.random.default_rng([seed, *catalog.publisher.encode()])
    checks = _vector_checks(scene, rows, rng)
    seen = exposure(scene.shown, mine_I) if scene.shown else None
    checks += _exposure_checks(scene, mine_I, seen, before)
    rows = np.union1d(sample(rows, rng, n), _most_shown(scene, mine_I, n))
    wrong_I = _wrong_texts(scene, rows, encoder)
    checks.append(judge("texts", float(wrong_I.mean())))
    if pictures:
        judged, wrong = _wrong_pictures(scene, rows, encoder)
        checks += [judge("pictures", wrong / judged)] if judged else []
    return Vetted(catalog, True, len(rows), int(wrong_I.sum()), checks, seen)


def _most_shown(scene: Scene, mine_I: Flags, n: int) -> Rows:
    """The publisher's n rows that stand in most people's lists, of those that stand in any."""
    counts_I = np.bincount(np.concatenate([np.empty(0, np.int64), *scene.shown]), minlength=len(mine_I))
    return top_rows(counts_I.astype(np.float32), n, mine_I & (counts_I > 0))


def _vector_checks(scene: Scene, rows: Rows, rng: np.random.Generator) -> list[Check]:
    """What the vectors themselves look like, beside the reference's."""
    image_PD, text_PD = scene.image_ID[rows], scene.text_ID[rows]
    names = [scene.index.stored[row].item.name for row in rows.tolist()]
    name_P = np.unique(names, return_inverse=True)[1].astype(np.int64)
    checks = [
        judge("halves", broken_halves(image_PD, text_PD)),
        judge("twins", twin_share(image_PD, text_PD, name_P, rng)),
    ]
    spreads = [
        find_spread(half_ID[rows], half_ID[_reference(scene, rows, has_half(half_ID))])
        for half_ID in (scene.image_ID, scene.text_ID)
    ]
    known = [spread for spread in spreads if spread is not None]
    checks += [judge("spread", min(known))] if known else []
    items = scene.index.items
    both_I = items.has_image_I & items.has_text_I
    halves = [
        (items.image_ID[places], items.text_ID[places])
        for places in (rows[both_I[rows]], _reference(scene, rows, both_I))
    ]
    agreement = find_agreement(halves[0], halves[1], rng)
    return checks + ([judge("agreement", agreement)] if agreement is not None else [])


def _reference(scene: Scene, rows: Rows, has_I: Flags) -> Rows:
    """Whom to compare with: the own items that have what is compared, or everybody else's where the own are few."""
    own = np.flatnonzero(scene.own_I & has_I)
    return own if len(own) >= REFERENCE_MIN else np.setdiff1d(np.flatnonzero(has_I), rows)


def _exposure_checks(scene: Scene, mine_I: Flags, seen: float | None, before: float | None) -> list[Check]:
    """How often it stands among others' neighbours and in people's lists, beside its part of the items."""
    others = [nearest for row, nearest in zip(scene.asked, scene.nearest, strict=True) if not mine_I[row]]
    share, checks = float(mine_I.mean()), []
    if others:
        places = sum(map(len, others))
        checks.append(judge("neighbours", exposure_ratio(exposure(others, mine_I), share, places)))
    if seen is not None and len(scene.shown) >= USERS_MIN:
        places = sum(map(len, scene.shown))
        checks.append(judge("tastes", exposure_ratio(seen, share, places)))
        checks += [judge("shift", exposure_shift(before, seen, places))] if before is not None else []
    return checks


def _wrong_texts(scene: Scene, rows: Rows, encoder: Encoder) -> Flags:
    """Which text halves are not what the encoder makes of the caption: bool [rows].

    An absent one is wrong as well: every item has a name, and leaving the half out would be the way around this.
    """
    encoded_RD = encoder.encode_texts([caption(scene.index.stored[row].item) for row in rows.tolist()]).vectors
    return np.asarray(np.einsum("rd,rd->r", encoded_RD, scene.text_ID[rows]) < TEXT_COSINE_MIN)


def _wrong_pictures(scene: Scene, rows: Rows, encoder: Encoder) -> tuple[int, int]:
    """Of these items' pictures: how many could be had and read, and how many of them give another vector."""
    urls = {row: scene.index.stored[row].item.image_url for row in rows.tolist() if scene.image_ID[row].any()}
    urls = {row: url for row, url in urls.items() if is_public(url)}
    return compare_addresses(scene.image_ID[list(urls)], list(urls.values()), encoder)


def compare_addresses(image_RD: Vectors, urls: Sequence[str], encoder: Encoder) -> tuple[int, int]:
    """As compare_pictures, of what these addresses give today; nothing of it is kept."""
    with tempfile.TemporaryDirectory() as folder:
        cache = PictureCache(Path(folder))
        cache.fetch([[url] for url in dict.fromkeys(urls)])
        found = {row: path for row, url in enumerate(urls) if (path := cache.find(url)) is not None}
        return compare_pictures(image_RD[list(found)], list(found.values()), encoder)


def compare_pictures(image_RD: Vectors, pictures: Sequence[Path], encoder: Encoder) -> tuple[int, int]:
    """How many of these pictures can be read, and how many of those are not the vector beside them (unit rows)."""
    if not pictures:
        return 0, 0
    encoded = encoder.encode_images(list(pictures))
    wrong_R = np.einsum("rd,rd->r", encoded.vectors, image_RD) < PICTURE_COSINE_MIN
    wrong_R[list(encoded.problems)] = False
    return len(pictures) - len(encoded.problems), int(wrong_R.sum())


def is_public(url: str) -> bool:
    """Whether a stranger's address leads out into the world, not to a machine beside this one."""
    try:
        host = urllib.parse.urlsplit(url).hostname or ""
        found = socket.getaddrinfo(host, None) if host else []
        return bool(found) and all(ipaddress.ip_address(str(one[4][0])).is_global for one in found)
    except (OSError, ValueError):
        return False


def vet(
    store: Store,
    index: Index,
    encoder: Encoder,
    wanted: Sequence[Catalog],
    *,
    n: int,
    seed: int,
    pictures: bool = False,
    before: Mapping[str, float] | None = None,
) -> list[Vetted]:
    """Each wanted catalog. `before`: publisher -> exposure at the last check."""
    packed = store.vectors(encoder.fingerprint)
    image_ID, text_ID = parse_vectors(packed, encoder.dim)
    scene = scene_of(index, image_ID, text_ID, store.ratings(), seed)
    former = before or {}
    return [vet_catalog(scene, one, encoder, n, seed, former.get(one.publisher), pictures=pictures) for one in wanted]
