"""Special codes of the American Community Survey: what the Bureau writes in place of a number.

Reference: U.S. Census Bureau, "Notes on ACS Estimate and Annotation Values".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np


class CodeReason(IntEnum):
    """Reason why a number is missing, coded or controlled."""

    NONE = 0
    NOT_GIVEN = 1
    TOO_FEW_FOR_MOE = 2
    OPEN_INTERVAL = 3
    CONTROLLED = 4
    TOO_FEW_FOR_ESTIMATE = 5
    NOT_AVAILABLE = 6
    TOO_FEW_TO_SHOW = 7
    TOP_CODED = 8
    BOTTOM_CODED = 9

    @property
    def words(self) -> str:
        """Return the reason in words; empty for a plain number."""
        return _WORDS[self]


_WORDS = {
    CodeReason.NONE: "",
    CodeReason.NOT_GIVEN: "blank in the source",
    CodeReason.TOO_FEW_FOR_MOE: "too few sample cases for a margin of error",
    CodeReason.OPEN_INTERVAL: "median in an open-ended interval: no margin of error",
    CodeReason.CONTROLLED: "controlled estimate: no sampling error",
    CodeReason.TOO_FEW_FOR_ESTIMATE: "too few sample cases for an estimate, or a ratio with a zero median",
    CodeReason.NOT_AVAILABLE: "not applicable or not available",
    CodeReason.TOO_FEW_TO_SHOW: "too few sample cases in this area to show",
    CodeReason.TOP_CODED: "top-coded: this value or more",
    CodeReason.BOTTOM_CODED: "bottom-coded: this value or less",
}


@dataclass(frozen=True)
class SpecialCode:
    """One row of the table.

    Parameters
    ----------
    code : int
        What the API writes.
    annotation : str
        What data.census.gov writes.
    reason : CodeReason
    moe : float
        Value as a margin of error; as an estimate every code is missing.
    """

    code: int
    annotation: str
    reason: CodeReason
    moe: float = np.nan


SPECIAL_CODES = (
    SpecialCode(-222222222, "**", CodeReason.TOO_FEW_FOR_MOE),
    SpecialCode(-333333333, "***", CodeReason.OPEN_INTERVAL),
    SpecialCode(-555555555, "*****", CodeReason.CONTROLLED, moe=0.0),
    SpecialCode(-666666666, "-", CodeReason.TOO_FEW_FOR_ESTIMATE),
    SpecialCode(-888888888, "(X)", CodeReason.NOT_AVAILABLE),
    SpecialCode(-999999999, "N", CodeReason.TOO_FEW_TO_SHOW),
)


def _spellings(code: int) -> tuple[float, ...]:
    """Return a code exactly, in single precision, and rounded to three digits or more, as spreadsheets do."""
    rounded = (float(f"{code:.{digits}e}") for digits in range(2, 9))
    return tuple(sorted({float(code), float(np.float32(code)), *rounded}))


SPELLINGS = {special: _spellings(special.code) for special in SPECIAL_CODES}
"""Numbers that stand for each code, exactly or rounded."""
