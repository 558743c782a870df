"""Years in options: single years, spans, and the year of a dataset."""

from __future__ import annotations

import re

from geomob_dask.errors import InputError
from geomob_dask.messages import shown
from geomob_dask.names import FIRST_YEAR, LAST_YEAR, YEAR_RULE, check_name, check_year

_SPAN = re.compile(r"([0-9]{4})(?:[-:]([0-9]{4}))?")
_DATASET_YEAR = re.compile(r"([^:]+):([0-9]{1,8})")


def years_of(text: str, option: str = "--years") -> tuple[int, ...]:
    """Return the years that a user named, sorted.

    Parameters
    ----------
    text : str
        Years and spans of years, separated by commas.
    option : str
        Names the text in errors: the flag as it was typed.

    Raises
    ------
    InputError
        If a part is no year and no span of years, or a year is named twice.

    Examples
    --------
    >>> years_of("2018, 2009-2011")
    (2009, 2010, 2011, 2018)
    >>> years_of("2009:2011")
    (2009, 2010, 2011)
    """
    try:
        return parsed_years(text)
    except ValueError as error:
        raise InputError(f"{option} {text}: {error}") from error


def parsed_years(text: str) -> tuple[int, ...]:
    """Return the years of a text, sorted; see `years_of`.

    Raises
    ------
    ValueError
        Without the name of the option or key: who validates it adds it.
    """
    years: set[int] = set()
    for piece in (part.strip() for part in text.split(",")):
        match = _SPAN.fullmatch(piece)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise ValueError(f"found {piece!r}, expected a year such as 2018 or a span such as 2009-2023")
        for year in (first, last):
            if not FIRST_YEAR <= year <= LAST_YEAR:
                raise ValueError(f"found {year}, expected {YEAR_RULE}")
        span = range(first, last + 1)
        twice = sorted(years.intersection(span))
        if twice:
            named = f"{twice[0]}" if len(twice) == 1 else f"{twice[0]}-{twice[-1]}"
            raise ValueError(f"found {named} twice, expected years and spans that do not overlap")
        years.update(span)
    return tuple(sorted(years))


def dataset_year(text: str, option: str, expected: str = "NAME:YEAR, such as opportunity:2018") -> tuple[str, int]:
    """Return the dataset and year of a text such as ``opportunity:2018``.

    Parameters
    ----------
    option : str
        Names the text in errors.
    expected : str
        The form, for errors.

    Raises
    ------
    InputError
        If it is not of this form.

    Examples
    --------
    >>> dataset_year("opportunity:2018", "--apply")
    ('opportunity', 2018)
    """
    match = _DATASET_YEAR.fullmatch(text)
    if match is None:
        raise InputError(f"{option} {shown(text)}: expected {expected}")
    name, year = match[1], int(match[2])
    return check_name(name, f"{option}: dataset"), check_year(year, f"{option} {shown(text)}: year")
