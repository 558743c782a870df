"""Products, and an estimator, that kill their workers."""

import os
import signal

import dask.dataframe as dd
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin

from geomob_dask.frames.own_rows import own_rows
from geomob_dask.frames.stages import computed_by_stage
from geomob_dask.options import Options
from geomob_dask.products.product import DriverProduct, Prepared, Product, Target


def die(part: pd.DataFrame) -> pd.DataFrame:
    os.kill(os.getpid(), signal.SIGKILL)
    return part


class Deadly(Product):
    """See above."""

    name, title, options = "deadly", "Kills its workers", Options

    def prepare(self, store, options, *, by_state=False):
        return Prepared("deadly", options, {}, {"result": Target("results/deadly", by_state=False)}, (), ())

    def compute(self, read, prepared):
        frame = dd.from_pandas(pd.DataFrame({"x": [1.0]}), npartitions=1)
        return {"result": own_rows(die, frame, meta=frame._meta)}


class DeadlyDriver(DriverProduct):
    """See above; executed by the driver."""

    name, title, options = "deadly_driver", "Kills its workers", Options

    def prepare(self, store, options, *, by_state=False):
        return Prepared("deadly_driver", options, {}, {"result": Target("results/deadly", by_state=False)}, (), ())

    def execute(self, store, prepared, client, watch):
        frame = dd.from_pandas(pd.DataFrame({"x": [1.0]}), npartitions=1)
        computed_by_stage(own_rows(die, frame, meta=frame._meta), client, watch.stages)
        return ()


class DeadlyEstimator(ClassifierMixin, BaseEstimator):
    """A classifier whose fit kills its worker."""

    def __init__(self, c=1.0):
        self.c = c

    def fit(self, values, codes):
        os.kill(os.getpid(), signal.SIGKILL)
        return self
