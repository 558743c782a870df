"""Adjacency of a graph, and neighbors once removed."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, eye_array

from geomob_dask.errors import InputError

Ints = NDArray[np.int64]


def adjacency(focal: Ints, neighbor: Ints, n: int) -> csr_array:
    """Return the adjacency matrix of a graph from its edges.

    Parameters
    ----------
    focal, neighbor : shape (n_edges,)
        Rows of the tracts at both ends; both directions are given, in any order, repeated or not.
    n : int
        Number of tracts.

    Returns
    -------
    csr_array, shape (n, n), float
        One where two tracts are neighbors; indices sorted in each row.

    Raises
    ------
    InputError
        If an edge leads from a tract to itself or comes in one direction only.

    Examples
    --------
    Three tracts in a row:

    >>> adjacency(np.array([0, 1, 1, 2]), np.array([1, 0, 2, 1]), 3).toarray()
    array([[0., 1., 0.],
           [1., 0., 1.],
           [0., 1., 0.]])
    """
    loops = np.flatnonzero(focal == neighbor)
    if len(loops):
        raise InputError(f"edges: row {focal[loops[0]]} is its own neighbor; expected two different tracts")
    matrix = _pattern(csr_array((np.ones(len(focal)), (focal, neighbor)), shape=(n, n)))
    one_way = (matrix != matrix.T).tocoo()
    if one_way.nnz:
        i, j = one_way.row[0], one_way.col[0]
        raise InputError(f"edges: rows {i} and {j} are joined in one direction; expected both")
    return matrix


def once_removed(neighbors: csr_array, rows: Ints | None = None) -> csr_array:
    """Return the tracts reached by a walk of two steps: where A·A is not zero.

    A tract with a neighbor reaches itself, and those of its neighbors that share a neighbor with it.

    Parameters
    ----------
    neighbors : csr_array, shape (n, n)
        Adjacency A.
    rows : shape (n_rows,), optional
        Rows of the tracts that walks start from; all by default.

    Returns
    -------
    csr_array, shape (n_rows, n), float
        One where a walk of two steps leads; indices sorted in each row.

    References
    ----------
    Ohio opportunity index, imputation by the neighbors' neighbors.

    Examples
    --------
    >>> row = adjacency(np.array([0, 1, 1, 2]), np.array([1, 0, 2, 1]), 3)
    >>> once_removed(row).toarray()
    array([[1., 0., 1.],
           [0., 1., 0.],
           [1., 0., 1.]])
    """
    return _pattern((neighbors if rows is None else neighbors[rows]) @ neighbors)


def others_once_removed(neighbors: csr_array) -> csr_array:
    """Return the tracts reached by a walk of two steps that are neither neighbors nor the tract itself.

    Parameters
    ----------
    neighbors : csr_array, shape (n, n)
        Adjacency A.

    Returns
    -------
    csr_array, shape (n, n), float
        One where such a tract is; indices sorted in each row.

    Examples
    --------
    >>> row = adjacency(np.array([0, 1, 1, 2]), np.array([1, 0, 2, 1]), 3)
    >>> others_once_removed(row).toarray()
    array([[0., 0., 1.],
           [0., 0., 0.],
           [1., 0., 0.]])
    """
    reached = once_removed(neighbors)
    near = reached.multiply(neighbors + eye_array(neighbors.shape[0], format="csr"))
    others = csr_array(reached - near)
    others.eliminate_zeros()
    return _pattern(others)


def _pattern(matrix: csr_array) -> csr_array:
    matrix.sum_duplicates()
    matrix.sort_indices()
    matrix.data[:] = 1
    return matrix
