"""Polygons made ready for a map, state by state."""

from collections.abc import Sequence

import dask_geopandas
import geopandas as gpd
from dask.delayed import Delayed

from geomob_dask.lift.tasks import Run
from geomob_dask.transforms.display import display_tolerance, for_display
from geomob_dask.transforms.projection import EQUAL_AREA


def simplified(tracts: dask_geopandas.GeoDataFrame, partitions: Sequence[str], run: Run) -> dict[str, Delayed]:
    """Return each partition's polygons, projected and simplified for a map of all of them.

    Parameters
    ----------
    tracts : dask_geopandas.GeoDataFrame
        With known bounds of its partitions.
    partitions : sequence of str
        Their names.
    """
    boxes: gpd.GeoSeries = tracts.spatial_partitions
    tolerance = display_tolerance(boxes.to_crs(EQUAL_AREA).total_bounds)
    parts = zip(partitions, tracts.to_delayed(), strict=True)
    return {name: run.task("simplify", name, for_display, part, tolerance) for name, part in parts}
