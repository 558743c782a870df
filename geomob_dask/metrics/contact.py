"""Contacts between groups from the sums of tracts: value, correction for noise, standard error.

The expected value of a contact of counted people differs from that of the people themselves, because it is not linear
in the counts: noise in a tract's share makes a group look more isolated than it is. To second order, with independent
errors of the groups' counts (variances V; x people of the group, z those whom it meets, r the rest, t all; p = x/t,
s = z/t),

    E[x z/t] - x z/t = -[s(1 - p) V_x + p(1 - s) V_z - p s V_r] / t

in each tract, and, since the same counts are in the denominator X = Σ a x,

    E[N/X] - N/X = Σ a bias / X - Σ a² V_x (s(1 - p) - C) / X²

in the region. Both are estimated from the counts and taken off. They are small where the error of each tract's count is
small beside the count, whatever the error of the region's is.

References
----------
The expansion of a ratio: Cochran (1977), *Sampling Techniques*, 6.8; of a function of noisy numbers: Wolter (2007),
*Introduction to Variance Estimation*, 6.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geomob_dask.metrics.exposure_terms import CONTACT_TERMS, per

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Contacts:
    """Contacts of groups.

    Attributes
    ----------
    value, complement : shape (...)
        Of the counts as they are, each computed by itself; NaN where nobody of the group is there.
    corrected, corrected_complement : shape (...)
        Without the bias of noise in the counts, held within [0, 1]; NaN where a margin is missing.
    first_order : shape (...)
        Standard error of `value`, to first order.
    se : shape (...)
        Standard error of `corrected`.
    met, unmet : shape (...), persons
    missing_moes : shape (...)
        Number of tracts without a margin.
    """

    value: Floats
    complement: Floats
    corrected: Floats
    corrected_complement: Floats
    first_order: Floats
    se: Floats
    met: Floats
    unmet: Floats
    missing_moes: Floats


def contacts(sums: Floats) -> Contacts:
    """Return contacts from the sums of their terms.

    Parameters
    ----------
    sums : shape (..., 11)
        Of `exposure_terms.CONTACT_TERMS`. The shares of the group with which they are divided are its own: met and
        unmet people of each member.
    """
    terms = dict(zip(CONTACT_TERMS, np.moveaxis(sums, -1, 0), strict=True))
    met, unmet, u = terms["met"], terms["unmet"], terms["u"]
    people = met + unmet
    value, complement = per(met, people, np.nan), per(unmet, people, np.nan)
    known = terms["missing_moes"] == 0
    near_value = value <= complement
    about_value = terms["u_r2"] - 2 * value * terms["u_r"] + value**2 * u
    about_complement = terms["u_q2"] - 2 * complement * terms["u_q"] + complement**2 * u
    first = np.maximum(np.where(near_value, about_value, about_complement), 0.0) + terms["others"]
    # The squares of estimated derivatives are too large by twice what the second ones add to the variance. That is at
    # most half of them on average; in one sample the estimate could exceed it.
    variance = first - np.minimum(terms["second"], first / 2)
    with_people = np.where(near_value, terms["u_r"] - value * u, complement * u - terms["u_q"])
    # Where the error of the region's count exceeds the count, its square would only grow.
    correction = per(terms["noise"], people, np.nan) + per(with_people, np.maximum(people**2, u), np.nan)
    return Contacts(
        value=value,
        complement=complement,
        corrected=np.where(known, np.clip(value + correction, 0.0, 1.0), np.nan),
        corrected_complement=np.where(known, np.clip(complement - correction, 0.0, 1.0), np.nan),
        first_order=np.where(known, per(np.sqrt(first), people, np.nan), np.nan),
        se=np.where(known, per(np.sqrt(variance), people, np.nan), np.nan),
        met=met,
        unmet=unmet,
        missing_moes=terms["missing_moes"],
    )
