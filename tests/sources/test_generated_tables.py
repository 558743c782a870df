"""Readers by forms by quirks: one small true table behind all; every combination gives it, or an error that names it.

A quirk that a reader cannot know to be right is refused; nothing is read as something else.
"""

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from geomob_dask.errors import InputError
from geomob_dask.sources.acs_files import read_file
from geomob_dask.sources.county_zones import read_county_zones
from geomob_dask.sources.geocorr import read_geocorr
from geomob_dask.sources.keys import MISSING_WORDS
from geomob_dask.sources.measures import read_measures
from geomob_dask.sources.opportunity_atlas import read_atlas
from geomob_dask.sources.prices import read_prices
from geomob_dask.sources.regions import read_regions
from geomob_dask.sources.relationships import read_relation
from geomob_dask.sources.reported import read_reported

Cells = dict[str, list[str]]
TRACTS = ["01001020100", "39001961400", "39001961500"]
NAMES = {"label": ["Doña Ana", "Añasco", "Peñuelas"]}

# Readers: the table as text, what is made of it, and the truth ----------------------------------------

READERS: dict[str, tuple[Cells, Callable[[Path], Any], Any]] = {
    "measures": (
        {"GEOID": TRACTS, "a": ["1", "2.5", "-1500"], "b": ["100", "7", "8"]},
        lambda path: read_measures(path)[0][["a", "b"]].to_numpy().tolist(),
        [[1, 100], [2.5, 7], [-1500, 8]],
    ),
    "relation": (
        {"source": TRACTS, "target": TRACTS, "weight": ["1", "0.75", "0.5"]},
        lambda path: read_relation(path, "2010", "2020").rows.to_numpy().tolist(),
        [[key, key, weight] for key, weight in zip(TRACTS, (1.0, 0.75, 0.5), strict=True)],
    ),
    "prices": (
        {"year": ["2000", "2001", "2002"], "index": ["99.5", "100", "102.25"]},
        lambda path: read_prices(str(path)).index,
        {2000: 99.5, 2001: 100, 2002: 102.25},
    ),
    "reported": (
        {"county": ["01001", "39001", "39003"], "people": ["10", "20", "30"]},
        lambda path: read_reported(path, "county").to_dict(),
        {"01001": 10, "39001": 20, "39003": 30},
    ),
    "atlas": (
        {
            "state": ["1", "39", "39"],
            "county": ["1", "1", "1"],
            "tract": ["20100", "961400", "961500"],
            "kir": ["41.5", "40", "39.25"],
        },
        lambda path: read_atlas(path, ["kir"])["kir"].to_dict(),
        dict(zip(TRACTS, (41.5, 40, 39.25), strict=True)),
    ),
    "regions": (
        {"county": ["01001", "39001", "39003"], "cbsa": ["10420", "10420", "30620"]},
        lambda path: read_regions(path, "cbsa").rows["region"].to_dict(),
        {"01001": "10420", "39001": "10420", "39003": "30620"},
    ),
    "county zones": (
        {"cz": ["302", "401", "401"], "state": ["1", "39", "39"], "county": ["1", "1", "3"]},
        lambda path: read_county_zones(path).to_dict(),
        {"01001": "00302", "39001": "00401", "39003": "00401"},
    ),
    "geocorr": (
        {
            "county": ["01001", "39001", "39003"],
            "state": ["01", "39", "39"],
            "placefp": ["00124", "01000", "41720"],
            "afact": ["0.25", "1", "0.5"],
        },
        lambda path: read_geocorr(path)[["geoid", "region", "afact"]].to_numpy().tolist(),
        [["01001", "0100124", 0.25], ["39001", "3901000", 1], ["39003", "3941720", 0.5]],
    ),
    "acs": (
        {"GEO_ID": [f"1400000US{key}" for key in TRACTS], "B01003_001E": ["10", "20", "30"]},
        lambda path: read_file(path).tracts[["geoid", "B01003_001E"]].to_numpy().tolist(),
        [[TRACTS[0], 10], [TRACTS[1], 20], [TRACTS[2], 30]],
    ),
}
NUMBERS = {"a", "b", "weight", "year", "index", "people", "kir", "afact", "B01003_001E"}

# Forms: bytes of a table of text cells -----------------------------------------------------------------


def text(separator: str = ",", encoding: str = "utf-8", comma: bool = False) -> Callable[[Cells], bytes]:
    def write(cells: Cells) -> bytes:
        columns = {
            name: [cell.replace(".", ",") if comma and name in NUMBERS else cell for cell in column]
            for name, column in cells.items()
        }
        return pd.DataFrame(columns).to_csv(index=False, sep=separator).encode(encoding)

    return write


def zipped(member: str, write: Callable[[Cells], bytes]) -> Callable[[Cells], bytes]:
    def packed(cells: Cells) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(member, write(cells))
        return buffer.getvalue()

    return packed


