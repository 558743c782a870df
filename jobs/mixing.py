"""Income mixing of tracts; `python jobs/mixing.py --help` shows examples."""

import geomob_dask.ending  # noqa: F401 - first: an interrupt of the other imports ends in order

# isort: split

from geomob_dask.job import main
from geomob_dask.outputs.mixing import MixingOutputs

EXAMPLES = """
    python jobs/mixing.py --dataset income --year 2023 --by cbsa --export mixing.csv
    python jobs/mixing.py --dataset income --year 2023 --regions 31080,41860 --positions middle --map mixing.html
    python jobs/mixing.py --dataset census --year 2016 --brackets deciles --merge quintiles --by county
    python jobs/mixing.py --dataset metros --year 2017,2018 --by metro --report mixing.html
    """

if __name__ == "__main__":
    main("mixing", MixingOutputs(), EXAMPLES)
