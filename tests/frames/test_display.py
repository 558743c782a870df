"""Polygons simplified for a map: over partitions, each keeps its tracts and projection."""

import dask_geopandas
import numpy as np
import pandas as pd
import shapely
from geopandas.testing import assert_geodataframe_equal

from geomob_dask.frames.display import simplified, simplify
from geomob_dask.sources.sample import sample_country
from geomob_dask.transforms.display import display_tolerance


def test_partitions_are_simplified_with_the_tolerance_of_all():
    tracts = sample_country()[0].set_index("GEOID").sort_index()[["geometry"]].to_crs(4326)
    lazy = dask_geopandas.from_geopandas(tracts, npartitions=4)
    lazy.calculate_spatial_partitions()
    found = simplified(lazy)
    assert (found.divisions, str(found.crs)) == (lazy.divisions, "EPSG:5070")
    table = found.compute(scheduler="synchronous")
    tolerance = display_tolerance(lazy.spatial_partitions.to_crs(5070).total_bounds)
    parts = [lazy.partitions[number].compute(scheduler="synchronous") for number in range(4)]
    assert_geodataframe_equal(table, pd.concat([simplify(part, tolerance=tolerance) for part in parts]))


def test_in_memory():
    tracts = sample_country()[0].set_index("GEOID")
    found = simplified(tracts)
    assert (list(found.index), str(found.crs)) == (list(tracts.index), "EPSG:5070")
    assert shapely.coverage_is_valid(np.asarray(found.geometry.array))
