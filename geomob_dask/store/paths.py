"""Paths inside a store: none of them leads out of it, and new collections have names that every system can hold."""

import posixpath
import re

from geomob_dask.errors import InputError
from geomob_dask.messages import shown
from geomob_dask.names import NAME_RULE

_LONGEST_PATH, _LONGEST_SEGMENT, _DEEPEST = 1024, 255, 10
_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,+=~-]{0,239}")


def is_path(key: str) -> bool:
    """Return whether a key stays inside of a store: no empty part, ``.`` or ``..``, and no control character.

    Examples
    --------
    >>> [is_path(key) for key in ("", "measures/acs", "/abs", "a//b", "a/../b", "..", "a/.", f"a{chr(10)}b")]
    [True, True, False, False, False, False, False, False]
    """
    if not key:
        return True
    if len(key) > _LONGEST_PATH or not key.isprintable():
        return False
    return all(part not in ("", ".", "..") and len(part.encode()) <= _LONGEST_SEGMENT for part in key.split("/"))


def check_path(key: str) -> str:
    """Return a key as it is.

    Raises
    ------
    InputError
        If it leads out of the store, or no object can have it.
    """
    if not is_path(key):
        raise InputError(
            f"path {shown(key)} in a store: expected names separated by '/', none of them empty, '.' or '..', without "
            "control characters"
        )
    return key


def is_collection(path: str) -> bool:
    """Return whether a path is one that a collection is written to: see `check_collection`."""
    parts = path.split("/")
    return 2 <= len(parts) <= _DEEPEST and len(path) <= _LONGEST_PATH and all(map(_SEGMENT.fullmatch, parts))


def check_collection(path: str) -> str:
    """Return the path of a collection that is to be written, as it is.

    Raises
    ------
    InputError
        If a part of it is no name. Collections of other names, from earlier versions, can be read.
    """
    if not is_collection(path):
        raise InputError(f"collection {shown(path)}: expected a kind and names separated by '/', each {NAME_RULE}")
    return path


def settled(path: str) -> str:
    """Return where a path that was written with ``..`` in it has led to: what earlier versions wrote stays readable."""
    return posixpath.normpath(path) if ".." in path.split("/") else path
