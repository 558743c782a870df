"""Why values are missing, and what a run says of groups that contain one another and of indices read in two ways."""

from types import SimpleNamespace

import dask.dataframe as dd
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from stores import make

from geomob_dask.errors import CountsError
from geomob_dask.frames.draws import TOO_FEW, bounds_of
from geomob_dask.frames.exposure import exposure, interactions
from geomob_dask.frames.interpolation import interpolate
from geomob_dask.frames.local_segregation import local
from geomob_dask.frames.mixing import ONE_BRACKET, mixing
from geomob_dask.frames.region_reasons import NO_POLYGON
from geomob_dask.frames.segregation import segregation
from geomob_dask.frames.units import EMPTY
from geomob_dask.metrics.quality import Reason
from geomob_dask.outputs import result
from geomob_dask.outputs.result import notes
from geomob_dask.products import location_quotients
from geomob_dask.products import segregation as segregation_product
from geomob_dask.runs.landing import ingest
from geomob_dask.store import Store

KEYS = [f"{county}000{number}00" for county in ("39001", "39003", "39005") for number in (1, 2, 3)]


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    folder = tmp_path_factory.mktemp("notes")
    store = Store(str(folder / "store"))
    table = pd.DataFrame(
        {
            "TOT_POP": [50, 60, 70, 50, 60, 70, 0, 0, 0],
            "HISP": [10, 0, 30, 20, 60, 5, 0, 0, 0],
            "B03002_001E": [50, 60, 70, 50, 60, 70, 0, 0, 0],
            "B03002_003E": [30, 40, 20, 30, 0, 50, 0, 0, 0],
            "B03002_012E": [10, 0, 30, 20, 60, 5, 0, 0, 0],
            "OTHER": [20, 70, 10, 10, 90, 10, 0, 0, 0],
        },
        index=pd.Index(KEYS, name="GEOID"),
    )
    table.to_csv(folder / "people.csv")
    ingest(store, "measures", file=str(folder / "people.csv"), dataset="people", year=2020, vintage="2020")
    return store


def computed(store, product, module, groups, **more):
    options = module.Options.of(dataset="people", year=2020, by="county", groups=groups, **more)
    prepared = make(store, product, options).groups[0].prepared
    table = store.frame(prepared.collection).compute(scheduler="threads")
    return table, notes(store, prepared)


@pytest.mark.parametrize(
    ("product", "module"), [("segregation", segregation_product), ("location_quotients", location_quotients)]
)
def test_groups_that_may_contain_one_another_are_named(store, product, module):
    _, found = computed(store, product, module, "HISP,TOT_POP")
    assert any("TOT_POP" in line and "HISP" in line and "every tract" in line for line in found)
    # HISP and OTHER each have more people somewhere.
    _, found = computed(store, product, module, "HISP,OTHER")
    assert not any("every tract" in line for line in found)


def overlapping():
    """Return tracts with a column that holds the people of another, and a third that does not."""
    people = {"TOT_POP": [50, 60, 70, 50, 60], "HISP": [10, 0, 30, 20, 60], "OTHER": [5, 70, 1, 99, 8]}
    return pd.DataFrame(people, KEYS[:5])


@pytest.mark.parametrize(
    "function",
    [
        lambda tracts, groups: segregation(tracts, groups=groups, indices=["diversity"]),
        lambda tracts, groups: local(tracts, groups=groups),
        lambda tracts, groups: exposure(tracts, groups=groups, by="nation"),
        lambda tracts, groups: interactions(tracts, groups=groups, by="nation"),
    ],
    ids=["segregation", "local", "exposure", "interactions"],
)
def test_functions_warn_of_groups_that_may_contain_one_another(function):
    with pytest.warns(UserWarning, match=r"TOT_POP has at least the people of HISP in every tract") as caught:
        function(overlapping(), ["HISP", "TOT_POP"])
    # The warning is shown at the line that called the function.
    assert [(one.filename, len(caught)) for one in caught] == [(__file__, 1)]
    function(overlapping(), ["HISP", "OTHER"])
    # In a few tracts one group is easily the larger one in all of them.
    function(overlapping().iloc[:4], ["HISP", "TOT_POP"])
    # Frames on Dask are not computed for a warning.
    function(dd.from_pandas(overlapping(), npartitions=2), ["HISP", "TOT_POP"])


