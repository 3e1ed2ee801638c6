"""A node's folder: its key, its configuration, its database.

HOME/key          32-byte Ed25519 seed, mode 0600: whoever has it is this node
HOME/config.json  platform name, encoder, version of this file
HOME/node.sqlite  everything else that must not be lost
HOME/node.lock    held by the running node: one at a time
HOME/control.sock where the command line reaches the running node
HOME/pictures/    pictures fetched by URL, named by the URL's hash; may be deleted
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs

from node.errors import UserError
from protocol.identity import SEED_BYTES, Identity
from protocol.limits import ATTRIBUTE_BYTES_MAX, NETWORK, NETWORK_BYTES_MAX

CONFIG_VERSION = 1
HOME_VARIABLE = "P2PREC_HOME"


@dataclass(frozen=True, slots=True)
class Config:
    """What the owner chose at `p2prec init`."""

    platform: str
    encoder: str
    fingerprint: str
    dim: int
    """Numbers of one half of a vector; 0 in a home made before this was written down."""
    network: str = NETWORK
    """Nodes of different networks don't hear each other."""
    version: int = CONFIG_VERSION


@dataclass(frozen=True, slots=True)
class Home:
    """A node's folder, existing and readable."""

    folder: Path
    config: Config
    identity: Identity

    @property
    def database(self) -> Path:
        return self.folder / "node.sqlite"

    @property
    def lock(self) -> Path:
        return self.folder / "node.lock"

    @property
    def pictures(self) -> Path:
        return self.folder / "pictures"


def home_folder(option: str | None) -> Path:
    """--home, else the variable, else the platform's data directory."""
    chosen = option or os.environ.get(HOME_VARIABLE)
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_data_dir("p2prec", appauthor=False))


def checked_network(name: str) -> str:
    """Raises: UserError unless the name can be a part of a protocol's name."""
    if not (0 < len(name) <= NETWORK_BYTES_MAX and name.isascii() and name.replace("-", "").isalnum()):
        raise UserError(f"--network needs 1 to {NETWORK_BYTES_MAX} letters, digits and hyphens, not {name!r}")
    return name


def check_new_home(folder: Path, platform: str) -> str:
    """The platform's name, tidied. Raises: UserError if it can't be one, or if there is a node already."""
    platform = " ".join(platform.split())
    if not platform or len(platform.encode()) > ATTRIBUTE_BYTES_MAX or not platform.isprintable():
        raise UserError(f"--platform needs a name of 1 to {ATTRIBUTE_BYTES_MAX} printable bytes")
    if (folder / "config.json").exists():
        raise UserError(f"{folder} already holds a node; choose another --home")
    return platform


def create_home(folder: Path, config: Config) -> Home:
    """Make the folder, draw the key, write the configuration."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        seed = _write_key(folder / "key")
        content = json.dumps(asdict(config), indent=2, ensure_ascii=False) + "\n"
        write_whole(folder / "config.json", content.encode(), 0o644)
    except OSError as error:
        raise UserError(f"can't make a node in {folder}: {error.strerror or error}") from error
    if len(seed) != SEED_BYTES:
        raise UserError(f"{folder / 'key'} is there already, but is no {SEED_BYTES}-byte key; move it away")
    return Home(folder, config, Identity(seed))


def load_home(folder: Path) -> Home:
    """Open the node in `folder`. Raises: UserError with what is missing."""
    if not (folder / "config.json").is_file():
        raise UserError(f"no node in {folder}; make one with: p2prec init --platform NAME --home {folder}")
    try:
        stated = json.loads((folder / "config.json").read_text("utf-8"))
        config = Config(
            str(stated["platform"]),
            str(stated["encoder"]),
            str(stated["fingerprint"]),
            int(stated.get("dim", 0)),
            str(stated.get("network", NETWORK)),
            int(stated["version"]),
        )
        seed = (folder / "key").read_bytes()
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / 'config.json'} is damaged ({error}); mend it by hand") from error
    except OSError as error:
        raise UserError(f"can't read the node in {folder}: {error.filename}: {error.strerror}") from error
    if config.version != CONFIG_VERSION:
        raise UserError(f"{folder} was made by another version of p2prec (config version {config.version})")
    if len(seed) != SEED_BYTES:
        raise UserError(f"{folder / 'key'} is not a {SEED_BYTES}-byte key; restore it from your backup")
    return Home(folder, config, Identity(seed))


def _write_key(path: Path) -> bytes:
    """Draw a key, never overwriting one; readable by the owner alone from its first byte, whole or not at all."""
    if path.exists() and path.stat().st_size:
        return path.read_bytes()
    seed = os.urandom(SEED_BYTES)
    write_whole(path, seed, 0o600)
    return seed


def write_whole(path: Path, content: bytes, mode: int) -> None:
    """A full disk must not leave half a file that the next attempt takes for a whole one."""
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
