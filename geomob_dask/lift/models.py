"""Searches for a model's settings on a cluster, and models over partitions.

An elastic net's whole path of penalties is one task a fold and l1 ratio; the fold's features are filled and scaled
once for all its ratios. Other models go through dask-ml's GridSearchCV. Results are handed on as they come, and kept:
what was finished once is read back, whatever happened since.
"""

from __future__ import annotations

import functools
import hashlib
import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version
from itertools import product
from typing import Any, Protocol

import dask
import dask.array as da
import distributed
import numpy as np
from dask_ml.cluster import KMeans
from dask_ml.model_selection import GridSearchCV
from dask_ml.preprocessing import StandardScaler as PartitionedScaler
from dask_ml.wrappers import ParallelPostFit
from distributed.comm import CommClosedError
from numpy.typing import NDArray
from sklearn.cluster import kmeans_plusplus
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from geomob_dask.errors import GeomobError, InputError, RunError
from geomob_dask.models.catalog import Model, model_named, pipeline_settings, plain_settings
from geomob_dask.models.elastic_net import logistic_path
from geomob_dask.models.folds import Fold, check_fold
from geomob_dask.models.scores import accuracy, log_loss
from geomob_dask.store.objects import Objects
from geomob_dask.store.provenance import canonical_json

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CHOSEN_BY = ("log_loss", "accuracy")
"""Scores that settings can be chosen by; each is kept for every setting and fold."""

# Data that went with its workers is sent again, so often.
_ATTEMPTS = 5
# Of scores that count: fits differ by less from one machine to another.
_DIGITS = 9
# No score is this: what a fit that failed is given.
_FAILED = -1e9
# dask-ml 2025.1.0 on this distributed: these end with an error of the event loop, or never.
_BROKEN = ("IncrementalSearchCV", "HyperbandSearchCV", "SuccessiveHalvingSearchCV", "InverseDecaySearchCV")


# What was finished ---------------------------------------------------------------------------


class Fits(Protocol):
    """Where finished fits are kept."""

    def get(self, key: str) -> bytes | None:
        """Return what was put, None where nothing was."""

    def put(self, key: str, data: bytes) -> None:
        """Keep bytes under a key."""


@dataclass(frozen=True)
class StoredFits:
    """Finished fits as small objects of a store.

    Parameters
    ----------
    objects : Objects
    prefix : str
        Below which they lie.
    """

    objects: Objects
    prefix: str = "fits"

    def get(self, key: str) -> bytes | None:
        """Return what was put, None where nothing was."""
        place = f"{self.prefix}/{key}.json"
        return self.objects.get(place) if self.objects.exists(place) else None

    def put(self, key: str, data: bytes) -> None:
        """Keep bytes under a key, whole or not at all."""
        self.objects.put(f"{self.prefix}/{key}.json", data)


# Searches ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sample:
    """Units to learn from.

    Parameters
    ----------
    values : shape (n_units, n_features)
        NaN where missing: filled inside each fold.
    codes : shape (n_units,), int
        Class of each unit, 0…n_classes − 1.
    n_classes : int
    names : sequence of str
        Features.
    """

    values: Floats
    codes: Ints
    n_classes: int
    names: tuple[str, ...]

    @functools.cached_property
    def checksum(self) -> str:
        """Return a SHA-256 of values, classes and features."""
        digest = hashlib.sha256(canonical_json([list(self.names), self.n_classes]))
        digest.update(np.where(np.isnan(self.values), np.nan, self.values).astype("<f8").tobytes())
        digest.update(self.codes.astype("<i8").tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Search:
    """Settings of a model to be chosen on folds.

    Parameters
    ----------
    model : str
        Of the catalogue.
    folds : sequence of Fold
        Settings are compared on their tested rows: all folds of the study, or those inside one of them.
    grid : mapping, optional
        Settings to try, the model's own by default.
    """

    model: str
    folds: tuple[Fold, ...]
    grid: Mapping[str, Sequence[Any]] | None = None

    @property
    def entry(self) -> Model:
        """Return the model's entry of the catalogue."""
        return model_named(self.model)

    @property
    def settings(self) -> dict[str, list[Any]]:
        """Return the grid: of an elastic net, C in rising order."""
        grid = {name: list(values) for name, values in (self.grid or self.entry.grid).items()}
        unknown = [name for name in grid if name not in self.entry.grid]
        if unknown or not all(grid.values()):
            raise InputError(
                f"model {self.model}: found the grid {grid}, expected values for: {', '.join(self.entry.grid)}"
            )
        if self.entry.path:
            grid = {"C": sorted(map(float, grid.get("C", [1.0]))), "l1_ratio": grid.get("l1_ratio", [0.5])}
        return grid

    @property
    def tried(self) -> list[dict[str, Any]]:
        """Return every setting, in the order in which ties are settled: the first one wins."""
        grid = self.settings
        return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]


