"""The variance that each domain of an index explains, and correlations of the index."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.frames.own_rows import is_lazy, own_rows
from geomob_dask.frames.reduction import reduced_rows
from geomob_dask.messages import listed
from geomob_dask.transforms.validation import associations, commonality

COLUMNS = ("kind", "what", "n", "total", "unique", "common", "r", "p")


def validation(index: Any, domains: Sequence[str], against: Mapping[str, Any] | None = None) -> Any:
    """Return the variance of deprivation that each domain explains, and correlations of opportunity.

    Parameters
    ----------
    index : DataFrame, in memory or on Dask
        As `opportunity` returns it.
    domains : sequence of str
        Its columns of domains.
    against : mapping of str to DataFrame, optional
        Columns of numbers by tract to correlate with, by name; in memory, or on Dask with the partitions of `index`.

    Returns
    -------
    DataFrame, in memory or on Dask as `index`
        Indexed by ``kind``: *domain* (``total`` is r², ``unique`` what only it explains, ``common`` the rest), *in
        common* (``common``: what a set of two or more domains explains and no other), *correlation* (``r`` of
        opportunity with a column, and its ``p``). ``what`` names domains or column; ``n`` counts tracts.

    Raises
    ------
    InputError
        If a table has no tract of the index.

    References
    ----------
    Commonality analysis: Ohio Opportunity Index (2024), validation; see docs/opportunity.md.

    Examples
    --------
    >>> index = pd.DataFrame({"income": [0.0, 50, 100, 60], "health": [0.0, 100, 50, 40]}, index=list("abcd"))
    >>> index["deprivation"] = index.mean(axis=1)
    >>> index["opportunity"] = 100 - index["deprivation"]
    >>> validation(index, ["income", "health"]).loc["domain", "total"].round(2).tolist()
    [0.74, 0.74]
    """
    others = against or {}
    if not is_lazy(index):
        return _validation(index, *others.values(), domains=tuple(domains), names=tuple(others))
    gathered = [reduced_rows(_stacked, frame, meta=frame._meta) for frame in (index, *others.values())]
    meta = _validation(*(frame._meta for frame in gathered), domains=tuple(domains), names=tuple(others))[:0]
    return own_rows(_validation, *gathered, meta=meta, domains=tuple(domains), names=tuple(others))


def _stacked(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(frames)


def _validation(
    index: pd.DataFrame, *others: pd.DataFrame, domains: Sequence[str], names: Sequence[str]
) -> pd.DataFrame:
    scores = index[list(domains)].to_numpy(np.float64)
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
        for name, table in zip(names, others, strict=True):
            rows += _correlations(index, name, table)
    table = pd.DataFrame(rows).reindex(columns=list(COLUMNS))
    numbers = dict.fromkeys(("total", "unique", "common", "r", "p"), "float64")
    return table.astype({"kind": "str", "what": "str", **numbers}).set_index("kind")


def _correlations(index: pd.DataFrame, name: str, table: pd.DataFrame) -> list[dict[str, Any]]:
    numbers = table.select_dtypes("number")
    if not index.index.isin(numbers.index).any():
        raise InputError(
            f"against {name}: none of its tracts ({listed(numbers.index, 3)}) is among those of the "
            f"index ({listed(index.index, 3)}); expected the same vintage and states"
        )
    opportunity, others = index["opportunity"].to_numpy(np.float64), numbers.reindex(index.index)
    pairs = associations(opportunity, others.to_numpy(np.float64))
    return [
        {"kind": "correlation", "what": f"{name} {column}", "n": pair.n, "r": pair.r, "p": pair.p}
        for column, pair in zip(numbers.columns, pairs, strict=True)
    ]
