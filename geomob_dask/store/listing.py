"""The contents of a store, as a table and as short text, and the message about an absent collection."""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from geomob_dask.errors import StoreError
from geomob_dask.messages import listed, shown
from geomob_dask.names import did_you_mean
from geomob_dask.store.contents import CUBES, contents
from geomob_dask.store.objects import concurrently

if TYPE_CHECKING:
    from geomob_dask.store.tables import Store

# Kinds of collections and what each level of their path is.
_LEVELS: Mapping[str, tuple[str, ...]] = {
    "tracts": ("vintage",),
    "neighbors": ("vintage",),
    "measures": ("dataset", "year"),
    "results": ("product", "name", "dataset", "year"),
    "display": ("unit", "vintage"),
    "cubes": ("cube",),
}
_YEAR = re.compile("[0-9]{4}")


def listing(store: "Store", prefix: str = "") -> pd.DataFrame:
    """Return the collections and cubes of a store, one per row.

    Parameters
    ----------
    store : Store
    prefix : str
        Only collections below this path, such as ``results/exposure``; all by default.

    Returns
    -------
    DataFrame
        Sorted by collection, with the columns

        - collection: its path below the store;
        - kind: the first part of the path, such as ``measures``;
        - states: number of parts of the newest commit;
        - rows, size: rows and bytes of those parts, for a cube the bytes of all its versions;
        - commits: number of snapshots that are kept;
        - made_by: the jobs that made the parts.

        States, rows and commits of a cube are NA: Icechunk keeps its history. ``attrs["notes"]`` says what to do about
        names that earlier versions accepted.

    Raises
    ------
    StoreError
        If a snapshot cannot be read.
    """
    present = contents(store.objects, prefix)
    rows: list[tuple[str, int | None, int | None, int, int | None, str]] = []
    for snapshot in concurrently(store.find, sorted(present.snapshots)):
        # None: its last commit was removed after the listing.
        if snapshot is not None:
            parts = snapshot.parts.values()
            count, size = sum(part.rows for part in parts), sum(part.size for part in parts)
            jobs = ", ".join(sorted({str(run["job"]) for run in snapshot.runs.values()}))
            commits = len(present.snapshots[snapshot.collection])
            rows.append((snapshot.collection, len(parts), count, size, commits, jobs))
    rows += [(CUBES + name, None, None, size, None, "cube") for name, size in present.cubes.items()]
    table = pd.DataFrame(sorted(rows), columns=["collection", "states", "rows", "size", "commits", "made_by"])
    numbers = dict.fromkeys(("states", "rows", "size", "commits"), "Int64")
    table = table.astype({"collection": "str", **numbers, "made_by": "str"})
    table.insert(1, "kind", table["collection"].str.split("/").str[0])
    table.attrs["notes"] = present.notes()
    return table


def text_of(store: "Store") -> str:
    """Return a few lines that name what a store holds, by kind; one listing, no snapshot is read."""
    kinds = _by_kind(store)
    if isinstance(kinds, str):
        return f"<Store {store.url}>\n{kinds}"
    width = max(map(len, kinds))
    return "\n".join([f"<Store {store.url}>", *(f"{kind:<{width}}  {names}" for kind, names in kinds.items())])


def html_of(store: "Store") -> str:
    """Return what `text_of` says as an HTML table, for notebooks."""
    kinds = _by_kind(store)
    head = f"<strong>Store</strong> <code>{html.escape(store.url)}</code>"
    if isinstance(kinds, str):
        return f"<div>{head}<p>{html.escape(kinds)}</p></div>"
    rows = "".join(
        f"<tr><th style='text-align: left'>{html.escape(kind)}</th>"
        f"<td style='text-align: left'>{html.escape(names)}</td></tr>"
        for kind, names in kinds.items()
    )
    return f"<div>{head}<table>{rows}</table></div>"


def _by_kind(store: "Store") -> dict[str, str] | str:
    """Return the names of what a store holds by kind, or a sentence if there is nothing to name."""
    try:
        present = contents(store.objects)
    except StoreError as error:
        # A repr never fails.
        return f"cannot be listed: {error}"
    # By kind, then what comes before the year in the path: the years.
    names: dict[str, dict[str, set[str]]] = {}
    for path in (*present.snapshots, *(CUBES + name for name in present.cubes)):
        kind, *levels = path.split("/")
        place = next((place for place, level in enumerate(levels) if _YEAR.fullmatch(level)), len(levels))
        years = names.setdefault(kind, {}).setdefault("/".join(levels[:place]), set())
        years.update(levels[place : place + 1])
    if not names:
        return "empty"
    order = [kind for kind in _LEVELS if kind in names] + sorted(names.keys() - _LEVELS.keys())
    return {kind: _short(names[kind]) for kind in order}


def _short(names: Mapping[str, set[str]]) -> str:
    entries = []
    for name, years in sorted(names.items()):
        if name:
            entries.append(f"{name} ({', '.join(sorted(years))})" if years else name)
        else:
            entries += sorted(years)
    return listed(entries)


# What writes collections that others need; {n} is the n-th piece of the path.
_WRITTEN_BY = {
    "tracts": "jobs/ingest.py tracts FILE --vintage {1}",
    "neighbors": "jobs/neighbors.py --vintage {1}",
    "regions": "jobs/ingest.py regions FILE --name {1} --vintage {2}",
}


def absent_message(url: str, collection: str, available: Iterable[str]) -> str:
    """Return the message about a collection that a store does not hold: what comes closest, and what would write it.

    Parameters
    ----------
    url : str
        The store.
    collection : str
        The path that was looked for.
    available : iterable of str
        The collections of the store, or those of the same kind.

    Examples
    --------
    >>> absent_message("/data", "measures/acz/2018", ["measures/acs/2018", "measures/sample/2018"])
    "store /data: no measures/acz/2018: no dataset 'acz' of measures; did you mean 'acs'? Available: acs, sample"
    >>> absent_message("/data", "measures/acs/2019", ["measures/acs/2018", "measures/acs/2020"])
    'store /data: no measures/acs/2019: no year 2019 of measures/acs; available: 2018, 2020'
    """
    paths = [path.split("/") for path in available]
    wanted = collection.split("/")
    depth = 0
    while depth < len(wanted) and any(path[: depth + 1] == wanted[: depth + 1] for path in paths):
        depth += 1
    parent = "/".join(wanted[:depth])
    siblings = sorted({path[depth] for path in paths if path[:depth] == wanted[:depth] and len(path) > depth})
    if depth in (0, len(wanted)) or not siblings:
        below = siblings if depth == 0 else [f"{parent}/{name}" for name in siblings] or [parent]
        return f"store {url}: no {collection}; available: {listed(below) or 'nothing yet'}{_written_by(wanted)}"
    name = wanted[depth]
    levels = _LEVELS.get(wanted[0], ())
    level = levels[depth - 1] if depth <= len(levels) else "collection"
    quoted = name if name.isdigit() else shown(name)
    near = did_you_mean(name, siblings)
    return f"store {url}: no {collection}: no {level} {quoted} of {parent}; {near}{_written_by(wanted)}"


def _written_by(pieces: Sequence[str]) -> str:
    command = _WRITTEN_BY.get(pieces[0], "")
    return f" ({command.format(*pieces)} writes it)" if command and len(pieces) == 1 + command.count("{") else ""
