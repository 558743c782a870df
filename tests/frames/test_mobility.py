"""Mobility of frames: the same from memory, partitions, clusters and the job; lazy where it can be."""

import asyncio
import warnings
from dataclasses import replace

import dask.dataframe as dd
import dask_geopandas
import distributed
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from mobility_grid import FEATURES, QUIET, zones_store, zones_tables
from stores import plan_of

from geomob_dask.errors import InputError, RunError
from geomob_dask.frames.futures import Call, completed
from geomob_dask.frames.mobility import MobilityResult, MobilityStudy, mobility, predict
from geomob_dask.models.model_files import from_bytes, to_bytes
from geomob_dask.products.mobility import Options
from geomob_dask.products.mobility_result import read_result
from geomob_dask.runs.engine import run
from geomob_dask.sources.opportunity_insights import UPWARD_MOBILITY, zone_columns

QUICK = {"models": ["elastic_net"], "folds": ["stratified:3"], "repeats": 1, "grid": "small"}


def towns(n=120, seed=0):
    """Rows with integer keys in no order, a planted signal, missing values and outcomes, and text."""
    draws = np.random.default_rng(seed)
    frame = pd.DataFrame(draws.normal(size=(n, 2)), columns=["jobs", "rain"], index=draws.permutation(n) + 1000)
    frame["rank"] = 45 + 3 * frame["jobs"] + draws.normal(size=n)
    frame["state"] = np.array(["IN", "OH", "KY", "IL"])[np.arange(n) % 4]
    frame.iloc[3, [0, 1]] = np.nan
    frame.iloc[7, 0] = np.nan
    frame.iloc[11, 2] = np.nan
    return frame.rename_axis("town")


def same(one: MobilityResult, other: MobilityResult) -> None:
    assert list(one.tables) == list(other.tables)
    for name, table in one.tables.items():
        pd.testing.assert_frame_equal(table, other.tables[name], check_exact=True)
    for name, model in one.models.items():
        assert to_bytes(model) == to_bytes(other.models[name])


@pytest.fixture(scope="module")
def whole() -> MobilityResult:
    return mobility(towns(), "rank", features=["jobs", "rain"], states="state", **QUICK)


def test_the_job_says_the_same_of_the_same_units(tmp_path) -> None:
    tables = zones_tables()
    folds = ("stratified:3", "states:3", "contiguity:3:1")
    store = zones_store(str(tmp_path), tables)
    options = Options(model=("elastic_net", "ordinal"), features=FEATURES, folds=folds, repeats=1, grid="small")
    run(store, plan_of(store, options, "mobility"), None, QUIET)
    stored = read_result(store, options.collection).tables
    frame = tables["characteristics"].join(tables["outcomes"][[UPWARD_MOBILITY]])
    frame = gpd.GeoDataFrame(frame, geometry=tables["polygons"].geometry)
    frame = frame[tables["cohort"]["minority_tracts_count"] > 0]
    domains = {column.name: column.domain for column in zone_columns()}
    found = mobility(
        frame, UPWARD_MOBILITY, features=FEATURES, models=["elastic_net", "ordinal"], folds=folds, repeats=1,
        grid="small", states="state", domains=domains, edges=tables["neighbors"],
    )  # fmt: skip
    for name in ("scores", "predictions", "calibration", "confusion", "ranking", "settings", "clusters"):
        pd.testing.assert_frame_equal(found.tables[name], stored[name], check_exact=True, check_names=False)
    columns = ["model", "kind", "name", "value", "lower", "upper"]
    pd.testing.assert_frame_equal(found.importance[columns], stored["importance"][columns], check_exact=True)


def test_results_have_the_keys_of_the_frame(whole) -> None:
    frame = towns()
    known = frame.index[frame["rank"].notna()]
    assert whole.predictions.index.equals(known)
    assert whole.tables["units"].index.equals(known)
    assert whole.tables["units"]["outcome"].to_numpy() == pytest.approx(frame.loc[known, "rank"].to_numpy())
    hits = whole.predictions["predicted"].to_numpy() == whole.tables["units"]["actual"].to_numpy()
    assert hits.mean() > 0.8
    assert whole.importance.iloc[0]["name"] == "jobs"
    assert set(whole.importance["kind"]) == {"feature"}
    assert "state" in set(whole.scores["model"])
    assert "119 units: below_mean" in repr(whole)
    model = whole.models["elastic_net"]
    assert to_bytes(from_bytes(to_bytes(model), "file")) == to_bytes(model)


