"""Files of ratings, items and vectors joined into the arrays that models and models.evaluation read."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from models.fusion import Items, centre_items
from models.interactions import Interactions, Rows, Scale, Values, scale_of
from models.reference import LIKED, on_scale
from node.errors import UserError
from sim.ratings_file import FIELDS, RatingsFile, column_of, read_ratings, read_table

_MINORITY, _MAJORITY = 0.05, 0.95
"""A threshold that fewer or more ratings reach says little about who likes what."""


@dataclass(frozen=True, slots=True)
class World:
    """Everything that was in the files.

    Items are numbered in a drawn order, always the same for the same files: ties go to the lower row, and in files the
    lower rows are mostly the older and more popular items, which would credit a model for having no opinion.
    """

    users: list[str]
    items: list[str]
    ratings: Interactions
    test: Interactions | None
    implicit: bool
    vectors_ID: npt.NDArray[np.float32] | None
    """Unit rows, or zeros where an item has none."""
    platform_I: Rows | None
    platforms: list[str]
    counts: dict[str, int]
    notes: list[str]

    def model_items(self) -> Items:
        """The items as models want them: one half, the other missing; both missing without vectors."""
        one_ID = self.vectors_ID
        if one_ID is None:
            one_ID = np.zeros((len(self.items), 1), np.float32)
        return centre_items(one_ID, np.zeros_like(one_ID), 1.0)


def read_world(options: Namespace) -> World:
    """Read the files that the command line names. Raises: UserError that says what to change."""
    columns = read_map(options.map)
    file = read_ratings(Path(options.ratings), columns)
    notes, counts = list(file.notes), {"rows": file.rows, **file.rejected}
    test_file = None
    if options.test:
        test_file = read_ratings(Path(options.test), columns)
        notes += [f"test file: {note}" for note in test_file.notes]
        counts |= {"test rows": test_file.rows} | {f"test: {why}": n for why, n in test_file.rejected.items()}
        if test_file.implicit != file.implicit:
            raise UserError("one of --ratings and --test has a rating column and the other has none")
    known: list[str] = []
    platforms_I: list[str] | None = None
    if options.items:
        known, platforms_I, said = _read_items(Path(options.items), columns, set(file.items))
        notes += said
    users = {name: row for row, name in enumerate(sorted(_names(one.users for one in (file, test_file) if one)))}
    listed = _names([known, *(one.items for one in (file, test_file) if one)])
    drawn = dict(zip(sorted(listed), np.random.default_rng(0).permutation(len(listed)).tolist(), strict=True))
    items = {name: drawn[name] for name in listed}
    drawn_I = np.fromiter(items.values(), np.int64, len(items))
    if options.items:
        notes += _strangers(file, known, len(items), options.items)
    values = [one.values for one in (file, test_file) if one]
    scale = (0.0, 1.0) if file.implicit else scale_of(np.concatenate(values))
    ratings, counts["duplicates"] = _table(file, users, items, scale)
    test = None
    if test_file:
        test, counts["test: duplicates"] = _table(test_file, users, items, scale)
    if counts["duplicates"]:
        rule = "the latest" if file.at is not None else "the last in the file"
        notes.append(f"{counts['duplicates']} pairs of user and item came again: {rule} counts")
    names, platform_I = _platforms(platforms_I, len(items))
    vectors_ID = _read_vectors(Path(options.vectors), len(known), len(items)) if options.vectors else None
    # From the order of the files to the order drawn.
    places_I = np.argsort(drawn_I)
    return World(
        list(users),
        sorted(items, key=items.__getitem__),
        ratings,
        test,
        file.implicit,
        None if vectors_ID is None else vectors_ID[places_I],
        None if platform_I is None else platform_I[places_I],
        names,
        counts,
        notes,
    )


def read_map(words: Sequence[str]) -> dict[str, str]:
    """`field=column` words. Raises: UserError for anything else."""
    columns = {}
    for word in words:
        field, equals, column = word.partition("=")
        if field not in FIELDS or not equals or not column:
            raise UserError(f"--map wants field=column, the field one of {', '.join(FIELDS)}; not {word!r}")
        columns[field] = column
    return columns


def liked_from(world: World) -> tuple[float, str]:
    """From which rating on an item is relevant when nobody says, and why."""
    values = world.ratings.values
    if world.implicit or values.min() == values.max():
        return float(values.min()), "every rating counts: they are all the same"
    point = on_scale(LIKED, world.ratings.scale)
    relevant = float(values[values >= point].min())
    share = float((values >= relevant).mean())
    if _MINORITY <= share <= _MAJORITY:
        return relevant, f"as 7 on -1..10, on the scale {world.ratings.scale[0]:g}..{world.ratings.scale[1]:g}"
    # Counts of plays, or a scale whose upper end nobody uses.
    middle = float(np.median(values))
    above = values[values > middle]
    relevant = middle if (values >= middle).mean() <= _MAJORITY or not len(above) else float(above.min())
    return relevant, f"the middle rating, because {share:.1%} of the ratings reach {point:g} of the scale"


def _names(columns: Iterable[Sequence[str]]) -> list[str]:
    """Every id once, in the order of first appearance."""
    return list(dict.fromkeys(name for column in columns for name in column))


def _table(
    file: RatingsFile, users: Mapping[str, int], items: Mapping[str, int], scale: Scale
) -> tuple[Interactions, int]:
    """The file's ratings, the latest of each pair; and how many were given up for it.

    They are in the order of users and items, so that rows in another order are cut alike; but without times, in the
    order of the file, which is then all that is known of what came before what.
    """
    user_rows = np.fromiter((users[one] for one in file.users), np.int64, len(file.users))
    item_rows = np.fromiter((items[one] for one in file.items), np.int64, len(file.items))
    order = np.arange(len(user_rows)) if file.at is None else np.argsort(file.at, kind="stable")
    keys = (user_rows * len(items) + item_rows)[order]
    _, last_first = np.unique(keys[::-1], return_index=True)
    kept = order[::-1][last_first] if file.at is not None else np.sort(order[::-1][last_first])
    at = None if file.at is None else file.at[kept]
    values: Values = file.values[kept]
    found = Interactions(user_rows[kept], item_rows[kept], values, len(users), len(items), at, scale)
    return found, len(user_rows) - len(kept)


def _read_items(
    path: Path, columns: Mapping[str, str], rated: set[str]
) -> tuple[list[str], list[str] | None, list[str]]:
    """Item ids in the order of the file, their platforms when there is such a column, and what there is to say."""
    header, rows = read_table(path)
    place, platform, notes = column_of("item", header, columns), column_of("platform", header, columns), []
    if place is None:
        place = 1 if not header[0] and len(header) > 1 else 0
        if header[place] in rated:
            rows, platform = [header, *rows], None
            notes.append(f"items file: there is no header, {header[place]!r} is an item; other columns are not read")
        else:
            notes.append(f"items file: the first row is taken for a header, and {header[place]!r} for the item column")
    ids = [row[place] for row in rows]
    twice = [one for one, times in Counter(ids).items() if times > 1]
    if twice:
        raise UserError(f"{path}: item {twice[0]!r} is there twice (column {place + 1}); keep one row an item")
    return ids, None if platform is None else [row[platform] for row in rows], notes


def _strangers(file: RatingsFile, known: Sequence[str], n_items: int, path: str) -> list[str]:
    if not set(known) & set(file.items):
        raise UserError(
            f"no item of {path} is in the ratings (for example {known[0]!r} there, {file.items[0]!r} here); "
            "do ids lack leading zeros, or is it another column (--map item=COLUMN)?"
        )
    more = n_items - len(known)
    return [f"{more} rated items are not in {path}: they compete, without vector or platform"] if more else []


def _platforms(platforms: list[str] | None, n_items: int) -> tuple[list[str], Rows | None]:
    """Names in order, and each item's platform; items without one make up the platform 'none'."""
    if platforms is None:
        return [], None
    filled = [name or "none" for name in platforms] + ["none"] * (n_items - len(platforms))
    names = sorted(set(filled))
    return names, np.array([names.index(name) for name in filled], np.int64)


