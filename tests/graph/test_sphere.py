"""Centroids and distances on the ground, across 180 degrees and near the pole."""

from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

import geomob_dask as gd
from geomob_dask.frames.units import _polygons as land_and_centroids
from geomob_dask.graph.islands import candidates
from geomob_dask.graph.sphere import EARTH_KM, centroids, on_sphere, unwrapped
from geomob_dask.metrics.segregation_proximity import proximity_weights
from geomob_dask.outputs.mixing_map import _upright
from geomob_dask.outputs.polygons import arrange

WEST, EAST = shapely.box(-180.0, 51.5, -179.0, 51.9), shapely.box(179.5, 51.5, 180.0, 51.9)
ALEUTIANS = {
    "02016000100": shapely.union(WEST, EAST),
    "02016000200": shapely.box(-178.5, 51.5, -178.0, 51.9),
    "02020000100": shapely.box(-150.0, 61.0, -149.0, 61.4),
    "02020000200": shapely.box(-149.0, 61.0, -148.0, 61.4),
}


def tracts(shapes: dict[str, Any] = ALEUTIANS) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(geometry=list(shapes.values()), index=pd.Index(shapes, name="geoid"), crs=4269)


def test_centroids_on_both_sides_of_180_degrees() -> None:
    shapes = np.array([*ALEUTIANS.values(), None, shapely.Polygon()], dtype=object)
    found = centroids(shapes)
    np.testing.assert_allclose(found[:2], [[-179.75, 51.7], [-178.25, 51.7]], atol=1e-9)
    assert np.isnan(found[-2:]).all()
    # Parts of which more lies west of 180 degrees have their centroid there.
    np.testing.assert_allclose(
        centroids(np.array([shapely.union(EAST, shapely.box(-180, 51.5, -179.9, 51.9))])), [[179.8, 51.7]], atol=1e-9
    )


def test_polygons_elsewhere_stay_as_they_are() -> None:
    shapes = np.array(list(ALEUTIANS.values())[1:], dtype=object)
    assert unwrapped(shapes) is shapes
    together = unwrapped(np.array([WEST, EAST], dtype=object), together=True)
    assert shapely.total_bounds(together).tolist() == [179.5, 51.5, 181.0, 51.9]


@pytest.mark.parametrize("lazy", [False, True])
def test_an_island_across_180_degrees_is_joined_to_its_nearest(lazy: bool) -> None:
    frame = tracts()
    if lazy:
        import dask_geopandas

        frame = dask_geopandas.from_geopandas(frame, npartitions=2)
    edges = gd.neighbors(frame, islands="nearest:1")
    edges = edges.compute(scheduler="synchronous") if lazy else edges
    joined = edges[edges["rule"] == "nearest"]["neighbor"]
    assert joined["02016000100"] == "02016000200"
    assert joined["02016000200"] == "02016000100"


def test_the_nearest_is_so_on_the_ground_and_not_in_degrees() -> None:
    # At 70 degrees north, 2 degrees of longitude are 76 km and 1 degree of latitude is 111 km.
    points = np.array([[-150.0, 70.0], [-150.0, 71.0], [-148.0, 70.0]])
    for places, nearest in ((points, 1), (on_sphere(points), 2)):
        assert candidates(np.array([0]), places[:1], 1, 0, places).cell.tolist() == [nearest]


def test_centroids_and_proximity_of_units_across_180_degrees() -> None:
    found = land_and_centroids(tracts(), pd.Index([2016000100, 2016000200]))
    np.testing.assert_allclose(found[:, 1:], [[-179.75, 51.7], [-178.25, 51.7]], atol=1e-4)
    # Two units 11 km apart across 180 degrees, as far as two of the same latitude anywhere.
    for west, east in ((-179.92, 179.92), (-100.16, -100.0)):
        points = np.array([[west, 51.7], [east, 51.7]])
        weights = proximity_weights(EARTH_KM * on_sphere(points), np.ones(2), np.zeros(2, dtype=np.int64), 20.0)
        distance = EARTH_KM * np.radians(0.16) * np.cos(np.radians(51.7))
        np.testing.assert_allclose(-np.log(weights.toarray()[0, 1]), distance, rtol=1e-6)


def test_a_map_of_a_region_across_180_degrees_does_not_span_the_globe() -> None:
    left, _, right, _ = shapely.total_bounds(_upright(np.array([WEST, EAST], dtype=object)))
    assert left == 0
    assert right == pytest.approx(1.5 * 111_195 * np.cos(np.radians(51.7)))


def test_the_map_of_alaska_does_not_span_the_globe() -> None:
    geometry, _, _ = arrange(tracts().geometry, ["02"] * 4)
    left, _, right, _ = shapely.total_bounds(geometry)
    # From the Aleutians to Anchorage.
    assert 1.8e6 < right - left < 2.2e6
