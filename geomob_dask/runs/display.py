"""Polygons of a vintage as a map needs them, simplified by state on the cluster."""

from collections.abc import Sequence

import distributed
import geopandas as gpd
import pandas as pd
from rich.console import Console

from geomob_dask.errors import InputError
from geomob_dask.lift.display import simplified
from geomob_dask.lift.tasks import Run
from geomob_dask.runs.execute import compute
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
    run = Run("map")
    frame = store.frame(tracts.collection, states=there, columns=["geometry"])
    parts = compute(simplified(frame, there, run), client, console, token=run.token)
    return pd.concat([parts[state] for state in there])
