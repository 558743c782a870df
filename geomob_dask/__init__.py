"""Opportunity, segregation and mobility from census tracts, distributed on Dask."""
