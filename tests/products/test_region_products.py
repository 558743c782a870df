"""Mixing and segregation as products: computed from the inputs of the plan, state by state, over states and years."""

from pathlib import Path

import pandas as pd
import pytest
from income_country import QUIET, counts, fill
from stores import done, plan_of

from geomob_dask.errors import InputError
from geomob_dask.outputs.result import report
from geomob_dask.products.catalog import product_named
from geomob_dask.products.mixing import Options as MixingOptions
from geomob_dask.products.reader import Reader
from geomob_dask.products.segregation import Options as SegregationOptions
from geomob_dask.products.segregation import region_counts
from geomob_dask.runs.engine import run
from geomob_dask.runs.landing import ingest
from geomob_dask.runs.planning import Request, make_plan
from geomob_dask.store import Store

MADE = {"dataset": "made", "year": 2020, "by": "area"}
REQUESTS = {
    "mixing": MixingOptions(**MADE, brackets="deciles"),
    "segregation": SegregationOptions(**MADE, groups="deciles", indices=("gini", "diversity"), draws=3, local=True),
}


@pytest.fixture
def country(tmp_path: Path) -> Store:
    return fill(str(tmp_path / "store"), tmp_path, years=(2020, 2021))


def land(store: Store, file: Path, year: int, vintage: str) -> None:
    names = list(counts(2).columns)
    ingest(store, "measures", file=str(file), dataset="made", year=year, vintage=vintage, columns=names)


def parts(store: Store, prepared) -> dict[str, str]:
    return {
        f"{role} {name}": part.sha256
        for role, target in prepared.targets.items()
        for name, part in store.snapshot(target.collection).parts.items()
    }


@pytest.mark.parametrize("product", REQUESTS)
def test_a_run_computes_from_the_inputs_of_its_plan(country: Store, tmp_path: Path, product: str) -> None:
    """Another commit between planning and executing changes neither the result nor what is recorded of it."""
    options = REQUESTS[product]
    first = make_plan(country, [Request(product, options)])
    run(country, first, None, QUIET)
    prepared = first.groups[0].prepared
    expected, measures = parts(country, prepared), country.snapshot("measures/made/2020")
    again = make_plan(country, [Request(product, options)], reprocess="all")
    other = counts(seed=7).reset_index()
    other.to_parquet(tmp_path / "other.parquet")
    land(country, tmp_path / "other.parquet", 2020, "toy")
    run(country, again, None, QUIET)
    assert parts(country, prepared) == expected
    result = country.snapshot(prepared.collection)
    recorded = {result.runs[part.run]["inputs"]["measures/made/2020"] for part in result.parts.values()}
    assert recorded == {measures.checksum()}
    # What the store holds now is not what the result was made from.
    assert not done(plan_of(country, options, product))
    run(country, plan_of(country, options, product), None, QUIET)
    assert parts(country, prepared) != expected


@pytest.mark.parametrize("product", REQUESTS)
def test_each_state_by_itself(country: Store, product: str) -> None:
    options = REQUESTS[product].model_copy(update={"by": "county"})
    plan = make_plan(country, [Request(product, options, by_state=True)])
    run(country, plan, None, QUIET)
    prepared = plan.groups[0].prepared
    assert set(country.snapshot(prepared.collection).parts) == {"17", "18", "39"}
    assert done(make_plan(country, [Request(product, options, by_state=True)]))
    # Counties lie within states: the numbers are those of all states together.
    whole = plan_of(country, options, product)
    run(country, whole, None, QUIET)
    tables = [
        pd.concat([country.read(part) for part in country.snapshot(item.collection).parts.values()])
        for item in (prepared, whole.groups[0].prepared)
    ]
    pd.testing.assert_frame_equal(tables[0], tables[1], check_exact=True)
    with pytest.raises(InputError, match="area"):
        make_plan(country, [Request(product, REQUESTS[product], by_state=True)])


def test_chosen_states_are_written_with_regions_of_all(country: Store) -> None:
    for states in (None, ("18",)):
        run(country, plan_of(country, REQUESTS["mixing"].model_copy(update={"states": states}), "mixing"), None, QUIET)
    names = [f"results/mixing/deciles/made/2020/{name}-area" for name in ("all", "18")]
    one, other = (country.read(country.snapshot(name).parts["18"]) for name in names)
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    assert set(country.snapshot(names[1]).parts) == {"18"}


def test_what_was_left_out_is_reported(country: Store, tmp_path: Path) -> None:
    table = counts()
    table.loc[table.index[[4, 20]], "decile_3"] = None
    table.loc[table.index[1], "area"] = None
    table.reset_index().to_parquet(tmp_path / "gaps.parquet")
    land(country, tmp_path / "gaps.parquet", 2020, "toy")
    options = REQUESTS["segregation"].model_copy(update={"missing": "leave-out", "indices": ("all",)})
    plan = plan_of(country, options, "segregation")
    run(country, plan, None, QUIET)
    prepared = plan.groups[0].prepared
    found = report(country, prepared)
    assert (found["units"], found["nowhere"], found["unknown"]) == (33, 1, 2)
    assert found["first_unknown"] == table.index[[4, 20]].tolist()
    assert "interaction" in found["left_out"]
    assert found["groups"] == [f"decile_{number}" for number in range(1, 11)]
    read = Reader(country, prepared.inputs, prepared.whole, prepared.states, lazy=False)
    east = region_counts(read, prepared, ["east"])["east"]
    kept = table.drop(table.index[[4, 20]])
    assert east.sum() == kept.loc[kept["area"] == "east", found["groups"]].to_numpy().sum()


def test_years_are_compared_on_one_vintage(country: Store, tmp_path: Path) -> None:
    segregation = product_named("segregation")
    assert segregation.of_year([2020, 2021], 1, {"change": True}) == {"year": 2021, "since": 2020}
    assert segregation.of_year([2020, 2021], 0, {"change": True}) == {"year": 2020, "since": None}
    assert segregation.of_year([2020], 0, {}) == {"year": 2020}
    for given in ({"change": True}, {"change": True, "since": 2019}):
        with pytest.raises(InputError, match="change"):
            segregation.of_year([2020], 0, given)
    counts().reset_index().to_parquet(tmp_path / "old.parquet")
    land(country, tmp_path / "old.parquet", 2010, "older")
    options = REQUESTS["segregation"].model_copy(update={"since": 2010})
    with pytest.raises(InputError, match=r"older.*toy"):
        plan_of(country, options, "segregation")


def test_only_what_indices_need_is_read(country: Store) -> None:
    segregation, options = product_named("segregation"), REQUESTS["segregation"]
    for indices, roles in (
        (("gini",), {"measures"}),
        (("delta",), {"measures", "tracts"}),
        (("spatial_exposure",), {"measures", "edges"}),
    ):
        prepared = segregation.prepare(country, options.model_copy(update={"indices": indices}))
        assert set(prepared.inputs) == roles
