"""Functions of Dask frames: the three forms of lifting, and each product."""
