"""Tables of a source as they go into the store, and what their readers share."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from pyproj import CRS


@dataclass(frozen=True)
class Table:
    """One collection.

    Attributes
    ----------
    collection : str
        Its path in a store, such as ``measures/acs/2018``.
    parts : mapping of str to DataFrame
        By state, or by name; each sorted by its index.
    attributes : mapping
        Of the whole collection, such as the vintage of its tracts.
    """

    collection: str
    parts: Mapping[str, pd.DataFrame]
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Tables(Table):
    """Everything that was read of a source.

    Attributes
    ----------
    options : mapping
        Recorded in the provenance.
    files : sequence of path
        Recorded with their checksums.
    inputs : mapping of str to str
        Checksums of further inputs, by name.
    lines : sequence of str
        What a user should know.
    keep_others : bool
        Whether parts that are in the store and not here stay.
    unit : str
        What a row is.
    count : int, optional
        Number of units; all rows by default.
    beside : sequence of Table
        Further collections that are committed with it, before it.
    report : mapping
        Recorded beside the provenance.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    files: Sequence[str | Path] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)
    lines: Sequence[str] = ()
    keep_others: bool = True
    unit: str = "tract"
    count: int | None = None
    beside: Sequence[Table] = ()
    report: Mapping[str, Any] = field(default_factory=dict)


def split_by_state(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the rows of each state, from the first two digits of the index.

    Examples
    --------
    >>> {state: len(rows) for state, rows in split_by_state(pd.DataFrame(index=["18001", "39001", "39003"])).items()}
    {'18': 1, '39': 2}
    """
    return {str(state): rows for state, rows in table.groupby(table.index.astype("str").str[:2])}


def file_checksums(files: Sequence[str | Path]) -> dict[str, str]:
    """Return the SHA-256 of each file, by its name."""
    checksums = {}
    for file in files:
        with open(file, "rb") as stream:
            checksums[Path(file).name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return checksums


def crs_name(crs: CRS) -> str:
    """Return ``EPSG:…`` where there is such a code, else the text of the coordinate system."""
    authority = CRS.from_user_input(crs).to_authority()
    return ":".join(authority) if authority else CRS.from_user_input(crs).to_wkt()