def test_without_states_there_is_no_rule_by_state(whole) -> None:
    found = mobility(towns(), "rank", features=["jobs", "rain"], **QUICK)
    assert "state" not in set(found.scores["model"])
    pd.testing.assert_frame_equal(found.predictions, whole.predictions)


@pytest.mark.parametrize("partitions", [1, 2, 50])
def test_a_dask_frame_is_computed_when_asked(whole, partitions: int) -> None:
    study = mobility(dd.from_pandas(towns(), partitions, sort=False), "rank", states="state", **QUICK)
    assert isinstance(study, MobilityStudy)
    assert "not computed" in repr(study)
    same(study.compute(), whole)


def test_on_a_cluster(whole, client) -> None:
    same(mobility(dd.from_pandas(towns(), 3, sort=False), "rank", states="state", **QUICK).compute(client), whole)


def counted(number: int, reads: str) -> pd.DataFrame:
    with open(reads, "a") as file:
        file.write(f"{number}\n")
    return towns().iloc[number * 40 : number * 40 + 40]


def test_nothing_is_read_before_it_is_computed(whole, tmp_path) -> None:
    reads = tmp_path / "reads"
    frame = dd.from_map(counted, [0, 1, 2], reads=str(reads), meta=towns().iloc[:0])
    study = mobility(frame, "rank", states="state", **QUICK)
    predicted = predict(frame, whole.models["elastic_net"])
    assert not reads.exists()
    assert predicted.npartitions == 3
    predicted.compute(scheduler="synchronous")
    assert sorted(reads.read_text().split()) == ["0", "1", "2"]
    same(study.compute(), whole)
    assert len(reads.read_text().split()) == 6


def test_frames_with_polygons_and_their_neighbors(whole) -> None:
    frame = towns()
    shapes = gpd.GeoDataFrame(frame, geometry=gpd.points_from_xy(range(len(frame)), [0] * len(frame)), crs="EPSG:5070")
    found = mobility(shapes, "rank", states="state", **QUICK)
    same(
        mobility(dask_geopandas.from_geopandas(shapes, 2, sort=False), "rank", states="state", **QUICK).compute(), found
    )
    # Places adjust correlations, and nothing else.
    adjusted = [name for name in found.tables["ranking"] if name.endswith(("_adjusted", "_effective_units"))]
    assert found.tables["ranking"]["pearson_effective_units"].between(3, 118).all()
    assert (found.tables["ranking"]["pearson_p_adjusted"] >= found.tables["ranking"]["pearson_p_unadjusted"]).all()
    blank = found.tables["ranking"].assign(**dict.fromkeys(adjusted, np.nan))
    same(replace(found, tables={**found.tables, "ranking": blank}), whole)
    same(mobility(shapes.set_crs(None, allow_override=True), "rank", states="state", **QUICK), whole)
    line = pd.DataFrame(
        {"neighbor": [*frame.index[1:], *frame.index[:-1]]}, index=[*frame.index[:-1], *frame.index[1:]]
    )
    options = {**QUICK, "folds": ["contiguity:3:1"]}
    here = mobility(shapes, "rank", edges=line, **options)
    there = mobility(shapes, "rank", edges=dd.from_pandas(line, 2, sort=False), **options)
    same(there.compute(), here)
    assert (here.tables["settings"]["train_units"] + here.tables["settings"]["test_units"] < 119).any()


# Predictions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("partitions", [1, 2, 50])
def test_predictions_do_not_depend_on_partitions(whole, partitions: int, client) -> None:
    frame, model = towns(), whole.models["elastic_net"]
    here = predict(frame, model)
    assert here.index.equals(frame.index)
    assert (here["predicted_class"].iloc[3], here.iloc[3, 1:].isna().all()) == ("", True)
    assert here["above_mean_probability"].drop(frame.index[3]).between(0, 1).all()
    lazy = predict(dd.from_pandas(frame, partitions, sort=False), model)
    assert lazy.dtypes.equals(here.dtypes)
    for got in (lazy.compute(scheduler="synchronous"), client.compute(lazy, sync=True)):
        pd.testing.assert_frame_equal(got, here, rtol=1e-12)


