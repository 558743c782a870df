"""The main line on real clusters, folders and buckets: always the same bytes."""

import os
import signal

import distributed
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from distributed.diagnostics.plugin import SchedulerPlugin
from stores import DEFINITION, INDEX, QUIET, build_graph, build_index, contents, done, ingest_sample, plan_of

from geomob_dask.definition import Definition, read_definition
from geomob_dask.errors import DefinitionError, InputError
from geomob_dask.outputs.neighbors import edges_between
from geomob_dask.outputs.opportunity import summary_lines
from geomob_dask.outputs.result import report
from geomob_dask.products import neighbors, opportunity
from geomob_dask.products.opportunity import Options
from geomob_dask.runs.carriers import OnCluster
from geomob_dask.runs.engine import run
from geomob_dask.runs.landing import ingest
from geomob_dask.runs.planning import Request, make_plan
from geomob_dask.sources.sample import write_sample
from geomob_dask.store import Store


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> dict[str, str]:
    """Return the bytes of a store that was filled in one process, one task after the other."""
    folder = tmp_path_factory.mktemp("expected")
    store = ingest_sample(str(folder / "store"), folder)
    build_graph(store)
    build_index(store)
    found = contents(store)
    assert len(found) > 30
    return found


@pytest.fixture
def spread(monkeypatch) -> None:
    """Let every output be too large for one worker, so that its frames are spread over the cluster."""
    monkeypatch.setattr(OnCluster, "one_task", lambda carrier: 0.0)


def test_same_bytes_in_a_folder_on_a_cluster(expected, client, tmp_path):
    store = ingest_sample(str(tmp_path / "store"), tmp_path)
    build_graph(store, client)
    build_index(store, client)
    assert contents(store) == expected


@pytest.mark.usefixtures("spread")
def test_same_bytes_in_a_bucket_on_a_cluster(expected, client, bucket, tmp_path):
    store = ingest_sample(bucket, tmp_path)
    build_graph(store, client)
    build_index(store, client)
    assert contents(store) == expected


@pytest.mark.usefixtures("spread")
@pytest.mark.parametrize("workers", [1, 3])
def test_same_bytes_from_any_number_of_workers(expected, workers, s3_endpoint, bucket, tmp_path):
    with (
        distributed.LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        distributed.Client(cluster) as client,
    ):
        store = ingest_sample(bucket, tmp_path)
        build_graph(store, client)
        build_index(store, client)
        assert contents(store) == expected


@pytest.mark.usefixtures("spread")
def test_same_bytes_after_a_worker_is_killed_half_way(expected, tmp_path):
    store = ingest_sample(str(tmp_path / "store"), tmp_path)
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            silence_logs=50,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        for build, stage in ((build_graph, "match"), (build_index, "scored")):
            client.wait_for_workers(2)
            killer = _KillWhen(cluster, stage)
            cluster.scheduler.add_plugin(killer, name=stage)
            build(store, client)
            assert killer.killed, f"no worker was killed at {stage}"
    assert contents(store) == expected


def changed(options: Options, **new) -> Options:
    """Return options of which some are others."""
    return options.model_copy(update=new)


def test_an_index_is_spread_only_where_it_is_large(tmp_path, request):
    store = ingest_sample(str(tmp_path / "store"), tmp_path)
    build_graph(store)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        distributed.Client(cluster) as client,
    ):
        build_index(store, client)
        together = client.run_on_scheduler(_prefixes)
        request.getfixturevalue("spread")
        build_index(store, client, changed(INDEX, states=("92", "93")))
        spread = client.run_on_scheduler(_prefixes) - together
    assert any("scored" in name for name in spread)
    assert together
    assert not any("scored" in name for name in together)


def _prefixes(dask_scheduler) -> set[str]:
    return set(dask_scheduler.task_prefixes)


