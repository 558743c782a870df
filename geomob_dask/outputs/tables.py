"""Results as one table, to a file by its suffix."""

import contextlib
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio.errors

from geomob_dask.errors import GeomobError, InputError, RunError
from geomob_dask.messages import reason
from geomob_dask.outputs.csv_text import csv_stream, write_csv
from geomob_dask.outputs.provenance import Record
from geomob_dask.outputs.provenance_files import (
    driver_options,
    parquet_metadata,
    sidecar_of,
    sidecar_text,
    types_of,
)

CSV = (".csv", ".csv.gz")
TABLES = (*CSV, ".parquet")
WITH_GEOMETRY = (".gpkg", ".geojson")
SUFFIXES = (*TABLES, *WITH_GEOMETRY)
PAGES = (".html", ".htm")
PICTURES = (".png", ".svg")
MAPS = (*PAGES, *PICTURES)


def check_file(option: str, file: str, suffixes: Sequence[str] = SUFFIXES) -> str:
    """Return the suffix of a file to be written, before anything is computed.

    Parameters
    ----------
    option : str
        Names the file in errors.
    suffixes : sequence of str
        Those that can be written.

    Raises
    ------
    InputError
        If it has another suffix, or its folder does not exist or cannot be written.
    """
    path = Path(file)
    suffix = next((suffix for suffix in suffixes if path.name.endswith(suffix)), None)
    if suffix is None:
        raise InputError(f"{option} {file}: found the suffix {path.suffix!r}, expected one of: {', '.join(suffixes)}")
    check_folder(option, file)
    return suffix


def check_folder(option: str, file: str) -> None:
    """Raise InputError if a file to be written is a folder, or its own folder is absent or cannot be written."""
    folder = Path(file).absolute().parent
    if not folder.is_dir():
        raise InputError(f"{option} {file}: no folder {folder}; expected one that exists")
    if not os.access(folder, os.W_OK):
        raise InputError(f"{option} {file}: folder {folder} cannot be written")
    if Path(file).is_dir():
        raise InputError(f"{option} {file}: is a folder; expected the name of a file")


@contextlib.contextmanager
def written_whole(
    what: str, file: str | Path, suffix: str, beside: Callable[[Path], str] | None = None
) -> Iterator[Path]:
    """Yield a path to write to; what is written there replaces the file at the end, or is removed after a failure.

    Parameters
    ----------
    what : str
        Names the file in errors.
    suffix : str
        Of the path that is yielded. Beside a csv there is never the provenance of another one: it is removed first.
    beside : callable, optional
        From the path that was written to the text of the provenance beside a csv.

    Raises
    ------
    InputError
        If the file is a folder, or its folder is absent; jobs find that by `check_file` before anything is computed.
    RunError
        If the file cannot be written, such as on a full disk. Both begin with `what`, such as an option, and the file.
    """
    path = Path(file)
    temporary = path.with_name(f".{uuid.uuid4().hex}{suffix}")
    about = sidecar_of(temporary)
    try:
        yield temporary
        if beside is not None:
            about.write_text(beside(temporary), encoding="utf-8")
        if suffix in CSV:
            # Whenever this ends, the file has its own provenance beside it, or none.
            sidecar_of(path).unlink(missing_ok=True)
        os.replace(temporary, path)
        if beside is not None:
            os.replace(about, sidecar_of(path))
    except GeomobError:
        # A store that fails while its polygons are read is no fault of the file.
        raise
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise InputError(f"{what} {file}: cannot be written ({reason(error)}); expected a file in a folder") from error
    except (OSError, pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise RunError(f"{what} {file}: cannot be written ({reason(error)}); expected a folder with room") from error
    finally:
        temporary.unlink(missing_ok=True)
        about.unlink(missing_ok=True)


def export(
    table: pd.DataFrame,
    file: str,
    geometry: Callable[[], gpd.GeoSeries] | None = None,
    *,
    option: str = "--export",
    csv_text: str = "safe",
    record: Record | None = None,
) -> None:
    """Write a table whole: a reader sees all of it or nothing.

    Parameters
    ----------
    table : DataFrame
        Its index goes out as the first column.
    geometry : callable, optional
        Returns the polygons by the table's index; called for .gpkg and .geojson only.
    option : str
        Names the file in errors.
    csv_text : {"safe", "plain"}
        Whether text in a .csv is kept from being run as a formula; see `csv_text.for_csv`.
    record : dict, optional
        The provenance, which the file keeps, or ``FILE-metadata.json`` beside a csv; see `provenance_files`.

    Raises
    ------
    InputError
        If the suffix is unknown, or a map file is asked of a table without polygons.
    """
    suffix = check_file(option, file, SUFFIXES if geometry else TABLES)
    beside = None
    if record is not None and suffix in CSV:
        beside = partial(sidecar_text, record, Path(file), types=types_of(table))
    with written_whole(option, file, suffix, beside) as temporary:
        if geometry and suffix in WITH_GEOMETRY:
            shapes = geometry()
            frame = gpd.GeoDataFrame(table.reset_index(), geometry=shapes.reindex(table.index).to_numpy())
            frame = frame.set_crs(shapes.crs)
            driver = "GPKG" if suffix == ".gpkg" else "GeoJSON"
            frame.to_file(temporary, driver=driver, layer="result", **driver_options(driver, record))
        elif suffix == ".parquet":
            arrow = pa.Table.from_pandas(table)
            metadata = {**(arrow.schema.metadata or {}), **parquet_metadata(record)}
            pq.write_table(arrow.replace_schema_metadata(metadata), temporary)
        else:
            with csv_stream(temporary) as stream:
                write_csv(table, stream, csv_text)
