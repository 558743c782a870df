"""Location quotient: a group's share in a unit over its share in the region."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from geomob_dask.metrics.counts import Floats, checked_counts, quotient, shares


def location_quotient(counts: ArrayLike, region_counts: ArrayLike) -> Floats:
    """LQ: ``p_ik / P_k``.

    Parameters
    ----------
    counts : shape (n_units, n_groups), persons
    region_counts : shape (n_groups,) or (n_units, n_groups)
        The whole region of each unit.

    Returns
    -------
    shape (n_units, n_groups)
        1 where the group has its regional share, 0 where it is absent, at most 1 / P_k. NaN where
        the unit is empty or the group is absent from the region.

    Raises
    ------
    CountsError
        If a count is missing or negative.

    References
    ----------
    Isard (1960), Methods of Regional Analysis, ch. 5.

    Examples
    --------
    >>> location_quotient([[30, 70]], [100, 900])
    array([[3.  , 0.7778]])
    """
    own, region = checked_counts(counts), np.asarray(region_counts, dtype=np.float64)
    region = checked_counts(region[None] if region.ndim == 1 else region)
    return quotient(shares(own), np.broadcast_to(shares(region), own.shape))
