"""Where a user's liking ends and disliking begins: the point that ratings are centred on.

A user's own mean, drawn towards everybody's mean while the user's ratings are few, and everybody's drawn towards the
middle of the scale while there are few at all. It is kept between the middle and just below "liked": somebody who
only rates what they love has not thereby rated it average, and a 2 is no praise from anybody.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.interactions import Interactions, Values

# The scale is -1..10; from 7 on a rating says "I like it".
MIDDLE, LIKED = 4.5, 7.0
# Half a point below liked, so that an only rating of 7 still counts for something.
REFERENCE_MAX = LIKED - 0.5
# Pseudo-ratings at the middle, for all ratings together: a node's first few say little about its users' scale.
OVERALL_SHRINK = 20.0
# Pseudo-ratings at the overall mean, for one user.
USER_SHRINK = 5.0


def overall_mean(ratings: Interactions) -> float:
    """Everybody's mean rating."""
    return float((ratings.values.sum() + OVERALL_SHRINK * MIDDLE) / (len(ratings) + OVERALL_SHRINK))


def reference_of(values: Values, mean: float) -> float:
    """One user's point, from their ratings and everybody's mean."""
    own = (values.sum() + USER_SHRINK * mean) / (len(values) + USER_SHRINK)
    return float(np.clip(own, MIDDLE, REFERENCE_MAX))


def user_references(ratings: Interactions) -> npt.NDArray[np.float64]:
    """`reference_of` every user: float64 [users]."""
    total_U = np.bincount(ratings.users, ratings.values, ratings.n_users)
    count_U = np.bincount(ratings.users, minlength=ratings.n_users)
    own_U = (total_U + USER_SHRINK * overall_mean(ratings)) / (count_U + USER_SHRINK)
    return np.asarray(np.clip(own_U, MIDDLE, REFERENCE_MAX))
