"""Crosswalks: which share of a tract lies in which region, from Geocorr, from any table, or from polygons.

All come out as one table: ``geoid`` (the tract or county, text), ``region`` (empty: in none), ``afact`` (share of the
tract in the region) and ``afact2`` (share of the region in the tract). A tract may have several rows or none; what its
shares leave to 1 lies in no region.
"""

from __future__ import annotations

import re
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd

from geomob_dask.errors import GeometryError, InputError
from geomob_dask.sources.keys import tract_geoids
from geomob_dask.transforms.crosswalk import Links, area_links, check_links

COLUMNS = ("geoid", "region", "afact", "afact2")
# Albers' conic for the United States keeps areas everywhere, Alaska and Hawaii among them (shapes it does not keep).
EQUAL_AREA = "EPSG:5070"

# Geocorr's code for "in no place".
_NO_REGION = {"99999", ""}
_COUNTY_COLUMNS = ("county", "countyfip", "ctregion")
_PLACE_COLUMNS = ("place", "placefp")
_NAME_COLUMNS = ("placenm", "placename")
_LABELLED = re.compile(r"[a-z].*[a-z]", re.IGNORECASE)


def read_geocorr(
    path: str | Path, *, target: str = "place", complete: bool = False, names: bool = False
) -> pd.DataFrame:
    """Return a crosswalk from a file of the Missouri Census Data Center's Geocorr.

    Parameters
    ----------
    path : str or Path
        csv or csv.gz; with a second header row of labels, rows of labels further down, or neither.
    target : str
        The column of regions; ``place`` is found under either of Geocorr's names and gets its state's code in front.
    complete : bool
        Whether the shares of every tract must sum to 1, rows of no region among them.
    names : bool
        Whether to return the names of regions too, as ``region_name`` (empty where the file has none).

    Raises
    ------
    InputError
        Naming the file and what is wrong: no such columns, shares outside 0 to 1, summing to more than 1 or, if they
        are `complete`, to less; a place in two states; a link given twice.
    """
    rows, labels = _without_labels(read_texts(path), path)
    county = _one_of(rows, _COUNTY_COLUMNS, path)
    counties = rows[county].str.zfill(5)
    if "tract" in rows:
        # 0201.00 and 201 are tract 020100.
        whole, _, hundredths = (rows["tract"].str.partition(".")[part] for part in range(3))
        plain = rows["tract"].str.fullmatch(r"[0-9]{6}")
        tracts = rows["tract"].where(plain, whole.str.zfill(4) + hundredths.str.ljust(2, "0"))
        sources = counties + tracts
    else:
        sources = counties
    column = _one_of(rows, _PLACE_COLUMNS, path) if target == "place" else _one_of(rows, (target.lower(),), path)
    regions = rows[column]
    if target == "place":
        states = rows["state"].str.zfill(2) if "state" in rows else counties.str[:2]
        regions = (states + regions.str.zfill(5)).where(~regions.isin(_NO_REGION), "")
    _check_direction(labels, column, path)
    table = pd.DataFrame(
        {
            "geoid": sources,
            "region": regions.where(~regions.isin(_NO_REGION), ""),
            "afact": shares(rows, "afact", path),
            "afact2": shares(rows, "afact2", path) if "afact2" in rows else np.nan,
        }
    )
    if names:
        named = next((name for name in (*_NAME_COLUMNS, f"{column}name") if name in rows), None)
        table["region_name"] = "" if named is None else rows[named].where(table["region"] != "", "")
    return check_crosswalk(table, str(path), complete=complete)


def read_crosswalk(
    path: str | Path,
    *,
    source: str,
    target: str,
    share: str,
    share_of_target: str | None = None,
    complete: bool = False,
) -> pd.DataFrame:
    """Return a crosswalk from any csv, by the names of its columns.

    Parameters
    ----------
    path : str or Path
        csv or csv.gz.
    source, target : str
        Columns of tracts (in any form that `keys.tract_geoids` reads) and of regions.
    share, share_of_target : str
        Columns of ``afact`` and, where there is one, ``afact2``.
    complete : bool
        Whether the shares of every tract must sum to 1.

    Raises
    ------
    InputError
        As `read_geocorr`.
    """
    rows = read_texts(path)
    for column in (source, target, share, *([share_of_target] if share_of_target else [])):
        if column not in rows:
            raise InputError(f"{path}: found the columns {', '.join(rows)}, expected {column}")
    return check_crosswalk(
        pd.DataFrame(
            {
                "geoid": tract_geoids(rows[source], file=str(path), column=source)[0],
                "region": rows[target],
                "afact": shares(rows, share, path),
                "afact2": shares(rows, share_of_target, path) if share_of_target else np.nan,
            }
        ),
        str(path),
        complete=complete,
    )


