"""Classes of income of a tract relative to its region: low, middle and high, quintiles, the most frequent class."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from geomob_dask.errors import DefinitionError
from geomob_dask.metrics.brackets import quantile_classes
from geomob_dask.metrics.counts import Floats, Integers, checked_counts, log_ratio_weighted, shares

THREE_TENTHS_OF_EACH_END = (0.3, 0.7)
QUINTILES = (0.2, 0.4, 0.6, 0.8)
# Shares closer than this, relative to the larger one, differ by rounding alone.
_SAME_SHARE = 1e-12


def relative_composition(
    counts: ArrayLike, region_counts: ArrayLike, region: Integers, cuts: ArrayLike = THREE_TENTHS_OF_EACH_END
) -> Floats:
    """Shares of a unit's people in classes of income cut at quantiles of its region.

    With the default cuts the classes are the region's lowest three tenths, its middle four and its
    highest three, as in the source; on deciles of the region this is plain addition of deciles.

    Parameters
    ----------
    counts : shape (n_units, n_brackets), persons or households
        Brackets from low to high. Fractions are allowed.
    region_counts : shape (n_regions, n_brackets)
    region : shape (n_units,), integers in [0, n_regions)
    cuts : rising numbers between 0 and 1

    Returns
    -------
    shape (n_units, n_classes)
        Shares adding up to 1; the region's own are the widths between the cuts (0.3, 0.4, 0.3).
        NaN where a unit is empty.

    Raises
    ------
    CountsError
        If a count is missing or negative.
    DefinitionError
        If the cuts do not rise strictly between 0 and 1.

    References
    ----------
    von Bergmann, "Income mixing and segregation", "Other quantizations".
    """
    own = shares(checked_counts(counts))
    parts = np.nan_to_num(quantile_classes(region_counts, cuts))
    # Class by class: a product over all would round by the rows that are computed together.
    columns = [np.ascontiguousarray(own * parts[region, :, k]).sum(axis=1) for k in range(parts.shape[2])]
    composition: Floats = np.stack(columns, axis=1)
    return composition


def composition_divergence(composition: ArrayLike, cuts: ArrayLike = THREE_TENTHS_OF_EACH_END) -> Floats:
    """Divergence D of compositions from that of their region, whose shares are the widths between the cuts.

    A coarser view of `divergence.divergence`, which it never exceeds: sharing out and adding up
    brackets cannot tell a unit from its region better than the brackets do. At the cuts 0.2, 0.4, 0.6 and 0.8
    it is the source's D of quintiles.

    Parameters
    ----------
    composition : shape (n_units, n_classes)
        From `relative_composition` at the same cuts.
    cuts : rising numbers between 0 and 1, shape (n_classes − 1,)

    Returns
    -------
    shape (n_units,), nats
        NaN where a unit is empty.

    Raises
    ------
    DefinitionError
        If there are not as many classes as the cuts leave.

    References
    ----------
    von Bergmann, "Income mixing and segregation", "Adjusted family income decile KL-divergence".

    Examples
    --------
    >>> composition_divergence([[0.3, 0.4, 0.3], [0.6, 0.4, 0.0]]).round(6)
    array([0.      , 0.415888])
    """
    shown = np.asarray(composition, dtype=np.float64)
    widths = np.diff(np.concatenate([[0.0], np.asarray(cuts, dtype=np.float64), [1.0]]))
    if shown.ndim != 2 or shown.shape[1] != widths.size:
        raise DefinitionError(f"compositions have the shape {shown.shape}, expected {widths.size} classes")
    # One memory layout, so that sums along a row always add in one order.
    terms = np.ascontiguousarray(log_ratio_weighted(shown, widths))
    # Rounding may leave a divergence of zero a hair below it.
    divergences: Floats = np.maximum(terms.sum(axis=1), 0.0)
    return divergences


def modal_class(composition: ArrayLike) -> Integers:
    """Return the class that most of a unit's people are in: the source's coloring by low, middle or high.

    Parameters
    ----------
    composition : shape (n_units, n_classes)
        Shares or counts, from low to high. Classes may differ in width, as the source's do (the
        middle class is four tenths of the region, so that most tracts like their region are "middle").

    Returns
    -------
    shape (n_units,), integers
        Position of the class. Classes that differ by rounding alone are tied, and a tie goes to the
        lowest of them; −1 where a share is missing.

    References
    ----------
    von Bergmann, "Income mixing and segregation", "Adjusted family income deciles".

    Examples
    --------
    >>> modal_class([[0.3, 0.4, 0.3], [0.2, 0.4, 0.4], [np.nan, np.nan, np.nan]])
    array([ 1,  1, -1])
    """
    shown = np.asarray(composition, dtype=np.float64)
    if not shown.size:
        return np.full(len(shown), -1, dtype=np.int64)
    most = shown.max(axis=1, keepdims=True)
    first = np.argmax(shown >= most - _SAME_SHARE * most, axis=1)
    return np.where(np.isnan(most[:, 0]), -1, first).astype(np.int64)
