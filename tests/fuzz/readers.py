"""Every reader of files: a valid small file of its form, how it is read, and what a sound result is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from fuzz import samples

from geomob_dask.definition import read_definition
from geomob_dask.models.model_files import from_bytes
from geomob_dask.runs.backfill.file import read_backfill
from geomob_dask.runs.sources import find_source
from geomob_dask.settings import load_limits, load_settings
from geomob_dask.sources.areas import read_areas
from geomob_dask.sources.brackets import load_brackets, load_categories
from geomob_dask.sources.county_zones import read_county_zones
from geomob_dask.sources.geocorr import read_geocorr
from geomob_dask.sources.groups import load_grouping
from geomob_dask.sources.kinds import read_kinds
from geomob_dask.sources.opportunity_insights import read_white_shares, read_workbook
from geomob_dask.sources.prices import read_prices
from geomob_dask.sources.region_rows import read_region_codes
from geomob_dask.sources.relationships import RelationColumns, read_relation
from geomob_dask.sources.reported import read_reported
from geomob_dask.sources.tables import Tables
from geomob_dask.sources.text_tables import read_texts


@dataclass(frozen=True)
class Reader:
    """One reader and one form of file.

    Attributes
    ----------
    name : str
        In the names of tests, and for `worker.py`.
    file : str
        Name of the file; messages about it must hold it.
    make : callable
        Path to the file, which is written there.
    read : callable
        Path to the result.
    check : callable
        Raises AssertionError about a result that is unsound.
    mend : callable, optional
        Bytes of a mutant to bytes whose own checksum is true.
    """

    name: str
    file: str
    make: Callable[[Path], Any]
    read: Callable[[Path], Any]
    check: Callable[[Any], None] = lambda result: None
    mend: Callable[[bytes], bytes] = lambda data: data


# What a sound result is --------------------------------------------------------------------------


def _numbers(frame: pd.DataFrame) -> None:
    for name in frame.columns:
        if name == "geometry":
            continue
        kind = frame[name].dtype
        assert kind in (np.float64, np.int64) or isinstance(kind, pd.StringDtype), f"column {name!r} is {kind}"
        if kind == np.float64:
            assert not np.isinf(frame[name]).any(), f"column {name!r} is infinite"


def _keys(index: pd.Index, form: str, unique: bool = True) -> None:
    assert index.astype("str").str.fullmatch(form).all(), f"keys {list(index)}"
    assert index.is_unique or not unique, f"keys twice in {list(index)}"


def _by_tract(tables: list[Tables]) -> None:
    assert tables
    for found in tables:
        assert found.parts
        for state, part in found.parts.items():
            _keys(part.index, f"{state}[0-9]{{9}}")
            _numbers(part)


def _links(tables: list[Tables]) -> None:
    (found,) = tables
    assert found.parts
    for state, part in found.parts.items():
        _keys(part.index, f"{state}([0-9]{{3}}|[0-9]{{9}})", unique=False)
        _numbers(part)
        assert part["afact"].between(0, 1).all()
        assert (part["afact2"].isna() | part["afact2"].between(0, 1)).all()


def _crosswalk(found: pd.DataFrame) -> None:
    _keys(pd.Index(found["geoid"]), "[0-9]{5}|[0-9]{11}", unique=False)
    assert found["afact"].between(0, 1).all()
    assert not found.duplicated(["geoid", "region"]).any()


def _relation(found: Any) -> None:
    rows = found.rows
    _keys(pd.Index(rows["source"]), "[0-9]{11}", unique=False)
    _keys(pd.Index(rows["target"]), "[0-9]{11}|", unique=False)
    _numbers(rows)
    assert not rows.duplicated(["source", "target"]).any()
    assert not (rows["weight"] < 0).any()


def _polygons(frame: gpd.GeoDataFrame) -> None:
    assert frame.index.is_unique
    assert frame.crs is not None
    assert frame.geometry.is_valid.all()
    assert not frame.geometry.is_empty.any()
    assert set(frame.geometry.geom_type) <= {"Polygon", "MultiPolygon"}
    assert np.isfinite(frame.total_bounds).all()


def _tract_polygons(tables: list[Tables]) -> None:
    _by_tract(tables)
    for part in tables[0].parts.values():
        _polygons(part)


def _by_zone(found: Any) -> None:
    for frame in (found.characteristics, found.outcomes):
        _keys(frame.index, "[0-9]{5}")
        _numbers(frame)


def _finite(found: pd.Series) -> None:
    assert found.index.is_unique
    assert found.dtype == np.float64
    assert not np.isinf(found).any()


def _texts(found: pd.DataFrame) -> None:
    assert found.columns.is_unique
    assert all(isinstance(kind, pd.StringDtype) for kind in found.dtypes)


def _prices(found: Any) -> None:
    assert found.index
    assert all(isinstance(year, int) and 0 < value < float("inf") for year, value in found.index.items())


# The readers -------------------------------------------------------------------------------------


def _ingested(source: str, **options: Any) -> Callable[[Path], list[Tables]]:
    """Return what `jobs/ingest.py` reads of a file."""

    def read(path: Path) -> list[Tables]:
        argument = [str(path)] if source in ("acs", "tracts") else str(path)
        return find_source(source).read({"files" if source == "tracts" else "file": argument, **options}, None)

    return read


_MEASURES = _ingested("measures", dataset="d", year=2020, vintage="2020")
_ACS = _ingested("acs", year=2020)
_REGIONS = _ingested("regions", name="cbsa", vintage="2020")
_INCOME = _ingested("brackets", dataset="d", year=2018, vintage="2010")
_ATLAS = _ingested("atlas")
_TRACTS = _ingested("tracts", vintage="2020")


def _areas(path: Path) -> gpd.GeoDataFrame:
    return read_areas([str(path)])[0]


def _links_of(path: Path) -> Any:
    return read_relation(path, "2010", "2020")


def _model_of(path: Path) -> Any:
    return from_bytes(path.read_bytes(), path.name)


def _shares_of(path: Path) -> Any:
    return read_relation(path, "2010", "2020", columns=RelationColumns("source", "target", "weight"))


def _many(
    what: str, files: Mapping[str, Callable[[Path], Any]], read: Callable[[Path], Any], check: Callable[[Any], None]
) -> list[Reader]:
    """Return the readers of one kind of table in several forms."""
    return [Reader(f"{what} {file.split('.', 1)[1]}", file, make, read, check) for file, make in files.items()]


def _text(
    name: str, file: str, content: str, read: Callable[[Path], Any], check: Callable[[Any], None] = lambda result: None
) -> Reader:
    return Reader(name, file, samples.text(content), read, check)


READERS = {
    reader.name: reader
    for reader in (
        *_many("measures", samples.MEASURES_FILES, _MEASURES, _by_tract),
        *_many("texts", samples.MEASURES_FILES, read_texts, _texts),
        *_many("acs", samples.ACS_FILES, _ACS, _by_tract),
        *_many("regions", samples.REGION_FILES, _REGIONS, _links),
        _text("geocorr counties", "g.csv", samples.GEOCORR, read_geocorr, _crosswalk),
        _text("geocorr tracts", "g.csv", samples.GEOCORR_TRACTS, read_geocorr, _crosswalk),
        Reader("relationships txt", "tab.txt", samples.relationship_file, _links_of, _relation),
        Reader("relationships csv", "l.csv", samples.LINKS, _shares_of, _relation),
        Reader("prices", "p.csv", samples.PRICES, lambda path: read_prices(str(path)), _prices),
        Reader("brackets json", "j.zip", samples.BRACKET_FILES["j.zip"], _INCOME, _by_tract),
        Reader("brackets csv", "c.zip", samples.BRACKET_FILES["c.zip"], _INCOME, _by_tract),
        Reader("reported", "t.csv", samples.REPORTED, lambda path: read_reported(path, "county"), _finite),
        Reader("region codes", "t.csv", samples.REPORTED, lambda path: read_region_codes(path, "county")),
        *_many("zones", samples.ZONE_FILES, read_workbook, _by_zone),
        _text("counties of zones", "cz.csv", samples.COUNTY_ZONES, read_county_zones),
        _text("white shares", "w.csv", samples.WHITE, read_white_shares, _finite),
        _text("atlas", "a.csv", samples.ATLAS, _ATLAS, _by_tract),
        *_many("tracts", samples.POLYGON_FILES, _TRACTS, _tract_polygons),
        *_many("areas", samples.POLYGON_FILES, _areas, _polygons),
        Reader("model", "m.model", samples.model, _model_of, mend=samples.true_checksum),
        _text("settings", "cluster.yaml", samples.CLUSTER, lambda path: load_settings(str(path))),
        _text("limits", "cluster.yaml", samples.CLUSTER, lambda path: load_limits(str(path))),
        _text("index yaml", "i.yaml", samples.INDEX, lambda path: read_definition(str(path))),
        _text("index csv", "i.csv", samples.INDEX_TABLE, lambda path: read_definition(str(path))),
        _text("grouping", "g.yaml", samples.GROUPS, lambda path: load_grouping(str(path))),
        _text("brackets yaml", "b.yaml", samples.BRACKET_LIST, lambda path: load_brackets(str(path))),
        _text("groups yaml", "h.yaml", samples.GROUP_LIST, lambda path: load_categories(str(path))),
        _text("kinds", "k.yaml", samples.KINDS, read_kinds),
        _text("backfill", "night.yaml", samples.NIGHT, lambda path: read_backfill(str(path))),
    )
}
