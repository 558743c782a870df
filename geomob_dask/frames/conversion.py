"""Rows of one partition on the tracts of another vintage, with reasons of missing numbers and the balance of counts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.frames.numbers import check_numbers
from geomob_dask.sources.kinds import Kind
from geomob_dask.sources.relationships import is_water, plain_codes
from geomob_dask.transforms.crosswalk import Links
from geomob_dask.transforms.exact_sums import region_sums
from geomob_dask.transforms.harmonize import (
    Converted,
    Origins,
    Why,
    carry_over,
    convert_counts,
    only_sources,
    recompute,
)
from geomob_dask.transforms.prices import deflate

_EXAMPLES = 3
_REASONS = ["column", "reason"]


@dataclass(frozen=True)
class Conversion:
    """How measures are converted.

    Attributes
    ----------
    kinds : mapping of column to Kind
    same_tracts : bool
        Whether tracts that no link names keep their key; else they lie in no target.
    tracts : str
        Polygons of the sources.
    dollars : tuple of (float, float, int), optional
        Index of prices in the measures' year, in the year of the dollars, and that year.
    stated : mapping of column to (int, float)
        Money that is in dollars of one year already: that year and its index of prices.
    """

    kinds: Mapping[str, Kind]
    same_tracts: bool
    tracts: str
    dollars: tuple[float, float, int] | None = None
    stated: Mapping[str, tuple[int, float]] = field(default_factory=dict)

    def name(self, column: str) -> str:
        """Return the name of a column in the result: that of money in dollars of one year ends in the year."""
        if self.dollars is None or not self.is_money(column):
            return column
        stem = column.removesuffix(f"_usd_{self.stated[column][0]}" if column in self.stated else "_usd")
        return f"{stem}_usd_{self.dollars[2]}"

    def is_money(self, column: str) -> bool:
        """Return whether a column is money, or a margin of money."""
        kind = self.kinds[column]
        return (self.kinds[kind.of[0]] if kind.kind == "moe" else kind).unit == "usd"

    def priced(self, column: str, values: np.ndarray) -> np.ndarray:
        """Return values in the dollars of the result, if they are money."""
        if self.dollars is None or not self.is_money(column):
            return values
        index = self.stated[column][1] if column in self.stated else self.dollars[0]
        return deflate(values, index, self.dollars[1])

    def keys(self, geoids: pd.Index) -> pd.Index:
        """Return the keys under which links name tracts."""
        # Without a table of relationships codes stay as they are: where two of them become one is seen later.
        return geoids if self.same_tracts else plain_codes(geoids, self.tracts)


@dataclass(frozen=True)
class Balances:
    """The terms of one partition in the balance of every count.

    Attributes
    ----------
    before, lost, elsewhere : dict of column to float
        Of the partition's sources: in all, in no target, in targets of states that are not in the result.
    after, withheld : dict of column to float
        Of the partition's targets; see `transforms.harmonize.Balance`.
    losers : tuple of (float, str, str)
        Amount, column and source of the largest losses.
    refused : dict of column to (int, str)
        Targets without a median or index, though a source has one: how many, and the first.
    sources : dict of state to int
    unlisted : dict of state to tuple of str
        Sources that no link names.
    targets : int
    absent : tuple of str
        Sources of a target that have no row.
    """

    before: dict[str, float]
    lost: dict[str, float]
    elsewhere: dict[str, float]
    after: dict[str, float]
    withheld: dict[str, float]
    losers: tuple[tuple[float, str, str], ...]
    refused: dict[str, tuple[int, str]]
    sources: dict[str, int]
    unlisted: dict[str, tuple[str, ...]]
    targets: int
    absent: tuple[str, ...]


@dataclass(frozen=True)
class Rows:
    """Measures of one partition's sources: its own, and those of others of which a part lies in its targets.

    Attributes
    ----------
    table : DataFrame, index ``geoid``
        Own rows first.
    keys : Index
        Under which links name them.
    n_own : int
    """

    table: pd.DataFrame
    keys: pd.Index
    n_own: int


@dataclass(frozen=True)
class Conversions:
    """One partition's result.

    Attributes
    ----------
    table : DataFrame
        Index ``geoid``, sorted.
    reasons : DataFrame
        Index ``geoid``: ``column``, ``reason``.
    balances : Balances
    """

    table: pd.DataFrame
    reasons: pd.DataFrame
    balances: Balances


def convert(
    own: pd.DataFrame,
    far: pd.DataFrame,
    why: pd.DataFrame,
    ending: pd.DataFrame,
    beginning: pd.DataFrame,
    states: frozenset[str],
    how: Conversion,
) -> Conversions:
    """Return a partition's targets, the reasons of what is missing or coded in them, and its part of the balance.

    Parameters
    ----------
    own, far : DataFrame, index ``geoid``
        Rows of the partition, and of others that have a part in its targets.
    why : DataFrame, index ``geoid``
        ``column`` and ``reason`` of their numbers.
    ending, beginning : DataFrame
        ``source``, ``target`` (empty: none), ``weight``: links to targets of the partition, and links of its sources.
    states : frozenset of str
        States of the result.
    how : Conversion

    Raises
    ------
    InputError
        If a tract is there under two codes.
    CountsError
        If a count or margin is negative, or a number is too large to be computed with.
    """
    table = pd.concat([own, far]) if len(far) else own
    if len(table):
        numbers = [column for column, kind in how.kinds.items() if kind.kind != "key"]
        check_numbers(table, numbers, counts=[name for name in numbers if how.kinds[name].kind in ("count", "moe")])
    rows = Rows(table, how.keys(table.index), len(own))
    if rows.keys.has_duplicates:
        twice = rows.keys[rows.keys.duplicated()][0]
        raise InputError(f"tract {twice}: found two rows, under its older and its newer code")
    ending, beginning = _linked(ending, beginning, rows, how)
    here = ending[ending["target"].str[:2].isin(states).to_numpy()]
    absent = pd.Index(here["source"].unique()).difference(rows.keys)
    water = absent[is_water(absent)]
    here, absent = here[~here["source"].isin(water)], absent.difference(water)
    names = rows.keys.append(absent)
    targets = pd.Index(np.sort(here["target"].unique().astype(object)), dtype="str", name="geoid")
    links = Links(
        names.get_indexer(here["source"]).astype(np.int64),
        targets.get_indexer(here["target"]).astype(np.int64),
        here["weight"].to_numpy(np.float64),
    )
    sources = table.set_axis(rows.keys).reindex(names)
    found, withheld, refused = _by_kind(sources, links, len(targets), how)
    result = _table(found, sources, links, targets, how)
    reasons = _reasons(found, result, table, why, links, names, how)
    sums = _source_sums(rows, beginning, states, how)
    balances = Balances(
        **sums,
        after={column: _total(found[column].values) for column in withheld},
        withheld=withheld,
        refused={
            column: (count, str(targets[int(np.argmax(found[column].why[:, 0] == Why.NOT_ONE_TO_ONE))]))
            for column, count in refused.items()
            if count
        },
        targets=len(targets),
        absent=tuple(absent),
    )
    return Conversions(result, reasons, balances)


def _linked(
    ending: pd.DataFrame, beginning: pd.DataFrame, rows: Rows, how: Conversion
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Add a link of every tract to itself that no link names, where tracts are the same."""
    if not how.same_tracts:
        return ending, beginning
    ending = ending[ending["source"].isin(rows.keys)]
    _refuse_two_codes(ending, rows.keys)
    same = rows.keys[: rows.n_own].difference(pd.Index(beginning["source"]))
    links = pd.DataFrame({"source": same, "target": same, "weight": 1.0})
    return pd.concat([ending, links], ignore_index=True), pd.concat([beginning, links], ignore_index=True)