def crosswalk_by_area(
    tracts: gpd.GeoDataFrame, regions: gpd.GeoDataFrame, *, key: str = "geoid", region: str = "GEOID"
) -> pd.DataFrame:
    """Return a crosswalk made of the areas that tracts and regions share.

    People are taken as evenly spread over a tract, water included. Both layers are projected to EPSG:5070, where
    areas are right; any block of tracts may be done by itself, with all regions.

    Parameters
    ----------
    tracts, regions : GeoDataFrame
        With a coordinate system each.
    key, region : str
        Their columns of names.

    Raises
    ------
    GeometryError
        If a layer does not say its coordinate system, or a polygon is missing or invalid, or regions overlap.
    """
    projected = [_projected(layer, what) for layer, what in ((tracts, "tracts"), (regions, "regions"))]
    sources, targets = (layer.geometry.to_numpy() for layer in projected)
    links = area_links(sources, targets, source_names=tracts[key].tolist())
    table = pd.DataFrame(
        {
            "geoid": tracts[key].to_numpy()[links.source],
            "region": regions[region].to_numpy()[links.target],
            "afact": links.share,
            "afact2": links.share_of_target,
        }
    )
    return table.sort_values(["geoid", "region"], ignore_index=True)


def check_years_agree(
    crosswalk: pd.DataFrame, tracts: pd.Series | np.ndarray, what: str, *, tolerance: float = 0.01
) -> None:
    """Check that a crosswalk is of the tracts it is used with, in the states that both cover.

    Parameters
    ----------
    crosswalk : DataFrame
    tracts : geoids of the table it is used with
    what : str
        Names of both, for the message.
    tolerance : float
        Share of the crosswalk's tracts that the table may lack: tables leave out water and empty tracts.

    Raises
    ------
    InputError
        If more are lacking: tracts of another year.
    """
    known = pd.Index(np.asarray(tracts))
    linked = pd.Index(crosswalk["geoid"].unique())
    linked = linked[linked.str[:2].isin(known.str[:2].unique())]
    strangers = linked.difference(known)
    if len(linked) == 0 or len(strangers) > tolerance * len(linked):
        named = ", ".join(strangers[:3]) or "none of these states"
        raise InputError(
            f"{what}: {len(strangers)} of {len(linked)} tracts of the crosswalk are not in the table ({named}); "
            "expected a crosswalk of the table's own tracts and year"
        )


def link_tracts(crosswalk: pd.DataFrame, tracts: pd.Series | np.ndarray) -> tuple[Links, list[str], np.ndarray]:
    """Return a crosswalk's rows as links between the rows of a table and regions.

    Parameters
    ----------
    crosswalk : DataFrame
    tracts : geoids, in the order of the table

    Returns
    -------
    links : Links
        Rows without a region, and tracts that are not in the table, are left out.
    regions : list of str
        Names of the targets, sorted.
    share_of_target : shape (n_links,)
        ``afact2``.
    """
    rows = pd.Index(np.asarray(tracts)).get_indexer(crosswalk["geoid"])
    linked = crosswalk[(rows >= 0) & (crosswalk["region"] != "").to_numpy()]
    codes, regions = pd.factorize(linked["region"], sort=True)
    source = pd.Index(np.asarray(tracts)).get_indexer(linked["geoid"])
    links = Links(source.astype(np.int64), codes.astype(np.int64), linked["afact"].to_numpy(float))
    return links, list(regions), linked["afact2"].to_numpy(float)


