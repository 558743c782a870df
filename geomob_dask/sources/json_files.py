"""JSON as input: within limits, each name once."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from geomob_dask.errors import InputError
from geomob_dask.messages import reason
from geomob_dask.sources.files import Content, unpacked


def read_json(path: str | Path, *, expected: str = "JSON") -> Any:
    """Return what a file of JSON holds, plain or in a .gz or .zip; see `parsed_json`."""
    return parsed_json(unpacked(path, (".json",), expected=expected), expected=expected)


def parsed_json(content: Content, *, expected: str = "JSON") -> Any:
    """Return what some bytes of JSON hold.

    Raises
    ------
    InputError
        If they are not JSON in UTF-8, are nested too deep to be read, or an object has a name twice.
    """
    try:
        return json.loads(content.data.decode("utf-8-sig"), object_pairs_hook=_once)
    except RecursionError as error:
        raise InputError(f"{content.label}: is nested too deep; expected {expected}") from error
    except ValueError as error:
        raise InputError(f"{content.label}: cannot be read ({reason(error)}); expected {expected}") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"found {twice!r} twice in one object")
    return found