def _refuse_two_codes(links: pd.DataFrame, keys: pd.Index) -> None:
    whole = links[(links["source"] != links["target"]) & (links["weight"] == 1) & links["target"].isin(keys)]
    whole = whole[~is_water(pd.Index(whole["source"]))]
    if len(whole):
        first = whole.iloc[0]
        raise InputError(
            f"tract {first['source']}: found it under its other code {first['target']} too, expected one of them"
        )


def _by_kind(
    sources: pd.DataFrame, links: Links, n_targets: int, how: Conversion
) -> tuple[dict[str, Converted], dict[str, float], dict[str, int]]:
    """Return the numbers of every column but margins and keys, counts withheld, and medians refused."""
    margin_of = {kind.of[0]: column for column, kind in how.kinds.items() if kind.kind == "moe"}
    found: dict[str, Converted] = {}
    withheld: dict[str, float] = {}
    refused: dict[str, int] = {}
    for column, kind in how.kinds.items():
        if kind.kind not in ("count", "median", "index"):
            continue
        values = sources[[column]].to_numpy(np.float64)
        moes = np.full(values.shape, np.nan)
        if column in margin_of:
            moes = sources[[margin_of[column]]].to_numpy(np.float64)
        if kind.kind == "count":
            found[column], hidden = convert_counts(values, moes, links, n_targets)
            withheld[column] = float(hidden[0])
        else:
            found[column], not_one = carry_over(values, moes, links, n_targets)
            refused[column] = int(not_one[0])
    for column, kind in how.kinds.items():
        if kind.kind in ("share", "mean"):
            part, whole = (found[name] for name in kind.of)
            found[column] = recompute(part, whole, proportion=kind.kind == "share", scale=kind.scale)
    return found, withheld, refused


def _table(
    found: Mapping[str, Converted], sources: pd.DataFrame, links: Links, targets: pd.Index, how: Conversion
) -> pd.DataFrame:
    columns = {}
    for column, kind in how.kinds.items():
        if kind.kind == "key":
            only = only_sources(links, len(targets))
            values = sources[column].to_numpy(dtype=object)
            texts = np.where(only >= 0, values[only], None) if len(values) else values
            columns[column] = pd.Series(texts, index=targets, dtype=sources[column].dtype)
            continue
        estimate = found[kind.of[0] if kind.kind == "moe" else column]
        numbers = estimate.moes if kind.kind == "moe" else estimate.values  # noqa: PD011
        columns[how.name(column)] = pd.Series(how.priced(column, numbers[:, 0]), index=targets)
    return pd.DataFrame(columns, index=targets)


