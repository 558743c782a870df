"""What the shares of a table of regions are shares of: attributes of its collection in the store.

Shares of people count a tract's people where they live; shares of area take them as evenly spread over the tract,
fields and water included, so that a region's people, and all that is computed of them, are off where they are not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pandas as pd

from geomob_dask.errors import InputError

_PEOPLE = re.compile(r"pop[0-9]{0,4}", re.IGNORECASE)
_HOUSING = re.compile(r"(hu|hus|housing)[0-9]{0,4}", re.IGNORECASE)
_AREA = re.compile(r"(land|area)?(sqmi|sqkm|area)", re.IGNORECASE)
_WHOLE = 1e-3


class Kind(StrEnum):
    """Kind of weights: what a tract's share in a region is a share of."""

    NESTED = "nested"
    PEOPLE = "people"
    HOUSING = "housing"
    AREA = "area"
    NOT_RECORDED = "not recorded"

    @classmethod
    def of(cls, name: Kind | str) -> Kind:
        """Return the kind of this name.

        Raises
        ------
        InputError
            If there is none.
        """
        if name not in list(cls):
            raise InputError(f"weights {name!r}: expected one of {', '.join(cls)}")
        return cls(name)

    @property
    def words(self) -> str:
        """Return the kind as summaries say it."""
        return _WORDS[self]

    @property
    def counts_people(self) -> bool:
        """Return whether shares are of people, or of where they live, or tracts are not shared at all."""
        return self in (Kind.NESTED, Kind.PEOPLE, Kind.HOUSING)


_WORDS = {
    Kind.NESTED: "tracts lie in regions as a whole",
    Kind.PEOPLE: "shares of tracts are shares of their people",
    Kind.HOUSING: "shares of tracts are shares of their housing units",
    Kind.AREA: "shares of tracts are shares of their AREA: people are taken as evenly spread over a tract",
    Kind.NOT_RECORDED: "what shares of tracts are shares of is not recorded: perhaps of area",
}


@dataclass(frozen=True)
class Weights:
    """Weights of a table of regions.

    Attributes
    ----------
    kind : Kind
    source : str
        What they were computed from, such as ``pop10``; empty where it is not known.
    """

    kind: Kind
    source: str = ""

    @property
    def attributes(self) -> dict[str, str]:
        """Return the attributes of a collection."""
        return {"weights": str(self.kind)} | ({"weights_source": self.source} if self.source else {})

    @property
    def line(self) -> str:
        """Return what the weights are, for the user."""
        return self.kind.words + (f" ({self.source})" if self.source else "")

    @classmethod
    def of(cls, attributes: Mapping[str, Any]) -> Weights:
        """Return the weights that a collection's attributes tell; tables of earlier versions have none."""
        kind = attributes.get("weights")
        known = Kind(kind) if kind in list(Kind) else Kind.NOT_RECORDED
        return cls(known, str(attributes.get("weights_source", "")))


def weights_of_table(rows: pd.DataFrame, columns: Sequence[str], *, geocorr: bool, named: str | None = None) -> Weights:
    """Return the weights of a table of regions.

    Parameters
    ----------
    rows : DataFrame
        ``region`` and ``afact``.
    columns : sequence of str
        Of the file.
    geocorr : bool
        Whether it is a crosswalk of Geocorr, which has a column of what the shares are of: ``pop20``, ``hus20``,
        ``LandSQMI``.
    named : {"people", "housing", "area"}, optional
        What the user says.

    Examples
    --------
    >>> rows = pd.DataFrame({"region": ["a", "b"], "afact": [0.25, 0.75]})
    >>> weights_of_table(rows, ["county", "tract", "pop20", "afact"], geocorr=True)
    Weights(kind=<Kind.PEOPLE: 'people'>, source='pop20')
    """
    if (rows.loc[rows["region"] != "", "afact"] >= 1 - _WHOLE).all():
        return Weights(Kind.NESTED)
    if named is not None:
        return Weights(Kind(named))
    if geocorr:
        for kind, pattern in ((Kind.PEOPLE, _PEOPLE), (Kind.HOUSING, _HOUSING), (Kind.AREA, _AREA)):
            found = [column for column in columns if pattern.fullmatch(column)]
            if found:
                return Weights(kind, found[0])
    return Weights(Kind.NOT_RECORDED)
