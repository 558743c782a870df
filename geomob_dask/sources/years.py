"""Years as a user names them."""

from __future__ import annotations

import re

from geomob_dask.errors import InputError

_SPAN = re.compile(r"([0-9]{4})(?:[-:]([0-9]{4}))?")


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
    return tuple(sorted({year for span in _spans(text, "--year") for year in span}))


def distinct_years(text: str) -> tuple[int, ...]:
    """Return the years that a user named, sorted; each may be named once only.

    Raises
    ------
    InputError
        If a part is no year and no span of years, or two of them overlap.

    Examples
    --------
    >>> distinct_years("2018, 2009:2011")
    (2009, 2010, 2011, 2018)
    """
    spans = _spans(text, "--years")
    for place, span in enumerate(spans):
        for other in spans[:place]:
            both = range(max(span.start, other.start), min(span.stop, other.stop))
            if both:
                named = f"{both[0]}" if len(both) == 1 else f"{both[0]}-{both[-1]}"
                raise InputError(f"--years {text}: found {named} twice, expected years and spans that do not overlap")
    return tuple(sorted(year for span in spans for year in span))


def _spans(text: str, option: str) -> list[range]:
    spans = []
    for piece in (part.strip() for part in text.split(",")):
        match = _SPAN.fullmatch(piece)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise InputError(
                f"{option} {text}: found {piece!r}, expected a year such as 2018 or a span such as 2009-2023"
            )
        spans.append(range(first, last + 1))
    return spans
