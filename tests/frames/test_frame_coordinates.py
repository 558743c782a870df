"""Functions of frames refuse polygons whose coordinates cannot be those of their system, by tract."""

from collections.abc import Callable
from typing import Any

import dask_geopandas
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

import geomob_dask as gd
from geomob_dask.errors import GeometryError
from geomob_dask.frames.overlay import area_weights

A, B = "39001000100", "39001000200"
INFINITE = shapely.polygons([[0, 0], [1, 0], [1, np.inf], [0, 0]])
CASES = {
    "meters over degrees": (4269, shapely.box(1.1e6, 1.9e6, 1.2e6, 2e6), "no degrees"),
    "latitude 500": (4269, shapely.box(-83, 500, -82, 501), "no degrees"),
    "latitude first": (4269, shapely.box(40, -83, 41, -82), "latitude before longitude"),
    "no number": (5070, INFINITE, "no number"),
    "beyond the earth": (5070, shapely.box(0, 0, 1e300, 1e300), "further away"),
}


def frame(shape: Any, crs: int | None) -> gpd.GeoDataFrame:
    good = shapely.box(-83, 40, -82, 41) if crs == 4269 else shapely.box(1e6, 1e6, 1.1e6, 1.1e6)
    return gpd.GeoDataFrame(geometry=[good, shape], index=pd.Index([A, B], name="geoid"), crs=crs)


def shares(tracts: gpd.GeoDataFrame) -> Any:
    return area_weights(tracts, tracts.iloc[:1].set_axis(["town"]))


def shares_of_regions(tracts: gpd.GeoDataFrame) -> Any:
    return area_weights(tracts.iloc[:1], tracts)


def of_dask(tracts: gpd.GeoDataFrame) -> Any:
    return gd.neighbors(dask_geopandas.from_geopandas(tracts, npartitions=1)).compute(scheduler="synchronous")


def proximity(tracts: gpd.GeoDataFrame) -> Any:
    counts = tracts.assign(white=[5, 6], other=[4, 2], area="one")
    return gd.segregation(counts, groups=["white", "other"], by="area", indices=["spatial_proximity"])


@pytest.mark.parametrize("function", [gd.neighbors, of_dask, shares, proximity])
@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_is_refused_by_tract(function: Callable, case: str) -> None:
    crs, shape, reason = CASES[case]
    with pytest.raises(GeometryError, match=rf"tract {B}: .*{reason}"):
        function(frame(shape, crs))


def test_regions_are_named_as_regions() -> None:
    with pytest.raises(GeometryError, match=rf"regions: region {B}: .*no number"):
        shares_of_regions(frame(INFINITE, 5070))


def test_without_a_system_any_number_is_a_coordinate() -> None:
    edges = gd.neighbors(gpd.GeoSeries([shapely.box(0, 0, 500, 500), shapely.box(500, 0, 600, 500)], index=[A, B]))
    assert edges["neighbor"].tolist() == [B, A]
    with pytest.raises(GeometryError, match=rf"tract {B}: .*no number"):
        gd.neighbors(frame(INFINITE, None))


def test_polygons_that_cannot_be_projected_have_no_missing_areas() -> None:
    tracts = frame(shapely.box(8e8, 8e8, 9e8, 9e8), 5070).to_crs(5070).set_crs(32616, allow_override=True)
    with pytest.raises(GeometryError, match=rf"tracts: tract {B}: cannot be projected"):
        shares(tracts)
