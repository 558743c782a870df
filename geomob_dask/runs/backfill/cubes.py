"""The cubes of a backfill: the years of a product, once they are committed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import distributed
from rich.console import Console

from geomob_dask.errors import GeomobError
from geomob_dask.runs.planning import Plan
from geomob_dask.runs.retries import reason_of
from geomob_dask.store import Store


@dataclass(frozen=True)
class CubeDone:
    """What came of one cube.

    Attributes
    ----------
    name : str
    message : str
        What its commit says, or that there was nothing to do.
    error : str
        Why it could not be written; empty where it was.
    """

    name: str
    message: str
    error: str = ""


def write_cubes(store: Store, plan: Plan, client: distributed.Client | None, console: Console) -> list[CubeDone]:
    """Bring the years of each product that names a cube into it, a commit a cube; what changed is written.

    A cube that cannot be written does not stop the others.
    """
    done = []
    for name, results in _results(store, plan).items():
        # Opening cubes costs an import that most backfills need not pay.
        from geomob_dask.runs.cube import write_cube

        try:
            written = write_cube(store, name, results, client, console)
            done.append(CubeDone(name, written.message))
        # A connection that was closed is an OSError.
        except (GeomobError, distributed.KilledWorker, OSError) as error:
            done.append(CubeDone(name, "", reason_of(error)))
    return done


def _results(store: Store, plan: Plan) -> Mapping[str, dict[int, str]]:
    """Return the collections of each cube, by year, that are in the store."""
    found: dict[str, dict[int, str]] = {}
    for group in plan.groups:
        cube = plan.cubes.get(group.product)
        if cube is not None and group.collection and store.find(group.collection) is not None:
            found.setdefault(cube, {})[group.year] = group.collection
    return found
