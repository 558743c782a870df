"""The neighbor graph as a product: what is planned is what is computed, on workers and in one process."""

import geopandas as gpd
import pandas as pd
import pytest
from oracles_contiguity import examined
from stores import QUIET, build_graph, done, ingest_sample, plan_of

from geomob_dask.errors import InputError
from geomob_dask.outputs.neighbors import edges_between, summary_lines
from geomob_dask.outputs.result import report
from geomob_dask.products.neighbors import Options
from geomob_dask.runs import engine
from geomob_dask.runs.landing import ingest


@pytest.fixture
def store(tmp_path):
    return ingest_sample(str(tmp_path / "store"), tmp_path)


def parts_of(store, collection):
    return {name: part.sha256 for name, part in store.snapshot(collection).parts.items()}


def commit_other_polygons(store, folder):
    """Commit the vintage again with its tracts moved apart: they have no neighbors."""
    tracts = store.frame("tracts/sample").compute(scheduler="synchronous")
    apart = gpd.GeoDataFrame(tracts.assign(geometry=tracts.buffer(-100.0)), crs=tracts.crs).reset_index(names="GEOID")
    apart.to_parquet(folder / "apart.parquet")
    ingest(store, "tracts", files=[str(folder / "apart.parquet")], vintage="sample")


@pytest.mark.parametrize("on_workers", [False, True])
def test_a_run_computes_from_the_polygons_of_its_plan(store, tmp_path, request, on_workers):
    other = ingest_sample(str(tmp_path / "other"), tmp_path)
    build_graph(other)
    plan = plan_of(store, Options(vintage="sample"), "neighbors")
    commit_other_polygons(store, tmp_path)
    engine.run(store, plan, request.getfixturevalue("client") if on_workers else None, QUIET)
    for collection in ("neighbors/sample", "differences/sample"):
        assert parts_of(store, collection) == parts_of(other, collection)
    attributes = store.snapshot("neighbors/sample").attributes
    assert attributes == other.snapshot("neighbors/sample").attributes
    assert attributes["tracts"] == other.snapshot("tracts/sample").checksum()
    assert not done(plan_of(store, Options(vintage="sample"), "neighbors"))


def test_the_store_holds_the_edges_the_differences_and_the_report(store):
    build_graph(store, islands="nearest:1")
    tracts = store.frame("tracts/sample").compute(scheduler="synchronous")
    expected = examined(tracts, islands="nearest:1")
    edges = edges_between(store, "sample").reset_index()
    pd.testing.assert_frame_equal(edges, expected.edges.astype({"rule": "str"}))
    prepared = plan_of(store, Options(vintage="sample", islands="nearest:1"), "neighbors").groups[0].prepared
    kept = report(store, prepared)
    assert (kept["tracts"], kept["queen"], kept["policy"]) == (len(tracts), expected.report.queen, "nearest:1")
    assert kept["islands"] == list(expected.report.islands)
    assert f"{expected.report.queen:,} queen pairs" in summary_lines(store, prepared)[0]


def test_states_within_two_steps_are_known(store):
    build_graph(store)
    edges = edges_between(store, "sample")
    reach = store.snapshot("neighbors/sample").attributes["reach"]
    two_steps = edges.merge(edges, left_on="neighbor", right_index=True)
    ends = {(one[:2], other[:2]) for one, other in zip(two_steps.index, two_steps["neighbor_y"], strict=True)}
    assert {(state, other) for state, others in reach.items() for other in others} == {
        (one, other) for one, other in ends if one != other
    }


@pytest.mark.parametrize(
    ("option", "value"), [("snap", -1.0), ("gap", float("inf")), ("islands", "nearest:0"), ("vintage", "")]
)
def test_bad_options_are_named(option, value):
    with pytest.raises(InputError, match=option):
        Options.of(**{"vintage": "sample", option: value})