def test_an_empty_partition_has_no_predictions(whole) -> None:
    frame = dd.concat([dd.from_pandas(towns().iloc[:0], 1), dd.from_pandas(towns(), 2)])
    assert len(predict(frame, whole.models["elastic_net"]).compute(scheduler="synchronous")) == 120


def test_a_frame_that_lacks_a_feature(whole) -> None:
    for frame in (towns()[["jobs"]], dd.from_pandas(towns()[["jobs"]], 2)):
        with pytest.raises(InputError, match="'rain'"):
            predict(frame, whole.models["elastic_net"])


def test_inside_an_event_loop_with_an_asynchronous_client(whole) -> None:
    async def notebook() -> pd.DataFrame:
        options = {"n_workers": 2, "processes": False, "dashboard_address": "127.0.0.1:0", "asynchronous": True}
        async with (
            distributed.LocalCluster(**options) as cluster,
            distributed.Client(cluster, asynchronous=True) as user,
        ):
            lazy = dd.from_pandas(towns(), 3, sort=False)
            study = mobility(lazy, "rank", states="state", **QUICK)
            same(study.compute(), whole)
            with pytest.raises(InputError, match="asynchronous"):
                study.compute(user)
            return await user.compute(predict(lazy, whole.models["elastic_net"]))

    with warnings.catch_warnings():
        # The loop waits while models are fitted in it, and distributed notices.
        warnings.simplefilter("ignore", UserWarning)
        found = asyncio.run(notebook())
    pd.testing.assert_frame_equal(found, predict(towns(), whole.models["elastic_net"]), rtol=1e-12)


# Bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"outcome": "happiness"}, "happiness"),
        ({"outcome": "state"}, "state"),
        ({"states": "county"}, "county"),
        ({"features": ["jobs", "rank"]}, "rank"),
        ({"features": ["wealth"]}, "wealth"),
        ({"features": ["jobs", "jobs"]}, "jobs"),
        ({"features": []}, "features"),
        ({"models": ["oracle"]}, "oracle"),
        ({"classes": 3}, "3"),
        ({"folds": ["rings:3"]}, "rings"),
        ({"folds": ["contiguity:3:1"]}, "contiguity"),
        ({"grid": "huge"}, "huge"),
        ({"repeats": 0}, "0"),
    ],
)
@pytest.mark.parametrize("lazy", [False, True])
def test_what_cannot_be_studied(changes, names, lazy: bool) -> None:
    def compute() -> None:
        frame = dd.from_pandas(towns(), 2) if lazy else towns()
        mobility(frame, **{"outcome": "rank", **QUICK, **changes}).compute()

    with pytest.raises(InputError, match=names):
        compute()


def test_units_that_cannot_be_studied() -> None:
    frame = towns()
    frame.iloc[5, 1] = np.inf
    with pytest.raises(InputError, match=f"'rain', unit {frame.index[5]}"):
        mobility(frame, "rank", **QUICK)
    frame = towns().assign(copy=lambda rows: -2 * rows["rank"])
    with pytest.raises(InputError, match="'copy'"):
        mobility(frame, "rank", **QUICK)
    with pytest.raises(InputError, match=f"{towns().index[0]}"):
        mobility(pd.concat([towns(), towns().iloc[:1]]), "rank", **QUICK)


# Futures -------------------------------------------------------------------------------------


def shared_sum(numbers, weights, factor):
    return float(factor * (numbers @ weights))


def stages(dask_scheduler):
    return {name.rsplit("-", 1)[0] for name in dask_scheduler.task_groups}


def test_calls_are_named_in_the_dashboard(client) -> None:
    calls = [Call("weigh", f"times {factor}", shared_sum, (factor,)) for factor in range(4)]
    values = (np.arange(3.0), np.ones(3))
    here = {call.name: found for call, found in completed(calls, values, None)}
    running = completed(calls, values, client)
    there = dict([next(running)])
    assert "weigh" in client.run_on_scheduler(stages)
    there |= dict(running)
    assert {call.name: found for call, found in there.items()} == here == {f"times {k}": 3.0 * k for k in range(4)}


def broken(numbers):
    raise ZeroDivisionError("by nothing")


def test_a_failure_names_the_call(client) -> None:
    with pytest.raises(RunError, match="weigh first: ZeroDivisionError"):
        list(completed([Call("weigh", "first", broken)], (np.arange(3.0),), client))
