"""What a user sees of a neighbour graph."""

from collections.abc import Mapping, Sequence
from typing import Any

from geomob_dask.runs.neighbors import Request, report
from geomob_dask.store import Store

_SHOWN = 3


def summary_lines(store: Store, request: Request) -> list[str]:
    """Return what was found, and where the rules differ."""
    found = report(store, request)
    units = "map units"
    lines = [
        f"neighbours of vintage {request.vintage}: {found['tracts']:,} tracts, {found['queen']:,} queen pairs, "
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
        f"  islands: {_islands(found['islands'], found['policy'])}",
    ]
    return [*lines, f"  in {store.url}/{request.collection}; the pairs that differ in {request.differences}"]


def _finding(finding: Mapping[str, Any]) -> str:
    sample = [f"{one}-{other}" for one, other in finding["sample"][:_SHOWN]]
    more = ", …" if finding["count"] > len(sample) else ""
    return f"{finding['count']:,}" + (f" ({', '.join(sample)}{more})" if sample else "")


def _islands(islands: Sequence[str], policy: str) -> str:
    if not islands:
        return "none"
    done = "left alone" if policy == "none" else f"joined to {policy}"
    return f"{len(islands)}, {done}: {', '.join(islands)}"
