"""Worksheets of Excel: cells as values, or a sheet as a table of text."""

from __future__ import annotations

import datetime
import io
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from geomob_dask.errors import InputError
from geomob_dask.messages import listed
from geomob_dask.settings import Limits
from geomob_dask.sources.files import ZIP, Archive, Content, choice, explained, too_large

SUFFIXES = (".xlsx", ".xlsm", ".xls")
_XLS = b"\xd0\xcf\x11\xe0"
_EXPECTED = "a workbook, .xlsx or .xls"

Row = Sequence[Any]


class Workbook:
    """A workbook, recognized by its first bytes.

    Parameters
    ----------
    content : Content
    limits : Limits
        An .xlsx is a container: what it unpacks to counts.

    Attributes
    ----------
    sheets : list of str

    Raises
    ------
    InputError
        If it is damaged, encrypted, or exceeds a limit.
    """

    def __init__(self, content: Content, limits: Limits):
        self.label, self._limits = content.label, limits
        data = content.data
        with explained(self.label, _EXPECTED):
            if data.startswith(_XLS):
                self.sheets, self._rows = _open_xls(data)
            elif data.startswith(ZIP):
                archive = Archive(self.label, data, expected=_EXPECTED, limits=limits)
                # Counted before openpyxl unpacks them without a bound.
                archive.check()
                self.sheets, self._rows = _open_xlsx(data)
            else:
                raise InputError(f"{self.label}: not a workbook (it begins with {data[:8]!r}); expected .xls or .xlsx")

    def rows(self, sheet: str) -> list[Row]:
        """Return the rows of a sheet, from the first; an empty cell is empty text, an error its name.

        Raises
        ------
        InputError
            If there is no such sheet, it is damaged, or it has more rows or columns than the limits.
        """
        if sheet not in self.sheets:
            raise InputError(f"{self.label}: no sheet {sheet!r}; found {listed(map(repr, self.sheets), 12)}")
        found: list[Row] = []
        with explained(f"{self.label}: sheet {sheet!r}", _EXPECTED):
            for row in self._rows(sheet):
                if len(found) > self._limits.rows:
                    raise too_large(self.label, "rows", None, self._limits)
                if len(row) > self._limits.columns:
                    raise too_large(self.label, "columns", len(row), self._limits)
                found.append(row)
        return found


def _open_xls(data: bytes) -> tuple[list[str], Callable[[str], Any]]:
    # A workbook is rare, and its library takes a while to import.
    import xlrd

    # It reports what it finds odd on standard output.
    book = xlrd.open_workbook(file_contents=data, on_demand=True, logfile=io.StringIO())

    def rows(name: str) -> Any:
        sheet = book.sheet_by_name(name)
        return ([_xls_cell(cell, book.datemode) for cell in sheet.row(number)] for number in range(sheet.nrows))

    return book.sheet_names(), rows


def _xls_cell(cell: Any, mode: int) -> Any:
    import xlrd

    # An error such as #DIV/0! is kept as a code, which would pass for a number.
    if cell.ctype == xlrd.XL_CELL_ERROR:
        return xlrd.error_text_from_code.get(cell.value, "#?")
    if cell.ctype == xlrd.XL_CELL_DATE:
        return xlrd.xldate_as_datetime(cell.value, mode)
    return bool(cell.value) if cell.ctype == xlrd.XL_CELL_BOOLEAN else cell.value


def _open_xlsx(data: bytes) -> tuple[list[str], Callable[[str], Any]]:
    import openpyxl

    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)

    def rows(name: str) -> Any:
        sheet = book[name]
        # A size that is stated, and may be a million rows, is not what is there.
        sheet.reset_dimensions()
        return (["" if cell is None else cell for cell in row] for row in sheet.iter_rows(values_only=True))

    return [sheet.title for sheet in book.worksheets], rows


def read_sheet(
    content: Content, layer: str | None, expected: str, limits: Limits, flag: str = ""
) -> tuple[str, list[str], list[pa.ChunkedArray]]:
    """Return label, header and columns of a worksheet, as text: the only one that holds anything, or the named one.

    Parameters
    ----------
    layer, flag : str, optional
        Name of the sheet, and the flag that gives it.

    Raises
    ------
    InputError
        If several sheets hold something and none is named, or a row has values beyond the header.
    """
    book = Workbook(content, limits)
    sheets = {name: _filled(book.rows(name)) for name in ([layer] if layer is not None else book.sheets)}
    filled = [name for name, rows in sheets.items() if rows]
    if not filled:
        raise InputError(f"{content.label}: is empty; expected {expected}")
    if len(filled) > 1:
        raise InputError(f"{content.label}: found the sheets {listed(map(repr, filled), 12)}; expected {choice(flag)}")
    name = filled[0]
    label = content.label if len(book.sheets) == 1 else f"{content.label}, sheet {name}"
    (_, header), *rows = sheets[name]
    for number, row in rows:
        if len(row) > len(header):
            raise InputError(f"{label}: row {number}: found {len(row)} values, expected {len(header)} as in the header")
    texts = [row + [""] * (len(header) - len(row)) for _, row in rows]
    columns = [pa.chunked_array([pa.array([row[place] for row in texts], pa.string())]) for place in range(len(header))]
    return label, header, columns


def _filled(rows: list[Row]) -> list[tuple[int, list[str]]]:
    """Return the rows that hold something, as text without empty cells at their end, and their numbers in the sheet."""
    found = []
    for number, row in enumerate(rows, start=1):
        texts = [cell_text(cell) for cell in row]
        while texts and not texts[-1].strip():
            texts.pop()
        if texts:
            found.append((number, texts))
    return found


def cell_text(cell: Any) -> str:
    """Return a cell as text: whole numbers without a point, days in ISO form, yes and no as 1 and 0.

    Examples
    --------
    >>> [cell_text(cell) for cell in (39001000100.0, 0.5, "01001", True, "")]
    ['39001000100', '0.5', '01001', '1', '']
    """
    if isinstance(cell, bool):
        return str(int(cell))
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e16:
        return str(int(cell))
    if isinstance(cell, (datetime.datetime, datetime.date)):
        return cell.isoformat()
    return str(cell)
