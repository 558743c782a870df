"""Polygons of tracts and places from the Census Bureau's server, by year and state, as politely as its tables.

Files are kept as they came, each with its checksum; a run that was stopped asks only for those that are missing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import Field

from geomob_dask.errors import InputError
from geomob_dask.messages import counted, listed
from geomob_dask.names import Year
from geomob_dask.options import Options as BaseOptions
from geomob_dask.options import unrecorded
from geomob_dask.sources.download import AnswerCache, Downloader, IncompleteAnswerError, Politeness, is_page, page_title
from geomob_dask.sources.files import Archive
from geomob_dask.sources.states import StateCodes

BASE_URL = "https://www2.census.gov/geo/tiger"

Layer = Literal["tract", "place"]
Kind = Literal["cartographic", "tiger"]

# The first years whose files have these names.
_FIRST = {"cartographic": 2014, "tiger": 2011}


class Options(BaseOptions):
    """Options of ``jobs/ingest.py tiger``."""

    year: Year = Field(description="Year of the files.")
    states: StateCodes = Field(description="Codes or letters, such as 18,39 or IN,OH.")
    folder: str = Field(description="Where the zipped shapefiles go, for `tracts` and `places`.")
    layer: Layer = Field("tract", description="Polygons of tracts or places.")
    kind: Kind = Field("cartographic", description="cartographic (1:500,000, from 2014) or tiger (from 2011).")
    base_url: str = unrecorded(BASE_URL, "Address of the server or of a mirror.", env="GEOMOB_TIGER_URL")
    concurrency: int = unrecorded(Politeness.concurrency, "Requests at a time.")
    attempts: int = unrecorded(Politeness.attempts, "Attempts per request.")
    budget: float = unrecorded(Politeness.budget, "Seconds to spend waiting for a busy server.")

    @property
    def paths(self) -> list[str]:
        """Return the path of the files on the server, below its base address."""
        return [shapefile_path(self.layer, self.kind, self.year, state) for state in self.states]


@dataclass(frozen=True)
class Shapefile:
    """A zipped shapefile: its name, and its bytes."""

    name: str
    data: bytes


def shapefile_path(layer: Layer, kind: Kind, year: int, state: str) -> str:
    """Return the path of a file on the server, below its base address.

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


def fetch(options: Options, cache: AnswerCache, downloader: Downloader | None = None) -> list[str]:
    """Write the zipped shapefiles of some states to a folder, asking only for those that have not come yet.

    Parameters
    ----------
    options : Options
    cache : AnswerCache
        Keeps the files as they came, under ``tiger/``, each with its checksum.
    downloader : Downloader, optional
        In place of one made from the options.

    Returns
    -------
    list of str
        What was written, as lines for the user.

    Raises
    ------
    InputError
        If the folder is not there, or the server knows no such file.
    RunError
        If it gives up: it names the state. Files that came are kept.
    """
    folder = Path(options.folder)
    if not folder.is_dir():
        raise InputError(f"--folder {folder}: no such folder; expected one that exists")
    polite = Politeness(concurrency=options.concurrency, attempts=options.attempts, budget=options.budget)
    client = downloader or Downloader(polite)
    base_url = options.base_url.rstrip("/")
    files = client.all([partial(_kept, path, cache, client, base_url) for path in options.paths], "polygons")
    for file in files:
        (folder / file.name).write_bytes(file.data)
    return [
        f"{counted(len(files), 'file')} of {options.kind} {options.layer} polygons of {options.year} are in {folder}",
        *(f"  {file.name}: {counted(len(file.data), 'byte')}" for file in files),
    ]


def plan(options: Options) -> list[str]:
    """Return the requests, as lines for the user."""
    return [f"tiger: {options.base_url}/{path}" for path in options.paths]


def _kept(path: str, cache: AnswerCache, client: Downloader, base_url: str) -> Shapefile:
    key, name = f"tiger/{path}", path.rsplit("/", 1)[-1]
    if cache.exists(key) and cache.exists(f"{key}.sha256"):
        data = cache.get(key)
        if hashlib.sha256(data).hexdigest().encode() == cache.get(f"{key}.sha256"):
            return Shapefile(name, data)
    data = client.get(f"{base_url}/{path}", {}, _whole, name)
    # The checksum comes after the file: a run that stops between the two asks again.
    cache.put(key, data)
    cache.put(f"{key}.sha256", hashlib.sha256(data).hexdigest().encode())
    return Shapefile(name, data)


def _whole(data: bytes) -> bytes:
    """Return a zip once its members are found to have their checksums, and polygons among them."""
    if is_page(data):
        raise IncompleteAnswerError(f"found a web page ({page_title(data)!r}), expected a zip")
    try:
        archive = Archive("the answer", data, expected="a whole shapefile")
        archive.check()
    except InputError as error:
        raise IncompleteAnswerError(f"{error} (of {counted(len(data), 'byte')})") from error
    if not any(name.endswith(".shp") for name in archive.names):
        found = listed(archive.names) or "nothing"
        raise IncompleteAnswerError(f"found a zip of {found}, expected a whole shapefile")
    return data