def _read_vectors(path: Path, n_known: int, n_items: int) -> npt.NDArray[np.float32]:
    """Unit rows [items, dim]; zeros for items that are not in the items file."""
    try:
        found = np.load(path, allow_pickle=False)
    # What numpy raises of damaged bytes: cut short, a broken archive, a header that does not parse or claims the world.
    except (OSError, ValueError, EOFError, BadZipFile, TokenError, MemoryError) as error:
        raise UserError(f"cannot read {path} as a NumPy file of numbers: {error or type(error).__name__}") from None
    if not isinstance(found, np.ndarray) or found.ndim != 2 or found.dtype.kind not in "fiu":
        raise UserError(f"{path} must hold one table of numbers, [items, dim]")
    rows = n_known or n_items
    if len(found) != rows or not found.shape[1]:
        order = "of --items, in its order" if n_known else "in the ratings, by first appearance (better: give --items)"
        raise UserError(f"{path} has {len(found)} rows of {found.shape[1]} numbers, but there are {rows} items {order}")
    with np.errstate(over="ignore"):
        bad = np.flatnonzero(~np.isfinite(found.astype(np.float32)).all(axis=1))
    if len(bad):
        raise UserError(f"{path}: {len(bad)} rows hold NaN or infinity, the first is row {bad[0]}; use zeros for none")
    vectors_ID = np.zeros((n_items, found.shape[1]), np.float32)
    length_I1 = np.linalg.norm(found.astype(np.float64), axis=1, keepdims=True)
    vectors_ID[:rows] = found / np.where(length_I1 > 0, length_I1, 1)
    return vectors_ID
