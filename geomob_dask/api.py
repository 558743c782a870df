"""The jobs' computations as functions of frames, in memory or on Dask, without a store."""

from collections.abc import Sequence

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
from dask.delayed import Delayed, delayed

from geomob_dask.definition import Definition
from geomob_dask.errors import InputError
from geomob_dask.lift import opportunity as lift_opportunity
from geomob_dask.lift.halo import Edges, partition_contacts
from geomob_dask.sources.vintages import check_same_codes


def opportunity(
    tracts: "pd.DataFrame | dd.DataFrame",
    measures: "pd.DataFrame | dd.DataFrame",
    edges: "pd.DataFrame | dd.DataFrame",
    definition: Definition,
    *,
    steps: bool = False,
) -> "pd.DataFrame | dd.DataFrame":
    """Return the opportunity index of all tracts together.

    Parameters
    ----------
    tracts : DataFrame, in memory or on Dask
        Tracts with a polygon, indexed by geoid; columns are not looked at. On Dask, its divisions must be known:
        they are the partitions of the result.
    measures : DataFrame
        One row a tract, indexed by geoid; divisions known if on Dask.
    edges : DataFrame
        As `neighbors` returns them, indexed by focal. They are read once at the call, to learn which partitions touch.
    definition : Definition
        See `geomob_dask.definition`.
    steps : bool
        See `geomob_dask.lift.opportunity.opportunity`.

    Returns
    -------
    DataFrame, in memory or on Dask as `tracts`
        One row for every tract with a polygon or a row of measures; see docs/opportunity.md.

    Raises
    ------
    InputError
        If the divisions of a Dask frame are not known.
    """
    cuts = [] if isinstance(tracts, pd.DataFrame) else list(_known(tracts, "tracts").divisions[1:-1])
    names = [str(number) for number in range(len(cuts) + 1)]
    parts = zip(
        _split(tracts, cuts, "tracts"), _split(measures, cuts, "measures"), _split(edges, cuts, "edges"), strict=True
    )
    triples = dict(zip(names, parts, strict=True))
    contacts = dask.compute([delayed(_contacts)(pairs, cuts) for _, _, pairs in triples.values()])[0]
    reach: dict[str, list[str]] = {}
    for one, other in sorted(set().union(*contacts)):
        reach.setdefault(one, []).append(other)
    blocks = {name: delayed(_block)(*triple, definition) for name, triple in triples.items()}
    lifted = lift_opportunity.opportunity(blocks, reach, definition, steps=steps)
    if isinstance(tracts, pd.DataFrame):
        (table,) = dask.compute(lifted.results["0"], scheduler="synchronous")
        return table
    with dask.config.set({"dataframe.convert-string": False}):
        return dd.from_delayed(
            [lifted.results[name] for name in names], meta=lift_opportunity.no_rows(definition, steps=steps)
        )


def _known(frame: dd.DataFrame, name: str) -> dd.DataFrame:
    if not frame.known_divisions:
        raise InputError(
            f"{name}: found a Dask frame with unknown divisions; expected it sorted by its index (set_index)"
        )
    return frame


_LOWEST, _HIGHEST = "", "~"


def _split(frame: "pd.DataFrame | dd.DataFrame", cuts: Sequence[str], name: str) -> list[Delayed]:
    """Return the rows between each two cuts, from whichever partitions they lie in."""
    if isinstance(frame, pd.DataFrame):
        parts = [(delayed(frame), _LOWEST, _HIGHEST)]
    else:
        divisions = _known(frame, name).divisions
        parts = list(zip(frame.to_delayed(), divisions[:-1], divisions[1:], strict=True))
    return [
        delayed(_between)([part for part, first, last in parts if first < high and last >= low], low, high)
        for low, high in zip([_LOWEST, *cuts], [*cuts, _HIGHEST], strict=True)
    ]


def _between(parts: Sequence[pd.DataFrame], low: str, high: str) -> pd.DataFrame:
    frame = pd.concat(parts) if parts else pd.DataFrame(index=pd.Index([], dtype="str"))
    return frame[(frame.index >= low) & (frame.index < high)]


def _contacts(pairs: pd.DataFrame, cuts: Sequence[str]) -> set[tuple[str, str]]:
    edges = _edges(pairs)
    ends = (np.searchsorted(np.array(cuts, dtype=object), keys, side="right") for keys in (edges.focal, edges.neighbor))
    here, there = (numbers.astype(str).astype(object) for numbers in ends)
    return partition_contacts(edges.focal, here, there)


def _edges(pairs: pd.DataFrame) -> Edges:
    return Edges(pairs.index.to_numpy(object), pairs.get("neighbor", pairs.index).to_numpy(object))


def _block(
    tracts: pd.DataFrame, measures: pd.DataFrame, pairs: pd.DataFrame, definition: Definition
) -> lift_opportunity.Block:
    if definition.parameters.contiguity == "rook" and "rook" in pairs:
        pairs = pairs[pairs["rook"].astype(bool)]
    if not len(measures):
        measures = measures.reindex(columns=list(definition.columns)).astype(float)
    check_same_codes(measures.index, tracts.index)
    return lift_opportunity.block(tracts.index, measures, _edges(pairs), definition)
