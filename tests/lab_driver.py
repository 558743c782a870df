"""What runs on a host of the lab: a job on its cluster, or named futures, by a watchdog that asks more often."""

import os
import runpy
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from host_services import SCRIPTS

from geomob_dask.clusters import connect
from geomob_dask.frames.futures import Call, completed
from geomob_dask.runs import links, watchdog
from geomob_dask.settings import load_settings


def quickly() -> None:
    """Let looks follow each other faster, and connections on this machine take less time."""
    watchdog._EVERY, watchdog._ANSWER, watchdog._SHORT, watchdog._SILENT = 1.0, 3.0, 2.0, 6.0
    links._CONNECT = 3.0


def job(name: str, *arguments: str) -> None:
    """Run a job as the shell does."""
    sys.argv = [str(Path(__file__).parents[1] / "jobs" / f"{name}.py"), *arguments]
    runpy.run_path(sys.argv[0], run_name="__main__")


def slowly(values: np.ndarray, number: int) -> float:
    """Compute for a while."""
    time.sleep(1.0)
    return float(values.sum()) + number


def futures(settings: str, *command: str) -> None:
    """Compute named futures; at the third result the lab gets a command."""
    with connect(load_settings(settings)) as client:
        calls = [Call("slowly", str(number), slowly, (number,)) for number in range(12)]
        found = {}
        for call, value in completed(calls, (np.arange(10.0),), client):
            found[call.name] = value
            if len(found) == 3:
                subprocess.run([str(SCRIPTS / "lab.sh"), *command], check=True, env=os.environ)
        assert found == {str(number): 45.0 + number for number in range(12)}
        print(f"all {len(found)} computed", flush=True)


if __name__ == "__main__":
    quickly()
    {"job": job, "futures": futures}[sys.argv[1]](*sys.argv[2:])