def check_crosswalk(table: pd.DataFrame, source: str, *, complete: bool = False) -> pd.DataFrame:
    """Return a crosswalk sorted by tract and region, once it is found to add up.

    Parameters
    ----------
    table : DataFrame
        The columns of `COLUMNS`, and others.
    source : str
        For messages.
    complete : bool
        Whether the shares of every tract must sum to 1.

    Raises
    ------
    InputError
        As `read_geocorr`.
    """
    if table.empty:
        raise InputError(f"{source}: found no rows, expected a crosswalk")
    odd = ~table["geoid"].str.fullmatch(r"[0-9]{5}|[0-9]{11}").fillna(False).astype(bool)
    if odd.any():
        raise InputError(
            f"{source}: found {table['geoid'][odd].iloc[0]!r}, expected a county of 5 or a tract of 11 digits"
        )
    twice = table.duplicated(["geoid", "region"])
    if twice.any():
        geoid, region = table.loc[twice, ["geoid", "region"]].iloc[0]
        raise InputError(f"{source}: {geoid} and region {region or '(none)'} are linked twice")
    _check_one_state(table, source)
    for column, name in (("afact", "geoid"), ("afact2", "region")):
        given = table[table[column].notna() & (table[name] != "")]
        codes, names = pd.factorize(given[name], sort=True)
        links = Links(codes.astype(np.int64), codes.astype(np.int64), given[column].to_numpy(float))
        try:
            check_links(links, list(names), complete=complete and column == "afact")
        except InputError as error:
            raise InputError(f"{source}, column {column}: {error}") from error
    others = [column for column in table if column not in COLUMNS]
    return table.sort_values(["geoid", "region"], ignore_index=True)[[*COLUMNS, *others]]


def _check_one_state(table: pd.DataFrame, source: str) -> None:
    """Places lie in one state each: their codes are seven digits, and repeat between states without the first two."""
    places = table[table["region"].str.fullmatch(r"[0-9]{7}")]
    wrong = places["region"].str[:2] != places["geoid"].str[:2]
    if wrong.any():
        geoid, region = places.loc[wrong, ["geoid", "region"]].iloc[0]
        raise InputError(f"{source}: place {region} is linked to {geoid}, which lies in another state")


def read_texts(path: str | Path) -> pd.DataFrame:
    """Return a csv as text without blanks around it; UTF-8, else Latin-1.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    try:
        rows = _read_csv(path)
    except (OSError, EOFError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path}: cannot be read ({error}); expected a csv") from error
    return rows.apply(lambda column: column.str.strip())


def _read_csv(path: str | Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except UnicodeDecodeError:
        # Geocorr writes the names of places in Latin-1.
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="latin-1")


def _without_labels(rows: pd.DataFrame, path: str | Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """Take out rows of labels (one below the header, in some files more), and return the first of them."""
    rows = rows.rename(columns=str.lower)
    if "afact" not in rows:
        raise InputError(f"{path}: found the columns {', '.join(rows)}, expected afact")
    labelled = rows["afact"].str.contains(_LABELLED)
    labels = dict(rows[labelled].iloc[0]) if labelled.any() else {}
    if labelled.all():
        raise InputError(f"{path}: found {len(rows)} rows of labels and none of shares, expected a crosswalk")
    return rows[~labelled].reset_index(drop=True), labels


def _check_direction(labels: dict[str, str], column: str, path: str | Path) -> None:
    """Refuse a file made the other way round: its afact is the share of the place in the tract."""
    label = labels.get("afact", "").lower().replace("-", " ")
    if label.startswith((f"{column} to ", "place to ")):
        raise InputError(
            f"{path}: afact is labelled {labels['afact']!r}, expected the share of the source in the target"
        )


def _one_of(rows: pd.DataFrame, names: tuple[str, ...], path: str | Path) -> str:
    for name in names:
        if name in rows:
            return name
    raise InputError(f"{path}: found the columns {', '.join(rows)}, expected {' or '.join(names)}")


def shares(rows: pd.DataFrame, column: str, path: str | Path) -> pd.Series:
    """Return a column of text as numbers.

    Raises
    ------
    InputError
        Naming the row that holds none.
    """
    found = pd.to_numeric(rows[column], errors="coerce")
    if found.isna().any():
        row = int(np.argmax(found.isna()))
        raise InputError(f"{path}, column {column}, row {row}: found {rows[column].iloc[row]!r}, expected a share")
    return found


def _projected(layer: gpd.GeoDataFrame, what: str) -> gpd.GeoDataFrame:
    if layer.crs is None:
        raise GeometryError(f"{what}: no coordinate system is given; expected one, for areas in {EQUAL_AREA}")
    return layer.to_crs(EQUAL_AREA)
