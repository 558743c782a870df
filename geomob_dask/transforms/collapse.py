"""Detailed groups collapsed to the groups of interest, with their margins of error.

Williams & Pancini (2023), "Race/Ethnicity Exposure - City", step 2.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geomob_dask.errors import CountsError
from geomob_dask.transforms.margins_of_error import difference_moe, sum_moe

Floats = NDArray[np.float64]


def collapse(estimates: Floats, moes: Floats, members: Sequence[Sequence[int]]) -> tuple[Floats, Floats]:
    """Return the sums of detailed groups and the margins of these sums.

    Parameters
    ----------
    estimates, moes : shape (n_tracts, n_detailed)
        NaN: not known.
    members : sequence of sequences of int
        For each collapsed group, the columns it is made of.

    Returns
    -------
    counts, moes : shape (n_tracts, n_collapsed)
        NaN where any member's is.

    Examples
    --------
    >>> counts, moes = collapse(np.array([[10.0, 0.0, 0.0, 7.0]]), np.array([[3.0, 4.0, 2.0, 1.0]]), [[0, 1, 2], [3]])
    >>> counts, moes
    (array([[10.,  7.]]), array([[5., 1.]]))
    """
    counts = np.column_stack([estimates[:, list(columns)].sum(axis=1) for columns in members])
    margins = np.column_stack([sum_moe(estimates[:, list(columns)], moes[:, list(columns)]) for columns in members])
    return counts, margins


def remainder(total: Floats, total_moe: Floats, counts: Floats, moes: Floats) -> tuple[Floats, Floats]:
    """Return who is left of a total after the groups given, where a table does not say.

    Parameters
    ----------
    total, total_moe : shape (n_tracts,)
    counts, moes : shape (n_tracts, n_groups)

    Returns
    -------
    count, moe : shape (n_tracts,)
        The margin is that of the difference with independent errors. As a total's error is mostly that of its parts,
        it is far too wide (of 127 published county flags it makes 100 more severe), except where the total is
        controlled (one is too kind). Take the parts themselves where a table has them.

    Examples
    --------
    >>> remainder(np.array([10.0]), np.array([3.0]), np.array([[4.0, 1.0]]), np.array([[4.0, 0.0]]))
    (array([5.]), array([5.]))
    """
    return total - counts.sum(axis=1), difference_moe(total_moe, *moes.T)


def check_groups_make_up_people(
    counts: Floats, total: Floats, tracts: Sequence[str], groups: Sequence[str], *, tolerance: float = 0.0
) -> None:
    """Check that the groups of each tract sum to its people.

    Parameters
    ----------
    counts : shape (n_tracts, n_groups)
        A tract with a missing count is left out.
    total : shape (n_tracts,)
    tracts, groups : sequence of str
        Their names, in order.
    tolerance : float
        Persons; counts are whole numbers, so none by default.

    Raises
    ------
    CountsError
        Naming the first tract that does not balance, and how many do not.
    """
    made_up = counts.sum(axis=1)
    wrong = np.abs(made_up - total) > tolerance
    if wrong.any():
        row = int(np.argmax(wrong))
        raise CountsError(
            f"tract {tracts[row]}: groups {', '.join(groups)} sum to {made_up[row]:g}, expected its {total[row]:g} "
            f"people ({int(wrong.sum())} of {len(wrong)} tracts)"
        )
