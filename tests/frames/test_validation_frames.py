"""Correlations of an index with columns of tracts: adjusted where their polygons are known, on any partitions."""

import dask.dataframe as dd
import dask_geopandas
import numpy as np
import pandas as pd
import pytest
from public_calls import country
from scipy.stats import pearsonr

import geomob_dask as gd
from geomob_dask.errors import GeometryError
from geomob_dask.graph.sphere import in_kilometers
from geomob_dask.metrics.modified_t_test import effective_sizes, fisher_intervals, p_values

ADJUSTED = ["effective_n", "p_adjusted", "r_lower_adjusted", "r_upper_adjusted"]


@pytest.fixture(scope="module")
def sample():
    tracts, measures = country()
    definition = gd.read_definition("sample")
    index = gd.opportunity(tracts, measures, gd.neighbors(tracts), definition)
    measures = measures.select_dtypes("number").iloc[:, :3].copy()
    measures.iloc[4:9, 0] = np.nan
    return tracts, measures, index, list(definition.domains)


def test_adjusted_by_the_centroids_of_the_tracts(sample):
    tracts, measures, index, domains = sample
    found = gd.validation(index, domains, {"sample": measures}, tracts=tracts).loc["correlation"]
    degrees = tracts.geometry.centroid.to_crs("EPSG:4326")
    places = pd.DataFrame(in_kilometers(np.column_stack([degrees.x, degrees.y])), tracts.index).reindex(index.index)
    for row, name in zip(found.itertuples(), measures, strict=True):
        both = pd.DataFrame({"x": index["opportunity"], "y": measures[name].reindex(index.index)}).dropna()
        r, p = pearsonr(both["x"], both["y"])
        assert (row.what, row.n) == (f"sample {name}", len(both))
        assert (row.r, row.p_unadjusted) == (pytest.approx(r), pytest.approx(p))
        size = effective_sizes(both["x"].to_numpy(), both[["y"]].to_numpy(), places.loc[both.index].to_numpy())
        assert row.effective_n == pytest.approx(size[0], rel=1e-6)
        assert row.p_adjusted == pytest.approx(p_values(np.array([r]), size)[0], rel=1e-6)
        lower, upper = fisher_intervals(np.array([r]), size)
        assert (row.r_lower_adjusted, row.r_upper_adjusted) == (pytest.approx(lower[0]), pytest.approx(upper[0]))
    assert (found["p_adjusted"] >= found["p_unadjusted"]).all()
    assert (found["effective_n"] < found["n"]).any()


def test_any_partitions_give_the_same_bits(sample):
    tracts, measures, index, domains = sample
    expected = gd.validation(index, domains, {"sample": measures}, tracts=tracts)
    for parts in (1, 4):
        lazy = gd.validation(
            dd.from_pandas(index, npartitions=parts),
            domains,
            {"sample": dd.from_pandas(measures, npartitions=parts)},
            tracts=dask_geopandas.from_geopandas(tracts, npartitions=parts),
        )
        pd.testing.assert_frame_equal(lazy.compute(), expected, check_exact=True)
        assert lazy._meta.dtypes.to_dict() == expected.dtypes.to_dict()


def test_without_polygons_nothing_is_adjusted(sample):
    tracts, measures, index, domains = sample
    found = gd.validation(index, domains, {"sample": measures}).loc["correlation"]
    assert found[ADJUSTED].isna().all(axis=None)
    assert found["p_unadjusted"].notna().all()
    with pytest.raises(GeometryError, match="no coordinate system"):
        gd.validation(index, domains, {"sample": measures}, tracts=tracts.set_crs(None, allow_override=True))
