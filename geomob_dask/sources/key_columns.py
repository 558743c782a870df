"""Columns of a table that name its tracts: one of whole keys, or those of state, county and tract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.messages import listed
from geomob_dask.names import nearest
from geomob_dask.sources.key_pieces import keys_of_pieces
from geomob_dask.sources.keys import KeyReport, tract_geoids

KEY_COLUMNS = (
    *("GEOID", "GEO_ID", "GEOID20", "GEOID10", "GEOID00", "GEOIDFQ", "GEOIDFQ20", "AFFGEOID", "AFFGEOID20"),
    *("AFFGEOID10", "TRACT_GEOID", "GISJOIN", "CTIDFP", "CTIDFP10", "CTIDFP00", "TRACTFIPS", "TRACT_FIPS", "FIPS"),
)
"""Names of a column of keys, in any case, in order of preference."""

PIECES = ("state", "county", "tract")
"""Pieces of a key, from wide to narrow."""

# In one file the pieces have names of one kind: NHGIS has the name of a state in STATE, and its code in STATEA.
_PIECE_NAMES = (
    *((f"STATEFP{year}", f"COUNTYFP{year}", f"TRACTCE{year}") for year in ("", "20", "10", "00")),
    ("STATEA", "COUNTYA", "TRACTA"),
    ("STATE_FIPS", "COUNTY_FIPS", "TRACT"),
    ("STATE", "COUNTY", "TRACT"),
)
_LIKE_KEYS = (*KEY_COLUMNS, "TRACT", "TRACTID", "CENSUSTRACT")
_EXAMPLE = "STATE, COUNTY and TRACT"


@dataclass(frozen=True)
class KeyColumns:
    """The columns of a table that name its tracts.

    Attributes
    ----------
    names : tuple of str
        One column of whole keys, or those of state, county and tract.
    """

    names: tuple[str, ...]

    @property
    def label(self) -> str:
        """Return the names as one text, for messages."""
        return ", ".join(self.names)

    def geoids(self, values: Mapping[str, Any] | pd.DataFrame, *, file: str) -> tuple[pd.Series, KeyReport]:
        """Return the keys of tracts as 11 characters, from the values of these columns; see `tract_geoids`."""
        if len(self.names) == 1:
            return tract_geoids(values[self.names[0]], file=file, column=self.label)
        pieces = dict(zip(PIECES, (values[name] for name in self.names), strict=True))
        return tract_geoids(keys_of_pieces(pieces, self.names, file=file), file=file, column=self.label)


def key_columns(
    columns: Sequence[str], *, file: str, named: str | None = None, flag: str = "--key-column"
) -> KeyColumns:
    """Return the columns that name tracts: `named`, else the first of `KEY_COLUMNS`, else state, county and tract.

    Parameters
    ----------
    columns : sequence of str
        Of the file. Names are found in any case, first as they are written.
    file : str
        For messages.
    named : str, optional
        Name of a column of keys, or three names separated by commas.
    flag : str
        The flag that names a column; empty where there is none.

    Raises
    ------
    InputError
        If there are none: it names the nearest.

    Examples
    --------
    >>> key_columns(["statefp", "countyfp", "tractce", "people"], file="a.csv").names
    ('statefp', 'countyfp', 'tractce')
    """
    if named is not None:
        return _named(columns, named, file)
    known = first_column(columns, KEY_COLUMNS)
    if known is not None:
        return KeyColumns((known,))
    pieces = piece_columns(columns)
    whole = find_column(columns, "TRACT")
    if pieces is not None or whole is not None:
        return KeyColumns(pieces or (str(whole),))
    raise InputError(
        f"{file}: no key column; found {_shown(columns)}, expected one of {', '.join(KEY_COLUMNS)}, or "
        f"{_EXAMPLE}, in any case"
        + (f"; a column of another name: {flag} {_nearest(columns, _LIKE_KEYS) or 'NAME'}" if flag else "")
    )


def key_column(columns: Sequence[str], *, file: str, named: str | None = None) -> str:
    """Return the name of the one column of whole keys, where no flag names it; see `key_columns`.

    Raises
    ------
    InputError
        If there is none.
    """
    found = key_columns(columns, file=file, named=named, flag="")
    if len(found.names) > 1:
        raise InputError(f"{file}: found the columns {found.label}, expected one of {', '.join(KEY_COLUMNS)}")
    return found.names[0]


def find_column(columns: Sequence[str], name: str) -> str | None:
    """Return the column of a name: as it is written, else in another case; None where there is none.

    Examples
    --------
    >>> find_column(["Geoid", "people"], "GEOID")
    'Geoid'
    """
    if name in columns:
        return name
    return next((column for column in columns if str(column).casefold() == name.casefold()), None)


def first_column(columns: Sequence[str], names: Sequence[str]) -> str | None:
    """Return the column of the first of some names that is there, as `find_column` does."""
    return next((found for name in names if (found := find_column(columns, name)) is not None), None)


def piece_columns(columns: Sequence[str], pieces: Sequence[str] = PIECES) -> tuple[str, ...] | None:
    """Return the columns of the pieces of a key, of names of one kind; None where there are none.

    Examples
    --------
    >>> piece_columns(["STATE", "STATEA", "COUNTYA", "TRACTA"])
    ('STATEA', 'COUNTYA', 'TRACTA')
    """
    for kind in _PIECE_NAMES:
        names = dict(zip(PIECES, kind, strict=True))
        found = [find_column(columns, names[piece]) for piece in pieces]
        if all(name is not None for name in found):
            return tuple(str(name) for name in found)
    return None


def no_such_column(columns: Sequence[str], name: str, file: str, what: str = "column") -> InputError:
    """Return the error for a column that was asked for and is not there; it names the nearest."""
    nearest = _nearest(columns, [name])
    return InputError(
        f"{file}: no {what} {name!r}; found {_shown(columns)}" + (f"; did you mean {nearest!r}?" if nearest else "")
    )


def _named(columns: Sequence[str], named: str, file: str) -> KeyColumns:
    whole = find_column(columns, named)
    if whole is not None:
        return KeyColumns((whole,))
    names = [name.strip() for name in named.split(",")]
    if len(names) not in (1, len(PIECES)):
        raise InputError(
            f"{file}: found the key columns {named!r}, expected one name, or three as in STATE,COUNTY,TRACT"
        )
    found = []
    for name in names:
        column = find_column(columns, name)
        if column is None:
            raise no_such_column(columns, name, file, "key column")
        found.append(column)
    return KeyColumns(tuple(found))


def _shown(columns: Sequence[str]) -> str:
    return listed((repr(str(name)) for name in columns), 12) or "no column"


def _nearest(columns: Sequence[str], names: Sequence[str]) -> str | None:
    found = [str(column) for column in columns]
    return next((near for name in names if (near := nearest(name, found)) is not None), None)
