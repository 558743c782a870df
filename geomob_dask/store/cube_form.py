"""From the columns of a result to the form of a cube: measures, with their margins, bounds, grades and reasons.

A result has one column per measure and, for some measures, columns of their uncertainty, which a suffix marks. A cube
has one variable for each such suffix, with an axis of measures.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geomob_dask.errors import InputError
from geomob_dask.messages import listed
from geomob_dask.sources.kinds import estimate_of


@dataclass(frozen=True)
class Variable:
    """A variable of a cube with the axes year, tract and measure.

    Parameters
    ----------
    name, dtype : str
    fill : float
        The value where nothing was written.
    long_name : str
    """

    name: str
    dtype: str
    fill: float
    long_name: str


NO_ROW = 1
# The position is the code: new reasons are appended, and none moves.
FIRST_REASONS = (
    "value as computed",
    "no row of this year",
    "no value, and no reason given",
    "filled from neighbours",
    "imputed from direct neighbours",
    "imputed from neighbours once removed",
)
_NO_VALUE = 2
# Columns of an index that list measures, and the code of a measure that is listed.
_LISTS = {"filled_domains": 3, "imputed_direct": 4, "imputed_once_removed": 5}
_MOST_REASONS = 2**15 - 1

VARIABLES = {
    variable.name: variable
    for variable in (
        Variable("estimate", "float64", np.nan, "estimate"),
        Variable("moe", "float64", np.nan, "margin of error of the estimate, 90 per cent"),
        Variable("se", "float64", np.nan, "standard error of the estimate"),
        Variable("lower", "float64", np.nan, "lower bound of the estimate"),
        Variable("upper", "float64", np.nan, "upper bound of the estimate"),
        Variable("quality", "int8", 0, "quality of the estimate: 1 best, 3 worst, 0 no grade"),
        Variable("flag", "int16", NO_ROW, "why there is no value, or what is to be known of it"),
    )
}

_SUFFIXES = {
    "_moe": "moe",
    "_se": "se",
    "_lb": "lower",
    "_lower": "lower",
    "_ub": "upper",
    "_upper": "upper",
    "_quality": "quality",
    "_reason": "flag",
}
_MONEY = re.compile(r"(?P<rest>.*)(?P<money>_usd(?:_(?P<year>[0-9]{4}))?)")
_UNITS = (
    (re.compile(r".*_usd(_[0-9]{4})?"), "USD"),
    (re.compile(r".*_pct"), "percent"),
    (re.compile(r".*_years"), "years"),
    (re.compile(r"minutes_.*|.*_minutes"), "minutes"),
    (re.compile(r".*_(count|share|exposure|isolation|cv)|population|people|tracts|units"), "1"),
)


@dataclass(frozen=True)
class Measure:
    """A position on the axis of measures.

    Parameters
    ----------
    name : str
        The column of the estimate.
    columns : mapping of str to str
        The column of each of its variables, by the name of the variable; ``estimate`` is one of them.
    units : str
        In the notation of UDUNITS: ``1`` for a pure number, empty if not known.
    dollars_of : int
        The year whose dollars it is in; 0 if it is no amount of money, or the column has no year.
    """

    name: str
    columns: Mapping[str, str] = field(hash=False)
    units: str = ""
    dollars_of: int = 0

    @property
    def long_name(self) -> str:
        """Return the name as words."""
        return self.name.replace("_", " ")


@dataclass(frozen=True)
class Form:
    """A cube without its values.

    Parameters
    ----------
    unit : {"tract", "region"}
        What a row of the result describes.
    measures : tuple of Measure
    texts : tuple of str
        Columns of text that are kept unchanged, each as a variable with the axes year and unit.
    """

    unit: str
    measures: tuple[Measure, ...]
    texts: tuple[str, ...] = ()

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Return estimate, flag and the variables that at least one measure has."""
        present = {"estimate", "flag"}.union(*(measure.columns for measure in self.measures))
        return tuple(variable for name, variable in VARIABLES.items() if name in present)

    def plain(self) -> dict[str, Any]:
        """Return plain data for the attributes of a cube."""
        measures = [
            {
                "name": measure.name,
                "columns": dict(measure.columns),
                "units": measure.units,
                "dollars_of": measure.dollars_of,
            }
            for measure in self.measures
        ]
        return {"unit": self.unit, "measures": measures, "texts": list(self.texts)}

    @classmethod
    def of_plain(cls, plain: Mapping[str, Any]) -> "Form":
        """Return the form that `plain` describes."""
        return cls(plain["unit"], tuple(Measure(**measure) for measure in plain["measures"]), tuple(plain["texts"]))


