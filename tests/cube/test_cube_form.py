"""Columns of results as measures, margins, bounds, grades and reasons of a cube."""

import numpy as np
import pandas as pd
import pytest
from cube_results import scores, write_cube
from exposure_sample import race_table, saved
from hypothesis import given
from hypothesis import strategies as st
from income_country import fill, run_job
from stores import INDEX, QUIET, build_graph, build_index, ingest_sample, plan_of

from geomob_dask.errors import InputError
from geomob_dask.products import exposure
from geomob_dask.runs.engine import run
from geomob_dask.runs.landing import ingest
from geomob_dask.store import Store
from geomob_dask.store.cube_form import FIRST_REASONS, Form, form_of, kinds_of, longer, reasons_of, values_of
from geomob_dask.store.cubes import Cube, open_cube


def test_columns_by_their_suffixes() -> None:
    form = form_of(kinds_of(scores("17", 2020)), "tract")
    assert {one.name: dict(one.columns) for one in form.measures} == {
        "score": {"estimate": "score", "moe": "score_moe", "quality": "score_quality", "flag": "score_reason"},
        "rent_usd_2023": {
            "estimate": "rent_usd_2023",
            "lower": "rent_usd_2023_lb",
            "upper": "rent_usd_2023_ub",
        },
        "households_count": {"estimate": "households_count"},
    }
    assert form.texts == ("region",)
    assert [one.name for one in form.variables] == ["estimate", "moe", "lower", "upper", "quality", "flag"]
    assert Form.of_plain(form.plain()) == form


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        # A suffix without what it belongs to is a measure of its own.
        ({"rate_moe": "number", "other": "number"}, {"rate_moe": {"estimate"}, "other": {"estimate"}}),
        ({"rate": "number", "rate_se": "number", "rate_cv": "number"}, {"rate": {"estimate", "se"}, "rate_cv": None}),
        ({"B19013_001E": "number", "B19013_001M": "number"}, {"B19013_001E": {"estimate", "moe"}}),
        (
            {"B19013_001E_usd_2023": "number", "B19013_001M_usd_2023": "number"},
            {"B19013_001E_usd_2023": {"estimate", "moe"}},
        ),
        ({"rent_usd_2023": "number", "rent_usd_moe_usd_2023": "number"}, {"rent_usd_2023": {"estimate", "moe"}}),
        ({"h": "number", "h_lower": "number", "h_upper": "number", "h_p": "number"}, {"h": None, "h_p": None}),
        # Words named like a margin are none, nor are numbers named like a reason.
        ({"a": "number", "a_moe": "text", "a_reason": "number"}, {"a": {"estimate"}, "a_reason": None}),
        ({"low": "number", "middle": "number", "high": "number"}, {"low": None, "middle": None, "high": None}),
    ],
)
def test_what_is_a_measure(kinds, expected) -> None:
    found = {one.name: set(one.columns) for one in form_of(kinds, "tract").measures}
    assert list(found) == list(expected)
    assert {name: found[name] for name, columns in expected.items() if columns} == {
        name: columns for name, columns in expected.items() if columns
    }


def test_units_and_dollars() -> None:
    names = [
        "rent_usd",
        "rent_usd_2023",
        "poverty_pct",
        "life_expectancy_years",
        "minutes_to_work",
        "hi_isolation",
        "x",
    ]
    form = form_of(dict.fromkeys(names, "number"), "tract", "")
    assert [one.units for one in form.measures] == ["USD", "USD", "percent", "years", "minutes", "1", ""]
    assert [one.dollars_of for one in form.measures] == [0, 2023, 0, 0, 0, 0, 0]
    assert form_of({"x": "number"}, "tract").measures[0].units == "1"


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ({"name": "text"}, "found no column of numbers"),
        ({"when": "other", "a": "number"}, "'when': found neither numbers nor text"),
        ({"a": "number", "a_lb": "number", "a_lower": "number"}, "'a_lb' and 'a_lower': both are the lower of 'a'"),
    ],
)
def test_columns_that_fit_no_cube(kinds, message) -> None:
    with pytest.raises(InputError, match=message):
        form_of(kinds, "tract")
    assert kinds_of(pd.DataFrame({"t": pd.to_datetime(["2020-01-01"]), "b": [True], "s": ["x"]})) == {
        "t": "other",
        "b": "number",
        "s": "text",
    }


