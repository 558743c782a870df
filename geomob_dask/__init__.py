"""Opportunity, segregation and mobility from census tracts, distributed on Dask."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from geomob_dask.api import opportunity
from geomob_dask.definition import Definition, read_definition
from geomob_dask.frames.neighbors import neighbors
from geomob_dask.store import Store

if TYPE_CHECKING:
    from geomob_dask.frames.mobility import mobility, predict
    from geomob_dask.store.cubes import open_cube

__version__ = version("geomob-dask")

__all__ = [
    "Definition",
    "Store",
    "mobility",
    "neighbors",
    "open_cube",
    "opportunity",
    "predict",
    "read_definition",
]
# Imported when they are used: xarray, Zarr and Icechunk, or scikit-learn and dask-ml, take up to a second.
_LATER = {
    "mobility": "geomob_dask.frames.mobility",
    "open_cube": "geomob_dask.store.cubes",
    "predict": "geomob_dask.frames.mobility",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)
