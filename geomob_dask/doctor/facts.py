"""What a machine says of itself: versions, limits, folders.

The functions that return it are made anew for each question, so that they travel by value: they run on a worker that
has another version of this package, or none.
"""

from collections.abc import Callable
from typing import Any

# By name of the distribution; see `versions`.
PACKAGES = (
    "geomob-dask",
    "dask",
    "distributed",
    "cloudpickle",
    "msgpack",
    "numpy",
    "pandas",
    "pyarrow",
    "scipy",
    "scikit-learn",
    "shapely",
    "pyogrio",
    "geopandas",
    "dask-geopandas",
    "fsspec",
    "s3fs",
    "icechunk",
)
# Environment variables whose value is no secret, and that change how a bucket is asked.
VARIABLES = ("AWS_REQUEST_CHECKSUM_CALCULATION", "AWS_RESPONSE_CHECKSUM_VALIDATION", "AWS_DEFAULT_REGION")


def facts_of_machine() -> Callable[..., dict[str, Any]]:
    """Return a function that returns what the process that calls it says of itself."""
    packages, variables = PACKAGES, VARIABLES

    def facts(dask_worker: Any = None, dask_scheduler: Any = None) -> dict[str, Any]:
        import importlib
        import os
        import platform
        import resource
        import shutil
        import socket
        from importlib.metadata import PackageNotFoundError, version

        found: dict[str, Any] = {"python": platform.python_version()}
        for name in packages:
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                found[name] = None
        imports = ""
        try:
            # What is imported counts: a folder on PYTHONPATH wins over what is installed.
            found["geomob-dask"] = importlib.import_module("geomob_dask").__version__
        except Exception as error:
            imports = f"{type(error).__name__}: {error}"
        try:
            found["geos"] = importlib.import_module("shapely").geos_version_string
        except Exception:
            found["geos"] = None
        folder = getattr(dask_worker, "local_directory", None)
        scratch: dict[str, Any] = {}
        if folder:
            try:
                usage = shutil.disk_usage(folder)
                scratch = {"free": usage.free, "total": usage.total, "writable": os.access(folder, os.W_OK)}
            except OSError as error:
                scratch = {"error": str(error)}
            scratch["folder"] = folder
            with open("/proc/mounts", encoding="utf-8") if os.path.exists("/proc/mounts") else open(os.devnull) as text:
                mounts = [line.split()[1:3] for line in text]
            inside = [mount for mount in mounts if f"{folder}/".startswith(mount[0].rstrip("/") + "/")]
            scratch["kind"] = max(inside, key=lambda mount: len(mount[0]))[1] if inside else ""
        server = getattr(dask_scheduler, "http_server", None)
        sockets = list(getattr(server, "_sockets", {}).values())
        manager = getattr(dask_worker, "memory_manager", None)
        return {
            "host": socket.gethostname(),
            "packages": found,
            "imports": imports,
            "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            "scratch": scratch,
            "variables": {name: os.environ.get(name, "") for name in variables},
            "dashboard": [list(one.getsockname()[:2]) for one in sockets],
            "threads": getattr(getattr(dask_worker, "state", None), "nthreads", 0),
            "memory_limit": getattr(manager, "memory_limit", None),
            "pause": getattr(manager, "memory_pause_fraction", None),
            "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "lifetime": getattr(dask_worker, "lifetime", None),
        }

    return facts


def clock() -> Callable[[], float]:
    """Return a function that returns the time by the clock of the process that calls it."""

    def now() -> float:
        import time

        return time.time()

    return now
