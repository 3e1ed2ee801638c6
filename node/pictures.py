"""Where an item's picture is: in the shop's own folder, or (only when the owner asks) behind its URL.

A file name from an export is looked up in an index of the folder and never joined to a path, so no row can reach
outside it. Fetched pictures are kept by the hash of their URL; what is there is not fetched again.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from node.errors import UserError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".avif")
# The largest shop photos are about 5 MB; beyond this it is a mistake or an attack.
PICTURE_BYTES_MAX = 20_000_000
# Silence for this long means that a server is gone; a whole picture may take FETCH_S_MAX.
SILENCE_S_MAX = 10
FETCH_S_MAX = 60
FETCHES_AT_ONCE = 8
# Letters that browsers take as they are; the last part is no number, or the whole would be an address.
PUBLIC_NAME = re.compile(r"(?:[a-z0-9-]+\.)+([a-z][a-z0-9-]*)\.?")
# Last parts of names that never are on the web (RFC 6761, 6762, 8375).
PRIVATE_NAMES = ("localhost", "local", "internal", "test", "invalid", "arpa", "lan", "home", "onion")
CHUNK_BYTES = 65_536


class PictureFolder:
    """All pictures below a folder, by lower-case file name and by stem."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UserError(f"--images {folder} is not a folder")
        self._by_name: dict[str, Path] = {}
        self._by_stem: dict[str, Path] = {}
        # Sorted, so that of two files with one name the same one is taken on every machine.
        for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES):
            self._by_name.setdefault(path.name.lower(), path)
            self._by_stem.setdefault(path.stem.lower(), path)
        if not self._by_name:
            raise UserError(f"--images {folder} holds no picture ({', '.join(SUFFIXES)})")

    def find(self, pictures: Iterable[str], item: str) -> Path | None:
        """By the names that the export states, in their order; else by the item's id."""
        for stated in pictures:
            path = urllib.parse.urlsplit(stated).path if "://" in stated else stated
            name = urllib.parse.unquote(path.replace("\\", "/").rpartition("/")[2]).lower()
            found = self._by_name.get(name) or self._by_stem.get(name)
            if found is not None:
                return found
        return self._by_stem.get(item.lower())


class PictureCache:
    """Pictures fetched by URL into a folder of this node."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def find(self, url: str) -> Path | None:
        path = self._path(url)
        return path if path.is_file() else None

    def fetch(self, wanted: Sequence[Sequence[str]]) -> list[str]:
        """For each item the first of its addresses that gives a picture, unless one is here already; several at once.

        Returns a sentence for each item whose picture could not be had. Raises: UserError when the disk is full.
        """
        missing = [urls for urls in wanted if urls and not any(self.find(url) for url in urls)]
        with ThreadPoolExecutor(FETCHES_AT_ONCE) as pool:
            return [sentence for sentence in pool.map(self._fetch_first, missing) if sentence]

    def _fetch_first(self, urls: Sequence[str]) -> str:
        """Fetch one of them; the last one's fault if there is none to be had."""
        fault = ""
        for url in urls:
            try:
                picture = read_url(url)
            except (OSError, ValueError, http.client.HTTPException) as error:
                fault = f"{url} can't be fetched ({error})"
                continue
            self._keep(url, picture)
            return ""
        return " ".join(fault.split())

    def _keep(self, url: str, picture: bytes) -> None:
        """Store it whole or not at all."""
        try:
            descriptor, name = tempfile.mkstemp(dir=self._folder)
            try:
                with os.fdopen(descriptor, "wb") as stream:
                    stream.write(picture)
                Path(name).replace(self._path(url))
            except OSError:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise UserError(f"can't keep pictures in {self._folder}: {error.strerror or error}") from error

    def _path(self, url: str) -> Path:
        return self._folder / hashlib.sha256(url.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Picture:
    """A file that is a picture, and its media type."""

    path: Path
    kind: str


class ShownPictures:
    """Pictures that the page shows: from a shop's own folder, else as they were once fetched.

    `folders` by publisher: what one shop calls its item or its file says nothing of another's.
    """

    def __init__(self, folders: Mapping[str, PictureFolder], fetched: Path) -> None:
        self._folders = folders
        self._fetched = PictureCache(fetched) if fetched.is_dir() else None

    def find(self, publisher: str, item: str, url: str) -> Picture | None:
        """By the item's address, or else by its id."""
        folder = self._folders.get(publisher)
        found = folder.find([url] if url else [], item) if folder is not None else None
        if found is None and self._fetched is not None and url:
            found = self._fetched.find(url)
        kind = picture_type(found) if found is not None else None
        return Picture(found, kind) if found is not None and kind is not None else None


def picture_type(path: Path) -> str | None:
    """The media type of a file that is a picture, whatever its name says; None for anything else."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            return Image.MIME.get(picture.format or "")
    except (OSError, UnidentifiedImageError, ValueError, Image.DecompressionBombError):
        return None


def is_public(url: str) -> bool:
    """Whether an address is on the web, as far as it says: a stranger's item must not send a browser into its own
    network. Only plain names of at least two parts are; a public name may still point anywhere."""
    try:
        place = urllib.parse.urlsplit(url)
    except ValueError:
        return False
    name = PUBLIC_NAME.fullmatch(place.hostname or "")
    plain = place.scheme in ("http", "https") and place.username is None and place.password is None
    return plain and name is not None and name[1] not in PRIVATE_NAMES


def read_url(url: str) -> bytes:
    """One picture's bytes. Raises: ValueError (not http, not a picture, too big, too slow) or OSError."""
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise ValueError("only http and https are fetched")
    deadline = time.monotonic() + FETCH_S_MAX
    request = urllib.request.Request(url, headers={"User-Agent": "p2prec", "Accept": "image/*"})
    with urllib.request.urlopen(request, timeout=SILENCE_S_MAX) as response:
        if not str(response.headers.get_content_type()).startswith("image/"):
            raise ValueError(f"{response.headers.get_content_type()} is not a picture")
        chunks, size = [], 0
        while chunk := response.read1(CHUNK_BYTES):
            chunks.append(chunk)
            size += len(chunk)
            if size > PICTURE_BYTES_MAX:
                raise ValueError(f"over {PICTURE_BYTES_MAX} bytes")
            if time.monotonic() > deadline:
                raise ValueError(f"took over {FETCH_S_MAX} s")
    return b"".join(chunks)
