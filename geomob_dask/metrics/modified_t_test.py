"""Correlations of two variables in space, tested with the number of independent units that they are worth.

Neighbors are alike. If both variables are, n units hold less evidence than n independent ones, and the usual p-value is
too small. The modified test keeps r, and replaces n by an effective size: the number of independent units of which r
would vary as much as it does here, by the autocorrelation of both variables.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.special
import scipy.stats
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist

from geomob_dask.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

EXACT_UNITS = 3_000
"""Up to so many units every pair is used; of more, all pairs of `ANCHORS` of them."""
ANCHORS = 2_000
# Pairs whose distances are in memory at a time.
_PAIRS = 2_000_000
# Each class reaches so much farther than the one before it: two classes for each doubling of distance.
_RATIO = np.sqrt(2)


def distance_classes(positions: Floats) -> Floats:
    """Return the upper bounds of classes of distance: narrow where units are near, two for each doubling of distance.

    Classes of equal width, of a size that the whole area needs, would average the autocorrelation of near neighbors
    with that of units far apart.

    Parameters
    ----------
    positions : shape (n_units, n_dimensions)
        In units of length.

    Returns
    -------
    shape (n_classes,)
        Rising. The first is the median distance to the nearest neighbor, the last is above all distances; one class if
        all units are at the same position.

    Examples
    --------
    >>> distance_classes(np.array([[0.0], [1.0], [2.0], [4.0]])).round(3)
    array([1.   , 1.414, 2.   , 2.828, 4.   ])
    """
    farthest = float(np.linalg.norm(np.ptp(positions, axis=0)))
    nearest = KDTree(np.unique(positions, axis=0)).query(positions, k=2)[0][:, 1]
    nearest = nearest[np.isfinite(nearest)]
    if not len(nearest) or farthest == 0:
        return np.ones(1)
    first = float(np.median(nearest))
    steps = max(int(np.ceil(np.log(farthest / first) / np.log(_RATIO) - 1e-9)), 0)
    bounds = first * _RATIO ** np.arange(steps + 1)
    # Rounding must not leave the farthest pair outside.
    bounds[-1] = max(bounds[-1], farthest * (1 + 1e-9))
    return np.asarray(bounds)


def effective_sizes(
    index: Floats, others: Floats, positions: Floats, bounds: Floats | None = None, *, capped: bool = True
) -> Floats:
    """Return the effective number of units of the correlation of an index with each of some columns.

    Parameters
    ----------
    index : shape (n_units,) or (n_units, n_columns)
        One for all columns, or one for each.
    others : shape (n_units, n_columns)
        NaN where a value is missing.
    positions : shape (n_units, n_dimensions)
        In units of length, such as those of `graph.sphere.in_kilometers`; NaN where it is not known. A unit without
        a position does not count as evidence.
    bounds : shape (n_classes,), optional
        Upper bounds of classes of distance, rising, the last not below any distance; `distance_classes` of the units
        that have both values, by default.
    capped : bool
        Whether a size is at most the number of units: noise beside a trend gives the formula any size above it.

    Returns
    -------
    shape (n_columns,)
        1 + tr(BX)·tr(BY) / tr(BXBY), where X and Y are the matrices of autocorrelation by class of distance and B
        subtracts the mean. Near n without autocorrelation of one of them. NaN where fewer than three units have both
        and a position, or one of them does not vary.

    Raises
    ------
    InputError
        If a distance is above the last bound.

    Notes
    -----
    Of more than `EXACT_UNITS` units, pairs are those of `ANCHORS` of them, drawn with a fixed key, with all others;
    memory does not grow with the number of pairs.

    References
    ----------
    Clifford, Richardson & Hémon (1989), "Assessing the Significance of the Correlation between Two Spatial Processes",
    Biometrics 45; Dutilleul (1993), "Modifying the t Test for Assessing the Correlation between Two Spatial
    Processes", Biometrics 49, equations for the effective size, as in ``modified.ttest`` of the R package SpatialPack.

    Examples
    --------
    Two trends along a line of 40 units are worth about three independent ones; noise is worth all of its units:

    >>> line = np.arange(40.0)
    >>> noise = np.random.default_rng(1).normal(size=40)
    >>> effective_sizes(line, np.column_stack([np.sqrt(line), noise]), line[:, None]).round(1)
    array([ 2.9, 40. ])
    """
    sizes = np.full(others.shape[1], np.nan)
    located = np.asarray(np.isfinite(positions).all(axis=1))
    known = located[:, None] & ~np.isnan(others)
    known &= ~np.isnan(index if index.ndim == 2 else index[:, None])
    for columns, rows in _columns_by_rows(known):
        ones = index[np.ix_(rows, columns)] if index.ndim == 2 else index[rows, None]
        found = _effective_sizes(ones, others[np.ix_(rows, columns)], positions[rows], bounds)
        sizes[columns] = np.minimum(found, len(rows)) if capped else found
    return sizes


def _columns_by_rows(known: NDArray[np.bool_]) -> Iterator[tuple[Ints, Ints]]:
    """Return columns that have the same rows, and the rows: distances are computed once for them."""
    alike: dict[bytes, list[int]] = {}
    for column in range(known.shape[1]):
        alike.setdefault(known[:, column].tobytes(), []).append(column)
    for columns in alike.values():
        yield np.array(columns), np.flatnonzero(known[:, columns[0]])


def _effective_sizes(ones: Floats, others: Floats, positions: Floats, bounds: Floats | None) -> Floats:
    """Return the effective size of each of `others` with its own of `ones`, or with the only one; none is missing."""
    n = len(ones)
    if n < 3:
        return np.full(others.shape[1], np.nan)
    values = np.column_stack([ones, others])
    centered = values - values.mean(axis=0)
    spread = np.sqrt((centered**2).mean(axis=0))
    varies = (np.ptp(values, axis=0) > 0) & (spread > 0)
    scaled = np.divide(centered, spread, out=np.zeros_like(centered), where=varies)
    bounds = distance_classes(positions) if bounds is None else bounds
    anchors = _anchors(n)
    counts, products = _pairs(scaled, positions, bounds, anchors)
    weight = n / len(anchors)
    pairs = counts.sum(axis=0)
    # The autocorrelation of each class, one column each; a class without pairs is met by none.
    moran = np.divide(products, pairs[:, None], out=np.zeros_like(products), where=pairs[:, None] > 0)
    sums = 1 + counts @ moran
    total = weight * sums.sum(axis=0)
    traces = n - total / n
    one, other = slice(0, ones.shape[1]), slice(ones.shape[1], None)
    both = n + weight * pairs @ (moran[:, one] * moran[:, other])
    crossed = weight * (sums[:, one] * sums[:, other]).sum(axis=0)
    variance = both + (total[one] * total[other] / n - 2 * crossed) / n
    # Autocorrelations of opposite sign can leave no variance at all.
    sizes = 1 + np.divide(traces[one] * traces[other], variance, out=np.full(len(variance), np.inf), where=variance > 0)
    return np.where(varies[one] & varies[other], sizes, np.nan)


def _anchors(n: int) -> Ints:
    if n <= EXACT_UNITS:
        return np.arange(n)
    draw = np.random.Generator(np.random.Philox(np.random.SeedSequence([n])))
    return np.sort(draw.permutation(n)[:ANCHORS])


def _pairs(scaled: Floats, positions: Floats, bounds: Floats, anchors: Ints) -> tuple[Floats, Floats]:
    """Return how many units lie in each class around each anchor, and the summed products of each column by class."""
    n, size = scaled.shape
    n_classes = len(bounds)
    counts = np.zeros((len(anchors), n_classes))
    products = np.zeros((n_classes + 1, size))
    step = max(_PAIRS // n, 1)
    for first in range(0, len(anchors), step):
        block = anchors[first : first + step]
        which = np.searchsorted(bounds, cdist(positions[block], positions), side="left")
        which[np.arange(len(block)), block] = n_classes
        if (which == n_classes).sum() > len(block):
            raise InputError(f"classes of distance: a pair is farther apart than the last bound, {bounds[-1]:g}")
        within = which + (n_classes + 1) * np.arange(len(block))[:, None]
        found = np.bincount(within.ravel(), minlength=(n_classes + 1) * len(block)).reshape(len(block), -1)
        counts[first : first + step] = found[:, :n_classes]
        flat = which.ravel()
        for column in range(size):
            weights = np.multiply.outer(scaled[block, column], scaled[:, column])
            products[:, column] += np.bincount(flat, weights=weights.ravel(), minlength=n_classes + 1)
    return counts, products[:n_classes]


def p_values(r: Floats, sizes: Floats) -> Floats:
    """Return the probability of a correlation as far from zero without association, by Student's t on size − 2.

    Parameters
    ----------
    r, sizes : shape (n,)
        Correlations, and numbers of independent units: effective ones, or all. NaN where the size is 2 or less.

    Examples
    --------
    The same correlation of 60 units, and of units that are worth 10:

    >>> p_values(np.array([0.4, 0.4]), np.array([60.0, 10.0])).round(4)
    array([0.0015, 0.2521])
    """
    freedom = np.where(sizes > 2, sizes - 2, np.nan)
    with np.errstate(divide="ignore"):
        t = np.abs(r) * np.sqrt(freedom / (1 - np.square(r)))
    return np.asarray(2 * scipy.stats.t.sf(t, freedom))


def fisher_intervals(r: Floats, sizes: Floats, level: float = 0.95, *, ranks: bool = False) -> tuple[Floats, Floats]:
    """Return the interval of correlations by Fisher's z, whose standard error is 1/√(size − 3).

    Parameters
    ----------
    r, sizes : shape (n,)
        Correlations, and numbers of independent units: effective ones, or all.
    level : float
        Such as 0.95.
    ranks : bool
        Whether these are Spearman's: the standard error is √((1 + r²/2)/(size − 3)).

    Returns
    -------
    lower, upper : shape (n,)
        NaN where the size is 3 or less.

    References
    ----------
    Fisher (1921); Bonett & Wright (2000), "Sample size requirements for estimating Pearson, Kendall and Spearman
    correlations".

    Examples
    --------
    >>> lower, upper = fisher_intervals(np.array([0.4, 0.4]), np.array([60.0, 10.0]))
    >>> lower.round(2), upper.round(2)
    (array([ 0.16, -0.31]), array([0.59, 0.82]))
    """
    spare = np.where(sizes > 3, sizes - 3, np.nan)
    reach = scipy.special.ndtri((1 + level) / 2) * np.sqrt((1 + np.square(r) / 2 if ranks else 1) / spare)
    # A perfect correlation has an infinite z, and no interval around it.
    z = np.arctanh(np.clip(r, -1 + 1e-15, 1 - 1e-15))
    return np.tanh(z - reach), np.tanh(z + reach)
