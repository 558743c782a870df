"""Polygons from the Census Bureau's server to files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from geomob_dask.errors import InputError
from geomob_dask.sources.download import Downloader
from geomob_dask.sources.tiger import BASE_URL, Kind, Layer, fetch, shapefile_path
from geomob_dask.store import Store


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Parameters
    ----------
    layer : str
        ``tract`` or ``place``.
    kind : str
        ``cartographic`` or ``tiger``.
    year : int
    states : tuple of str
        State codes.
    """

    layer: str
    kind: str
    year: int
    states: tuple[str, ...]

    def __post_init__(self) -> None:
        for option, found, expected in (
            ("--layer", self.layer, ("tract", "place")),
            ("--kind", self.kind, ("cartographic", "tiger")),
        ):
            if found not in expected:
                raise InputError(f"{option} {found}: expected {' or '.join(expected)}")

    def paths(self) -> list[str]:
        """Return where the server keeps the files."""
        layer, kind = cast(Layer, self.layer), cast(Kind, self.kind)
        return [shapefile_path(layer, kind, self.year, state) for state in self.states]


def fetch_polygons(
    store: Store, request: Request, folder: str, client: Downloader, *, base_url: str = BASE_URL
) -> list[str]:
    """Fetch files, keep them in the store under ``tiger/``, write them to a folder, and return what to say."""
    target = Path(folder)
    if not target.is_dir():
        raise InputError(f"--folder {folder}: no such folder; expected one that exists")
    layer, kind = cast(Layer, request.layer), cast(Kind, request.kind)
    files = fetch(layer, kind, request.year, request.states, store.objects, client, base_url=base_url)
    for file in files:
        (target / file.name).write_bytes(file.data)
    return [
        f"{len(files)} files of {request.kind} {request.layer} polygons of {request.year} are in {target}",
        *(f"  {file.name}: {len(file.data):,} bytes" for file in files),
    ]
