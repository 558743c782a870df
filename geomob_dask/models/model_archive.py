"""The archives of a model file, looked over before anything in them is read: sizes, names, headers of arrays."""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from geomob_dask.errors import InputError
from geomob_dask.messages import listed, one_line, reason
from geomob_dask.sources.files import Archive

ABOUT, MODEL, SCHEMA = "about.json", "model.skops", "schema.json"
# Far above the largest forest of 72,000 tracts (some 300 MB); a bomb claims more.
_MOST_BYTES = 2**31
_MOST_TEXT = 2**26
_MOST_MEMBERS = 100_000
_EXPECTED = "what jobs/mobility.py wrote"
_ARRAY = re.compile(r"[A-Za-z0-9_-]{1,64}\.npy")
# An array's header is at the beginning of its member.
_HEADER = 2**16
# What zipfile, zlib, json, NumPy and skops raise for archives, texts and arrays that were cut, changed or made to hurt.
UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    KeyError,
    MemoryError,
    NotImplementedError,
    OverflowError,
    RecursionError,
    RuntimeError,
    ValueError,
)


def read_members(data: bytes, where: str) -> tuple[Mapping[str, Any], bytes]:
    """Return the description of a model file and the dump of its model, whose own archive is sound.

    Parameters
    ----------
    where : str
        Name of the file in an error.

    Raises
    ------
    InputError
        If it is no such archive, or one that would fill the memory or hold anything but arrays and JSON.
    """
    try:
        archive = Archive(where, data, expected=_EXPECTED)
        if sorted(archive.sizes) != sorted((ABOUT, MODEL)):
            there = listed(map(repr, archive.sizes), 4) or "nothing"
            raise ValueError(f"it holds {there}, not {ABOUT} and {MODEL}")
        _check_sizes(archive)
        about, dumped = json.loads(archive.read(ABOUT)), archive.read(MODEL)
        if not isinstance(about, dict):
            raise ValueError(f"{ABOUT} holds a {type(about).__name__}")
        _check_dump(Archive(MODEL, dumped))
    except UNREADABLE as error:
        raise not_a_model(where, error) from error
    return about, dumped


def not_a_model(where: str, why: BaseException | str) -> InputError:
    """Return the error of a file that is no model file, or not a sound one."""
    text = reason(why).removeprefix(f"{where}: ") if isinstance(why, BaseException) else one_line(why)[:200]
    return InputError(f"{where}: not a model file ({text}); expected {_EXPECTED}")


def _check_sizes(archive: Archive) -> None:
    """Raise ValueError if the members would take more than a model can, before any is decompressed."""
    sizes = archive.sizes
    if len(sizes) > _MOST_MEMBERS:
        raise ValueError(f"it holds {len(sizes):,} members, at most {_MOST_MEMBERS:,} are read")
    total = sum(sizes.values())
    if total > _MOST_BYTES:
        raise ValueError(f"it would take {total / 2**30:,.1f} GiB, at most {_MOST_BYTES / 2**30:,.0f} are read")
    for name, size in sizes.items():
        if name.endswith(".json") and size > _MOST_TEXT:
            raise ValueError(f"{name} would take {size / 2**20:,.0f} MiB")


def _check_dump(archive: Archive) -> None:
    """Raise ValueError if a dump holds a member that is neither its schema nor an array of numbers, whole and plain."""
    arrays = [name for name in archive.sizes if name != SCHEMA]
    strange = [name for name in arrays if not _ARRAY.fullmatch(name)]
    if strange:
        raise ValueError(f"{MODEL} holds {strange[0]!r}")
    if SCHEMA not in archive.sizes:
        raise ValueError(f"{MODEL} has no {SCHEMA}")
    _check_sizes(archive)
    json.loads(archive.read(SCHEMA))
    for name in arrays:
        _check_array(io.BytesIO(archive.head(name, _HEADER)), name, archive.sizes[name])


def _check_array(stream: io.BytesIO, name: str, size: int) -> None:
    """Raise ValueError if an array holds objects, or claims more numbers than its member has bytes for."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if dtype.hasobject:
        raise ValueError(f"{name} holds objects, not numbers")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize > size:
        raise ValueError(f"{name} claims the shape {shape}, in {size:,} bytes")
