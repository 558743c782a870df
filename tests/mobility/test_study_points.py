"""Places of the units of a study, from the polygons that the store has, and what they do to correlations."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from mobility_grid import FEATURES, SIDE, add_tracts, zones_store, zones_tables

from geomob_dask.errors import InputError
from geomob_dask.graph.sphere import in_kilometers
from geomob_dask.metrics.modified_t_test import effective_sizes, fisher_intervals, p_values
from geomob_dask.models.labels import make_labels
from geomob_dask.models.study_tables import feature_row
from geomob_dask.products.mobility_study import Universe
from geomob_dask.store import Provenance


def test_zones_lie_at_the_centroids_of_their_polygons(tmp_path):
    store = zones_store(str(tmp_path / "one"))
    study = Universe("zones", features=FEATURES).read(store)
    assert study.points.shape == (len(study.keys), 2)
    one, other = in_kilometers(study.points[:2])
    assert np.linalg.norm(one - other) == pytest.approx(SIDE / 1000, rel=0.02)
    tables = zones_tables()
    del tables["polygons"]
    assert Universe("zones", features=FEATURES).read(zones_store(str(tmp_path / "two"), tables)).points is None


def test_tracts_lie_where_the_store_has_polygons(tmp_path):
    store = zones_store(str(tmp_path))
    table = add_tracts(store)
    universe = Universe("tracts", features=("jobs", "age"), measures=(("made", 2018),))
    assert universe.read(store).points is None
    keys = table.index[table.index.str[:2] == "18"]
    shapes = [shapely.box(-86 + 0.1 * number, 40, -85.9 + 0.1 * number, 40.1) for number in range(len(keys))]
    tracts = gpd.GeoDataFrame(geometry=shapes, index=keys, crs="EPSG:4269")
    store.commit("tracts/2010", {"18": store.put("tracts/2010", "18", tracts)}, Provenance("ingest", {}), {})
    assert "tracts/2010" in universe.inputs(store)
    study = universe.read(store)
    points = pd.DataFrame(study.points, study.keys)
    assert points.loc[keys[:2]].to_numpy() == pytest.approx(np.array([[-85.95, 40.05], [-85.85, 40.05]]), abs=1e-4)
    assert points[points.index.str[:2] != "18"].isna().all(axis=None)
    only = Universe("tracts", features=("jobs", "age"), measures=(("made", 2018),), states=("39",))
    assert only.read(store).points is None


def test_the_ranking_says_both(tmp_path):
    study = Universe("zones", features=FEATURES).read(zones_store(str(tmp_path)))
    labels = make_labels(study.outcome, 2)
    number = study.feature_names.index("household_income_usd")
    row = feature_row(study, labels, number, seed=0, repeats=2)
    column = study.columns(["household_income_usd"]).values[:, 0]  # noqa: PD011 - a study, not a table
    known = ~np.isnan(column)
    assert 0 < known.sum() < len(known)
    ranks = [pd.Series(values[known]).rank().to_numpy() for values in (column, study.outcome)]
    plain = (column[known], study.outcome[known])
    for method, (x, y) in {"pearson": plain, "spearman": ranks}.items():
        r, size = np.array([row[method]]), effective_sizes(x, y[:, None], in_kilometers(study.points[known]))
        assert r[0] == pytest.approx(np.corrcoef(x, y)[0, 1])
        assert row[f"{method}_effective_units"] == pytest.approx(size[0])
        for kind, units in (("adjusted", size), ("unadjusted", np.array([float(known.sum())]))):
            lower, upper = fisher_intervals(r, units, ranks=method == "spearman")
            assert row[f"{method}_p_{kind}"] == pytest.approx(p_values(r, units)[0])
            assert row[f"{method}_lower_{kind}"] == pytest.approx(lower[0])
            assert row[f"{method}_upper_{kind}"] == pytest.approx(upper[0])


def test_points_of_other_units_are_refused(tmp_path):
    study = Universe("zones", features=FEATURES).read(zones_store(str(tmp_path)))
    with pytest.raises(InputError, match="found 3 points, expected 118"):
        type(study)(**{**vars(study), "points": study.points[:3]})
