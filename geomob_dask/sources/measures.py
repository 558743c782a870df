"""Tables of measures from files: keys in one form, numbers as floats, and nothing else taken for a number.

A dash and other annotations of the Census Bureau, and its negative codes such as -666666666, are refused here: their
meaning depends on the table, and the sources that know the table decode them.
"""

import csv
import gzip
import io
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import Field

from geomob_dask.errors import InputError
from geomob_dask.names import Name, Year
from geomob_dask.options import Listed, argument
from geomob_dask.options import Options as BaseOptions
from geomob_dask.sources.census_codes import SPECIAL_CODES
from geomob_dask.sources.key_columns import KEY_COLUMNS, KeyColumns, key_columns
from geomob_dask.sources.keys import MISSING_WORDS, KeyReport, and_more, listed
from geomob_dask.sources.tables import Tables, split_by_state

Floats = NDArray[np.float64]

_SUFFIXES = (".csv", ".csv.gz", ".parquet")
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_INFINITE = r"^[+-]?inf(inity)?$"
_ANNOTATIONS = {special.annotation for special in SPECIAL_CODES}
_CODES = np.array([special.code for special in SPECIAL_CODES], dtype=np.float64)
# Beyond it, a float64 does not distinguish neighboring integers.
_LARGEST_INTEGER = 2.0**53


