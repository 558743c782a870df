"""Divergence D: how far the incomes of a tract lie from those of its region.

Statistics Canada's D-index (von Bergmann, "Income mixing and segregation") is the Kullback–Leibler
divergence of a tract's shares over income brackets from its region's, plus what dwelling types and
buildings inside the tract add to it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from geomob_dask.errors import CountsError
from geomob_dask.metrics.counts import Floats, Integers, checked_counts, log_ratio_weighted, quotient, shares


def divergence(counts: ArrayLike, region_counts: ArrayLike) -> Floats:
    """D: divergence of each unit's shares from its region's.

    ``D = Σ_q π_i(q) ln(π_i(q) / π_r(q))``, natural logarithm.

    Parameters
    ----------
    counts : shape (n_units, n_brackets), persons or households
        Fractions are allowed.
    region_counts : shape (n_brackets,) or (n_units, n_brackets)
        The whole region of each unit, the unit included.

    Returns
    -------
    shape (n_units,), nats
        0 where a unit is like its region, at most −ln of the region's smallest positive share;
        NaN where the unit is empty.

    Raises
    ------
    CountsError
        If a count is missing or negative, or a bracket has people in a unit and none in its region.

    References
    ----------
    von Bergmann, "Income mixing and segregation", "What is the D-index".

    Examples
    --------
    The two scenarios of "W-index": D cannot tell a swap of neighbors from one across the range.

    >>> middle = [0.1, 0.1, 0.1, 0.1, 0.15, 0.05, 0.1, 0.1, 0.1, 0.1]
    >>> ends = [0.15, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.05]
    >>> divergence([middle, ends], [1.0] * 10)
    array([0.0261624, 0.0261624])
    """
    own, reference = checked_counts(counts), _reference(region_counts)
    return _divergence(shares(own), shares(np.broadcast_to(reference, own.shape)), own)


def scaled_divergence(divergences: Floats, n_brackets: int) -> Floats:
    """D / ln Q: D on a scale of 0 to 1 where the region is spread evenly over Q brackets.

    A region that is not may have units above 1: D reaches −ln of the region's smallest share.
    With one bracket nothing can diverge: NaN.
    """
    return quotient(np.asarray(divergences, dtype=np.float64), np.array(np.log(n_brackets)))


def nested_divergence(counts: ArrayLike, paths: Integers, region_counts: ArrayLike) -> Floats:
    """Parts of D over a nested partition of each tract's people, at any depth.

    ``D_c = KL(π_c‖π_m) + Σ_d (n_d/n_c) KL(π_d‖π_c) + Σ_b (n_b/n_c) KL(π_b‖π_d) + …``

    Parameters
    ----------
    counts : shape (n_leaves, n_brackets), persons or families
        The finest parts: buildings, or dwelling types where those are the finest.
    paths : shape (n_leaves, depth), integers
        Where each leaf lies: its tract, then the part within the tract, and so on to the leaf's own.
        The first column is the position of the tract in 0 … n_tracts − 1. Codes of the others need
        only differ within their parent. What is not divided further (everything but large apartment
        buildings) is one leaf with a code of its own at each deeper level: it adds nothing there.
    region_counts : shape (n_brackets,) or (n_tracts, n_brackets)
        The region of each tract.

    Returns
    -------
    shape (n_tracts, depth), nats
        The part of each level, in the order of the columns of `paths`; they add up to D, the
        divergence of the finest parts from the region weighted by their people. NaN for empty tracts.

    Raises
    ------
    CountsError
        As `divergence`.

    Notes
    -----
    The source weighs buildings by n_b/n_A, their share of the people in large apartments. Only
    n_b/n_c, the share of the tract's people, makes the parts add up, and is used here.
    """
    leaves, paths = checked_counts(counts), np.asarray(paths)
    n_tracts = int(paths[:, 0].max()) + 1 if len(paths) else 0
    people = _node_counts(leaves, paths[:, 0], n_tracts).sum(axis=1)
    parent_shares = shares(np.broadcast_to(_reference(region_counts), (n_tracts, leaves.shape[1])))
    parent, tract, leaf_node = np.arange(n_tracts), np.arange(n_tracts), paths[:, 0]
    parts = np.empty((n_tracts, paths.shape[1]))
    for level in range(paths.shape[1]):
        if level > 0:
            steps = np.column_stack([leaf_node, paths[:, level]])
            nodes, leaf_node = np.unique(steps, axis=0, return_inverse=True)
            parent, tract = nodes[:, 0], tract[nodes[:, 0]]
        node_counts = _node_counts(leaves, leaf_node, len(parent))
        node_shares = shares(node_counts)
        own = np.nan_to_num(_divergence(node_shares, parent_shares[parent], node_counts))
        weighted = np.bincount(tract, weights=node_counts.sum(axis=1) * own, minlength=n_tracts)
        parts[:, level] = quotient(weighted.astype(np.float64), people)
        parent_shares = node_shares
    return parts


def _node_counts(leaves: Floats, leaf_node: Integers, n_nodes: int) -> Floats:
    node_counts = np.zeros((n_nodes, leaves.shape[1]))
    np.add.at(node_counts, leaf_node, leaves)
    return node_counts


def _reference(region_counts: ArrayLike) -> Floats:
    table = np.asarray(region_counts, dtype=np.float64)
    return checked_counts(table[None] if table.ndim == 1 else table)


def _divergence(own: Floats, reference: Floats, counts: Floats) -> Floats:
    outside = (counts > 0) & ~(reference > 0)
    if outside.any():
        unit, bracket = np.argwhere(outside)[0]
        raise CountsError(
            f"unit {unit}, bracket {bracket}: found {counts[unit, bracket]:g} where its region has none, "
            "expected a region that contains the unit"
        )
    # Rounding may leave a divergence of zero a hair below it.
    divergences: Floats = np.maximum(log_ratio_weighted(own, reference).sum(axis=-1), 0.0)
    return divergences