# Reasons -----------------------------------------------------------------------------------------


def no_reasons() -> pd.DataFrame:
    """Return a table of reasons without rows."""
    index = pd.Index([], dtype="str", name="geoid")
    return pd.DataFrame({"column": [], "reason": []}, index=index, dtype="str")


def _reasons(
    found: Mapping[str, Converted],
    result: pd.DataFrame,
    table: pd.DataFrame,
    why: pd.DataFrame,
    links: Links,
    names: pd.Index,
    how: Conversion,
) -> pd.DataFrame:
    """Return why numbers are missing or coded: that of the source that a target equals, or a missing source."""
    only = only_sources(links, len(result))
    whole = only >= 0
    target_of = dict(zip(names[only[whole]].tolist(), result.index[whole].tolist(), strict=True))
    own = dict(zip(table.index.tolist(), names[: len(table)].tolist(), strict=True))
    kept = no_reasons().reset_index()
    if len(why):
        codes = pd.Index([target_of.get(own.get(key, ""), "") for key in why.index])
        kept = pd.DataFrame(
            {
                "geoid": codes,
                "column": [how.name(name) if name in how.kinds else name for name in why["column"]],
                "reason": why["reason"].to_numpy(),
            },
            dtype="str",
        )
        kept = kept[(codes != "") & kept["column"].isin(result.columns)]
    known = set(zip(kept["geoid"], kept["column"], strict=True))
    origins, texts, targets = Origins.of(links, len(result), len(table)), names.tolist(), result.index.tolist()
    new = []
    for column, one in found.items():
        name = how.name(column)
        for row in np.flatnonzero(one.why[:, 0] > 0).tolist():
            if (targets[row], name) not in known:
                new.append((targets[row], name, _words(origins, Why(one.why[row, 0]), row, texts)))
    kept = pd.concat([kept, pd.DataFrame(new, columns=["geoid", *_REASONS], dtype="str")])
    order = {name: place for place, name in enumerate(result.columns)}
    kept = kept.assign(place=kept["column"].map(order)).sort_values(["geoid", "place"], kind="stable")
    return kept.set_index("geoid")[_REASONS].astype("str")


def _words(origins: Origins, why: Why, row: int, names: Sequence[str]) -> str:
    if why is Why.NOT_DEFINED:
        return "the denominator is zero"
    if why is Why.NOT_ONE_TO_ONE:
        return f"made of {origins.count[row]} tracts or parts: no such number of theirs tells it"
    if origins.absent[row] >= 0:
        return f"its source {names[origins.absent[row]]} has no row"
    if origins.count[row] == 1:
        return f"not given for {names[origins.first[row]]}"
    return f"not given for one of its {origins.count[row]} sources"


# The balance -------------------------------------------------------------------------------------


def _source_sums(rows: Rows, links: pd.DataFrame, states: frozenset[str], how: Conversion) -> dict[str, Any]:
    """Return the counts of the partition's sources, and how much of them lies in no target or in other states."""
    table, keys = rows.table[: rows.n_own], rows.keys[: rows.n_own]
    mine = table.index.str[:2].isin(states)
    table, own = table[mine], keys[mine]
    links = links[links["source"].isin(own)]
    at = own.get_indexer(links["source"]).astype(np.int64)
    asked = links["target"].str[:2].isin(states).to_numpy()
    weight = links["weight"].to_numpy(np.float64)
    somewhere = (links["target"] != "").to_numpy()
    parts = np.column_stack([weight * somewhere, weight * (somewhere & ~asked)])
    inside, outside = region_sums(parts, at, len(own)).T
    missing = np.where(np.abs(inside - 1.0) <= 1e-9, 0.0, np.maximum(1.0 - inside, 0.0))
    before, lost, elsewhere = {}, {}, {}
    losers: list[tuple[float, str, str]] = []
    for column in (name for name, kind in how.kinds.items() if kind.kind == "count"):
        values = np.nan_to_num(table[column].to_numpy(np.float64))
        gone = values * missing
        before[column], lost[column] = math.fsum(values), math.fsum(gone)
        elsewhere[column] = math.fsum(values * outside)
        worst = np.argsort(-gone, kind="stable")[:_EXAMPLES]
        losers += [(float(gone[row]), column, str(table.index[row])) for row in worst if gone[row] > 0]
    unlisted = own.difference(pd.Index(links["source"]))
    by_state = table.index.str[:2].value_counts().sort_index()
    return {
        "before": before,
        "lost": lost,
        "elsewhere": elsewhere,
        "losers": tuple(losers),
        "sources": {str(state): int(count) for state, count in by_state.items()},
        "unlisted": {str(state): tuple(some) for state, some in unlisted.groupby(unlisted.str[:2]).items()},
    }


def _total(values: np.ndarray) -> float:
    return math.fsum(values[~np.isnan(values)].tolist())
