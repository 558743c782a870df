"""Period, kinds and dollars of a dataset go with it through joins and conversions, and decide draws and changes."""

import numpy as np
import pandas as pd
import pytest
from cube_results import write_cube
from stores import make

from geomob_dask.definition import Definition
from geomob_dask.outputs.change_tables import change_table, period_of
from geomob_dask.products import harmonize, intervals, join
from geomob_dask.runs.landing import ingest
from geomob_dask.sources.attributes import joined, period_in, renamed, together
from geomob_dask.sources.kinds import Kind
from geomob_dask.store import Provenance, Store
from geomob_dask.store.cubes import open_cube

TRACTS = ["39001000100", "39001000200", "39001000300", "39001000400"]
MONEY = {2020: [50_000, 61_250, 70_000, 45_000], 2021: [52_000, 60_000, 90_000, 45_500]}
MARGIN = {2020: [3_000, 1_000, 9_000, 800], 2021: [4_000, 1_200, 5_000, 700]}
SHARED = 4 / 5


def table_of(path, name, columns):
    labels = ["id", "Geographic Area Name", *(f"Label of {column}" for column in columns)]
    lines = [",".join(["GEO_ID", "NAME", *columns]), ",".join(labels)]
    for place, tract in enumerate(TRACTS):
        lines.append(",".join([f"1400000US{tract}", "Tract", *(str(values[place]) for values in columns.values())]))
    (path / name).write_text("\n".join(lines) + "\n")
    return str(path / name)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    """Return two years of two survey tables, joined, and in dollars of 2023."""
    folder = tmp_path_factory.mktemp("travel")
    store = Store(str(folder / "store"))
    for year in MONEY:
        money = {"B19113_001E": MONEY[year], "B19113_001M": MARGIN[year]}
        people = {"B01003_001E": [100, 200, 300, 400], "B01003_001M": [10, 20, 30, 40]}
        for name, columns in (("B19113", money), ("B01003", people)):
            ingest(store, "acs", file=table_of(folder, f"{name}_{year}.csv", columns), year=year)
        both = join.Options(datasets=("acs5_b19113", "acs5_b01003"), name="both", year=year)
        make(store, "join", both)
        comparable = {"dataset": "both", "as": "comparable", "year": year, "to": "2022", "dollars": 2023}
        make(store, "harmonize", harmonize.Options.of(**comparable))
    return store


def changed(store, cube, measure, dataset):
    write_cube(store, cube, {year: f"measures/{dataset}/{year}" for year in MONEY})
    found = open_cube(store, cube)
    period, _ = period_of(found, measure, *MONEY)
    return change_table(found, measure, *MONEY, period=period)


def test_attributes_are_written_and_kept(store):
    raw = store.snapshot("measures/acs5_b19113/2020").attributes
    assert (raw["period"], raw["kinds"]["B19113_001M"]) == (5, {"kind": "moe", "of": ["B19113_001E"]})
    kept = store.snapshot("measures/comparable/2020").attributes
    assert (kept["period"], kept["dollars"]) == (5, 2023)
    assert kept["kinds"]["B19113_001M_usd_2023"] == {"kind": "moe", "of": ["B19113_001E_usd_2023"]}
    assert kept["kinds"]["B19113_001E_usd_2023"] == {"kind": "median", "unit": "usd"}


def test_a_change_in_dollars_of_one_year_has_the_margin_of_overlapping_samples(store):
    table = changed(store, "comparable", "B19113_001E_usd_2023", "comparable")
    before, after = (store.frame(f"measures/comparable/{year}").compute() for year in MONEY)
    margin = np.sqrt(1 - SHARED) * np.hypot(before["B19113_001M_usd_2023"], after["B19113_001M_usd_2023"])
    np.testing.assert_allclose(table["margin"], margin)
    change = after["B19113_001E_usd_2023"] - before["B19113_001E_usd_2023"]
    assert table["beyond"].tolist() == (change.abs() > margin).astype(int).tolist() == [0, 1, 1, 1]


def test_counts_that_keep_their_unit_change_as_without_a_conversion(store):
    raw = changed(store, "raw", "B01003_001E", "acs5_b01003")
    pd.testing.assert_frame_equal(changed(store, "comparable", "B01003_001E", "comparable"), raw)
    np.testing.assert_allclose(raw["margin"], np.sqrt(1 - SHARED) * np.hypot(*[[10.0, 20, 30, 40]] * 2))


