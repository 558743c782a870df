"""The title of maps and reports, where a reader gives one: a finding in place of what is shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from geomob_dask.errors import SettingsError
from geomob_dask.messages import one_line

TITLE_HELP = "Title of maps and reports, such as a finding, in place of the product's; the subtitle says what is shown."
_LONGEST = 300
# Options of what has a title.
_TITLED = ("--map", "--report", "--page")
_IN_USE: ContextVar[str] = ContextVar("title", default="")


@contextmanager
def using_title(text: str | None) -> Iterator[None]:
    """Give pages and pictures this title; without a text, their own.

    Raises
    ------
    SettingsError
        If the text is empty or longer than a title can be.
    """
    title = "" if text is None else one_line(text)
    if text is not None and not 0 < len(title) <= _LONGEST:
        raise SettingsError(f"--title: found {len(title):,} characters, expected 1 to {_LONGEST}")
    token = _IN_USE.set(title)
    try:
        yield
    finally:
        _IN_USE.reset(token)


def title_of(option: str) -> str:
    """Return the title of `using_title` for the file of an option, such as ``--map``; none of tables and others."""
    return _IN_USE.get() if option.endswith(_TITLED) else ""


def title_or(own: str) -> str:
    """Return the title of `using_title`, else `own`."""
    return _IN_USE.get() or own
