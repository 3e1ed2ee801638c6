"""Pictures of listings, rendered into files by two processes when there are many.

The helper is a process of its own that takes every second picture and dies with its parent; what it leaves undone
the parent does. Nothing is passed back but a count, so an interruption at any moment leaves whole files only and
nothing to wait for.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.sharedctypes import RawValue
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from sim.garments import render
from sim.shops import Listing

#: JPEG quality: at 160 pixels a picture takes about 4 KB.
_QUALITY = 88
#: Below this many pictures a second process takes longer to start than it saves.
_HELPED_FROM = 200
_WAIT_S = 0.2


class Job(NamedTuple):
    """One picture to make: where, of what, how many pixels wide."""

    path: Path
    listing: Listing
    size: int


def picture(listing: Listing, size: int) -> Image.Image:
    """The listing's picture as its shop would take it, `size` pixels wide."""
    return render(listing.garment, listing.picture_seed, size, wearer=listing.audience)


def write_pictures(jobs: Sequence[Job], progress: Callable[[int], object]) -> None:
    """Make every picture that is not there yet; `progress` hears how many more were dealt with."""
    missing = [job for job in jobs if not job.path.is_file()]
    progress(len(jobs) - len(missing))
    if len(missing) >= _HELPED_FROM:
        _with_help(missing, progress)
    else:
        for job in missing:
            _write_picture(job)
            progress(1)


def _with_help(missing: Sequence[Job], progress: Callable[[int], object]) -> None:
    """Half here, half in a helper."""
    # A fresh interpreter: a forked one would inherit torch's threads in the middle of whatever they do.
    context = get_context("spawn")
    done = RawValue("i", 0)
    helper = context.Process(target=_help, args=(missing[1::2], done), daemon=True)
    helper.start()
    heard = 0
    try:
        for job in missing[::2]:
            _write_picture(job)
            theirs = done.value
            progress(1 + theirs - heard)
            heard = theirs
        while helper.is_alive():
            helper.join(_WAIT_S)
            theirs = done.value
            progress(theirs - heard)
            heard = theirs
    finally:
        helper.terminate()
    for job in missing[1::2]:
        if not job.path.is_file():
            _write_picture(job)
    progress(len(missing[1::2]) - heard)


def _help(jobs: Sequence[Job], done: Any) -> None:
    """The helper's whole life. Ctrl-C is the parent's to hear."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for job in jobs:
        _write_picture(job)
        done.value += 1


def _write_picture(job: Job) -> None:
    """Render and save one picture, whole or not at all."""
    part = job.path.with_name(f"{job.path.name}.part")
    with part.open("wb") as stream:
        picture(job.listing, job.size).save(stream, "JPEG", quality=_QUALITY)
    part.replace(job.path)
