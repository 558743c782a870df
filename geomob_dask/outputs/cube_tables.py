"""A cube as tables: long by year, and wide with polygons; never more than a year or a state in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
import xarray as xr

from geomob_dask.errors import InputError
from geomob_dask.messages import counted
from geomob_dask.outputs.csv_text import csv_stream, write_csv
from geomob_dask.outputs.names import COUNTY, NAME, RegionNames, cube_region_names, named_rows
from geomob_dask.outputs.provenance import Record
from geomob_dask.outputs.provenance_cubes import record_of_cube
from geomob_dask.outputs.provenance_files import parquet_metadata, sidecar_text
from geomob_dask.outputs.tables import TABLES, check_file, written_whole
from geomob_dask.store import Snapshot, Store
from geomob_dask.store.cube_form import NO_ROW, VARIABLES, Form
from geomob_dask.store.cubes import Cube


def check_cube_export(file: str) -> str:
    """Return the suffix of an export file.

    Raises
    ------
    InputError
        If it is neither .csv, .csv.gz (long) nor .parquet (wide, with polygons), or the folder cannot be written.
    """
    return check_file("file", file, TABLES)


def export_cube(
    store: Store,
    name: str,
    file: str,
    *,
    version: str | None = None,
    tag: str | None = None,
    years: Sequence[int] = (),
    csv_text: str = "safe",
) -> list[str]:
    """Write a cube to one file in the format of its suffix; return a line for the user.

    Parameters
    ----------
    store : Store
    name : str
    file : str
        ``.csv`` or ``.csv.gz``: a row per year, tract and measure. ``.parquet``: a row per year and tract with the
        columns of the product's results and the polygons of the vintage, a row group per state.
    version, tag : str, optional
        As `open_cube`.
    years : sequence of int
        All by default.
    csv_text : {"safe", "plain"}
        See `csv_text.for_csv`.

    Raises
    ------
    InputError
        If the suffix is unknown or a year is not in the cube.
    """
    suffix = check_cube_export(file)
    cube = Cube(store, name)
    dataset = cube.dataset(version, tag)
    dataset = chosen_years(dataset, years)
    record = record_of_cube(
        store, name, dataset, option="cube export", **({} if suffix == ".parquet" else {"csv_text": csv_text})
    )
    if suffix != ".parquet":
        beside = partial(sidecar_text, record, Path(file), types=_long_types(dataset))
        with written_whole("file", file, suffix, beside) as temporary:
            rows = _write_long(dataset, temporary, csv_text, cube_region_names(store, dataset))
        return [f"{counted(rows, 'row')} in {file}"]
    state = cube.state(dataset.attrs["version"])
    assert state is not None  # its dataset was just read
    key = str(dataset.coords["geometry"].item()) if "geometry" in dataset.coords else ""
    polygons = store.find(key) if key else None
    with written_whole("file", file, suffix) as temporary:
        rows = _write_wide(store, dataset, state.form, polygons, temporary, record)
    without = (
        "" if polygons else f", without polygons: {f'the store has no {key}' if key else 'of regions it has none'}"
    )
    return [f"{counted(rows, 'row')} in {file}{without}"]


def chosen_years(dataset: xr.Dataset, years: Sequence[int]) -> xr.Dataset:
    """Return some years of a cube, by default all.

    Raises
    ------
    InputError
        If a year is not in the cube.
    """
    there = dataset["year"].to_numpy().tolist()
    absent = [year for year in years if year not in there]
    if absent:
        raise InputError(f"--years {absent[0]}: not in the cube; expected one of: {', '.join(map(str, there))}")
    return dataset.sel(year=list(years)) if years else dataset


def long_tables(dataset: xr.Dataset) -> Iterator[pd.DataFrame]:
    """Yield one long table per year: year, geoid or region, state, measure, units, the variables and the flag in words.

    A tract without a row in that year is left out.
    """
    unit = dataset.attrs["unit"]
    reasons = np.array(["", *dataset["flag"].attrs["flag_reasons"][1:]], dtype=object)
    names = [name for name in VARIABLES if name in dataset and name != "flag"]
    for year in dataset["year"].to_numpy().tolist():
        one = dataset[[*names, "flag"]].sel(year=year).load()
        flag = one["flag"].to_numpy()
        tracts, measures = np.nonzero(flag != NO_ROW)
        table = pd.DataFrame({"year": np.full(len(tracts), year), _key(unit): one[unit].to_numpy()[tracts]})
        table["state"] = one["state"].to_numpy()[tracts]
        table["measure"] = one["measure"].to_numpy()[measures]
        table["units"] = one["measure_units"].to_numpy()[measures]
        for name in names:
            table[name] = one[name].to_numpy()[tracts, measures]
        table["flag"] = reasons[flag[tracts, measures]]
        order = np.argsort(table[_key(unit)].to_numpy(str), kind="stable")
        yield table.iloc[order].reset_index(drop=True)


def _key(unit: str) -> str:
    """Return the column of the key of a tract or region."""
    return "geoid" if unit == "tract" else unit


def _named(table: pd.DataFrame, unit: str, names: RegionNames | None) -> pd.DataFrame:
    """Return a wide or long table with the names of its regions, or of the counties of its tracts."""
    added = COUNTY if names is None else NAME
    return table.assign(**{added: named_rows(table.set_index(_key(unit)), names)[added].to_numpy()})


def _write_long(dataset: xr.Dataset, path: Path, csv_text: str, names: RegionNames | None) -> int:
    rows = 0
    with csv_stream(path) as text:
        for table in long_tables(dataset):
            # Of tracts it has a row per measure: names of counties in each would make up half of the file.
            table = table if names is None else _named(table, "region", names)
            write_csv(table, text, csv_text, index=False, header=rows == 0)
            rows += len(table)
    return rows


def _long_types(dataset: xr.Dataset) -> dict[str, str]:
    """Return the types of the columns of a long table that are numbers; see `long_tables`."""
    numbers = {name: "integer" if name == "quality" else "double" for name in VARIABLES if name in dataset}
    return {"year": "integer", **numbers, "flag": "string"}


def _write_wide(
    store: Store, dataset: xr.Dataset, form: Form, polygons: Snapshot | None, path: Path, record: Record
) -> int:
    rows, writer, names = 0, None, cube_region_names(store, dataset)
    metadata = _geo(store, polygons) | parquet_metadata(record)
    places = dataset["state"].to_numpy()
    try:
        for state in sorted(set(places.tolist())):
            table = _wide(dataset.isel({form.unit: np.flatnonzero(places == state)}).load(), form)
            table = _named(table, form.unit, names)
            if polygons is not None:
                table["geometry"] = _polygons(store, polygons, state, table[_key(form.unit)])
            arrow = pa.Table.from_pandas(table, schema=_schema(table, metadata), preserve_index=False)
            if writer is None:
                writer = pq.ParquetWriter(path, arrow.schema, compression="zstd")
            writer.write_table(arrow.replace_schema_metadata(writer.schema.metadata))
            rows += len(table)
    finally:
        if writer is not None:
            writer.close()
    return rows


def _wide(dataset: xr.Dataset, form: Form) -> pd.DataFrame:
    """Return a row per year and tract with a result, with the columns of the results, sorted by year and key."""
    reasons = np.array(["", *dataset["flag"].attrs["flag_reasons"][1:]], dtype=object)
    flag = dataset["flag"].transpose("year", form.unit, "measure").to_numpy()
    years, tracts = np.nonzero((flag != NO_ROW).any(axis=2))
    key = _key(form.unit)
    columns: dict[str, Any] = {"year": dataset["year"].to_numpy()[years], key: dataset[form.unit].to_numpy()[tracts]}
    columns["state"] = dataset["state"].to_numpy()[tracts]
    for place, measure in enumerate(form.measures):
        for variable, column in measure.columns.items():
            if variable != "flag":
                columns[column] = dataset[variable].to_numpy()[years, tracts, place]
        columns[measure.columns.get("flag", f"{measure.name}_reason")] = reasons[flag[years, tracts, place]]
    for name in form.texts:
        columns[name] = dataset[name].to_numpy()[years, tracts].astype(object)
    table = pd.DataFrame(columns)
    order = np.lexsort((table[key].to_numpy(str), table["year"].to_numpy()))
    return table.iloc[order].reset_index(drop=True)


def _polygons(store: Store, polygons: Snapshot, state: str, keys: pd.Series) -> Any:
    part = polygons.parts.get(state)
    if part is None:
        return np.full(len(keys), None, object)
    frame = store.read(part, ["geometry"])
    assert isinstance(frame, gpd.GeoDataFrame)
    return shapely.to_wkb(frame.geometry.reindex(keys).to_numpy())


def _geo(store: Store, polygons: Snapshot | None) -> dict[bytes, bytes]:
    """Return the GeoParquet metadata of the polygons."""
    if polygons is None:
        return {}
    crs = store.frame(polygons.collection, columns=["geometry"]).crs
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": [],
        "crs": None if crs is None else crs.to_json_dict(),
    }
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
    return {b"geo": json.dumps(geo).encode()}


def _schema(table: pd.DataFrame, metadata: Mapping[bytes, bytes]) -> pa.Schema:
    fields = []
    for name, dtype in table.dtypes.items():
        if name == "geometry":
            kind = pa.binary()
        elif pd.api.types.is_numeric_dtype(dtype):
            kind = pa.from_numpy_dtype(dtype)
        else:
            kind = pa.string()
        fields.append(pa.field(str(name), kind))
    return pa.schema(fields, metadata=dict(metadata))
