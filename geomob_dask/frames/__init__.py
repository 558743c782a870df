"""The products as functions of frames: the only package that lifts kernels to Dask."""