def test_grades_that_are_none() -> None:
    table = scores("17", 2020)
    form = form_of(kinds_of(table), "tract")
    with pytest.raises(InputError, match=r"'score_quality': found the grade 1\.5"):
        values_of(table.assign(score_quality=1.5), form, longer(FIRST_REASONS, reasons_of(table, form)))


def test_a_reason_keeps_its_code() -> None:
    reasons = longer(FIRST_REASONS, {"b", "a"})
    assert reasons[6:] == ("a", "b")
    assert longer(reasons, {"0", "b"}) == (*reasons, "0")
    with pytest.raises(InputError, match="the same words for the same reason"):
        longer((), {str(number) for number in range(2**15)})


_WORDS = st.sampled_from(["", "suppressed", "absent"])
_NUMBERS = st.one_of(st.floats(-9, 9), st.just(float("nan")))
_ROWS = st.lists(
    st.tuples(_NUMBERS, _NUMBERS, _WORDS, _WORDS, st.sampled_from(["", "a", "a; b", "b"])), min_size=1, max_size=6
)


@given(_ROWS)
def test_flags_row_by_row(rows) -> None:
    table = pd.DataFrame(rows, columns=["a", "b", "a_reason", "reason", "filled_domains"])
    form = form_of(kinds_of(table), "tract")
    reasons = longer(FIRST_REASONS, reasons_of(table, form))
    found = values_of(table, form, reasons)
    for place, (a, b, own, whole, filled) in enumerate(rows):
        for column, (name, value, said) in enumerate((("a", a, own), ("b", b, ""))):
            if said:
                expected = said
            elif np.isnan(value):
                expected = whole or "no value, and no reason given"
            else:
                expected = "filled from neighbours" if name in filled.split("; ") else "value as computed"
            assert reasons[found["flag"][place, column]] == expected
            assert found["estimate"][place, column] == value or np.isnan(value)
    assert found["filled_domains"].tolist() == [row[4] for row in rows]


# The results of every product -----------------------------------------------------------------------


def _as_table(cube, collection_year: int, key: str) -> pd.DataFrame:
    return cube.sel(year=collection_year)["estimate"].to_pandas().rename_axis(key)


def test_an_opportunity_index_as_a_cube(tmp_path) -> None:
    store = ingest_sample(str(tmp_path / "store"), tmp_path)
    build_graph(store)
    build_index(store)
    write_cube(store, "index", {2020: INDEX.collection()}, None, QUIET)
    cube = open_cube(store, "index")
    table = store.frame(INDEX.collection()).compute()
    numbers = [name for name, kind in kinds_of(table).items() if kind == "number"]
    assert cube["measure"].to_numpy().tolist() == numbers
    np.testing.assert_array_equal(_as_table(cube, 2020, "geoid"), table[numbers].astype(float))
    reasons = np.array(cube["flag"].attrs["flag_reasons"], object)
    flags = pd.DataFrame(reasons[cube["flag"].sel(year=2020).to_numpy()], table.index, numbers)
    for name in ("deprivation", "opportunity"):
        missing = table[name].isna()
        assert missing.any()
        assert flags.loc[missing, name].tolist() == table.loc[missing, "reason"].tolist()
    filled = table["filled_domains"].str.split("; ").explode()
    filled = filled[filled != ""]
    assert len(filled)
    assert all(flags.loc[geoid, domain] == "filled from neighbours" for geoid, domain in filled.items())
    assert (flags == "filled from neighbours").to_numpy().sum() == len(filled)
    # The measures that it was computed from, as a cube of their own.
    write_cube(store, "measures", {2020: "measures/sample/2020"}, None, QUIET)
    units = open_cube(store, "measures").set_index(measure="measure")["measure_units"].to_pandas()
    assert units[["median_income_usd", "poverty_pct", "population"]].tolist() == ["USD", "percent", "1"]


