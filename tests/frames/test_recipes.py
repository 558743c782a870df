"""Other indices from the same definition file: CDC's SVI, z-score means, principal components."""

import dask.dataframe as dd
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from scipy.stats import rankdata

from geomob_dask.definition import Definition
from geomob_dask.errors import DefinitionError
from geomob_dask.frames.opportunity import NO_MEASURES, NO_POLYGON, opportunity
from geomob_dask.outputs.opportunity_map import opportunity_map
from geomob_dask.transforms.rank_exponential import percentile_ranks, ranking

NO_EDGES = pd.DataFrame({"neighbor": []}, index=pd.Index([], dtype="str", name="focal"), dtype=object)


def definition(recipe: str, **parameters: object) -> Definition:
    domains = {"one": [{"measure": "a"}, {"measure": "b", "direction": -1}], "two": [{"measure": "c"}]}
    return Definition(name="t", domains=domains, parameters={"recipe": recipe, **parameters})


@pytest.fixture(scope="module")
def measures() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    n = 120
    values = rng.normal(size=(n, 3)) @ [[1.0, 0.5, 0.2], [0.0, 1.0, 0.4], [0.0, 0.0, 1.0]]
    table = pd.DataFrame(values.round(1), columns=list("abc"), index=pd.Index([f"39001{k:06d}" for k in range(n)]))
    table.iloc[::17, 1] = np.nan
    return table.assign(population=rng.integers(0, 4, n).astype(float))


def compute(measures: pd.DataFrame, chosen: Definition, parts: int = 3) -> pd.DataFrame:
    groups = [rows for _, rows in measures.groupby(np.arange(len(measures)) % parts)]
    divisions = (*(f"{number:02d}" for number in range(parts)), "~")
    rows = dd.from_map(lambda part: part, groups, meta=measures.iloc[:0], divisions=divisions)
    none = dd.from_map(lambda part: NO_EDGES, groups, meta=NO_EDGES, divisions=divisions)
    return opportunity(rows, rows, none, chosen, steps=True).compute(scheduler="synchronous").sort_index()


def coded(measures: pd.DataFrame) -> pd.DataFrame:
    """Return the measures, higher worse, of tracts where somebody lives."""
    return (measures[list("abc")] * [1, -1, 1]).where(measures["population"].ne(0))


def percentile(column: pd.Series) -> pd.Series:
    known = column.dropna()
    ranks = (rankdata(known.round(10), method="min") - 1) / (len(known) - 1)
    return pd.Series(ranks.round(4), index=known.index).reindex(column.index)


def test_social_vulnerability(measures):
    found = compute(measures, definition("svi"))
    ranks = coded(measures).apply(percentile)
    ranks["b"] = (1 - percentile(-coded(measures)["b"])).round(4)
    sums = pd.DataFrame({"one": ranks["a"] + ranks["b"], "two": ranks["c"]})
    pd.testing.assert_frame_equal(found[["one", "two"]], sums.apply(percentile), check_names=False)
    overall = percentile(sums["one"] + sums["two"])
    np.testing.assert_array_equal(found["deprivation"], overall)
    np.testing.assert_array_equal(found["opportunity"], 1 - overall)
    assert found["deprivation"].isna().sum() == (coded(measures).isna().any(axis=1)).sum()
    flagged = (ranks >= 0.9).sum(axis=1)
    assert (found["flagged"].str.count(";") + (found["flagged"] != "")).tolist() == flagged.tolist()
    assert flagged.max() >= 2


def test_tied_incomes_have_the_published_percentile():
    # Per capita income of Pennsylvania's 67 counties, 2018: two share $26,867, above 30 others.
    income = np.concatenate([20_000.0 + 100 * np.arange(30), [26_867.0] * 2, 30_000.0 + 100 * np.arange(35)])
    found = percentile_ranks(-income, ranking(-income), mirrored=True)
    assert found[30:32].tolist() == [0.5455, 0.5455]
    assert percentile_ranks(income, ranking(income))[30:32].tolist() == [0.4545, 0.4545]
    assert (found[0], found[-1]) == (1.0, 0.0)


def test_percentiles_of_missing_and_single_values():
    lone = np.array([np.nan, 3.0])
    assert np.isnan(percentile_ranks(lone, ranking(lone), mirrored=True)).all()
    some = np.array([2.0, np.nan, 2.0, 1.0])
    np.testing.assert_array_equal(percentile_ranks(-some, ranking(-some), mirrored=True), [0.5, np.nan, 0.5, 1.0])


@pytest.mark.parametrize(
    ("recipe", "parameters", "ranges"),
    [
        ("opportunity", {}, ("0 to 100", "0 to 100", "0 to 100")),
        ("svi", {}, ("percentile rank, 0 to 1",) * 3),
        ("svi", {"reverse": "minmax"}, ("0 to 100", "percentile rank, 0 to 1", "percentile rank, 0 to 1")),
        ("z_mean", {}, ("standard deviations",) * 3),
        ("principal_component", {}, ("0 to 1", "0 to 1", "part of the component")),
    ],
)
def test_ranges_are_those_of_the_values(measures, recipe, parameters, ranges):
    chosen = definition(recipe, impute=False, fill=False, **parameters)
    found = compute(measures, chosen)
    given = chosen.parameters
    named = {
        "opportunity": given.opportunity_range,
        "deprivation": given.deprivation_range,
        "one": given.domain_range,
    }
    assert tuple(one.text for one in named.values()) == ranges
    for column, within in named.items():
        if within.low is not None:
            assert found[column].min() >= within.low - 1e-12
            assert found[column].max() <= within.high + 1e-12
            assert found[column].max() > within.high / 2


