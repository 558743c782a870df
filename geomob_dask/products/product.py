"""The base class of products: options, the collections they read, frames to frames, a summary.

Everything else (plan, staleness, dry run, writing, commit, retries, backfill, cube, export, command line) is written
once, in `runs`, for all products.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any, ClassVar, Protocol

import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.products.options import WITHIN_STATES, Options
from geomob_dask.products.reader import Reader
from geomob_dask.store import Commit, Provenance, Snapshot, Store
from geomob_dask.store.provenance import versions

ALL = "all"


@dataclass(frozen=True)
class Target:
    """A collection that a product writes.

    Parameters
    ----------
    collection : str
    by_state : bool
        Whether it has a part per state; otherwise a single part.
    parts : tuple of str
        Names of the parts where they are neither; the frame then has a partition for each.
    """

    collection: str
    by_state: bool = True
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prepared:
    """A request and all that it needs, found in the store once; small plain data that travels to workers.

    What is computed later comes from these snapshots, whatever is committed meanwhile.

    Parameters
    ----------
    product : str
    options : Options
        Of the product's own class.
    inputs : mapping of str to Snapshot
        By role: collections read state by state.
    targets : mapping of str to Target
        By role: collections written; the first is the result itself.
    states : tuple of str
        States whose rows are read, sorted: the partitions of all frames.
    written : tuple of str
        States whose parts are written.
    attributes : mapping
        Of the result.
    whole : mapping of str to Snapshot
        By role: collections that every output reads whole.
    files : mapping of str to str
        Inputs that are not in the store, with their SHA-256.
    found : mapping
        Plain data found in planning that belongs to the provenance, such as the columns of groups.
    details : any
        What the product's own `compute` and `report` need besides; it follows from the rest, so provenance leaves it
        out.
    by_state : bool
        Whether there is an output per state, made from the rows of that state alone.
    keep_others : bool
        Whether states that are not written stay in the collection.
    part : str
        Name of the part of targets that are not by state.
    lines : tuple of str
        What planning found, for the user.
    packages : tuple of str
        Further packages whose version can move the result.
    """

    product: str
    options: Any
    inputs: Mapping[str, Snapshot]
    targets: Mapping[str, Target]
    states: tuple[str, ...]
    written: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    whole: Mapping[str, Snapshot] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    found: Mapping[str, Any] = field(default_factory=dict)
    details: Any = None
    by_state: bool = False
    keep_others: bool = False
    part: str = ALL
    lines: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()

    @property
    def collection(self) -> str:
        """Return the collection of the result."""
        return next(iter(self.targets.values())).collection

    @property
    def collections(self) -> tuple[str, ...]:
        """Return all collections that are written, the result last: they become visible in this order."""
        return tuple(target.collection for target in reversed(list(self.targets.values())))

    @property
    def read(self) -> tuple[str, ...]:
        """Return all collections that are read."""
        return tuple(one.collection for one in (*self.inputs.values(), *self.whole.values()))

    @property
    def provenance(self) -> Provenance:
        """Return the provenance of the output: of all states read, or of its one state."""
        return self._provenance(self.states, self._plain())

    def identities(self, states: Sequence[str]) -> Iterator[str]:
        """Return the identity of each output: one per state given, or that of the one output of all states."""
        plain = self._plain()
        if not self.by_state:
            yield self._provenance(self.states, plain).identity
            return
        for state in states:
            yield self._provenance((state,), {**plain, "states": [state]}).identity

    def size(self, state: str | None = None) -> int:
        """Return the bytes of the inputs: of those by state, the parts of one state; by default of all inputs."""
        states = self.states if state is None else (state,)
        whole = self.whole.values() if state is None else ()
        parts = [one.parts[name] for one in self.inputs.values() for name in states if name in one.parts]
        return sum(part.size for part in (*parts, *(part for one in whole for part in one.parts.values())))

    def of_state(self, state: str) -> "Prepared":
        """Return the part of the request that concerns the output of one state."""
        inputs = {role: of_states(one, (state,)) for role, one in self.inputs.items()}
        options = self.options.model_copy(update={"states": (state,)})
        return replace(self, options=options, inputs=inputs, states=(state,), written=(state,), part=state)

    def parts_of(self, role: str) -> tuple[str, ...]:
        """Return the names of the parts of a target."""
        target = self.targets[role]
        return self.written if target.by_state else target.parts or (self.part,)

    def _plain(self) -> dict[str, Any]:
        plain = self.options.plain()
        if "states" in plain:
            plain["states"] = plain["states"] or ALL
        return {**plain, **self.found}

    def _provenance(self, states: Sequence[str], plain: Mapping[str, Any]) -> Provenance:
        inputs = {one.collection: one.checksum(states) for one in self.inputs.values()}
        inputs |= {one.collection: one.checksum() for one in self.whole.values()}
        used = versions() | {package: version(package) for package in self.packages}
        return Provenance(self.product, {**inputs, **self.files}, plain, versions=used)


def of_states(snapshot: Snapshot, states: Sequence[str]) -> Snapshot:
    """Return a snapshot of some states alone, without the provenance of its parts: what a worker needs of it."""
    parts = {state: part for state, part in snapshot.parts.items() if state in states}
    # Where it has none of them, one part tells the columns; its rows are not read.
    return replace(snapshot, parts=parts or dict(list(snapshot.parts.items())[:1]), runs={})


# Role of a frame of notes (`frames.notes`) among what `compute` returns, and their key in the report.
NOTES = "notes"
# What `compute` returns: frames by role, in memory or on Dask as the reader's are.
Frames = Mapping[str, Any]
# By role of target, then by name of part.
Summaries = Mapping[str, Mapping[str, Mapping[str, Any]]]


class Product(ABC):
    """A kind of result.

    Attributes
    ----------
    name : str
        Of the product, its job and its entries in backfill files.
    title : str
        One line for `--help`.
    options : type of Options
    several : tuple of str
        Options that accept several values separated by commas, with one result per value.
    spreads : bool
        Whether an output that one worker can hold is still spread over the cluster where threads are free; False where
        an exchange between partitions costs more than what is computed. A large output is always spread.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    options: ClassVar[type[Options]]
    several: ClassVar[tuple[str, ...]] = ()
    spreads: ClassVar[bool] = True

    @abstractmethod
    def prepare(self, store: Store, options: Any, *, by_state: bool = False) -> Prepared:
        """Return the inputs and targets of a run; nothing is computed.

        Parameters
        ----------
        store : Store
        options : Options
            Of the product's own class.
        by_state : bool
            Whether each state is computed by itself, as an output of its own.

        Raises
        ------
        InputError
            If something is not in the store, or options do not fit it.
        """

    @abstractmethod
    def compute(self, read: Reader, prepared: Prepared) -> Frames:
        """Return a frame for every target, by role, and perhaps frames of one row whose values `report` gets.

        Frames by state have the partitions of ``prepared.states``, or in memory the rows of all of them, indexed by
        key. Other frames have one partition; those of a target with parts of its own a partition each, or in memory
        they are the values of one frame.
        """

    def summarize(self, role: str, table: pd.DataFrame, prepared: Prepared) -> Mapping[str, Any]:
        """Return the summary of one part, as plain data."""
        return {"rows": len(table)}

    def report(self, prepared: Prepared, summaries: Summaries, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the report of a run for its provenance: by default the summary of each part of the result."""
        return summaries[next(iter(prepared.targets))]

    def attributes(self, prepared: Prepared, summaries: Summaries) -> Mapping[str, Any]:
        """Return the attributes of the result, of which some may be known only now."""
        return prepared.attributes

    def is_done(self, store: Store, prepared: Prepared) -> bool | None:
        """Return whether a result is up to date; None if its snapshots decide."""
        return None

    def heavy(self, options: Any) -> bool:
        """Return whether the work is much more than reading and writing the inputs, such as draws or models."""
        return bool(getattr(options, "draws", 0))

    def of_year(self, years: Sequence[int], place: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options that differ between the years of one command; `given` are those of all of them."""
        return {"year": years[place]}

    def scope_of_states(self, options: Any) -> bool:
        """Return whether a backfill makes one output per state by default."""
        return False

    def scope_defaults(self, by_state: bool) -> dict[str, Any]:
        """Return options that have other defaults in a backfill with a scope."""
        return {}

    def check_scope(self, options: Any, by_state: bool) -> None:
        """Raise InputError if the options do not fit outputs per state, or one output of all states."""
        if by_state and not hasattr(options, "states"):
            raise InputError(f"scope: found state for {self.name}, which has no states; expected the scope all")


class RegionProduct(Product):
    """A product whose options name regions (`ByRegion`): outputs per state fit regions that no state line crosses."""

    def scope_of_states(self, options: Any) -> bool:
        """Return whether all regions lie within states."""
        return options.by in WITHIN_STATES

    def check_scope(self, options: Any, by_state: bool) -> None:
        """Raise InputError for outputs per state of regions that may cross state lines, or of some regions."""
        if by_state and options.by not in WITHIN_STATES:
            raise InputError(
                f"scope: found state for regions by {options.by}, which may cross state lines; expected all, or by one "
                f"of {', '.join(WITHIN_STATES)}"
            )
        if by_state and getattr(options, "regions", None) is not None:
            raise InputError("regions: found a choice of regions in the scope state, expected the scope all")


class Watch(Protocol):
    """What shows the progress of a run."""

    def stages(self, counts: Mapping[str, tuple[int, int]]) -> None:
        """Show tasks done and in all, by stage."""

    def say(self, line: str) -> None:
        """Print a line."""


class DriverProduct(Product):
    """A product that the driver of a run computes, with futures of its own, since frames do not fit it.

    Attributes
    ----------
    commits_itself : bool
        Whether `execute` commits in a transaction of its own, so that nothing is to be removed if it fails.
    """

    commits_itself: ClassVar[bool] = False

    def compute(self, read: Reader, prepared: Prepared) -> Frames:
        """Raise: there are no frames."""
        raise TypeError(f"{self.name} has no frames: the driver executes it")

    @abstractmethod
    def execute(self, store: Store, prepared: Prepared, client: Any, watch: Watch) -> Sequence[Commit]:
        """Compute a result and write its parts.

        Parameters
        ----------
        client : distributed.Client, optional
            Without one, everything is computed in this process.
        watch : Watch
            Shows progress.

        Returns
        -------
        sequence of Commit
            What is to be committed, the result last; empty where the result is visible already.
        """

    def heavy(self, options: Any) -> bool:
        """Return True: a driver has futures of its own where the work is many times that of a pass over the inputs."""
        return True

    def committed(self, store: Store, prepared: Prepared) -> None:
        """Clean up after what `execute` returned is visible."""