@dataclass(frozen=True)
class MeasureReport:
    """Report on a table of measures.

    Parameters
    ----------
    file : str
    keys : KeyReport
        With the number of rows.
    tracts : int
    measures : tuple of str
        Columns of numbers.
    texts : tuple of str
        Columns of text that were asked for by name.
    left_out : tuple of str
        Columns that hold no numbers, and further columns of keys; empty where columns were asked for by name.
    missing : mapping of str to int
        Number of tracts without a value, by measure.
    infinite : mapping of str to int
        Number of infinite values made missing, by measure.
    duplicates : tuple of str
        Keys of rows dropped because another was equal.
    """

    file: str
    keys: KeyReport
    tracts: int
    measures: tuple[str, ...]
    texts: tuple[str, ...]
    left_out: tuple[str, ...]
    missing: Mapping[str, int]
    infinite: Mapping[str, int]
    duplicates: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return lines for the user."""
        lines = [
            f"{self.keys.rows:,} rows read from {Path(self.file).name}: {self.tracts:,} tracts, "
            f"{len(self.measures)} columns of numbers",
            *self.keys.lines(),
        ]
        if self.left_out:
            lines.append(f"columns left out, they hold no numbers to use: {listed(self.left_out)}")
        if self.duplicates:
            lines.append(
                f"{len(self.duplicates):,} rows dropped, equal to another of their tract: {listed(self.duplicates)}"
            )
        for column, count in self.infinite.items():
            lines.append(f"{column}: {count:,} infinite values made missing")
        if self.missing:
            worst = sorted(self.missing.items(), key=lambda item: -item[1])
            shares = [f"{column} {count:,} ({100 * count / self.tracts:.1f} %)" for column, count in worst]
            lines.append(f"missing values: {sum(self.missing.values()):,} in all; {listed(shares)}")
        return lines


class Options(BaseOptions):
    """Options of ``jobs/ingest.py measures``."""

    file: str = argument(".csv, .csv.gz or .parquet with keys: GEOID, GISJOIN, STATE and COUNTY and TRACT, …")
    dataset: Name = Field(description="Name of the dataset.")
    year: Year = Field(description="Year of the measures.")
    vintage: Name = Field(description="Name of the tract vintage, such as 2010, 2020 or 2022.")
    columns: Listed | None = Field(None, description="Columns to read, separated by commas. [default: all numbers]")
    infinite: Literal["refuse", "missing"] = Field("refuse", description="Infinite values: an error, or missing.")
    key_column: str | None = Field(
        None, description="Column of the tracts, or STATE,COUNTY,TRACT. [default: GEOID or another known name]"
    )


def read(options: Options) -> Tables:
    """Return a table of measures by state; see `read_measures`."""
    measures, report = read_measures(
        options.file, columns=options.columns, infinite=options.infinite, key=options.key_column
    )
    return Tables(
        collection=f"measures/{options.dataset}/{options.year}",
        parts=split_by_state(measures),
        attributes={"vintage": options.vintage},
        options=options.plain(),
        files=[options.file],
        lines=report.lines(),
    )


def read_measures(
    file: str | Path, *, columns: Sequence[str] | None = None, infinite: str = "refuse", key: str | None = None
) -> tuple[pd.DataFrame, MeasureReport]:
    """Return a table with one row per tract.

    Parameters
    ----------
    file : str or Path
        ``.csv``, ``.csv.gz`` (UTF-8, else Latin-1; commas) or ``.parquet``, with a column of keys.
    columns : sequence of str, optional
        Columns to read, in this order; by default all that hold a number.
    infinite : {"refuse", "missing"}
        What to do with infinite values.
    key : str, optional
        Column of keys, or those of state, county and tract; see `key_columns`.

    Returns
    -------
    measures : DataFrame of float64
        Sorted by its index ``geoid``; NaN where a value is missing: an empty cell, ``NA``, ``NaN``, ``null``,
        ``None``, ``N/A`` or ``.``, of either case. Integers become floats, exactly: any beyond 2**53 is refused.
        A column without numbers is text, and is read only if it was asked for.
    report : MeasureReport

    Raises
    ------
    InputError
        If the file is missing or no such table; a key has a wrong form; a column asked for is absent, or two have one
        name; a number is infinite, too large an integer or a code of the Census Bureau, or there is text in its place;
        a tract has rows that contradict each other. It names the column, the tract and what was found.
    """
    if infinite not in ("refuse", "missing"):
        raise InputError(f"infinite: found {infinite!r}, expected 'refuse' or 'missing'")
    label = str(file)
    table = _table(Path(file), label)
    keys = key_columns(table.column_names, file=label, named=key)
    chosen = _chosen(columns, table.column_names, keys, label)
    geoids, key_report = keys.geoids({name: table[name].to_pandas() for name in keys.names}, file=label)
    known = geoids.notna().to_numpy()
    table, geoids = table.filter(pa.array(known)), geoids[known]

    frame, made_missing, texts, empty = {}, {}, [], []
    for name in chosen:
        where = f"{label}: column {name!r}"
        numbers = _numbers(table[name], where, geoids)
        if numbers is not None:
            frame[name], count = _finite(numbers, where, geoids, infinite)
            made_missing.update({name: count} if count else {})
        elif columns is None:
            empty.append(name)
        else:
            frame[name] = _texts(table[name], where)
            texts.append(name)
    if not frame:
        raise InputError(f"{label}: no column of numbers; found {listed([repr(name) for name in chosen], 12)}")
    measures, duplicates = _one_row_a_tract(pd.DataFrame(frame, index=pd.Index(geoids, name="geoid")), label)
    missing = measures.isna().sum()
    left_out = [name for name in table.column_names if name not in (*chosen, *keys.names)] if columns is None else []
    report = MeasureReport(
        file=label,
        keys=key_report,
        tracts=len(measures),
        measures=tuple(name for name in frame if name not in texts),
        texts=tuple(texts),
        left_out=(*left_out, *empty),
        missing={str(name): int(count) for name, count in missing.items() if count},
        infinite=made_missing,
        duplicates=duplicates,
    )
    return measures, report


# The table ---------------------------------------------------------------------------------------


def _table(path: Path, label: str) -> pa.Table:
    name = path.name.lower()
    if not name.endswith(_SUFFIXES):
        raise InputError(f"{label}: suffix {path.suffix!r}; expected one of {', '.join(_SUFFIXES)}")
    try:
        data = path.read_bytes()
        if name.endswith(".gz"):
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{label}: cannot be read ({reason}); expected a table of measures") from error
    if not data:
        raise InputError(f"{label}: is empty; expected a table with a header")
    try:
        table = pq.read_table(io.BytesIO(data)) if name.endswith(".parquet") else _csv_table(data, label)
    except pa.ArrowInvalid as error:
        raise InputError(f"{label}: not a table ({_one_line(error)})") from error
    _refuse_same_names(table.column_names, label)
    if not table.num_rows:
        raise InputError(f"{label}: no rows below the header; expected one row per tract")
    return table


def _csv_table(data: bytes, label: str) -> pa.Table:
    """Return a table of text; a header without a name (row numbers) is dropped."""
    if b"\0" in data:
        raise InputError(f"{label}: not a table of text; expected values separated by commas")
    try:
        text, encoding = data.decode("utf-8-sig"), "utf8"
    except UnicodeDecodeError:
        text, encoding = data.decode("latin-1"), "latin-1"
    try:
        header = next((row for row in csv.reader(io.StringIO(text, newline="")) if row), [])
    except csv.Error as error:
        raise InputError(f"{label}: not a table ({error}); expected a header and values separated by commas") from error
    _refuse_same_names([name.strip() for name in header], label)
    table = pyarrow.csv.read_csv(
        io.BytesIO(data),
        read_options=pyarrow.csv.ReadOptions(encoding=encoding),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=b'"' in data),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False
        ),
    )
    table = table.rename_columns([name.strip() for name in table.column_names])
    return table.select([number for number, name in enumerate(table.column_names) if name])


def _refuse_same_names(names: Sequence[str], label: str) -> None:
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise InputError(
            f"{label}: the header has {listed([repr(name) for name in twice])} more than once; expected different names"
        )


def _chosen(columns: Sequence[str] | None, names: Sequence[str], keys: KeyColumns, label: str) -> list[str]:
    if columns is None:
        others = (name for name in names if name.upper() not in KEY_COLUMNS and name not in keys.names)
        return [name for name in others if not name.startswith("__index_level_")]
    absent = [name for name in columns if name not in names]
    if absent:
        raise InputError(
            f"{label}: no column {', '.join(map(repr, absent))}; expected one of "
            f"{listed([repr(name) for name in names], 30)}"
        )
    return [name for name in dict.fromkeys(columns) if name not in keys.names]


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) < 300 else f"{text[:300]}…"


# Its numbers -------------------------------------------------------------------------------------


def _numbers(values: pa.ChunkedArray, where: str, geoids: pd.Series) -> Floats | None:
    """Return a column as floats, NaN where missing; None where it holds something else and no number."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        numbers = _numbers_of_text(values, where, geoids)
    elif pa.types.is_null(kind) or pa.types.is_boolean(kind):
        numbers = _floats(values.cast(pa.int8()).cast(pa.float64()))
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = _floats(values.cast(pa.float64(), safe=False))
        if not pa.types.is_floating(kind):
            _refuse_large(numbers, np.ones(len(numbers), bool), where, geoids)
    else:
        return None
    if numbers is not None:
        _refuse_where(np.isin(numbers, _CODES), numbers, where, geoids, "a number, not a code of the Census Bureau")
    return numbers


