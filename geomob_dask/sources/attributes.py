"""Attributes of a dataset that say what its columns are, where their names no longer do.

``period``: the years that an estimate spans, one number or, where they differ, one by column. ``kinds``: kind of each
column that is known, with the column a margin of error belongs to. ``dollars`` and ``prices``: year and index of prices
of money; without them money is in dollars of the year of the dataset. Datasets of earlier versions have none of
``period`` and ``kinds``: what their names say is taken then.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from geomob_dask.messages import listed
from geomob_dask.sources.kinds import Kind, known_kinds

ACS_PERIOD = 5
# Attributes that describe; a collection of an earlier version lacks them, which contradicts nothing.
DESCRIPTIVE = ("period", "kinds")
_MONEY = ("dollars", "prices")


def together(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the attributes of one collection from those of two of its parts; None where they contradict each other.

    What describes columns may be there for one part alone, or for other columns.

    Examples
    --------
    >>> together({"vintage": "2020"}, {"vintage": "2020", "period": 5})
    {'vintage': '2020', 'period': 5}
    >>> together({"period": 1}, {"period": 5}) is None
    True
    """
    plain = [{key: value for key, value in part.items() if key not in DESCRIPTIVE} for part in (one, other)]
    if plain[0] != plain[1]:
        return None
    both = dict(plain[0])
    for key in DESCRIPTIVE:
        left, right = one.get(key), other.get(key)
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            if any(left[column] != right[column] for column in left.keys() & right.keys()):
                return None
            both[key] = {**left, **right}
        elif left is not None and right is not None and left != right:
            return None
        elif left is not None or right is not None:
            both[key] = left if right is None else right
    return both


def otherwise(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Return in words what the attributes of one part say otherwise than those of another.

    Examples
    --------
    >>> otherwise({"vintage": "2010", "period": 5}, {"vintage": "2020", "period": 5})
    'vintage 2010'
    >>> otherwise({"kinds": {"a": "count", "b": "index"}}, {"vintage": "2020", "kinds": {"a": "mean"}})
    'kinds a: count; no vintage'
    """
    words = []
    for key in sorted(one.keys() | other.keys()):
        left, right = one.get(key), other.get(key)
        alone = left is None or right is None
        if left == right or (alone and key in DESCRIPTIVE):
            continue
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            both = left.keys() & right.keys() if key in DESCRIPTIVE else left.keys()
            differing = [f"{name}: {left[name]}" for name in sorted(both) if left[name] != right.get(name)]
            words += [f"{key} {listed(differing)}"] if differing else []
        else:
            words.append(f"no {key}" if left is None else f"{key} {left}")
    return "; ".join(words) or "less"


def money_of(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of money; empty if money is in dollars of the year of the measures."""
    return {key: attributes[key] for key in _MONEY if key in attributes}


def of_survey(columns: Sequence[str]) -> dict[str, Any]:
    """Return the attributes of a table of the American Community Survey's 5-year estimates.

    Examples
    --------
    >>> of_survey(["B19113_001E", "B19113_001M"])["kinds"]["B19113_001M"]
    {'kind': 'moe', 'of': ['B19113_001E']}
    """
    return {"period": ACS_PERIOD, "kinds": plain_kinds(known_kinds(columns))}


def plain_kinds(kinds: Mapping[str, Kind]) -> dict[str, Any]:
    """Return kinds as plain data."""
    return {column: kind.model_dump(mode="json", exclude_defaults=True) for column, kind in kinds.items()}


def kinds_in(attributes: Mapping[str, Any], columns: Collection[str]) -> dict[str, Kind]:
    """Return the kinds that a dataset's attributes give to some of its columns."""
    plain = attributes.get("kinds", {})
    return {column: Kind.model_validate(kind) for column, kind in plain.items() if column in columns}


def period_in(attributes: Mapping[str, Any], columns: Collection[str] | None = None) -> dict[str, int]:
    """Return the attribute ``period`` of what is made of a dataset's columns; empty where it is not one number.

    Parameters
    ----------
    attributes : mapping
        Of the dataset.
    columns : collection of str, optional
        Those that were used; all by default.

    Examples
    --------
    >>> period_in({"period": {"rent": 5, "jobs": 1}}, ["rent"]), period_in({"period": {"rent": 5, "jobs": 1}})
    ({'period': 5}, {})
    """
    period = attributes.get("period")
    if isinstance(period, Mapping):
        spans = {period.get(column) for column in (period if columns is None else columns)}
        period = spans.pop() if len(spans) == 1 else None
    return {} if period is None else {"period": int(period)}


def joined(datasets: Sequence[tuple[Mapping[str, Any], Sequence[str]]]) -> dict[str, Any]:
    """Return period and kinds of several datasets, given with their columns, as one."""
    periods = {column: span for attributes, columns in datasets for column, span in _by_column(attributes, columns)}
    kinds = {column: kind for attributes, _ in datasets for column, kind in attributes.get("kinds", {}).items()}
    return _described(periods, sum(len(columns) for _, columns in datasets), kinds)


def renamed(attributes: Mapping[str, Any], names: Mapping[str, str], kinds: Mapping[str, Kind]) -> dict[str, Any]:
    """Return period and kinds of a dataset whose columns have other names.

    Parameters
    ----------
    names : mapping of str to str
        The new name of every column.
    kinds : mapping of str to Kind
        Of the columns under their old names.
    """
    periods = {names[column]: span for column, span in _by_column(attributes, list(names))}
    moved = {
        names[column]: kind.model_copy(update={"of": tuple(names[name] for name in kind.of)})
        for column, kind in kinds.items()
    }
    return _described(periods, len(names), plain_kinds(moved))


def _by_column(attributes: Mapping[str, Any], columns: Sequence[str]) -> list[tuple[str, int]]:
    period = attributes.get("period")
    if isinstance(period, Mapping):
        return [(column, period[column]) for column in columns if column in period]
    return [] if period is None else [(column, period) for column in columns]


def _described(periods: Mapping[str, int], n_columns: int, kinds: Mapping[str, Any]) -> dict[str, Any]:
    spans = set(periods.values())
    found: dict[str, Any] = {}
    if periods:
        found["period"] = spans.pop() if len(spans) == 1 and len(periods) == n_columns else dict(periods)
    return found | ({"kinds": dict(kinds)} if kinds else {})
