"""Neighbor graph of a tract vintage; `python jobs/neighbors.py --help` shows examples."""

import geomob_dask.ending  # noqa: F401 - first: an interrupt of the other imports ends in order

# isort: split

from geomob_dask.job import main
from geomob_dask.outputs.neighbors import NeighborsOutputs

EXAMPLES = """
    python jobs/neighbors.py --vintage 2010
    python jobs/neighbors.py --vintage 2010 --contiguity rook --states OH,IN --export edges.csv
    python jobs/neighbors.py --vintage simplified --snap 10 --gap 10 --islands nearest:1
    """

if __name__ == "__main__":
    main("neighbors", NeighborsOutputs(), EXAMPLES)
