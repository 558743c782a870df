"""Cubes: all years of a product in one Icechunk repository (Zarr v3), ``<store>/cubes/<name>``.

A commit is a transaction: readers see all of it or nothing, and older versions stay readable. Workers write chunks
through forks of one session; nobody else sees them before the forks are merged and committed.

The axes are year × tract (or region) × measure, a chunk is one year of a block of tracts with all measures. Years and
tracts are added at the end of their axes, so that no chunk already written moves.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import xarray as xr
import zarr
import zarr.errors
from numpy.typing import NDArray

from geomob_dask.errors import InputError, StoreError
from geomob_dask.store.cube_form import FIRST_REASONS, VARIABLES, Form
from geomob_dask.store.tables import Store

FORMAT = 1
BRANCH = "main"
FOLDER = "cubes"
# Tracts in a chunk: 85,000 make 21 blocks; with ten measures a chunk is a third of a MiB.
BLOCK = 4096

# The library warns at every opening that two commits at once into a folder may lose one: `_alone` sees to that.
icechunk.set_logs_filter("error")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_ERRORS = (icechunk.IcechunkError, zarr.errors.BaseZarrError, KeyError, ValueError, TypeError, OSError)
# Names that a cube needs for itself.
RESERVED = {
    "year",
    "tract",
    "state",
    "part",
    "collection",
    "measure",
    "geometry",
    "source_content",
    "source_run",
    *VARIABLES,
}
_LONG_AXIS = 2**17
_YEARS_A_CHUNK = 64
_PARTS_A_CHUNK = 64


@dataclass(frozen=True)
class Layout:
    """The form of a cube, the lengths of its axes and the words of its flags: a state without what is long.

    Parameters
    ----------
    form : Form
    reasons : tuple of str
        By the code of a flag.
    years : tuple of int
    tracts, parts : int
    """

    form: Form
    reasons: tuple[str, ...]
    years: tuple[int, ...]
    tracts: int
    parts: int


@dataclass(frozen=True)
class State:
    """What a cube holds at one version.

    Parameters
    ----------
    version : str
        The commit.
    form : Form
    attributes : mapping
        Of all years: product, vintage, ….
    block : int
        Tracts in a chunk.
    reasons : tuple of str
        By the code of a flag.
    years : tuple of int
        In the order in which they were added.
    keys : shape (n_tracts,), text
        In the order in which they were added: sorted within each commit that added any.
    places : shape (n_tracts,), text
        The part that each came with: its state, or ``all``.
    collections : tuple of str
        Where each year came from.
    parts : tuple of str
        Names of the parts of all years.
    content, runs : shape (n_years, n_parts), uint64
        The beginnings of the checksum of each part and of the identity of the run that made it; 0: there was none.
    """

    version: str
    form: Form
    attributes: Mapping[str, Any]
    block: int = BLOCK
    reasons: tuple[str, ...] = FIRST_REASONS
    years: tuple[int, ...] = ()
    keys: NDArray[Any] = field(default_factory=lambda: np.array([], object))
    places: NDArray[Any] = field(default_factory=lambda: np.array([], object))
    collections: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    content: NDArray[np.uint64] = field(default_factory=lambda: np.zeros((0, 0), np.uint64))
    runs: NDArray[np.uint64] = field(default_factory=lambda: np.zeros((0, 0), np.uint64))

    @property
    def layout(self) -> Layout:
        """Return what a task that writes a block needs to know."""
        return Layout(self.form, self.reasons, self.years, len(self.keys), len(self.parts))

    @property
    def blocks(self) -> list[slice]:
        """Return the tracts of each chunk."""
        n = len(self.keys)
        return [slice(start, min(start + self.block, n)) for start in range(0, n, self.block)]

    def identities(self, year: int) -> dict[str, tuple[int, int]]:
        """Return checksum and run of each part of a year, by the part's name; none for a year that is not there."""
        if year not in self.years:
            return {}
        row = self.years.index(year)
        pairs = zip(self.parts, self.content[row].tolist(), self.runs[row].tolist(), strict=True)
        return {name: (content, run) for name, content, run in pairs if content}


