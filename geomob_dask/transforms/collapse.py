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

# Of a tract's people; sums of fractions are off by their last bits.
_ROUNDING = 1e-12


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
    left = total - counts.sum(axis=1)
    return np.where(np.abs(left) <= _ROUNDING * total, 0.0, left), difference_moe(total_moe, *moes.T)


def within_people(counts: Floats, total: Floats) -> Floats:
    """Return counts, those that exceed their tract's people by rounding alone as all of them.

    Sums of fractions, such as people in thousands, differ from their total in the last bits.

    Parameters
    ----------
    counts : shape (n_tracts, n_groups)
    total : shape (n_tracts,)
    """
    people = total[:, None]
    return np.asarray(np.where((counts > people) & (counts <= people * (1 + _ROUNDING)), people, counts))


def check_within(people: Floats, counts: Floats, groups: Sequence[str], tracts: Sequence[str], total: str) -> None:
    """Check that groups together have no more than all people of their tract: else one contains another.

    Parameters
    ----------
    people : shape (n_tracts,)
        NaN: not known.
    counts : shape (n_tracts, n_groups)
    groups, tracts : sequence of str
        Their names, in order.
    total : str
        Name of the people's column.

    Raises
    ------
    CountsError
        Naming the first such tract.
    """
    found = counts.sum(axis=1)
    over = found > people * (1 + _ROUNDING)
    if over.any():
        row = int(np.argmax(over))
        raise CountsError(
            f"tract {tracts[row]}: groups {', '.join(groups)} sum to {found[row]:g}, expected no more than the "
            f"{people[row]:g} people of {total}: groups that do not overlap"
        )


def check_groups_make_up_people(counts: Floats, total: Floats, tracts: Sequence[str], groups: Sequence[str]) -> None:
    """Check that the groups of each tract sum to its people, but for rounding.

    Parameters
    ----------
    counts : shape (n_tracts, n_groups)
        A tract with a missing count is left out.
    total : shape (n_tracts,)
    tracts, groups : sequence of str
        Their names, in order.

    Raises
    ------
    CountsError
        Naming the first tract that does not balance, and how many do not.
    """
    made_up = counts.sum(axis=1)
    wrong = np.abs(made_up - total) > _ROUNDING * np.maximum(made_up, total)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise CountsError(
            f"tract {tracts[row]}: groups {', '.join(groups)} sum to {made_up[row]:g}, expected its {total[row]:g} "
            f"people ({int(wrong.sum())} of {len(wrong)} tracts)"
        )
