"""Models of mobility; `python jobs/mobility.py --help` shows examples."""

import geomob_dask.ending  # noqa: F401 - first: an interrupt of the other imports ends in order

# isort: split

from geomob_dask.job import main
from geomob_dask.outputs.mobility import MobilityOutputs

EXAMPLES = """
    python jobs/mobility.py --study zones --model elastic_net,forest,boosting --report mobility.html
    python jobs/mobility.py --study zones --classes 4 --folds stratified:5,states:5,contiguity:5:1 --export zones.csv
    python jobs/mobility.py --study tracts --measures opportunity:2018 --model elastic_net --map tracts.html
    python jobs/mobility.py --study zones --model all --repeats 10 --seed 7 --save models
    python jobs/mobility.py --with-model models/elastic_net.model --apply opportunity:2018 --export predicted.csv
    """

if __name__ == "__main__":
    main("mobility", MobilityOutputs(), EXAMPLES)
