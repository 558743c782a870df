"""Workers that are not as the client is: of another version, without the package, with another clock or disk."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_WORKER = (sys.executable, "-m", "distributed.cli.dask_worker", "--no-nanny", "--nthreads", "1", "--no-dashboard")
# Finders of modules, as if packages were not installed.
_WITHOUT = """
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in {names!r} else self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
"""


def with_versions(folder: Path, **versions: str) -> dict[str, str]:
    """Return the environment of a process in which packages have other versions: what is installed first counts."""
    for name, version in versions.items():
        about = folder / f"{name}-{version}.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return _first_on_path(folder)


def without(folder: Path, *names: str) -> dict[str, str]:
    """Return the environment of a process that can import no package of these names."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(_WITHOUT.format(names=names))
    return _first_on_path(folder)


def _first_on_path(folder: Path) -> dict[str, str]:
    here = str(Path(__file__).parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(folder), here))}


@contextmanager
def worker(
    address: str, folder: Path, *, before: Sequence[str] = (), environment: dict[str, str] | None = None, **options: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker, perhaps by another program; its log is ``worker.log`` in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    flags = {"memory-limit": "0", "local-directory": str(folder), "host": "127.0.0.1"} | {
        name.replace("_", "-"): value for name, value in options.items()
    }
    line = [*before, *_WORKER, address, *(word for name, value in flags.items() for word in (f"--{name}", value))]
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(line, env=environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()
