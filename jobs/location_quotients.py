"""Location quotients of tracts; `python jobs/location_quotients.py --help` shows examples."""

import geomob_dask.ending  # noqa: F401 - first: an interrupt of the other imports ends in order

# isort: split

from geomob_dask.job import main
from geomob_dask.outputs.result import Outputs

EXAMPLES = """
    python jobs/location_quotients.py --dataset acs5_b03002 --year 2018 --groups b03002_four --by county --export lq.csv
    python jobs/location_quotients.py --dataset income --year 2023 --groups b19001 --by cbsa --export lq.gpkg
    """

if __name__ == "__main__":
    main("location_quotients", Outputs(), EXAMPLES)
