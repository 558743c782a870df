"""The state of a cube after a change, the blocks that the change rewrites, and their values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geomob_dask.errors import InputError
from geomob_dask.store.cube_arrays import Layout, State
from geomob_dask.store.cube_changes import CubeChange, YearChange, identity_of
from geomob_dask.store.cube_contents import PartContents
from geomob_dask.store.cube_form import longer, values_of
from geomob_dask.store.snapshots import Part
from geomob_dask.store.tables import Store


@dataclass(frozen=True)
class Block:
    """One chunk: the rows of one year of a block of tracts.

    Parameters
    ----------
    year : int
    rows : slice
        On the axis of tracts.
    keys : shape (n,), text
        Of these tracts.
    parts : tuple of Part
        Those whose range of keys overlaps the block.
    """

    year: int
    rows: slice
    keys: NDArray[Any]
    parts: tuple[Part, ...]


def state_after(before: State, change: CubeChange, contents: Mapping[str, PartContents]) -> State:
    """Return the state of a cube once a change is written: new years, tracts, parts and reasons are appended."""
    todo = change.todo
    known = set(before.keys.tolist())
    place_of: dict[str, str] = {}
    for name, found in contents.items():
        for key in found.keys.tolist():
            if key not in known:
                place_of.setdefault(key, name)
    new = sorted(place_of)
    years = (*before.years, *(year for year in todo if year not in before.years))
    names = sorted({name for what in todo.values() for name in what.parts} - set(before.parts))
    parts = (*before.parts, *names)
    content, runs = np.zeros((len(years), len(parts)), np.uint64), np.zeros((len(years), len(parts)), np.uint64)
    n_years, n_parts = before.content.shape
    content[:n_years, :n_parts], runs[:n_years, :n_parts] = before.content, before.runs
    collections = [*before.collections, *[""] * (len(years) - n_years)]
    for year, what in todo.items():
        row = years.index(year)
        collections[row] = what.collection
        content[row], runs[row] = 0, 0
        for name, part in what.parts.items():
            content[row, parts.index(name)], runs[row, parts.index(name)] = identity_of(part)
    return replace(
        before,
        attributes=change.attributes,
        reasons=longer(before.reasons, {reason for found in contents.values() for reason in found.reasons}),
        years=years,
        keys=np.array([*before.keys.tolist(), *new], object),
        places=np.array([*before.places.tolist(), *(place_of[key] for key in new)], object),
        collections=tuple(collections),
        parts=parts,
        content=content,
        runs=runs,
    )


def changed_blocks(before: State, after: State, change: CubeChange) -> list[Block]:
    """Return the blocks with a row of a changed or removed part, year by year."""
    # One array of keys for all years of a block: a graph of many years holds it once.
    keys = [after.keys[rows] for rows in after.blocks]
    return [
        Block(year, after.blocks[number], keys[number], _overlapping(what.parts, keys[number]))
        for year, what in change.todo.items()
        for number in _changed_numbers(before, after, year, what)
    ]


def _changed_numbers(before: State, after: State, year: int, what: YearChange) -> Iterator[int]:
    names = {*what.changed, *what.removed}
    text = after.keys.astype(str)
    touched = np.isin(text.astype("U2"), sorted(names)) | np.isin(after.places.astype(str), sorted(names))
    for part in (what.parts[name] for name in what.changed):
        touched |= (text >= part.first) & (text <= part.last) & (part.rows > 0)
    # The earlier version of a part that is no state may have held any key.
    if year in before.years and any(len(name) != 2 for name in names):
        touched[:] = True
    return (number for number, rows in enumerate(after.blocks) if touched[rows].any())


def _overlapping(parts: Mapping[str, Part], keys: NDArray[Any]) -> tuple[Part, ...]:
    first, last = min(keys), max(keys)
    return tuple(part for part in parts.values() if part.rows and part.first <= last and part.last >= first)


def block_values(store: Store, block: Block, layout: Layout) -> dict[str, NDArray[Any]]:
    """Return the values of a block by variable; its parts are read.

    Returns
    -------
    dict of str to array
        As `write_block` takes them: rows of the block in its order, fill values for tracts without a row.

    Raises
    ------
    InputError
        If two parts have a row of the same tract.
    """
    form, n = layout.form, len(block.keys)
    values: dict[str, NDArray[Any]] = {
        variable.name: np.full((n, len(form.measures)), variable.fill, variable.dtype) for variable in form.variables
    }
    values |= {name: np.full(n, "", object) for name in form.texts}
    keys = pd.Index(block.keys)
    source_of: dict[int, str] = {}
    for part in block.parts:
        table = store.read(part)
        position = keys.get_indexer(table.index)
        present = position >= 0
        position = position[present]
        for place in position.tolist():
            if place in source_of:
                raise InputError(
                    f"{store.url}/{part.key}: found {form.unit} {block.keys[place]!r}, which is also in "
                    f"{source_of[place]}; expected each {form.unit} in one part of a year"
                )
            source_of[place] = part.key
        for name, rows in values_of(table[present], form, layout.reasons).items():
            values[name][position] = rows
    return values