class _KillWhen(SchedulerPlugin):
    """Kill a worker with SIGKILL as soon as a task of some stage has run on it."""

    def __init__(self, cluster, stage: str) -> None:
        self.nannies, self.stage, self.killed = cluster.workers, stage, ""

    def transition(self, key, start, finish, *args, worker="", **kwargs) -> None:
        if not self.killed and finish == "memory" and isinstance(key, tuple) and self.stage in key[0]:
            (pid,) = (nanny.pid for nanny in self.nannies.values() if nanny.worker_address == worker)
            os.kill(pid, signal.SIGKILL)
            self.killed = worker


def test_what_is_up_to_date_is_not_computed_again(tmp_path):
    store = ingest_sample(str(tmp_path / "store"), tmp_path)
    build_graph(store)
    assert not done(plan_of(store, INDEX))
    build_index(store)
    assert done(plan_of(store, INDEX))
    assert done(plan_of(store, neighbors.Options(vintage="sample"), "neighbors"))
    assert not done(plan_of(store, neighbors.Options(vintage="sample", snap=1.0), "neighbors"))
    other = INDEX.definition.model_copy(update={"parameters": DEFINITION.parameters.model_copy(update={"scale": 30.0})})
    assert not done(plan_of(store, changed(INDEX, definition=other)))


def test_each_state_by_itself_equals_that_state_alone(tmp_path, client):
    store = ingest_sample(str(tmp_path / "store"), tmp_path)
    build_graph(store, client)
    by_itself = changed(INDEX, norm="state")
    build_index(store, client, by_itself)
    alone = changed(INDEX, states=("93",))
    build_index(store, client, alone)
    found = store.frame(by_itself.collection(), states=["93"]).compute()
    pd.testing.assert_frame_equal(found, store.frame(alone.collection()).compute(), check_exact=True)
    together = changed(INDEX, states=("92", "93"))
    build_index(store, client, together)
    assert not found["opportunity"].equals(store.frame(together.collection(), states=["93"]).compute()["opportunity"])


def test_norms_of_the_nation_and_of_a_frozen_year(tmp_path, client):
    store = ingest_sample(str(tmp_path / "store"), tmp_path)
    build_graph(store, client)
    build_index(store, client)
    everything = store.frame(INDEX.collection()).compute()
    nation = changed(INDEX, states=("93", "96"), norm="nation")
    build_index(store, client, nation)
    found = store.frame(nation.collection()).compute()
    pd.testing.assert_frame_equal(found, everything[everything.index.str[:2].isin(["93", "96"])], check_exact=True)

    measures = store.frame("measures/sample/2020").compute()
    later = tmp_path / "later.csv"
    measures.assign(poverty_pct=measures["poverty_pct"] + 5).to_csv(later)
    ingest(store, "measures", file=str(later), dataset="sample", year=2021, vintage="sample")
    own, frozen = changed(INDEX, year=2021), changed(INDEX, year=2021, norm="frozen:2020")
    build_index(store, client, own)
    build_index(store, client, frozen)
    own_table, frozen_table = (store.frame(request.collection()).compute() for request in (own, frozen))
    # Everybody is five points poorer: nobody moves among the others of 2021, everybody does against 2020.
    np.testing.assert_allclose(own_table["income"], everything["income"], atol=1e-6)
    assert (frozen_table["income"] >= everything["income"] - 1e-9)[everything["income"].notna()].all()
    assert frozen_table["income"].mean() > everything["income"].mean() + 2
    again = changed(INDEX, norm="frozen:2020")
    build_index(store, client, again)
    pd.testing.assert_frame_equal(store.frame(again.collection()).compute(), everything, check_exact=True)


