"""Products that name a cube are brought into it, year by year, once they are committed."""

import distributed
import numpy as np
import pytest
from backfill_country import QUIET, backfill_of, command, fill, run_command, write_file

import geomob_dask
from geomob_dask.errors import DefinitionError
from geomob_dask.products.cube import Cubes
from geomob_dask.runs.backfill.cubes import write_cubes
from geomob_dask.runs.backfill.plan import Asked, plan_backfill
from geomob_dask.runs.engine import execute

CUBES = {"index": {"cube": "index_years"}, "counties": {"cube": "county_years"}}


def test_a_cube_holds_what_the_years_hold_and_takes_up_a_further_one(client, tmp_path):
    store = fill(str(tmp_path / "store"), tmp_path)
    backfill = backfill_of(tmp_path, "index", "counties", "mixed", **CUBES)
    for years in ((2019, 2020), (2020, 2021)):
        plan = plan_backfill(store, backfill, Asked(years=years))
        assert execute(store, plan, client, QUIET).fine
        done = write_cubes(store, plan, client, QUIET)
        assert [(cube.name, cube.error) for cube in done] == [("index_years", ""), ("county_years", "")]
        assert all(str(years[-1]) in cube.message for cube in done)
    assert all("nothing to do" in cube.message for cube in write_cubes(store, plan, None, QUIET))
    cube = geomob_dask.open_cube(store.url, "index_years")
    assert cube.year.values.tolist() == [2019, 2020, 2021]
    for year in (2019, 2021):
        table = store.frame(f"results/opportunity/index/made/{year}/each-state").compute(scheduler="threads")
        found = cube.estimate.sel(year=year, measure="opportunity").sel(tract=table.index.to_numpy(object))
        np.testing.assert_array_equal(found.values, table["opportunity"])


def test_a_cube_that_cannot_be_written_is_reported_and_stops_nothing(tmp_path):
    store = fill(str(tmp_path / "store"), tmp_path, years=(2020,))
    backfill = backfill_of(tmp_path, "index", "counties", **CUBES)
    asked = Asked(years=(2020,))
    assert execute(store, plan_backfill(store, backfill, asked), None, QUIET).fine
    assert [cube.error for cube in write_cubes(store, plan_backfill(store, backfill, asked), None, QUIET)] == ["", ""]
    swapped = {"index": {"cube": "county_years"}, "counties": {"cube": "other"}}
    file = write_file(tmp_path, "index", "counties", name="swapped", **swapped)
    done = run_command(command(file, store.url, "--years", 2020))
    assert done.returncode == 1
    assert "cube county_years: " in done.stdout
    assert "cube other: " in done.stdout
    assert "error: cubes not written: county_years" in done.stderr


def test_two_products_do_not_share_a_cube(tmp_path):
    with pytest.raises(DefinitionError, match="cube one: found for index and counties, expected a cube each"):
        backfill_of(tmp_path, "index", "counties", index={"cube": "one"}, counties={"cube": "one"})


@pytest.mark.parametrize("error", [OSError("disk full"), distributed.comm.core.CommClosedError("gone")])
def test_a_cube_that_fails_outside_the_package_is_reported_too(tmp_path, monkeypatch, error):
    store = fill(str(tmp_path / "store"), tmp_path, years=(2020,))
    plan = plan_backfill(store, backfill_of(tmp_path, "index", "counties", **CUBES), Asked(years=(2020,)))
    assert execute(store, plan, None, QUIET).fine

    attempts = []

    def fails(self, store, prepared, *rest):
        attempts.append(prepared.options.name)
        raise error

    monkeypatch.setattr(Cubes, "execute", fails)
    done = write_cubes(store, plan, None, QUIET, retry_wait=0.001)
    assert [cube.error for cube in done] == [f"{type(error).__name__}: {error}"] * 2
    assert sorted(set(attempts)) == ["county_years", "index_years"]
    assert len(attempts) > 2, "tried again, since the storage may answer later"
