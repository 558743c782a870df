"""The computations as functions of frames: the same in memory, on Dask and through the jobs."""

import dask
import dask.dataframe as dd
import dask_geopandas
import geopandas as gpd
import pandas as pd
import pytest

import geomob_dask
from geomob_dask.errors import InputError
from geomob_dask.sources.sample import sample_country


@pytest.fixture(autouse=True)
def _text_stays_text():
    """Let Dask leave text as pandas has it, so that frames can be compared type for type."""
    with dask.config.set({"dataframe.convert-string": False}):
        yield


@pytest.fixture(scope="module")
def country() -> tuple[gpd.GeoDataFrame, pd.DataFrame]:
    tracts, measures = sample_country()
    return tracts.set_index("GEOID").sort_index().rename_axis("geoid"), measures.set_index("GEOID").sort_index()


@pytest.fixture(scope="module")
def in_memory(country):
    tracts, measures = country
    edges = geomob_dask.neighbors(tracts)
    definition = geomob_dask.read_definition("sample")
    return edges, geomob_dask.opportunity(tracts, measures, edges, definition, steps=True)


@pytest.mark.parametrize("partitions", [1, 5, 13])
def test_the_same_on_dask(country, in_memory, partitions, client):
    tracts, measures = country
    edges, table = in_memory
    lazy_tracts = dask_geopandas.from_geopandas(tracts, npartitions=partitions)
    # Measures in other partitions than the tracts, as two files would be.
    lazy_measures = dd.from_pandas(measures, npartitions=4)
    lazy_edges = geomob_dask.neighbors(lazy_tracts)
    found = lazy_edges.compute()
    pd.testing.assert_frame_equal(found.astype({"rule": str}), edges.astype({"rule": str}), check_exact=True)
    definition = geomob_dask.read_definition("sample")
    lazy = geomob_dask.opportunity(lazy_tracts, lazy_measures, lazy_edges, definition, steps=True)
    assert isinstance(lazy, dd.DataFrame)
    pd.testing.assert_frame_equal(lazy._meta, table.iloc[:0], check_index_type=False)
    pd.testing.assert_frame_equal(lazy.compute(), table, check_exact=True)


def test_neighbors_are_found_when_asked(country):
    lazy = geomob_dask.neighbors(dask_geopandas.from_geopandas(country[0], npartitions=2), islands="nearest:1")
    assert not isinstance(lazy, pd.DataFrame)
    joined = lazy.compute()
    assert (joined["rule"] == "nearest").sum() == 4, "two islands, both directions"


def test_unsorted_frames_are_refused(country, in_memory):
    tracts, measures = country
    unsorted = dask_geopandas.from_geopandas(tracts, npartitions=2).clear_divisions()
    with pytest.raises(InputError, match="tracts: found a Dask frame with unknown divisions"):
        geomob_dask.opportunity(unsorted, measures, in_memory[0], geomob_dask.read_definition("sample"))
