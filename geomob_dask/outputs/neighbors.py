"""Output of a neighbor graph: the summary, and the exported edges."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.messages import counted, listed
from geomob_dask.outputs.result import CSV_TEXT, Done, Flag, Flags, Outputs, report
from geomob_dask.outputs.tables import TABLES
from geomob_dask.products.product import Prepared
from geomob_dask.sources.states import state_codes
from geomob_dask.store import Store

_SHOWN = 3


class NeighborsOutputs(Outputs):
    """Summary and export of a neighbor graph."""

    flags: Mapping[str, Flag] = {
        "export": Flag("Also write the edges as one table: .csv or .parquet.", files=TABLES),
        "csv_text": CSV_TEXT,
        "contiguity": Flag(
            "Exported edges: queen (share a point) or rook (a line); both are stored.",
            default="queen",
            choices=("queen", "rook"),
        ),
        "states": Flag("Exported edges: those between these states, such as 18,39 or IN,OH; by default all."),
    }

    def check_results(self, store: Store, prepared: Sequence[Prepared], given: Flags) -> None:
        """Raise InputError if edges are asked for of states that the graph does not have."""
        states = state_codes(given["states"]) if given["states"] else ()
        for item in prepared:
            absent = [state for state in states if state not in item.written]
            if absent:
                raise InputError(
                    f"--states {given['states']}: no state {absent[0]} in vintage {item.options.vintage}; expected "
                    f"some of {listed(item.written, 60)}"
                )

    def lines(self, store: Store, prepared: Prepared) -> list[str]:
        """Return the number of neighbors, and the pairs in which the rules differ."""
        return summary_lines(store, prepared)

    def write(self, done: Done) -> list[str]:
        """Write the edges as one table."""
        if done.given["export"]:
            states = state_codes(done.given["states"]) if done.given["states"] else None
            edges = edges_between(
                done.store, done.prepared[0].options.vintage, states, rook=done.given["contiguity"] == "rook"
            )
            self.write_table(done, "export", edges)
        return []


def edges_between(
    store: Store, vintage: str, states: Sequence[str] | None = None, *, rook: bool = False
) -> pd.DataFrame:
    """Return the stored edges of a vintage whose tracts are both in some states, by default all of them."""
    edges = store.frame(f"neighbors/{vintage}", states=states).compute(scheduler="threads")
    if states is not None:
        edges = edges[edges["neighbor"].str[:2].isin(list(states))]
    return edges[edges["rook"]] if rook else edges


def summary_lines(store: Store, prepared: Prepared) -> list[str]:
    """Return the number of neighbors, and the pairs in which the rules differ."""
    found = report(store, prepared)
    units = "map units"
    lines = [
        f"neighbors of vintage {prepared.options.vintage}: {counted(found['tracts'], 'tract')}, "
        f"{counted(found['queen'], 'queen pair')}, "
        f"{found['rook']:,} of them rook, {found['interstate']:,} across state lines",
        f"  vertices within {found['snap']:g} {units} are one"
        + (f"; outlines within {found['gap']:g} {units} touch" if found["gap"] else ""),
        f"  found by shared vertices only: {_finding(found['only_vertex'])}",
        f"  found by intersection only (T-junctions, slivers): {_finding(found['only_intersects'])}",
    ]
    if found["gap"]:
        lines.append(f"  found across a gap only: {_finding(found['only_gap'])}")
    lines += [
        f"  overlapping, so that 'touches' would lose them: {_finding(found['overlapping'])}",
        f"  not joined, though closer than {found['snap']:g} {units}: {_finding(found['near_misses'])}",
        *_near_touches(found["near_touches"], units),
        f"  islands: {_islands(found['islands'], found['policy'])}",
    ]
    differences = prepared.targets["differences"].collection
    return [*lines, f"  in {store.url}/{prepared.collection}; the pairs that differ in {differences}"]


def _near_touches(found: Mapping[str, Any], units: str) -> list[str]:
    if not found["count"]:
        return []
    pairs = "pair nearly touches" if found["count"] == 1 else "pairs nearly touch"
    return [
        f"  not joined: {_finding(found)} {pairs}; --snap {found['snap']:g} joins vertices within "
        f"{found['snap']:g} {units}"
    ]


def _finding(finding: Mapping[str, Any]) -> str:
    sample = [f"{one}-{other}" for one, other in finding["sample"][:_SHOWN]]
    more = ", …" if finding["count"] > len(sample) else ""
    return f"{finding['count']:,}" + (f" ({', '.join(sample)}{more})" if sample else "")


def _islands(islands: Sequence[str], policy: str) -> str:
    if not islands:
        return "none"
    done = "left alone" if policy == "none" else f"joined to {policy}"
    return f"{len(islands)}, {done}: {', '.join(islands)}"
