"""One state's table on another vintage's tracts: NumPy kernels on the rows of its sources, wherever they lie.

A task sees the links that end or begin in its state, and the rows of their sources. Sums are exact, so results are the
same, bit for bit, for any number of workers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.sources.kinds import Kind
from geomob_dask.sources.relationships import is_water, plain_codes
from geomob_dask.transforms.crosswalk import Links
from geomob_dask.transforms.exact_sums import region_sums
from geomob_dask.transforms.harmonize import Converted, Why, carry_over, convert_counts, only_sources, recompute
from geomob_dask.transforms.prices import deflate

_EXAMPLES = 3


@dataclass(frozen=True)
class Conversion:
    """How a table is converted; small plain data that travels to workers.

    Attributes
    ----------
    kinds : mapping of column to Kind
    same_tracts : bool
        Whether tracts that no link names keep their key; else they lie in no target.
    tracts : str
        Polygons of the sources.
    dollars : tuple of (float, float, int), optional
        Index of prices in the table's year, in the year of the dollars, and that year.
    stated : mapping of column to (int, float)
        Money that is in dollars of one year already: that year and its index of prices.
    targets : frozenset of str
        States of the result.
    """

    kinds: Mapping[str, Kind]
    same_tracts: bool
    tracts: str
    targets: frozenset[str]
    dollars: tuple[float, float, int] | None = None
    stated: Mapping[str, tuple[int, float]] = field(default_factory=dict)

    def name(self, column: str) -> str:
        """Return the name of a column in the result: money in dollars of one year says which."""
        if self.dollars is None or not self.is_money(column):
            return column
        stem = column.removesuffix(f"_usd_{self.stated[column][0]}" if column in self.stated else "_usd")
        return f"{stem}_usd_{self.dollars[2]}"

    def is_money(self, column: str) -> bool:
        """Return whether a column is money, or a margin of money."""
        kind = self.kinds[column]
        return (self.kinds[kind.of[0]] if kind.kind == "moe" else kind).unit == "usd"

    def priced(self, column: str, values: np.ndarray) -> np.ndarray:
        """Return values in the dollars asked for, if they are money."""
        if self.dollars is None or not self.is_money(column):
            return values
        index = self.stated[column][1] if column in self.stated else self.dollars[0]
        return deflate(values, index, self.dollars[1])


@dataclass(frozen=True)
class Sums:
    """What one state adds to the balance of every count.

    Attributes
    ----------
    before, lost, elsewhere : dict of column to float
        Of the state's sources: in all, in no target, in targets of states that are not in the result.
    after, withheld : dict of column to float
        Of the state's targets; see `transforms.harmonize.Balance`.
    losers : tuple of (float, str, str)
        Amount, column and source of the largest losses.
    refused : dict of column to tuple
        Targets without a median or index, though a source has one: how many, and the first.
    unlisted : tuple of str
        Sources that no link names.
    sources, targets : int
    absent : tuple of str
        Sources of a target that have no row.
    """

    before: dict[str, float] = field(default_factory=dict)
    lost: dict[str, float] = field(default_factory=dict)
    elsewhere: dict[str, float] = field(default_factory=dict)
    after: dict[str, float] = field(default_factory=dict)
    withheld: dict[str, float] = field(default_factory=dict)
    losers: tuple[tuple[float, str, str], ...] = ()
    refused: dict[str, tuple[int, str]] = field(default_factory=dict)
    unlisted: tuple[str, ...] = ()
    sources: int = 0
    targets: int = 0
    absent: tuple[str, ...] = ()


def convert(
    table: pd.DataFrame, why: pd.DataFrame | None, links: pd.DataFrame, state: str, how: Conversion
) -> tuple[pd.DataFrame, pd.DataFrame, Sums]:
    """Return a state's targets, the reasons of what is missing or coded in them, and what it adds to the balance.

    Parameters
    ----------
    table : DataFrame, index ``geoid``
        Rows of all sources of the state's targets, and of all sources in the state.
    why : DataFrame, index ``geoid``, optional
        ``column`` and ``reason`` of their numbers.
    links : DataFrame
        ``source``, ``target`` (empty: none), ``weight``: those that end in the state and those of its sources.
    state : str
    how : Conversion

    Returns
    -------
    converted : DataFrame
        Index ``geoid``, sorted.
    reasons : DataFrame
        Index ``geoid``: ``column``, ``reason``.
    sums : Sums

    Raises
    ------
    InputError
        If a tract is there under two codes.
    """
    # Without a table of relationships codes are as in the file: two of them become one only below, and that is told.
    keys = table.index if how.same_tracts else plain_codes(table.index, how.tracts)
    if keys.has_duplicates:
        raise InputError(f"tract {keys[keys.duplicated()][0]}: found two rows, under its older and its newer code")
    links = _with_own(links, keys, how)
    _check_codes(links, keys, how)
    here = links[(links["target"].str[:2] == state).to_numpy()]
    absent = pd.Index(here["source"].unique()).difference(keys)
    water = absent[is_water(absent)]
    here = here[~here["source"].isin(water)]
    absent = absent.difference(water)
    rows = keys.append(absent)
    targets = pd.Index(np.sort(here["target"].unique().astype(object)), dtype="str", name="geoid")
    plain = Links(
        rows.get_indexer(here["source"]).astype(np.int64),
        targets.get_indexer(here["target"]).astype(np.int64),
        here["weight"].to_numpy(np.float64),
    )
    sources = table.set_axis(keys).reindex(rows)
    found, withheld, refused = _by_kind(sources, plain, len(targets), how)
    frame = _frame(found, sources, plain, targets, how)
    reasons = _reasons(found, frame, table, why, plain, rows, how)
    sums = _weighed(table, keys, links, state, how)
    after = {column: _total(found[column].values) for column in withheld}
    told = {
        column: (int(count), targets[int(np.argmax(found[column].why[:, 0] == Why.NOT_ONE_TO_ONE))])
        for column, count in refused.items()
        if count
    }
    sums = replace(sums, after=after, withheld=withheld, refused=told, targets=len(targets), absent=tuple(absent))
    return frame, reasons, sums


def _with_own(links: pd.DataFrame, keys: pd.Index, how: Conversion) -> pd.DataFrame:
    """Add a link of every tract to itself that no link names, where tracts are the same."""
    if not how.same_tracts:
        return links
    links = links[links["source"].isin(keys)]
    own = keys.difference(pd.Index(links["source"]))
    return pd.concat([links, pd.DataFrame({"source": own, "target": own, "weight": 1.0})], ignore_index=True)


def _check_codes(links: pd.DataFrame, keys: pd.Index, how: Conversion) -> None:
    """Refuse a table that has a tract under both of its codes."""
    if not how.same_tracts:
        return
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
    """Return the numbers of every column but margins and keys, counts withheld, medians refused."""
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


def _frame(
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


def _reasons(
    found: Mapping[str, Converted],
    frame: pd.DataFrame,
    table: pd.DataFrame,
    why: pd.DataFrame | None,
    links: Links,
    rows: pd.Index,
    how: Conversion,
) -> pd.DataFrame:
    """Return why numbers are missing or coded: as their source says where a target is one, else what is missing."""
    only = only_sources(links, len(frame))
    whole = only >= 0
    target_of = dict(zip(rows[only[whole]].tolist(), frame.index[whole].tolist(), strict=True))
    own = dict(zip(table.index.tolist(), rows[: len(table)].tolist(), strict=True))
    told = pd.DataFrame({"geoid": [], "column": [], "reason": []}, dtype="str")
    if why is not None and len(why):
        codes = pd.Index([target_of.get(own.get(key, ""), "") for key in why.index])
        told = pd.DataFrame(
            {
                "geoid": codes,
                "column": [how.name(name) if name in how.kinds else name for name in why["column"]],
                "reason": why["reason"].to_numpy(),
            },
            dtype="str",
        )
        told = told[(codes != "") & told["column"].isin(frame.columns)]
    known = set(zip(told["geoid"], told["column"], strict=True))
    made, names, targets = _Made.of(links, len(frame), len(table)), rows.tolist(), frame.index.tolist()
    new = []
    for column, one in found.items():
        name = how.name(column)
        for row in np.flatnonzero(one.why[:, 0] > 0):
            key = targets[row]
            if (key, name) not in known:
                new.append((key, name, made.words(Why(one.why[row, 0]), int(row), names)))
    told = pd.concat([told, pd.DataFrame(new, columns=["geoid", "column", "reason"], dtype="str")])
    order = {name: place for place, name in enumerate(frame.columns)}
    told = told.assign(place=told["column"].map(order)).sort_values(["geoid", "place"], kind="stable")
    return told.set_index("geoid")[["column", "reason"]].astype("str")


@dataclass(frozen=True)
class _Made:
    """What every target is made of: how many sources, the first, and the first without a row (−1: none)."""

    count: np.ndarray
    first: np.ndarray
    absent: np.ndarray

    @classmethod
    def of(cls, links: Links, n_targets: int, n_rows: int) -> _Made:
        linked = links.share > 0
        source, target = links.source[linked][::-1], links.target[linked][::-1]
        first = np.full(n_targets, -1, dtype=np.int64)
        absent = first.copy()
        # Backwards: the first of them is written last.
        first[target] = source
        gone = source >= n_rows
        absent[target[gone]] = source[gone]
        return cls(np.bincount(target, minlength=n_targets), first, absent)

    def words(self, why: Why, row: int, names: Sequence[str]) -> str:
        if why is Why.NOT_DEFINED:
            return "the denominator is zero"
        if why is Why.NOT_ONE_TO_ONE:
            return f"made of {self.count[row]} tracts or parts: no such number of theirs tells it"
        if self.absent[row] >= 0:
            return f"its source {names[self.absent[row]]} has no row"
        if self.count[row] == 1:
            return f"not given for {names[self.first[row]]}"
        return f"not given for one of its {self.count[row]} sources"


def _weighed(table: pd.DataFrame, keys: pd.Index, links: pd.DataFrame, state: str, how: Conversion) -> Sums:
    """Return what the sources in a state hold, and how much of it lies in no target or in none that was asked for."""
    mine = np.asarray(table.index.str[:2] == state)
    own = keys[mine]
    of_mine = links[links["source"].isin(own)]
    at = own.get_indexer(of_mine["source"]).astype(np.int64)
    asked = of_mine["target"].str[:2].isin(how.targets)
    weight = of_mine["weight"].to_numpy(np.float64)
    nowhere = (of_mine["target"] == "").to_numpy()
    parts = np.column_stack([weight * ~nowhere, weight * (~nowhere & ~asked.to_numpy())])
    inside, outside = region_sums(parts, at, len(own)).T
    missing = np.where(np.abs(inside - 1.0) <= 1e-9, 0.0, np.maximum(1.0 - inside, 0.0))
    before, lost, elsewhere = {}, {}, {}
    losers: list[tuple[float, str, str]] = []
    for column in (name for name, kind in how.kinds.items() if kind.kind == "count"):
        values = np.nan_to_num(table[column].to_numpy(np.float64)[mine])
        gone = values * missing
        before[column], lost[column] = math.fsum(values), math.fsum(gone)
        elsewhere[column] = math.fsum(values * outside)
        worst = np.argsort(-gone, kind="stable")[:_EXAMPLES]
        losers += [(float(gone[row]), column, str(table.index[mine][row])) for row in worst if gone[row] > 0]
    unlisted = tuple(own.difference(pd.Index(of_mine["source"])))
    return Sums(before, lost, elsewhere, losers=tuple(losers), unlisted=unlisted, sources=len(own))


def added(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return sums by column over states, rounded once."""
    columns = dict.fromkeys(column for part in parts for column in part)
    return {column: math.fsum(part.get(column, 0.0) for part in parts) for column in columns}


def _total(values: np.ndarray) -> float:
    return math.fsum(values[~np.isnan(values)].tolist())
