"""Keys of measures compared with those of polygons."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from geomob_dask.messages import counted, listed
from geomob_dask.sources.states import state_name

_SHOWN_STATES = 12


@dataclass(frozen=True)
class MatchReport:
    """Keys of measures with and without a polygon, and polygons without measures.

    Parameters
    ----------
    matched : int
        Tracts with both.
    no_polygon : tuple of str
        Keys of measures without a polygon, sorted.
    no_measures : tuple of str
        Polygons without a row of measures, sorted.
    """

    matched: int
    no_polygon: tuple[str, ...]
    no_measures: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return lines for the user, by state."""
        lines = [f"with measures and a polygon: {counted(self.matched, 'tract')}"]
        for keys, what in (
            (self.no_polygon, "measures and no polygon"),
            (self.no_measures, "a polygon and no measures"),
        ):
            states = by_state(keys)
            if states:
                lines.append(f"with {what}: {counted(len(keys), 'tract')} in {counted(len(states), 'state')}")
                for state, names in list(states.items())[:_SHOWN_STATES]:
                    lines.append(f"  {state} {state_name(state)}: {listed(names, 3)}")
                if len(states) > _SHOWN_STATES:
                    lines.append(f"  … and {len(states) - _SHOWN_STATES} more states")
        return lines


def by_state(keys: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return keys by the code of their state.

    Examples
    --------
    >>> by_state(["39001961400", "18001030100"])
    {'18': ('18001030100',), '39': ('39001961400',)}
    """
    found: dict[str, list[str]] = {}
    for key in sorted(keys):
        found.setdefault(key[:2], []).append(key)
    return {state: tuple(names) for state, names in found.items()}


def match_keys(measures: pd.Index, tracts: pd.Index) -> MatchReport:
    """Compare the keys of measures with those of polygons.

    Parameters
    ----------
    measures, tracts : Index of str
        Keys, each once; of the same states.

    Examples
    --------
    >>> match_keys(pd.Index(["39001961400", "39035990000"]), pd.Index(["39001961400"])).lines()[1:]
    ['with measures and no polygon: 1 tract in 1 state', '  39 Ohio: 39035990000']
    """
    return MatchReport(
        matched=len(measures.intersection(tracts)),
        no_polygon=tuple(measures.difference(tracts)),
        no_measures=tuple(tracts.difference(measures)),
    )
