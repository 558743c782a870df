"""The provenance of a file made from a cube: of each of its years, as the cube was at that version."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import xarray as xr

from geomob_dask.outputs.provenance import Record, record, runs_record, sources_of
from geomob_dask.store import Snapshot, Store
from geomob_dask.store.snapshots import snapshot_key

# What a cube says of its form rather than of its numbers.
_OF_FORM = ("Conventions", "block", "geomob_format", "geometry", "unit", "version", "product")


def record_of_cube(store: Store, name: str, cube: xr.Dataset, *, option: str, **choices: Any) -> Record:
    """Return the provenance of a file made from a cube.

    A cube knows which parts it holds and which runs made them; what those runs chose is looked up among the snapshots
    of its collections, also earlier ones, and is not recorded where those are gone.

    Parameters
    ----------
    store : Store
    name : str
        Of the cube.
    cube : Dataset
        As `open_cube` returns it, of the years in the file.
    option : str
        That asked for the file.
    **choices
        What else was asked for, such as the measure.
    """
    attributes = {key: value for key, value in cube.attrs.items() if key not in _OF_FORM}
    results = [_of_year(store, cube.sel(year=year), attributes) for year in cube["year"].to_numpy().tolist()]
    asked = {"cube": name, "version": cube.attrs["version"], **choices}
    return record(results, option=option, choices=asked, sources=sources_of(store, results))


def _of_year(store: Store, one: xr.Dataset, attributes: Mapping[str, Any]) -> Record:
    collection, year = str(one["collection"].item()), int(one["year"].item())
    contents: dict[str, str] = {}
    names: dict[str, list[str]] = {}
    sources = (one[name].to_numpy().tolist() for name in ("part", "source_content", "source_run"))
    for part, content, run in zip(*sources, strict=True):
        if content:
            contents[str(part)] = f"{int(content):016x}"
            names.setdefault(f"{int(run):016x}" if run else "", []).append(str(part))
    runs = _runs(store, collection, names.keys())
    return runs_record(collection, contents, names, runs, attributes) | {"year": year}


def _runs(store: Store, collection: str, wanted: Collection[str]) -> dict[str, Mapping[str, Any]]:
    """Return those of some runs that a snapshot of a collection records, the newest first."""
    found: dict[str, Mapping[str, Any]] = {}
    numbers = [name[:8] for name in store.objects.names(f"{collection}/_snapshots") if name.endswith(".json")]
    for number in sorted(map(int, numbers), reverse=True):
        if found.keys() >= set(wanted) - {""}:
            break
        key = snapshot_key(collection, number)
        snapshot = Snapshot.from_bytes(store.objects.get(key), f"{store.url}/{key}")
        found |= {run: what for run, what in snapshot.runs.items() if run in wanted and run not in found}
    return found
