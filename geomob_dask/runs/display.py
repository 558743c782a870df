"""Polygons of a vintage as a map needs them, simplified by state on the cluster."""

from collections.abc import Sequence

import distributed
import geopandas as gpd
from rich.console import Console

from geomob_dask.errors import InputError
from geomob_dask.frames.display import simplified
from geomob_dask.runs.computed import computed
from geomob_dask.store import Store


def display_polygons(
    store: Store, vintage: str, states: Sequence[str], client: distributed.Client | None, console: Console
) -> gpd.GeoDataFrame:
    """Return the tracts of some states, projected and simplified for a map of all of them.

    Raises
    ------
    InputError
        If the store has no polygons of these states.
    """
    tracts = store.snapshot(f"tracts/{vintage}")
    there = [state for state in states if state in tracts.parts]
    if not there:
        raise InputError(
            f"--map: the store has no polygons of vintage {vintage} in the states {', '.join(states)}; expected them "
            f"from: jobs/ingest.py tracts … --vintage {vintage}"
        )
    return computed(simplified(store.frame(tracts, states=there, columns=["geometry"])), client, console)
