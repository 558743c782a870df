"""Tables of measures from files: keys in one form, numbers as floats, and nothing else taken for a number.

A dash and other annotations of the Census Bureau, and its negative codes such as -666666666, are refused here: their
meaning depends on the table, and the sources that know the table decode them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from geomob_dask.errors import InputError
from geomob_dask.messages import and_more, counted, listed
from geomob_dask.names import Name, Year
from geomob_dask.options import Listed, argument
from geomob_dask.options import Options as BaseOptions
from geomob_dask.sources.key_columns import KEY_COLUMNS, KeyColumns, key_columns
from geomob_dask.sources.keys import KeyReport
from geomob_dask.sources.numbers import Floats, Missing, Unit, are_codes, floats, is_annotated, refuse_where, words
from geomob_dask.sources.plausible import refuse_implausible
from geomob_dask.sources.tables import Tables, split_by_state
from geomob_dask.sources.text_tables import TextTable, open_table

_EXPECTED = "a table of measures, one row per tract"
_SENTINELS = ("refuse", "keep")


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
        Columns of text: asked for by name, or with values that repeat, such as regions.
    left_out : tuple of str
        Columns that hold neither, and further columns of keys; empty where columns were asked for by name.
    missing : mapping of str to int
        Number of tracts without a value, by measure.
    infinite : mapping of str to int
        Number of infinite values made missing, by measure.
    duplicates : tuple of str
        Keys of rows dropped because another was equal.
    odd : tuple of str
        Lines about values that are possible and unusual.
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
    odd: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return lines for the user."""
        lines = [
            f"{counted(self.keys.rows, 'row')} read from {Path(self.file).name}: {counted(self.tracts, 'tract')}, "
            f"{counted(len(self.measures), 'column of numbers', 'columns of numbers')}",
            *self.keys.lines(),
        ]
        if self.texts:
            lines.append(f"columns of text, such as regions (--by NAME): {listed(self.texts)}")
        if self.left_out:
            lines.append(f"columns left out, they hold neither numbers nor text that repeats: {listed(self.left_out)}")
        if self.duplicates:
            lines.append(
                f"{counted(len(self.duplicates), 'row')} dropped, equal to another of the tract: "
                f"{listed(self.duplicates)}"
            )
        lines += self.odd
        for column, count in self.infinite.items():
            lines.append(f"{column}: {counted(count, 'infinite value')} made missing")
        if self.missing:
            worst = sorted(self.missing.items(), key=lambda item: -item[1])
            shares = [f"{column} {count:,} ({100 * count / self.tracts:.1f} %)" for column, count in worst]
            lines.append(f"missing values: {sum(self.missing.values()):,} in all; {listed(shares)}")
        return lines


class Options(BaseOptions):
    """Options of ``jobs/ingest.py measures``."""

    file: str = argument("A .csv, .tsv, .txt, .xlsx, .xls or .parquet, also in a .gz or .zip, with a column of keys.")
    dataset: Name = Field(description="Name of the dataset.")
    year: Year = Field(description="Year of the measures.")
    vintage: Name = Field(description="Name of the tract vintage, such as 2010, 2020 or 2022.")
    columns: Listed | None = Field(None, description="Columns to read, separated by commas. [default: numbers, text]")
    missing: Listed | None = Field(None, description="Further values that stand for a missing one, such as -999,-888.")
    sentinels: Literal["refuse", "keep"] = Field("refuse", description="Values such as -999 far outside of all others.")
    infinite: Literal["refuse", "missing"] = Field("refuse", description="Infinite values: an error, or missing.")
    key_column: str | None = Field(
        None, description="Column of the tracts, or STATE,COUNTY,TRACT. [default: GEOID or another known name]"
    )
    layer: str | None = Field(None, description="Name of the sheet, or of the file in a .zip, where there are several.")


