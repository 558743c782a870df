"""The cubes of a store, as the page lists them: of which results each is another form, and how it is opened.

A cube is written from results or measures by year, so that the page shows its values where it shows those. It is
listed with what it is a form of, and whether it has what the results have now.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from geomob_dask.errors import GeomobError
from geomob_dask.explore.catalog import Entry
from geomob_dask.explore.drawn import Snapshots
from geomob_dask.messages import without_passwords
from geomob_dask.sources.measure_names import label_of
from geomob_dask.store import Store
from geomob_dask.store.cube_arrays import State
from geomob_dask.store.cube_changes import collection_in, identity_of
from geomob_dask.store.cubes import Cube, cube_names
from geomob_dask.store.objects import concurrently

# Cubes, and measures of one, that the page lists.
_MOST, _MOST_MEASURES = 100, 200
# What the results of a year have against a cube: the same parts, others since it was written, or nothing any more.
SAME, OLDER, GONE = "same", "older", "gone"


def cubes_of(store: Store, snapshots: Snapshots, entries: Mapping[str, Entry]) -> list[dict[str, Any]]:
    """Return the cubes of a store as plain data, by name; one that cannot be read has a ``problem``.

    Parameters
    ----------
    entries : mapping of str to Entry
        What else the page lists; see `catalog.entries`.
    """
    known = {entry.collection(year): one for one, entry in entries.items() for year in entry.years}
    names = cube_names(store)[:_MOST]
    return concurrently(lambda name: _cube(store, snapshots, known, name), names) if names else []


def _cube(store: Store, snapshots: Snapshots, known: Mapping[str, str], name: str) -> dict[str, Any]:
    try:
        state = Cube(store, name).state()
    except GeomobError as error:
        return {"name": name, "problem": str(error)}
    if state is None or not state.years:
        return {"name": name, "problem": "it has no year yet; expected years written by jobs/cube.py write"}
    form, years = state.form, sorted(state.years)
    url = without_passwords(store.url)
    return {
        "name": name,
        "years": years,
        "axes": {"year": len(years), form.unit: len(state.keys), "measure": len(form.measures)},
        "variables": [variable.name for variable in form.variables],
        "vintage": str(state.attributes.get("vintage", "")),
        "geometry": str(state.attributes.get("geometry", "")),
        "version": state.version,
        "measures": [
            {"id": one.name, "label": label_of(one.name).text, "unit": "" if one.units == "1" else one.units}
            for one in form.measures[:_MOST_MEASURES]
        ],
        "of": [_year(state, snapshots, known, year) for year in years],
        "open": f"geomob_dask.open_cube({url!r}, {name!r})",
        "command": f"python jobs/cube.py history {name} --store {url}",
    }


def _year(state: State, snapshots: Snapshots, known: Mapping[str, str], year: int) -> dict[str, Any]:
    collection = collection_in(state, year)
    snapshot = snapshots.find(collection)
    if snapshot is None:
        standing = GONE
    else:
        now = {part: identity_of(one) for part, one in snapshot.parts.items()}
        standing = SAME if now == state.identities(year) else OLDER
    return {"year": year, "collection": collection, "entry": known.get(collection, ""), "standing": standing}
