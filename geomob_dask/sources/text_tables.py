"""One reader of tables: text with any separator, Excel and Parquet, plain or in a .gz or .zip.

Whatever the form, a table has a header of different names and columns of plain types. A text file and a worksheet give
text, exactly as it is written; a Parquet file gives its own numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from geomob_dask.errors import InputError
from geomob_dask.messages import listed
from geomob_dask.settings import Limits, limits_in_use
from geomob_dask.sources.delimited import read_delimited
from geomob_dask.sources.files import Archive, Content, explained, too_large, unpacked
from geomob_dask.sources.keys import exact_texts
from geomob_dask.sources.workbooks import SUFFIXES as WORKBOOKS
from geomob_dask.sources.workbooks import read_sheet

SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", *WORKBOOKS)
"""What a table may be named; each may be in a .gz or .zip."""


_LONG_KEYS = 1e9
# Beyond it, a float64 does not distinguish neighboring integers.
_LARGEST_WHOLE = 2.0**53


@dataclass(frozen=True)
class TextTable:
    """A table whose columns are read when they are asked for.

    Attributes
    ----------
    label : str
        For messages: the file, and the member or sheet if there is one.
    names : tuple of str
        Its columns, stripped, all different.
    rows : int
    read : callable
        Gives the columns of some names as the file has them; `column` and `texts` are what others call.
    """

    label: str
    names: tuple[str, ...]
    rows: int
    read: Callable[[Sequence[str]], Mapping[str, pa.ChunkedArray]]

    def column(self, name: str) -> pa.ChunkedArray:
        """Return a column of a plain type: text (``string``), a number, bool or null.

        Raises
        ------
        InputError
            If its type is another (a list, a day, an extension), or text is not UTF-8.
        """
        return self.columns([name])[name]

    def columns(self, names: Sequence[str]) -> dict[str, pa.ChunkedArray]:
        """Return columns of plain types; see `column`."""
        return {name: plain(values, self.where(name)) for name, values in self.found(names).items()}

    def found(self, names: Sequence[str]) -> Mapping[str, pa.ChunkedArray]:
        """Return columns of the types that the file has.

        Raises
        ------
        InputError
            If there is no such column; it lists those that are there.
        """
        absent = [name for name in names if name not in self.names]
        if absent:
            raise InputError(
                f"{self.label}: no column {', '.join(map(repr, absent))}; expected one of "
                f"{listed([repr(name) for name in self.names], 30)}"
            )
        return self.read(list(dict.fromkeys(names)))

    def where(self, name: str) -> str:
        """Return how a message begins that is about a column."""
        return f"{self.label}: column {name!r}"

    def texts(self, names: Sequence[str] | None = None) -> pd.DataFrame:
        """Return columns as stripped text, by default all that hold text or numbers; empty where a value is missing.

        Whole numbers are written without a point, whatever their type: ``1.0`` is ``1``.

        Raises
        ------
        InputError
            As `column`, and if a column holds keys of ten digits or more in single precision, which has seven.
        """
        chosen = self.usable() if names is None else self.columns(names)
        for name, values in chosen.items():
            if pa.types.is_float32(values.type) and _are_long_keys(values):
                row = int(pc.index(pc.is_valid(values), True).as_py())
                raise InputError(
                    f"{self.where(name)}, row {row + 1}: found {values[row].as_py():.0f}, digits that do not fit "
                    "float32; expected text, or float64"
                )
        return pd.DataFrame({name: as_text(values) for name, values in chosen.items()})

    def check_codes(self, names: Sequence[str]) -> None:
        """Check that columns of codes hold all of their digits.

        Raises
        ------
        InputError
            If a column is of floats that do not tell neighboring codes apart; it names the type and the row.
        """
        for name, values in self.found(names).items():
            if pa.types.is_floating(values.type):
                exact_texts(values.to_pandas(), self.where(name))

    def usable(self, names: Sequence[str] | None = None) -> dict[str, pa.ChunkedArray]:
        """Return columns of plain types, of all by default; lists, outlines, days and what is no text are left out."""
        found = {}
        for name, values in self.found(self.names if names is None else names).items():
            with suppress(InputError):
                found[name] = plain(values, self.where(name))
        return found


def open_table(
    path: str | Path,
    *,
    layer: str | None = None,
    flag: str = "",
    expected: str = "a table with a header",
    limits: Limits | None = None,
) -> TextTable:
    """Return the table in a file.

    Parameters
    ----------
    path : str or Path
        ``.csv``, ``.tsv``, ``.txt`` (UTF-8, UTF-16 with its mark, else Latin-1; separated by commas, semicolons, tabs
        or ``|``), ``.xlsx``, ``.xls`` or ``.parquet``, plain, in a ``.gz``, or alone in a ``.zip``.
    layer : str, optional
        Name of a member of a .zip, or of a worksheet, where there are several.
    flag : str
        The flag that names it, if the user has one.
    expected : str
        For messages.
    limits : Limits, optional
        Those in use by default.

    Raises
    ------
    InputError
        If the file is no such table, has no rows or exceeds a limit; if two columns have one name, or a row has another
        number of values than the header. It names the file, and the row or column.
    """
    most = limits or limits_in_use()
    is_zip = PurePosixPath(str(path)).suffix.lower() == ".zip"
    member, sheet = (layer, None) if is_zip else (None, layer)
    content = unpacked(path, SUFFIXES, member=member, flag=flag, expected=expected, limits=most)
    return parsed(content, layer=sheet, flag="" if is_zip else flag, expected=expected, limits=most)


def parsed(
    content: Content,
    *,
    layer: str | None = None,
    flag: str = "",
    expected: str = "a table with a header",
    limits: Limits | None = None,
) -> TextTable:
    """Return the table that some bytes are; see `open_table`.

    Parameters
    ----------
    content : Content
        Of a file, a member of an archive or an answer of a server.
    layer, flag : str, optional
        Name of a worksheet, and the flag for it.
    """
    most = limits or limits_in_use()
    if not content.data:
        raise InputError(f"{content.label}: is empty; expected {expected}")
    suffix = PurePosixPath(content.name).suffix.lower()
    if layer is not None and suffix not in WORKBOOKS:
        raise InputError(f"{content.label}: found a single table, expected no name of one ({layer!r})")
    if suffix == ".parquet":
        return _of_parquet(content, expected, most)
    if suffix in WORKBOOKS:
        label, names, columns = read_sheet(content, layer, expected, most, flag)
    else:
        label = content.label
        names, columns = read_delimited(content, expected, most)
    return _of_columns(label, names, columns, expected, most)


def member_table(archive: Archive, name: str) -> TextTable:
    """Return the table in a member of an archive."""
    content = Content(f"{archive.label}, member {name}", PurePosixPath(name).name, archive.read(name))
    return parsed(content, limits=archive.limits)


def read_texts(path: str | Path, *, expected: str = "a table with a header") -> pd.DataFrame:
    """Return a table as stripped text; see `open_table` and `TextTable.texts`."""
    return open_table(path, expected=expected).texts()


def _of_columns(
    label: str, names: Sequence[str], columns: Sequence[pa.ChunkedArray], expected: str, limits: Limits
) -> TextTable:
    stripped = checked_names(names, label, limits)
    # A header without a name is that of row numbers, or of nothing.
    table = {name: values for name, values in zip(stripped, columns, strict=True) if name}
    rows = len(columns[0]) if columns else 0
    _check_rows(rows, label, expected, limits)
    return TextTable(label, tuple(table), rows, lambda chosen: {name: table[name] for name in chosen})


def checked_names(names: Sequence[str], label: str, limits: Limits) -> list[str]:
    """Return the names of a header, stripped.

    Raises
    ------
    InputError
        If two are the same, one holds a NUL, or there are more than the limit. Several may be empty.
    """
    if len(names) > limits.columns:
        raise too_large(label, "columns", len(names), limits)
    stripped = [str(name).strip() for name in names]
    twice = sorted(name for name, count in Counter(stripped).items() if name and count > 1)
    if twice:
        raise InputError(
            f"{label}: the header has {listed([repr(name) for name in twice])} more than once; expected different names"
        )
    for name in stripped:
        if "\0" in name:
            raise InputError(f"{label}: the header has {name!r}; expected names without a NUL")
    return stripped


def _check_rows(rows: int, label: str, expected: str, limits: Limits) -> None:
    if not rows:
        raise InputError(f"{label}: no rows below the header; expected {expected}")
    if rows > limits.rows:
        raise too_large(label, "rows", rows, limits)


# Parquet -----------------------------------------------------------------------------------------


def _of_parquet(content: Content, expected: str, limits: Limits) -> TextTable:
    label = content.label
    with explained(label, expected):
        file = pq.ParquetFile(pa.BufferReader(content.data))
        raw = list(file.schema_arrow.names)
        rows = int(file.metadata.num_rows)
    places = dict(zip(checked_names(raw, label, limits), raw, strict=True))
    _check_rows(rows, label, expected, limits)

    def read(chosen: Sequence[str]) -> dict[str, pa.ChunkedArray]:
        # A value takes a byte at least, however few the file needs for a run of equal ones.
        if rows * len(chosen) > limits.bytes:
            raise too_large(label, "bytes", rows * len(chosen), limits)
        with explained(label, expected):
            table = file.read(columns=[places[name] for name in chosen])
            return {name: table[places[name]] for name in chosen}

    return TextTable(label, tuple(name for name in places if name), rows, read)


def plain(values: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    """Return a column of a plain type: text (``string``, ``large_string``), a number, bool or null.

    Parameters
    ----------
    values : ChunkedArray
        Of any type. Views, binary that is UTF-8, dictionaries and runs become their values; halves become floats.
    where : str
        For messages.

    Raises
    ------
    InputError
        If its type is another, or its text is not UTF-8.
    """
    found = values.type
    try:
        decoded = _decoded(values)
        if decoded is not None and is_text(decoded.type):
            decoded.validate(full=True)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError) as error:
        raise InputError(f"{where}: holds {found} that is no text ({error}); expected text in UTF-8") from error
    if decoded is None:
        raise InputError(f"{where}: holds {found}; expected numbers or text")
    return decoded


def is_text(kind: pa.DataType) -> bool:
    """Return whether a plain type is text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_plain(kind: pa.DataType) -> bool:
    """Return whether a column of this type can be read, as `plain` does."""
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return _is_plain(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return False
    checks = (
        *(pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
        *(pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary),
        *(pa.types.is_boolean, pa.types.is_null, pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal),
    )
    return any(check(kind) for check in checks)


def _decoded(values: pa.ChunkedArray) -> pa.ChunkedArray | None:
    kind = values.type
    if not _is_plain(kind):
        return None
    if pa.types.is_dictionary(kind):
        return _decoded(values.cast(kind.value_type))
    if pa.types.is_run_end_encoded(kind):
        return _decoded(pa.chunked_array([pc.run_end_decode(chunk) for chunk in values.chunks], kind.value_type))
    if pa.types.is_string_view(kind):
        return values.cast(pa.string())
    if pa.types.is_binary_view(kind) or pa.types.is_fixed_size_binary(kind):
        return values.cast(pa.binary()).cast(pa.string())
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return values.cast(pa.large_string() if pa.types.is_large_binary(kind) else pa.string())
    if pa.types.is_float16(kind):
        return values.cast(pa.float64())
    return values


def _are_long_keys(values: pa.ChunkedArray) -> bool:
    known = values.drop_null()
    return bool(len(known) and pc.min(known).as_py() >= _LONG_KEYS and pc.all(pc.equal(pc.floor(known), known)).as_py())


def as_text(values: pa.ChunkedArray) -> pd.Series:
    """Return a column of a plain type as stripped text; empty where a value is missing."""
    kind = values.type
    if pa.types.is_floating(kind):
        values = _texts_of_floats(values.cast(pa.float64()))
    elif pa.types.is_boolean(kind):
        values = values.cast(pa.int8())
    elif pa.types.is_decimal(kind):
        return pd.Series([_number_text(number) for number in values.to_pylist()], dtype="str")
    texts = values if is_text(values.type) else values.cast(pa.string())
    return pc.utf8_trim_whitespace(pc.fill_null(texts, "")).to_pandas().astype("str")


def _texts_of_floats(values: pa.ChunkedArray) -> pa.ChunkedArray:
    # Arrow writes 39001961400.0 as 3.90019614e+10.
    known = pc.and_(pc.is_finite(values), pc.less(pc.abs(values), _LARGEST_WHOLE))
    whole = pc.fill_null(pc.and_(known, pc.equal(pc.floor(values), values)), False)
    digits = pc.if_else(whole, values, 0.0).cast(pa.int64()).cast(pa.string())
    texts = pc.if_else(whole, digits, values.cast(pa.string()))
    return pc.if_else(pc.is_nan(values), None, texts)


def _number_text(number: object) -> str:
    """Return a decimal as text."""
    if number is None:
        return ""
    text = str(number)
    whole, point, rest = text.partition(".")
    return whole if point and not rest.strip("0") else text
