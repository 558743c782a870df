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

ABOUT, MODEL, SCHEMA = "about.json", "model.skops", "schema.json"
# Far above the largest forest of 72,000 tracts (some 300 MB); a bomb claims more.
_MOST_BYTES = 2**31
_MOST_TEXT = 2**26
_MOST_MEMBERS = 100_000
_ARRAY = re.compile(r"[A-Za-z0-9_-]{1,64}\.npy")
# What zipfile, zlib and json raise for archives and texts that were cut, changed or made to hurt.
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
        found = _read(data, {ABOUT, MODEL})
        about = json.loads(found[ABOUT])
        if not isinstance(about, dict):
            raise ValueError(f"{ABOUT} holds a {type(about).__name__}")
        _check_dump(found[MODEL])
    except UNREADABLE as error:
        raise not_a_model(where, error) from error
    return about, found[MODEL]


def not_a_model(where: str, why: BaseException | str) -> InputError:
    """Return the error of a file that is no model file, or not a sound one."""
    text = str(why) or type(why).__name__
    return InputError(f"{where}: not a model file ({text[:200]}); expected what jobs/mobility.py wrote")


def _read(data: bytes, names: set[str]) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        listed = [member.filename for member in archive.infolist()]
        if sorted(listed) != sorted(names):
            there = ", ".join(map(repr, listed[:4])) or "nothing"
            raise ValueError(f"it holds {there}, not {' and '.join(sorted(names))}")
        _check_sizes(archive)
        return {name: archive.read(name) for name in names}


def _check_sizes(archive: zipfile.ZipFile) -> None:
    """Raise ValueError if the members would take more than a model can, before any is decompressed."""
    members = archive.infolist()
    if len(members) > _MOST_MEMBERS:
        raise ValueError(f"it holds {len(members):,} members, at most {_MOST_MEMBERS:,} are read")
    size = sum(member.file_size for member in members)
    if size > _MOST_BYTES:
        raise ValueError(f"it would take {size / 2**30:,.1f} GiB, at most {_MOST_BYTES / 2**30:,.0f} are read")
    for member in members:
        if member.filename.endswith(".json") and member.file_size > _MOST_TEXT:
            raise ValueError(f"{member.filename} would take {member.file_size / 2**20:,.0f} MiB")


def _check_dump(dumped: bytes) -> None:
    """Raise ValueError if a dump holds a member that is neither its schema nor an array of numbers, whole and plain."""
    with zipfile.ZipFile(io.BytesIO(dumped)) as archive:
        names = [member.filename for member in archive.infolist()]
        if len(set(names)) < len(names):
            raise ValueError(f"{MODEL} holds a member twice")
        strange = [name for name in names if name != SCHEMA and not _ARRAY.fullmatch(name)]
        if strange or SCHEMA not in names:
            raise ValueError(f"{MODEL} holds {strange[0]!r}" if strange else f"{MODEL} has no {SCHEMA}")
        _check_sizes(archive)
        json.loads(archive.read(SCHEMA))
        for member in archive.infolist():
            if member.filename != SCHEMA:
                with archive.open(member) as stream:
                    _check_array(stream, member)


def _check_array(stream: Any, member: zipfile.ZipInfo) -> None:
    """Raise ValueError if an array holds objects, or claims more numbers than its member has bytes for."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if dtype.hasobject:
        raise ValueError(f"{member.filename} holds objects, not numbers")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize > member.file_size:
        raise ValueError(f"{member.filename} claims the shape {shape}, in {member.file_size:,} bytes")
