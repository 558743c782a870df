"""Polygons under the codes of another vintage of the same polygons: Connecticut's tracts by its planning regions."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geomob_dask.errors import InputError
from geomob_dask.messages import and_more, counted, listed
from geomob_dask.sources.tract_repair import polygons_of
from geomob_dask.sources.vintages import recoding, registry, vintage

_COUNTY = 5


def check_recoding(source: str, target: str) -> None:
    """Check that two vintages have the same polygons under different codes.

    Raises
    ------
    InputError
        If one is not known, or they have other polygons.
    """
    given, wanted = vintage(source).tracts, vintage(target).tracts
    if given != wanted or source == target:
        twins = [name for name, one in registry().vintages.items() if one.tracts == wanted and name != target]
        raise InputError(
            f"--recode-from {source}: the polygons of {source} are not those of {target} under other codes; expected "
            f"{' or '.join(twins) or 'no recoding'}"
        )


def recoded(tracts: gpd.GeoDataFrame, source: str, target: str) -> tuple[gpd.GeoDataFrame, list[str]]:
    """Return tracts under the codes that they have in another vintage of the same polygons.

    Parameters
    ----------
    tracts : GeoDataFrame
        As `read_tracts` returns them, one row per tract.
    source, target : str
        Vintages, such as 2020 and 2022.

    Returns
    -------
    tracts : GeoDataFrame
        Sorted by the new codes. Tracts that become one are united. Water that the new codes divide is left out: its
        polygon is not that of either part.
    lines : list of str
        For the user.

    Raises
    ------
    InputError
        If the vintages have other polygons, or a tract has a code of the target already, or one that the table of
        codes does not have.
    """
    check_recoding(source, target)
    table = recoding(target)
    _refuse_codes(tracts.index, table, source, target)
    divided = table.loc[table["source"].duplicated(keep=False), "source"]
    left_out = tracts.index[tracts.index.isin(divided)]
    kept = tracts.drop(left_out)
    codes = table[~table["source"].isin(divided)].set_index("source")["target"]
    new = kept.index.to_series().map(codes)
    changed = int(new.notna().sum())
    kept = kept.set_axis(pd.Index(new.fillna(kept.index.to_series()), dtype="str", name=tracts.index.name))
    lines = [f"{changed:,} of {counted(len(tracts), 'tract')} with other codes in vintage {target} than in {source}"]
    if len(left_out):
        lines.append(f"{counted(len(left_out), 'tract')} of water left out, which {target} divides: {listed(left_out)}")
    return _united(kept).sort_index(), lines


def _refuse_codes(geoids: pd.Index, table: pd.DataFrame, source: str, target: str) -> None:
    """Raise InputError for tracts of counties whose codes all change, if they are not in the table of codes."""
    older, newer = (set(table[side].str[:_COUNTY]) for side in ("source", "target"))
    counties = geoids.str[:_COUNTY]
    unknown = geoids[counties.isin(older - newer) & ~geoids.isin(table["source"])]
    if len(unknown):
        raise InputError(
            f"tract {unknown[0]}{and_more(len(unknown))}: is not in the table of codes from {source} to {target}; "
            f"expected codes of vintage {source}"
        )
    already = geoids[geoids.isin(table["target"]) & ~geoids.isin(table["source"])]
    both = already[already.isin(table.loc[table["source"].isin(geoids) & (table["kind"] != "water"), "target"])]
    wrong = both if len(both) else already[already.str[:_COUNTY].isin(newer - older)]
    if len(wrong):
        raise InputError(
            f"tract {wrong[0]}{and_more(len(wrong))}: has its code of vintage {target} already; expected codes of "
            f"vintage {source}"
        )


def _united(tracts: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    several = tracts.index.duplicated(keep=False)
    if not several.any():
        return tracts
    whole = []
    for geoid, parts in tracts[several].groupby(level=0):
        areas = {name: [parts[name].sum(skipna=False)] for name in ("aland", "awater")}
        shape = shapely.orient_polygons(shapely.union_all(polygons_of(parts)))
        index = pd.Index([geoid], dtype="str", name=tracts.index.name)
        whole.append(gpd.GeoDataFrame({"geometry": np.array([shape]), **areas}, index=index, crs=tracts.crs))
    return gpd.GeoDataFrame(pd.concat([tracts[~several], *whole]), geometry="geometry", crs=tracts.crs)
