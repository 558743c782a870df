"""Searches of mobility models: ours, scikit-learn's and dask-ml's, side by side.

Needs the workbook of commuting zones (GEOMOB_DATA) for the zones; the larger tables are made up. Prints tables; every
figure comes from this run. CPU seconds are of this process and, on a cluster, of its workers.

    python benchmarks/mobility.py
    python benchmarks/mobility.py --quick
"""

import argparse
import os
import resource
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import distributed
import numpy as np
import pandas as pd
import psutil
from dask_ml.model_selection import GridSearchCV as DaskGridSearchCV
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from geomob_dask.frames.model_search import search
from geomob_dask.models.catalog import L1_RATIOS, MODELS, PENALTIES, pipeline_settings
from geomob_dask.models.elastic_net import logistic_path
from geomob_dask.models.folds import stratified_folds
from geomob_dask.models.search import Sample, Search, SearchResult
from geomob_dask.sources.opportunity_insights import UPWARD_MOBILITY, read_workbook

WORKBOOK = "mobility/online_data_tables-8.xls"


def zones(data: Path) -> Sample:
    """Return 500 commuting zones with the attributes of the workbook, two classes at the mean of upward mobility."""
    book = read_workbook(str(data / WORKBOOK))
    known = book.outcomes[UPWARD_MOBILITY].dropna().index.intersection(book.characteristics.index)[:500]
    table = book.characteristics.loc[known].select_dtypes("number")
    table = table.loc[:, table.max() > table.min()]
    outcome = book.outcomes.loc[known, UPWARD_MOBILITY].to_numpy(float)
    return Sample(table.to_numpy(float), (outcome > outcome.mean()).astype(np.int64), 2, tuple(table))


def made_up(n: int, p: int, seed: int = 0) -> Sample:
    """Return rows with correlated features, eight of which make the classes."""
    draw = np.random.default_rng(seed)
    values = draw.standard_normal((n, p)) + draw.standard_normal((n, 1))
    score = values[:, :8] @ np.linspace(1, -1, 8) + 2 * draw.logistic(size=n)
    return Sample(values, (score > np.median(score)).astype(np.int64), 2, tuple(f"x{k}" for k in range(p)))


def cpu(act: Callable[[], Any], client: distributed.Client | None = None) -> tuple[float, float, Any]:
    """Return CPU seconds, wall seconds and the result of a call."""
    before = _cpu_of(client)
    start = time.perf_counter()
    result = act()
    wall = time.perf_counter() - start
    return _cpu_of(client) - before, wall, result


def _cpu_of(client: distributed.Client | None) -> float:
    workers = sum(client.run(time.process_time).values()) if client else 0.0
    return time.process_time() + workers


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _pipeline() -> Any:
    model = LogisticRegression(solver="saga", max_iter=100, l1_ratio=0.5, random_state=0)
    return make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), model)


# Features are prepared outside the folds: it takes no pipeline. The first row stops where scikit-learn does by default.
_BY_CV = (("LogisticRegressionCV", 1e-4, 100), ("LogisticRegressionCV, tolerance 1e-6", 1e-6, 5000))


