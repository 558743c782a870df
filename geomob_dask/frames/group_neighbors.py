"""Neighbors of groups of polygons, such as commuting zones, which are groups of counties."""

from __future__ import annotations

import geopandas as gpd
import pandas as pd

from geomob_dask.frames.neighbors import neighbors


def group_neighbors(polygons: gpd.GeoDataFrame, group: pd.Series) -> pd.DataFrame:
    """Return the pairs of groups that touch: a polygon of one touches a polygon of the other.

    Parameters
    ----------
    polygons : GeoDataFrame
        Indexed by key.
    group : Series of str
        Group of each polygon, indexed alike.

    Returns
    -------
    DataFrame
        Indexed by ``focal``; ``neighbor`` (both directions) and ``rook``: whether any two of their polygons share an
        edge.
    """
    edges = neighbors(polygons.geometry)
    pairs = pd.DataFrame(
        {
            "focal": group.loc[edges.index].to_numpy(object),
            "neighbor": group.loc[edges["neighbor"]].to_numpy(object),
            "rook": edges["rook"].to_numpy(bool),
        }
    ).astype({"focal": "str", "neighbor": "str"})
    pairs = pairs[pairs["focal"] != pairs["neighbor"]]
    return pairs.groupby(["focal", "neighbor"])["rook"].any().reset_index().set_index("focal")
