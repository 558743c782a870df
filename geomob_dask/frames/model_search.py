"""Searches for the settings of models, in this process or on a cluster.

A path of an elastic net (all penalties at one fold and l1 ratio) is one task; a fold's features are filled and scaled
once for all its ratios. Other models go through dask-ml's GridSearchCV. Results are handed on and kept as they arrive:
a search that was broken off goes on where it was. That, and a study that is one table, is why these are futures, not
`map_partitions`; see `frames.futures`.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Protocol

import distributed
import numpy as np
from numpy.typing import NDArray

from geomob_dask.frames.futures import Call, check_client, completed
from geomob_dask.frames.grid_search import grid_scores
from geomob_dask.models.search import Sample, Search, SearchResult, check_search, fold_data, path_scores, search_key

Floats = NDArray[np.float64]
Progress = Callable[[str, int, int], None]


class Fits(Protocol):
    """Storage of finished fits."""

    def get(self, key: str) -> bytes | None:
        """Return the value of a key, None if there is none."""

    def put(self, key: str, data: bytes) -> None:
        """Keep bytes under a key."""


def search(
    sample: Sample,
    searches: Mapping[str, Search],
    *,
    client: distributed.Client | None = None,
    seed: int = 0,
    fits: Fits | None = None,
) -> dict[str, SearchResult]:
    """Return the results of searches by name, in the order given; see `stream`."""
    found = dict(stream(sample, searches, client=client, seed=seed, fits=fits))
    return {name: found[name] for name in searches}


def stream(
    sample: Sample,
    searches: Mapping[str, Search],
    *,
    client: distributed.Client | None = None,
    seed: int = 0,
    fits: Fits | None = None,
    progress: Progress | None = None,
) -> Iterator[tuple[str, SearchResult]]:
    """Yield the result of each search as it is finished.

    Parameters
    ----------
    sample : Sample
    searches : mapping of str to Search
        By name. A nested search is one per fold, with the folds inside it.
    client : Client, optional
        None: in this process. The scores are the same with any number of workers.
    seed : int
        Of models that draw.
    fits : Fits, optional
        Finished fits are put there as they arrive, and read back: each path of an elastic net (a fold and l1 ratio),
        and each search of other models.
    progress : callable of (name, finished, all), optional
        Called after each path of an elastic net.

    Yields
    ------
    name, SearchResult

    Raises
    ------
    InputError
        If a fold lacks a class or the values of a feature (it names it, and the fold), a model is unknown or not for
        so many classes, dask-ml would answer wrongly, or the client is asynchronous.
    RunError
        If a worker dies with the same task again and again, or a fit has no optimum.
    """
    check_client(client)
    for name, one in searches.items():
        check_search(sample, name, one, seed)
    paths = {name: one for name, one in searches.items() if one.entry.path}
    yield from _elastic_nets(sample, paths, client, fits, progress)
    for name, one in searches.items():
        if not one.entry.path:
            compute = functools.partial(grid_scores, sample, one, client, seed)
            yield name, _read_or_computed(fits, search_key(sample, one, seed), one, compute)


def _read_or_computed(
    fits: Fits | None, key: str, one: Search, compute: Callable[[], tuple[Floats, Floats]]
) -> SearchResult:
    kept = fits.get(key) if fits is not None else None
    if kept is not None:
        losses, accuracies = (np.array(part) for part in json.loads(kept))
    else:
        losses, accuracies = compute()
        if fits is not None:
            fits.put(key, json.dumps([losses.tolist(), accuracies.tolist()]).encode())
    return SearchResult(one.model, tuple(one.tried), losses, accuracies)


# Elastic nets: one task per fold and l1 ratio ------------------------------------------------


@dataclass(frozen=True)
class _Path:
    """A path to fit: of which search, fold and ratio, and the key of its scores."""

    search: str
    fold: int
    ratio: int
    key: str


def _elastic_nets(
    sample: Sample,
    searches: Mapping[str, Search],
    client: distributed.Client | None,
    fits: Fits | None,
    progress: Progress | None,
) -> Iterator[tuple[str, SearchResult]]:
    paths = []
    for name, one in searches.items():
        key = search_key(sample, one, 0)
        for fold, ratio in product(range(len(one.folds)), range(len(one.settings["l1_ratio"]))):
            paths.append(_Path(name, fold, ratio, f"{key}/{fold}-{ratio}"))
    scores = {
        name: np.full((2, len(one.settings["C"]), len(one.settings["l1_ratio"]), len(one.folds)), np.nan)
        for name, one in searches.items()
    }
    finished = dict.fromkeys(searches, 0)
    for path, found in _path_results(sample, searches, paths, client, fits):
        here = scores[path.search]
        here[:, :, path.ratio, path.fold] = found
        finished[path.search] += 1
        everything = here.shape[2] * here.shape[3]
        if progress:
            progress(path.search, finished[path.search], everything)
        if finished[path.search] == everything:
            one = searches[path.search]
            losses, accuracies = here.reshape(2, -1, len(one.folds))
            yield path.search, SearchResult(one.model, tuple(one.tried), losses, accuracies)


def _path_results(
    sample: Sample,
    searches: Mapping[str, Search],
    paths: Sequence[_Path],
    client: distributed.Client | None,
    fits: Fits | None,
) -> Iterator[tuple[_Path, Floats]]:
    """Yield each path's scores: those kept, then the others as they finish; these are kept at once."""
    calls: list[Call] = []
    missing: dict[str, _Path] = {}
    for path in paths:
        kept = fits.get(path.key) if fits is not None else None
        if kept is not None:
            yield path, np.array(json.loads(kept))
            continue
        call = _call(searches[path.search], path, sample.n_classes)
        calls.append(call)
        missing[call.name] = path
    for call, found in completed(calls, (sample.values, sample.codes), client):
        path = missing[call.name]
        if fits is not None:
            fits.put(path.key, json.dumps(found.tolist()).encode())
        yield path, found


def _call(one: Search, path: _Path, n_classes: int) -> Call:
    fold, ratio = one.folds[path.fold], one.settings["l1_ratio"][path.ratio]
    name = f"{path.search}, {fold.name}, {path.fold}"
    prepare = Call("fold-data", name, fold_data, (fold,))
    return Call(
        "elastic-net", f"{name}, {path.ratio}", path_scores, (n_classes, one.settings["C"], ratio), first=prepare
    )