def excel(numbers: bool) -> Callable[[Cells], bytes]:
    def write(cells: Cells) -> bytes:
        book, buffer = openpyxl.Workbook(), io.BytesIO()
        book.active.append(list(cells))
        for row in zip(*cells.values(), strict=True):
            book.active.append(
                [
                    float(cell) if numbers and name in NUMBERS and cell.lower() not in MISSING_WORDS else cell
                    for name, cell in zip(cells, row, strict=True)
                ]
            )
        book.save(buffer)
        return buffer.getvalue()

    return write


def parquet(of_text: Callable[[pa.Array], pa.Array], number: pa.DataType | None = None) -> Callable[[Cells], bytes]:
    def write(cells: Cells) -> bytes:
        columns = {}
        for name, column in cells.items():
            if number is not None and name in NUMBERS:
                values = [np.nan if cell.lower() in MISSING_WORDS else float(cell) for cell in column]
                columns[name] = pa.array(values, from_pandas=True).cast(number)
            else:
                columns[name] = of_text(pa.array(column))
        buffer = io.BytesIO()
        pq.write_table(pa.table(columns), buffer)
        return buffer.getvalue()

    return write


ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "latin-1")
FORMS: dict[str, tuple[str, Callable[[Cells], bytes]]] = {
    **{
        f"{name} {encoding}": (f"m.{suffix}", text(separator, encoding))
        for separator, name, suffix in (
            (",", "commas", "csv"),
            ("\t", "tabs", "tsv"),
            (";", "semicolons", "csv"),
            ("|", "bars", "txt"),
        )
        for encoding in ENCODINGS
    },
    "decimal commas": ("m.csv", text(";", comma=True)),
    "gz": ("m.csv.gz", lambda cells: gzip.compress(text()(cells))),
    "tsv in gz": ("m.tsv.gz", lambda cells: gzip.compress(text("\t")(cells))),
    "zip": ("m.zip", zipped("folder/data.csv", text())),
    "gz in zip": ("m.zip", zipped("data.csv.gz", lambda cells: gzip.compress(text()(cells)))),
    "excel in zip": ("m.zip", zipped("data.xlsx", excel(numbers=True))),
    "excel text": ("m.xlsx", excel(numbers=False)),
    "excel numbers": ("m.xlsx", excel(numbers=True)),
    "string": ("m.parquet", parquet(lambda values: values)),
    "large string": ("m.parquet", parquet(lambda values: values.cast(pa.large_string()))),
    "string view": ("m.parquet", parquet(lambda values: values.cast(pa.string_view()))),
    "binary": ("m.parquet", parquet(lambda values: values.cast(pa.binary()))),
    "dictionary": ("m.parquet", parquet(lambda values: values.dictionary_encode())),
    "float64": ("m.parquet", parquet(lambda values: values, pa.float64())),
    "float32": ("m.parquet", parquet(lambda values: values, pa.float32())),
    "float16": ("m.parquet", parquet(lambda values: values, pa.float16())),
    "decimal128": ("m.parquet", parquet(lambda values: values, pa.decimal128(12, 4))),
}


def saved(folder: Path, form: str, cells: Cells) -> Path:
    name, write = FORMS[form]
    (folder / name).write_bytes(write(cells))
    return folder / name


# The Bureau's archives hold csv or JSON.
NOT_READ = {("acs", "gz in zip"), ("acs", "excel in zip")}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("reader", READERS)
def test_every_reader_reads_every_form(tmp_path: Path, reader: str, form: str) -> None:
    cells, read, truth = READERS[reader]
    path = saved(tmp_path, form, cells | NAMES)
    if (reader, form) in NOT_READ:
        with pytest.raises(InputError, match=path.name):
            read(path)
    else:
        assert read(path) == truth


# Quirks ------------------------------------------------------------------------------------------------

SOME = ("commas utf-8", "tabs utf-16", "excel text", "string view")
FEW = ("commas utf-8", "string view")
# Where a missing value means something; a share of nothing, an index of no year and people of nobody do not.
WITH_GAPS = {"measures": ("a", 1), "atlas": ("kir", 1), "acs": ("B01003_001E", 1)}
WITHOUT = {"relation": "weight", "prices": "index", "reported": "people", "geocorr": "afact"}


