"""Measures of frames on the tracts of another vintage.

Each partition converts its own targets from its own rows and a halo: rows of other partitions of which a part lies in
its targets. Which partitions those are follows from the table of links, which is small and in memory. The balance of
every count is a small reduction; tables depend on it, so that nothing is written before its checks have passed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dask.dataframe as dd
import numpy as np
import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.frames.align import aligned
from geomob_dask.frames.conversion import Balances, Conversion, Conversions, convert, no_reasons
from geomob_dask.frames.halo import halo
from geomob_dask.frames.keys import to_text
from geomob_dask.frames.own_rows import is_lazy, no_value, one_value, own_rows, value_of
from geomob_dask.frames.reduction import partials, reduced, reduced_rows
from geomob_dask.messages import counted, listed
from geomob_dask.sources.kinds import Kind, kinds_of, text_columns
from geomob_dask.sources.prices import SHIPPED, read_prices
from geomob_dask.sources.relationships import newest_codes
from geomob_dask.sources.vintages import recoding, vintage
from geomob_dask.transforms.crosswalk import Links, check_links
from geomob_dask.transforms.harmonize import Balance

MEDIANS = ("refuse", "missing")
# Share of a state's sources: more than this not in the table of links, and it is a table of other tracts.
_STRANGERS = 0.5
_LINKS = ["source", "target", "weight"]
_STATED = re.compile(r".*_usd_([0-9]{4})")


@dataclass(frozen=True)
class Harmonized:
    """Converted measures as frames, in memory or on Dask.

    Attributes
    ----------
    table : DataFrame
        See `harmonize`.
    reasons : DataFrame
        Index ``geoid``: ``column`` and ``reason``, why numbers are missing or coded.
    report : DataFrame of one row
        Its value (see `value_of`) is plain data: ``sources``, ``targets``, ``balance`` (of each count; see `Balance`),
        ``elsewhere``, ``refused`` (medians by column), ``absent`` and ``unlisted`` sources.
    """

    table: Any
    reasons: Any
    report: Any


def harmonize(
    measures: Any,
    *,
    source: str,
    to: str,
    links: pd.DataFrame | None = None,
    kinds: Mapping[str, Kind | str | Mapping[str, Any]] | None = None,
    year: int | None = None,
    dollars: int | None = None,
    prices: str = SHIPPED,
    lost: float = 0.0,
    medians: str = "refuse",
    states: Sequence[str] | None = None,
) -> Any:
    """Return measures on the tracts of another vintage.

    Counts are split and added up; shares and means are computed from the converted counts; medians and indices are
    carried over where a tract stayed one tract.

    Parameters
    ----------
    measures : DataFrame, in memory or on Dask
        Indexed by geoid; on Dask, sorted by it with known divisions.
    source, to : str
        Vintages of the measures and of the result: 2000, census2010, 2010, 2020 or 2022.
    links : DataFrame, optional
        ``source``, ``target`` (empty: in none) and ``weight`` (share of the source in the target), as `link_shares`
        returns them. Needed where the tracts of the vintages differ; where only codes do, they are known.
    kinds : mapping of column to kind, optional
        What columns are, where their names do not tell: count, moe, share, mean, median, index or key; see `Kind`.
    year, dollars : int, optional
        Year of the measures, and the year in whose dollars money is stated.
    prices : str
        ``cpi_u``, or a .csv with the columns ``year`` and ``index``.
    lost : float
        Largest share of any count that may lie in no target.
    medians : {"refuse", "missing"}
        Whether a median that would have to be split or merged is an error, or missing.
    states : sequence of str, optional
        Codes of the states of the result; by default those of the measures.

    Returns
    -------
    DataFrame, in memory or on Dask as `measures`
        Index ``geoid``: the tracts of the new vintage. Columns as those of `measures`; names of money in dollars of one
        year end in ``_usd_YEAR``. NaN where a source is missing, or a median would have to be split or merged.

    Raises
    ------
    InputError
        If the tracts differ and there are no links, a column's kind is not known, more is lost than `lost`, a median
        would have to be split or merged, or the links are of other tracts.

    References
    ----------
    Logan, Xu & Stults (2014), "Interpolating U.S. decennial census tract data from as early as 1970 to 2010".

    Examples
    --------
    A tract of Connecticut under the code of its county, then of its planning region:

    >>> measures = pd.DataFrame({"people_count": [1200.0]}, index=["09013528100"])
    >>> harmonize(measures, source="2020", to="2022")["people_count"].to_dict()
    {'09110528100': 1200.0}
    """
    texts = text_columns(measures)
    how = conversion(list(measures.columns), source, to, kinds, texts=texts, year=year, dollars=dollars, prices=prices)
    between = links_between(source, to, links)
    return harmonized(measures, how, between, states=states, lost=lost, medians=medians).table


def conversion(
    columns: Sequence[str],
    source: str,
    to: str,
    kinds: Mapping[str, Kind | str | Mapping[str, Any]] | None = None,
    *,
    texts: Collection[str] = (),
    year: int | None = None,
    dollars: int | None = None,
    prices: str = SHIPPED,
    name: str = "measures",
) -> Conversion:
    """Return the conversion of columns, some of them `texts`, from one vintage to another; otherwise as `harmonize`."""
    found = kinds_of(columns, {column: Kind.model_validate(kind) for column, kind in (kinds or {}).items()}, texts)
    here, there = vintage(source).tracts, vintage(to).tracts
    priced: dict[str, Any] = {}
    if dollars is not None:
        if year is None:
            raise InputError(f"dollars {dollars}: found no year of the measures, expected it too")
        table = read_prices(prices)
        priced["dollars"] = (table.of(year), table.of(dollars), dollars)
        priced["stated"] = {column: (stated, table.of(stated)) for column, stated in _stated(name, found).items()}
    how = Conversion(found, here == there, here, **priced)
    _refuse_same_names(name, how)
    return how


def _stated(name: str, kinds: Mapping[str, Kind]) -> dict[str, int]:
    """Return the columns whose names say that they are in dollars of one year, and that year."""
    matches = {column: _STATED.fullmatch(column) for column in kinds}
    years = {column: int(match[1]) for column, match in matches.items() if match}
    for column, year in years.items():
        kind = kinds[column]
        if (kinds[kind.of[0]] if kind.kind == "moe" else kind).unit != "usd":
            raise InputError(
                f"{name}: column {column}: named as dollars of {year}, found a {kind.kind} without a unit; "
                "expected unit usd in the file of kinds (--kinds), or it would stay in those dollars"
            )
    return years


def _refuse_same_names(name: str, how: Conversion) -> None:
    """Refuse two columns that differ only in the year of their dollars."""
    whose: dict[str, str] = {}
    for column in how.kinds:
        other = whose.setdefault(how.name(column), column)
        if other != column:
            raise InputError(f"{name}: columns {other}, {column}: both would be {how.name(column)}; expected one")


def links_between(source: str, to: str, links: pd.DataFrame | None = None, *, name: str = "measures") -> pd.DataFrame:
    """Return the links from the tracts of one vintage to those of another.

    Parameters
    ----------
    source, to : str
        Vintages.
    links : DataFrame, optional
        See `harmonize`. Tracts of the same polygons that it does not name have the codes that are known.

    Raises
    ------
    InputError
        If the tracts differ and there are no links, or more than all of a source is given away.
    """
    same = vintage(source).tracts == vintage(to).tracts
    if links is None:
        if not same:
            raise InputError(
                f"{name} is on tracts of vintage {source}, which differ from those of {to}: expected a table of "
                "relationships between them (--relationship or --crosswalk FILE)"
            )
        return recoding(to)[_LINKS]
    codes, names = pd.factorize(links["source"])
    at = codes.astype(np.int64)
    check_links(Links(at, at, links["weight"].to_numpy(np.float64)), list(names))
    known = recoding(to)[_LINKS] if same else links.iloc[:0]
    return pd.concat([links[_LINKS], known.loc[~known["source"].isin(names), _LINKS]], ignore_index=True)


def harmonized(
    measures: Any,
    how: Conversion,
    links: pd.DataFrame,
    *,
    reasons: Any = None,
    states: Sequence[str] | None = None,
    lost: float = 0.0,
    medians: str = "refuse",
    name: str = "measures",
) -> Harmonized:
    """Return converted measures with reasons and report.

    Parameters
    ----------
    measures : DataFrame
        See `harmonize`.
    how : Conversion
        See `conversion`.
    links : DataFrame
        See `links_between`.
    reasons : DataFrame, optional
        Index ``geoid``: ``column`` and ``reason`` of the measures.
    states, lost, medians
        See `harmonize`.
    name : str
        Of the measures, in messages.
    """
    if not 0 <= lost < 1:
        raise InputError(f"--lost {lost}: expected a share from 0 to 1")
    if medians not in MEDIANS:
        raise InputError(f"--medians {medians}: expected {' or '.join(MEDIANS)}")
    if reasons is None:
        why = own_rows(_no_reasons, measures, meta=no_reasons)
    else:
        measures, why = aligned(measures=measures, reasons=reasons)
    asked = reduced_rows(_states, measures, meta=_state_table(())) if states is None else _state_table(states)
    parts = LinkParts.of(links, measures, how)
    empty = measures._meta if is_lazy(measures) else measures.iloc[:0]
    far = halo(own_rows(_offered, measures, parts.beginning, meta=empty, how=how), parts.near)
    far_why = halo(own_rows(_offered, why, parts.beginning, meta=no_reasons, how=how), parts.near)
    converted = own_rows(
        _converted, measures, far, why, far_why, parts.ending, parts.beginning, asked, meta=no_value, how=how
    )
    report = reduced(balanced, partials(_balances, converted), how=how, lost=lost, medians=medians, name=name)
    return Harmonized(
        table=own_rows(_table, converted, report, meta=lambda: _nothing(empty, how).table),
        reasons=own_rows(_reasons, converted, report, meta=no_reasons),
        report=report,
    )


# Links by partition ------------------------------------------------------------------------------


@dataclass(frozen=True)
class LinkParts:
    """The links of every partition.

    Attributes
    ----------
    ending : DataFrame, in memory or on Dask as the measures
        Links to targets between the divisions of a partition.
    beginning : DataFrame, in memory or on Dask as the measures
        Links of sources between the divisions of a partition; ``leaves``: to a target of another partition.
    near : sequence of sequence of int, optional
        For each partition, the others from which links lead into it.
    """

    ending: Any
    beginning: Any
    near: Sequence[Sequence[int]] | None

    @classmethod
    def of(cls, links: pd.DataFrame, measures: Any, how: Conversion) -> LinkParts:
        """Return the links of the partitions of measures.

        Raises
        ------
        InputError
            If the measures are on Dask and their divisions are not known.
        """
        links = links[_LINKS].reset_index(drop=True)
        if not is_lazy(measures):
            return cls(links, links.assign(leaves=False), None)
        (measures,) = aligned(measures=measures)
        cuts = to_text(pd.Index(measures.divisions[1:-1])) if measures.npartitions > 1 else pd.Index([], dtype="str")
        to = _places(links["target"], cuts)
        begin = _codes_of_sources(links, how)
        begin = begin.assign(place=_places(begin["code"], cuts), to=to[begin["link"]])
        # A source has one place under each of its codes.
        begin = begin[["link", "place", "to"]].drop_duplicates()
        numbers = range(measures.npartitions)
        ending = [links[(to == number) & (links["target"] != "").to_numpy()] for number in numbers]
        beginning, near = [], []
        for number in numbers:
            mine = begin[begin["place"] == number]
            some = links.iloc[mine["link"]]
            beginning.append(some.assign(leaves=(mine["to"] != number).to_numpy() & (some["target"] != "").to_numpy()))
            into = begin[(begin["to"] == number) & (begin["place"] != number)]
            inside = (links["target"].iloc[into["link"]] != "").to_numpy()
            near.append(sorted(set(into["place"][inside].tolist())))
        return cls(_parts(ending), _parts(beginning), near)


def _places(keys: pd.Series, cuts: pd.Index) -> np.ndarray:
    """Return the partitions between whose divisions keys lie."""
    return np.asarray(np.searchsorted(cuts.to_numpy(object), keys.to_numpy(object), side="right"))


def _codes_of_sources(links: pd.DataFrame, how: Conversion) -> pd.DataFrame:
    """Return, for each link, the codes under which measures may have its source: ``link`` and ``code``."""
    rows = pd.DataFrame({"link": np.arange(len(links)), "code": links["source"].to_numpy(object)})
    if how.same_tracts:
        return rows
    codes = newest_codes(how.tracts).rename(columns={"source": "older", "target": "code"})
    others = rows.merge(codes, on="code")[["link", "older"]].rename(columns={"older": "code"})
    return pd.concat([rows, others], ignore_index=True)


def _parts(frames: Sequence[pd.DataFrame]) -> dd.DataFrame:
    return dd.from_map(_same, list(frames), meta=frames[0].iloc[:0], label="links")


def _same(frame: pd.DataFrame) -> pd.DataFrame:
    return frame


# One partition -----------------------------------------------------------------------------------


def _states(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return _state_table(sorted({state for frame in frames for state in to_text(frame.index).str[:2].unique()}))


def _state_table(states: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame({"state": pd.Series(list(states), dtype="str")})


def _no_reasons(measures: pd.DataFrame) -> pd.DataFrame:
    return no_reasons()


def _offered(rows: pd.DataFrame, beginning: pd.DataFrame, *, how: Conversion) -> pd.DataFrame:
    """Return the rows of which a part lies in targets of another partition."""
    leaving = beginning.loc[beginning["leaves"].to_numpy(bool), "source"]
    return rows[how.keys(to_text(rows.index)).isin(leaving)]


def _converted(
    own: pd.DataFrame,
    far: pd.DataFrame,
    why: pd.DataFrame,
    far_why: pd.DataFrame,
    ending: pd.DataFrame,
    beginning: pd.DataFrame,
    states: pd.DataFrame,
    *,
    how: Conversion,
) -> pd.DataFrame:
    own, far, why = (frame.set_axis(to_text(frame.index)) for frame in (own, far, pd.concat([why, far_why])))
    # Others offer rows to all partitions near them: each keeps those of which a part lies in its own targets.
    far = far[how.keys(far.index).isin(ending["source"])]
    return one_value(convert(own, far, why, ending, beginning, frozenset(states["state"]), how))


def _balances(converted: pd.DataFrame) -> Balances:
    conversions: Conversions = value_of(converted)
    return conversions.balances


def _table(converted: pd.DataFrame, report: pd.DataFrame) -> pd.DataFrame:
    conversions: Conversions = value_of(converted)
    return conversions.table


def _reasons(converted: pd.DataFrame, report: pd.DataFrame) -> pd.DataFrame:
    conversions: Conversions = value_of(converted)
    return conversions.reasons


def _nothing(measures: pd.DataFrame, how: Conversion) -> Conversions:
    no_links = pd.DataFrame({"source": [], "target": [], "weight": []}).astype({"source": "str", "target": "str"})
    measures = measures.set_axis(to_text(measures.index))
    return convert(measures, measures, no_reasons(), no_links, no_links, frozenset(), how)


# All partitions ----------------------------------------------------------------------------------


def balanced(parts: Sequence[Balances], *, how: Conversion, lost: float, medians: str, name: str) -> dict[str, Any]:
    """Return the report of a conversion, after its checks have passed; see `Harmonized`, and `harmonize` for errors."""
    if not how.same_tracts:
        _check_tracts(parts, name, how)
    sums = {
        field: _added([getattr(part, field) for part in parts])
        for field in ("before", "lost", "elsewhere", "after", "withheld")
    }
    balances = {}
    for column, before in sums["before"].items():
        losers = sorted((row for part in parts for row in part.losers if row[1] == column), reverse=True)
        balance = Balance(
            before - sums["elsewhere"][column], sums["after"][column], sums["lost"][column], sums["withheld"][column]
        )
        examples = listed([f"{geoid} ({amount:,.6g})" for amount, _, geoid in losers], 3) or "no tract"
        try:
            balance.check(column, lost, examples)
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
        balances[column] = vars(balance)
    refused = {}
    for column in how.kinds:
        found = [part.refused[column] for part in parts if column in part.refused]
        if found:
            refused[column] = sum(count for count, _ in found)
            if medians == "refuse":
                raise InputError(
                    f"{name}: column {column}: a {how.kinds[column].kind} cannot be split or merged, and "
                    f"{counted(refused[column], 'tract')} of the result ({found[0][1]}) would be made of parts of "
                    "others; expected a share or mean of counts, or --medians missing to leave it out there"
                )
    absent = sorted({key for part in parts for key in part.absent})
    unlisted = [key for part in parts for some in part.unlisted.values() for key in some]
    return {
        "sources": sum(count for part in parts for count in part.sources.values()),
        "targets": sum(part.targets for part in parts),
        "balance": balances,
        "elsewhere": sums["elsewhere"],
        "refused": refused,
        "absent": [len(absent), absent[:5]],
        "unlisted": [len(unlisted), unlisted[:5]],
    }


def _check_tracts(parts: Sequence[Balances], name: str, how: Conversion) -> None:
    for state in sorted({state for part in parts for state in part.sources}):
        unlisted = [key for part in parts for key in part.unlisted.get(state, ())]
        sources = sum(part.sources.get(state, 0) for part in parts)
        if len(unlisted) > _STRANGERS * sources:
            raise InputError(
                f"{name}, state {state}: {len(unlisted):,} of {counted(sources, 'tract')} ({listed(unlisted, 3)}) "
                f"are not among "
                f"the sources of the table of relationships; expected a table from tracts of {how.tracts}"
            )


def _added(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return sums by column, rounded once."""
    columns = dict.fromkeys(column for part in parts for column in part)
    return {column: math.fsum(part.get(column, 0.0) for part in parts) for column in columns}
