"""The outputs of one product and year, whatever its job: what each is made from, and what makes it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from geomob_dask.definition import read_definition
from geomob_dask.errors import GeomobError, InputError, NewerStoreError
from geomob_dask.lift.exposure import Options
from geomob_dask.metrics.exposure import Mode
from geomob_dask.runs import exposure, mixing, opportunity, segregation
from geomob_dask.runs.backfill.file import (
    Entry,
    ExposureEntry,
    MixingEntry,
    OpportunityEntry,
    SegregationEntry,
)
from geomob_dask.runs.execute import Carry
from geomob_dask.runs.people import Universe
from geomob_dask.runs.plan import EachState
from geomob_dask.sources.brackets import load_brackets, load_categories
from geomob_dask.sources.keys import listed
from geomob_dask.store import Commit, Store

ALL = "all"


class _Prepared(Protocol):
    @property
    def plan(self) -> Any: ...


class _Each(Protocol):
    @property
    def collection(self) -> str: ...
    @property
    def outputs(self) -> EachState: ...
    def prepared(self, state: str) -> Any: ...


@dataclass(frozen=True)
class Group:
    """The outputs of one product and year: what is committed together.

    Attributes
    ----------
    product, job : str
    year : int
    states : tuple of str
        One an output; ``("all",)`` for one output of all states.
    identities : tuple of str
        Of their provenance; empty where the store does not allow the outputs.
    sizes : tuple of int, bytes
        Of their inputs.
    collection : str
        Where the outputs go; empty where the store does not allow them.
    also : tuple of str
        Further collections that a whole output is in.
    reference : str
        The norms of another year that the outputs are made from; empty where there are none.
    problem : str
        Why the outputs cannot be computed; empty where they can.
    """

    product: str
    job: str
    year: int
    states: tuple[str, ...]
    identities: tuple[str, ...]
    sizes: tuple[int, ...]
    collection: str = ""
    also: tuple[str, ...] = ()
    problem: str = ""
    reference: str = ""
    _source: Any = None

    @property
    def by_state(self) -> bool:
        """Tell whether there is an output a state."""
        return self.states != (ALL,)

    def prepared(self, state: str) -> Any:
        """Return what a worker needs to compute one output."""
        return self._source.prepared(state) if self.by_state else self._source


def _produce_exposure(store: Store, prepared: exposure.Prepared, carry: Carry) -> list[Commit]:
    return exposure.produce(store, [prepared], carry)


_PRODUCE: Mapping[str, Callable[[Store, Any, Carry], list[Commit]]] = {
    "opportunity": opportunity.produce,
    "exposure": _produce_exposure,
    "mixing": mixing.produce,
    "segregation": segregation.produce,
}
_PREPARE: Mapping[str, Callable[[Store, Any], _Prepared]] = {
    "opportunity": opportunity.prepare,
    "exposure": exposure.prepare,
    "mixing": mixing.prepare,
    "segregation": segregation.prepare,
}
_PREPARE_EACH: Mapping[str, Callable[[Store, Any], _Each]] = {
    "opportunity": opportunity.prepare_each,
    "exposure": exposure.prepare_each,
    "mixing": mixing.prepare_each,
    "segregation": segregation.prepare_each,
}


def produce(job: str, store: Store, prepared: Any, carry: Carry) -> list[Commit]:
    """Compute and write one output by the graph of its job; the last commit is the output itself."""
    return _PRODUCE[job](store, prepared, carry)


class Product:
    """One entry of a backfill file; its definition is read once.

    Parameters
    ----------
    name : str
    entry : Entry
    together : tuple of str, optional
        The states that outputs of the scope ``all`` are of; all of the store by default.
    """

    def __init__(self, name: str, entry: Entry, together: tuple[str, ...] | None) -> None:
        self.name, self.entry = name, entry
        self._request = _requests(name, entry, None if entry.of_states else together)

    def measures(self, year: int) -> str:
        """Return the collection that outputs of a year are made from."""
        return f"measures/{self.entry.dataset}/{year}"

    def group(self, store: Store, year: int, only: Sequence[str] | None) -> Group | None:
        """Return the outputs of a year.

        Parameters
        ----------
        only : sequence of str, optional
            States, of which those that have no measures are passed over: see `absent`. Outputs of the scope ``all``
            are left out where states are named.

        Returns
        -------
        Group, or None where nothing is left of it.
        """
        if not self.entry.of_states:
            return None if only is not None else self._whole(store, year)
        measures = store.snapshot(self.measures(year))
        parts = store.chosen(measures, None if only is None else [state for state in only if state in measures.parts])
        states = tuple(state for state, part in parts.items() if part.rows)
        return self._by_state(store, year, states) if states else None

    def absent(self, store: Store, year: int, only: Sequence[str] | None) -> Group | None:
        """Return the outputs of those of some states that have no measures of a year; None where all have them."""
        measures = store.snapshot(self.measures(year))
        states = tuple(sorted(set(only or ()) - set(measures.parts)))
        if not self.entry.of_states or not states:
            return None
        there = ", ".join(measures.parts)
        return self._refused(year, states, f"no state {', '.join(states)} in {measures.collection}; expected {there}")

    def _whole(self, store: Store, year: int) -> Group:
        try:
            prepared = _PREPARE[self.entry.job](store, self._request(year))
        except GeomobError as error:
            return self._broken(year, (ALL,), error)
        plan = prepared.plan
        size = sum(output.size for output in plan.outputs)
        also = _also(self.entry, prepared)
        job, identity = self.entry.job, plan.provenance.identity
        return Group(
            self.name,
            job,
            year,
            (ALL,),
            (identity,),
            (size,),
            plan.collection,
            also,
            "",
            _reference(prepared),
            prepared,
        )

    def _by_state(self, store: Store, year: int, states: tuple[str, ...]) -> Group:
        try:
            each = _PREPARE_EACH[self.entry.job](store, self._request(year))
        except GeomobError as error:
            return self._broken(year, states, error)
        found = each.outputs.identities(states)
        identities = tuple(found[state] for state in states)
        sizes = tuple(output.size for output in each.outputs.outputs(states))
        also = _also(self.entry, each)
        job, reference = self.entry.job, _reference(each)
        return Group(self.name, job, year, states, identities, sizes, each.collection, also, "", reference, each)

    def _broken(self, year: int, states: tuple[str, ...], error: GeomobError) -> Group:
        # A store that cannot be read is no property of one product and year.
        if isinstance(error, (NewerStoreError, OSError)):
            raise error
        return self._refused(year, states, str(error))

    def _refused(self, year: int, states: tuple[str, ...], problem: str) -> Group:
        return Group(self.name, self.entry.job, year, states, (), tuple(0 for _ in states), problem=problem)


def _also(entry: Entry, source: Any) -> tuple[str, ...]:
    if isinstance(entry, ExposureEntry) and entry.interactions:
        return (source.interactions,)
    # Its norms are committed with an index: without them, or with those of another run, it is not whole.
    if isinstance(entry, OpportunityEntry) and entry.chosen_norm == "selected":
        request = source.request
        return (request.collection("norms"),) if request.definition.parameters.recipe == "opportunity" else ()
    return ()


def _reference(source: Any) -> str:
    found = getattr(getattr(source, "found", None), "reference", None)
    return "" if found is None else str(found.collection)


def _requests(name: str, entry: Entry, together: tuple[str, ...] | None) -> Callable[[int], Any]:
    """Return what makes the request of a year; definitions are read here, once."""
    if isinstance(entry, OpportunityEntry):
        definition = read_definition(entry.definition, population=entry.population)
        index = entry
        return lambda year: opportunity.Request(
            definition, index.dataset, year, together, norm=index.chosen_norm, steps=index.steps
        )
    if isinstance(entry, ExposureEntry):
        options = Options(Mode.of(entry.mode), entry.threshold, entry.interactions)
        counts = entry
        return lambda year: exposure.Request(counts.dataset, year, counts.by, together, counts.groups, options)
    if isinstance(entry, MixingEntry):
        brackets, mixed = load_brackets(entry.brackets), entry
        return lambda year: mixing.Request(
            Universe(
                mixed.dataset,
                year,
                brackets,
                mixed.by,
                regions=_sorted(mixed.regions),
                merge=mixed.merge,
                missing=mixed.missing,
            ),
            positions=mixed.positions,
            weight=mixed.weight,
            states=together,
        )
    if together is not None:
        raise InputError(
            f"product {name}: found states ({listed(together)}) for segregation of the scope all, which knows none; "
            "expected the scope state, or no states"
        )
    return _segregation(entry)


def _segregation(entry: SegregationEntry) -> Callable[[int], segregation.Request]:
    categories = load_categories(entry.groups)
    inference = segregation.Inference(entry.draws, entry.null, entry.interval, entry.seed)
    return lambda year: segregation.Request(
        Universe(
            entry.dataset,
            year,
            categories,
            entry.by,
            regions=_sorted(entry.regions),
            merge=entry.merge,
            missing=entry.missing,
        ),
        indices=entry.indices,
        inference=inference,
        cutoff=segregation.CUTOFF_KM if entry.cutoff is None else entry.cutoff,
        levels=segregation.LEVELS if entry.levels is None else entry.levels,
    )


def _sorted(codes: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if codes is None else tuple(sorted(codes))