def read(options: Options) -> Tables:
    """Return a table of measures by state; see `read_measures`."""
    measures, report = read_measures(
        options.file,
        columns=options.columns,
        infinite=options.infinite,
        key=options.key_column,
        missing=options.missing or (),
        sentinels=options.sentinels,
        layer=options.layer,
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
    file: str | Path,
    *,
    columns: Sequence[str] | None = None,
    infinite: str = "refuse",
    key: str | None = None,
    missing: Sequence[str] = (),
    sentinels: str = "refuse",
    layer: str | None = None,
) -> tuple[pd.DataFrame, MeasureReport]:
    """Return a table with one row per tract.

    Parameters
    ----------
    file : str or Path
        A table (see `text_tables.open_table`) with a column of keys.
    columns : sequence of str, optional
        Columns to read, in this order; by default all that hold a number, and those of text that repeats.
    infinite : {"refuse", "missing"}
        What to do with infinite values.
    key : str, optional
        Column of keys, or those of state, county and tract; see `key_columns`.
    missing : sequence of str
        Further values that stand for a missing one, such as ``-999``.
    sentinels : {"refuse", "keep"}
        What to do with values such as -999 that lie far outside of all others; see `plausible.sentinel`.
    layer : str, optional
        Name of the worksheet, or of the member of a .zip, where there are several.

    Returns
    -------
    measures : DataFrame of float64 and str
        Sorted by its index ``geoid``; NaN where a value is missing: one of `keys.MISSING_WORDS` or `missing`. Integers
        become floats, exactly: any beyond 2**53 is refused. Digits of one width that begin with a zero, and repeat, are
        codes and stay text; text whose every value is another one is read only if it was asked for.
    report : MeasureReport

    Raises
    ------
    InputError
        If the file is missing or no such table; a key has a wrong form; a column asked for is absent, or two have one
        name; a number is infinite, too large, a code of a missing value, or impossible by the name of its column, or
        there is text in its place; a tract has rows that contradict each other. It names the column, the tract and
        what was found.
    """
    for name, value, known in (("infinite", infinite, ("refuse", "missing")), ("sentinels", sentinels, _SENTINELS)):
        if value not in known:
            raise InputError(f"{name}: found {value!r}, expected {' or '.join(map(repr, known))}")
    table = open_table(file, layer=layer, flag="--layer", expected=_EXPECTED)
    label = table.label
    keys = key_columns(table.names, file=label, named=key)
    wanted = _wanted(columns, table, keys)
    table.check_codes(keys.names)
    geoids, key_report = keys.geoids(
        {name: values.to_pandas() for name, values in table.columns(keys.names).items()}, file=label
    )
    is_known = geoids.notna().to_numpy()
    geoids = geoids[is_known]
    choice = _Choice(infinite, Missing.declared(missing), sentinels, by_name=columns is not None)
    found = _read_columns(wanted, is_known, label, lambda row: f"tract {geoids.iloc[row]}", choice)
    if not found.frame or not (found.numbers or columns):
        raise InputError(f"{label}: no column of numbers; found {listed([repr(name) for name in wanted], 12)}")
    measures, duplicates = _one_row_a_tract(pd.DataFrame(found.frame, index=pd.Index(geoids, name="geoid")), label)
    empty = measures.isna().sum()
    unread = [name for name in table.names if name not in found.frame and name not in keys.names]
    report = MeasureReport(
        file=str(file),
        keys=key_report,
        tracts=len(measures),
        measures=tuple(found.numbers),
        texts=tuple(name for name in found.frame if name not in found.numbers),
        left_out=tuple(unread) if columns is None else (),
        missing={str(name): int(count) for name, count in empty.items() if count},
        infinite=found.infinite,
        duplicates=duplicates,
        odd=tuple(found.odd),
    )
    return measures, report


# Its columns -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Choice:
    """What a user wants of the columns of a table."""

    infinite: str
    missing: Missing
    sentinels: str
    by_name: bool


@dataclass(frozen=True)
class _Columns:
    """Columns that were read, and what there is to say about them."""

    frame: dict[str, Any]
    numbers: list[str]
    infinite: dict[str, int]
    odd: list[str]


def _wanted(columns: Sequence[str] | None, table: TextTable, keys: KeyColumns) -> dict[str, pa.ChunkedArray]:
    """Return the columns to read: those that are named, else all but keys that can be read."""
    if columns is not None:
        return table.columns([name for name in columns if name not in keys.names])
    others = (name for name in table.names if name.upper() not in KEY_COLUMNS and name not in keys.names)
    return table.usable([name for name in others if not name.startswith("__index_level_")])


def _read_columns(
    wanted: Mapping[str, pa.ChunkedArray], known: NDArray[np.bool_], label: str, unit: Unit, choice: _Choice
) -> _Columns:
    found = _Columns({}, [], {}, [])
    for name, values in wanted.items():
        where = f"{label}: column {name!r}"
        # Rows that are left out may hold anything.
        rows = values if known.all() else values.filter(pa.array(known))
        numbers = floats(rows, where, unit, choice.missing)
        if numbers is None or are_codes(rows, numbers):
            texts = words(rows, choice.missing)
            if choice.by_name or (texts.nunique() < texts.count() and not is_annotated(texts)):
                found.frame[name] = texts.array
            continue
        found.odd.extend(refuse_implausible(numbers, name, where, unit, sentinels=choice.sentinels))
        found.frame[name], count = _finite(numbers, where, unit, choice.infinite)
        found.numbers.append(name)
        found.infinite.update({name: count} if count else {})
    return found


def _finite(numbers: Floats, where: str, unit: Unit, infinite: str) -> tuple[Floats, int]:
    """Return numbers without infinite ones, and how many were made missing."""
    wrong = np.isinf(numbers)
    if infinite == "refuse":
        refuse_where(wrong, numbers, where, unit, "a finite number (or infinite values read as missing)")
    return np.where(wrong, np.nan, numbers), int(wrong.sum())


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
