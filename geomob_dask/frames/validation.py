"""The variance that each domain of an index explains, and correlations of the index."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.frames.centroids import POINT, points_of
from geomob_dask.frames.own_rows import empty_of, is_lazy, own_rows
from geomob_dask.frames.reduction import reduced_rows
from geomob_dask.graph.sphere import in_kilometers
from geomob_dask.messages import listed
from geomob_dask.metrics.modified_t_test import effective_sizes, fisher_intervals, p_values
from geomob_dask.transforms.validation import associations, commonality

_NUMBERS = (
    *("total", "unique", "common"),
    *("r", "p_unadjusted", "effective_n", "p_adjusted", "r_lower_adjusted", "r_upper_adjusted"),
)
COLUMNS = ("kind", "what", "n", *_NUMBERS)


def validation(
    index: Any, domains: Sequence[str], against: Mapping[str, Any] | None = None, *, tracts: Any = None
) -> Any:
    """Return the variance of deprivation that each domain explains, and correlations of opportunity.

    Parameters
    ----------
    index : DataFrame, in memory or on Dask
        As `opportunity` returns it.
    domains : sequence of str
        Its columns of domains.
    against : mapping of str to DataFrame, optional
        Columns of numbers by tract to correlate with, by name; in memory, or on Dask with the partitions of `index`.
    tracts : GeoDataFrame, in memory or on Dask, optional
        Polygons: their centroids adjust p-values and intervals of correlations for the likeness of near tracts.

    Returns
    -------
    DataFrame, in memory or on Dask as `index`
        Indexed by ``kind``: *domain* (``total`` is r², ``unique`` what only it explains, ``common`` the rest), *in
        common* (``common``: what a set of two or more domains explains and no other), *correlation* (``r`` of
        opportunity with a column). ``what`` names domains or column; ``n`` counts tracts. ``p_unadjusted`` takes all n
        tracts for independent. ``p_adjusted`` and the interval of 95 % ``r_lower_adjusted``, ``r_upper_adjusted`` take
        ``effective_n``, the independent tracts that these are worth; NaN without `tracts`.

    Raises
    ------
    InputError
        If a table has no tract of the index.

    References
    ----------
    Commonality analysis: Ohio Opportunity Index (2024), validation; see docs/opportunity.md. Adjustment: Clifford,
    Richardson & Hémon (1989); Dutilleul (1993); see `metrics.modified_t_test`.

    Examples
    --------
    >>> index = pd.DataFrame({"income": [0.0, 50, 100, 60], "health": [0.0, 100, 50, 40]}, index=list("abcd"))
    >>> index["deprivation"] = index.mean(axis=1)
    >>> index["opportunity"] = 100 - index["deprivation"]
    >>> validation(index, ["income", "health"]).loc["domain", "total"].round(2).tolist()
    [0.74, 0.74]
    """
    others = dict(against or {})
    frames = [index, *others.values(), *([] if tracts is None else [points_of(tracts)])]
    gathered = [reduced_rows(_stacked, frame, meta=frame._meta) if is_lazy(frame) else frame for frame in frames]
    named = {"domains": tuple(domains), "names": tuple(others)}
    return own_rows(_validation, *gathered, meta=lambda: _validation(*map(empty_of, gathered), **named)[:0], **named)


def _stacked(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(frames)


def _validation(
    index: pd.DataFrame, *others: pd.DataFrame, domains: Sequence[str], names: Sequence[str]
) -> pd.DataFrame:
    scores = index[list(domains)].to_numpy(np.float64)
    # After the tables to correlate with: the points of tracts, if they are known.
    points = others[len(names)] if len(others) > len(names) else pd.DataFrame(columns=list(POINT), dtype=np.float64)
    rows: list[dict[str, Any]] = []
    if len(index):
        found = commonality(index["deprivation"].to_numpy(np.float64), scores)
        complete = int((~np.isnan(scores).any(axis=1)).sum())
        for name, total, unique in zip(domains, found.total, found.unique, strict=True):
            explained = {"total": total, "unique": unique, "common": total - unique}
            rows.append({"kind": "domain", "what": name, "n": complete, **explained})
        for subset, value in enumerate(found.coefficients):
            chosen = [name for place, name in enumerate(domains) if subset >> place & 1]
            if len(chosen) > 1:
                rows.append({"kind": "in common", "what": "; ".join(chosen), "n": complete, "common": value})
        for name, table in zip(names, others[: len(names)], strict=True):
            rows += _correlations(index, name, table, points)
    table = pd.DataFrame(rows).reindex(columns=list(COLUMNS))
    numbers = dict.fromkeys(_NUMBERS, "float64")
    return table.astype({"kind": "str", "what": "str", "n": "int64", **numbers}).set_index("kind")


def _correlations(index: pd.DataFrame, name: str, table: pd.DataFrame, points: pd.DataFrame) -> list[dict[str, Any]]:
    numbers = table.select_dtypes("number")
    if not index.index.isin(numbers.index).any():
        raise InputError(
            f"against {name}: none of its tracts ({listed(numbers.index, 3)}) is among those of the "
            f"index ({listed(index.index, 3)}); expected the same vintage and states"
        )
    opportunity = index["opportunity"].to_numpy(np.float64)
    others = numbers.reindex(index.index).to_numpy(np.float64)
    pairs = associations(opportunity, others)
    places = in_kilometers(points.reindex(index.index)[list(POINT)].to_numpy(np.float64))
    r, sizes = np.array([pair.r for pair in pairs]), effective_sizes(opportunity, others, places)
    lower, upper = fisher_intervals(r, sizes)
    adjusted = {
        "effective_n": sizes,
        "p_adjusted": p_values(r, sizes),
        "r_lower_adjusted": lower,
        "r_upper_adjusted": upper,
    }
    return [
        {
            "kind": "correlation",
            "what": f"{name} {column}",
            **{"n": pair.n, "r": pair.r, "p_unadjusted": pair.p_unadjusted},
            **{key: values[number] for key, values in adjusted.items()},
        }
        for number, (column, pair) in enumerate(zip(numbers.columns, pairs, strict=True))
    ]