def test_mixing_warns_of_a_bracket_that_may_be_the_total():
    with pytest.warns(UserWarning, match=r"TOT_POP has at least the people of .*HISP"):
        mixing(overlapping().drop(columns="OTHER"), brackets=["HISP", "TOT_POP"])


def test_pages_hold_the_notes_of_their_runs(store, job, tmp_path):
    page = tmp_path / "page.html"
    chosen = ("--dataset", "people", "--year", 2020, "--by", "county", "--store", store.url, "--cluster", "serial")
    done = job("segregation", *chosen, "--groups", "HISP,TOT_POP", "--indices", "dissimilarity", "--report", page)
    assert done.code == 0, done.err
    assert "<p>Note: groups: TOT_POP has at least the people of HISP in every tract" in page.read_text()
    (tmp_path / "two.yaml").write_text("name: two\ntitle: Two\nbrackets: [{column: HISP}, {column: TOT_POP}]\n")
    done = job("mixing", *chosen, "--brackets", tmp_path / "two.yaml", "--report", page)
    assert done.code == 0, done.err
    assert "TOT_POP has at least the people of HISP in every tract" in page.read_text()


def test_notes_of_some_years_are_marked(monkeypatch):
    found = {2019: ["a", "b"], 2020: ["b"], 2021: ["b", "a"]}
    monkeypatch.setattr(result, "notes", lambda _, item: found[item.options.year])
    years = [SimpleNamespace(options=SimpleNamespace(year=year)) for year in found]
    assert result.notes_of_years(None, years) == ["2019, 2021: a", "b"]


@pytest.mark.parametrize("groups", ["B03002_001E,B03002_012E", "B03002_003E,B03002_012E"])
def test_groups_are_held_against_the_total_of_their_table(store, groups):
    if "001" in groups:
        with pytest.raises(CountsError, match=r"39001000100: groups B03002_001E, B03002_012E .* B03002_001E"):
            local(store.frame("measures/people/2020").compute(), groups=groups.split(","))
    else:
        found = local(store.frame("measures/people/2020").compute(), groups=groups.split(","))
        assert found["location_quotient_b03002_003e"].notna().sum() == 6


def test_exposure_of_columns_is_held_against_the_total_of_their_table(store):
    table = store.frame("measures/people/2020").compute()
    with pytest.raises(CountsError, match=r"39001000100: groups B03002_001E, B03002_012E"):
        exposure(table, groups=["B03002_001E", "B03002_012E"], by="county")
    found = exposure(table, groups=["B03002_003E", "B03002_012E"], by="county")
    assert found["people_count"].tolist() == [130.0, 165.0, 0.0]


def test_regions_without_values_have_a_reason_and_the_run_says_so(store):
    table, found = computed(store, "segregation", segregation_product, "HISP,OTHER", indices="dissimilarity,diversity")
    assert table["reason"].to_dict() == {"39001": "", "39003": "", "39005": EMPTY}
    assert any("1 of 3 regions" in line and EMPTY in line for line in found)


def test_location_quotients_say_why_they_are_missing(store):
    table, _ = computed(store, "location_quotients", location_quotients, "HISP,OTHER")
    assert table["reason"].tolist() == [""] * 6 + [EMPTY] * 3
    tracts = pd.DataFrame({"a": [5, 1], "b": [0, 0]}, index=["x", "y"])
    scores = local(tracts, groups=["a", "b"])
    assert scores["location_quotient_b"].isna().all()
    assert scores["reason"].tolist() == [f"{Reason.ABSENT.words}: b"] * 2


def frame(**columns):
    boxes = shapely.box(np.arange(4) * 1000.0, 0, np.arange(4) * 1000.0 + [900, 800, 700, 600], 1000)
    return gpd.GeoDataFrame(columns, geometry=boxes, crs="EPSG:5070", index=KEYS[:4])


