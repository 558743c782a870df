"""Exposure between groups by region; `python jobs/exposure.py --help` shows examples."""

import geomob_dask.ending  # noqa: F401 - first: an interrupt of the other imports ends in order

# isort: split

from geomob_dask.job import main
from geomob_dask.outputs.exposure import ExposureOutputs

EXAMPLES = """
    python jobs/exposure.py --dataset acs5_b03002 --year 2018 --by county --export counties.csv
    python jobs/exposure.py --dataset acs5_b03002 --year 2009-2023 --by county,cbsa,state --long counties_long.csv
    python jobs/exposure.py --dataset acs5_b03002 --year 2018 --by place --as published --report places.html
    python jobs/exposure.py --dataset acs5_b03002 --year 2018 --by place --regions cities.csv --report cities.html
    python jobs/exposure.py --dataset acs5_b03002 --year 2018 --by place --reported place-populations.csv --least 75000
    python jobs/exposure.py --dataset mine --year 2018 --by county --groups my_groups.yaml --interactions pairs.csv
    """

if __name__ == "__main__":
    main("exposure", ExposureOutputs(), EXAMPLES)
