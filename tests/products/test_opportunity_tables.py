"""Regressions of outcomes on domains and descriptive statistics: as a user asks for them, and on held tables."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from stores import DEFINITION, build_graph, build_index, ingest_sample

from geomob_dask.definition import read_definition
from geomob_dask.frames.neighbors import neighbors
from geomob_dask.frames.opportunity import opportunity
from geomob_dask.outputs.opportunity_tables import description_of, fit_lines, fits_of
from geomob_dask.transforms.least_squares import least_squares

INDEX = ("--definition", "sample", "--dataset", "sample", "--year", 2020, "--cluster", "serial")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    store = ingest_sample(str(folder / "store"), folder)
    build_graph(store)
    build_index(store)
    return store


def test_fits_and_statistics_as_a_user_asks_for_them(store, job, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    against = ("--against", "sample:2020:poverty_pct,population")
    done = job("opportunity", *INDEX, "--store", store.url, *against, "--fits", "fits.csv", "--describe", "about.csv")
    assert done.code == 0, done.err
    index = store.frame("results/opportunity/sample/sample/2020/all-selected").compute(scheduler="threads")
    measures = store.frame("measures/sample/2020").compute(scheduler="threads").reindex(index.index)
    domains = list(DEFINITION.domains)
    fits = pd.read_csv("fits.csv").set_index("outcome")
    assert list(fits.index.unique()) == ["sample 2020 poverty_pct", "sample 2020 population"]
    expected = least_squares(measures["poverty_pct"].to_numpy(float), index[domains].to_numpy())
    found = fits.loc["sample 2020 poverty_pct"]
    assert found["term"].tolist() == ["constant", *domains]
    np.testing.assert_allclose(found["coefficient"], expected.coefficients)
    np.testing.assert_allclose(found["standard_error"], expected.errors)
    assert (found["r_squared"] == found["r_squared"].iloc[0]).all()
    assert found["r_squared"].iloc[0] == pytest.approx(expected.r_squared)
    assert found["n"].iloc[0] == expected.n
    assert f"{expected.r_squared:6.3f}  {expected.adjusted:6.3f}  {expected.n:,}" in done.out
    about = pd.read_csv("about.csv").set_index("variable")
    assert about["kind"].tolist() == ["measure"] * len(DEFINITION.measures) + ["domain"] * len(domains) + ["index"] * 2
    assert about.loc["poverty_pct", "mean"] == pytest.approx(measures["poverty_pct"].mean())
    assert about.loc["opportunity", "median"] == pytest.approx(index["opportunity"].median())
    assert (about["n"] + about["missing"] == len(index)).all()
    # Measures are those of the dataset, gaps and all; the filled ones are counted beside them.
    filled = index["imputed_direct"].str.contains("poverty_pct") | index["imputed_once_removed"].str.contains(
        "poverty_pct"
    )
    assert about.loc["poverty_pct", "imputed"] == filled.sum() > 0


def test_fits_need_outcomes(store, job, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = job("opportunity", *INDEX, "--store", store.url, "--fits", "fits.csv")
    assert done.code == 2
    assert "--fits fits.csv" in done.err
    assert "--against" in done.err


def test_an_outcome_of_other_tracts_has_no_fit():
    index = pd.DataFrame({"income": [1.0, 2.0], "work": [0.0, 5.0]}, index=["a", "b"])
    table = fits_of(index, ["income", "work"], {"atlas 2018": pd.DataFrame({"rank": [1.0]}, index=["z"])})
    assert table["n"].tolist() == [0, 0, 0]
    assert table["r_squared"].isna().all()
    assert "nan" in fit_lines(table)[-1]


def test_nothing_filled_is_described_as_such():
    definition = DEFINITION.model_copy(update={"parameters": DEFINITION.parameters})
    names = [*definition.domains, "deprivation", "opportunity"]
    index = pd.DataFrame({name: [1.0, 3.0] for name in names}, index=["a", "b"])
    for column in ("imputed_direct", "imputed_once_removed", "filled_domains"):
        index[column] = ""
    measures = pd.DataFrame({name: [2.0, np.nan] for name in definition.measures}, index=["a", "b"])
    about = description_of(index, measures, definition)
    assert (about["imputed"] == 0).all()
    assert about.loc[list(definition.measures), "missing"].tolist() == [1] * len(definition.measures)


@pytest.mark.real_data
def test_the_outcomes_of_children_in_indiana_and_ohio(real_data):
    """Mean income rank of children of parents at the 25th percentile, on the domains of each state alone."""
    atlas = pd.read_csv(real_data / "mobility/opportunity_atlas_tract_collapse.csv.gz")
    atlas.index = pd.Index(
        [f"{s:02d}{c:03d}{t:06d}" for s, c, t in zip(atlas.state, atlas.county, atlas.tract, strict=True)]
    )
    outcome = {"atlas": atlas[["kir_pooled_p25"]]}
    definition = read_definition(str(real_data / "opportunity_2018/definition.csv"))
    domains = list(definition.domains)
    path = real_data / "opportunity_2018/expected_indiana.csv.gz"
    indiana = pd.read_csv(path, dtype={"GEOID": str}).set_index("GEOID")
    tracts = gpd.read_parquet(real_data / "tracts/cb500k_2010_vintage.parquet")
    key = next(name for name in tracts.columns if tracts[name].astype(str).str.fullmatch("[0-9]{11}").all())
    tracts = tracts.set_index(key)
    tracts = tracts[tracts.index.str[:2] == "39"]
    measures = pd.read_csv(real_data / "opportunity_2018/measures.csv.gz", dtype={"GEOID": str}).set_index("GEOID")
    measures = measures[measures.index.str[:2] == "39"]
    ohio = opportunity(tracts, measures, neighbors(tracts), definition)
    for index, expected in ((indiana, 0.307), (ohio, 0.476)):
        assert fits_of(index, domains, outcome)["r_squared"].iloc[0] == pytest.approx(expected, abs=0.0005)
