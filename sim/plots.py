"""Pictures of the reproduction (PNG), after the seed's slides. Draws what it is given; a door to matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

from node.errors import UserError

# The backend that needs no screen.
matplotlib.use("Agg")

from matplotlib import pyplot as plt

PROTOCOLS = ("published", "as-published", "honest")


def draw_reproduction(
    folder: Path,
    rows: Sequence[Mapping[str, Any]],
    losses: Mapping[str, Sequence[float]],
    ranks: Mapping[str, Mapping[int, float]],
    at_k: Mapping[str, Mapping[int, float]],
) -> list[Path]:
    """Four pictures below `folder`: metric against k, rank search, training curves, summary bars."""
    return [
        _lines(folder / "precision_at_k.png", at_k, "k", "P@k, collaborative, binary ratings"),
        _lines(folder / "rank_search.png", ranks, "rank", "P@10 on the validation set"),
        _curves(folder / "training_curves.png", losses),
        _bars(folder / "summary.png", rows),
    ]


def _lines(path: Path, curves: Mapping[str, Mapping[int, float]], across: str, up: str) -> Path:
    figure, axes = plt.subplots(figsize=(7, 4.5))
    for name, points in curves.items():
        axes.plot(list(points), list(points.values()), marker="o", markersize=3, label=name)
    axes.set(xlabel=across, ylabel=up)
    axes.legend(fontsize=8)
    return _saved(figure, path)


def _curves(path: Path, losses: Mapping[str, Sequence[float]]) -> Path:
    """Each loss as a share of its first value: the losses have different units."""
    figure, axes = plt.subplots(figsize=(7, 4.5))
    for name, curve in losses.items():
        steps = [(place + 1) / len(curve) for place in range(len(curve))]
        axes.plot(steps, [value / curve[0] for value in curve], label=name)
    axes.set(xlabel="share of the training", ylabel="training loss / first loss")
    axes.legend(fontsize=8)
    return _saved(figure, path)


def _bars(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    figure, grid = plt.subplots(2, 2, figsize=(12, 7), sharex=True)
    models = list(dict.fromkeys(row["model"] for row in rows))
    for column, kind in enumerate(("full", "binary")):
        for line, metric in enumerate(("rmse", "precision")):
            axes = grid[line][column]
            for shift, protocol in enumerate(PROTOCOLS):
                height = {
                    row["model"]: row[metric] for row in rows if (row["ratings"], row["protocol"]) == (kind, protocol)
                }
                places = [place + 0.27 * (shift - 1) for place in range(len(models))]
                axes.bar(places, [height.get(model) or 0 for model in models], 0.25, label=protocol)
            axes.set_xticks(range(len(models)), models, rotation=20)
            axes.set_title(f"{'RMSE' if metric == 'rmse' else 'P@10'}, {kind} ratings")
    grid[0][0].legend(fontsize=8)
    return _saved(figure, path)


def _saved(figure: Any, path: Path) -> Path:
    figure.tight_layout()
    try:
        figure.savefig(path, dpi=110)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from None
    plt.close(figure)
    return path
