"""Where a user's liking ends and disliking begins: the point that ratings are centred on.

A user's own mean, drawn towards everybody's mean while the user's ratings are few, and everybody's drawn towards the
middle of the scale while there are few at all. It is kept between the middle and just below "liked": somebody who
only rates what they love has not thereby rated it average, and a 2 is no praise from anybody.

Points of the scale are given for p2prec's own, -1..10, and hold in proportion for any other (`on_scale`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.interactions import SCALE, Interactions, Scale, Values

# The scale is -1..10; from 7 on a rating says "I like it".
MIDDLE, LIKED = 4.5, 7.0
# Half a point below liked, so that an only rating of 7 still counts for something.
REFERENCE_MAX = LIKED - 0.5
# Pseudo-ratings at the middle, for all ratings together: a node's first few say little about its users' scale.
OVERALL_SHRINK = 20.0
# Pseudo-ratings at the overall mean, for one user.
USER_SHRINK = 5.0


def on_scale(point: float, scale: Scale) -> float:
    """A point of -1..10 on another scale, in proportion: the middle is the middle of both."""
    # Exact on the own scale, which a round trip through shares would not be.
    return point if scale == SCALE else scale[0] + (point - SCALE[0]) * (scale[1] - scale[0]) / (SCALE[1] - SCALE[0])


def overall_mean(ratings: Interactions) -> float:
    """Everybody's mean rating."""
    middle = on_scale(MIDDLE, ratings.scale)
    return float((ratings.values.sum(dtype=np.float64) + OVERALL_SHRINK * middle) / (len(ratings) + OVERALL_SHRINK))


def reference_of(values: Values, mean: float, scale: Scale = SCALE) -> float:
    """One user's point, from their ratings and everybody's mean."""
    own = (values.sum() + USER_SHRINK * mean) / (len(values) + USER_SHRINK)
    return float(np.clip(own, on_scale(MIDDLE, scale), on_scale(REFERENCE_MAX, scale)))


def user_references(ratings: Interactions) -> npt.NDArray[np.float64]:
    """`reference_of` every user: float64 [users]."""
    total_U = np.bincount(ratings.users, ratings.values, ratings.n_users)
    count_U = np.bincount(ratings.users, minlength=ratings.n_users)
    own_U = (total_U + USER_SHRINK * overall_mean(ratings)) / (count_U + USER_SHRINK)
    return np.asarray(np.clip(own_U, on_scale(MIDDLE, ratings.scale), on_scale(REFERENCE_MAX, ratings.scale)))
