"""Where people live: points of blocks with their people, from a table."""

from __future__ import annotations

from collections.abc import Sequence

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geomob_dask.errors import InputError
from geomob_dask.messages import counted, listed
from geomob_dask.sources.coordinates import refuse_coordinates
from geomob_dask.sources.key_columns import find_column, first_column, no_such_column
from geomob_dask.sources.keys import AROUND, exact_texts
from geomob_dask.sources.numbers import refuse_where, required_floats
from geomob_dask.sources.text_tables import open_table

Floats = NDArray[np.float64]

_KEYS = ("GEOID", "GEOID20", "GEOID10", "GEOID00", "GEOCODE", "block")
_PEOPLE = ("POP20", "POP10", "POP00", "POP100", "P0010001", "P1_001N", "pop", "population", "people")
_WEST_EAST = ("INTPTLON", "INTPTLON20", "INTPTLON10", "longitude", "lon", "lng", "x")
_SOUTH_NORTH = ("INTPTLAT", "INTPTLAT20", "INTPTLAT10", "latitude", "lat", "y")
_BLOCK = r"[0-9]{11}([0-9]{4}|[0-9])?"
CRS = "EPSG:4269"


def read_people(file: str, *, people: str | None = None) -> tuple[gpd.GeoDataFrame, list[str]]:
    """Return points with their people.

    Parameters
    ----------
    file : str
        A table of any kind of `open_table`, with one row per block, or another small area: its key (15 digits of a
        block, 12 of a block group, 11 of a tract; the first 11 are those of its tract), longitude and latitude of a
        point inside, and people.
    people : str, optional
        The column of people; POP20, POP100, population and the like by default.

    Returns
    -------
    points : GeoDataFrame
        Index ``geoid``, that of the tract, sorted; ``people`` and a point, in degrees of NAD 83. Rows without people
        are left out.
    lines : list of str
        What was read, for the user.

    Raises
    ------
    InputError
        If a column is missing, a key is none, or a number of people is missing or below zero; if there is nobody.
    GeometryError
        If coordinates are no longitude and latitude.
    """
    read = open_table(file)
    names = list(read.names)
    if people is not None and find_column(names, people) is None:
        raise no_such_column(names, people, file)
    of_people = _PEOPLE if people is None else (people,)
    columns = {
        "key": _found(names, _KEYS, file, "keys of blocks"),
        "people": _found(names, of_people, file, "people (or its name in --people-column)"),
        "lon": _found(names, _WEST_EAST, file, "longitudes"),
        "lat": _found(names, _SOUTH_NORTH, file, "latitudes"),
    }
    rows = read.texts(list(columns.values()))
    read.check_codes([columns["key"]])
    keys = exact_texts(rows[columns["key"]], f"{file}: column {columns['key']}").str.strip(AROUND)
    keys = keys.str.replace(r"^[0-9]{3}[0-9A-Z]{0,6}US", "", regex=True)
    # The leading zero of a state's code that a spreadsheet has lost.
    keys = keys.where(~keys.str.fullmatch("[0-9]{10}|[0-9]{14}"), "0" + keys)
    wrong = ~keys.str.fullmatch(_BLOCK)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            f"{file}: column {columns['key']}, row {row + 1}: found {keys.iloc[row]!r}, expected the key of a block: "
            "15 digits, the first 11 those of its tract"
        )
    people_there, lon, lat = (_numbers(rows, columns[name], keys, file) for name in ("people", "lon", "lat"))
    where = f"{file}: column {columns['people']}"
    refuse_where(people_there < 0, people_there, where, lambda row: f"block {keys.iloc[row]}", "zero or more people")
    points = gpd.GeoDataFrame(
        {"people": people_there},
        geometry=gpd.points_from_xy(lon, lat),
        crs=CRS,
        index=pd.Index(keys.str[:11], dtype="str", name="geoid"),
    )
    refuse_coordinates(np.asarray(points.geometry.array), keys.tolist(), points.crs, file, "block")
    inhabited = points[points["people"] > 0].sort_index(kind="stable")
    if inhabited.empty:
        raise InputError(f"{file}: column {columns['people']}: found nobody in {counted(len(points), 'row')}")
    lines = [
        f"{inhabited['people'].sum():,.0f} people at {counted(len(inhabited), 'point')} from {columns['people']}, "
        f"{columns['lon']}, {columns['lat']}"
    ]
    return inhabited, lines


def _numbers(rows: pd.DataFrame, column: str, keys: pd.Series, file: str) -> Floats:
    def unit(row: int) -> str:
        return f"block {keys.iloc[row]}"

    where = f"{file}: column {column}"
    found = required_floats(rows[column], where, unit)
    refuse_where(np.isnan(found), found, where, unit, "a number")
    return found


def _found(names: Sequence[str], usual: Sequence[str], file: str, what: str) -> str:
    column = first_column(names, usual)
    if column is None:
        raise InputError(
            f"{file}: found the columns {listed(names, 12)}, expected one of {', '.join(usual)} with the {what}"
        )
    return column
