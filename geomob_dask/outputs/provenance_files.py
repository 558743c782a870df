"""The provenance of a file in the file itself, or beside it; and how it is read back.

Parquet keeps it among the metadata of the schema, GeoPackage among those of the layer, GeoJSON as a member of the
collection, a page as a block of JSON, a picture as a text of its own (PNG) or an element of metadata (SVG). A csv
cannot keep it: ``FILE-metadata.json`` beside it, in the vocabulary of the W3C for tables on the web, has it and the
checksum of the csv.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, cast
from xml.sax.saxutils import escape, unescape

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio

from geomob_dask.errors import GeomobError, InputError
from geomob_dask.messages import reason
from geomob_dask.outputs.provenance import Record

KEY = "geomob_dask"
# The keys of the metadata of tables on the web, and where the provenance stands in them.
CSVW = "http://www.w3.org/ns/csvw"
CSVW_MEMBER = "dc:provenance"
SIDECAR = "-metadata.json"
PAGE_ID = "provenance"

_BLOCK = re.compile(rf'<script type="application/json" id="{PAGE_ID}">(.*?)</script>', re.DOTALL)
_METADATA = re.compile(rf'<metadata id="{KEY}">(.*?)</metadata>', re.DOTALL)
_PNG = b"\x89PNG\r\n\x1a\n"
# GDAL writes a member a line, and line ends within texts are escaped.
_FEATURES = '\n"features": ['
_HEAD = 1 << 22


def provenance_of(path: str | Path) -> Record:
    """Return the provenance of a file that a job has written.

    Parameters
    ----------
    path : str or path
        A table (.parquet, .gpkg, .geojson, .csv, .csv.gz), a page (.html) or a picture (.png, .svg).

    Returns
    -------
    dict
        ``results``: of each result in the file its ``collection``, ``product``, ``dataset``, ``year``, ``vintage``,
        ``definition`` (name and SHA-256), ``norm``, ``mode``, ``null``, ``interval``, ``draws``, ``seed`` as far as the
        product has them, all ``options``, ``versions``, ``parts`` with their SHA-256 and ``runs`` with those of their
        inputs. ``choices`` and ``inputs``: what the file was asked for, and what it was made from, besides. See
        docs/provenance.md.

    Raises
    ------
    InputError
        If the file is absent, has none, or is a csv that has changed since it was written.
    """
    file = Path(path)
    name = file.name.lower()
    if not file.is_file():
        raise InputError(f"{path}: no such file; expected a table or a page that a job has written")
    kind = next((one for one in _READERS if name.endswith(one)), None)
    if kind is None:
        raise InputError(f"{path}: found the suffix {file.suffix!r}, expected one of: {', '.join(_READERS)}")
    try:
        found = _READERS[kind](file)
    except GeomobError:
        raise
    except (OSError, ValueError, pa.ArrowException, pyogrio.errors.DataSourceError) as error:
        raise InputError(f"{path}: cannot be read ({reason(error)}); expected what a job has written") from error
    if not isinstance(found, dict) or KEY not in found:
        where = f" in {sidecar_of(file).name}" if kind.startswith(".csv") else ""
        raise InputError(f"{path}: found no provenance{where}; expected a file that version 0.4.0 or later has written")
    return found


# Writing -------------------------------------------------------------------------------------------


def as_text(record: Record) -> str:
    """Return a record as JSON of ASCII alone, in one line, sorted."""
    return json.dumps(record, sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def parquet_metadata(record: Record | None) -> dict[bytes, bytes]:
    """Return the metadata of a Parquet file's schema, besides those of pandas and GeoParquet."""
    return {} if record is None else {KEY.encode(): as_text(record).encode()}


def driver_options(driver: str, record: Record | None) -> dict[str, Any]:
    """Return what a driver of GDAL is given to keep a record: metadata of a layer, or a member of the collection."""
    if record is None:
        return {}
    if driver == "GPKG":
        return {"layer_metadata": {KEY: as_text(record)}}
    member = as_text({"type": "FeatureCollection", KEY: record})
    return {"NATIVE_DATA": member, "NATIVE_MEDIA_TYPE": "application/vnd.geo+json"}


def sidecar_of(path: str | Path) -> Path:
    """Return the file beside a csv that holds its provenance."""
    return Path(f"{path}{SIDECAR}")


