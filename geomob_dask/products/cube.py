"""The years of a product in one cube: changed parts are read and written, in one commit.

The driver executes it, since a session of Icechunk lies between two computations: the contents of the changed parts
give the axes of the cube, then a task per chunk writes to a copy of the session, and the driver commits all copies.
"""

import pickle
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import dask
import dask.dataframe as dd
import distributed
import pandas as pd
from pydantic import Field, model_validator

from geomob_dask.errors import InputError, RunError
from geomob_dask.frames.own_rows import no_value, one_value, stage_name, value_of
from geomob_dask.frames.reduction import reduced
from geomob_dask.frames.stages import computed_by_stage
from geomob_dask.names import Name, Year
from geomob_dask.options import Options as BaseOptions
from geomob_dask.options import Text
from geomob_dask.products.options import Years
from geomob_dask.products.product import ALL, DriverProduct, Prepared, Target, Watch
from geomob_dask.store import Commit, Part, Snapshot, Store
from geomob_dask.store.answered import answered
from geomob_dask.store.cube_arrays import BLOCK, Layout, finish, write_block
from geomob_dask.store.cube_blocks import Block, block_values, changed_blocks, state_after
from geomob_dask.store.cube_changes import CubeChange, cube_change, year_spans
from geomob_dask.store.cube_contents import PartContents, check_codes_of_other_years, common_form, part_contents
from geomob_dask.store.cubes import FOLDER, Cube

_ATTEMPTS = 20


class Options(BaseOptions):
    """Options of a cube."""

    name: Name = Field(description="Name of the cube.", json_schema_extra={"argument": True})
    results: Text | dict[Year, Text] = Field(
        description="Collections of the years: their name, with {year} in place of the year."
    )
    years: Years = Field(None, description="Years and spans, such as 2015,2018 or 2009-2023.")

    @property
    def collections(self) -> dict[int, str]:
        """Return the collection of each year.

        Examples
        --------
        >>> Options(name="acs", results="measures/acs/{year}", years="2020").collections
        {2020: 'measures/acs/2020'}
        """
        if isinstance(self.results, dict):
            return {year: self.results[year] for year in self.years or sorted(self.results)}
        return {year: self.results.replace("{year}", str(year)).strip("/") for year in self.years or ()}

    @model_validator(mode="after")
    def _check_years(self) -> Self:
        if isinstance(self.results, str):
            if "{year}" not in self.results:
                raise InputError(f"--results {self.results}: expected {{year}} in place of the year")
            if not self.years:
                raise InputError("--years: found none, expected years and spans, such as 2015,2018 or 2009-2023")
        return self


@dataclass(frozen=True)
class Written:
    """The result of `write_cube`.

    Parameters
    ----------
    version : str, optional
        The commit; None if there was nothing to do.
    message : str
        Of the commit, or that there was nothing to do.
    tracts : int
        Tracts (or regions) in the cube.
    chunks : int
        Chunks that were written, each with one year of a block of tracts.
    """

    version: str | None
    message: str
    tracts: int
    chunks: int


class Cubes(DriverProduct):
    """Write years of results or measures to a cube: what changed, in one commit."""

    name = "cube"
    title = "The years of a product as one cube (Icechunk, Zarr v3)."
    options = Options
    commits_itself = True

    def prepare(self, store: Store, options: Options, *, by_state: bool = False) -> Prepared:
        """Return the inputs and targets of a run; see `Product.prepare`."""
        snapshots = {year: store.snapshot(collection) for year, collection in options.collections.items()}
        change = cube_change(options.name, snapshots, Cube(store, options.name).state())
        return Prepared(
            self.name,
            options,
            inputs={},
            targets={"cube": Target(f"{FOLDER}/{options.name}", by_state=False)},
            states=(),
            written=(ALL,),
            attributes=change.attributes,
            whole={str(year): snapshot for year, snapshot in snapshots.items()},
            details=change,
            lines=tuple(change.lines()),
        )

    def is_done(self, store: Store, prepared: Prepared) -> bool:
        """Return whether the cube held just these parts when the run was planned."""
        return not prepared.details.todo

    def execute(
        self, store: Store, prepared: Prepared, client: distributed.Client | None, watch: Watch
    ) -> Sequence[Commit]:
        """Write the years to the cube and commit; nothing remains to be committed."""
        snapshots = {int(year): snapshot for year, snapshot in prepared.whole.items()}
        write_cube(store, prepared.options.name, snapshots, client, watch, run=prepared.provenance.identity)
        return ()


