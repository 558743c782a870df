"""The page in the Dask dashboard: runs as they happen, and the results of a store; nothing here writes or computes."""
