"""Shares of people from the points where they live: as by plain loops, in any partitions."""

import dask_geopandas
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from geomob_dask.errors import GeometryError, InputError
from geomob_dask.frames.overlay import area_weights
from geomob_dask.frames.people_weights import people_weights, region_shares
from geomob_dask.sources.people_points import read_people

SIDE = 1000.0


def layers(seed: int = 0):
    """Return a grid of tracts, two towns, and blocks of which none lies in the last tract."""
    random = np.random.default_rng(seed)
    keys = [f"9100100{number:02d}00" for number in range(12)]
    west, south = np.arange(12) % 4 * SIDE, np.arange(12) // 4 * SIDE
    tracts = gpd.GeoDataFrame(geometry=shapely.box(west, south, west + SIDE, south + SIDE), index=keys, crs=5070)
    towns = gpd.GeoDataFrame(
        {"region_name": ["East", "West"]},
        geometry=[shapely.box(2500, 300, 4000, 2200), shapely.box(200, 200, 2500, 1700)],
        index=["9100200", "9100100"],
        crs=5070,
    )
    tract = random.integers(0, 11, 200)
    xy = np.column_stack([west[tract], south[tract]]) + random.uniform(0, SIDE, (200, 2))
    points = gpd.GeoDataFrame(
        {"people": random.integers(1, 90, 200).astype(float)},
        geometry=shapely.points(xy),
        index=pd.Index([keys[one] for one in tract], dtype="str", name="geoid"),
        crs=5070,
    )
    return tracts, towns, points.sort_index(kind="stable")


def test_shares_are_those_of_plain_loops_and_of_area_where_nobody_lives():
    tracts, towns, points = layers()
    table = region_shares(people_weights(tracts, towns, points))
    for key in tracts.index[:-1]:
        here = points[points.index == key]
        whole = here["people"].sum()
        for code, town in towns.geometry.items():
            inside = here.loc[[town.contains(point) for point in here.geometry], "people"].sum()
            row = table[(table.index == key) & (table["region"] == code)]
            assert row["afact"].sum() == pytest.approx(inside / whole)
    np.testing.assert_allclose(table.groupby(level=0)["afact"].sum(), 1.0)
    np.testing.assert_allclose(table[table["region"] != ""].groupby("region")["afact2"].sum(), 1.0)
    empty = tracts.index[-1]
    by_area = area_weights(tracts, towns)
    columns = ["region", "region_name", "afact"]
    pd.testing.assert_frame_equal(table.loc[[empty], columns], by_area.loc[[empty], columns])
    # Nobody of the town lives at a point of that tract.
    assert table.loc[[empty], "afact2"].fillna(0).eq(0).all()


def test_partitions_give_the_same_bits():
    tracts, towns, points = layers(1)
    whole = people_weights(tracts, towns, points)
    for partitions in (1, 3):
        lazy = dask_geopandas.from_geopandas(tracts, npartitions=partitions)
        parts = [
            people_weights(part.compute(scheduler="synchronous"), towns, points.sample(frac=1, random_state=2))
            for part in lazy.partitions
        ]
        pd.testing.assert_frame_equal(pd.concat(parts), whole, check_exact=True)
    degrees = people_weights(tracts, towns, points.to_crs(4269))
    pd.testing.assert_frame_equal(degrees, whole)


def test_links_below_the_least_share_go_to_no_region():
    tracts, towns, points = layers(2)
    table = people_weights(tracts, towns, points, least=0.3)
    linked = table[table["region"] != ""]
    assert (linked["afact"] >= 0.3).all()
    np.testing.assert_allclose(table.groupby(level=0)["afact"].sum().loc[linked.index.unique()].max(), 1.0)


BLOCKS = "GEOID20,POP20,INTPTLAT20,INTPTLON20\n"


def test_blocks_are_read_by_tract(tmp_path):
    file = tmp_path / "blocks.csv"
    file.write_text(
        BLOCKS + "390010001001000,12,40.1,-82.9\n390010001001001,0,40.2,-82.9\n390010002001000,3,40.3,-82.8\n"
    )
    points, lines = read_people(str(file))
    assert points.index.tolist() == ["39001000100", "39001000200"]
    assert points["people"].tolist() == [12, 3]
    assert points.geometry.iloc[0].coords[0] == (-82.9, 40.1)
    assert lines == ["15 people at 2 points from POP20, INTPTLON20, INTPTLAT20"]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (
            "GEOID20,INTPTLAT20,INTPTLON20\n390010001001000,40.1,-82.9\n",
            InputError,
            r"expected one of POP20, .* people",
        ),
        (BLOCKS + "39001,12,40.1,-82.9\n", InputError, r"row 1: found '39001', expected the key of a block"),
        (BLOCKS + "390010001001000,-3,40.1,-82.9\n", InputError, r"POP20, block 390010001001000: found -3"),
        (BLOCKS + "390010001001000,,40.1,-82.9\n", InputError, r"POP20, block 390010001001000: found nan"),
        (BLOCKS + "390010001001000,few,40.1,-82.9\n", InputError, r"POP20, block .*: found 'few', expected a number"),
        (BLOCKS + "390010001001000,0,40.1,-82.9\n", InputError, r"POP20: found nobody in 1 row"),
        (BLOCKS + "390010001001000,9,-82.9,40.1\n", GeometryError, r"block 390010001001000: found \(40.1, -82.9\)"),
    ],
)
def test_blocks_that_cannot_be_are_named(tmp_path, text, error, message):
    file = tmp_path / "blocks.csv"
    file.write_text(text)
    with pytest.raises(error, match=message):
        read_people(str(file))
