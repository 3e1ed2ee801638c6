"""Many small ridge problems at once: the step that alternating least squares takes for every row, and the fold-in.

Rows of equally many entries are solved together, in the smaller of two equivalent forms: with n entries and F factors,

    x = (M + w Y'Y)^-1 w Y't   [F, F]        x = M^-1 Y' (Y M^-1 Y' + I/w)^-1 t   [n, n]

where Y [n, F] are the factors of the row's entries and t [n] their targets. Most rows have few entries, so the second
form is what makes exact steps as cheap as approximate ones.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

Factors = npt.NDArray[np.float32]

# Numbers of gathered factors in memory at once: 16 MB of float32, about what a core's caches and a page share well.
GATHERED_MAX = 4_000_000


def solve_rows(
    targets: sparse.csr_matrix, factors_CF: Factors, metric_FF: Factors, ridge: float, weight: float = 1.0
) -> Factors:
    """For every row, the x that minimises weight * sum (t - x.y)^2 + x' M x with M = metric + ridge * n * I.

    Shapes: targets CSR [rows, columns] -> float32 [rows, F]; a row without entries gives 0. n is the row's number of
    entries: the penalty grows with what it has to balance (Zhou et al. 2008, ALS-WR).
    """
    count_R = np.diff(targets.indptr)
    solved_RF = np.zeros((len(count_R), factors_CF.shape[1]), np.float32)
    for n in np.unique(count_R[count_R > 0]).tolist():
        metric = metric_FF + np.eye(len(metric_FF), dtype=np.float32) * np.float32(ridge * n)
        rows = np.flatnonzero(count_R == n)
        step = max(1, GATHERED_MAX // (n * len(metric)))
        for start in range(0, len(rows), step):
            some = rows[start : start + step]
            places = targets.indptr[some][:, None] + np.arange(n)
            entries_RNF = factors_CF[targets.indices[places]]
            solved_RF[some] = _solve(entries_RNF, targets.data[places], metric, np.float32(weight))
    return solved_RF


def _solve(entries_RNF: Factors, targets_RN: Factors, metric_FF: Factors, weight: np.float32) -> Factors:
    n, size = entries_RNF.shape[1:]
    turned_RFN = entries_RNF.transpose(0, 2, 1)
    if n < size:
        # M is symmetric, so this is (M^-1 Y')'.
        solved_RNF = entries_RNF @ np.linalg.inv(metric_FF)
        kernel_RNN = solved_RNF @ turned_RFN + np.eye(n, dtype=np.float32) / weight
        shares_RN1 = np.linalg.solve(kernel_RNN, targets_RN[:, :, None])
        return np.asarray((solved_RNF.transpose(0, 2, 1) @ shares_RN1)[:, :, 0], np.float32)
    whole_RFF = metric_FF + weight * (turned_RFN @ entries_RNF)
    right_RF1 = weight * (turned_RFN @ targets_RN[:, :, None])
    return np.asarray(np.linalg.solve(whole_RFF, right_RF1)[:, :, 0], np.float32)