def test_every_missing_index_is_explained():
    tracts = frame(a=[5, 1, 3, 2], b=[0, 0, 4, 1], c=[0, 0, 0, 9], zone=["w", "w", "e", "e"])
    found = segregation(tracts, groups=["a", "b", "c"], by="zone")
    assert found.loc["w", "reason"] == "all people are of one group, a"
    assert found.loc["e", "reason"] == ""
    other = tracts.assign(b=[2, 0, 4, 1])
    found = segregation(other, groups=["a", "b", "c"], by="zone", indices=["isolation", "delta"])
    assert found.loc["w", "reason"] == f"{Reason.ABSENT.words}: c"
    without = gpd.GeoDataFrame(tracts[["geometry"]]).iloc[[0, 2, 3]]
    found = segregation(
        pd.DataFrame(other.drop(columns="geometry")), groups=["a", "b"], by="zone", indices=["delta"], tracts=without
    )
    assert found["reason"].to_dict() == {"e": "", "w": NO_POLYGON}
    # All units alike in area: the index compares the smallest with the largest.
    alike = other.set_geometry(gpd.GeoSeries(shapely.box(np.arange(4), 0, np.arange(4) + 1, 1), other.index, crs=5070))
    found = segregation(alike, groups=["a", "b"], by="zone", indices=["absolute_concentration"])
    assert found.loc["e", "reason"] == "not defined: absolute_concentration_a, absolute_concentration_b"


def test_a_change_from_nobody_says_so():
    before = pd.DataFrame({"a": [5, 1, 0, 0], "b": [2, 3, 0, 0], "zone": ["w", "w", "e", "e"]}, index=KEYS[:4])
    after = before.assign(a=[5, 2, 3, 1], b=[1, 3, 1, 4])
    found = segregation(after, groups=["a", "b"], by="zone", indices=["diversity"], since=before)
    assert found["reason"].to_dict() == {"e": "the index of the earlier year is not defined", "w": ""}


def test_a_note_names_the_indices_that_are_read_in_two_ways(store, tmp_path):
    gpd.GeoDataFrame(
        {"GEOID": KEYS}, geometry=shapely.box(np.arange(9) * 1e3, 0, np.arange(9) * 1e3 + 900, 900), crs="EPSG:5070"
    ).to_file(tmp_path / "tracts.gpkg")
    ingest(store, "tracts", files=(str(tmp_path / "tracts.gpkg"),), vintage="2020")
    chosen = "delta,absolute_concentration,relative_concentration"
    _, found = computed(store, "segregation", segregation_product, "HISP,OTHER", indices=chosen)
    assert any(line.startswith("absolute_concentration, relative_concentration:") for line in found)
    _, found = computed(store, "segregation", segregation_product, "HISP,OTHER", indices="delta")
    assert not any("PySAL" in line for line in found)


def test_mixing_where_nothing_can_be_mixed():
    tracts = pd.DataFrame({"low": [5, 1], "high": [0, 0]}, index=["x", "y"])
    found = mixing(tracts, brackets=["low", "high"])
    assert found["entropy_index"].isna().all()
    assert found["reason"].tolist() == [ONE_BRACKET] * 2


def test_areas_without_a_count_and_tracts_without_draws():
    tracts = pd.DataFrame({"people": [100, np.nan], "poverty": [0.1, np.nan]}, index=["a", "b"])
    links = pd.DataFrame({"region": ["town", "village"], "afact": [1.0, 1.0]}, index=["a", "b"])
    found = interpolate(tracts, links, extensive=["people"], intensive={"poverty": "people"})
    assert found.loc["town", "reason"] == ""
    assert "people" in found.loc["village", "reason"]
    assert "poverty" in found.loc["village", "reason"]
    drawn = np.array([[1.0, np.nan], [0.5, np.nan]])
    assert bounds_of(pd.Index([1, 2]), [drawn, drawn])["reason"].tolist() == ["", TOO_FEW]
