"""Tables of text: which encoding, separator and decimal mark a file has, found from the file itself."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from geomob_dask.errors import InputError
from geomob_dask.messages import reason
from geomob_dask.settings import Limits
from geomob_dask.sources.files import GZIP, ZIP, Content, too_large

SEPARATORS = (",", "\t", ";", "|")
"""In order of preference, where several divide a file equally well."""

_NAMES = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars"}
_SAMPLES = (1 << 16, 1 << 20, 1 << 62)
_SAMPLE_ROWS = 20
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_PARQUET, _XLS = b"PAR1", b"\xd0\xcf\x11\xe0"
_KINDS = {GZIP: "gzip", ZIP: "zip or Excel", _PARQUET: "Parquet", _XLS: "Excel"}
_BLOCK = 1 << 20
_LARGEST_BLOCK = (1 << 31) - 1


def read_delimited(content: Content, expected: str, limits: Limits) -> tuple[list[str], list[pa.ChunkedArray]]:
    """Return the header and the columns of a file of text, as text.

    Parameters
    ----------
    content : Content
        UTF-8 with or without its mark, UTF-16 with it, else Latin-1; separated by one of `SEPARATORS`.
    expected : str
        For messages.

    Returns
    -------
    names : list of str
    columns : list of ChunkedArray of string
        Decimal commas are written as points, where the file says that they are decimal commas.

    Raises
    ------
    InputError
        If it is no text, a row has another number of values than the header, or a number may be read in two ways.
    """
    label = content.label
    text, data = _decoded(content, expected)
    separator, header = _form(text, label, expected)
    if len(header) > limits.columns:
        raise too_large(label, "columns", len(header), limits)
    table = _table(data, text, separator, len(header), label)
    if table.num_rows and separator != ",":
        table = _with_points(table, header, separator, label)
    return header, list(table.columns)


def _decoded(content: Content, expected: str) -> tuple[str, bytes]:
    """Return the text, and its bytes in UTF-8 without a mark."""
    label, data = content.label, content.data
    try:
        if data.startswith(_UTF_16):
            text = data.decode("utf-16")
        elif data.startswith(GZIP):
            raise _no_text(label, data, expected)
        else:
            text = data.decode("utf-8-sig")
            if b"\0" not in data:
                return text, data.removeprefix(codecs.BOM_UTF8)
    except UnicodeDecodeError as error:
        if data.startswith(_UTF_16):
            raise InputError(f"{label}: not a table of text ({reason(error)}); expected UTF-16") from error
        # It never fails: every byte is a letter of it.
        text = data.decode("latin-1")
    if "\0" in text:
        raise _no_text(label, data, expected)
    return text, text.encode("utf-8")


def _no_text(label: str, data: bytes, expected: str) -> InputError:
    kind = next((f"{kind} by its first bytes" for start, kind in _KINDS.items() if data.startswith(start)), "a NUL")
    return InputError(f"{label}: not a table of text (found {kind}); expected {expected}, or the suffix of what it is")


def _form(text: str, label: str, expected: str) -> tuple[str, list[str]]:
    """Return the separator and the header: the separator that divides the first rows equally, in most parts."""
    for size in _SAMPLES:
        sample = text[:size]
        whole = len(sample) == len(text)
        found: dict[str, list[list[str]]] = {}
        for separator in SEPARATORS:
            try:
                found[separator] = _rows(sample, separator, whole)
            except csv.Error as error:
                # A header of many columns is one value of too many characters to a separator that it does not have.
                failed = error
        if whole or (found and min(map(len, found.values())) > 1):
            break
    if not found:
        raise InputError(f"{label}: not a table ({reason(failed)}); expected {expected}") from failed
    if not all(found.values()):
        raise InputError(f"{label}: is empty; expected {expected}")

    def quality(separator: str) -> tuple[bool, bool, int]:
        rows = found[separator]
        return len(rows[0]) > 1, len({len(row) for row in rows}) == 1, len(rows[0])

    best = max(found, key=quality)
    return best, found[best][0]


def _rows(sample: str, separator: str, whole: bool) -> list[list[str]]:
    """Return the first rows that are not blank; the last of a sample may be cut short and is left out."""
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(sample, newline=""), delimiter=separator):
            if row:
                rows.append(row)
            if len(rows) > _SAMPLE_ROWS:
                return rows[:_SAMPLE_ROWS]
    except csv.Error:
        # A value of more characters than this reader takes, such as an outline, is for Arrow to read.
        if not rows:
            raise
        return rows
    return rows if whole else rows[:-1]


def _table(data: bytes, text: str, separator: str, columns: int, label: str) -> pa.Table:
    names = [str(number) for number in range(columns)]
    # Rows longer than a block are an error of Arrow's own: the second block holds them all.
    for block in (_BLOCK, min(len(data) + 1, _LARGEST_BLOCK)):
        try:
            table = pyarrow.csv.read_csv(
                pa.BufferReader(data),
                read_options=pyarrow.csv.ReadOptions(column_names=names, block_size=block),
                parse_options=pyarrow.csv.ParseOptions(delimiter=separator, newlines_in_values=b'"' in data),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
                ),
            )
            _refuse_open_quote(data, text, separator, label)
            return table.slice(1)
        except pa.ArrowInvalid as error:
            failed = error
    _refuse_other_lengths(text, separator, columns, label)
    raise InputError(f"{label}: not a table ({reason(failed)}); expected rows of text") from failed


def _refuse_open_quote(data: bytes, text: str, separator: str, label: str) -> None:
    """Refuse text that ends within quotes: Arrow takes what a file broke off at for a value."""
    if data.count(b'"') % 2 == 0:
        return
    try:
        for _ in csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True):
            pass
    except csv.Error as error:
        if "unexpected end" in str(error):
            raise InputError(f"{label}: ends within quotes; expected a whole file, with closed quotes") from error


def _refuse_other_lengths(text: str, separator: str, columns: int, label: str) -> None:
    """Name the first row that has another number of values than the header."""
    rows = (row for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if row)
    try:
        for number, row in enumerate(rows):
            if len(row) != columns:
                raise InputError(
                    f"{label}: row {number}: found {len(row)} values separated by {_NAMES[separator]}, "
                    f"expected {columns} as in the header"
                )
    except csv.Error as error:
        raise InputError(f"{label}: not a table ({reason(error)}); expected values in closed quotes") from error


# Decimal commas ----------------------------------------------------------------------------------

_COMMA = r"^\s*[+-]?[0-9]*,[0-9]+([eE][+-]?[0-9]+)?\s*$"
_POINT = r"^\s*[+-]?[0-9]*\.[0-9]+([eE][+-]?[0-9]+)?\s*$"
# 1,234 is 1234 to one writer and 1.234 to another.
_UNCLEAR_COMMA = r"^\s*[+-]?[1-9][0-9]{0,2},[0-9]{3}\s*$"
_UNCLEAR_POINT = r"^\s*[+-]?[1-9][0-9]{0,2}\.[0-9]{3}\s*$"


def _with_points(table: pa.Table, header: Sequence[str], separator: str, label: str) -> pa.Table:
    """Return the table with decimal points, if its numbers have decimal commas."""
    commas = _with_mark(table, ",", _COMMA)
    clear = next((place for place in commas if _first(table.column(place), _COMMA, _UNCLEAR_COMMA)), None)
    if clear is not None:
        for place in _with_mark(table, ".", _POINT)[:1]:
            point, comma = _first(table.column(place), _POINT), _first(table.column(clear), _COMMA, _UNCLEAR_COMMA)
            raise InputError(
                f"{label}: column {header[place].strip()!r}: found {point!r}, and {comma!r} in column "
                f"{header[clear].strip()!r}; expected decimal points or decimal commas, not both"
            )
        for place in commas:
            texts = table.column(place)
            pointed = pc.replace_substring(texts, ",", ".")
            table = table.set_column(
                place, str(place), pc.if_else(pc.match_substring_regex(texts, _COMMA), pointed, texts)
            )
    elif separator == ";" and not commas:
        _refuse_unclear_points(table, header, label)
    return table


def _refuse_unclear_points(table: pa.Table, header: Sequence[str], label: str) -> None:
    """Refuse 1.234 where no other number says what a point is: those who separate by semicolons may mean 1234."""
    points = _with_mark(table, ".", _POINT)
    if points and not any(_first(table.column(place), _POINT, _UNCLEAR_POINT) for place in points):
        found = _first(table.column(points[0]), _POINT)
        raise InputError(
            f"{label}: column {header[points[0]].strip()!r}: found {found!r}, which is 1.234 or 1234 where semicolons "
            "separate; expected commas or tabs between values, or numbers of another form"
        )


def _with_mark(table: pa.Table, mark: str, pattern: str) -> list[int]:
    """Return the places of columns in which a pattern matches; a mark that it needs is sooner found."""
    return [
        place
        for place, texts in enumerate(table.columns)
        if pc.any(pc.match_substring(texts, mark)).as_py() and _first(texts, pattern) is not None
    ]


def _first(texts: pa.ChunkedArray, pattern: str, but: str | None = None) -> str | None:
    """Return the first text that a pattern matches, `but` those that another one does."""
    matched = pc.match_substring_regex(texts, pattern)
    if but is not None:
        matched = pc.and_(matched, pc.invert(pc.match_substring_regex(texts, but)))
    place = pc.index(matched, True).as_py()
    return None if place < 0 else str(texts[place].as_py())
