"""Indices over random draws: p-values, intervals and small-sample bias."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from geomob_dask.errors import CountsError
from geomob_dask.metrics.counts import Floats, Integers, checked_counts, checked_regions, quotient, shares
from geomob_dask.metrics.effective_interviews import composition_noise, effective_interviews, without_noise
from geomob_dask.metrics.poisson_excess import poisson_excess
from geomob_dask.metrics.segregation_draws import DrawKey, Sampler
from geomob_dask.metrics.segregation_spatial import neighborhood_weights
from geomob_dask.metrics.segregation_units import RegionUnits
from geomob_dask.transforms.exact_sums import region_sums

# Takes draws of shape (n_draws, n_units, n_groups), returns values with draws first.
Evaluation = Callable[[Floats], dict[str, Floats]]
# About 80 MB of counts at a time.
_CELLS = 10_000_000


def evaluation(indices: Mapping[str, Callable[[RegionUnits], Floats]], units: RegionUnits) -> Evaluation:
    """Return the evaluation of several indices over many draws of one region: each draw is a region of its own.

    Parameters
    ----------
    indices : dict of name to function of RegionUnits
        Such as ``index.of`` of the catalog. They share the sums they have in common.
    units : RegionUnits
        The units of one region in the order of the draws, with the land and neighbors that indices need.
    """
    weights = None if units.adjacency is None else neighborhood_weights(units.adjacency, units.region)
    land = units.land
    if land is not None and np.isnan(land).any():
        # Draws may put people where no land is known.
        land = np.full(len(land), np.nan)

    def evaluate(tables: Floats) -> dict[str, Floats]:
        n_draws, n_units, n_groups = tables.shape
        drawn = RegionUnits(
            tables.reshape(-1, n_groups),
            np.repeat(np.arange(n_draws), n_units),
            n_draws,
            land=None if land is None else np.tile(land, n_draws),
            around=None if weights is None else _environments(tables, weights).reshape(-1, n_groups),
            exact=False,
        )
        return {name: index(drawn) for name, index in indices.items()}

    return evaluate


def drawn_indices(
    sampler: Sampler, evaluate: Evaluation, key: DrawKey, draws: Sequence[int], *, cells: int = _CELLS
) -> dict[str, Floats]:
    """Evaluate indices of one region over many draws.

    Parameters
    ----------
    sampler : from `segregation_draws`
    evaluate : from `evaluation`
    key : DrawKey
    draws : numbers of the draws, at least one, such as ``range(1000)``
        Any part of them gives the same values as in the whole.
    cells : int
        Counts held at a time; it bounds memory and changes no value.

    Returns
    -------
    dict of name to shape (n_draws, …)
    """
    parts: list[dict[str, Floats]] = []
    tables: list[Floats] = []
    for draw in draws:
        tables.append(sampler(key.generator(draw)))
        if (len(tables) + 1) * tables[0].size > cells:
            parts.append(evaluate(np.stack(tables)))
            tables = []
    if tables:
        parts.append(evaluate(np.stack(tables)))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def p_value(observed: Floats, null: Floats) -> Floats:
    """One-sided p-value: ``(1 + draws at or above the observed) / (1 + draws)``.

    Parameters
    ----------
    observed : shape (…)
    null : shape (n_draws, …)

    Returns
    -------
    shape (…)
        From 1/(1 + draws) to 1; NaN where the observed value or a draw is missing.

    References
    ----------
    Davison & Hinkley (1997), Bootstrap Methods and their Application, §4.2.
    """
    extreme = (null >= observed).sum(axis=0)
    p = (1.0 + extreme) / (1.0 + len(null))
    return np.where(np.isnan(observed) | np.isnan(null).any(axis=0), np.nan, p)


def interval(draws: Floats, level: float = 0.9) -> tuple[Floats, Floats]:
    """Percentile interval of draws along their first axis; NaN where a draw is missing."""
    tail = (1.0 - level) / 2.0
    lower, upper = np.quantile(draws, [tail, 1.0 - tail], axis=0)
    return lower, upper


def mean_of_draws(draws: Floats) -> Floats:
    """Return the mean along the first axis, in the order of the draws, whichever regions are computed together."""
    by_value = np.ascontiguousarray(np.moveaxis(np.asarray(draws, dtype=np.float64), 0, -1))
    mean: Floats = by_value.mean(axis=-1)
    return mean


def excess_over_evenness(observed: Floats, null: Floats) -> Floats:
    """Index beyond what chance gives: ``(D − D*) / (1 − D*)``, or ``(D − D*) / D*`` where D is below D*.

    Parameters
    ----------
    observed : shape (…)
    null : shape (n_draws, …)
        Draws under evenness; D* is their mean.

    References
    ----------
    Carrington & Troske (1997), "On measuring segregation in samples with small units".
    """
    expected = mean_of_draws(null)
    return np.where(
        observed >= expected,
        quotient(observed - expected, 1.0 - expected),
        quotient(observed - expected, np.asarray(expected)),
    )


def bootstrap_corrected(estimate: Floats, draws: Floats) -> Floats:
    """Estimate less its bootstrap bias: ``2 · estimate − mean of draws``, not held within bounds.

    Parameters
    ----------
    estimate : shape (…)
    draws : shape (n_draws, …)
        Of resampled persons, or of margins of error drawn around the estimates.

    References
    ----------
    Efron & Tibshirani (1993), An Introduction to the Bootstrap, §10.6.
    """
    corrected: Floats = 2.0 * estimate - mean_of_draws(draws)
    return corrected


def mutual_information_bias(
    counts: ArrayLike,
    region: Integers | None = None,
    n_regions: int | None = None,
    *,
    standard_errors: ArrayLike | None = None,
    interviews: ArrayLike | None = None,
) -> Floats:
    """Plug-in estimate of the bias of M from sampling, to be taken off M.

    ``(1 / 2T) [Σ_i c_i (Σ_k h(n_ik/c_i) − h(t_i/c_i)) − Σ_k V_k/N_k + V/T]``, c_i the people that stand behind one
    interview in unit i, V_k = Σ_i c_i n_ik, V = Σ_k V_k, and n the counts without the noise of their sample. h(λ) is
    twice what a Poisson count x of mean λ adds to λ ln λ, E[x ln x] − λ ln λ: it goes to 1 for large cells and to 0 for
    empty ones. A full count is taken for a sample of persons, c = 1 and h = 1 in each cell that is not empty: the bias
    is that of Miller and Madow, (units − 1)(groups − 1) / 2T over those present.

    Parameters
    ----------
    counts : shape (n_units, n_groups), persons or households
    region, n_regions : as in `RegionSums.of`
    standard_errors : shape (n_units, n_groups), optional
        Of the counts, from their margins of error; NaN where they are not known. They give the effective number of
        interviews.
    interviews : shape (n_units,), optional
        Effective number of interviews in each unit, in place of standard errors.

    Returns
    -------
    shape (n_regions,), nats
        NaN where nobody lives in the region, or nothing is known of its interviews.

    Raises
    ------
    CountsError
        If a count is missing or negative, or shapes differ.

    References
    ----------
    Miller (1955); Roulston (1999), "Estimating the errors on measured entropy and mutual information".

    Examples
    --------
    >>> mutual_information_bias([[30, 70], [60, 40]])
    array([0.0025])
    >>> mutual_information_bias([[30, 70], [60, 40]], interviews=[10, 10]).round(3)
    array([0.029])
    """
    table = checked_counts(counts)
    codes, number = checked_regions(region, len(table), n_regions)
    people = table.sum(axis=1)
    if standard_errors is not None:
        variances = np.asarray(standard_errors, dtype=np.float64) ** 2
        if variances.shape != table.shape:
            raise CountsError(f"the standard errors have shape {variances.shape}, expected {table.shape} as the counts")
        interviews = effective_interviews(people, *composition_noise(table, variances), codes, number)
    if interviews is None:
        true, per_interview, cells = table, np.where(people > 0, 1.0, 0.0), (table > 0).sum(axis=1) - 1.0
    else:
        found = np.asarray(interviews, dtype=np.float64)
        if found.shape != people.shape:
            raise CountsError(f"the interviews have shape {found.shape}, expected {people.shape} as the units")
        unknown = np.bincount(codes, np.isnan(found), number)[codes] > 0
        found = np.where(unknown, people, found)
        true = without_noise(table, found, codes, number)
        per_interview = np.nan_to_num(quotient(people, found))
        means = np.nan_to_num(quotient(true, per_interview[:, None]))
        cells = poisson_excess(means).sum(axis=1) - poisson_excess(found)
    behind = true * per_interview[:, None]
    terms = np.column_stack([per_interview * cells * (people > 0), behind, true])
    sums = region_sums(terms, codes, number)
    n_groups = table.shape[1]
    variance, totals = sums[:, 1 : 1 + n_groups], sums[:, 1 + n_groups :]
    T = totals.sum(axis=1)
    excess = sums[:, 0] - np.nan_to_num(quotient(variance, totals)).sum(axis=1) + quotient(variance.sum(axis=1), T)
    bias = quotient(excess, 2.0 * T)
    if interviews is not None:
        bias = np.where(np.bincount(codes, unknown, number) > 0, np.nan, bias)
    return bias


def bias_of_mutual_information(units: RegionUnits) -> Floats:
    """Return the bias of M of each region, from the effective numbers of interviews where they are known."""
    return mutual_information_bias(units.counts, units.region, units.n_regions, interviews=units.interviews)


def _environments(tables: Floats, weights: csr_array) -> Floats:
    n_draws, n_units, n_groups = tables.shape
    columns = np.swapaxes(tables, 0, 1).reshape(n_units, n_draws * n_groups)
    around = (weights @ columns).reshape(n_units, n_draws, n_groups)
    return shares(np.swapaxes(around, 0, 1))
