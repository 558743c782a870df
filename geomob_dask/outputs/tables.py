"""Results as one table, to a file by its suffix."""

import contextlib
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import geopandas as gpd
import pandas as pd

from geomob_dask.errors import InputError

SUFFIXES = (".csv", ".csv.gz", ".parquet", ".gpkg", ".geojson")
WITH_GEOMETRY = (".gpkg", ".geojson")


def check_export(file: str) -> str:
    """Return the suffix of an export file.

    Raises
    ------
    InputError
        If it is none that can be written, or its folder does not exist: before anything is computed.
    """
    path = Path(file)
    suffix = next((suffix for suffix in SUFFIXES if path.name.endswith(suffix)), None)
    if suffix is None:
        raise InputError(f"--export {file}: found the suffix {path.suffix!r}, expected one of: {', '.join(SUFFIXES)}")
    check_folder("--export", file)
    return suffix


def check_folder(option: str, file: str) -> None:
    """Raise InputError if the folder of a file to be written does not exist or cannot be written."""
    folder = Path(file).absolute().parent
    if not folder.is_dir():
        raise InputError(f"{option} {file}: no folder {folder}; expected one that exists")
    if not os.access(folder, os.W_OK):
        raise InputError(f"{option} {file}: folder {folder} cannot be written")


@contextlib.contextmanager
def written_whole(what: str, file: str | Path, suffix: str) -> Iterator[Path]:
    """Yield a path to write to; what is written there replaces the file at the end, or is removed after a failure.

    Raises
    ------
    InputError
        If the file cannot be written; begins with `what`, such as an option, and the file.
    """
    path = Path(file)
    temporary = path.with_name(f".{uuid.uuid4().hex}{suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{what} {file}: cannot be written ({error.strerror or error})") from error
    finally:
        temporary.unlink(missing_ok=True)


def export(table: pd.DataFrame, file: str, geometry: Callable[[], gpd.GeoSeries] | None = None) -> None:
    """Write a table whole: a reader sees all of it or nothing.

    Parameters
    ----------
    table : DataFrame
        Its index goes out as the first column.
    geometry : callable, optional
        Returns the polygons by the table's index; called for .gpkg and .geojson only.

    Raises
    ------
    InputError
        If the suffix is unknown, or a map file is asked of a table without polygons.
    """
    suffix = check_export(file)
    with written_whole("--export", file, suffix) as temporary:
        if suffix in WITH_GEOMETRY:
            if geometry is None:
                raise InputError(f"--export {file}: this table has no polygons, expected .csv or .parquet")
            frame = gpd.GeoDataFrame(table.reset_index(), geometry=geometry().reindex(table.index).to_numpy())
            frame = frame.set_crs(geometry().crs)
            frame.to_file(temporary, driver="GPKG" if suffix == ".gpkg" else "GeoJSON", layer="result")
        elif suffix == ".parquet":
            table.to_parquet(temporary)
        else:
            table.to_csv(temporary)
