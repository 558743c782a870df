"""The validation table of an opportunity index: what each domain explains, and what the index goes along with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.frames.validation import validation
from geomob_dask.outputs import tables
from geomob_dask.outputs.result import result
from geomob_dask.products.product import Prepared
from geomob_dask.store import Store

_AGAINST = re.compile(r"(?P<dataset>[^:]+):(?P<year>[0-9]{4})(?::(?P<columns>.+))?")


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
        match = _AGAINST.fullmatch(text)
        if match is None:
            raise InputError(f"--against {text}: expected DATASET:YEAR or DATASET:YEAR:COLUMN,COLUMN")
        named = match["columns"]
        columns = None if named is None else tuple(name.strip() for name in named.split(","))
        return cls(match["dataset"], int(match["year"]), columns)

    def read(self, store: Store) -> pd.DataFrame:
        """Return the numbers of these columns, by tract."""
        columns = None if self.columns is None else list(self.columns)
        found = store.frame(f"measures/{self.dataset}/{self.year}", columns=columns).compute(scheduler="threads")
        return found.select_dtypes("number")


def validation_table(store: Store, prepared: Prepared, against: Sequence[Against] = ()) -> pd.DataFrame:
    """Return the validation table of a result in the store; see `frames.validation`."""
    others = {f"{one.dataset} {one.year}": one.read(store) for one in against}
    return validation(result(store, prepared), list(prepared.options.definition.domains), others)


def validation_lines(table: pd.DataFrame) -> list[str]:
    """Return the table in short: domains, the largest common parts, correlations."""
    lines = ["  variance of deprivation explained by domain: total, alone"]
    domains = table.loc[["domain"]].sort_values("total", ascending=False)
    lines += [f"    {row.what:<32} {row.total:6.3f} {row.unique:6.3f}" for row in domains.itertuples()]
    if "correlation" in table.index:
        lines.append("  correlation with opportunity: r, p, tracts")
        pairs = table.loc[["correlation"]]
        lines += [f"    {row.what:<48} {row.r:6.3f}  {row.p:.2g}  {row.n:,}" for row in pairs.itertuples()]
    return lines


def write_validation(table: pd.DataFrame, file: str) -> None:
    """Write the table (.csv or .parquet)."""
    tables.export(table, file)
