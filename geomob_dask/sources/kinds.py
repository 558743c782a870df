"""Kinds of columns: counts, which add up; shares of counts; medians and indices, which do not add up.

The kind of a column of the American Community Survey follows from its table (``definitions/vintages/kinds.yaml``),
that of ``…_count`` and ``…_moe`` from the name, that of others from a user's file. A column of unknown kind is refused,
since adding up a median, or averaging a code, would go unnoticed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pandas.api.types import is_string_dtype
from pydantic import ValidationError, model_validator

from geomob_dask.checked import Checked, explain
from geomob_dask.errors import DefinitionError, InputError
from geomob_dask.messages import listed, shown
from geomob_dask.yaml_text import mapping_of, read_yaml, shipped_yaml

_ACS = re.compile(r"([A-Z]+[0-9]+[A-Z]*)_([0-9]{3,4})(E|M|N)")
# Money that was restated in dollars of one year.
_RESTATED = re.compile(r"(.+?)(_usd_[0-9]{4})")
_MARGIN = "moe"
_OF_TWO = ("share", "mean")


class Kind(Checked):
    """Kind of a column.

    Attributes
    ----------
    kind : str
        count (adds up), moe (margin of error of the column `of`), share and mean (of the two columns `of`, a part and
        its whole, or a sum and its count), median, index (a number that does not add up), key (text or a
        code, kept where a tract stays one tract).
    of : tuple of str
    unit : str, optional
        ``usd``: money, which can be stated in dollars of another year.
    scale : float
        Of a share or mean: 100 for per cent.
    """

    kind: Literal["count", "moe", "share", "mean", "median", "index", "key"]
    of: tuple[str, ...] = ()
    unit: Literal["usd"] | None = None
    scale: float = 1.0

    @model_validator(mode="before")
    @classmethod
    def _one_name(cls, given: Any) -> Any:
        if isinstance(given, str):
            return {"kind": given}
        if isinstance(given, dict) and isinstance(given.get("of"), str):
            return {**given, "of": (given["of"],)}
        return given

    @model_validator(mode="after")
    def _names_fit(self) -> Kind:
        expected = 1 if self.kind == _MARGIN else 2 if self.kind in _OF_TWO else 0
        if len(self.of) != expected:
            raise ValueError(f"{self.kind}: found {len(self.of)} columns in 'of', expected {expected}")
        return self


@cache
def _tables() -> dict[str, Kind]:
    plain = shipped_yaml("vintages", "kinds.yaml")
    return {name: Kind.model_validate(kind) for name, kind in plain["tables"].items()}


def read_kinds(file: str | Path) -> dict[str, Kind]:
    """Return the kinds of columns from a YAML file: ``column: count``, or ``column: {kind: share, of: [poor, total]}``.

    Raises
    ------
    DefinitionError
        If the file cannot be read, or an entry is no kind.
    """
    what = "columns and their kinds"
    plain = mapping_of(read_yaml(file, DefinitionError, what), f"kinds {file}", DefinitionError, what)
    kinds = {}
    for column, given in plain.items():
        try:
            kinds[str(column)] = Kind.model_validate(given)
        except ValidationError as error:
            reason = explain(error, root="kind")
            raise DefinitionError(f"kinds {file}: column {shown(column)}: found {shown(given)} ({reason})") from error
    return kinds


def text_columns(frame: Any) -> list[str]:
    """Return the columns of a frame that hold text, such as regions; in memory or on Dask."""
    return [name for name, kind in frame.dtypes.items() if is_string_dtype(kind)]


def kinds_of(
    columns: Sequence[str], given: Mapping[str, Kind] | None = None, texts: Collection[str] = ()
) -> dict[str, Kind]:
    """Return the kind of every column.

    Parameters
    ----------
    columns : sequence of str
    given : mapping of str to Kind, optional
        The user's, which take precedence.
    texts : collection of str
        Columns of text: keys, unless the user says otherwise.

    Raises
    ------
    InputError
        Naming the columns of unknown kind, and those that refer to an absent column or one of another kind.

    Examples
    --------
    >>> kinds = kinds_of(["B19113_001E", "B19113_001M"])
    >>> kinds["B19113_001E"].kind, kinds["B19113_001M"].of
    ('median', ('B19113_001E',))
    """
    given = given or {}
    absent = [name for name in given if name not in columns]
    if absent:
        raise InputError(f"kinds: no column {', '.join(absent)}; found {listed(columns, 40)}")
    kinds: dict[str, Kind] = {}
    unknown = []
    for column in columns:
        kind = given.get(column) or (Kind(kind="key") if column in texts else _by_name(column, columns))
        if kind is None:
            unknown.append(column)
        else:
            kinds[column] = kind
    if unknown:
        raise InputError(
            f"columns {', '.join(unknown)}: unknown kind; expected a file (--kinds) that gives count, moe, "
            "share, mean, median, index or key"
        )
    for column, kind in kinds.items():
        _check_references(column, kind, kinds)
    return kinds


def known_kinds(columns: Sequence[str]) -> dict[str, Kind]:
    """Return the kinds of the columns whose names tell them; see `kinds_of`.

    Examples
    --------
    >>> list(known_kinds(["B19113_001E", "walkability"]))
    ['B19113_001E']
    """
    found = {column: _by_name(column, columns) for column in columns}
    return {column: kind for column, kind in found.items() if kind is not None}


def estimate_of(column: str, columns: Collection[str]) -> str | None:
    """Return the estimate whose margin of error a column is by its name; None if it is no margin.

    Parameters
    ----------
    column : str
    columns : collection of str
        Of the table; the estimate is one of them.

    Examples
    --------
    >>> columns = ["rent_usd_2023", "rent_moe_usd_2023", "B19113_001E", "people_count"]
    >>> [estimate_of(column, columns) for column in ("rent_moe_usd_2023", "B19113_001M", "people_moe", "rate_moe")]
    ['rent_usd_2023', 'B19113_001E', 'people_count', None]
    """
    stem, tail = _restated(column)
    match = _ACS.fullmatch(stem)
    base = stem.removesuffix("_moe")
    candidates = []
    if match and match[3] == "M":
        candidates = [f"{stem[:-1]}E{tail}"]
    elif base != stem:
        # In dollars of one year rent_usd_moe becomes rent_usd_moe_usd_2023, and rent_usd becomes rent_usd_2023.
        candidates = [f"{base}{tail}", f"{base}_count{tail}", f"{base.removesuffix('_usd')}{tail}"]
    return next((name for name in candidates if name in columns and name != column), None)


def margin_columns(columns: Collection[str], kinds: Mapping[str, Kind] | None = None) -> dict[str, str]:
    """Return the column of the margins of error of each column that has one.

    Parameters
    ----------
    columns : collection of str
        Of the table.
    kinds : mapping of str to Kind, optional
        Where they are known; the names tell the rest.

    Examples
    --------
    >>> margin_columns(["black", "black_moe", "error"], {"error": Kind(kind="moe", of=("black",))})
    {'black': 'error'}
    """
    kinds = kinds or {}
    found = {name: column for column in columns if (name := estimate_of(column, columns)) is not None}
    found |= {kind.of[0]: column for column, kind in kinds.items() if kind.kind == _MARGIN and column in columns}
    return {name: column for name, column in found.items() if name in columns}


def range_of(column: str, kinds: Mapping[str, Kind] | None = None) -> tuple[float, float] | None:
    """Return the least and greatest value that a column can have; None where it is not known.

    Shares lie between 0 and their whole, counts and money are not negative. Names tell where there is no kind:
    ``…_pct`` and ``…_percent``, ``…_share``, ``…_count``, ``…_usd``, and the medians of the survey.

    Examples
    --------
    >>> range_of("poverty_pct"), range_of("owners", {"owners": Kind(kind="share", of=("own", "all"))})
    ((0.0, 100.0), (0.0, 1.0))
    >>> range_of("B19113_001E"), range_of("walkability")
    ((0.0, inf), None)
    """
    kind = (kinds or {}).get(column) or _by_name(column, [column])
    stem, _ = _restated(column)
    if kind is not None and kind.kind == "share":
        return 0.0, kind.scale
    if stem.endswith(("_pct", "_percent")):
        return 0.0, 100.0
    if stem.endswith("_share"):
        return 0.0, 1.0
    counted = kind is not None and (kind.kind == "count" or kind.unit == "usd")
    return (0.0, float("inf")) if counted or _restated(column)[1] or stem.endswith("_usd") else None


def _restated(column: str) -> tuple[str, str]:
    match = _RESTATED.fullmatch(column)
    return (match[1], match[2]) if match else (column, "")


def _by_name(column: str, columns: Sequence[str]) -> Kind | None:
    stem, tail = _restated(column)
    match = _ACS.fullmatch(stem)
    if match:
        table, line, role = match.groups()
        return Kind(kind="moe", of=(f"{table}_{line}E{tail}",)) if role == "M" else _tables().get(table)
    if column.endswith("_count"):
        return Kind(kind="count")
    estimate = estimate_of(column, columns)
    return None if estimate is None else Kind(kind="moe", of=(estimate,))


def _check_references(column: str, kind: Kind, kinds: Mapping[str, Kind]) -> None:
    for name in kind.of:
        if name not in kinds:
            raise InputError(f"column {column}, {kind.kind} of {name}: no such column; found {listed([*kinds], 40)}")
        found = kinds[name].kind
        if kind.kind in _OF_TWO and found != "count":
            raise InputError(f"column {column}, {kind.kind} of {name}: found a {found}, expected a count")
        if kind.kind == _MARGIN and found in (_MARGIN, "key"):
            raise InputError(f"column {column}, margin of {name}: found a {found}, expected an estimate")
    if kind.kind == _MARGIN:
        others = [other for other, one in kinds.items() if one.kind == _MARGIN and one.of == kind.of]
        if len(others) > 1:
            raise InputError(f"columns {', '.join(others)}: margins of the same column {kind.of[0]}; expected one")
