"""A look at a collection on the polygons of its vintage, with what GeoPandas plots with."""

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import pandas as pd

from geomob_dask.errors import InputError, SettingsError
from geomob_dask.messages import listed

if TYPE_CHECKING:
    from geomob_dask.store.tables import Store

EXTRA = "pip install 'geomob-dask[plot]'"


def with_polygons(store: "Store", collection: str, states: Sequence[str] | None = None) -> gpd.GeoDataFrame:
    """Return a collection by tract in memory, with the polygons of its vintage.

    Raises
    ------
    InputError
        If it has no vintage, or its vintage has no polygons in the store.
    """
    snapshot = store.snapshot(collection)
    table = store.frame(snapshot, states=states).compute(scheduler="threads")
    if isinstance(table, gpd.GeoDataFrame):
        return table
    vintage = snapshot.attributes.get("vintage")
    tracts = store.find(f"tracts/{vintage}")
    if vintage is None or tracts is None:
        raise InputError(
            f"{store.url}/{collection}: found no polygons of vintage {vintage} to draw it on; expected them from: "
            f"jobs/ingest.py tracts FILE --vintage {vintage}"
        )
    there = [state for state in sorted(set(table.index.str[:2])) if state in tracts.parts]
    if not there or not len(table.index.intersection(_keys(store, tracts, there))):
        raise InputError(f"{store.url}/{collection}: found rows such as {table.index[:1].tolist()}, expected tracts")
    shapes = store.frame(tracts, states=there, columns=["geometry"]).compute(scheduler="threads")
    return gpd.GeoDataFrame(table.join(shapes, how="inner"), geometry="geometry", crs=shapes.crs)


def _keys(store: "Store", tracts: Any, states: Sequence[str]) -> Any:
    return store.frame(tracts, states=states, columns=["aland"]).compute(scheduler="threads").index


def drawn(how: str, store: "Store", collection: str, column: str, states: Sequence[str] | None, **options: Any) -> Any:
    """Return what ``GeoDataFrame.plot`` or ``.explore`` makes of a column.

    Raises
    ------
    SettingsError
        If a package that GeoPandas draws with is not installed: it names the extra that brings it.
    """
    frame = with_polygons(store, collection, states)
    if column not in frame:
        columns = listed([*map(str, frame.columns.drop("geometry"))], 40)
        raise InputError(f"{store.url}/{collection}: no column {column!r}; expected one of: {columns}")
    try:
        return explored(frame, column, **options) if how == "explore" else frame.plot(column=column, **options)
    except ImportError as error:
        raise SettingsError(f"{how}: a package is missing ({error}); expected the extra: {EXTRA}") from error


def explored(frame: gpd.GeoDataFrame, column: str, **options: Any) -> Any:
    """Return what ``GeoDataFrame.explore`` makes of a column, with text of data escaped: folium writes it as it is."""
    names = {name: html.escape(str(name)) for name in frame.columns}
    texts = [name for name in frame.columns if not pd.api.types.is_numeric_dtype(frame[name]) and name != "geometry"]
    escaped = {name: frame[name].map(_escaped, na_action="ignore") for name in texts}
    index = frame.index.map(_escaped).rename(_escaped(frame.index.name))
    return frame.assign(**escaped).set_axis(index).rename(columns=names).explore(column=names[column], **options)


def _escaped(value: Any) -> Any:
    return html.escape(value) if isinstance(value, str) else value
