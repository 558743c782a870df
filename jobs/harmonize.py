"""Measures of many years on the tracts of one vintage; `python jobs/harmonize.py --help` shows examples."""

import geomob_dask.ending  # noqa: F401 - first: an interrupt of the other imports ends in order

# isort: split

from geomob_dask.job import main
from geomob_dask.outputs.harmonize import HarmonizeOutputs

EXAMPLES = """
    python jobs/harmonize.py --dataset acs5_b01003 --years 2020-2024 --to 2022
    python jobs/harmonize.py --dataset acs5_b19113 --years 2020-2024 --to 2022 --dollars 2023 --as income
    python jobs/harmonize.py --dataset acs5_b03002 --years 2015-2019 --to 2022 --relationship tab20_tract20_tract10.txt
    python jobs/harmonize.py --dataset race --years 2000 --to 2020 --crosswalk tract_2000_to_2020.parquet --lost 0.01
    python jobs/harmonize.py --dataset mine --years 2018 --to 2020 --crosswalk mine.csv --kinds kinds.yaml
    """

if __name__ == "__main__":
    main("harmonize", HarmonizeOutputs(), EXAMPLES)
