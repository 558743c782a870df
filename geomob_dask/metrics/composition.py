"""Low, middle and high incomes of a tract relative to its region: the three-color map."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from geomob_dask.metrics.brackets import quantile_classes
from geomob_dask.metrics.counts import Floats, Integers, checked_counts, shares

THREE_TENTHS_OF_EACH_END = (0.3, 0.7)


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
