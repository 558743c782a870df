"""Codes of regions as text, the same whatever a table was written by."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pandas as pd

from geomob_dask.sources.keys import AROUND, exact_texts, is_missing


def region_codes(values: Any, where: str) -> pd.Series:
    """Return codes of regions as text, indexed by position; empty where there is none.

    Parameters
    ----------
    values : sequence of text or numbers
        A code that was read as a float (``10000.0``, ``1.0e4``) loses its point; `MISSING_WORDS` are no region.
    where : str
        File and column, for messages.

    Raises
    ------
    InputError
        If codes are floats of a type that does not hold all of their digits.

    Examples
    --------
    >>> region_codes(["10000.0", "1e+05", "NA", "Ann Arbor"], "a.csv: column cbsa").tolist()
    ['10000', '100000', '', 'Ann Arbor']
    """
    texts = exact_texts(values, where).str.strip(AROUND)
    texts = texts.mask(is_missing(texts), "")
    # Each code by itself: regions must not depend on the other rows of a partition.
    texts = texts.str.replace(r"^([0-9]+)\.0*$", r"\1", regex=True)
    powers = texts.str.fullmatch(r"[0-9]+\.[0-9]+[eE]\+?[0-9]{1,2}|[0-9]+[eE]\+[0-9]{1,2}")
    if powers.any():
        texts[powers] = texts[powers].map(lambda text: f"{Decimal(text):f}".removesuffix(".0"))
    return texts
