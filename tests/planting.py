"""What a publisher who lies about its vectors can do at best: place them, after centring, exactly along a taste."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.fusion import Vectors, half_mean


def planted(half_ID: Vectors, weights_GI: npt.NDArray[np.floating]) -> Vectors:
    """One row for each taste, float32 [G, dim], unit: mean + t * direction, direction = weights . (half - mean).

    The mere mean of what people like is a bad lie: ranking subtracts the mean of all items (models.fusion), and what is
    left of it is small and mostly chance. This one is what centring makes of the taste itself.
    """
    mean_D = half_mean(half_ID).astype(np.float64)
    direction_GD = weights_GI @ (half_ID - mean_D)
    direction_GD /= np.maximum(np.linalg.norm(direction_GD, axis=1, keepdims=True), 1e-12)
    along_G = direction_GD @ mean_D
    # The length for which mean + t * direction is of unit length.
    t_G = -along_G + np.sqrt(along_G**2 + 1 - mean_D @ mean_D)
    rows: Vectors = (mean_D + t_G[:, None] * direction_GD).astype(np.float32)
    return rows
