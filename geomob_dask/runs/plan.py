"""A run is a plan: frozen plain data that lists its outputs and what each is made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from geomob_dask.store import Provenance, Snapshot
from geomob_dask.store.provenance import canonical_json, identity_of


@dataclass(frozen=True)
class Output:
    """One output of a plan.

    Parameters
    ----------
    state : str
        The state whose rows it holds.
    inputs : tuple of str
        Keys of the parts it reads; halo rows of other states come on top.
    size : int
        Bytes of those inputs.
    """

    state: str
    inputs: tuple[str, ...]
    size: int


@dataclass(frozen=True)
class Plan:
    """What a run will read, compute and write.

    Parameters
    ----------
    collection : str
        Where the outputs go.
    outputs : tuple of Output
        One a state.
    provenance : Provenance
        Its identity tells whether the store already holds just this.
    done : bool
        Whether it does.
    """

    collection: str
    outputs: tuple[Output, ...]
    provenance: Provenance
    done: bool

    def lines(self) -> list[str]:
        """Return the plan as text."""
        size = sum(output.size for output in self.outputs)
        lines = [
            f"{self.provenance.job}: {len(self.outputs)} outputs to {self.collection}, from {size / 2**20:.1f} MiB",
            f"state: {'up to date, nothing to do' if self.done else 'to be computed'} ({self.provenance.identity})",
            *(f"  reads {name} ({checksum[:16]})" for name, checksum in self.provenance.inputs.items()),
        ]
        largest_first = sorted(self.outputs, key=lambda output: (-output.size, output.state))
        return lines + [
            f"  {output.state}: {output.size / 2**10:,.0f} KiB in {_files(output.inputs)}" for output in largest_first
        ]


def _files(inputs: Sequence[str]) -> str:
    return ", ".join(inputs) if inputs else "no file"


@dataclass(frozen=True)
class EachState:
    """Outputs of one product and year that are made state by state, each from its own state's parts alone.

    Parameters
    ----------
    job : str
    options : mapping
        As in the provenance of one of them, without its ``states``.
    by_state : sequence of Snapshot
        Inputs of which an output reads its own state's part.
    whole : mapping of str to str
        Inputs that every output reads, with their checksums.
    """

    job: str
    options: Mapping[str, Any]
    by_state: Sequence[Snapshot]
    whole: Mapping[str, str] = field(default_factory=dict)

    def provenance(self, state: str) -> Provenance:
        """Return the provenance of one output."""
        inputs = {snapshot.collection: snapshot.checksum([state]) for snapshot in self.by_state}
        return Provenance(self.job, {**inputs, **self.whole}, {**self.options, "states": [state]})

    def identities(self, states: Sequence[str]) -> dict[str, str]:
        """Return the identity of the provenance of each output; the options are serialized once."""
        checksums = {snapshot.collection: snapshot.checksums(states) for snapshot in self.by_state}
        # Private characters of Unicode, which no option contains.
        place, *places = (chr(0xE000 + number) for number in range(1 + len(checksums)))
        inputs = {**dict(zip(checksums, places, strict=True)), **self.whole}
        one = Provenance(self.job, inputs, {**self.options, "states": [place]})
        text = canonical_json(one.identifying()).decode()
        identities = {}
        for state in states:
            own = text.replace(place, state)
            for collection, here in zip(checksums, places, strict=True):
                own = own.replace(here, checksums[collection][state])
            identities[state] = identity_of(own.encode())
        return identities

    def outputs(self, states: Sequence[str]) -> tuple[Output, ...]:
        """Return what each output reads of its own state."""
        read = {state: [one.parts[state] for one in self.by_state if state in one.parts] for state in states}
        return tuple(
            Output(state, tuple(part.key for part in parts), sum(part.size for part in parts))
            for state, parts in read.items()
        )


def of_states(snapshot: Snapshot, states: Sequence[str]) -> Snapshot:
    """Return a snapshot of some states alone: what a worker needs of it."""
    return replace(snapshot, parts={state: part for state, part in snapshot.parts.items() if state in states}, runs={})
