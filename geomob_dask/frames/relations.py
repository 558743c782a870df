"""Shares of tracts of one vintage in tracts of another, from the links of a table of relationships."""

from __future__ import annotations

import numpy as np
import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.messages import counted, listed
from geomob_dask.sources.relationships import Relation
from geomob_dask.transforms.exact_sums import region_sums
from geomob_dask.transforms.harmonize import weights_of, whole_weights


def link_shares(relation: Relation, *, least: float = 0.0) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the share of each source tract in each target tract.

    Parameters
    ----------
    relation : Relation
        As `sources.relationships.read_relation` returns it.
    least : float
        Links with a smaller share of the source are left out and the others scaled: slivers of land.

    Returns
    -------
    links : DataFrame
        ``source``, ``target`` (empty: in none), ``weight``: the share of the source in the target, above 0.
    lines : tuple of str
        Counts of links and of incomplete sources, for the user.

    Raises
    ------
    InputError
        If an amount is negative, or the shares of a source lie outside 0 to 1 or sum to more than 1.
    """
    rows, file = relation.rows, relation.file
    lines = [f"{file}: {counted(len(rows), 'link')}"]
    codes, names = pd.factorize(rows["source"], sort=True)
    number = rows["weight"].to_numpy(np.float64)
    source, n_sources = codes.astype(np.int64), len(names)
    try:
        if relation.amounts:
            weights, divided = weights_of(number, source, n_sources)
            if divided:
                lines.append(f"{counted(divided, 'source')} without any amount, shared out equally among their targets")
        else:
            weights, short = whole_weights(number, source, n_sources, list(names))
            if short:
                lines.append(f"{counted(short, 'source')} whose weights sum to less than 1: the rest lies in no target")
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
    if least > 0:
        total = region_sums(weights, source, n_sources)
        shares, _ = weights_of(np.where(weights < least, 0.0, weights), source, n_sources)
        weights = shares * total[source]
    links = rows.assign(weight=weights)
    links = links[links["weight"] > 0]
    nowhere = links[links["target"] == ""]
    if len(nowhere):
        lines.append(
            f"{counted(len(nowhere), 'source')} partly or wholly in no target: {listed(list(nowhere['source']), 3)}"
        )
    return links.reset_index(drop=True), tuple(lines)
