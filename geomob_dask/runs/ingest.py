"""Files into the store: tract polygons by vintage and state, measures by dataset, year and state.

Files are read where the command runs, on its threads: a cluster's workers need not see them.
"""

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pyproj import CRS
from rich.console import Console

from geomob_dask.lift.tasks import Run
from geomob_dask.runs.execute import compute
from geomob_dask.sources.measures import match_keys, read_measures
from geomob_dask.sources.tracts import load_tracts, repair_tracts
from geomob_dask.sources.vintages import differing_codes
from geomob_dask.store import Part, Provenance, Snapshot, Store


@dataclass(frozen=True)
class Ingested:
    """What was read and where it goes.

    Parameters
    ----------
    collection : str
    rows : mapping of str to int
        By state.
    lines : tuple of str
        What was found and done, for the terminal.
    """

    collection: str
    rows: dict[str, int]
    lines: tuple[str, ...]


def file_checksums(files: Sequence[str | Path]) -> dict[str, str]:
    """Return the SHA-256 of each file, by its name."""
    sums = {}
    for file in files:
        with open(file, "rb") as stream:
            sums[Path(file).name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return sums


def ingest_tracts(
    store: Store,
    files: Sequence[str],
    vintage: str,
    console: Console,
    *,
    crs: str | None = None,
    layer: str | None = None,
    empty: str = "refuse",
    dry_run: bool = False,
) -> Ingested:
    """Read, repair and store tract polygons; states that are not in these files stay as they are."""
    raw, report = load_tracts(files, crs=crs, layer=layer, empty=empty)
    collection = f"tracts/{vintage}"
    run = Run("ingest")
    tasks = {
        str(state): run.task("repair", str(state), repair_tracts, part)
        for state, part in raw.groupby(raw.index.str[:2])
    }
    repaired = compute(tasks, None, console, token=run.token, scheduler="threads")
    for _, what in repaired.values():
        report = report + what
    frames = {state: frame for state, (frame, _) in repaired.items()}
    if not dry_run:
        provenance = Provenance(
            "ingest", file_checksums(files), {"vintage": vintage, "crs": crs, "layer": layer, "empty": empty}
        )
        with store.all_or_nothing(collection):
            parts = put_all(store, collection, frames)
            store.commit(collection, parts, provenance, {"crs": crs_name(raw.crs)}, keep_others=True)
    return Ingested(collection, {state: len(frame) for state, frame in frames.items()}, tuple(report.lines()))


def put_all(store: Store, collection: str, frames: Mapping[str, pd.DataFrame]) -> dict[str, Part]:
    """Write one part a state, several at a time; return when none is under way any more, also after a failure."""
    with ThreadPoolExecutor(_UPLOADS) as pool:
        parts = pool.map(lambda state: store.put(collection, state, frames[state]), frames)
        return dict(zip(frames, parts, strict=True))


# Storage far away answers slowly but many at a time.
_UPLOADS = 8


def crs_name(crs: CRS) -> str:
    """Return ``EPSG:…`` where there is such a code, else the text of the CRS."""
    authority = CRS.from_user_input(crs).to_authority()
    return ":".join(authority) if authority else CRS.from_user_input(crs).to_wkt()


def ingest_measures(
    store: Store,
    file: str,
    dataset: str,
    year: int,
    vintage: str,
    *,
    columns: Sequence[str] | None = None,
    infinite: str = "refuse",
    key: str | None = None,
    dry_run: bool = False,
) -> Ingested:
    """Read and store a table of measures; states that are not in this file stay as they are."""
    frame, report = read_measures(file, columns=columns, infinite=infinite, key=key)
    collection = f"measures/{dataset}/{year}"
    lines = [*report.lines(), *_match_lines(store, frame, vintage)]
    by_state = {str(state): part for state, part in frame.groupby(frame.index.str[:2])}
    if not dry_run:
        provenance = Provenance(
            "ingest", file_checksums([file]), {"dataset": dataset, "year": year, "vintage": vintage}
        )
        with store.all_or_nothing(collection):
            parts = put_all(store, collection, by_state)
            store.commit(collection, parts, provenance, {"vintage": vintage}, keep_others=True)
    return Ingested(collection, {state: len(part) for state, part in by_state.items()}, tuple(lines))


def _match_lines(store: Store, frame: pd.DataFrame, vintage: str) -> list[str]:
    tracts: Snapshot | None = store.find(f"tracts/{vintage}")
    if tracts is None:
        return [f"no polygons of vintage {vintage} in the store yet: keys were not compared with them"]
    states = [state for state in frame.index.str[:2].unique() if state in tracts.parts]
    parts = [store.read(tracts.parts[state], ["aland"]).index for state in states]
    polygons = parts[0].append(parts[1:]) if parts else pd.Index([], dtype="str")
    differing = [one.line("these measures", f"polygons of {vintage}") for one in differing_codes(frame.index, polygons)]
    if differing:
        differing.append("  they do not meet: ingest them under the vintage of their codes, then jobs/harmonize.py")
    return [*match_keys(frame.index, polygons).lines(), *differing]
