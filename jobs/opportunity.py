"""Opportunity index of a dataset and year; `python jobs/opportunity.py --help` shows examples."""

import geomob_dask.ending  # noqa: F401 - first: an interrupt of the other imports ends in order

# isort: split

from geomob_dask.job import main
from geomob_dask.outputs.opportunity import OpportunityOutputs

EXAMPLES = """
    python jobs/opportunity.py --definition sample --dataset sample --year 2020 --map map.html
    python jobs/opportunity.py --definition my_index.yaml --dataset acs --year 2018 --states IN,OH --export index.csv
    python jobs/opportunity.py --definition my_index.csv --dataset acs --year 2018 --norm state --dry-run
    python jobs/opportunity.py --definition my.csv --dataset acs --year 2018 --draws 100 --export index.csv
    python jobs/opportunity.py --definition my.csv --dataset acs --year 2018 --against opportunity_atlas:2018
    python jobs/opportunity.py --definition my.csv --dataset acs --year 2018 --describe about.csv
    python jobs/opportunity.py --definition my_index.csv --dataset acs --year 2019 --norm frozen:2018 --store s3://bucket/x
    """

if __name__ == "__main__":
    main("opportunity", OpportunityOutputs(), EXAMPLES)
