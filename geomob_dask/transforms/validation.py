"""How much of an index each domain explains, alone and together with others, and what the index goes along with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import pearsonr

from geomob_dask.errors import InputError

Floats = NDArray[np.float64]

_MOST_DOMAINS = 16


@dataclass(frozen=True)
class Commonality:
    """How the explained variance of an index is shared out among its domains.

    Attributes
    ----------
    total : shape (n_domains,), share
        r² of the index and the domain alone.
    unique : shape (n_domains,), share
        R² of all domains less R² of all but this one.
    coefficients : shape (2**n_domains,), share
        Share that only a subset of domains explains in common: entry s is the subset whose bits are set
        in s. Entry 0 is 0; all sum to R² of all domains. Negative where domains suppress each other.
    """

    total: Floats
    unique: Floats
    coefficients: Floats


def commonality(index: Floats, domains: Floats) -> Commonality:
    """Share the explained variance of an index out among all subsets of its domains.

    Parameters
    ----------
    index : shape (n_tracts,)
    domains : shape (n_tracts, n_domains)
        Rows with a missing value are left out.

    Raises
    ------
    InputError
        If there are too few complete rows, a domain does not vary, or there are more than 16 domains.

    References
    ----------
    Mood (1971), "Partitioning variance in multiple regression analyses"; Nimon & Oswald (2013), all 2^k - 1 subsets.
    With f(A) = R² of the domains A, what a subset S explains in common is the Möbius inverse of
    g(A) = f(all) - f(all but A), which is the sum of the coefficients of the subsets of A.

    Examples
    --------
    Two domains without correlation, one twice as wide as the other:

    >>> a, b = np.array([1.0, 1, -1, -1]), np.array([1.0, -1, 1, -1])
    >>> found = commonality(2 * a + b, np.column_stack([a, b]))
    >>> found.total, found.unique
    (array([0.8, 0.2]), array([0.8, 0.2]))
    >>> found.coefficients
    array([0. , 0.8, 0.2, 0. ])
    """
    n_domains = domains.shape[1]
    if n_domains > _MOST_DOMAINS:
        raise InputError(f"commonality of {n_domains} domains: expected at most {_MOST_DOMAINS}")
    columns = np.column_stack([index, domains])
    columns = columns[~np.isnan(columns).any(axis=1)]
    if len(columns) < n_domains + 2:
        raise InputError(f"commonality: found {len(columns)} complete rows, expected at least {n_domains + 2}")
    still = np.flatnonzero(columns.std(axis=0) == 0)
    if len(still):
        what = "the index" if still[0] == 0 else f"domain number {still[0]}"
        raise InputError(f"commonality: {what} is the same in all {len(columns)} rows, expected one that varies")
    correlations = np.asarray(np.corrcoef(columns, rowvar=False), dtype=np.float64)
    explained = _explained(correlations)
    every = len(explained) - 1
    unique = np.array([explained[every] - explained[every ^ (1 << domain)] for domain in range(n_domains)])
    coefficients = explained[every] - explained[every ^ np.arange(every + 1)]
    for domain in range(n_domains):
        bit = 1 << domain
        having = np.flatnonzero(np.arange(every + 1) & bit)
        coefficients[having] -= coefficients[having ^ bit]
    return Commonality(correlations[0, 1:] ** 2, unique, coefficients)


def _explained(correlations: Floats) -> Floats:
    """Return R² of the index by every subset of domains, by the subset's bits."""
    n_domains = len(correlations) - 1
    explained = np.zeros(2**n_domains)
    for subset in range(1, 2**n_domains):
        chosen = [domain + 1 for domain in range(n_domains) if subset >> domain & 1]
        with_index = correlations[chosen, 0]
        among = correlations[np.ix_(chosen, chosen)]
        # Domains that repeat each other explain no more than one of them: least squares takes no inverse.
        explained[subset] = with_index @ np.linalg.lstsq(among, with_index, rcond=None)[0]
    return explained


@dataclass(frozen=True)
class Association:
    """A correlation between two columns.

    Attributes
    ----------
    n : int
        Rows that have both.
    r, p_unadjusted : float
        Pearson's r, and the probability of one as far from zero without association if all rows are independent, which
        neighbors are not (`metrics.modified_t_test`); NaN where a column does not vary or fewer than three rows have
        both.
    """

    n: int
    r: float
    p_unadjusted: float


def associations(index: Floats, others: Floats) -> Sequence[Association]:
    """Return the correlation of an index with each of some columns, over the rows that have both.

    Parameters
    ----------
    index : shape (n_tracts,)
    others : shape (n_tracts, n_columns)
        NaN where a value is missing.
    """
    return [_association(index, column) for column in others.T]


def _association(index: Floats, other: Floats) -> Association:
    both = ~(np.isnan(index) | np.isnan(other))
    x, y = index[both], other[both]
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return Association(len(x), np.nan, np.nan)
    found = pearsonr(x, y)
    return Association(len(x), float(found.statistic), float(found.pvalue))
