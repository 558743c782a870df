"""Names of states, counties, metros and tracts by their codes; ``definitions/places`` has the tables and their sources.

Names are for readers: no result depends on one. A code that is not known has no name (empty text), and is shown as it
is. The sample country that the package makes up has states with names, and no names of counties.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources

from geomob_dask.sources.states import STATES

NATION = "United States"
# The kinds of regions that are the Office of Management and Budget's metros: cbsa, cbsa_2023, metro, msa20.
_METROS = re.compile(r"(cbsa|msa|metro|metros|metro_area|metropolitan)s?([_-]?(19|20)?[0-9]{2})?", re.IGNORECASE)


@cache
def _counties() -> Mapping[str, Mapping[str, str]]:
    return {row["county"]: row for row in _rows("counties.csv")}


@cache
def _metros() -> Mapping[str, Mapping[str, str]]:
    return {row["metro"]: row for row in _rows("metros.csv")}


def _rows(file: str) -> Iterator[dict[str, str]]:
    """Return the rows of a shipped table, whose first lines say where it comes from."""
    text = resources.files("geomob_dask").joinpath("definitions", "places", file).read_text(encoding="utf-8")
    return csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))


def county_names() -> dict[str, str]:
    """Return the name of each county with its state, by its code."""
    return {code: county_name(code) for code in _counties()}


def metro_names() -> dict[str, str]:
    """Return the title of each metro, by its code; of 2023, and of 2020 for codes that ended."""
    return {code: row["name"] for code, row in _metros().items()}


def state_label(code: str) -> str:
    """Return the name of a state, empty if it is not known.

    Examples
    --------
    >>> state_label("39"), state_label("99")
    ('Ohio', '')
    """
    return STATES[code].name if code in STATES else ""


def county_name(code: str) -> str:
    """Return the name of a county with its state, empty if it is not known.

    Examples
    --------
    >>> county_name("39049"), county_name("09110"), county_name("72021"), county_name("11001"), county_name("39002")
    ('Franklin County, Ohio', 'Capitol Planning Region, Connecticut', 'Bayamón Municipio, Puerto Rico', \
'District of Columbia', '')
    """
    row = _counties().get(code)
    if row is None:
        return ""
    state = state_label(code[:2])
    return row["name"] if row["name"] == state else f"{row['name']}, {state}"


def metro_name(code: str) -> str:
    """Return the title of a metro, empty if it is not known.

    Examples
    --------
    >>> metro_name("18140"), metro_name("17460"), metro_name("1")
    ('Columbus, OH', 'Cleveland-Elyria, OH', '')
    """
    row = _metros().get(code)
    return "" if row is None else row["name"]


def metro_of(county: str) -> str:
    """Return the code of the metro of 2023 that a county lies in, empty if there is none.

    Examples
    --------
    >>> metro_of("39049"), metro_of("39047")
    ('18140', '47920')
    """
    row = _counties().get(county)
    return "" if row is None else row["metro"]


def tract_name(geoid: str) -> str:
    """Return the name of a tract with its county and state, as the Census Bureau forms it.

    Examples
    --------
    >>> tract_name("39049000110"), tract_name("39049001000"), tract_name("91001000100")
    ('Census Tract 1.10, Franklin County, Ohio', 'Census Tract 10, Franklin County, Ohio', \
'Census Tract 1, Sample State A (made up)')
    """
    if not re.fullmatch("[0-9]{11}", geoid):
        return ""
    whole, hundredths = int(geoid[5:9]), geoid[9:]
    number = f"{whole}" if hundredths == "00" else f"{whole}.{hundredths}"
    where = county_name(geoid[:5]) or state_label(geoid[:2])
    return f"Census Tract {number}" + (f", {where}" if where else "")


def are_metros(by: str) -> bool:
    """Return whether regions of a kind are metros, by the name of the kind.

    Examples
    --------
    >>> [are_metros(kind) for kind in ("cbsa", "metro", "msa_2013", "county", "metropolis")]
    [True, True, True, False, False]
    """
    return bool(_METROS.fullmatch(by))


def known_name(code: str, by: str) -> str:
    """Return the name that comes with the package for a region, empty if there is none.

    Parameters
    ----------
    code : str
    by : str
        The kind of region: ``county``, ``state``, ``nation``, ``tract``, or metros (``cbsa``, ``msa``, ``metro``, with
        or without a year). Others have the names of their own tables.

    Examples
    --------
    >>> known_name("39049", "county"), known_name("39", "state"), known_name("18140", "cbsa"), known_name("1", "ward")
    ('Franklin County, Ohio', 'Ohio', 'Columbus, OH', '')
    """
    if by == "county":
        return county_name(code)
    if by == "state":
        return state_label(code)
    if by == "tract":
        return tract_name(code)
    if by == "nation":
        return NATION
    return metro_name(code) if are_metros(by) else ""
