"""What the reasons say for which results have no value."""

import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_SUPPRESSED = re.compile(r"suppress|withheld|too few|fewer than|not disclosed|threshold", re.IGNORECASE)


def is_suppressed(reason: str) -> bool:
    """Return whether a reason says that a value is known and not shown.

    Examples
    --------
    >>> is_suppressed("suppressed: 30 people or fewer"), is_suppressed("no people"), is_suppressed("")
    (True, False, False)
    """
    return bool(_SUPPRESSED.search(reason))


def suppressed(reasons: pd.Series) -> NDArray[np.bool_]:
    """Return `is_suppressed` of each reason, False where there is none."""
    # The same few texts stand in all rows.
    codes, texts = pd.factorize(reasons.fillna("").astype(str))
    told = np.array([is_suppressed(text) for text in texts], dtype=bool)
    return told[codes] if len(codes) else np.zeros(0, dtype=bool)
