"""The only package that turns kernels into Dask graphs."""
