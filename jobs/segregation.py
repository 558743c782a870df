"""Segregation of regions; `python jobs/segregation.py --help` shows examples."""

import geomob_dask.ending  # noqa: F401 - first: an interrupt of the other imports ends in order

# isort: split

from geomob_dask.job import main
from geomob_dask.outputs.segregation import SegregationOutputs

EXAMPLES = """
    python jobs/segregation.py --dataset income --year 2023 --by cbsa --groups b19001 --export segregation.csv
    python jobs/segregation.py --dataset acs5_b03002 --year 2018 --by county --groups b03002_four --report page.html
    python jobs/segregation.py --dataset income --year 2023 --groups b19001 --indices multigroup_gini --draws 1000
    python jobs/segregation.py --dataset metros --year 2017,2018 --by metro --groups b19001 --change --export years.csv
    """

if __name__ == "__main__":
    main("segregation", SegregationOutputs(), EXAMPLES)
