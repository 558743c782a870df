"""Dask's settings of the clusters that are started here, and what is said of those that others start."""

import os
import subprocess
import sys

import dask
from cluster_processes import processes

from geomob_dask.clusters import connect
from geomob_dask.clusters.dask_settings import as_environment, dask_settings, death_timeout, differences
from geomob_dask.sections import AddressSection, LocalSection, Waits
from geomob_dask.settings import Settings


def test_a_process_elsewhere_reads_the_same_settings_from_its_environment():
    settings = dask_settings(LocalSection(silence=123.0, pause=0.81))
    names = [name for name in settings if "MALLOC" not in name]
    read = "import dask.config, distributed, sys; print(*map(dask.config.get, sys.argv[1:]))"
    variables = as_environment(settings)
    line = [sys.executable, "-c", read, *names]
    done = subprocess.run(line, env={**os.environ, **variables}, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(settings[name]) for name in names]
    assert "123s" in done.stdout
    assert "0.81" in done.stdout
    assert variables["MALLOC_MMAP_THRESHOLD_"] == "33554432"


def test_every_setting_is_one_that_dask_has():
    for name in dask_settings(LocalSection()):
        if "MALLOC" not in name:
            dask.config.get(name)


def test_a_worker_waits_for_its_scheduler_at_least_as_long_as_the_run():
    assert death_timeout(Waits(patience=1000.0)) == 1000.0
    assert death_timeout(Waits()) >= Waits().patience


def test_a_scheduler_of_others_is_looked_at(tmp_path, capfd):
    def sets(**settings: object) -> None:
        client.run_on_scheduler(
            lambda: dask.config.set({f"distributed.scheduler.{name}": settings[name] for name in settings})
        )

    with processes(tmp_path) as cluster:
        section = AddressSection(address=cluster.address)
        settings = Settings(cluster="address", clusters={"address": section})
        with connect(settings) as client:
            assert differences(client, section, 30.0) == []
            sets(**{"worker-ttl": "1 hour"})
            [line] = differences(client, section, 30.0)
            assert "for 3600 s" in line
            sets(**{"allowed-failures": 100, "worker-ttl": None})
        assert capfd.readouterr().err == ""
        with connect(settings):
            told = capfd.readouterr().err
    assert f"cluster {cluster.address}: the scheduler tries a task that kills its workers 101 times" in told
    assert "forever" in told
