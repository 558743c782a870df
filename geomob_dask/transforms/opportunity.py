"""The opportunity index from imputed, standardized and ranked values.

Steps 3, 5, 8 and 9 of the method are here; the others have modules of their own (`impute`, `standardize`,
`rank_exponential`). `opportunity_index` runs all of them on one array: the plain account of what the distributed
run does.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from geomob_dask.transforms.impute import impute, neighbor_mean
from geomob_dask.transforms.rank_exponential import exponential, ranking, scaled_ranks
from geomob_dask.transforms.standardize import column_sums, means, squared_deviations, standard_deviations, z_scores


def blank_empty(values: NDArray[np.float64], population: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the measures with all values of tracts without people missing.

    After imputing: their values may serve neighbors. A missing population is not zero.

    Parameters
    ----------
    values : shape (n_tracts, n_measures)
    population : shape (n_tracts,), persons
    """
    return np.where((population == 0)[:, np.newaxis], np.nan, values)


def domain_sums(z: NDArray[np.float64], domain_of: Sequence[int]) -> NDArray[np.float64]:
    """Return the sum of the z-scores of each domain's measures; missing if any of them is.

    Sums are compensated (Neumaier), so that the order of the measures costs at most the last bit.

    Parameters
    ----------
    z : shape (n_tracts, n_measures)
    domain_of : shape (n_measures,)
        The number of each measure's domain, from 0.

    Returns
    -------
    shape (n_tracts, n_domains)
    """
    domains = np.asarray(domain_of)
    columns = [_compensated_sum(z[:, domains == number]) for number in range(domains.max() + 1)]
    return np.stack(columns, axis=1)


def _compensated_sum(terms: NDArray[np.float64]) -> NDArray[np.float64]:
    total = np.zeros(len(terms))
    lost = np.zeros(len(terms))
    for term in terms.T:
        larger, smaller = np.where(np.abs(total) >= np.abs(term), (total, term), (term, total))
        total = larger + smaller
        lost += (larger - total) + smaller
    return total + lost


def fill_holes(
    scores: NDArray[np.float64], adjacency: sparse.csr_array, around: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the scores, those that are missing filled with the mean of the direct neighbors'.

    Parameters
    ----------
    scores : shape (n_tracts, n_domains)
    adjacency : sparse array, shape (n_tracts, n_around)
    around : shape (n_around, n_domains)
        Scores before any hole was filled. NaN where no neighbor has a score.
    """
    return np.where(np.isnan(scores), neighbor_mean(adjacency, around), scores)


def deprivation(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of the domains' scores, shape (n_tracts, n_domains); missing if any is."""
    return np.asarray(scores.mean(axis=1))


def opportunity(
    deprived: NDArray[np.float64], extremes: tuple[float, float] | None = None, top: float = 100.0
) -> NDArray[np.float64]:
    """Return the index reversed, so that higher means more opportunity.

    Parameters
    ----------
    deprived : shape (n_tracts,)
    extremes : pair of float, optional
        Smallest and largest deprivation of all tracts: mirrored and stretched over 0…100 between
        them. Without it, `top` - deprivation. The source says only "reversed".
    top : float
        The most deprivation there can be.
    """
    if extremes is None:
        return top - deprived
    low, high = extremes
    return 100.0 * (high - deprived) / (high - low)


@dataclass(frozen=True)
class Steps:
    """Every step of the index, each of shape (n_tracts, n_measures or n_domains) or (n_tracts,)."""

    imputed: NDArray[np.float64]
    how: NDArray[np.uint8]
    z: NDArray[np.float64]
    sums: NDArray[np.float64]
    scores_before_filling: NDArray[np.float64]
    scores: NDArray[np.float64]
    deprivation: NDArray[np.float64]
    opportunity: NDArray[np.float64]


def opportunity_index(
    values: NDArray[np.float64],
    population: NDArray[np.float64],
    adjacency: sparse.csr_array,
    *,
    measures: Sequence[str],
    domain_of: Sequence[int],
    tie_tolerance: float = 1e-12,
    scale: float = 23.0,
    minmax: bool = False,
) -> Steps:
    """Run the whole index over tracts in one array.

    Parameters
    ----------
    values : shape (n_tracts, n_measures)
        Coded so that higher means more deprivation; NaN is missing.
    population : shape (n_tracts,), persons
    adjacency : sparse array, shape (n_tracts, n_tracts)
        Symmetric contiguity without the diagonal, indices sorted.
    measures, domain_of
        Name and domain number of each measure.

    References
    ----------
    Ohio Opportunity Index (2024), appendix.
    """
    imputed, how = impute(np.arange(len(values)), adjacency, values)
    kept = blank_empty(imputed, population)
    mean = means([column_sums(kept)])
    deviation = standard_deviations([squared_deviations(kept, mean)], mean, measures)
    z = z_scores(kept, mean, deviation)
    sums = domain_sums(z, domain_of)
    ranks = [scaled_ranks(column, ranking(column, tie_tolerance)) for column in sums.T]
    before = exponential(np.stack(ranks, axis=1), scale)
    scores = fill_holes(before, adjacency, before)
    deprived = deprivation(scores)
    extremes = (float(np.nanmin(deprived)), float(np.nanmax(deprived))) if minmax else None
    return Steps(imputed, how, z, sums, before, scores, deprived, opportunity(deprived, extremes))
