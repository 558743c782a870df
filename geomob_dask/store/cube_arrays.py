"""The Zarr arrays of a cube: their creation, their state at one version, writing by blocks, reading.

The axes are year × tract (or region) × measure, a chunk is one year of a block of tracts with all measures. Years and
tracts are added at the end of their axes, so that no chunk already written moves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
import zarr
import zarr.errors
from numpy.typing import NDArray

from geomob_dask.errors import StoreError
from geomob_dask.store.cube_form import FIRST_REASONS, VARIABLES, Form

FORMAT = 1
# Tracts in a chunk: 85,000 make 21 blocks; with ten measures a chunk is a third of a MiB.
BLOCK = 4096
# Names that a cube needs for itself.
RESERVED = {
    "year",
    "tract",
    "state",
    "part",
    "collection",
    "measure",
    "geometry",
    "source_content",
    "source_run",
    *VARIABLES,
}
_LONG_AXIS = 2**17
_YEARS_A_CHUNK = 64
_PARTS_A_CHUNK = 64


@dataclass(frozen=True)
class Layout:
    """The form of a cube, the lengths of its axes and the meanings of its flags: what a task that writes needs.

    Parameters
    ----------
    form : Form
    reasons : tuple of str
        By the code of a flag.
    years : tuple of int
    tracts, parts : int
    """

    form: Form
    reasons: tuple[str, ...]
    years: tuple[int, ...]
    tracts: int
    parts: int


@dataclass(frozen=True)
class State:
    """What a cube holds at one version.

    Parameters
    ----------
    version : str
        The commit.
    form : Form
    attributes : mapping
        Of all years: product, vintage, ….
    block : int
        Tracts per chunk.
    reasons : tuple of str
        By the code of a flag.
    years : tuple of int
        In the order in which they were added.
    keys : shape (n_tracts,), text
        In the order in which they were added: sorted within each commit that added any.
    places : shape (n_tracts,), text
        The part that each tract came with: its state, or ``all``.
    collections : tuple of str
        The collection of each year.
    parts : tuple of str
        Names of the parts of all years.
    content, runs : shape (n_years, n_parts), uint64
        First 64 bits of the checksum of each part and of the identity of the run that made it; 0 without a part.
    """

    version: str
    form: Form
    attributes: Mapping[str, Any]
    block: int = BLOCK
    reasons: tuple[str, ...] = FIRST_REASONS
    years: tuple[int, ...] = ()
    keys: NDArray[Any] = field(default_factory=lambda: np.array([], object))
    places: NDArray[Any] = field(default_factory=lambda: np.array([], object))
    collections: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    content: NDArray[np.uint64] = field(default_factory=lambda: np.zeros((0, 0), np.uint64))
    runs: NDArray[np.uint64] = field(default_factory=lambda: np.zeros((0, 0), np.uint64))

    @property
    def layout(self) -> Layout:
        """Return what a task that writes a block needs."""
        return Layout(self.form, self.reasons, self.years, len(self.keys), len(self.parts))

    @property
    def blocks(self) -> list[slice]:
        """Return the tracts of each chunk."""
        n = len(self.keys)
        return [slice(start, min(start + self.block, n)) for start in range(0, n, self.block)]

    def identities(self, year: int) -> dict[str, tuple[int, int]]:
        """Return checksum and run of each part of a year, by the name of the part; empty for an absent year."""
        if year not in self.years:
            return {}
        row = self.years.index(year)
        pairs = zip(self.parts, self.content[row].tolist(), self.runs[row].tolist(), strict=True)
        return {name: (content, run) for name, content, run in pairs if content}


# Creating ------------------------------------------------------------------------------------------


def create_arrays(store: Any, form: Form, attributes: Mapping[str, Any]) -> None:
    """Write the group and the arrays of a cube without years and tracts."""
    measures = form.measures
    group = zarr.create_group(
        store, overwrite=True, attributes={**attributes, "geomob_format": FORMAT, "form": form.plain()}
    )
    axes = ("year", form.unit, "measure")
    block, n = attributes["block"], len(measures)
    beside = "state measure_units measure_long_name measure_dollars_of collection"
    for variable in form.variables:
        array = group.create_array(
            variable.name,
            shape=(0, 0, n),
            chunks=(1, block, n),
            dtype=variable.dtype,
            fill_value=variable.fill,
            dimension_names=axes,
        )
        array.attrs.update({"long_name": variable.long_name, "coordinates": beside})
    group["flag"].attrs.update(_flag_attributes(FIRST_REASONS))
    if "quality" in group:
        group["quality"].attrs.update({"flag_values": [0, 1, 2, 3], "flag_meanings": "no_grade good fair poor"})
    for name in form.texts:
        array = group.create_array(
            name, shape=(0, 0), chunks=(1, block), dtype="str", fill_value="", dimension_names=axes[:2]
        )
        array.attrs.update({"long_name": name.replace("_", " "), "coordinates": "state collection"})

    def axis(name: str, dtype: str, chunk: int, dimension: str, long_name: str, values: Sequence[Any] = ()) -> None:
        array = group.create_array(
            name, shape=(len(values),), chunks=(chunk,), dtype=dtype, dimension_names=(dimension,)
        )
        array.attrs["long_name"] = long_name
        if values:
            array[:] = np.array(list(values), object if dtype == "str" else dtype)

    axis("year", "int32", _YEARS_A_CHUNK, "year", "year of the measures")
    axis("collection", "str", _YEARS_A_CHUNK, "year", "collection of the store that the year came from")
    key = "geoid of the tract" if form.unit == "tract" else "key of the region"
    axis(form.unit, "str", _LONG_AXIS, form.unit, key)
    axis("state", "str", _LONG_AXIS, form.unit, "state, or the part of the result that it came with")
    axis("part", "str", _PARTS_A_CHUNK, "part", "part of a year's result")
    axis("measure", "str", n, "measure", "measure", [item.name for item in measures])
    axis("measure_units", "str", n, "measure", "units of the measure", [item.units for item in measures])
    axis("measure_long_name", "str", n, "measure", "the measure in words", [item.long_name for item in measures])
    dollars = [item.dollars_of for item in measures]
    axis("measure_dollars_of", "int32", n, "measure", "year whose dollars a measure is in; 0: none", dollars)
    for name, long_name in (
        ("source_content", "beginning of the SHA-256 of the part; 0: no such part"),
        ("source_run", "beginning of the identity of the run that made the part"),
    ):
        array = group.create_array(
            name,
            shape=(0, 0),
            chunks=(1, _PARTS_A_CHUNK),
            dtype="uint64",
            fill_value=0,
            dimension_names=("year", "part"),
        )
        array.attrs["long_name"] = long_name


def _flag_attributes(reasons: Sequence[str]) -> dict[str, Any]:
    words = [re.sub(r"[^A-Za-z0-9]+", "_", reason).strip("_").lower() or "none" for reason in reasons]
    meanings = [word if words.count(word) == 1 else f"{word}_{code}" for code, word in enumerate(words)]
    return {
        "flag_values": list(range(len(reasons))),
        "flag_meanings": " ".join(meanings),
        "flag_reasons": list(reasons),
    }


# Writing -------------------------------------------------------------------------------------------


def write_block(fork: Any, layout: Layout, year: int, block: slice, values: Mapping[str, NDArray[Any]]) -> Any:
    """Write one chunk of every variable, and return the fork to be merged.

    Parameters
    ----------
    fork : ForkSession
        A fork of the session that will be committed.
    layout : Layout
        The cube after the commit: it may have more years and tracts than now.
    block : slice
        One of the blocks of the state, which no other task writes to.
    values : mapping of str to array
        Shape (n_tracts of the block, n_measures), or (n_tracts,) for text.
    """
    store = fork.store
    row = layout.years.index(year)
    lengths = _lengths(layout)
    for name, chunk in values.items():
        array = zarr.open_array(store, path=name, mode="r+", zarr_format=3)
        # Every fork extends the axes to their new lengths, and so does the merge.
        if array.shape != lengths[name]:
            array.resize(lengths[name])
        if name in VARIABLES:
            array[row, block, :] = chunk
        else:
            array[row, block] = chunk
    return fork


def finish(session: Any, before: State, state: State) -> None:
    """Write what belongs to the whole cube: its axes, the source of every part, and the meanings of the flags.

    Unchanged arrays are not written again, so that writers of different years do not conflict.
    """
    group = zarr.open_group(session.store, mode="r+")
    for name, shape in _lengths(state.layout).items():
        if group[name].shape != shape:
            group[name].resize(shape)
    for name, old, new in (
        ("year", before.years, state.years),
        ("collection", before.collections, state.collections),
        (state.form.unit, before.keys, state.keys),
        ("state", before.places, state.places),
        ("part", before.parts, state.parts),
    ):
        if list(old) != list(new):
            group[name][:] = np.array(list(new), "int32" if name == "year" else object)
    for name, old, new in (
        ("source_content", before.content, state.content),
        ("source_run", before.runs, state.runs),
    ):
        padded = np.zeros_like(new)
        padded[: old.shape[0], : old.shape[1]] = old
        for row in range(len(new)):
            if row >= len(old) or not np.array_equal(new[row], padded[row]):
                group[name][row, :] = new[row]
    if before.attributes != state.attributes:
        group.attrs.update(dict(state.attributes))
    if before.reasons != state.reasons:
        group["flag"].attrs.update(_flag_attributes(state.reasons))


def _lengths(layout: Layout) -> dict[str, tuple[int, ...]]:
    """Return the shape of every array whose length the form alone does not give."""
    form, years, keys, parts = layout.form, len(layout.years), layout.tracts, layout.parts
    lengths: dict[str, tuple[int, ...]] = {
        variable.name: (years, keys, len(form.measures)) for variable in form.variables
    }
    lengths |= dict.fromkeys(form.texts, (years, keys))
    lengths |= {"year": (years,), "collection": (years,), form.unit: (keys,), "state": (keys,), "part": (parts,)}
    return lengths | {"source_content": (years, parts), "source_run": (years, parts)}


# Reading -------------------------------------------------------------------------------------------


def read_state(store: Any, version: str, where: str) -> State | None:
    """Return what a cube holds, None if it has no arrays yet.

    Parameters
    ----------
    store
        The Zarr store of a session.
    version : str
        The version that the session reads.
    where : str
        The cube, for messages.

    Raises
    ------
    StoreError
        If another package or a newer version of this one wrote it, or its axes do not fit each other.
    """
    try:
        group = zarr.open_group(store, mode="r")
    except (FileNotFoundError, zarr.errors.GroupNotFoundError):
        return None
    attributes = dict(group.attrs)
    number = attributes.pop("geomob_format", None)
    if not isinstance(number, int):
        raise StoreError(f"{where}: not a cube of this package (no geomob_format); expected another name")
    if number > FORMAT:
        raise StoreError(f"{where}: written in format {number} by a newer version; expected {FORMAT} or older")
    form = Form.of_plain(attributes.pop("form"))
    block = int(attributes.pop("block"))
    shapes = {name: group[name].shape for name in ("year", form.unit, "part", "source_content")}
    if shapes["source_content"] != (*shapes["year"], *shapes["part"]):
        raise StoreError(f"{where}: its axes do not fit each other ({shapes}); expected what a job committed")

    def values(name: str) -> NDArray[Any]:
        return np.asarray(group[name][...])

    return State(
        version,
        form,
        attributes,
        block,
        reasons=tuple(group["flag"].attrs["flag_reasons"]),
        years=tuple(int(year) for year in values("year")),
        keys=values(form.unit).astype(object),
        places=values("state").astype(object),
        collections=tuple(str(name) for name in values("collection")),
        parts=tuple(str(name) for name in values("part")),
        content=values("source_content").astype(np.uint64),
        runs=values("source_run").astype(np.uint64),
    )


def open_dataset(store: Any, state: State) -> xr.Dataset:
    """Return a version of a cube lazily, years ascending; see `geomob_dask.store.cubes.open_cube`."""
    opened = xr.open_zarr(store, consolidated=False, zarr_format=3, chunks={})
    # Coordinates are read, text as pandas holds it; the chunks of the rest stay those of the cube.
    text = (state.form.unit, "state", "part", "measure", "measure_units", "measure_long_name", "collection")
    plain = {name: (opened[name].dims, opened[name].to_numpy().astype(object)) for name in text}
    plain["measure_dollars_of"] = ("measure", opened["measure_dollars_of"].to_numpy())
    cube = opened.assign_coords(plain)
    geometry = state.attributes.get("geometry")
    if geometry:
        cube = cube.assign_coords(geometry=((), geometry, {"long_name": "collection of the polygons, by key"}))
    names = [variable.name for variable in state.form.variables]
    cube = cube[[*names, *state.form.texts, "source_content", "source_run"]]
    order = np.argsort(state.years, kind="stable")
    if list(order) != list(range(len(order))):
        cube = cube.isel(year=order)
    cube.attrs = {name: value for name, value in cube.attrs.items() if name != "form"} | {"version": state.version}
    return cube
