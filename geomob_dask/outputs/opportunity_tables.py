"""Tables beside an opportunity index: regressions of outcomes on its domains, and descriptive statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from geomob_dask.definition import Definition
from geomob_dask.outputs.result import result
from geomob_dask.products.product import Prepared
from geomob_dask.sources.measure_names import definition_labels, label_of
from geomob_dask.store import Store
from geomob_dask.transforms.descriptive import describe
from geomob_dask.transforms.least_squares import least_squares

FITS = ("outcome", "term", "n", "r_squared", "r_squared_adjusted", "coefficient", "standard_error")


def fits_of(index: pd.DataFrame, domains: Sequence[str], against: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the multiple regression of each outcome on all domains.

    Parameters
    ----------
    index : DataFrame
        By tract, with the columns of domains.
    domains : sequence of str
    against : mapping of str to DataFrame
        Outcomes by tract: columns of numbers.

    Returns
    -------
    DataFrame
        A row for the constant and one for each domain (``term``) of every ``outcome``: ``coefficient`` and its
        ``standard_error`` (of independent tracts); ``n``, ``r_squared`` and ``r_squared_adjusted`` of the whole fit.
    """
    scores = index[list(domains)].to_numpy(np.float64)
    rows: list[dict[str, Any]] = []
    for name, table in against.items():
        numbers = table.select_dtypes("number").reindex(index.index)
        for column in numbers.columns:
            found = least_squares(numbers[column].to_numpy(np.float64), scores)
            whole = {"n": found.n, "r_squared": found.r_squared, "r_squared_adjusted": found.adjusted}
            rows += [
                {"outcome": f"{name} {column}", "term": term, **whole, "coefficient": value, "standard_error": error}
                for term, value, error in zip(("constant", *domains), found.coefficients, found.errors, strict=True)
            ]
    table = pd.DataFrame(rows, columns=list(FITS)).astype({"outcome": "str", "term": "str"})
    return table.set_index("outcome")


def fit_lines(table: pd.DataFrame) -> list[str]:
    """Return the regressions in short: a line an outcome."""
    lines = ["  multiple regression on all domains: R², adjusted, tracts"]
    whole = table[table["term"] == "constant"]
    return lines + [
        f"    {row.Index:<48} {row.r_squared:6.3f}  {row.r_squared_adjusted:6.3f}  {row.n:,}"
        for row in whole.itertuples()
    ]


def description_of(index: pd.DataFrame, measures: pd.DataFrame, definition: Definition) -> pd.DataFrame:
    """Return descriptive statistics of measures, domains and index.

    Parameters
    ----------
    index : DataFrame
        As `opportunity` returns it.
    measures : DataFrame
        By tract: the measures as they are in the dataset, in its units, not imputed.
    definition : Definition

    Returns
    -------
    DataFrame
        By ``variable``: ``label``, ``unit``, ``kind`` (measure, domain or index), ``domain`` of a measure, ``n``,
        ``missing``, ``mean``,
        ``sd``, ``min``, ``first_quartile``, ``median``, ``third_quartile``, ``max``, over the tracts of `index`;
        ``imputed`` counts the missing values of a measure, and of a domain's scores, that were filled from neighbors.
    """
    domains, names = list(definition.domains), list(definition.measures)
    variables = [*names, *domains, "deprivation", "opportunity"]
    raw = measures[names].reindex(index.index).to_numpy(np.float64)
    found = describe(np.column_stack([raw, index[[*domains, "deprivation", "opportunity"]].to_numpy(np.float64)]))
    filled = _names_in(index, ("imputed_direct", "imputed_once_removed", "filled_domains"))
    inside = [domains[number] for number in definition.domain_of]
    own = definition_labels(definition)
    labels = [label_of(name, own) for name in names] + [label_of(name) for name in domains]
    columns: dict[str, Any] = {
        "label": [*(label.text for label in labels), "deprivation", "opportunity"],
        "unit": [
            *(label.unit for label in labels[: len(names)]),
            *[definition.parameters.domain_range.text] * len(domains),
            definition.parameters.deprivation_range.text,
            definition.parameters.opportunity_range.text,
        ],
        "kind": ["measure"] * len(names) + ["domain"] * len(domains) + ["index"] * 2,
        "domain": [*inside, *[""] * (len(domains) + 2)],
        "n": found.n,
        "missing": found.missing,
        "imputed": [filled.get(name, 0) for name in variables],
        "mean": found.mean,
        "sd": found.sd,
    }
    columns |= dict(zip(("min", "first_quartile", "median", "third_quartile", "max"), found.quartiles, strict=True))
    table = pd.DataFrame(columns, index=pd.Index(variables, name="variable"))
    return table.astype(dict.fromkeys(("label", "unit", "kind", "domain"), "str"))


def description_table(store: Store, prepared: Prepared) -> pd.DataFrame:
    """Return descriptive statistics of a result in the store; see `description_of`."""
    definition: Definition = prepared.options.definition
    wanted = list(dict.fromkeys(definition.measures))
    measures = store.frame(prepared.inputs["measures"], states=_there(prepared), columns=wanted)
    return description_of(result(store, prepared), measures.compute(scheduler="threads"), definition)


def _there(prepared: Prepared) -> list[str]:
    return [state for state in prepared.written if state in prepared.inputs["measures"].parts]


def _names_in(index: pd.DataFrame, columns: Sequence[str]) -> dict[str, int]:
    """Return how often each name stands in columns of names."""
    names = pd.concat([index[column].str.split("; ").explode() for column in columns if column in index])
    counts: dict[str, int] = names[names != ""].value_counts().to_dict()
    return counts