def test_the_map_says_the_range_of_the_definition():
    tracts = gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 1000, 1000)], index=["39001000100"], crs="EPSG:5070")
    text = ["filled_domains", "imputed_direct", "imputed_once_removed", "reason"]
    values = pd.DataFrame(0.5, tracts.index, ["opportunity", "deprivation", "one", "two"])
    values = values.assign(**dict.fromkeys(text, ""))
    page = opportunity_map(tracts, values, definition("svi"), title="t", subtitle="s").page()
    assert "percentile rank, 0 to 1" in page
    assert "0 to 100" not in page


def test_z_score_means(measures):
    found = compute(measures, definition("z_mean"))
    z = (coded(measures) - coded(measures).mean()) / coded(measures).std()
    np.testing.assert_allclose(found["one"], (z["a"] + z["b"]) / 2, atol=1e-12)
    np.testing.assert_allclose(found["deprivation"], ((z["a"] + z["b"]) / 2 + z["c"]) / 2, atol=1e-12)
    np.testing.assert_array_equal(found["opportunity"], -found["deprivation"])


@pytest.mark.parametrize("recipe", ["principal_component", "weighted_principal_component"])
def test_principal_component(measures, recipe):
    found = compute(measures, definition(recipe))
    rows = coded(measures).dropna()
    people = measures.loc[rows.index, "population"].to_numpy() if recipe.startswith("weighted") else np.ones(len(rows))
    centred = rows - np.average(rows, axis=0, weights=people)
    z = centred / np.sqrt(np.average(centred**2, axis=0, weights=people))
    # Another route to the same vector: the singular vectors of the weighted table.
    loadings = np.linalg.svd(z * np.sqrt(people)[:, np.newaxis])[2][0]
    component = z @ (loadings * np.sign(loadings.sum()))
    expected = (component - component.min()) / (component.max() - component.min())
    np.testing.assert_allclose(found.loc[rows.index, "deprivation"], expected, atol=1e-12)
    assert found["deprivation"].isna().sum() == len(measures) - len(rows)


@pytest.mark.parametrize("recipe", ["svi", "z_mean", "principal_component", "weighted_principal_component"])
def test_same_bits_in_any_partitioning(measures, recipe):
    one = compute(measures, definition(recipe), parts=1)
    pd.testing.assert_frame_equal(compute(measures, definition(recipe), parts=11), one, check_exact=True)


def test_a_component_needs_complete_rows_and_variance(measures):
    with pytest.raises(DefinitionError, match="no tract has all measures"):
        compute(measures.assign(c=np.nan), definition("principal_component"))
    with pytest.raises(DefinitionError, match="without variance over the complete rows: c"):
        compute(measures.assign(c=2.0), definition("principal_component"))
    with pytest.raises(ValueError, match="leaves no holes, expected false"):
        definition("svi", fill=True)


@pytest.mark.real_data
def test_the_published_deprivation_index_of_2018(real_data):
    table = pd.read_csv(real_data / "measures/deprivation_2018.csv.gz", dtype={"GEOID": str})
    key = next(name for name in table.columns if name.lower() in ("geoid", "census_tract_fips"))
    table = table.set_index(key)
    names = [
        "fraction_assisted_income",
        "fraction_high_school_edu",
        "median_income",
        "fraction_no_health_ins",
        "fraction_poverty",
        "fraction_vacant_housing",
    ]
    better = {"fraction_high_school_edu", "median_income"}
    domains = {"all": [{"measure": name, "direction": -1 if name in better else 1} for name in names]}
    chosen = Definition(
        name="dep", domains=domains, population="everybody", parameters={"recipe": "principal_component"}
    )
    # The published index knows no population: every complete row counts.
    found = compute(table[names].assign(everybody=1.0), chosen, parts=7)
    published = table["dep_index"].reindex(found.index)
    assert published.notna().sum() == 72_041
    np.testing.assert_array_equal(found["deprivation"].isna(), published.isna())
    np.testing.assert_allclose(found["deprivation"], published, rtol=0, atol=1e-12)


def test_tracts_without_a_polygon_take_part_where_neighbors_do_not_count(measures):
    chosen = definition("z_mean", impute=False, fill=False)
    tracts = measures.iloc[5:].copy()
    tracts.loc["39999999999"] = 0.0
    found = opportunity(tracts, measures, NO_EDGES, chosen)
    assert found.index[found["reason"] == NO_MEASURES].tolist() == ["39999999999"]
    assert not found["reason"].eq(NO_POLYGON).any()
    only = opportunity(measures.iloc[5:], measures, NO_EDGES, definition("opportunity"))
    assert only.index[only["reason"] == NO_POLYGON].tolist() == measures.index[:5].tolist()


def test_without_a_population_nobody_is_missing(measures):
    nobody = measures["population"].eq(0)
    assert nobody.any()
    domains = {"one": [{"measure": "a"}, {"measure": "b", "direction": -1}], "two": [{"measure": "c"}]}
    plain = Definition(name="t", population=None, domains=domains, parameters={"recipe": "z_mean"})
    found = compute(measures.drop(columns="population"), plain)
    everybody = compute(measures.assign(population=1.0), definition("z_mean"))
    pd.testing.assert_frame_equal(found, everybody, check_exact=True)
    assert not found["population_zero"].any()
