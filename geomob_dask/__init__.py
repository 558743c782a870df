"""Opportunity, segregation and mobility from census tracts, distributed on Dask."""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from geomob_dask.api import neighbors, opportunity
from geomob_dask.definition import Definition, read_definition
from geomob_dask.store import Store

if TYPE_CHECKING:
    from geomob_dask.store.cubes import open_cube

__version__ = version("geomob-dask")

__all__ = ["Definition", "Store", "neighbors", "open_cube", "opportunity", "read_definition"]


def __getattr__(name: str) -> Any:
    # Cubes bring in xarray, Zarr and Icechunk: a third of a second that most jobs need not wait for.
    if name == "open_cube":
        from geomob_dask.store.cubes import open_cube

        return open_cube
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