@dataclass(frozen=True)
class Searched:
    """What a search found.

    Parameters
    ----------
    model : str
    tried : sequence of mapping
        Settings, in the order of the rows of `losses` and `accuracies`.
    losses, accuracies : shape (n_settings, n_folds)
        Log loss and accuracy on each fold's tested rows.
    """

    model: str
    tried: tuple[Mapping[str, Any], ...]
    losses: Floats
    accuracies: Floats

    def best(self, by: str = "log_loss") -> dict[str, Any]:
        """Return the setting with the best mean over folds; of equals, the first."""
        if by not in CHOSEN_BY:
            raise InputError(f"settings chosen by {by!r}: expected one of: {', '.join(CHOSEN_BY)}")
        means = self.losses.mean(axis=1) if by == "log_loss" else -self.accuracies.mean(axis=1)
        # Rounding must not choose between equals.
        return dict(self.tried[int(np.argmin(np.round(means, _DIGITS)))])


def search(
    sample: Sample,
    searches: Mapping[str, Search],
    *,
    client: distributed.Client | None = None,
    seed: int = 0,
    fits: Fits | None = None,
) -> dict[str, Searched]:
    """Carry searches out; see `stream`. Returns them by name, in the order asked for."""
    found = dict(stream(sample, searches, client=client, seed=seed, fits=fits))
    return {name: found[name] for name in searches}


