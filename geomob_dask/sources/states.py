"""States and their codes, as the Census Bureau numbers them; the first two digits of a tract's key.

The fifty states, the District of Columbia, Puerto Rico, the island areas, and six codes (91 to 96, which no real state
has) for the sample country that the package makes up.

Reference: ANSI INCITS 38-2009 (formerly FIPS 5-2).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator

from geomob_dask.errors import InputError
from geomob_dask.options import texts


class State(NamedTuple):
    """A state's two letters of the Postal Service and its name."""

    letters: str
    name: str


STATES: Mapping[str, State] = MappingProxyType(
    {
        "01": State("AL", "Alabama"),
        "02": State("AK", "Alaska"),
        "04": State("AZ", "Arizona"),
        "05": State("AR", "Arkansas"),
        "06": State("CA", "California"),
        "08": State("CO", "Colorado"),
        "09": State("CT", "Connecticut"),
        "10": State("DE", "Delaware"),
        "11": State("DC", "District of Columbia"),
        "12": State("FL", "Florida"),
        "13": State("GA", "Georgia"),
        "15": State("HI", "Hawaii"),
        "16": State("ID", "Idaho"),
        "17": State("IL", "Illinois"),
        "18": State("IN", "Indiana"),
        "19": State("IA", "Iowa"),
        "20": State("KS", "Kansas"),
        "21": State("KY", "Kentucky"),
        "22": State("LA", "Louisiana"),
        "23": State("ME", "Maine"),
        "24": State("MD", "Maryland"),
        "25": State("MA", "Massachusetts"),
        "26": State("MI", "Michigan"),
        "27": State("MN", "Minnesota"),
        "28": State("MS", "Mississippi"),
        "29": State("MO", "Missouri"),
        "30": State("MT", "Montana"),
        "31": State("NE", "Nebraska"),
        "32": State("NV", "Nevada"),
        "33": State("NH", "New Hampshire"),
        "34": State("NJ", "New Jersey"),
        "35": State("NM", "New Mexico"),
        "36": State("NY", "New York"),
        "37": State("NC", "North Carolina"),
        "38": State("ND", "North Dakota"),
        "39": State("OH", "Ohio"),
        "40": State("OK", "Oklahoma"),
        "41": State("OR", "Oregon"),
        "42": State("PA", "Pennsylvania"),
        "44": State("RI", "Rhode Island"),
        "45": State("SC", "South Carolina"),
        "46": State("SD", "South Dakota"),
        "47": State("TN", "Tennessee"),
        "48": State("TX", "Texas"),
        "49": State("UT", "Utah"),
        "50": State("VT", "Vermont"),
        "51": State("VA", "Virginia"),
        "53": State("WA", "Washington"),
        "54": State("WV", "West Virginia"),
        "55": State("WI", "Wisconsin"),
        "56": State("WY", "Wyoming"),
        "60": State("AS", "American Samoa"),
        "66": State("GU", "Guam"),
        "69": State("MP", "Northern Mariana Islands"),
        "72": State("PR", "Puerto Rico"),
        "78": State("VI", "U.S. Virgin Islands"),
        # Letters that ISO 3166 leaves to users, so that no real place ever gets them.
        "91": State("XA", "Sample State A (made up)"),
        "92": State("XB", "Sample State B (made up)"),
        "93": State("XC", "Sample State C (made up)"),
        "94": State("XD", "Sample State D (made up)"),
        "95": State("XE", "Sample State E (made up)"),
        "96": State("XF", "Sample State F (made up)"),
    }
)

_CODE_OF_LETTERS = {state.letters: code for code, state in STATES.items()}
_EXAMPLE = "codes or letters separated by commas, such as 18,39 or IN,OH"


def state_name(code: str) -> str:
    """Return the name of a state.

    Raises
    ------
    InputError
        If no state has this code.

    Examples
    --------
    >>> state_name("39")
    'Ohio'
    """
    if code not in STATES:
        raise InputError(f"unknown state {code!r}; expected a two-digit code such as 39")
    return STATES[code].name


def state_codes(text: str) -> tuple[str, ...]:
    """Return the codes of the states that a user named.

    Parameters
    ----------
    text : str
        Codes (with or without their leading zero) or letters (of either case), separated by commas; a state named
        twice counts once.

    Returns
    -------
    tuple of str
        Two-digit codes, sorted.

    Raises
    ------
    InputError
        If a state is unknown or none is named.

    Examples
    --------
    >>> state_codes("OH, in,6")
    ('06', '18', '39')
    """
    names = [name for name in (piece.strip() for piece in text.split(",")) if name]
    if not names:
        raise InputError(f"states: found {text!r}, expected {_EXAMPLE}")
    return tuple(sorted({_state_code(name) for name in names}))


def _state_code(name: str) -> str:
    code = name.zfill(2) if name.isdigit() else _CODE_OF_LETTERS.get(name.upper(), "")
    if code not in STATES:
        raise InputError(f"states: unknown state {name!r}; expected {_EXAMPLE}")
    return code


def _codes(value: Any) -> Any:
    return value if value is None else state_codes(",".join(texts(value)))


StateCodes = Annotated[tuple[str, ...], BeforeValidator(_codes)]
"""States as an option: codes or letters, as text or in a list."""
