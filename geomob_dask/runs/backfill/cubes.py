"""The cubes of a backfill: the years of a product, once they are committed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import distributed
from rich.console import Console

from geomob_dask.products.catalog import product_named
from geomob_dask.runs.engine import Result, execute
from geomob_dask.runs.planning import Group, Plan, Request, group_of
from geomob_dask.store import Store


@dataclass(frozen=True)
class CubeDone:
    """The result of writing one cube.

    Attributes
    ----------
    name : str
    message : str
        Of its commit, or that there was nothing to do.
    error : str
        Why it could not be written; empty if it was.
    """

    name: str
    message: str
    error: str = ""


def write_cubes(
    store: Store, plan: Plan, client: distributed.Client | None, console: Console, *, retry_wait: float = 1.0
) -> list[CubeDone]:
    """Write the years of each product that names a cube to it, with one commit per cube.

    If a cube cannot be written, the others are.

    Parameters
    ----------
    retry_wait : float
        Seconds before a second attempt, if that may help.
    """
    found = _results(store, plan)
    if not found:
        # The product imports Icechunk and Zarr, which takes up to a second.
        return []
    options = product_named("cube").options
    requests = [Request("cube", options.of(name=name, results=results), label=name) for name, results in found.items()]
    cubes = Plan(tuple(group_of(store, request) for request in requests))
    result = execute(store, cubes, client, console, retry_wait=retry_wait, together=True)
    return [_done(store, group, result) for group in cubes.groups]


def _done(store: Store, group: Group, result: Result) -> CubeDone:
    from geomob_dask.store.cubes import Cube

    output = group.name(0)
    if output in result.failed or group.prepared is None:
        return CubeDone(group.product, "", result.failed[output])
    if group.prepared.details.todo and output not in result.computed:
        return CubeDone(group.product, "", result.stopped)
    version = Cube(store, group.product).version_of(group.prepared.provenance.identity)
    if not group.prepared.details.todo or version is None:
        return CubeDone(group.product, "nothing to do: all years are up to date")
    return CubeDone(group.product, version.message)


def _results(store: Store, plan: Plan) -> Mapping[str, dict[int, str]]:
    """Return the collections of each cube, by year, that are in the store."""
    found: dict[str, dict[int, str]] = {}
    for group in plan.groups:
        cube = plan.cubes.get(group.product)
        if cube is not None and group.collection and store.find(group.collection) is not None:
            found.setdefault(cube, {})[group.year] = group.collection
    return found
