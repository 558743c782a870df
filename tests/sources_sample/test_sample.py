"""The sample country is what it says: one coverage over six states, with every case the index has to deal with."""

import gzip
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from scipy import sparse

from geomob_dask.definition import Definition, read_definition
from geomob_dask.errors import StoreError
from geomob_dask.sources.sample import MISSING_AROUND, STATES, SamplePaths, write_sample
from geomob_dask.transforms.impute import DIRECT, MISSING, ONCE_REMOVED, impute


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> SamplePaths:
    return write_sample(tmp_path_factory.mktemp("sample") / "made" / "here")


@pytest.fixture(scope="module")
def tracts(paths: SamplePaths) -> gpd.GeoDataFrame:
    return gpd.read_parquet(paths.tracts)


@pytest.fixture(scope="module")
def measures(paths: SamplePaths) -> pd.DataFrame:
    return pd.read_csv(paths.measures, dtype={"GEOID": str})


@pytest.fixture(scope="module")
def definition(paths: SamplePaths) -> Definition:
    return read_definition(str(paths.definition))


@pytest.fixture(scope="module")
def adjacency(tracts: gpd.GeoDataFrame) -> sparse.csr_array:
    polygons = tracts.geometry.to_numpy()
    one, other = shapely.STRtree(polygons).query(polygons, predicate="intersects")
    apart = one != other
    return sparse.csr_array((np.ones(apart.sum()), (one[apart], other[apart])), shape=(len(tracts), len(tracts)))


def test_the_files_are_the_same_bytes_every_time(paths: SamplePaths, tmp_path: Path) -> None:
    again = write_sample(tmp_path)
    for one, other in ((paths.tracts, again.tracts), (paths.measures, again.measures)):
        assert one.read_bytes() == other.read_bytes()
    assert paths.definition.read_bytes() == again.definition.read_bytes()


def test_it_is_labelled_as_made_up(paths: SamplePaths, definition: Definition) -> None:
    assert all(path.name.startswith("sample_") for path in vars(paths).values())
    assert "made up" in definition.title


def test_keys_are_tracts_of_six_states_of_unequal_size(tracts: gpd.GeoDataFrame, measures: pd.DataFrame) -> None:
    assert tracts["GEOID"].is_unique
    assert tracts["GEOID"].str.fullmatch(r"9[1-6]\d{9}").all()
    assert tracts["GEOID"].tolist() == measures["GEOID"].tolist()
    sizes = tracts["GEOID"].str[:2].value_counts()
    assert sorted(sizes.index) == sorted(STATES)
    assert sizes.max() > 3 * sizes.min()
    assert 800 <= len(tracts) <= 1000


def test_polygons_are_one_valid_coverage(tracts: gpd.GeoDataFrame) -> None:
    assert tracts.crs.to_epsg() == 5070
    assert tracts.is_valid.all()
    assert shapely.coverage_is_valid(tracts.geometry.to_numpy())
    assert set(tracts.geom_type) == {"Polygon"}


def test_neighbors_cross_state_lines_and_two_islands_have_none(
    tracts: gpd.GeoDataFrame, measures: pd.DataFrame, adjacency: sparse.csr_array
) -> None:
    state = tracts["GEOID"].str[:2].to_numpy()
    one, other = adjacency.nonzero()
    assert (state[one] != state[other]).sum() > 100
    islands = np.flatnonzero(np.diff(adjacency.indptr) == 0)
    assert sorted(measures["population"].iloc[islands] > 0) == [False, True]


def test_empty_tracts_and_missing_cells(measures: pd.DataFrame, definition: Definition) -> None:
    assert 5 < (measures["population"] == 0).sum() < 20
    cells = measures[list(definition.measures)]
    assert 0.02 < cells.isna().to_numpy().mean() < 0.04
    assert cells.isna().any().all()
    assert list(measures.columns[2:]) == list(definition.measures)


def test_every_kind_of_imputation_happens(
    measures: pd.DataFrame, definition: Definition, adjacency: sparse.csr_array
) -> None:
    names = list(definition.measures)
    _, how = impute(np.arange(len(measures)), adjacency, measures[names].to_numpy(float))
    assert (how == DIRECT).sum() > 200
    for name, _, steps in MISSING_AROUND:
        kinds = set(how[:, names.index(name)])
        assert kinds >= ({DIRECT, ONCE_REMOVED} if steps == 1 else {DIRECT, ONCE_REMOVED, MISSING})


def test_measures_are_alike_among_neighbors_and_have_directions(
    measures: pd.DataFrame, definition: Definition, adjacency: sparse.csr_array
) -> None:
    one, other = adjacency.nonzero()
    for name in definition.measures:
        values = measures[name].rank().to_numpy()
        pairs = pd.DataFrame({"one": values[one], "other": values[other]}).dropna()
        assert pairs.corr().loc["one", "other"] > 0.2, name
    assert measures["poverty_pct"].corr(measures["median_income_usd"]) < -0.4
    assert set(definition.directions) == {-1, 1}


def test_the_table_is_text_that_needs_no_date(paths: SamplePaths) -> None:
    content = paths.measures.read_bytes()
    assert content[4:8] == bytes(4)
    assert gzip.decompress(content).startswith(b"GEOID,population,poverty_pct,")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StoreError, match="taken"):
        write_sample(tmp_path / "taken")
