"""What is tuned of each model, and between which bounds. Models that are not named have nothing to tune.

The bounds are wide: a good figure outside them would be a surprise on ratings of any size (Ferrari Dacrema et al. 2019
on how much of the progress in this field was an untuned baseline).
"""

from __future__ import annotations

from sim.tuning import Range, Space

# As models.descent has them: no warm-up or one, no clipping or Seetharaman's percentile.
STEADY: Space = {"warmup": (0, 50), "clip": (None, 10.0)}
NEIGHBOURS: Space = {"k": Range(10, 300), "shrink": Range(0.1, 100.0)}
RATING_NEIGHBOURS: Space = {"k": Range(20, 400), "shrink": Range(5.0, 200.0)}

SPACES: dict[str, Space] = {
    "als": {"factors": Range(16, 128), "alpha": Range(0.5, 20.0), "reg": Range(0.01, 10.0)},
    "als_ratings": {"factors": Range(4, 64), "reg": Range(0.02, 0.5)},
    "biases": {"user_damping": Range(0.5, 50.0), "item_damping": Range(0.5, 50.0)},
    "bpr": {"factors": Range(32, 192), "learning_rate": Range(0.05, 0.5), "reg": Range(0.001, 0.1)},
    "delta": {"rank": Range(2, 32), "reg": Range(0.5, 50.0), "shrink": Range(0.5, 50.0)},
    "ease": {"reg": Range(30.0, 1500.0)},
    "item_knn": NEIGHBOURS,
    "item_knn_ratings": RATING_NEIGHBOURS,
    "lightgcn": {"layers": Range(1, 4), "learning_rate": Range(0.002, 0.05), "reg": Range(1e-5, 1e-2)},
    "low_rank": {"factors": Range(4, 64), "learning_rate": Range(0.001, 0.02), "reg": Range(0.02, 0.5), **STEADY},
    "popularity": {"shrink": Range(0.5, 50.0)},
    "projection": {"rank": Range(8, 128), "learning_rate": Range(0.0005, 0.02), **STEADY},
    "projection_fixed": {"rank": Range(5, 100), "strength": Range(0.005, 5.0)},
    "ridge": {"strength": Range(0.05, 50.0)},
    "sasrec": {"learning_rate": Range(0.0005, 0.01), "dropout": Range(0.05, 0.5), "blocks": (1, 2), **STEADY},
    "two_tower": {"learning_rate": Range(0.0005, 0.02), "ridge": Range(0.05, 5.0), **STEADY},
    "two_tower_seed": {"learning_rate": Range(0.0002, 0.01), "epochs": Range(3, 30), **STEADY},
    "user_knn": NEIGHBOURS,
    "user_knn_ratings": RATING_NEIGHBOURS,
}