def stream(
    sample: Sample,
    searches: Mapping[str, Search],
    *,
    client: distributed.Client | None = None,
    seed: int = 0,
    fits: Fits | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Iterator[tuple[str, Searched]]:
    """Carry searches out, and hand on each as it is finished.

    Parameters
    ----------
    sample : Sample
    searches : mapping of str to Search
        By name, which errors and tasks carry. A nested search is one a fold, with the folds inside it.
    client : Client, optional
        None: in this process. The scores are the same with any number of workers.
    seed : int
        Of models that draw.
    fits : Fits, optional
        Finished fits are put there as they come, and read back: of an elastic net each path (a fold and l1 ratio),
        of other models each search.
    progress : callable of (name, finished, all), optional
        Called after each path of an elastic net.

    Yields
    ------
    name, Searched

    Raises
    ------
    InputError
        If a fold cannot teach (it names feature or class, and fold), a model is unknown or not for so many classes,
        or dask-ml would answer wrongly.
    RunError
        If a worker dies with the same task again and again, or a fit has no optimum.
    """
    for name, one in searches.items():
        one.entry.build(sample.n_classes, seed)
        for fold in one.folds:
            try:
                check_fold(fold, sample.values, sample.codes, sample.names)
            except InputError as error:
                raise InputError(f"search {name}: {error}") from error
    paths = {name: one for name, one in searches.items() if one.entry.path}
    yield from _paths(sample, paths, client, fits, progress)
    for name, one in searches.items():
        if not one.entry.path:
            compute = functools.partial(_grid, sample, one, client, seed)
            yield name, _kept(fits, _identity(sample, one, seed), one, compute)


def _identity(sample: Sample, one: Search, seed: int) -> str:
    """Return the key of a search: whatever its result depends on."""
    digest = hashlib.sha256(
        canonical_json([sample.checksum, one.model, one.tried, seed, version("geomob-dask"), version("scikit-learn")])
    )
    for fold in one.folds:
        digest.update(canonical_json([len(fold.train), len(fold.test)]))
        digest.update(fold.train.astype("<i8").tobytes() + fold.test.astype("<i8").tobytes())
    return f"{one.model}-{digest.hexdigest()[:32]}"


def _kept(fits: Fits | None, key: str, one: Search, compute: Callable[[], tuple[Floats, Floats]]) -> Searched:
    kept = fits.get(key) if fits is not None else None
    if kept is not None:
        losses, accuracies = (np.array(part) for part in json.loads(kept))
    else:
        losses, accuracies = compute()
        if fits is not None:
            fits.put(key, canonical_json([losses.tolist(), accuracies.tolist()]))
    return Searched(one.model, tuple(one.tried), losses, accuracies)


# Elastic net: a task a fold and ratio --------------------------------------------------------


@dataclass(frozen=True)
class _Path:
    """One path to fit: which search, fold and ratio, and the key of its result."""

    search: str
    fold: int
    ratio: int
    key: str


@dataclass(frozen=True)
class _Prepared:
    """A fold's features, filled and scaled by its training rows; shared by all its paths."""

    train: Floats
    train_codes: Ints
    test: Floats
    test_codes: Ints


def _paths(
    sample: Sample,
    searches: Mapping[str, Search],
    client: distributed.Client | None,
    fits: Fits | None,
    progress: Callable[[str, int, int], None] | None,
) -> Iterator[tuple[str, Searched]]:
    wanted = []
    for name, one in searches.items():
        identity = _identity(sample, one, 0)
        for fold, ratio in product(range(len(one.folds)), range(len(one.settings["l1_ratio"]))):
            wanted.append(_Path(name, fold, ratio, f"{identity}/{fold}-{ratio}"))
    scores = {
        name: np.full((2, len(one.settings["C"]), len(one.settings["l1_ratio"]), len(one.folds)), np.nan)
        for name, one in searches.items()
    }
    finished = dict.fromkeys(searches, 0)
    for path, found in _computed(sample, searches, wanted, client, fits):
        here = scores[path.search]
        here[:, :, path.ratio, path.fold] = found
        finished[path.search] += 1
        everything = here.shape[2] * here.shape[3]
        if progress:
            progress(path.search, finished[path.search], everything)
        if finished[path.search] == everything:
            one = searches[path.search]
            losses, accuracies = here.reshape(2, -1, len(one.folds))
            yield path.search, Searched(one.model, tuple(one.tried), losses, accuracies)


def _computed(
    sample: Sample,
    searches: Mapping[str, Search],
    wanted: Sequence[_Path],
    client: distributed.Client | None,
    fits: Fits | None,
) -> Iterator[tuple[_Path, Floats]]:
    """Yield each path's scores: those kept, then the others as they are finished, and kept at once."""
    open_paths = []
    for path in wanted:
        kept = fits.get(path.key) if fits is not None else None
        if kept is None:
            open_paths.append(path)
        else:
            yield path, np.array(json.loads(kept))
    fitted = (
        _in_process(sample, searches, open_paths)
        if client is None
        else _on_cluster(sample, searches, open_paths, client)
    )
    for path, found in fitted:
        if fits is not None:
            fits.put(path.key, canonical_json(found.tolist()))
        yield path, found


def _in_process(
    sample: Sample, searches: Mapping[str, Search], paths: Sequence[_Path]
) -> Iterator[tuple[_Path, Floats]]:
    for prepared_for, some in _by_fold(paths).items():
        one = searches[prepared_for[0]]
        prepared = _prepare(sample.values, sample.codes, one.folds[prepared_for[1]])
        for path in some:
            yield path, _path_scores(prepared, sample.n_classes, one.settings, path.ratio)


def _on_cluster(
    sample: Sample, searches: Mapping[str, Search], paths: Sequence[_Path], client: distributed.Client
) -> Iterator[tuple[_Path, Floats]]:
    """Yield results as workers finish them; they are here from then on, and no death of a worker takes them away."""
    left = {path.key: path for path in paths}
    for _ in range(_ATTEMPTS):
        if not left:
            return
        futures = _submitted(sample, searches, list(left.values()), client)
        try:
            done = distributed.as_completed(futures, with_results=True, raise_errors=False)
            for future, result in done:
                path = futures[future]
                if future.status == "finished":
                    del left[path.key]
                    future.release()
                    yield path, result
                elif future.status == "error":
                    raise _explained(path, searches, future.exception())
        except (CommClosedError, TimeoutError) as error:
            raise RunError(f"lost the connection to the scheduler: {error}; finished fits are kept") from error
        finally:
            client.cancel(list(futures))
        # What is left was cancelled: the sample went with the last worker that had it. It is sent again.
    if left:
        raise RunError(f"search: {len(left)} fits lost their data {_ATTEMPTS} times; expected workers that stay alive")


def _submitted(
    sample: Sample, searches: Mapping[str, Search], paths: Sequence[_Path], client: distributed.Client
) -> dict[distributed.Future, _Path]:
    token = uuid.uuid4().hex
    # On every worker: a copy that is on one of them only is lost with it.
    values, codes = client.scatter([sample.values, sample.codes], broadcast=True, hash=False)
    futures = {}
    for (name, fold), some in _by_fold(paths).items():
        one = searches[name]
        prepared = client.submit(
            _prepare, values, codes, one.folds[fold], key=(f"prepare-{token}", f"{name}, {fold}"), pure=False
        )
        for path in some:
            key = (f"elastic-net-{token}", f"{name}, {fold}, {path.ratio}")
            future = client.submit(
                _path_scores, prepared, sample.n_classes, one.settings, path.ratio, key=key, pure=False
            )
            futures[future] = path
    return futures


def _by_fold(paths: Sequence[_Path]) -> dict[tuple[str, int], list[_Path]]:
    found: dict[tuple[str, int], list[_Path]] = {}
    for path in paths:
        found.setdefault((path.search, path.fold), []).append(path)
    return found


def _explained(path: _Path, searches: Mapping[str, Search], error: BaseException | None) -> BaseException:
    if isinstance(error, GeomobError):
        return error
    where = f"search {path.search}, {searches[path.search].folds[path.fold].name}"
    if isinstance(error, distributed.KilledWorker):
        return RunError(
            f"{where}: the worker died with this task several times; expected a worker with more memory "
            "(memory_limit in cluster.yaml)"
        )
    return RunError(f"{where}: {type(error).__name__}: {error}")


def _prepare(values: Floats, codes: Ints, fold: Fold) -> _Prepared:
    with one_thread():
        fill = SimpleImputer(strategy="median").fit(values[fold.train])
        scale = StandardScaler().fit(fill.transform(values[fold.train]))
        train, test = (scale.transform(fill.transform(values[rows])) for rows in (fold.train, fold.test))
    return _Prepared(train, codes[fold.train], test, codes[fold.test])


def _path_scores(prepared: _Prepared, n_classes: int, settings: Mapping[str, Sequence[Any]], ratio: int) -> Floats:
    """Return log loss and accuracy on the tested rows at each C, shape (2, n_penalties)."""
    with one_thread():
        path = logistic_path(
            prepared.train, prepared.train_codes, n_classes, settings["C"], settings["l1_ratio"][ratio]
        )
        shares = path.probabilities(prepared.test)
    return np.array([[score(prepared.test_codes, one) for one in shares] for score in (log_loss, accuracy)])


@functools.cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def one_thread() -> AbstractContextManager[Any]:
    """Let linear algebra use one thread: sums are then the same, bit for bit, wherever a task runs."""
    limited: AbstractContextManager[Any] = _controller().limit(limits=1)
    return limited


# Other models: dask-ml's search --------------------------------------------------------------


def _grid(sample: Sample, one: Search, client: distributed.Client | None, seed: int) -> tuple[Floats, Floats]:
    """Return log loss and accuracy of every setting and fold, shape (n_settings, n_folds) each."""
    pipeline = one.entry.build(sample.n_classes, seed)
    refuse_wrong_answers(pipeline, sample.n_classes)
    grid = pipeline_settings(one.settings)
    values, codes = sample.values, sample.codes
    if client is not None:
        # In the graph they would travel with every search; here once, and to all workers.
        sent = client.scatter([sample.values, sample.codes], broadcast=True, hash=False)
        values, codes = (dask.delayed(future) for future in sent)
    found = GridSearchCV(
        pipeline,
        grid,
        scoring={"log_loss": _log_loss_of, "accuracy": _accuracy_of},
        cv=[(fold.train, fold.test) for fold in one.folds],
        # Means over folds as scikit-learn's; weighted by size otherwise.
        iid=False,
        refit=False,
        # Raised on a worker, an error would be tried again for ever.
        error_score=_FAILED,
        scheduler=client or "synchronous",
    )
    with one_thread():
        found.fit(values, codes)
    tried = [plain_settings(settings) for settings in found.cv_results_["params"]]
    order = [tried.index(settings) for settings in one.tried]
    scores = [
        np.column_stack([found.cv_results_[f"split{fold}_test_{name}"] for fold in range(len(one.folds))])[order]
        for name in CHOSEN_BY
    ]
    failed = np.argwhere(scores[0] == _FAILED)
    if len(failed):
        setting, fold = failed[0]
        raise RunError(
            f"model {one.model}, {one.folds[fold].name}: the fit with {one.tried[setting]} failed; "
            "expected a fit (see the workers' log)"
        )
    # Arrays come to a worker at any address, and linear algebra rounds by address.
    return np.round(scores[0], _DIGITS), np.round(scores[1], _DIGITS)


def _log_loss_of(estimator: Any, values: Floats, codes: Ints) -> float:
    return log_loss(codes, estimator.predict_proba(values))


def _accuracy_of(estimator: Any, values: Floats, codes: Ints) -> float:
    return accuracy(codes, estimator.predict_proba(values))


def refuse_wrong_answers(estimator: Any, n_classes: int) -> None:
    """Refuse what dask-ml 2025.1.0 answers wrongly, or never.

    Parameters
    ----------
    estimator : estimator or Pipeline
        All steps are looked at.

    Raises
    ------
    InputError
        For dask-ml's LogisticRegression with more than two classes (it makes two of them, in silence), and for its
        searches that end with an error on this version of distributed.
    """
    for step in [part for _, part in getattr(estimator, "steps", [("", estimator)])]:
        kind = type(step)
        if not kind.__module__.startswith("dask_ml"):
            continue
        if kind.__name__ in _BROKEN:
            raise InputError(f"dask-ml's {kind.__name__} does not run on this distributed; expected GridSearchCV")
        if kind.__name__ == "LogisticRegression" and n_classes > 2:
            raise InputError(
                f"dask-ml's LogisticRegression makes two classes of {n_classes} without saying so; "
                "expected scikit-learn's, or a model of the catalogue"
            )


# Over partitions -----------------------------------------------------------------------------


def predict_partitions(estimator: Any, values: da.Array) -> da.Array:
    """Return the probability of each class for rows in partitions, computed where they lie.

    Parameters
    ----------
    estimator : fitted estimator
    values : dask array, shape (n_rows, n_features)
        In chunks of rows; the number of rows may be unknown.

    Returns
    -------
    dask array, shape (n_rows, n_classes)
        Lazy.
    """
    if values.numblocks[1] != 1:
        raise InputError(f"predictions: found features in {values.numblocks[1]} chunks, expected all in one")
    return ParallelPostFit(estimator).predict_proba(values)


@dataclass(frozen=True)
class PartitionClusters:
    """K-means over partitions.

    Parameters
    ----------
    labels : shape (n_rows,), int
        Cluster of each row.
    centers : shape (n_clusters, n_features)
        On the standardized scale.
    inertia : float
        Summed squared distance to the centre of one's own cluster.
    """

    labels: Ints
    centers: Floats
    inertia: float


def cluster_partitions(values: da.Array, n_clusters: int, seed: int = 0, n_start: int = 5_000) -> PartitionClusters:
    """Standardize rows in partitions and group them by k-means, with dask-ml.

    The first centres are k-means++ on rows chosen by their place, so that the clusters are those of any other
    partitioning; dask-ml's own choice of first centres (k-means||) depends on it.

    Parameters
    ----------
    values : dask array, shape (n_rows, n_features)
        No NaN; known chunks of rows.
    n_clusters : int
    n_start : int
        Rows that first centres are looked for among.

    Raises
    ------
    InputError
        If there are fewer rows than clusters, or values are missing.
    """
    n_rows = values.shape[0]
    if n_clusters < 1 or n_rows < n_clusters:
        raise InputError(f"clusters: found {n_clusters} clusters of {n_rows} rows, expected 1…{n_rows}")
    if bool(da.isnan(values).any().compute()):
        raise InputError("clusters: values are missing; expected them filled")
    scaled = PartitionedScaler().fit_transform(values).persist()
    rows = np.sort(np.random.default_rng(seed).permutation(n_rows)[:n_start])
    first, _ = kmeans_plusplus(np.asarray(scaled[rows].compute()), n_clusters, random_state=seed)
    found = KMeans(n_clusters, init=first, random_state=seed).fit(scaled)
    labels = np.asarray(found.labels_.compute(), dtype=np.int64)
    return PartitionClusters(labels, np.asarray(found.cluster_centers_), float(found.inertia_))
