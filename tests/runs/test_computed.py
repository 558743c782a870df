"""A lazy frame is computed with a bar for each stage, here or on a cluster; errors are those of its tasks."""

import os

import dask
import dask.dataframe as dd
import distributed
import pandas as pd
import pytest
from rich.console import Console

from geomob_dask.errors import InputError, RunError
from geomob_dask.frames import stages
from geomob_dask.runs.computed import computed
from geomob_dask.runs.progress import Progress

QUIET = Console(quiet=True)
EMPTY = pd.DataFrame({"square": pd.Series([], dtype="int64")})


def squared(number: int) -> pd.DataFrame:
    if number == 13:
        raise InputError("number 13")
    if number < 0:
        os._exit(1)
    return pd.DataFrame({"square": [number**2]})


def squares(*numbers: int):
    return dd.from_map(squared, numbers, meta=EMPTY, label="square")


@pytest.fixture
def shown(monkeypatch) -> list[dict]:
    shown: list[dict] = []
    monkeypatch.setattr(Progress, "stages", lambda self, counts: shown.append(dict(counts)))
    return shown


def test_all_partitions_in_order_and_a_bar_for_the_stage(shown):
    found = computed(squares(1, 2, 3), None, QUIET)
    assert found["square"].tolist() == [1, 4, 9]
    assert shown[0]["square"] == (0, 3)
    assert {"square": (3, 3)} in shown


def test_on_a_cluster(client, shown, monkeypatch):
    monkeypatch.setattr(stages, "_POLL", 0.01)
    found = computed(squares(*range(10)), client, QUIET)
    assert found["square"].tolist() == [number**2 for number in range(10)]
    assert shown


@pytest.mark.parametrize("here", [True, False])
def test_the_error_of_a_task(client, here):
    with pytest.raises(InputError, match="number 13"):
        computed(squares(1, 13), None if here else client, QUIET)


def test_a_worker_that_dies_again_and_again_is_named():
    with (
        # On a busy machine a worker takes longer to start again than Dask waits by default.
        dask.config.set({"distributed.deploy.lost-worker-timeout": "300s"}),
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        distributed.Client(cluster) as client,
        pytest.raises(RunError, match="tcp://"),
    ):
        computed(squares(-1), client, QUIET)
