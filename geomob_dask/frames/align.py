"""Frames whose partitions belong together: partition i of each holds the rows between the same two divisions."""

from collections.abc import Mapping
from typing import Any

import dask
import dask.dataframe as dd

from geomob_dask.errors import InputError
from geomob_dask.frames.own_rows import is_lazy


def aligned(**frames: Any) -> list[Any]:
    """Return frames with the same partitions: those of the first, which are widened to hold all rows.

    Frames of one vintage from a store are aligned already and are returned as they are.

    Parameters
    ----------
    frames : DataFrame, in memory or on Dask
        By the names that errors use.

    Raises
    ------
    InputError
        If one is on Dask and its divisions are not known.
    """
    given = list(frames.values())
    if not any(is_lazy(frame) for frame in given):
        return given
    for name, frame in frames.items():
        if is_lazy(frame) and not frame.known_divisions:
            raise InputError(
                f"{name}: found a Dask frame with unknown divisions; expected it sorted by its index (set_index)"
            )
    lazy = {name: frame if is_lazy(frame) else _one_partition(frame, name) for name, frame in frames.items()}
    every = [frame.divisions for frame in lazy.values()]
    if all(divisions == every[0] for divisions in every):
        return list(lazy.values())
    _same_kind(lazy)
    low, high = min(one[0] for one in every), max(one[-1] for one in every)
    inner = every[0][1:-1] if is_lazy(given[0]) else next(one.divisions[1:-1] for one in given if is_lazy(one))
    divisions = (low, *inner, high)
    return [
        frame if frame.divisions == divisions else frame.repartition(divisions=divisions, force=True)
        for frame in lazy.values()
    ]


def _one_partition(frame: Any, name: str) -> dd.DataFrame:
    if not len(frame):
        raise InputError(f"{name}: found no rows; expected some, or a Dask frame as the others are")
    with dask.config.set({"dataframe.convert-string": False}):
        return dd.from_pandas(frame.sort_index(), npartitions=1)


def _same_kind(frames: Mapping[str, Any]) -> None:
    kinds = {name: "text" if isinstance(frame.divisions[0], str) else "numbers" for name, frame in frames.items()}
    if len(set(kinds.values())) > 1:
        said = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
        raise InputError(f"keys: found {said}; expected keys of one kind in all frames")
