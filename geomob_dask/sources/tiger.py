"""Polygons of tracts and places from the Census Bureau's server, by year and state, as politely as its tables.

Files are kept as they came, each with its checksum; a run that was stopped asks only for those that are missing.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from geomob_dask.errors import InputError
from geomob_dask.sources.acs import Landing
from geomob_dask.sources.download import Downloader, IncompleteAnswerError

BASE_URL = "https://www2.census.gov/geo/tiger"

Layer = Literal["tract", "place"]
Kind = Literal["cartographic", "tiger"]

# The first years whose files have these names.
_FIRST = {"cartographic": 2014, "tiger": 2011}


@dataclass(frozen=True)
class Shapefile:
    """A zipped shapefile: its name, and its bytes."""

    name: str
    data: bytes


def shapefile_path(layer: Layer, kind: Kind, year: int, state: str) -> str:
    """Return where the server keeps a file, below its base address.

    Raises
    ------
    InputError
        If files of that year have no such name.

    Examples
    --------
    >>> shapefile_path("tract", "cartographic", 2018, "39")
    'GENZ2018/shp/cb_2018_39_tract_500k.zip'
    >>> shapefile_path("place", "tiger", 2019, "53")
    'TIGER2019/PLACE/tl_2019_53_place.zip'
    """
    if year < _FIRST[kind]:
        raise InputError(f"{kind} {layer} polygons of {year}: expected {_FIRST[kind]} or later")
    if kind == "cartographic":
        return f"GENZ{year}/shp/cb_{year}_{state}_{layer}_500k.zip"
    return f"TIGER{year}/{layer.upper()}/tl_{year}_{state}_{layer}.zip"


def fetch(
    layer: Layer,
    kind: Kind,
    year: int,
    states: Sequence[str],
    landing: Landing,
    client: Downloader,
    *,
    base_url: str = BASE_URL,
) -> list[Shapefile]:
    """Return the zipped shapefiles of some states, asking only for those that have not come yet.

    Raises
    ------
    InputError
        If the server knows no such file.
    RunError
        If it gives up: it names the state. Files that came are kept.
    """
    wanted = [shapefile_path(layer, kind, year, state) for state in states]
    with ThreadPoolExecutor(max_workers=client.politeness.concurrency, thread_name_prefix="tiger") as pool:
        return list(pool.map(lambda path: _kept(path, landing, client, base_url.rstrip("/")), wanted))


def _kept(path: str, landing: Landing, client: Downloader, base_url: str) -> Shapefile:
    key, name = f"tiger/{path}", path.rsplit("/", 1)[-1]
    if landing.exists(key) and landing.exists(f"{key}.sha256"):
        data = landing.get(key)
        if hashlib.sha256(data).hexdigest().encode() == landing.get(f"{key}.sha256"):
            return Shapefile(name, data)
    data = client.get(f"{base_url}/{path}", {}, _whole, name)
    # The checksum comes after the file: a run that stops between the two asks again.
    landing.put(key, data)
    landing.put(f"{key}.sha256", hashlib.sha256(data).hexdigest().encode())
    return Shapefile(name, data)


def _whole(data: bytes) -> bytes:
    """Return a zip once its parts are found to have their checksums."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            broken = archive.testzip()
            names = archive.namelist()
    except zipfile.BadZipFile as error:
        raise IncompleteAnswerError(f"found {len(data)} bytes that are no zip or break off") from error
    if broken is not None or not any(name.endswith(".shp") for name in names):
        raise IncompleteAnswerError(f"found a zip of {', '.join(names) or 'nothing'}, expected a whole shapefile")
    return data
