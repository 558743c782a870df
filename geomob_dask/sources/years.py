"""Years as a user names them."""

from __future__ import annotations

import re

from geomob_dask.errors import InputError

_SPAN = re.compile(r"([0-9]{4})(?:-([0-9]{4}))?")


def years_of(text: str) -> tuple[int, ...]:
    """Return the years that a user named, sorted, each once.

    Raises
    ------
    InputError
        If a part is no year and no span of years.

    Examples
    --------
    >>> years_of("2018, 2009-2011")
    (2009, 2010, 2011, 2018)
    """
    years: set[int] = set()
    for piece in (part.strip() for part in text.split(",")):
        match = _SPAN.fullmatch(piece)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise InputError(
                f"--year {text}: found {piece!r}, expected a year such as 2018 or a span such as 2009-2023"
            )
        years.update(range(first, last + 1))
    return tuple(sorted(years))