def kinds_of(frame: pd.DataFrame) -> dict[str, str]:
    """Return what each column holds: ``number``, ``text`` or ``other``."""
    return {str(name): _kind(dtype) for name, dtype in frame.dtypes.items()}


def _kind(dtype: Any) -> str:
    if pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_numeric_dtype(dtype):
        return "number"
    return "text" if pd.api.types.is_string_dtype(dtype) or pd.api.types.is_object_dtype(dtype) else "other"


def form_of(
    kinds: Mapping[str, str], unit: str, default_units: str = "1", margins: Mapping[str, str] | None = None
) -> Form:
    """Return the form of a cube that holds a table with these columns.

    Parameters
    ----------
    kinds : mapping of str to str
        The result of `kinds_of`, in the order of the columns.
    unit : {"tract", "region"}
    default_units : str
        Units of a measure whose name does not give them: ``1`` for an index, empty if unknown.
    margins : mapping of str to str, optional
        Columns that are margins of error whatever their names are, and their measures; names tell the others.

    Raises
    ------
    InputError
        If there is no number, a column is neither number nor text, or two columns are the same variable of a measure.

    Examples
    --------
    >>> form = form_of({"rate": "number", "rate_moe": "number", "reason": "text"}, "tract")
    >>> dict(form.measures[0].columns)
    {'estimate': 'rate', 'moe': 'rate_moe'}
    """
    odd = [name for name, kind in kinds.items() if kind == "other"]
    if odd:
        raise InputError(f"column {odd[0]!r}: found neither numbers nor text, expected a table of a result")
    columns: dict[str, dict[str, str]] = {}
    texts: list[str] = []
    companions: list[tuple[str, str, str]] = []
    for name, kind in kinds.items():
        measure = (margins or {}).get(name, "")
        role = (measure, "moe") if kinds.get(measure) == "number" else companion(name, kinds)
        if role is not None:
            companions.append((name, *role))
        elif kind == "number":
            columns[name] = {"estimate": name}
        elif name != "reason":
            texts.append(name)
    for name, measure, variable in companions:
        other = columns[measure].setdefault(variable, name)
        if other != name:
            raise InputError(f"columns {other!r} and {name!r}: both are the {variable} of {measure!r}, expected one")
    if not columns:
        raise InputError(f"found no column of numbers among {listed([*kinds], 12)}; expected at least one measure")
    measures = tuple(
        Measure(name, own, _units(name, default_units), _dollars_of(name)) for name, own in columns.items()
    )
    return Form(unit, measures, tuple(texts))


