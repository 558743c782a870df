"""What a command line chooses of a store's results: names are found by near ones, and what is left out by default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from geomob_dask.errors import InputError
from geomob_dask.explore.catalog import Contents, Entry, Shown, contents_of, entries, intervals_of, with_intervals
from geomob_dask.explore.drawn import Snapshots
from geomob_dask.messages import listed
from geomob_dask.names import did_you_mean
from geomob_dask.store import Store


@dataclass(frozen=True)
class View:
    """A measure of a result in a year, in some states.

    Attributes
    ----------
    states : tuple of str
        Codes; empty for all.
    """

    entry: Entry
    year: int
    contents: Contents
    shown: Shown
    states: tuple[str, ...]

    def choices(self) -> dict[str, str]:
        """Return the choice as the page has it in its address."""
        found = {
            "tab": "results",
            "entry": self.entry.id,
            "year": str(self.year),
            "measure": self.shown.measure.name,
            "states": ",".join(self.states),
        }
        return {name: text for name, text in found.items() if text}


def view_of(
    store: Store, result: str | None, year: int | None, measure: str | None, states: Sequence[str] | None
) -> View:
    """Return what is to be shown: the first result of the store, its newest year and its first measure by default.

    Parameters
    ----------
    result : str, optional
        A product, a product and a name (``opportunity/mine``), or more of the path of its collections.
    year : int, optional
    measure : str, optional
        Its name or label.
    states : sequence of str, optional
        Codes.

    Raises
    ------
    InputError
        If there is no such result, year or measure; the message names the nearest ones.
    """
    found = entries(store)
    entry = _entry(store, found, result, year)
    if year is None:
        year = entry.years[-1]
    if year not in entry.years:
        raise InputError(f"--year {year}: {entry.id} has {listed(entry.years, 12)}")
    snapshots = Snapshots(store)
    contents = contents_of(store, snapshots, entry, year)
    contents = with_intervals(contents, snapshots, entry, year, intervals_of(store, entry, year))
    if not contents.measures:
        raise InputError(f"--result {entry.id}: found no measure in {year}, expected columns of numbers")
    absent = [state for state in states or () if contents.states and state not in contents.states]
    if absent:
        raise InputError(
            f"--states {','.join(states or ())}: {entry.id} of {year} has no {', '.join(absent)}; "
            f"it has {listed(contents.states, 60)}"
        )
    return View(entry, year, contents, _measure(contents, measure), tuple(states or ()))


def _entry(store: Store, found: Mapping[str, Entry], result: str | None, year: int | None) -> Entry:
    if not found:
        raise InputError(f"store {store.url}: has no results; expected some from a job, such as jobs/opportunity.py")
    if result is None:
        return next(iter(found.values()))
    if result in found:
        return found[result]
    wanted = result.strip("/").split("/")
    names = {key: key.replace("/{year}", "").split("/") for key in found}
    # A collection's whole path, or pieces of it, from its product on.
    fits = [
        key
        for key, entry in found.items()
        if result in {entry.collection(one) for one in entry.years} or _begins(wanted, names[key])
    ]
    if not fits:
        paths = [pieces[1:] if pieces[0] == "results" else pieces for pieces in names.values()]
        # A path of as many pieces as were given comes closest.
        known = dict.fromkeys("/".join(pieces[: len(wanted)]) for pieces in paths)
        raise InputError(f"--result {result}: not in this store; {did_you_mean(result, known)}")
    with_year = [key for key in fits if year is None or year in found[key].years] or fits
    if len(with_year) > 1:
        raise InputError(f"--result {result}: found several, expected one of: {listed(with_year, 20)}")
    return found[with_year[0]]


def _begins(wanted: Sequence[str], pieces: Sequence[str]) -> bool:
    """Return whether a path begins with some pieces, with or without ``results`` in front."""
    own = pieces[1:] if pieces[0] == "results" and wanted[0] != "results" else pieces
    return list(wanted) == list(own[: len(wanted)])


def _measure(contents: Contents, measure: str | None) -> Shown:
    if measure is None:
        return next(iter(contents.measures.values()))
    by_name = {name.casefold(): shown for name, shown in contents.measures.items()}
    by_label = {shown.label.casefold(): shown for shown in contents.measures.values()}
    known = by_name.get(measure.casefold()) or by_label.get(measure.casefold())
    if known is None:
        raise InputError(f"--measure {measure}: no such measure; {did_you_mean(measure, contents.measures)}")
    return known
