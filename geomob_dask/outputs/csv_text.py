"""Text for csv files that spreadsheets open: no cell of text is taken for a formula."""

from __future__ import annotations

import contextlib
import gzip
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Literal, get_args

import numpy as np
import pandas as pd

from geomob_dask.errors import SettingsError

CsvText = Literal["safe", "plain"]
CSV_TEXTS: tuple[str, ...] = get_args(CsvText)
CSV_TEXT_HELP = (
    "Text in .csv files: safe (an apostrophe before text that a spreadsheet would run as a formula), or plain."
)

# Signs of East Asian keyboards are read as the sign itself.
_SIGNS = frozenset("=@\t\r\n＝＠+-＋－")
_HARMLESS = re.compile(r"[+\-＋－]|[+\-](?:\d[\d,]*\.?\d*|\.\d+)(?:[eE][+\-]?\d+)?%?")


def check_csv_text(value: str) -> None:
    """Raise SettingsError if it is neither safe nor plain."""
    if value not in CSV_TEXTS:
        raise SettingsError(f"--csv-text {value}: expected {' or '.join(CSV_TEXTS)}")


def write_csv(table: pd.DataFrame, target: Any, csv_text: str = "safe", **options: Any) -> None:
    """Write a table as csv: every csv file of this package goes through here.

    Parameters
    ----------
    target : path or file
    csv_text : {"safe", "plain"}
        See `for_csv`.
    **options
        Of ``DataFrame.to_csv``.
    """
    for_csv(table, csv_text).to_csv(target, **options)


@contextlib.contextmanager
def csv_stream(path: Path) -> Iterator[IO[str]]:
    """Yield where the text of a .csv or .csv.gz goes; a .gz has no time in it: the same text gives the same bytes."""
    with contextlib.ExitStack() as stack:
        binary: Any = stack.enter_context(open(path, "wb"))
        if path.suffix == ".gz":
            binary = stack.enter_context(gzip.GzipFile(fileobj=binary, mode="wb", mtime=0, filename=""))
        yield stack.enter_context(io.TextIOWrapper(binary, encoding="utf-8", newline="", write_through=True))


def for_csv(table: pd.DataFrame, csv_text: str = "safe") -> pd.DataFrame:
    """Return a table whose text, with that of its index and titles, a spreadsheet shows and does not run.

    Parameters
    ----------
    table : DataFrame
        Numbers are left alone, negative ones too, and so is text that is a number.
    csv_text : {"safe", "plain"}
        Whether text is changed: ``plain`` returns the table as it is.

    Examples
    --------
    >>> for_csv(pd.DataFrame({"name": ["=1+1", "-2.5", "- none", "Ohio"]}))["name"].tolist()
    ["'=1+1", '-2.5', "'- none", 'Ohio']
    """
    if csv_text == "plain":
        return table
    text = [place for place, dtype in enumerate(table.dtypes) if not _is_plain(dtype)]
    changed = {place: safe for place in text if (safe := _safe(table.iloc[:, place])) is not None}
    titles, index = _safe_index(table.columns), _index(table.index)
    if not changed and titles is table.columns and index is table.index:
        return table
    result = table.copy(deep=False)
    for place, column in changed.items():
        result.isetitem(place, column)
    return result.set_axis(titles, axis=1).set_axis(index, axis=0)


def _is_plain(dtype: object) -> bool:
    return bool(
        pd.api.types.is_numeric_dtype(dtype)
        or pd.api.types.is_bool_dtype(dtype)
        or pd.api.types.is_datetime64_any_dtype(dtype)
    )


def _safe(values: pd.Series) -> pd.Series | None:
    """Return a column without formulas; None if it has none. Other values than text are left alone."""
    rows = np.fromiter(map(_runs, values.tolist()), dtype=bool, count=len(values))
    if not rows.any():
        return None
    result = values.astype("object")
    result[rows] = "'" + result[rows]
    return result


def _runs(value: object) -> bool:
    return isinstance(value, str) and value[:1] in _SIGNS and _HARMLESS.fullmatch(value) is None


def _index(index: pd.Index) -> pd.Index:
    if not isinstance(index, pd.MultiIndex):
        return _safe_index(index)
    levels = [_safe_index(level) for level in index.levels]
    unchanged = all(one is other for one, other in zip(levels, index.levels, strict=True))
    return index if unchanged else index.set_levels(levels).set_names([level.name for level in levels])


def _safe_index(index: pd.Index) -> pd.Index:
    values = None if _is_plain(index.dtype) else _safe(pd.Series(index))
    names = pd.Series([index.name if isinstance(index.name, str) else ""])
    name = _safe(names)
    if values is None and name is None:
        return index
    labels = index if values is None else pd.Index(values)
    return labels.rename(index.name if name is None else name.iloc[0])