def companion(column: str, kinds: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the measure that a column belongs to and which variable of it; None for a measure itself.

    Examples
    --------
    >>> kinds = {"rent_usd_2023": "number", "rent_moe_usd_2023": "number", "B19013_001E": "number"}
    >>> companion("rent_moe_usd_2023", kinds), companion("B19013_001M", kinds), companion("rate_moe", kinds)
    (('rent_usd_2023', 'moe'), ('B19013_001E', 'moe'), None)
    """
    money = _MONEY.fullmatch(column)
    rest, tail = (money["rest"], money["money"]) if money else (column, "")
    estimate = estimate_of(column, kinds)
    if estimate is not None and kinds[estimate] == kinds.get(column, "number") == "number":
        return estimate, "moe"
    for suffix, variable in _SUFFIXES.items():
        if not rest.endswith(suffix):
            continue
        wanted = "text" if variable == "flag" else "number"
        stem = rest.removesuffix(suffix)
        # In dollars of one year rent_usd_moe becomes rent_usd_moe_usd_2023, and rent_usd becomes rent_usd_2023.
        for measure in (stem + tail, stem.removesuffix("_usd") + tail):
            if kinds.get(measure) == "number" and kinds.get(column, wanted) == wanted:
                return measure, variable
    return None


def _units(name: str, default: str) -> str:
    return next((units for pattern, units in _UNITS if pattern.fullmatch(name)), default)


def _dollars_of(name: str) -> int:
    money = _MONEY.fullmatch(name)
    return int(money["year"]) if money and money["year"] else 0


# Values -----------------------------------------------------------------------------------------


def reasons_of(table: pd.DataFrame, form: Form) -> set[str]:
    """Return the reasons in a table."""
    columns = [measure.columns["flag"] for measure in form.measures if "flag" in measure.columns]
    columns += ["reason"] if "reason" in table else []
    return {str(text) for column in columns for text in table[column].dropna().unique()} - {""}


def longer(reasons: Sequence[str], found: Iterable[str]) -> tuple[str, ...]:
    """Return the reasons with new ones appended: a code never changes its meaning.

    Raises
    ------
    InputError
        If there are more than a flag has codes for.
    """
    more = (*reasons, *sorted(set(found) - set(reasons)))
    if len(more) > _MOST_REASONS:
        raise InputError(
            f"found {len(more)} different reasons such as {more[-1]!r}; expected at most {_MOST_REASONS}, "
            "the same words for the same reason"
        )
    return more


def values_of(table: pd.DataFrame, form: Form, reasons: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Return a table's values by variable.

    Parameters
    ----------
    table : DataFrame
        A result of the form.
    reasons : sequence of str
        By code; includes all of `reasons_of`.

    Returns
    -------
    dict of str to array
        Shape (n_rows, n_measures) for variables of the form, (n_rows,) of objects for columns of text. NaN is a
        missing number.

    Raises
    ------
    InputError
        If a grade of quality is not a whole number from 0 to 127.
    """
    shape = (len(table), len(form.measures))
    values: dict[str, NDArray[Any]] = {
        variable.name: np.full(shape, variable.fill, variable.dtype) for variable in form.variables
    }
    codes = {reason: code for code, reason in enumerate(reasons)}
    rows = _codes(table["reason"], codes) if "reason" in table else np.zeros(len(table), np.int16)
    listed = {name: code for name, code in _LISTS.items() if name in table}
    for place, measure in enumerate(form.measures):
        for variable, column in measure.columns.items():
            if variable == "quality":
                values[variable][:, place] = _grades(table[column])
            elif variable != "flag":
                values[variable][:, place] = table[column].to_numpy(float)
        missing = np.isnan(values["estimate"][:, place])
        own = _codes(table[measure.columns["flag"]], codes) if "flag" in measure.columns else np.zeros_like(rows)
        flag = np.where((own == 0) & missing, np.where(rows == 0, np.int16(_NO_VALUE), rows), own)
        for column, code in listed.items():
            flag[(flag == 0) & _names(table[column], measure.name)] = code
        values["flag"][:, place] = flag
    for column in form.texts:
        values[column] = table[column].fillna("").astype(str).to_numpy(object)
    return values


def _codes(texts: pd.Series, codes: Mapping[str, int]) -> NDArray[np.int16]:
    return np.asarray(texts.fillna("").map({**codes, "": 0}), np.int16)


def _names(lists: pd.Series, name: str) -> NDArray[np.bool_]:
    return np.array([bool(text) and name in text.split("; ") for text in lists.fillna("")], dtype=bool)


def _grades(grades: pd.Series) -> NDArray[np.int8]:
    plain = grades.fillna(0).to_numpy(float)
    wrong = plain[(plain != np.round(plain)) | (plain < 0) | (plain > 127)]
    if len(wrong):
        raise InputError(f"column {grades.name!r}: found the grade {wrong[0]:g}, expected a whole number from 0 to 127")
    return np.asarray(plain, np.int8)