def test_exposures_as_a_cube_of_regions(tmp_path) -> None:
    store = Store(str(tmp_path / "store"))
    ingest(
        store, "measures", file=saved(race_table(), tmp_path / "race.csv"), dataset="race", year=2018, vintage="2010"
    )
    run(store, plan_of(store, exposure.Options(dataset="race", year=2018, by="county"), "exposure"), None, QUIET)
    collection = store.collections("results")[0]
    write_cube(store, "exposure", {2018: collection}, None, QUIET)
    cube = open_cube(store, "exposure")
    table = store.read(store.snapshot(collection).parts["all"])
    assert cube.attrs["unit"] == "region"
    assert (cube.attrs["by"], cube.attrs["vintage"]) == ("county", "2010")
    assert "geometry" not in cube.coords
    at = cube.sel(year=2018, measure="black_nh_exposure", region=table.index.tolist())
    for variable, suffix in (
        ("estimate", ""),
        ("se", "_se"),
        ("lower", "_lb"),
        ("upper", "_ub"),
        ("quality", "_quality"),
    ):
        np.testing.assert_array_equal(
            at[variable], table[f"black_nh_exposure{suffix}"].fillna(0 if variable == "quality" else np.nan)
        )
    assert cube["region_name"].sel(year=2018).to_numpy().tolist() == table["region_name"].fillna("").tolist()
    state = Cube(store, "exposure").state()
    write_cube(store, "exposure_counts", {2018: "measures/race/2018"}, None, QUIET)
    assert not np.isnan(open_cube(store, "exposure_counts")["moe"].to_numpy()).any()
    assert state.parts == ("all",)


def test_mixing_and_segregation_as_cubes(tmp_path, monkeypatch, capsys) -> None:
    store = fill(str(tmp_path / "store"), tmp_path, polygons=False)
    shared = ["--dataset", "made", "--store", store.url, "--year", "2020", "--by", "area", "--cluster", "serial"]
    assert run_job(monkeypatch, capsys, "mixing", *shared, "--brackets", "deciles")[0] == 0
    few = ["--groups", "deciles", "--indices", "mutual_information", "--draws", "9", "--null", "evenness"]
    code, _, err = run_job(monkeypatch, capsys, "segregation", *shared, *few, "--interval", "units")
    assert (code, err) == (0, "")
    collections = {name.split("/")[1]: name for name in store.collections("results")}
    write_cube(store, "mixing", {2020: collections["mixing"]}, None, QUIET)
    cube, table = open_cube(store, "mixing"), store.frame(collections["mixing"]).compute()
    numbers = [name for name, kind in kinds_of(table).items() if kind == "number"]
    np.testing.assert_array_equal(_as_table(cube, 2020, "geoid")[numbers], table[numbers])
    assert cube["region"].sel(year=2020).to_numpy().tolist() == table["region"].tolist()
    write_cube(store, "segregation", {2020: collections["segregation"]}, None, QUIET)
    cube = open_cube(store, "segregation").sel(year=2020)
    table = store.read(store.snapshot(collections["segregation"]).parts["all"])
    at = cube.sel(measure="mutual_information_corrected", region=table.index.tolist())
    np.testing.assert_array_equal(at["estimate"], table["mutual_information_corrected"])
    np.testing.assert_array_equal(at["lower"], table["mutual_information_corrected_lower"])
    np.testing.assert_array_equal(at["upper"], table["mutual_information_corrected_upper"])
    assert "mutual_information_p" in cube["measure"]
