"""How a run of a product ends when something goes wrong."""

import dask
import distributed
import pytest
from rich.console import Console

from geomob_dask.errors import RunError
from geomob_dask.options import Options
from geomob_dask.products import catalog
from geomob_dask.runs.engine import run
from geomob_dask.runs.planning import Request, make_plan
from geomob_dask.store import Store


@pytest.mark.parametrize("product", ["deadly_product:Deadly", "deadly_product:DeadlyDriver"])
def test_a_task_that_kills_its_worker_is_named(product, tmp_path, monkeypatch):
    """Spread over the cluster, and of a product that the driver executes."""
    monkeypatch.setitem(catalog.CATALOG, "deadly", product)
    store = Store(str(tmp_path / "store"))
    plan = make_plan(store, [Request("deadly", Options())])
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            silence_logs=50,
        ) as cluster,
        distributed.Client(cluster) as client,
        pytest.raises(RunError, match=r"die.* of state .*memory_limit"),
    ):
        run(store, plan, client, Console(quiet=True), retry_wait=0.01)
    assert store.collections("results") == []
