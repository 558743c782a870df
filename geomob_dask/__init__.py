"""Opportunity, segregation and mobility from census tracts, distributed on Dask.

Functions take frames in memory (pandas, GeoPandas) or on Dask and return the same kind; on Dask nothing is computed
until you ask. `open` opens a store of frames by state in a folder or bucket.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from os import PathLike

    from geomob_dask.definition import Definition, read_definition
    from geomob_dask.frames.draws import intervals
    from geomob_dask.frames.exposure import exposure, interactions
    from geomob_dask.frames.harmonize import harmonize
    from geomob_dask.frames.interpolation import interpolate
    from geomob_dask.frames.join import join
    from geomob_dask.frames.local_segregation import local
    from geomob_dask.frames.mixing import mixing
    from geomob_dask.frames.mobility import mobility, predict
    from geomob_dask.frames.neighbors import neighbors
    from geomob_dask.frames.opportunity import opportunity
    from geomob_dask.frames.overlay import area_weights
    from geomob_dask.frames.segregation import segregation
    from geomob_dask.frames.validation import validation
    from geomob_dask.outputs.provenance_files import provenance_of
    from geomob_dask.store import Store
    from geomob_dask.store.cubes import open_cube

__version__: str

# A name is imported when it is first used: a user of one function does not wait for the packages of all others.
_WHERE = {
    "Definition": "definition",
    "Store": "store",
    "area_weights": "frames.overlay",
    "exposure": "frames.exposure",
    "harmonize": "frames.harmonize",
    "interactions": "frames.exposure",
    "interpolate": "frames.interpolation",
    "intervals": "frames.draws",
    "join": "frames.join",
    "local": "frames.local_segregation",
    "mixing": "frames.mixing",
    "mobility": "frames.mobility",
    "neighbors": "frames.neighbors",
    "open_cube": "store.cubes",
    "opportunity": "frames.opportunity",
    "predict": "frames.mobility",
    "provenance_of": "outputs.provenance_files",
    "read_definition": "definition",
    "segregation": "frames.segregation",
    "validation": "frames.validation",
}

__all__ = [
    "Definition",
    "Store",
    "area_weights",
    "exposure",
    "harmonize",
    "interactions",
    "interpolate",
    "intervals",
    "join",
    "local",
    "mixing",
    "mobility",
    "neighbors",
    "open",
    "open_cube",
    "opportunity",
    "predict",
    "provenance_of",
    "read_definition",
    "segregation",
    "validation",
]


def open(url: "str | PathLike[str]") -> "Store":
    """Return the store at a URL.

    Parameters
    ----------
    url : str or path
        A folder, or ``s3://bucket/prefix``; endpoint and credentials come from the usual AWS variables or profile.

    Returns
    -------
    Store
        Its `repr` says what it holds; ``store.frame(name)`` reads a collection lazily, ``store.list()`` lists all.
    """
    from geomob_dask.store import Store

    return Store(url)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        # Looked up when it is asked for: it takes longer than this module.
        from importlib.metadata import version

        return version("geomob-dask")
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"geomob_dask.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
