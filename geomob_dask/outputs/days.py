"""The day on which a page is written, and those on which the results that it shows were stored.

``SOURCE_DATE_EPOCH`` is the day of all pages, and no day is later than it, so that the same results give the same bytes
any day; see https://reproducible-builds.org/specs/source-date-epoch.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from geomob_dask.outputs.provenance import Record
from geomob_dask.store import Part, Store
from geomob_dask.store.objects import concurrently


def today() -> str:
    """Return the day of today in UTC, or that of ``SOURCE_DATE_EPOCH``."""
    fixed = _fixed()
    return _day(time.time() if fixed is None else fixed)


def days_stored(store: Store, record: Record) -> tuple[str, ...]:
    """Return the first and the last day, in UTC, on which what a file shows was stored; one where they are the same.

    Parts of results are written once, under the name of their content, when they are computed: their days are those of
    the storage. A copied store has the days of the copy.

    Parameters
    ----------
    record : dict
        The provenance of the file; see `provenance.record_of`.

    Returns
    -------
    tuple of str
        As YYYY-MM-DD. Empty where a result has changed since, so that the store cannot tell of the one that is shown.
    """
    keys: list[str] = []
    for result in record["results"]:
        snapshot = store.find(result["collection"])
        parts: Mapping[str, Part] = {} if snapshot is None else snapshot.parts
        for name, content in result["parts"].items():
            # Of a cube the record has the beginning of the checksum.
            if name not in parts or not parts[name].sha256.startswith(content):
                return ()
            keys.append(parts[name].key)
    times = concurrently(store.objects.modified, keys)
    fixed = _fixed()
    known = [one if fixed is None else min(one, fixed) for one in times if one is not None]
    if not keys or len(known) < len(keys):
        return ()
    return tuple(dict.fromkeys((_day(min(known)), _day(max(known)))))


def _fixed() -> float | None:
    text = os.environ.get("SOURCE_DATE_EPOCH")
    return float(text) if text else None


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))