def write_cube(
    store: Store,
    name: str,
    snapshots: Mapping[int, Snapshot],
    client: distributed.Client | None,
    watch: Watch,
    *,
    block: int = BLOCK,
    run: str = "",
) -> Written:
    """Write years of results or measures to a cube, in one commit; nothing is committed if nothing changed.

    Parameters
    ----------
    store : Store
    name : str
        Of the cube, which is created if there is none.
    snapshots : mapping of int to Snapshot
        By year. Other years of the cube stay as they are.
    client : distributed.Client, optional
        Without one, everything is computed in this process.
    watch : Watch
        Shows progress.
    block : int
        Tracts per chunk, if the cube is created.
    run : str
        Identity of the run, which the commit records.

    Raises
    ------
    InputError
        If the years cannot share one cube: see `cube_change`, `part_contents`, `common_form` and `block_values`.
    RunError
        If other writers changed the same chunks or axes first, twenty times.
    """
    for _ in range(_ATTEMPTS):
        change = cube_change(name, snapshots, Cube(store, name).state())
        written = _attempt(store, change, client, watch, block, run)
        if written is not None:
            return written
        watch.say(f"cube {name}: another writer was first; comparing again")
    raise RunError(
        f"cube {name!r}: found {_ATTEMPTS} times that another writer of the same years was first, and wrote nothing; "
        "expected one writer of a year at a time"
    )


def _attempt(
    store: Store, change: CubeChange, client: distributed.Client | None, watch: Watch, block: int, run: str
) -> Written | None:
    """Write a change; None if the cube has changed since it was read."""
    before = change.state
    if not change.todo:
        tracts = 0 if before is None else len(before.keys)
        return Written(None, f"nothing to do: {year_spans(list(change.years))} up to date", tracts, 0)
    contents = _read_contents(store, change, client, watch)
    check_codes_of_other_years(change, contents)
    form = common_form(change, contents)
    cube = Cube(store, change.name)
    if before is None or not before.years:
        before = cube.create(form, change.attributes, block)
        if before is None:
            return None
    after = state_after(before, change, contents)
    session = cube.session(before)
    if session is None:
        return None
    blocks = changed_blocks(before, after, change)
    if blocks:
        session.merge(_write_blocks(store, session, after.layout, blocks, client, watch))
    answered(store.objects, cube.where, lambda: finish(session, before, after))
    message, tracts, chunks = change.message(before, after), len(after.keys), len(blocks)
    metadata = {**change.metadata(), "run": run, "tracts": tracts, "chunks": chunks}
    version = cube.commit(session, message, metadata)
    return None if version is None else Written(version, message, tracts, chunks)


# Computed on the cluster --------------------------------------------------------------------------


def _read_contents(
    store: Store, change: CubeChange, client: distributed.Client | None, watch: Watch
) -> dict[str, PartContents]:
    """Return the contents of the changed parts by name, sorted; a partition per name, the largest first."""
    parts = change.changed_parts()
    largest_first = sorted(parts, key=lambda name: (-sum(part.size for part in parts[name]), name))
    if not parts:
        return {}
    frame = _from_map(read_parts, largest_first, [parts[name] for name in largest_first], store=store)
    contents: dict[str, PartContents] = value_of(computed_by_stage(reduced(by_name, frame), client, watch.stages))
    return contents


def read_parts(name: str, parts: Sequence[Part], *, store: Store, attempt: str) -> pd.DataFrame:
    """Return the contents of the parts of one name: name and `PartContents`."""
    return one_value((name, part_contents(store, parts)))


def by_name(contents: Sequence[tuple[str, PartContents]]) -> dict[str, PartContents]:
    """Return the contents of all parts by name, sorted."""
    return dict(sorted(contents, key=lambda item: item[0]))


def _write_blocks(
    store: Store,
    session: Any,
    layout: Layout,
    blocks: Sequence[Block],
    client: distributed.Client | None,
    watch: Watch,
) -> Any:
    """Return the merged forks of a session in which blocks are written; a partition per block."""
    # As bytes, so that tasks in this process write to copies too.
    fork = pickle.dumps(session.fork())
    forks = _from_map(write_values, list(blocks), store=store, fork=fork, layout=layout)
    return value_of(computed_by_stage(reduced(merge_forks, forks), client, watch.stages))


def write_values(block: Block, *, store: Store, fork: bytes, layout: Layout, attempt: str) -> pd.DataFrame:
    """Write a chunk of every variable; return the fork that holds them."""
    values = block_values(store, block, layout)
    where = f"{store.url}/{FOLDER}, {block.year}"
    return one_value(
        answered(store.objects, where, lambda: write_block(pickle.loads(fork), layout, block.year, block.rows, values))
    )


def merge_forks(forks: Sequence[Any]) -> Any:
    """Return the first fork with what all of them wrote."""
    first, *others = forks
    first.merge(*others)
    return first


def _from_map(function: Any, *values: Sequence[Any], **options: Any) -> dd.DataFrame:
    """Return a frame with a row per value; each attempt has tasks of its own, since a failed one may be remembered."""
    attempt = uuid.uuid4().hex
    with dask.config.set({"dataframe.convert-string": False}):
        return dd.from_map(function, *values, **options, attempt=attempt, meta=no_value(), label=stage_name(function))
