"""A run is a plan: frozen plain data that lists its outputs and what each is made from."""

from collections.abc import Sequence
from dataclasses import dataclass

from geomob_dask.store import Provenance


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