@dataclass(frozen=True)
class Commit:
    """One entry of a cube's history.

    Parameters
    ----------
    version : str
    written : str
        When, by the clock of the machine that wrote it, as ISO 8601.
    message : str
    tags : tuple of str
    metadata : mapping
    """

    version: str
    written: str
    message: str
    tags: tuple[str, ...]
    metadata: Mapping[str, Any]


class Cube:
    """A cube of a store, which need not exist yet.

    Parameters
    ----------
    store : Store
    name : str
        Letters, digits, ``_``, ``-`` and ``.``.

    Raises
    ------
    InputError
        If the name is none.
    """

    def __init__(self, store: Store, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise InputError(f"cube {name!r}: expected a name of letters, digits, '_', '-' and '.'")
        self.name = name
        self._objects = store.objects
        self.where = f"{store.url}/{FOLDER}/{name}"

    # Opening -----------------------------------------------------------------------------------

    def exists(self) -> bool:
        """Tell whether anybody ever began to write the cube."""
        # The library would make the folder to look into it.
        if self._objects.local and not os.path.isdir(self._folder()):
            return False
        with self._explained("opened"):
            return bool(icechunk.Repository.exists(self._storage()))

    def state(self, version: str | None = None) -> State | None:
        """Return what the cube holds, by default now; None where it does not exist or nothing was committed.

        Raises
        ------
        StoreError
            If it cannot be read, is no cube of this package, or of a newer version of it.
        """
        if not self.exists():
            return None
        repository = self._open()
        with self._explained("read"):
            session = _session(repository, version, None)
            return self._read_state(session)

    def session(self, state: State) -> Any | None:
        """Return a session to write to a cube that holds this state; None if it holds another by now."""
        with self._explained("opened for writing"):
            session = self._open().writable_session(BRANCH)
        return session if session.snapshot_id == state.version else None

    def create(self, form: Form, attributes: Mapping[str, Any], block: int = BLOCK) -> State | None:
        """Make an empty cube; return what it holds, None if another writer was first.

        A cube without a year and of another form is made anew: nothing was ever written to it.
        """
        with self._alone(), self._explained("created"):
            if not icechunk.Repository.exists(self._storage()):
                self._make_folder()
                try:
                    icechunk.Repository.create(self._storage(), self._config())
                except icechunk.IcechunkError:
                    # On S3 somebody else may have been first: then it is there.
                    if not icechunk.Repository.exists(self._storage()):
                        raise
            repository = icechunk.Repository.open(self._storage(), self._config())
            session = repository.writable_session(BRANCH)
            before = self._read_state(session)
            if before is not None and before.years:
                return None
            if before is not None and (before.form, before.attributes, before.block) == (form, attributes, block):
                return before
            _draw_form(session.store, form, {**attributes, "block": block})
            try:
                version = session.commit(f"empty cube of {len(form.measures)} measures", {"empty": True})
            except (icechunk.ConflictError, icechunk.RebaseFailedError):
                return None
        return State(version, form, dict(attributes), block)

    def commit(self, session: Any, message: str, metadata: Mapping[str, Any]) -> str | None:
        """Make what a session wrote visible, and return the version; None if another writer touched the same.

        What others committed meanwhile in other chunks stays.
        """
        with self._alone(), self._explained("committed"):
            try:
                solver = icechunk.ConflictDetector()
                return str(session.commit(message, dict(metadata), rebase_with=solver))
            except (icechunk.ConflictError, icechunk.RebaseFailedError):
                return None

    def dataset(self, version: str | None = None, tag: str | None = None) -> xr.Dataset:
        """Return a version lazily; see `open_cube`."""
        if version is not None and tag is not None:
            raise InputError(f"cube {self.name!r}: found version {version} and tag {tag}, expected one of them")
        repository = self._opened()
        with self._explained("read"):
            if tag is not None and tag not in repository.list_tags():
                raise InputError(
                    f"{self.where}: no tag {tag!r}; expected one of: {', '.join(sorted(repository.list_tags())) or '-'}"
                )
            session = self._chosen(repository, version, tag)
            state = self._read_state(session)
            if state is None or not state.years:
                raise InputError(f"{self.where}: nothing was written yet; expected it from: jobs/cube.py write")
            return _as_dataset(session.store, state)

    # History -----------------------------------------------------------------------------------

    def history(self) -> list[Commit]:
        """Return the commits that brought years, the newest first."""
        repository = self._opened()
        with self._explained("read"):
            tags: dict[str, list[str]] = {}
            for tag in sorted(repository.list_tags()):
                tags.setdefault(repository.lookup_tag(tag), []).append(tag)
            return [
                Commit(
                    one.id,
                    one.written_at.isoformat("T", "seconds"),
                    one.message,
                    tuple(tags.get(one.id, ())),
                    one.metadata,
                )
                for one in repository.ancestry(branch=BRANCH)
                if not {"__root", "empty"} & set(one.metadata)
            ]

    def tag(self, tag: str, version: str | None = None) -> str:
        """Give a version (the newest by default) a name that stays; return the version.

        Raises
        ------
        InputError
            If the tag is taken, the name is none, or there is no such version.
        """
        if not _NAME.fullmatch(tag):
            raise InputError(f"tag {tag!r}: expected letters, digits, '_', '-' and '.'")
        repository = self._opened()
        with self._explained("tagged"):
            if tag in repository.list_tags():
                raise InputError(
                    f"{self.where}: the tag {tag!r} is taken by {repository.lookup_tag(tag)} and stays; "
                    "expected another name"
                )
            chosen = self._chosen(repository, version, None).snapshot_id
            repository.create_tag(tag, chosen)
        return str(chosen)

    def clean(self, older_than: float, *, dry_run: bool = False) -> tuple[int, int]:
        """Remove what no version refers to: chunks of writers that were killed or came second.

        Parameters
        ----------
        older_than : float
            Seconds: younger objects may belong to a writer that is about to commit.
        dry_run : bool
            Whether nothing is removed.

        Returns
        -------
        objects, size : int
            Removed, or to be removed; in bytes.
        """
        repository = self._opened()
        before = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=older_than)
        with self._alone(), self._explained("cleaned"):
            found = repository.garbage_collect(before, dry_run=dry_run)
        kinds = ("chunks", "manifests", "snapshots", "attributes", "transaction_logs")
        return sum(int(getattr(found, f"{kind}_deleted")) for kind in kinds), int(found.bytes_deleted)

    # Parts -------------------------------------------------------------------------------------

    def _opened(self) -> Any:
        if not self.exists():
            raise InputError(
                f"{self.where}: no such cube; expected one of: "
                f"{', '.join(self._objects.names(FOLDER)) or '(none yet; jobs/cube.py write makes one)'}"
            )
        return self._open()

    def _open(self) -> Any:
        with self._explained("opened"):
            return icechunk.Repository.open(self._storage(), self._config())

    def _chosen(self, repository: Any, version: str | None, tag: str | None) -> Any:
        if version is None:
            return _session(repository, None, tag)
        known = [one.id for one in repository.ancestry(branch=BRANCH) if "__root" not in one.metadata]
        if version not in known:
            raise InputError(f"{self.where}: no version {version!r}; expected one of: {', '.join(known)}")
        return _session(repository, version, None)

    def _read_state(self, session: Any) -> State | None:
        try:
            group = zarr.open_group(session.store, mode="r")
        except (FileNotFoundError, zarr.errors.GroupNotFoundError):
            return None
        attributes = dict(group.attrs)
        found = attributes.get("geomob_format")
        if not isinstance(found, int):
            raise StoreError(f"{self.where}: not a cube of this package (no geomob_format); expected another name")
        if found > FORMAT:
            raise StoreError(f"{self.where}: written in format {found} by a newer version; expected {FORMAT} or older")
        form = Form.of_plain(attributes.pop("form"))
        block = int(attributes.pop("block"))
        attributes.pop("geomob_format")
        shapes = {name: group[name].shape for name in ("year", form.unit, "part", "source_content")}
        if shapes["source_content"] != (*shapes["year"], *shapes["part"]):
            raise StoreError(f"{self.where}: its axes do not fit each other ({shapes}); expected what a job committed")
        read: dict[str, Any] = {name: np.asarray(group[name][...]) for name in ("year", "part", "collection")}
        return State(
            session.snapshot_id,
            form,
            attributes,
            block,
            tuple(group["flag"].attrs["flag_reasons"]),
            tuple(int(year) for year in read["year"]),
            np.asarray(group[form.unit][...]).astype(object),
            np.asarray(group["state"][...]).astype(object),
            tuple(str(name) for name in read["collection"]),
            tuple(str(name) for name in read["part"]),
            np.asarray(group["source_content"][...], np.uint64),
            np.asarray(group["source_run"][...], np.uint64),
        )

    def _storage(self) -> Any:
        if self._objects.local:
            return icechunk.local_filesystem_storage(self._folder())
        bucket, _, prefix = self._objects.root.partition("/")
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        return icechunk.s3_storage(
            bucket=bucket,
            prefix="/".join(part for part in (prefix, FOLDER, self.name) if part),
            # A gateway of one's own has no regions, but the signature wants one.
            region=region or ("us-east-1" if endpoint else None),
            endpoint_url=endpoint,
            allow_http=bool(endpoint and endpoint.startswith("http://")),
            force_path_style=bool(endpoint),
            from_env=True,
        )

    @staticmethod
    def _config() -> Any:
        # Bounded waits, as for the tables of the store.
        retries = icechunk.StorageRetriesSettings(max_tries=5, initial_backoff_ms=100, max_backoff_ms=5000)
        return icechunk.RepositoryConfig(storage=icechunk.StorageSettings(retries=retries))

    def _folder(self) -> str:
        return self._objects.path(f"{FOLDER}/{self.name}")

    def _make_folder(self) -> None:
        if self._objects.local:
            Path(self._folder()).mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Let one process at a time move a folder's branch; a bucket's conditional writes see to it themselves."""
        if not self._objects.local:
            yield
            return
        lock = Path(self._objects.path(f"{FOLDER}/.{self.name}.lock"))
        with self._explained("locked"):
            lock.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(lock, os.O_CREAT | os.O_RDWR, 0o666)
        try:
            # Held by the process: the system lets go of it when the process dies.
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    @contextlib.contextmanager
    def _explained(self, done: str) -> Iterator[None]:
        try:
            yield
        except (InputError, StoreError):
            raise
        except _ERRORS as error:
            raise StoreError(
                f"{self.where}: cannot be {done} ({_reason(error)}); expected a cube of this package in a store that "
                "can be reached and written (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY for a bucket)"
            ) from error


def cube_names(store: Store) -> list[str]:
    """Return the names of the cubes of a store, sorted."""
    return store.objects.names(FOLDER)


def open_cube(store: Store | str, name: str, *, version: str | None = None, tag: str | None = None) -> xr.Dataset:
    """Return a cube lazily: nothing but its axes is read before a value is asked for.

    Parameters
    ----------
    store : Store or str
        Or its URL.
    name : str
    version, tag : str, optional
        A commit or a tag of the cube's history; the newest commit by default.

    Returns
    -------
    Dataset
        Dimensions year (ascending), tract or region, and measure; variables estimate, flag, and as the product has
        them moe, se, lower, upper (in the units of the measure; NaN where there is none) and quality (0: no grade);
        columns of text as variables of year and tract. Dask chunks of one year and a block of tracts.

    Raises
    ------
    InputError
        If there is no such cube, version or tag.
    StoreError
        If the cube cannot be read, or is of a newer version of the package.
    """
    return Cube(Store(store) if isinstance(store, str) else store, name).dataset(version, tag)


def _session(repository: Any, version: str | None, tag: str | None) -> Any:
    if tag is not None:
        return repository.readonly_session(tag=tag)
    if version is not None:
        return repository.readonly_session(snapshot_id=version)
    return repository.readonly_session(BRANCH)


def _reason(error: BaseException) -> str:
    # The library draws its context below the message, line by line.
    lines = [line.strip(" |x`->\t") for line in str(error).splitlines()]
    said = [line for line in lines if line and not re.match(r"(context:|\d+: |at |with )", line)]
    return "; ".join(dict.fromkeys(said)) or type(error).__name__


# Writing ------------------------------------------------------------------------------------------


def _draw_form(store: Any, form: Form, attributes: Mapping[str, Any]) -> None:
    """Write group and arrays of a cube without years and tracts."""
    measures = form.measures
    group = zarr.create_group(
        store, overwrite=True, attributes={**attributes, "geomob_format": FORMAT, "form": form.plain()}
    )
    axes = ("year", form.unit, "measure")
    block, n = attributes["block"], len(measures)
    beside = "state measure_units measure_long_name measure_dollars_of collection"
    for variable in form.variables:
        array = group.create_array(
            variable.name,
            shape=(0, 0, n),
            chunks=(1, block, n),
            dtype=variable.dtype,
            fill_value=variable.fill,
            dimension_names=axes,
        )
        array.attrs.update({"long_name": variable.long_name, "coordinates": beside})
    group["flag"].attrs.update(_flag_attributes(FIRST_REASONS))
    if "quality" in group:
        group["quality"].attrs.update({"flag_values": [0, 1, 2, 3], "flag_meanings": "no_grade good fair poor"})
    for name in form.texts:
        array = group.create_array(
            name, shape=(0, 0), chunks=(1, block), dtype="str", fill_value="", dimension_names=axes[:2]
        )
        array.attrs.update({"long_name": name.replace("_", " "), "coordinates": "state collection"})

    def axis(name: str, dtype: str, chunk: int, dimension: str, long_name: str, values: Sequence[Any] = ()) -> None:
        array = group.create_array(
            name, shape=(len(values),), chunks=(chunk,), dtype=dtype, dimension_names=(dimension,)
        )
        array.attrs["long_name"] = long_name
        if values:
            array[:] = np.array(list(values), object if dtype == "str" else dtype)

    axis("year", "int32", _YEARS_A_CHUNK, "year", "year of the measures")
    axis("collection", "str", _YEARS_A_CHUNK, "year", "collection of the store that the year came from")
    key = "geoid of the tract" if form.unit == "tract" else "key of the region"
    axis(form.unit, "str", _LONG_AXIS, form.unit, key)
    axis("state", "str", _LONG_AXIS, form.unit, "state, or the part of the result that it came with")
    axis("part", "str", _PARTS_A_CHUNK, "part", "part of a year's result")
    axis("measure", "str", n, "measure", "measure", [one.name for one in measures])
    axis("measure_units", "str", n, "measure", "units of the measure", [one.units for one in measures])
    axis("measure_long_name", "str", n, "measure", "the measure in words", [one.long_name for one in measures])
    dollars = [one.dollars_of for one in measures]
    axis("measure_dollars_of", "int32", n, "measure", "year whose dollars a measure is in; 0: none", dollars)
    for name, long_name in (
        ("source_content", "beginning of the SHA-256 of the part; 0: no such part"),
        ("source_run", "beginning of the identity of the run that made the part"),
    ):
        array = group.create_array(
            name,
            shape=(0, 0),
            chunks=(1, _PARTS_A_CHUNK),
            dtype="uint64",
            fill_value=0,
            dimension_names=("year", "part"),
        )
        array.attrs["long_name"] = long_name


def _flag_attributes(reasons: Sequence[str]) -> dict[str, Any]:
    words = [re.sub(r"[^A-Za-z0-9]+", "_", reason).strip("_").lower() or "none" for reason in reasons]
    meanings = [word if words.count(word) == 1 else f"{word}_{code}" for code, word in enumerate(words)]
    return {
        "flag_values": list(range(len(reasons))),
        "flag_meanings": " ".join(meanings),
        "flag_reasons": list(reasons),
    }


def write_block(fork: Any, layout: Layout, year: int, block: slice, values: Mapping[str, NDArray[Any]]) -> Any:
    """Write one chunk of every variable, and return the fork to be merged.

    Parameters
    ----------
    fork : ForkSession
        Of the session that will be committed.
    layout : Layout
        What the cube is to hold: it may have more years and tracts than there are yet.
    block : slice
        One of the blocks of the state: no other task may write to it.
    values : mapping of str to array
        Shape (n_tracts of the block, n_measures), or (n_tracts,) for text.
    """
    store = fork.store
    row = layout.years.index(year)
    lengths = _lengths(layout)
    for name, chunk in values.items():
        array = zarr.open_array(store, path=name, mode="r+", zarr_format=3)
        # The cube may not be as long yet: every fork makes it so, and their merge is as long.
        if array.shape != lengths[name]:
            array.resize(lengths[name])
        if name in VARIABLES:
            array[row, block, :] = chunk
        else:
            array[row, block] = chunk
    return fork


def finish(session: Any, before: State, state: State) -> None:
    """Write what holds for the whole cube: its axes, where every part came from, and the words of the flags.

    What is as before is not written again, so that writers of different years need not wait for each other.
    """
    group = zarr.open_group(session.store, mode="r+")
    for name, shape in _lengths(state.layout).items():
        if group[name].shape != shape:
            group[name].resize(shape)
    for name, old, new in (
        ("year", before.years, state.years),
        ("collection", before.collections, state.collections),
        (state.form.unit, before.keys, state.keys),
        ("state", before.places, state.places),
        ("part", before.parts, state.parts),
    ):
        if list(old) != list(new):
            group[name][:] = np.array(list(new), "int32" if name == "year" else object)
    for name, was, now in (
        ("source_content", before.content, state.content),
        ("source_run", before.runs, state.runs),
    ):
        for row in range(len(now)):
            if (
                row >= len(was)
                or not np.array_equal(now[row, : was.shape[1]], was[row])
                or now[row, was.shape[1] :].any()
            ):
                group[name][row, :] = now[row]
    if before.reasons != state.reasons:
        group["flag"].attrs.update(_flag_attributes(state.reasons))


def _lengths(layout: Layout) -> dict[str, tuple[int, ...]]:
    """Return the shape of every array whose length is not the form's."""
    form, years, keys, parts = layout.form, len(layout.years), layout.tracts, layout.parts
    lengths: dict[str, tuple[int, ...]] = {
        variable.name: (years, keys, len(form.measures)) for variable in form.variables
    }
    lengths |= dict.fromkeys(form.texts, (years, keys))
    lengths |= {"year": (years,), "collection": (years,), form.unit: (keys,), "state": (keys,), "part": (parts,)}
    return lengths | {"source_content": (years, parts), "source_run": (years, parts)}


# Reading ------------------------------------------------------------------------------------------


def _as_dataset(store: Any, state: State) -> xr.Dataset:
    opened = xr.open_zarr(store, consolidated=False, zarr_format=3, chunks={})
    # What is along one axis is read, text as pandas has it; chunks of the rest stay the cube's own.
    text = (state.form.unit, "state", "part", "measure", "measure_units", "measure_long_name", "collection")
    plain = {name: (opened[name].dims, opened[name].to_numpy().astype(object)) for name in text}
    plain["measure_dollars_of"] = ("measure", opened["measure_dollars_of"].to_numpy())
    cube = opened.assign_coords(plain)
    geometry = state.attributes.get("geometry")
    if geometry:
        cube = cube.assign_coords(geometry=((), geometry, {"long_name": "collection of the polygons, by key"}))
    names = [variable.name for variable in state.form.variables]
    cube = cube[[*names, *state.form.texts, "source_content", "source_run"]]
    order = np.argsort(state.years, kind="stable")
    if list(order) != list(range(len(order))):
        cube = cube.isel(year=order)
    cube.attrs = {name: value for name, value in cube.attrs.items() if name != "form"} | {"version": state.version}
    return cube