@pytest.mark.parametrize("form", [*FEW, "excel text", "excel numbers", "float32", "decimal128"])
@pytest.mark.parametrize("word", [word for word in MISSING_WORDS if word != "."])
@pytest.mark.parametrize("reader", WITH_GAPS)
def test_missing_words_are_missing_in_every_reader(tmp_path: Path, reader: str, word: str, form: str) -> None:
    cells, read, truth = READERS[reader]
    column, row = WITH_GAPS[reader]
    changed = [word.upper() if place == row else cell for place, cell in enumerate(cells[column])]
    found = read(saved(tmp_path, form, cells | {column: changed}))
    found, expected = (list(one.values()) if isinstance(one, dict) else one for one in (found, truth))
    for place, (one, other) in enumerate(zip(found, expected, strict=True)):
        values, true = (np.atleast_1d(np.array(item, dtype=object)) for item in (one, other))
        missing = [isinstance(value, float) and np.isnan(value) for value in values]
        assert sum(missing) == (place == row)
        assert [value for value, gone in zip(values, missing, strict=True) if not gone] == [
            value for value, gone in zip(true, missing, strict=True) if not gone
        ]


@pytest.mark.parametrize("form", FEW)
@pytest.mark.parametrize("word", MISSING_WORDS)
@pytest.mark.parametrize("reader", WITHOUT)
def test_where_nothing_may_be_missing_it_is_named(tmp_path: Path, reader: str, word: str, form: str) -> None:
    cells, read, _ = READERS[reader]
    column = WITHOUT[reader]
    path = saved(tmp_path, form, cells | {column: [cells[column][0], word, cells[column][2]]})
    with pytest.raises(InputError, match=path.name):
        read(path)


READ_NUMBERS = ["2.5", "2.50", "+2.5", "25e-1", "2.5E0", " 2.5", "2.5 ", "02.5"]
NO_NUMBERS = ["2,5", "$2.5", "2.5%", "2.5.1", "two", "2_5", "0x2", "2.5-", "--2.5", "1/2", "inf", "1e999"]
NUMBER_OF = {"measures": "a", "relation": "weight", "prices": "index", "reported": "people", "atlas": "kir"}


@pytest.mark.parametrize("form", SOME)
@pytest.mark.parametrize("written", READ_NUMBERS)
@pytest.mark.parametrize("reader", NUMBER_OF)
def test_ways_to_write_a_number(tmp_path: Path, reader: str, written: str, form: str) -> None:
    cells, read, _ = READERS[reader]
    column = NUMBER_OF[reader]
    plain, other = (
        saved_as(tmp_path, folder, form, cells | {column: [*cells[column][:2], cell]})
        for folder, cell in (("plain", "2.5"), ("other", written))
    )
    assert read(other) == read(plain)


def saved_as(folder: Path, name: str, form: str, cells: Cells) -> Path:
    (folder / name).mkdir()
    return saved(folder / name, form, cells)


@pytest.mark.parametrize("form", ["commas utf-8", "excel text"])
@pytest.mark.parametrize("written", NO_NUMBERS)
@pytest.mark.parametrize("reader", NUMBER_OF)
def test_what_is_no_number_is_named(tmp_path: Path, reader: str, written: str, form: str) -> None:
    cells, read, _ = READERS[reader]
    column = NUMBER_OF[reader]
    # A number with decimals beside it says what a comma is not.
    path = saved(tmp_path, form, cells | {column: ["1.5", cells[column][1], written]})
    with pytest.raises(InputError) as caught:
        read(path)
    assert path.name in str(caught.value)
    assert column in str(caught.value)


KEYS = {
    "plain": lambda key: key,
    "blanks": lambda key: f" {key} ",
    "prefix": lambda key: f"1400000US{key}",
    "point": lambda key: f"{key}.0",
    "no zero": lambda key: key.lstrip("0"),
    "no zero, point": lambda key: f"{key.lstrip('0')}.0",
    "apostrophe": lambda key: f"'{key}",
    "formula": lambda key: f'="{key}"',
}


@pytest.mark.parametrize("form", SOME)
@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("reader", ["measures", "relation"])
def test_ways_to_write_a_key(tmp_path: Path, reader: str, kind: str, form: str) -> None:
    cells, read, truth = READERS[reader]
    keys = {name: [KEYS[kind](key) for key in cells[name]] for name in ("GEOID", "source", "target") if name in cells}
    path = saved(tmp_path, form, cells | keys)
    if (kind, form) == ("formula", "excel text"):
        # A formula whose value nobody has computed is an empty cell.
        with pytest.raises(InputError, match=path.name):
            read(path)
    else:
        assert read(path) == truth


@pytest.mark.parametrize("kind", [pa.int64(), pa.uint64(), pa.float64(), pa.decimal128(20, 0)])
def test_keys_that_are_numbers(tmp_path: Path, kind: pa.DataType) -> None:
    for reader in ("measures", "relation"):
        cells, read, truth = READERS[reader]
        columns: dict[str, Any] = {}
        for name, column in cells.items():
            is_key = name in ("GEOID", "source", "target")
            columns[name] = pa.array([int(key) for key in column]).cast(kind) if is_key else column
        pq.write_table(pa.table(columns), tmp_path / "m.parquet")
        assert read(tmp_path / "m.parquet") == truth
