"""A node's home made through the real command line, and commands run in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from node import cli

Command = Callable[..., Any]
COLOURS = {"red": (200, 30, 30), "blue": (40, 80, 190), "green": (30, 140, 60), "black": (25, 25, 25)}
THINGS = ("dress", "shirt", "jeans", "jacket", "skirt", "hoodie")


@pytest.fixture
def p2prec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command with --json; returns its document, or (code, stderr) when it fails."""
    monkeypatch.setenv("P2PREC_HOME", str(tmp_path / "home"))

    def command(*arguments: str) -> Any:
        capsys.readouterr()
        try:
            code = cli.run([*arguments, "--json"])
        except SystemExit as error:
            code = int(error.code or 0)
        output = capsys.readouterr()
        return json.loads(output.out) if code == 0 else (code, output.err)

    return command


@pytest.fixture
def shop(p2prec: Command, tmp_path: Path) -> Command:
    """A home of the platform Asolo, with nothing in it."""
    p2prec("init", "--platform", "Asolo")
    return p2prec


def write_catalog(path: Path, n: int, price: Callable[[int], float] = lambda i: 10 + i) -> Path:
    """A generic CSV of n garments that differ in colour, kind and price."""
    rows = ["id,name,description,colour,category,gender,price,currency"]
    for i in range(n):
        colour, thing = list(COLOURS)[i % 4], THINGS[i // 4 % len(THINGS)]
        rows.append(
            f"g{i},{colour.title()} {thing} no {i},A {colour} {thing} of cotton,{colour},{thing},women,{price(i)},GBP"
        )
    path.write_text("\n".join(rows) + "\n", "utf-8")
    return path


def write_pictures(folder: Path, n: int) -> Path:
    """g0.jpg .. : flat colour with noise, enough to be told apart."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for i in range(n):
        pixels = np.clip(rng.normal(list(COLOURS.values())[i % 4], 12, (64, 64, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"g{i}.jpg")
    return folder
