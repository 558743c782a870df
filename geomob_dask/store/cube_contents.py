"""Keys, columns and reasons in the parts of a cube's years, and whether all years can share one cube."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geomob_dask.errors import InputError
from geomob_dask.sources.vintages import changed_states, differing_codes, registry
from geomob_dask.store.cube_arrays import RESERVED
from geomob_dask.store.cube_changes import TRACT_DIGITS, CubeChange, collection_in, dataset_and_year
from geomob_dask.store.cube_form import Form, form_of, kinds_of, reasons_of
from geomob_dask.store.snapshots import Part
from geomob_dask.store.tables import Store


@dataclass(frozen=True)
class PartContents:
    """The contents of the parts of one name in all changed years.

    Parameters
    ----------
    keys : shape (n,), text
        Sorted.
    kinds : mapping of str to str
        Columns of the first part, in order; see `kinds_of`.
    source : str
        Where the first part is.
    reasons : frozenset of str
        See `reasons_of`.
    """

    keys: NDArray[Any]
    kinds: Mapping[str, str]
    source: str
    reasons: frozenset[str]


def part_contents(store: Store, parts: Sequence[Part]) -> PartContents:
    """Return the contents of the parts of one name, one part per year; all are read.

    Parameters
    ----------
    parts : sequence of Part
        At least one; each has rows.

    Raises
    ------
    InputError
        If a key occurs twice in a part, columns differ, or the same tracts have different codes.
    """
    keys: list[NDArray[Any]] = []
    reasons: set[str] = set()
    columns: Mapping[str, str] = {}
    source = f"{store.url}/{parts[0].key}"
    for part in parts:
        table, where = store.read(part), f"{store.url}/{part.key}"
        if not table.index.is_unique:
            twice = table.index[table.index.duplicated()][0]
            raise InputError(
                f"{where}: found {table.index.name} {twice!r} more than once, expected one row each, as in results by "
                "regions that do not overlap"
            )
        kinds = kinds_of(table)
        columns = columns or kinds
        _check_columns(source, columns, where, kinds)
        reasons |= reasons_of(table, form_of(kinds, "tract"))
        for other, others in zip(parts, keys, strict=False):
            _check_codes(_collection_of(other), others, _collection_of(part), table.index)
        keys.append(table.index.to_numpy(object))
    every = np.array(sorted(set(np.concatenate(keys).tolist())), object)
    return PartContents(every, columns, source, frozenset(reasons))


def _collection_of(part: Part) -> str:
    return part.key.rsplit("/", 1)[0]


def check_codes_of_other_years(change: CubeChange, contents: Mapping[str, PartContents]) -> None:
    """Raise InputError if years of the cube that are not rewritten have tracts under other codes."""
    held = change.state
    if held is None or change.attributes["unit"] != "tract":
        return
    for name, found in contents.items():
        rewritten = {year for year, what in change.todo.items() if name in (*what.changed, *what.removed)}
        stay = [year for year in held.years if year not in rewritten and name in held.identities(year)]
        new = [what.collection for what in change.todo.values() if name in what.changed]
        if stay and new:
            keys = [key for key in held.keys.tolist() if key[:2] == name]
            _check_codes(collection_in(held, stay[0]), np.array(keys, object), new[0], pd.Index(found.keys))


def _check_codes(collection: str, keys: NDArray[Any], other: str, others: pd.Index) -> None:
    """Raise InputError if two years have different codes for the same tracts: each tract would be two rows."""
    if not len(keys) or str(keys[0])[:2] not in changed_states() or len(str(keys[0])) != TRACT_DIGITS:
        return
    differing = differing_codes(keys.tolist(), others)
    if differing:
        first = differing[0]
        newer = max(first.left_vintage, first.right_vintage, key=list(registry().vintages).index)
        places = [dataset_and_year(name) for name in (collection, other)]
        years = ",".join(sorted({year for _, year in places if year}))
        which = f"--dataset {places[1][0]} --years {years} " if years else ""
        raise InputError(
            f"{first.line(collection, other)}; expected one set of codes in all years of a cube, or each of these "
            "tracts would be two rows: harmonize the measures of all years: "
            f"python jobs/harmonize.py {which}--to {newer}"
        )


def common_form(change: CubeChange, contents: Mapping[str, PartContents]) -> Form:
    """Return the form of a cube with these contents.

    Raises
    ------
    InputError
        If the columns differ between parts or from those of the cube, or a column has the name of a variable or axis.
    """
    found, held, unit = list(contents.values()), change.state, str(change.attributes["unit"])
    if not found:
        # Parts were removed and none changed.
        assert held is not None
        return held.form
    for other in found[1:]:
        _check_columns(found[0].source, found[0].kinds, other.source, other.kinds)
    is_result = str(change.attributes["product"]).startswith("results/")
    form = form_of(found[0].kinds, unit, "1" if is_result else "", change.margins)
    if held is not None and held.years and _margins_were_measures(held.form, form):
        form = held.form
    reserved = sorted((RESERVED | {unit}) & set(form.texts))
    if reserved:
        raise InputError(
            f"{found[0].source}: found a column of text {reserved[0]!r}, the name of a variable or axis of cubes; "
            "expected another name"
        )
    if held is not None and held.years and held.form != form:
        _check_columns(f"cube {change.name!r}", _columns(held.form), found[0].source, _columns(form))
        raise InputError(
            f"{found[0].source}: found the columns of cube {change.name!r} in another order, expected the same order"
        )
    return form


def _margins_were_measures(held: Form, form: Form) -> bool:
    """Return whether a cube was written before it was known which of its measures are margins of others."""
    now, before = [one.name for one in form.measures], [one.name for one in held.measures]
    kept = [name for name in before if name in now]
    return len(now) < len(before) and kept == now and _columns(held) == _columns(form)


def _columns(form: Form) -> dict[str, str]:
    numbers = {column: "number" for measure in form.measures for column in measure.columns.values()}
    return numbers | dict.fromkeys(form.texts, "text")


def _check_columns(source: str, columns: Mapping[str, str], other: str, found: Mapping[str, str]) -> None:
    if dict(columns) == dict(found):
        return
    absent = [name for name in columns if name not in found]
    more = [name for name in found if name not in columns]
    changed = [name for name in columns if name in found and columns[name] != found[name]]
    if absent:
        difference = f"no column {absent[0]!r}"
    elif more:
        difference = f"an additional column {more[0]!r}"
    elif changed:
        difference = f"{found[changed[0]]} in column {changed[0]!r} instead of {columns[changed[0]]}"
    raise InputError(f"{other}: found {difference}, unlike {source}; expected the same columns in all years of a cube")