def _numbers_of_text(values: pa.ChunkedArray, where: str, geoids: pd.Series) -> Floats | None:
    texts = pc.utf8_trim_whitespace(pc.fill_null(values, ""))
    is_number = pc.match_substring_regex(texts, _NUMBER)
    is_infinite = pc.match_substring_regex(texts, _INFINITE, ignore_case=True)
    is_missing = pc.is_in(pc.utf8_lower(texts), value_set=pa.array(MISSING_WORDS))
    is_value = pc.or_(is_number, is_infinite)
    other = pc.invert(pc.or_(is_value, is_missing)).to_numpy()
    if other.any():
        if not pc.any(is_value).as_py():
            return None
        row = int(np.argmax(other))
        found = texts[row].as_py()
        also = ", an annotation of the Census Bureau" if found in _ANNOTATIONS else ""
        raise InputError(
            f"{where}, tract {geoids.iloc[row]}: found {found!r}{also}, expected a number "
            f"(or other columns to read){and_more(other.sum())}"
        )
    plain = pc.utf8_ltrim(texts, characters="+")
    numbers = _floats(pc.if_else(is_value, plain, pa.scalar(None, texts.type)).cast(pa.float64()))
    if np.nanmax(np.abs(numbers), initial=0.0) > _LARGEST_INTEGER:
        _refuse_large(numbers, pc.match_substring_regex(texts, "^[+-]?[0-9]+$").to_numpy(), where, geoids)
    return numbers


def _floats(values: pa.ChunkedArray) -> Floats:
    numbers: Floats = values.to_numpy().astype(np.float64)
    return numbers


def _refuse_large(numbers: Floats, integers: NDArray[np.bool_], where: str, geoids: pd.Series) -> None:
    large = integers & (np.abs(numbers) > _LARGEST_INTEGER)
    _refuse_where(large, numbers, where, geoids, "an integer of at most 2**53")


def _refuse_where(wrong: NDArray[np.bool_], numbers: Floats, where: str, geoids: pd.Series, expected: str) -> None:
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            f"{where}, tract {geoids.iloc[row]}: found {numbers[row]:.17g}, expected {expected}{and_more(wrong.sum())}"
        )


def _finite(numbers: Floats, where: str, geoids: pd.Series, infinite: str) -> tuple[Floats, int]:
    """Return numbers without infinite ones, and how many were made missing."""
    wrong = np.isinf(numbers)
    if infinite == "refuse":
        _refuse_where(wrong, numbers, where, geoids, "a finite number (or infinite values read as missing)")
    return np.where(wrong, np.nan, numbers), int(wrong.sum())


def _texts(values: pa.ChunkedArray, where: str) -> Any:
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        raise InputError(f"{where}: holds {values.type}; expected numbers or text")
    texts = pc.utf8_trim_whitespace(values).to_pandas().astype("str")
    return texts.mask(texts.str.lower().isin(MISSING_WORDS)).array


# Its rows ----------------------------------------------------------------------------------------


def _one_row_a_tract(frame: pd.DataFrame, label: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the frame sorted, with one row per tract, and the keys of the equal rows that were dropped."""
    several = frame.index.duplicated(keep=False)
    if not several.any():
        return frame.sort_index(), ()
    equal = frame.reset_index().duplicated().to_numpy()
    single = frame[~equal]
    twice = single.index[single.index.duplicated()]
    if len(twice):
        rows = single.loc[twice[0]]
        first, other = rows.iloc[0], rows.iloc[1]
        differ = (first != other) & ~(first.isna() & other.isna())
        column = rows.columns[differ.argmax()]
        raise InputError(
            f"{label}: tract {twice[0]}: column {column!r}: found {first[column]} and {other[column]} in two rows, "
            f"expected one row{and_more(twice.nunique())}"
        )
    return single.sort_index(), tuple(frame.index[equal])
