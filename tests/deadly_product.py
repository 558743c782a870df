"""A product whose second stage kills its worker."""

import os
import signal

import dask.dataframe as dd
import pandas as pd

from geomob_dask.frames.own_rows import own_rows
from geomob_dask.options import Options
from geomob_dask.products.product import Prepared, Product, Target


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
