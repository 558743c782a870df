"""Times and sizes of a section, refused while cluster.yaml is read where they are none."""

import re
from typing import Annotated, Any

from dask.utils import parse_bytes, parse_timedelta
from pydantic import BeforeValidator, Field

# Days, hours, minutes and seconds as queues write them: 2-12:00:00, 12:00:00, 30:00.
_CLOCK = re.compile(r"(?:(?P<days>\d+)-)?(?:(?P<hours>\d+):)?(?P<minutes>\d{1,2}):(?P<seconds>[0-5]\d)")
_EXPECTED = "expected a time such as 55 minutes, 2h or 02:00:00"
_EXPECTED_SECONDS = "expected seconds such as 90, or a time such as 5 minutes; more than 0 and at most 366 days"
# What is longer is a slip of the keyboard, and beyond what clocks and threads can wait for.
_LONGEST = 366 * 86400.0
_LISTENING = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]*):(?P<port>[0-9]{1,5})")
# A smaller limit is a number whose unit was forgotten.
_LEAST = 2**20


def seconds_of(text: str) -> float:
    """Return the seconds of a time in words or as on a clock.

    Raises
    ------
    ValueError
        If the text is no time, or none that passes.

    Examples
    --------
    >>> seconds_of("55 minutes"), seconds_of("02:00:00"), seconds_of("1-00:30:00")
    (3300.0, 7200.0, 88200.0)
    """
    clock = _CLOCK.fullmatch(text.strip())
    if clock is not None:
        days, hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        found = 86400.0 * days + 3600 * hours + 60 * minutes + seconds
    else:
        # Without a unit it would be seconds here and minutes to a queue.
        if not re.search(r"[A-Za-z]", text):
            raise ValueError(_EXPECTED)
        try:
            found = float(parse_timedelta(text))
        except (ValueError, KeyError, TypeError, OverflowError):
            raise ValueError(_EXPECTED) from None
    if not 0 < found <= _LONGEST:
        raise ValueError(f"{_EXPECTED}, of at most 366 days" if found > 0 else _EXPECTED)
    return found


def clock_of(seconds: float) -> str:
    """Return seconds as on a clock, which queues read alike.

    Examples
    --------
    >>> clock_of(88_200.0), clock_of(144)
    ('24:30:00', '00:02:24')
    """
    whole = round(seconds)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def _word(value: Any) -> Any:
    if not isinstance(value, str) or not re.fullmatch(r"[^\s'\"`$;&|<>\\]+", value):
        raise ValueError("expected a name, without spaces, quotes and other characters of a shell")
    return value


def _duration(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str):
        raise ValueError(_EXPECTED)
    seconds_of(value)
    return value.strip()


def _seconds(value: Any) -> float:
    if isinstance(value, str) and re.search(r"[A-Za-z:]", value):
        try:
            return seconds_of(value)
        except ValueError:
            raise ValueError(_EXPECTED_SECONDS) from None
    try:
        found = float(value)
    except (ValueError, TypeError, OverflowError):
        raise ValueError(_EXPECTED_SECONDS) from None
    if isinstance(value, bool) or not 0 < found <= _LONGEST:
        raise ValueError(_EXPECTED_SECONDS)
    return found


def _folder(value: Any) -> Any:
    if not isinstance(value, str) or not re.fullmatch(r"[^\s'\"`$;&|<>\\*?%,]+", value):
        raise ValueError(
            "expected a folder without spaces, quotes and other characters of a shell: directives of queues name it"
        )
    return value


def _size(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        value = f"{value}B" if value else "0"
    if not isinstance(value, str):
        raise ValueError("expected a size such as 4GiB")
    try:
        found = parse_bytes(value.strip())
    except (ValueError, KeyError, OverflowError):
        raise ValueError("expected a size such as 4GiB") from None
    if found < _LEAST:
        raise ValueError("expected a size such as 4GiB, of 1 MiB or more")
    return value.strip()


def _limit(value: Any) -> Any:
    try:
        # Zero is no limit, as in Dask.
        return value if value == "auto" else "0" if value in ("0", 0) else _size(value)
    except ValueError as error:
        raise ValueError(f"{error}, or auto") from None


def _listening(value: Any) -> Any:
    found = _LISTENING.fullmatch(value) if isinstance(value, str) else None
    if found is None or int(found["port"]) >= 2**16:
        raise ValueError("expected host and port such as 127.0.0.1:8787, or :0 for all interfaces and any free port")
    return value


Word = Annotated[str, BeforeValidator(_word)]
"""A word of a directive; what ends the word would begin another."""
Duration = Annotated[str, BeforeValidator(_duration)]
"""A time such as ``55 minutes`` or ``02:00:00``; `seconds_of` returns its seconds."""
Seconds = Annotated[float, BeforeValidator(_seconds)]
"""Seconds as a number, or a time such as ``5 minutes``."""
Folder = Annotated[str, BeforeValidator(_folder)]
"""A folder that directives of a queue name."""
Count = Annotated[int, Field(ge=1, le=100_000)]
"""How many workers, threads or processes."""
Listening = Annotated[str, BeforeValidator(_listening)]
"""Host and port that a server listens on, such as ``127.0.0.1:8787``."""
Size = Annotated[str, BeforeValidator(_size)]
"""A size such as ``4GiB``."""
MemoryLimit = Annotated[str, BeforeValidator(_limit)]
"""A size, ``auto``, or 0 for no limit."""
