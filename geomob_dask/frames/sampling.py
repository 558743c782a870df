"""How counts were taken: the one statement that intervals, corrections and nulls follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from geomob_dask.errors import DefinitionError, InputError
from geomob_dask.messages import listed
from geomob_dask.sources.brackets import Categories

AUTO, COMPLETE, MARGINS = "auto", "complete", "margins"


@dataclass(frozen=True)
class Sampling:
    """How counts were taken.

    Parameters
    ----------
    kind : {"complete", "margins", "rate", "interviews"}
        All people were counted; estimates with margins of error; estimates of a sample with one rate; estimates with
        a column of interviews.
    rate : float
        Share of people interviewed, where there is one.
    column : str, optional
        Of the number of people interviewed in each tract.
    """

    kind: Literal["complete", "margins", "rate", "interviews"] = "complete"
    rate: float = 1.0
    column: str | None = None

    @property
    def text(self) -> str:
        """Return it as a word or number, as an option takes it."""
        return f"{self.rate:g}" if self.kind == "rate" else self.column or self.kind

    @property
    def words(self) -> str:
        """Return it in words."""
        return {
            "complete": "counts are taken as complete",
            "margins": "counts are estimates with margins of error",
            "rate": f"counts are estimates from interviews with {self.rate:g} of all people",
            "interviews": f"counts are estimates from the interviews of column {self.column}",
        }[self.kind]


FULL_COUNT = Sampling()
"""All people were counted."""


def sampling_of(sampled: str | float, categories: Categories, available: Sequence[str], year: int) -> Sampling:
    """Return how the counts of a table were taken.

    Parameters
    ----------
    sampled : str or float
        ``auto``: margins where every category has a column of them, else complete; ``margins``; ``complete``; a share
        of people interviewed, above 0 and at most 1; or a column of the numbers of people interviewed.
    categories : Brackets or groups
    available : sequence of str
        Columns of the table.
    year : int
        Selects the edition of groups of an ACS table.

    Raises
    ------
    DefinitionError
        If margins are wanted and are not there.
    InputError
        If it is neither a word, nor a share, nor a column.

    Examples
    --------
    >>> from geomob_dask.sources.brackets import load_categories
    >>> groups = load_categories("owners,renters")
    >>> sampling_of("auto", groups, ["owners", "renters"], 2020).kind
    'complete'
    >>> sampling_of("auto", groups, ["owners", "owners_moe", "renters", "renters_moe"], 2020).kind
    'margins'
    """
    text = str(sampled).strip()
    if text == COMPLETE:
        return FULL_COUNT
    if text in (AUTO, MARGINS):
        try:
            categories.columns(available, year, margins=True)
        except DefinitionError:
            if text == MARGINS:
                raise
            return FULL_COUNT
        return Sampling("margins")
    if text in available:
        return Sampling("interviews", column=text)
    try:
        rate = float(text)
    except ValueError:
        raise InputError(
            f"sampled {text!r}: expected {AUTO}, {MARGINS}, {COMPLETE}, a share of people interviewed such as 0.1, or "
            f"a column of interviews among {listed(available, 20)}"
        ) from None
    if not 0.0 < rate <= 1.0:
        raise InputError(f"sampled {text}: expected a share of people interviewed, above 0 and at most 1")
    return FULL_COUNT if rate == 1.0 else Sampling("rate", rate)
