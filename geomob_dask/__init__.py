"""Opportunity, segregation and mobility from census tracts, distributed on Dask."""

from importlib.metadata import version

__version__ = version("geomob-dask")