def test_draws_of_money_in_dollars_of_one_year_are_those_of_the_published_money(store):
    bounds = []
    for dataset, measure in (("acs5_b19113", "B19113_001E"), ("comparable", "B19113_001E_usd_2023")):
        definition = Definition.model_validate(
            {
                "name": "income",
                "population": None,
                "domains": {"money": [{"measure": measure, "direction": -1}]},
                "parameters": {"recipe": "z_mean"},
            }
        )
        options = intervals.Options(definition=definition, dataset=dataset, year=2020, draws=8, seed=3)
        plan = make(store, "intervals", options)
        prepared = plan.groups[0].prepared
        assert prepared.found["margins"] == {measure: measure.replace("_001E", "_001M")}
        bounds.append(store.frame(prepared.collection).compute())
    pd.testing.assert_frame_equal(bounds[1], bounds[0], rtol=1e-9)
    assert (bounds[0]["opportunity_se"] > 0).all()
    assert store.snapshot(prepared.collection).attributes["period"] == 5


def test_a_margin_of_any_name_stays_one(store, tmp_path):
    file, kinds = tmp_path / "rent.csv", tmp_path / "kinds.yaml"
    file.write_text("GEOID,rent,spread\n" + "".join(f"{key},{900 + k},{10 + k}\n" for k, key in enumerate(TRACTS)))
    kinds.write_text("rent: {kind: median, unit: usd}\nspread: {kind: moe, of: rent}\n")
    ingest(store, "measures", file=str(file), dataset="rent", year=2020, vintage="2020")
    given = {"dataset": "rent", "as": "priced", "year": 2020, "to": "2022", "dollars": 2023, "kinds": str(kinds)}
    make(store, "harmonize", harmonize.Options.of(**given))
    # Without the file of kinds this time: the dataset knows.
    again = {"dataset": "priced", "as": "back", "year": 2020, "to": "2020", "dollars": 2015}
    make(store, "harmonize", harmonize.Options.of(**again))
    assert list(store.frame("measures/back/2020").columns) == ["rent_usd_2015", "spread_usd_2015"]
    write_cube(store, "rents", {2020: "measures/back/2020"})
    cube = open_cube(store, "rents")
    assert cube["measure"].to_numpy().tolist() == ["rent_usd_2015"]
    assert np.isfinite(cube["moe"].sel(year=2020).to_numpy()).all()


def test_a_dataset_of_an_earlier_version_can_be_added_to(store):
    """Without attributes the names are taken, and a state that has them joins states that do not."""
    table = pd.DataFrame({"B01003_001E": [5.0], "B01003_001M": [1.0]}, pd.Index(["18001000100"], name="geoid"))
    for attributes, state in (({"vintage": "2020"}, "18"), ({"vintage": "2020", "period": 5}, "39")):
        part = store.put("measures/acs5_old/2020", state, table.set_axis([f"{state}001000100"]).rename_axis("geoid"))
        store.commit(
            "measures/acs5_old/2020", {state: part}, Provenance("test", {"x": state}), attributes, keep_others=True
        )
    kept = store.snapshot("measures/acs5_old/2020")
    assert (sorted(kept.parts), kept.attributes["period"]) == (["18", "39"], 5)


def test_periods_that_differ_are_kept_by_column():
    survey, other = {"period": 5, "kinds": {"a": {"kind": "count"}}}, {"vintage": "2020"}
    both = joined([(survey, ["a"]), (other, ["b"])])
    assert both == {"period": {"a": 5}, "kinds": {"a": {"kind": "count"}}}
    assert (period_in(both, ["a"]), period_in(both, ["a", "b"]), period_in(both, ["b"])) == ({"period": 5}, {}, {})
    assert renamed(both, {"a": "c", "b": "b"}, {"a": Kind(kind="count")}) == {
        "period": {"c": 5},
        "kinds": {"c": {"kind": "count"}},
    }
    assert together({"dollars": 2023}, {}) is None
    assert together({"kinds": {"a": {"kind": "count"}}}, {"kinds": {"a": {"kind": "median"}}}) is None
