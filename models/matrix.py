"""Ratings as sparse matrices, float32 CSR [users, items]: a stored 0 is a rating, what is not stored is unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.interactions import History, Interactions
from models.recommender import Arrays


def matrix_of(ratings: Interactions) -> sparse.csr_matrix:
    """All ratings, [users, items], items ascending in each row. Raises: ValueError when a pair occurs twice."""
    table = sparse.csr_matrix((ratings.values, (ratings.users, ratings.items)), (ratings.n_users, ratings.n_items))
    if table.nnz != len(ratings):
        raise ValueError("a user has rated the same item twice")
    table.sort_indices()
    return table


def matrix_of_histories(histories: Sequence[History], n_items: int) -> sparse.csr_matrix:
    """One row a history, [histories, items], in the order of its ratings.

    Raises: ValueError for items beyond the catalog.
    """
    ends = np.cumsum([0, *(len(history) for history in histories)])
    columns = np.concatenate([np.empty(0, np.int64), *(history.items for history in histories)])
    values = np.concatenate([np.empty(0, np.float32), *(history.values for history in histories)])
    if len(columns) and columns.max() >= n_items:
        raise ValueError(f"a history speaks of item row {columns.max()}, but the model knows {n_items} items")
    return sparse.csr_matrix((values.astype(np.float32), columns, ends), (len(histories), n_items))


def matrix_arrays(name: str, matrix: sparse.csr_matrix) -> Arrays:
    """A sparse matrix as arrays to be saved, their names beginning with `name`."""
    parts = {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr, "shape": np.array(matrix.shape)}
    return {f"{name}.{part}": array for part, array in parts.items()}


def matrix_from(name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> sparse.csr_matrix:
    """The matrix that `matrix_arrays` took apart. Raises: ValueError when a part is missing or wrong."""
    parts = [arrays.get(f"{name}.{part}") for part in ("data", "indices", "indptr", "shape")]
    if any(part is None for part in parts):
        raise ValueError(f"the saved matrix {name!r} lacks a part")
    data, indices, indptr, shape = (np.asarray(part) for part in parts)
    try:
        rows, columns = shape
        matrix = sparse.csr_matrix((data, indices, indptr), (int(rows), int(columns)))
        # Else a column beyond the shape is read from somebody else's memory.
        matrix.check_format(full_check=True)
    except (ValueError, TypeError) as error:
        raise ValueError(f"the parts of the saved matrix {name!r} do not fit together") from error
    return matrix
