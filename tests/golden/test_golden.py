"""Checksums of every part of every collection that the jobs write on small data, compared with recorded ones.

Each suite of `commands.py` runs its command lines on a store of its own, without a cluster. After every command, the
newest snapshots in the store tell which collections it wrote; the checksums of their parts, and digests of the tables
in ``out/``, are compared with ``checksums.json``. A collection or part too many is a failure like one too few.

Values that come from LAPACK, fitted models and exported tables are compared after rounding to nine significant digits.
So is everything on a machine whose exponentials and matrix products have other last bits than those of the machine
that recorded (`arithmetic`); fitted models are then compared by name only.

After a change that is meant to move numbers, record anew and say in the commit why::

    GEOMOB_RECORD_GOLDEN=1 python -m pytest tests/golden
"""

import hashlib
import json
import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from golden.commands import FITTED, ROUNDED, SUITES
from golden.definitions import FILES

HERE = Path(__file__).parent
RECORDED = HERE / "checksums.json"
RECORDING = bool(os.environ.get("GEOMOB_RECORD_GOLDEN"))
# Names of results end in a hash of their options; labels tell them apart instead.
_HASH = re.compile(r"-[0-9a-f]{8,}(?=/|$)")

Sums = dict[str, list[str]]
Found = dict[str, dict[str, Sums]]


@pytest.mark.parametrize("suite", SUITES)
def test_every_part_is_the_recorded_one(suite: str, job: Callable, tmp_path: Path, monkeypatch) -> None:
    shutil.copytree(HERE / "data", tmp_path, dirs_exist_ok=True)
    shutil.copytree(HERE.parent / "data" / "opportunity_grid", tmp_path, dirs_exist_ok=True)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    for folder in ("out", "models"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEOMOB_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("GEOMOB_CLUSTER", "serial")
    found: Found = {}
    before: dict[str, str] = {}
    for label, command in SUITES[suite].items():
        done = job(*shlex.split(command))
        assert done.code == 0, f"{command}\n{done.out}\n{done.err}"
        after = dict(written())
        found[label] = {
            _HASH.sub("", name): checksums(name) for name, state in after.items() if before.get(name) != state
        }
        before = after
    if RECORDING:
        record(suite, found)
    recorded = json.loads(RECORDED.read_text())
    same = recorded["arithmetic"] == arithmetic()
    assert flat(found, suite, same) == flat(recorded["suites"][suite], suite, same)


def test_no_suite_is_recorded_that_does_not_run() -> None:
    recorded = json.loads(RECORDED.read_text())["suites"]
    assert {suite: list(labels) for suite, labels in recorded.items()} == {
        suite: list(labels) for suite, labels in SUITES.items()
    }


def written() -> Iterator[tuple[str, str]]:
    """Yield each collection with the number of its newest snapshot, and each exported table with its checksum."""
    for folder in sorted(Path("store").rglob("_snapshots")):
        yield folder.parent.relative_to("store").as_posix(), max(file.name for file in folder.glob("*.json"))
    for file in sorted(Path("out").iterdir()):
        # The provenance beside a table has the versions of packages.
        if file.name.endswith("-metadata.json"):
            continue
        yield file.as_posix(), hashlib.sha256(file.read_bytes()).hexdigest()


def checksums(name: str) -> Sums:
    """Return the first 16 digits of each part's SHA-256, and of the digest of its table, by the part's name."""
    if name.startswith("out/"):
        return {"table": ["", digest(Path(name))]}
    snapshot = json.loads(max(Path("store", name, "_snapshots").glob("*.json")).read_text())
    return {
        part: [about["sha256"][:16], digest(Path("store", about["key"]))] for part, about in snapshot["parts"].items()
    }


def digest(file: Path) -> str:
    """Return a digest of a table's columns and values, numbers at nine significant digits; empty of no table."""
    if file.suffix not in (".parquet", ".csv"):
        return ""
    table = pd.read_csv(file) if file.suffix == ".csv" else pd.read_parquet(file).reset_index()
    found = hashlib.sha256()
    for name, column in table.items():
        found.update(str(name).encode())
        if pd.api.types.is_float_dtype(column):
            # Cancellation leaves other noise beside zero.
            column = [f"{value:.8e}" if abs(value) >= 1e-12 else "0" if value == value else "nan" for value in column]
        found.update("\n".join(cell.hex() if isinstance(cell, bytes) else str(cell) for cell in column).encode())
    return found.hexdigest()[:16]


def flat(found: Found, suite: str, same: bool) -> dict[str, str]:
    """Return what is compared, a line a part: its checksum, its digest, or for some models elsewhere its name alone."""
    lines = {}
    for label, collections in found.items():
        rounded = not same or label.startswith(ROUNDED.get(suite, ()))
        fitted = label.startswith(FITTED.get(suite, ()))
        for collection, parts in collections.items():
            for part, (exact, digits) in parts.items():
                place = f"{suite}: {label}: {collection}: {part}"
                exported = not exact
                lines[place] = digits if rounded or fitted or exported else exact
                if fitted and not same:
                    lines[place] = ""
    return lines


def arithmetic() -> str:
    """Return a checksum of exponentials, logarithms and a matrix product: of what may differ between machines."""
    values = np.linspace(0.01, 9.9, 4_001)
    square = np.sin(np.arange(300 * 300.0)).reshape(300, 300)
    made = [np.exp(values), np.log(values), np.power(values, 1.7), square @ square, np.linalg.qr(square)[1]]
    return hashlib.sha256(b"".join(array.tobytes() for array in made)).hexdigest()[:16]


def record(suite: str, found: Found) -> None:
    """Write a suite's checksums among the recorded ones."""
    recorded = json.loads(RECORDED.read_text()) if RECORDED.exists() else {"suites": {}}
    recorded["suites"] = {name: recorded["suites"].get(name, {}) for name in SUITES} | {suite: found}
    recorded["arithmetic"] = arithmetic()
    text = json.dumps(recorded, indent=1)
    # A line a part.
    text = re.sub(r'\[\s+"(\w*)",\s+"(\w*)"\s+\]', r'["\1", "\2"]', text)
    RECORDED.write_text(text + "\n")
