"""Tables that describe a study and its features, before any model: units, distribution, correlations, rankings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from geomob_dask.errors import InputError
from geomob_dask.graph.sphere import in_kilometers
from geomob_dask.metrics.modified_t_test import effective_sizes, fisher_intervals, p_values
from geomob_dask.models.exploration import METHODS, correlation_matrix, correlations, density, distribution
from geomob_dask.models.labels import Labels
from geomob_dask.models.mutual_information import mutual_information
from geomob_dask.models.study import Study

Floats = NDArray[np.float64]

# Neighbors of the mutual information; a random half of a class must still have one more.
_NEAREST = 3


def check_informative(study: Study, labels: Labels) -> None:
    """Refuse features whose mutual information with the class cannot be estimated, before any model is fitted.

    Raises
    ------
    InputError
        If too few units of a class have a feature; it names both.
    """
    least = 2 * (_NEAREST + 1)
    for code, name in enumerate(labels.names):
        known = (~np.isnan(study.values[labels.codes == code])).sum(axis=0)
        few = np.flatnonzero(known < least)
        if len(few):
            raise InputError(
                f"feature {study.feature_names[few[0]]!r}: found {known[few[0]]} units of class {name} that have it, "
                f"expected {least} or more for its mutual information (leave the feature out)"
            )


def units_table(study: Study, labels: Labels) -> pd.DataFrame:
    """Return the units with their outcome and class, by key."""
    return pd.DataFrame(
        {
            "label": pd.array(study.labels, dtype="str"),
            "state": pd.array(study.states, dtype="str"),
            "outcome": study.outcome,
            "actual": labels.codes,
            "missing_count": np.isnan(study.values).sum(axis=1),
        },
        index=pd.Index(study.keys, dtype="str", name="unit"),
    )


def distribution_tables(outcome: Floats) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the outcome's histogram (``left``, ``right``, ``units``) and cumulative distribution.

    The second has ``value`` and ``share``, at most 500 points of it.
    """
    found = distribution(outcome)
    bins = pd.DataFrame({"left": found.edges[:-1], "right": found.edges[1:], "units": found.counts})
    points = np.unique(np.linspace(0, len(found.points) - 1, 500).astype(int))
    return bins, pd.DataFrame({"value": found.points[points], "share": found.cumulative[points]})


def density_table(outcome: Floats) -> pd.DataFrame:
    """Return the density of the outcome (``density``, by its unit) at 200 values (``value``) that cover its curve."""
    margin = 0.5 * float(outcome.std(ddof=1))
    points = np.linspace(outcome.min() - margin, outcome.max() + margin, 200)
    return pd.DataFrame({"value": points, "density": density(outcome, points)})


def correlation_table(study: Study) -> pd.DataFrame:
    """Return Pearson's r of the outcome and all features with each other; the outcome comes first."""
    names = [study.outcome_name, *study.feature_names]
    matrix, _ = correlation_matrix(np.column_stack([study.outcome, study.values]))
    return pd.DataFrame(matrix, index=pd.Index(names, name="feature"), columns=names)


def feature_row(study: Study, labels: Labels, number: int, seed: int, repeats: int) -> dict[str, float]:
    """Return the mutual information of one feature with the class, and its correlations with the outcome.

    Parameters
    ----------
    number : int
        The feature's column.
    repeats : int
        Random halves for the interval of the mutual information.

    Returns
    -------
    mapping
        ``mutual_information`` and its ``_lower`` and ``_upper``; ``units`` that have the feature; for ``pearson`` and
        ``spearman``, r, its interval and p by all units (``_lower_unadjusted``, ``_upper_unadjusted``,
        ``_p_unadjusted``), the ``_effective_units`` that they are worth (`metrics.modified_t_test`), and interval and p
        by these (``_lower_adjusted``, …): NaN without points.
    """
    column, name = study.values[:, number], study.feature_names[number]
    both = mutual_information(column[:, None], labels.codes, names=[name], repeats=repeats, seed=seed, nearest=_NEAREST)
    row = {
        "mutual_information": float(both.nats[0]),
        "mutual_information_lower": float(both.lower[0]),
        "mutual_information_upper": float(both.upper[0]),
    }
    return row | _correlation_row(study, column) | {"units": float(both.units[0])}


def _correlation_row(study: Study, column: Floats) -> dict[str, float]:
    """Return the correlations of a feature with the outcome: unadjusted, and adjusted for dependence in space."""
    known = ~np.isnan(column)
    x, y = column[known], study.outcome[known]
    ranks = [rankdata(x), rankdata(y)]
    sizes = np.full(2, np.nan)
    if study.points is not None:
        # Both methods at once: distances are computed once.
        ones, others = np.column_stack([x, ranks[0]]), np.column_stack([y, ranks[1]])
        sizes = effective_sizes(ones, others, in_kilometers(study.points[known]))
    row: dict[str, float] = {}
    for method, size in zip(METHODS, sizes, strict=True):
        found = correlations(column[:, None], study.outcome, method=method)
        lower, upper = fisher_intervals(found.r, np.array([size]), ranks=method == "spearman")
        row |= {
            method: found.r[0],
            f"{method}_lower_unadjusted": found.lower[0],
            f"{method}_upper_unadjusted": found.upper[0],
            f"{method}_p_unadjusted": p_values(found.r, found.units.astype(np.float64))[0],
            f"{method}_effective_units": size,
            f"{method}_lower_adjusted": lower[0],
            f"{method}_upper_adjusted": upper[0],
            f"{method}_p_adjusted": p_values(found.r, np.array([size]))[0],
        }
    return {name: float(value) for name, value in row.items()}


def ranking_table(names: Sequence[str], rows: Sequence[Mapping[str, float]]) -> pd.DataFrame:
    """Return the `feature_row` of every feature, the most informative first."""
    table = pd.DataFrame(list(rows), index=pd.Index(list(names), dtype="str", name="feature"))
    return table.sort_values("mutual_information", ascending=False, kind="stable")
