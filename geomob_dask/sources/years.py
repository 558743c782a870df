"""Years in options: single years and spans."""

from __future__ import annotations

import re

from geomob_dask.errors import InputError
from geomob_dask.names import check_year

_SPAN = re.compile(r"([0-9]{4})(?:[-:]([0-9]{4}))?")


def years_of(text: str, option: str = "--years") -> tuple[int, ...]:
    """Return the years that a user named, sorted.

    Parameters
    ----------
    text : str
        Years and spans of years, separated by commas.
    option : str
        Names the text in errors.

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
    years: set[int] = set()
    for piece in (part.strip() for part in text.split(",")):
        match = _SPAN.fullmatch(piece)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise InputError(
                f"{option} {text}: found {piece!r}, expected a year such as 2018 or a span such as 2009-2023"
            )
        check_year(first, option)
        check_year(last, option)
        span = range(first, last + 1)
        twice = sorted(years.intersection(span))
        if twice:
            named = f"{twice[0]}" if len(twice) == 1 else f"{twice[0]}-{twice[-1]}"
            raise InputError(f"{option} {text}: found {named} twice, expected years and spans that do not overlap")
        years.update(span)
    return tuple(sorted(years))
