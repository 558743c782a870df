"""Names and years: one rule for everything that a user names and that becomes a part of a path in a store.

Datasets, vintages, regions, definitions, groupings, cubes, tags, backfills and their products have names of one form,
so that none of them leads out of its folder or means something to a shell, a page or another system's files.
"""

import difflib
import re
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError

from geomob_dask.errors import InputError
from geomob_dask.messages import listed, shown

LONGEST_NAME = 100
FIRST_YEAR, LAST_YEAR = 1790, 2100
NAME_RULE = (
    f"a name of letters, digits, '_', '-' and '.', which begins with a letter or digit (at most {LONGEST_NAME} "
    "characters)"
)
YEAR_RULE = f"a year from {FIRST_YEAR} to {LAST_YEAR}"

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9_-])?")
# Files of these names, whatever their ending, cannot exist on Windows: a store there could not be copied.
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)


def is_name(text: str) -> bool:
    """Return whether a text is a name.

    Examples
    --------
    >>> [is_name(text) for text in ("acs5_b03002", "2010", "v1.2-a", "../acs", "", "a/b", "_snapshots", "NUL", "a.")]
    [True, True, True, False, False, False, False, False, False]
    """
    return len(text) <= LONGEST_NAME and bool(_NAME.fullmatch(text)) and not _RESERVED.fullmatch(text)


def check_name(text: str, what: str) -> str:
    """Return a name as it is.

    Parameters
    ----------
    what : str
        What it names, or the flag, for the message.

    Raises
    ------
    InputError
        If it is none.
    """
    if not is_name(text):
        raise InputError(f"{what} {shown(text)}: expected {NAME_RULE}")
    return text


def check_year(year: int, what: str) -> int:
    """Return a year as it is.

    Raises
    ------
    InputError
        If it lies outside the years that any data can have.
    """
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise InputError(f"{what} {shown(year)}: expected {YEAR_RULE}")
    return year


def as_text(value: Any) -> Any:
    """Return numbers as text, other values as they are: YAML reads 2010 as a number, and a name may be either."""
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _name(text: str) -> str:
    if not is_name(text):
        raise PydanticCustomError("name", "expected {rule}", {"rule": NAME_RULE})
    return text


def _year(year: int) -> int:
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise PydanticCustomError("year", "expected {rule}", {"rule": YEAR_RULE})
    return year


Name = Annotated[str, BeforeValidator(as_text), AfterValidator(_name)]
Year = Annotated[int, AfterValidator(_year)]


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that comes closest; None where none is close.

    Examples
    --------
    >>> nearest("oportunity", ["opportunity", "acs"])
    'opportunity'
    """
    # Of years and codes, the one with the closest digits is no better guess than another.
    if name.isdigit():
        return None
    # Comparing is quadratic in the lengths, and no name is so long.
    by_form = {one.lower(): one for one in known if len(one) <= LONGEST_NAME}
    close = difflib.get_close_matches(name[:LONGEST_NAME].lower(), by_form, n=1)
    return by_form[close[0]] if close else None


def nearest_code(code: str, known: Iterable[str]) -> str | None:
    """Return the known code of a region that comes closest; None if none does.

    First one that has lost its zeros; of numbers of as many digits the one with the most digits in common, of several
    the nearest number; of other codes the one that reads alike.

    Examples
    --------
    >>> nearest_code("103076", ["0103076", "1030760"]), nearest_code("3918001", ["3918000", "3918071", "5363000"])
    ('0103076', '3918000')
    """
    codes = [one for one in known if len(one) <= LONGEST_NAME]
    padded = [one for one in codes if code and one.lstrip("0") == code.lstrip("0")]
    if padded:
        return padded[0]
    alike = [one for one in codes if one.isdecimal() and len(one) == len(code)] if code.isdecimal() else []
    if alike:
        return min(alike, key=lambda one: (sum(map(str.__ne__, one, code)), abs(int(one) - int(code))))
    close = difflib.get_close_matches(code[:LONGEST_NAME], codes, n=1)
    return close[0] if close else None


def did_you_mean(name: str, known: Iterable[str], none: str = "none yet") -> str:
    """Return the nearest of the known names as a question, and the first of all.

    Examples
    --------
    >>> did_you_mean("oportunity", ["acs", "opportunity"])
    "did you mean 'opportunity'? Available: acs, opportunity"
    >>> did_you_mean("x", ["acs", "opportunity"])
    'available: acs, opportunity'
    """
    names = list(known)
    close = nearest(name, names)
    guess = f"did you mean {close!r}? Available: " if close is not None else "available: "
    return f"{guess}{listed(names) or none}"