def elastic_net(
    sample: Sample,
    grid: dict[str, list[float]],
    n_folds: int,
    client: distributed.Client | None,
    others: tuple[str, ...],
) -> pd.DataFrame:
    """Time the same elastic-net search by each method, chosen by log loss."""
    folds = tuple(stratified_folds(sample.codes, n_folds))
    splits = [(fold.train, fold.test) for fold in folds]
    one = {"search": Search("elastic_net", folds, grid)}
    named = {"logisticregression__C": grid["C"], "logisticregression__l1_ratio": grid["l1_ratio"]}
    rows = []

    def record(method: str, timed: tuple[float, float, Any], best: dict[str, float], loss: float) -> None:
        rows.append((method, timed[0], timed[1], f"{best['C']:.3g}", f"{best['l1_ratio']:.2f}", loss))

    def of(found: SearchResult) -> tuple[dict[str, float], float]:
        return found.best(), float(found.losses.mean(axis=1).min())

    # Compiled code comes from the cache in the second run of a program; here it is compiled before the clock starts.
    logistic_path(np.eye(4), np.array([0, 1, 0, 1]), 2, [1.0, 2.0], 0.5)
    timed = cpu(lambda: search(sample, one)["search"])
    record("warm path, this process", timed, *of(timed[2]))
    if client:
        timed = cpu(lambda: search(sample, one, client=client)["search"], client)
        record("warm path, on the cluster", timed, *of(timed[2]))
    for method, tolerance, steps in _BY_CV:
        if method not in others:
            continue

        def by_cv(tolerance: float = tolerance, steps: int = steps) -> tuple[dict[str, float], float]:
            prepared = make_pipeline(SimpleImputer(strategy="median"), StandardScaler()).fit_transform(sample.values)
            model = LogisticRegressionCV(
                Cs=grid["C"],
                l1_ratios=grid["l1_ratio"],
                solver="saga",
                cv=splits,
                scoring="neg_log_loss",
                tol=tolerance,
                max_iter=steps,
                random_state=0,
                refit=True,
                use_legacy_attributes=False,
            ).fit(prepared, sample.codes)
            return {"C": float(model.C_), "l1_ratio": float(model.l1_ratio_)}, float(-model.scores_.mean(axis=0).max())

        timed = cpu(by_cv)
        record(method, timed, *timed[2])
    for method, kind, options in (
        ("scikit-learn GridSearchCV", GridSearchCV, {}),
        ("dask-ml GridSearchCV", DaskGridSearchCV, {"scheduler": client or "synchronous", "iid": False}),
    ):
        if method.split()[0] not in others:
            continue
        found = kind(_pipeline(), named, cv=splits, scoring="neg_log_loss", refit=False, **options)
        timed = cpu(lambda found=found: found.fit(sample.values, sample.codes), client)
        means = found.cv_results_["mean_test_score"]
        setting = {name.split("__")[1]: value for name, value in found.cv_results_["params"][means.argmax()].items()}
        record(method, timed, setting, float(-means.max()))
    return pd.DataFrame(rows, columns=["method", "CPU s", "wall s", "C", "l1 ratio", "log loss"])


def trees(sample: Sample, n_folds: int, client: distributed.Client | None, *, small: bool) -> pd.DataFrame:
    """Time the forest's and the boosting's search through dask-ml beside scikit-learn's."""
    folds = tuple(stratified_folds(sample.codes, n_folds))
    rows = []
    for name in ("forest", "boosting"):
        grid = {key: list(values)[: 1 if small else None] for key, values in MODELS[name].grid.items()}
        one = {name: Search(name, folds, grid)}
        used, wall, ours = cpu(lambda one=one, name=name: search(sample, one, client=client)[name], client)
        theirs = GridSearchCV(
            MODELS[name].build(sample.n_classes, 0),
            pipeline_settings(grid),
            scoring="neg_log_loss",
            cv=[(fold.train, fold.test) for fold in folds],
            refit=False,
        )
        other, other_wall, _ = cpu(lambda theirs=theirs: theirs.fit(sample.values, sample.codes))
        np.testing.assert_allclose(
            ours.losses.mean(axis=1).min(), -theirs.cv_results_["mean_test_score"].max(), atol=1e-6
        )
        rows += [(name, "dask-ml, on the cluster", used, wall), (name, "scikit-learn", other, other_wall)]
    return pd.DataFrame(rows, columns=["model", "search", "CPU s", "wall s"])


def growth(sizes: list[int], p: int, grid: dict[str, list[float]]) -> pd.DataFrame:
    """Time the warm path's search as rows grow."""
    rows = []
    for n in sizes:
        sample = made_up(n, p)
        one = {"search": Search("elastic_net", tuple(stratified_folds(sample.codes, 5)), grid)}
        used, wall, _ = cpu(lambda sample=sample, one=one: search(sample, one))
        rows.append((n, used, wall, 1e6 * used / n))
    return pd.DataFrame(rows, columns=["rows", "CPU s", "wall s", "CPU µs a row"])


