"""Durations as users write them."""

import re

from geomob_dask.errors import InputError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd])")


def seconds_of(text: str, option: str = "duration") -> float:
    """Return the seconds of a duration.

    Raises
    ------
    InputError
        If the text is no duration.

    Examples
    --------
    >>> seconds_of("90s"), seconds_of("1.5h"), seconds_of("2d")
    (90.0, 5400.0, 172800.0)
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise InputError(f"{option} {text}: expected a number and one of s, m, h, d, such as 30m or 2d")
    return float(match[1]) * _SECONDS[match[2]]
