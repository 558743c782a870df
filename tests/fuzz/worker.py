"""A process that reads mutants, so that a crash, a hang or a flood of memory is that of a mutant and not of the tests.

It answers a line of JSON ``[reader, seed]`` by a line of JSON: the fault as text, or null. To see one mutant again::

    python tests/fuzz/worker.py 'tracts gpkg' 17
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzz.mutations import mutate
from fuzz.readers import READERS, Reader

from geomob_dask.errors import GeomobError

# As a command prints it: bounded, and with how to see the rest.
LONGEST_MESSAGE = 2300
# Of the processor; the slowest mutant takes about a quarter of it.
MOST_SECONDS = 2.0
MOST_BYTES = 2**30
LIMIT_BYTES = "100MB"
# Of ru_maxrss.
_UNIT = 1 if sys.platform == "darwin" else 1024


class Bench:
    """A folder with the valid file of each reader, and the place for a mutant of it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._valid: dict[str, bytes] = {}

    def mutant(self, reader: Reader, seed: int) -> Path:
        """Return the path of a mutant; seed 0 is the valid file."""
        place = self.folder / reader.name.replace(" ", "_")
        path = place / reader.file
        if reader.name not in self._valid:
            place.mkdir()
            reader.make(path)
            self._valid[reader.name] = path.read_bytes()
        data = self._valid[reader.name]
        if seed:
            data = reader.mend(mutate(data, reader.file, Random(f"{reader.name}:{seed}")))
        path.write_bytes(data)
        return path


def fault_of(reader: Reader, path: Path, must_succeed: bool) -> str | None:
    """Return what is wrong with how a file is read or refused; None if nothing is."""
    spent, grown = time.process_time(), _memory()
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        fault = _outcome(reader, path, must_succeed)
    # Whatever the libraries leave for the collector of garbage is no concern of a user.
    told = [one for one in found if not issubclass(one.category, ResourceWarning)]
    if fault is None and told:
        fault = f"warns: {told[0].category.__name__}: {told[0].message}"
    if fault is None and time.process_time() - spent > MOST_SECONDS:
        fault = f"took {time.process_time() - spent:.0f} seconds of the processor, expected {MOST_SECONDS:.0f} at most"
    if fault is None and _memory() - grown > MOST_BYTES:
        fault = f"took {(_memory() - grown) / 2**20:,.0f} MiB more memory, expected {MOST_BYTES / 2**20:,.0f} at most"
    return fault


def _outcome(reader: Reader, path: Path, must_succeed: bool) -> str | None:
    try:
        result = reader.read(path)
    except GeomobError as error:
        message = str(error)
        if must_succeed:
            return f"the valid file is refused: {message}"
        if reader.file not in message:
            return f"the message does not name {reader.file}: {message[:300]!r}"
        if len(message) > LONGEST_MESSAGE:
            return f"the message has {len(message):,} characters: {message[:300]!r}"
        return None
    except Exception:
        return traceback.format_exc()
    try:
        reader.check(result)
    except AssertionError as error:
        return f"an unsound result: {error}\n{traceback.format_exc()[-600:]}"
    return None


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT


def _bound_memory() -> None:
    """Bound the address space: what is reserved now, and room for pools of threads besides what may be used."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return
    most = pages * resource.getpagesize() + 4 * MOST_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _serve(folder: Path) -> None:
    """Answer requests; what anything prints goes to a file, and is a fault."""
    answers = os.fdopen(os.dup(1), "w")
    printed = os.open(folder / "printed", os.O_RDWR | os.O_CREAT)
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    bench = Bench(folder)
    _bound_memory()
    for line in sys.stdin:
        name, seed = json.loads(line)
        os.ftruncate(printed, 0)
        os.lseek(printed, 0, os.SEEK_SET)
        fault = fault_of(READERS[name], bench.mutant(READERS[name], seed), must_succeed=seed == 0)
        sys.stdout.flush()
        sys.stderr.flush()
        said = os.pread(printed, 500, 0).decode(errors="replace")
        if fault is None and said:
            fault = f"prints: {said!r}"
        answers.write(json.dumps(fault) + "\n")
        answers.flush()


def main() -> None:
    """Serve, or show one mutant."""
    os.environ["GEOMOB_LIMIT_BYTES"] = LIMIT_BYTES
    if len(sys.argv) == 2:
        _serve(Path(sys.argv[1]))
        return
    name, seed = sys.argv[1], int(sys.argv[2])
    path = Bench(Path(tempfile.mkdtemp())).mutant(READERS[name], seed)
    print(f"{path}\n{fault_of(READERS[name], path, must_succeed=seed == 0)}")


if __name__ == "__main__":
    main()