@pytest.mark.usefixtures("spread")
def test_norms_in_parts_are_those_of_one_part(tmp_path, client, monkeypatch):
    """Many rows of norms are cut into parts, the same spread over workers as in memory; frozen runs read either."""
    whole = ingest_sample(str(tmp_path / "whole"), tmp_path)
    build_graph(whole)
    frozen, norms = changed(INDEX, norm="frozen:2020"), INDEX.collection("norms")
    for options in (INDEX, frozen):
        build_index(whole, options=options)
    (table,) = (whole.read(part) for part in whole.snapshot(norms).parts.values())
    monkeypatch.setattr(opportunity, "_ROWS_OF_NORMS", 100)
    monkeypatch.setattr(opportunity, "_ROWS_OF_A_PART", 250)
    stores = []
    for name, where in (("memory", None), ("spread", client)):
        store = ingest_sample(str(tmp_path / name), tmp_path)
        build_graph(store)
        for options in (INDEX, frozen):
            build_index(store, where, options)
            assert done(plan_of(store, options))
        stores.append(store)
        parts = [one.snapshot(frozen.collection()).parts.values() for one in (store, whole)]
        assert [part.sha256 for part in parts[0]] == [part.sha256 for part in parts[1]]
    one, other = stores
    assert contents(one, norms) == contents(other, norms)
    parts = one.snapshot(norms).parts
    domains = len(DEFINITION.domains)
    assert len(parts) == domains * -(-len(one.frame(INDEX.measures)) // 250) > domains
    tables = [one.read(part) for _, part in sorted(parts.items())]
    assert max(map(len, tables)) <= 250 + 2 * len(DEFINITION.measures)
    moments = [part[part["kind"] != "ranking"] for part in tables]
    rankings = [part[part["kind"] == "ranking"] for part in tables]
    pd.testing.assert_frame_equal(
        pd.concat([moments[0], *rankings], ignore_index=True), table.reset_index(drop=True), check_exact=True
    )
    assert all(one.equals(moments[0]) for one in moments)


def test_frozen_norms_of_another_definition_are_refused(tmp_path):
    store = ingest_sample(str(tmp_path / "store"), tmp_path)
    build_graph(store)
    build_index(store)
    other = DEFINITION.model_copy(update={"population": None})
    with pytest.raises(InputError, match=r"another definition of the same name \(it differs in population\)"):
        build_index(store, options=changed(INDEX, definition=other, norm="frozen:2020"))
    with pytest.raises(InputError, match=r"--norm frozen:1990: .*1990 of norms/opportunity/sample/sample.*--year 1990"):
        plan_of(store, changed(INDEX, norm="frozen:1990"))


def test_columns_that_the_measures_lack_are_refused_by_the_plan(tmp_path):
    store = ingest_sample(str(tmp_path / "store"), tmp_path)
    build_graph(store)
    income = DEFINITION.domains["income"]
    typo = [income[0].model_copy(update={"measure": income[0].measure[:-1]}), *income[1:]]
    wrong = DEFINITION.model_copy(update={"domains": {**DEFINITION.domains, "income": typo}})
    words = rf"'sample': no column {typo[0].measure} in measures/sample/2020; did you mean '{income[0].measure}'\?"
    with pytest.raises(DefinitionError, match=words):
        plan_of(store, changed(INDEX, definition=wrong))
    with pytest.raises(DefinitionError, match=r"no column populaton in .*did you mean 'population'\?"):
        plan_of(store, changed(INDEX, definition=DEFINITION.model_copy(update={"population": "populaton"})))


def test_a_run_computes_from_the_inputs_of_its_plan(tmp_path):
    """Another commit between planning and executing changes neither the result nor what is recorded of it."""
    store = ingest_sample(str(tmp_path / "store"), tmp_path)
    build_graph(store)
    build_index(store)
    expected = {state: part.sha256 for state, part in store.snapshot(INDEX.collection()).parts.items()}
    first = store.snapshot("measures/sample/2020")
    plan = make_plan(store, [Request("opportunity", INDEX)], reprocess="all")
    measures = store.frame("measures/sample/2020").compute()
    other = tmp_path / "other.csv"
    measures.assign(poverty_pct=measures["poverty_pct"].to_numpy()[::-1]).to_csv(other)
    ingest(store, "measures", file=str(other), dataset="sample", year=2020, vintage="sample")
    run(store, plan, None, QUIET)
    result = store.snapshot(INDEX.collection())
    assert {state: part.sha256 for state, part in result.parts.items()} == expected
    (provenance,) = (result.runs[name] for name in {part.run for part in result.parts.values()})
    assert provenance["inputs"]["measures/sample/2020"] == first.checksum()
    # What the store holds now is not what the result was made from.
    assert not done(plan_of(store, INDEX))


# Real data ---------------------------------------------------------------------------------


def of_recipe(recipe, **parameters):
    """The sample's definition with another recipe."""
    plain = DEFINITION.model_dump(mode="json")
    plain["parameters"] |= {"recipe": recipe, **parameters}
    return Definition.model_validate(plain | {"name": f"sample_{recipe}"})


@pytest.mark.parametrize("recipe", ["svi", "z_mean", "principal_component", "weighted_principal_component"])
def test_recipes_without_neighbors_read_measures_alone(recipe, tmp_path):
    store = Store(str(tmp_path / "store"))
    ingest(store, "measures", file=str(write_sample(tmp_path).measures), dataset="sample", year=2020, vintage="sample")
    request = Options(definition=of_recipe(recipe), dataset="sample", year=2020)
    plan = plan_of(store, request)
    assert list(plan.groups[0].prepared.provenance.inputs) == ["measures/sample/2020"]
    run(store, plan, None, QUIET)
    found = store.frame(plan.groups[0].collection).compute(scheduler="threads")
    measures = store.frame("measures/sample/2020").compute(scheduler="threads")
    assert found.index.tolist() == measures.index.tolist()
    complete = measures[list(DEFINITION.measures)].notna().all(axis=1) & measures["population"].ne(0)
    assert complete.sum() > 500
    assert found["opportunity"].notna().eq(complete).all()
    within = request.definition.parameters.opportunity_range
    lines = summary_lines(store, plan.groups[0].prepared)
    assert any(within.text in line for line in lines)
    assert not any("100" in line for line in lines if "quartile" in line)
    with pytest.raises(InputError, match=f"--norm frozen:2020: found the recipe '{recipe}', expected opportunity"):
        plan_of(store, changed(request, norm="frozen:2020"))


def test_the_same_recipe_with_neighbors_needs_their_graph(tmp_path):
    store = ingest_sample(str(tmp_path / "store"), tmp_path)
    request = Options(definition=of_recipe("z_mean", impute=True), dataset="sample", year=2020)
    with pytest.raises(InputError, match="no neighbors of vintage sample"):
        plan_of(store, request)
    build_graph(store)
    build_index(store, options=request)
    found = store.frame(request.collection()).compute(scheduler="threads")
    assert found["imputed_direct"].ne("").any()
    assert store.find(request.collection("norms")) is None


@pytest.fixture(scope="module")
def nation(real_data, client, tmp_path_factory) -> Store:
    """Return a store with all polygons of 2010 at hand, their graph and the measures of 2018."""
    store = Store(str(tmp_path_factory.mktemp("nation")))
    ingest(store, "tracts", files=[str(real_data / "tracts/cb500k_2010_vintage.parquet")], vintage="2010")
    ingest(
        store,
        "measures",
        file=str(real_data / "opportunity_2018/measures.csv.gz"),
        dataset="acs",
        year=2018,
        vintage="2010",
    )
    build_graph(store, client, "2010")
    return store


@pytest.fixture(scope="module")
def request_2018(real_data) -> Options:
    definition = read_definition(str(real_data / "opportunity_2018/definition.csv"))
    return Options(definition=definition, dataset="acs", year=2018)


@pytest.mark.real_data
def test_the_national_graph_is_that_of_one_tree(nation, real_data):
    frame = gpd.read_parquet(real_data / "tracts/cb500k_2010_vintage.parquet")
    polygons, keys = frame.geometry.to_numpy(), frame["GEOID"].to_numpy(object)
    one, other = shapely.STRtree(polygons).query(polygons, predicate="intersects")
    tree = {(a, b) for a, b in zip(keys[one], keys[other], strict=True) if a != b}
    edges = edges_between(nation, "2010").reset_index()
    found = set(zip(edges["focal"], edges["neighbor"], strict=True))
    assert len(found) == len(edges)
    # Two corners on the line of New Mexico and Texas lie 3e-15 degrees apart: the snap grid joins
    # them, `intersects` does not, and the report says so. Without the grid, the graphs are equal.
    across_a_gap = {("35013001701", "48141001301"), ("48141001301", "35013001701")}
    assert found - tree == across_a_gap
    assert tree <= found
    kept = report(nation, plan_of(nation, neighbors.Options(vintage="2010"), "neighbors").groups[0].prepared)
    assert kept["only_vertex"] == {"count": 1, "sample": [["35013001701", "48141001301"]]}
    assert len(kept["islands"]) == 23
    assert (kept["queen"], kept["interstate"]) == (217_739, 3_383)


@pytest.mark.real_data
def test_indiana_alone_equals_the_independent_program(nation, real_data, client, request_2018):
    request = changed(request_2018, states=("18",))
    build_index(nation, client, request)
    found = nation.frame(request.collection()).compute()
    path = real_data / "opportunity_2018/expected_indiana.csv.gz"
    expected = pd.read_csv(path, dtype={"GEOID": str}).set_index("GEOID").sort_index()
    columns = dict.fromkeys(request.definition.domains) | {"deprivation": "DI", "opportunity": "OOI"}
    for ours, theirs in columns.items():
        np.testing.assert_allclose(found.loc[expected.index, ours], expected[theirs or ours], rtol=0, atol=1e-9)
    left = found.drop(expected.index)
    assert left["reason"].to_dict() == dict.fromkeys(
        ["18089990000", "18091990000", "18127990000"], "no polygon in this vintage"
    )


@pytest.mark.real_data
def test_ohio_with_its_neighbors(nation, client, request_2018):
    request = changed(request_2018, states=("18", "21", "26", "39", "54"))
    build_index(nation, client, request)
    found = nation.frame(request.collection(), states=["39"]).compute()
    assert found["opportunity"].notna().sum() == 2_948
    assert (found.loc[found["opportunity"].isna(), "reason"] != "").all()
    # Imputation reaches across the state's line: alone, Ohio comes out otherwise.
    alone = changed(request_2018, states=("39",))
    build_index(nation, client, alone)
    assert not nation.frame(alone.collection()).compute()["opportunity"].equals(found["opportunity"])


@pytest.mark.real_data
def test_the_whole_nation_equals_one_array(nation, client, request_2018):
    from geomob_dask.graph.neighborhoods import adjacency
    from geomob_dask.transforms.opportunity import opportunity_index

    build_index(nation, client, request_2018)
    found = nation.frame(request_2018.collection()).compute()
    polygons = set(nation.frame("tracts/2010", columns=["aland"]).compute().index)
    measures = nation.frame("measures/acs/2018").compute()
    assert set(found.index) == polygons | set(measures.index)
    assert found["reason"].value_counts()[["no polygon in this vintage", "no row in the measures"]].tolist() == [
        3_559,
        1_037,
    ]
    keys = measures.index[measures.index.isin(polygons)]
    edges = edges_between(nation, "2010").reset_index()
    focal, neighbor = keys.get_indexer(edges["focal"]), keys.get_indexer(edges["neighbor"])
    known = (focal >= 0) & (neighbor >= 0)
    definition = request_2018.definition
    rows = measures.loc[keys]
    steps = opportunity_index(
        rows[list(definition.measures)].to_numpy() * np.array(definition.directions),
        rows["population"].to_numpy(),
        adjacency(focal[known], neighbor[known], len(keys)),
        measures=definition.measures,
        domain_of=definition.domain_of,
    )
    np.testing.assert_array_equal(found.loc[keys, list(definition.domains)], steps.scores)
    np.testing.assert_array_equal(found.loc[keys, "opportunity"], steps.opportunity)
