"""A small product: job, dry run, backfill, cube, export and Python function come by themselves."""

import pandas as pd
import pytest
import yaml
from backfill_country import fill, ingest_year

import geomob_dask as gd
from geomob_dask.products.catalog import product_named
from geomob_dask.runs.engine import run
from geomob_dask.runs.planning import Request, make_plan
from geomob_dask.store import Store
from geomob_dask.store.cubes import open_cube

ASKED = ("--dataset", "made", "--year", 2020, "--groups", "owners,renters", "--by", "county")


@pytest.fixture
def store(tmp_path) -> Store:
    return fill(str(tmp_path / "store"), tmp_path, years=(2019, 2020))


def test_the_job_plans_computes_and_exports(job, store, tmp_path):
    common = ("--store", store.url, "--cluster", "serial")
    done = job("location_quotients", *ASKED, *common, "--dry-run")
    assert done.code == 0, done.err
    assert "3 outputs to results/location_quotients" in done.out
    assert store.collections("results") == []
    file = tmp_path / "lq.csv"
    assert job("location_quotients", *ASKED, *common, "--export", file).code == 0
    assert "up to date" in job("location_quotients", *ASKED, *common, "--dry-run").out
    found = pd.read_csv(file, dtype={"geoid": str, "region": str}).set_index("geoid")
    measures = store.frame("measures/made/2020").compute()
    counts = measures[["owners", "renters"]]
    shares = counts.div(counts.sum(axis=1), axis=0)
    county = counts.groupby(counts.index.str[:5]).sum()
    of_county = county.div(county.sum(axis=1), axis=0).loc[counts.index.str[:5]].set_axis(counts.index)
    for group in counts:
        expected = (shares[group] / of_county[group]).loc[found.index]
        pd.testing.assert_series_equal(found[f"location_quotient_{group}"], expected, check_names=False, rtol=1e-12)
    # The function of frames says the same without a store.
    table = gd.local(measures, groups=["owners", "renters"], by="county")
    assert table["location_quotient_owners"].loc[found.index].to_numpy() == pytest.approx(
        found["location_quotient_owners"].to_numpy(), rel=1e-12, nan_ok=True
    )


def test_it_can_be_backfilled_into_a_cube(job, store, tmp_path):
    entry = {"job": "location_quotients", "dataset": "made", "groups": "owners,renters", "by": "county", "cube": "lq"}
    file = tmp_path / "night.yaml"
    file.write_text(yaml.safe_dump({"name": "night", "products": {"quotients": entry}}))
    done = job("backfill", file, "--years", "2019:2020", "--store", store.url, "--cluster", "serial")
    assert done.code == 0, done.err
    assert len(store.snapshot("results/location_quotients/listed/made/2019/each-county").parts) == 3
    cube = open_cube(store.url, "lq")
    assert cube.sizes["year"] == 2


def test_a_run_computes_from_the_inputs_of_its_plan(store, tmp_path):
    options = product_named("location_quotients").options.of(
        dataset="made", year=2020, groups="owners,renters", by="county"
    )
    plan = make_plan(store, [Request("location_quotients", options)])
    first = store.snapshot("measures/made/2020").checksum()
    ingest_year(store, tmp_path, 2020, seed=5)
    from rich.console import Console

    run(store, plan, None, Console(quiet=True))
    result = store.snapshot(plan.groups[0].collection)
    (provenance,) = result.runs.values()
    assert provenance["inputs"]["measures/made/2020"] == first
    other = make_plan(store, [Request("location_quotients", options)], reprocess="all")
    run(store, other, None, Console(quiet=True))
    changed = store.snapshot(plan.groups[0].collection)
    assert {part.sha256 for part in changed.parts.values()} != {part.sha256 for part in result.parts.values()}
