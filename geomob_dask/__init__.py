"""Opportunity, segregation and mobility from census tracts, distributed on Dask."""

from importlib.metadata import version

from geomob_dask.api import neighbors, opportunity
from geomob_dask.definition import Definition, read_definition
from geomob_dask.store import Store
from geomob_dask.store.cubes import open_cube

__version__ = version("geomob-dask")

__all__ = ["Definition", "Store", "neighbors", "open_cube", "opportunity", "read_definition"]