def sidecar_text(record: Record, path: Path, written: Path, types: Mapping[str, str]) -> str:
    """Return what stands beside a csv.

    Parameters
    ----------
    record : dict
    path : Path
        Where the csv will be.
    written : Path
        Where it is written now.
    types : mapping of str to str
        The type of each column; text by default.
    """
    with open(written, "rb") as stream:
        checksum = hashlib.file_digest(stream, "sha256").hexdigest()
    columns = [{"titles": title, "datatype": types.get(title, "string")} for title in _titles(written)]
    file = {"name": path.name, "sha256": checksum}
    found = {
        "@context": CSVW,
        "url": path.name,
        "tableSchema": {"columns": columns},
        CSVW_MEMBER: {**record, "file": file},
    }
    return json.dumps(found, ensure_ascii=True, allow_nan=False, indent=1) + "\n"


def types_of(table: pd.DataFrame) -> dict[str, str]:
    """Return the type of each column of a table on the web, those of the index first."""
    levels = [table.index.get_level_values(place) for place in range(table.index.nlevels)]
    index = {str(level.name or ""): _type(level.dtype) for level in levels}
    return index | {str(name): _type(dtype) for name, dtype in table.dtypes.items()}


def _type(dtype: Any) -> str:
    if pd.api.types.is_bool_dtype(dtype):
        return "boolean"
    if pd.api.types.is_integer_dtype(dtype):
        return "integer"
    return "double" if pd.api.types.is_float_dtype(dtype) else "string"


def _titles(file: Path) -> list[str]:
    # As they stand in the file: text of titles may be changed for spreadsheets.
    opened = gzip.open if file.suffix == ".gz" else open
    with cast("IO[str]", opened(file, "rt", encoding="utf-8", newline="")) as text:
        return next(csv.reader(text), [])


# Reading -------------------------------------------------------------------------------------------


def _in_parquet(file: Path) -> Any:
    found = (pq.read_schema(file).metadata or {}).get(KEY.encode())
    return None if found is None else json.loads(found)


def _in_geopackage(file: Path) -> Any:
    for layer, _ in pyogrio.list_layers(file):
        found = (pyogrio.read_info(file, layer=layer)["layer_metadata"] or {}).get(KEY)
        if found is not None:
            return json.loads(found)
    return None


def _in_geojson(file: Path) -> Any:
    with open(file, encoding="utf-8") as text:
        head, features, rest = text.read(_HEAD).partition(_FEATURES)
        # What another program has written may begin otherwise, and then all of it is read.
        whole = json.loads(f"{head}{_FEATURES}]}}" if features else head + rest + text.read())
    return whole.get(KEY) if isinstance(whole, dict) else None


def _in_csv(file: Path) -> Any:
    beside = sidecar_of(file)
    if not beside.exists():
        return None
    about = json.loads(beside.read_bytes())
    found = about.get(CSVW_MEMBER) if isinstance(about, dict) else None
    if not isinstance(found, dict):
        return None
    with open(file, "rb") as stream:
        checksum = hashlib.file_digest(stream, "sha256").hexdigest()
    expected = found.get("file", {}).get("sha256")
    if checksum != expected:
        raise InputError(
            f"{file}: has changed since it was written: found the SHA-256 {checksum[:16]}…, expected that in "
            f"{beside.name}, {str(expected)[:16]}…"
        )
    return found


def _in_page(file: Path) -> Any:
    found = _BLOCK.search(file.read_text(encoding="utf-8"))
    return None if found is None else json.loads(found[1])


def png_text(record: Record) -> dict[str, str | None]:
    """Return texts of a PNG for Matplotlib: the record alone, not the version of what drew it."""
    return {KEY: as_text(record), "Software": None}


def svg_with(record: Record, svg: str) -> str:
    """Return an SVG with a record in an element of metadata."""
    head, end, rest = svg.rpartition("</svg>")
    return f'{head}<metadata id="{KEY}">{escape(as_text(record))}</metadata>\n{end}{rest}'


def _in_png(file: Path) -> Any:
    with open(file, "rb") as stream:
        if stream.read(len(_PNG)) != _PNG:
            raise ValueError("no PNG")
        while len(head := stream.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"tEXt":
                name, _, text = stream.read(length).partition(b"\0")
                if name == KEY.encode():
                    return json.loads(text)
            else:
                stream.seek(length, 1)
            stream.seek(4, 1)
    return None


def _in_svg(file: Path) -> Any:
    found = _METADATA.search(file.read_text(encoding="utf-8"))
    return None if found is None else json.loads(unescape(found[1]))


_READERS = {
    ".parquet": _in_parquet,
    ".gpkg": _in_geopackage,
    ".geojson": _in_geojson,
    ".csv": _in_csv,
    ".csv.gz": _in_csv,
    ".html": _in_page,
    ".htm": _in_page,
    ".png": _in_png,
    ".svg": _in_svg,
}
