"""Output of the commands of cubes."""

from collections.abc import Mapping, Sequence

from geomob_dask.messages import counted
from geomob_dask.outputs.result import Done, Flag, Flags, Outputs
from geomob_dask.products.product import Prepared
from geomob_dask.store import Store
from geomob_dask.store.cubes import Cube, Version


class CubeOutputs(Outputs):
    """Output of the command that writes a cube, and the tag of the version."""

    flags: Mapping[str, Flag] = {"tag": Flag("A name for the version that is written.")}

    def check_results(self, store: Store, prepared: Sequence[Prepared], given: Flags) -> None:
        """Raise InputError if the tag is taken, or is no name."""
        for item in prepared:
            if given.get("tag"):
                Cube(store, item.options.name).check_tag(given["tag"])

    def lines(self, store: Store, prepared: Prepared) -> list[str]:
        """Return the commit of a run, or the plan if there was nothing to do."""
        name = prepared.options.name
        if not prepared.details.todo:
            return list(prepared.lines)
        version = Cube(store, name).version_of(prepared.provenance.identity)
        if version is None:
            return [f"{name}: nothing to do, another writer has written the same parts"]
        chunks, tracts = version.metadata["chunks"], version.metadata["tracts"]
        return [
            f"{name}: {version.message}",
            f"  version {version.id}: {counted(chunks, 'chunk')}, {counted(tracts, 'row')}",
        ]

    def write(self, done: Done) -> list[str]:
        """Tag the newest version."""
        if not done.given.get("tag"):
            return []
        return [
            f"tag {done.given['tag']}: version {Cube(done.store, item.options.name).tag(done.given['tag'])}"
            for item in done.prepared
        ]


def history_lines(history: Sequence[Version]) -> list[str]:
    """Return the versions of a cube as text, the newest first."""
    lines = []
    for version in history:
        tags = f"  [{', '.join(version.tags)}]" if version.tags else ""
        lines.append(f"{version.id}  {version.written}{tags}  {version.message}")
    return lines or ["no year yet"]