def workers(sample: Sample, grid: dict[str, list[float]], counts: list[int]) -> pd.DataFrame:
    """Time the search on clusters of one and two workers, warmed up, and their largest memory."""
    one = {"search": Search("elastic_net", tuple(stratified_folds(sample.codes, 5)), grid)}
    warm = made_up(100, 9)
    first = {
        "warm": Search("elastic_net", tuple(stratified_folds(warm.codes, 5)), {"C": [1.0, 2.0], "l1_ratio": [0.5]})
    }
    rows = []
    for count in counts:
        with (
            distributed.LocalCluster(
                n_workers=count, threads_per_worker=1, dashboard_address="127.0.0.1:0", memory_limit="2GiB"
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            client.wait_for_workers(count)
            search(warm, first, client=client)
            used, wall, _ = cpu(lambda client=client: search(sample, one, client=client), client)
            rows.append((count, wall, used, max(client.run(_peak_mib).values())))
    table = pd.DataFrame(rows, columns=["workers", "wall s", "CPU s", "largest MiB"])
    return table.assign(**{"times one worker": table["wall s"].iloc[0] / table["wall s"]})


def _show(title: str, table: pd.DataFrame) -> None:
    print(f"\n{title}\n{table.round(4).to_string(index=False)}", flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line, run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("GEOMOB_DATA"), help="folder of the real tables")
    parser.add_argument("--quick", action="store_true", help="everything small: does it run at all?")
    parser.add_argument("--workers", type=int, default=2, help="worker processes")
    options = parser.parse_args(arguments)
    # Also in worker processes: the peers stop before they are at the optimum, and say so at every fit.
    os.environ["PYTHONWARNINGS"] = "ignore"
    warnings.filterwarnings("ignore", category=UserWarning)
    warnings.filterwarnings("ignore", category=FutureWarning)
    quick = options.quick
    print(f"{psutil.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB")
    whole = {"C": list(PENALTIES), "l1_ratio": list(L1_RATIOS)}
    few = {"C": [0.01, 0.1, 1.0], "l1_ratio": [0.0, 0.5]}
    coarse = {"C": list(PENALTIES[18:28:2]), "l1_ratio": [0.0, 0.5, 0.95]}
    every = (_BY_CV[0][0], "scikit-learn", "dask-ml")
    small = (
        zones(Path(options.data)) if options.data and not quick else made_up(150 if quick else 500, 9 if quick else 40)
    )
    if not options.data:
        print("GEOMOB_DATA is not set: zones are made up")
    with threadpool_limits(1):
        with (
            distributed.LocalCluster(
                n_workers=options.workers, threads_per_worker=1, dashboard_address="127.0.0.1:0"
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            table = elastic_net(small, few if quick else whole, 5, client, every)
            _show(f"Elastic net, {len(small.codes)} × {len(small.names)} zones, 5 folds", table)
            _show("Trees on the same", trees(small, 3 if quick else 5, client, small=quick))
        large = made_up(400 if quick else 85_000, 9 if quick else 60)
        _show(
            f"Elastic net, {len(large.codes):,} × {len(large.names)} rows, 15 settings, 5 folds",
            elastic_net(large, few if quick else coarse, 5, None, tuple(method for method, _, _ in _BY_CV)),
        )
        _show("Growth, 60 features", growth([200, 400] if quick else [10_000, 20_000, 40_000, 80_000], 60, few))
        tracts = made_up(300 if quick else 72_000, 9 if quick else 22)
        _show(
            f"Workers, {len(tracts.codes):,} × {len(tracts.names)} tracts",
            workers(tracts, few if quick else {"C": list(PENALTIES), "l1_ratio": list(L1_RATIOS[::4])}, [1, 2]),
        )


if __name__ == "__main__":
    main()
