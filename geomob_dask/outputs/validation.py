"""Validation table of an opportunity index: variance explained by each domain, and correlations of the index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.frames.validation import validation
from geomob_dask.messages import listed
from geomob_dask.products.product import Prepared
from geomob_dask.sources.years import dataset_year
from geomob_dask.store import Store

_FORM = "DATASET:YEAR or DATASET:YEAR:COLUMN,COLUMN"


@dataclass(frozen=True)
class Against:
    """Columns of a dataset in the store that an index is held against.

    Parameters
    ----------
    dataset, year : str, int
    columns : sequence of str, optional
        All by default.
    """

    dataset: str
    year: int
    columns: Sequence[str] | None = None

    @classmethod
    def of(cls, text: str) -> Against:
        """Read ``DATASET:YEAR`` or ``DATASET:YEAR:COLUMN,COLUMN``.

        Raises
        ------
        InputError
            If the text has another form.

        Examples
        --------
        >>> Against.of("atlas:2018:kfr_pooled_p25")
        Against(dataset='atlas', year=2018, columns=('kfr_pooled_p25',))
        """
        pieces = text.split(":", 2)
        dataset, year = dataset_year(":".join(pieces[:2]), "--against", _FORM)
        columns = tuple(name.strip() for name in pieces[2].split(",")) if len(pieces) > 2 else None
        if columns is not None and not all(columns):
            raise InputError(f"--against {text}: found an empty name of a column; expected {_FORM}")
        return cls(dataset, year, columns)

    @property
    def collection(self) -> str:
        """Return the collection of the measures."""
        return f"measures/{self.dataset}/{self.year}"

    def check(self, store: Store, states: Sequence[str]) -> None:
        """Raise InputError if there is nothing to correlate an index of some states with; no rows are read."""
        what = f"--against {self.dataset}:{self.year}"
        try:
            snapshot = store.snapshot(self.collection)
        except InputError as error:
            raise InputError(f"{what}: {error}") from error
        there = store.empty(snapshot)
        numbers = [str(name) for name in there.select_dtypes("number")]
        for column in self.columns or ():
            if column not in there:
                raise InputError(f"{what}: no column {column!r}; found {listed(there, 12)}")
            if column not in numbers:
                raise InputError(f"{what}: column {column!r}: found {there[column].dtype}, expected numbers")
        if not numbers:
            raise InputError(f"{what}: no column of numbers; found {listed(there, 12)}")
        if not set(states) & snapshot.parts.keys():
            raise InputError(
                f"{what}: has the states {listed([*snapshot.parts], 12)}, expected some of the index: "
                f"{listed(states, 12)}"
            )

    def read(self, store: Store) -> pd.DataFrame:
        """Return the numbers of these columns, by tract."""
        columns = None if self.columns is None else list(self.columns)
        found = store.frame(self.collection, columns=columns).compute(scheduler="threads")
        return found.select_dtypes("number")


def validation_table(
    store: Store, prepared: Prepared, index: pd.DataFrame, others: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """Return the validation table of a result in the store; see `frames.validation`."""
    domains = list(prepared.options.definition.domains)
    if not others:
        return validation(index, domains)
    vintage = store.snapshot(prepared.collection).attributes["vintage"]
    tracts = store.frame(f"tracts/{vintage}", columns=["geometry"])
    # One state's polygons after the other: only their centroids stay in memory.
    return validation(index, domains, others, tracts=tracts).compute(scheduler="threads")


def validation_lines(table: pd.DataFrame) -> list[str]:
    """Return the table in short: domains, the largest common parts, correlations."""
    lines = ["  variance of deprivation explained by domain: total, alone"]
    domains = table.loc[["domain"]].sort_values("total", ascending=False)
    lines += [f"    {row.what:<32} {row.total:6.3f} {row.unique:6.3f}" for row in domains.itertuples()]
    if "correlation" in table.index:
        pairs = table.loc[["correlation"]]
        lines.append(
            "  correlation with opportunity: r, tracts, unadjusted p; adjusted for dependence in space: effective "
            "tracts, p, interval of 95 %"
        )
        lines += [
            f"    {row.what:<48} {row.r:6.3f}  {row.n:>6,}  {_p(row.p_unadjusted)}; {_adjusted(row)}"
            for row in pairs.itertuples()
        ]
    return lines


def _adjusted(row: Any) -> str:
    if pd.isna(row.effective_n):
        return "not adjusted: fewer than three tracts with a polygon"
    known, interval = not pd.isna(row.r_lower_adjusted), f"{row.r_lower_adjusted:.3f} to {row.r_upper_adjusted:.3f}"
    return f"{row.effective_n:,.1f}  {_p(row.p_adjusted)}  {interval if known else 'no interval'}"


def _p(value: float) -> str:
    # Some are below the smallest number, and none is 0.
    return f"{value:.2g}" if value != 0 else "<1e-300"
