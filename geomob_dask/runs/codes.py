"""Whether two collections that are to be joined name the same tracts by the same codes."""

from __future__ import annotations

from collections.abc import Sequence

from geomob_dask.sources.vintages import changed_states, check_same_codes
from geomob_dask.store import Snapshot, Store


def check_collections(store: Store, left: Snapshot, right: Snapshot, states: Sequence[str] | None = None) -> None:
    """Check the keys of two collections, in the states where codes changed at all; only keys are read.

    Parameters
    ----------
    left, right : Snapshot
        Such as measures and tracts.
    states : sequence of str, optional
        Only these.

    Raises
    ------
    InputError
        Naming the collections, the state, keys of both codes, and the command that converts the left one.
    """
    for state in changed_states():
        if state in left.parts and state in right.parts and (states is None or state in states):
            keys = [store.read(one.parts[state], []).index for one in (left, right)]
            check_same_codes(*keys, left_name=left.collection, right_name=right.collection, convert=_command(left))


def _command(left: Snapshot) -> str:
    parts = left.collection.split("/")
    if parts[0] != "measures" or len(parts) != 3:
        return "jobs/harmonize.py --dataset NAME --years YEARS --to"
    return f"jobs/harmonize.py --dataset {parts[1]} --years {parts[2]} --to"
