"""Cubes: all years of a product in one Icechunk repository (Zarr v3), ``<store>/cubes/<name>``.

A commit is a transaction: readers see all of it or nothing, and older versions stay readable. Workers write chunks
through forks of one session; no reader sees them before the forks are merged and committed.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import icechunk
import xarray as xr
import zarr.errors

from geomob_dask.errors import GeomobError, InputError, StoreError, StoreFailedError
from geomob_dask.messages import counted, listed, shown
from geomob_dask.names import check_name, did_you_mean
from geomob_dask.store.answered import Answering, lasting, patient
from geomob_dask.store.cube_arrays import BLOCK, State, create_arrays, open_dataset, read_state
from geomob_dask.store.cube_form import Form
from geomob_dask.store.tables import Store

BRANCH = "main"
FOLDER = "cubes"

# The library warns at every opening that two commits at once into a folder may lose one: `_alone` prevents that.
icechunk.set_logs_filter("error")

_ERRORS = (icechunk.IcechunkError, zarr.errors.BaseZarrError, KeyError, ValueError, TypeError, OSError)


@dataclass(frozen=True)
class Version:
    """One commit in the history of a cube.

    Parameters
    ----------
    id : str
        As `open_cube` and tags take it.
    written : str
        When, by the clock of the machine that wrote it, as ISO 8601.
    message : str
    tags : tuple of str
    metadata : mapping
    """

    id: str
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
        See `names.is_name`.

    Raises
    ------
    InputError
        If the name has other characters.
    """

    def __init__(self, store: Store, name: str) -> None:
        self.name = check_name(name, "cube")
        self.objects = store.objects
        self.where = f"{store.url}/{FOLDER}/{name}"

    # Opening -----------------------------------------------------------------------------------

    @patient
    def exists(self) -> bool:
        """Return whether a writer has ever created the cube."""
        # The library would create the folder.
        if self.objects.local and not os.path.isdir(self._folder()):
            return False
        # The library waits for a bucket that does not answer without end.
        self.objects.reach()
        with self._explained("opened"):
            return bool(icechunk.Repository.exists(self._storage()))

    @patient
    def state(self, version: str | None = None) -> State | None:
        """Return what the cube holds, at the newest version by default; None if it does not exist or is empty.

        Raises
        ------
        StoreError
            If it cannot be read, or if another package or a newer version of this one wrote it.
        """
        if not self.exists():
            return None
        repository = self._open()
        with self._explained("read"):
            return self._read_state(self._session(repository, version))

    @patient
    def session(self, state: State) -> Any | None:
        """Return a session that writes to a cube in this state; None if another writer has changed it."""
        with self._explained("opened for writing"):
            session = self._open().writable_session(BRANCH)
        return session if session.snapshot_id == state.version else None

    @patient
    def create(self, form: Form, attributes: Mapping[str, Any], block: int = BLOCK) -> State | None:
        """Create an empty cube and return what it holds; None if another writer was first.

        A cube of another form that has no year is replaced: it holds no values.
        """
        self.objects.reach()
        with self._alone(), self._explained("created"):
            if not icechunk.Repository.exists(self._storage()):
                self._make_folder()
                try:
                    icechunk.Repository.create(self._storage(), self._config())
                except icechunk.IcechunkError:
                    # On S3 another writer may have created it.
                    if not icechunk.Repository.exists(self._storage()):
                        raise
            repository = icechunk.Repository.open(self._storage(), self._config())
            session = repository.writable_session(BRANCH)
            before = self._read_state(session)
            if before is not None and before.years:
                return None
            if before is not None and (before.form, before.attributes, before.block) == (form, attributes, block):
                return before
            create_arrays(session.store, form, {**attributes, "block": block})
            try:
                version = session.commit(f"empty cube of {counted(len(form.measures), 'measure')}", {"empty": True})
            except (icechunk.ConflictError, icechunk.RebaseFailedError):
                return None
        return State(version, form, dict(attributes), block)

    @patient
    def commit(self, session: Any, message: str, metadata: Mapping[str, Any]) -> str | None:
        """Make what a session wrote visible and return the version; None if another writer changed the same chunks.

        Commits that others made to other chunks stay.
        """
        with self._alone(), self._explained("committed"):
            try:
                solver = icechunk.ConflictDetector()
                return str(session.commit(message, dict(metadata), rebase_with=solver))
            except (icechunk.ConflictError, icechunk.RebaseFailedError):
                return None

    @patient
    def dataset(self, version: str | None = None, tag: str | None = None) -> xr.Dataset:
        """Return a version lazily; see `open_cube`."""
        if version is not None and tag is not None:
            raise InputError(f"cube {self.name!r}: found version {version} and tag {tag}, expected one of them")
        repository = self._opened()
        with self._explained("read"):
            if tag is not None and tag not in repository.list_tags():
                raise InputError(
                    f"{self.where}: no tag {shown(tag)}; {did_you_mean(tag, sorted(repository.list_tags()))}"
                )
            session = self._session(repository, version, tag)
            state = self._read_state(session)
            if state is None or not state.years:
                raise InputError(f"{self.where}: no year yet; expected years written by jobs/cube.py write")
            store = session.store
            # Its values are read later, perhaps by a worker.
            return open_dataset(
                store if self.objects.local else Answering(store, self.where, self.objects.timeout), state
            )

    # History -----------------------------------------------------------------------------------

    @patient
    def history(self) -> list[Version]:
        """Return the versions that added or changed years, the newest first."""
        repository = self._opened()
        with self._explained("read"):
            tags: dict[str, list[str]] = {}
            for tag in sorted(repository.list_tags()):
                tags.setdefault(repository.lookup_tag(tag), []).append(tag)
            return [
                Version(
                    entry.id,
                    entry.written_at.isoformat("T", "seconds"),
                    entry.message,
                    tuple(tags.get(entry.id, ())),
                    entry.metadata,
                )
                for entry in repository.ancestry(branch=BRANCH)
                if not {"__root", "empty"} & set(entry.metadata)
            ]

    def version_of(self, run: str) -> Version | None:
        """Return the newest version that a run committed; None if it committed none."""
        return next((version for version in self.history() if version.metadata.get("run") == run), None)

    @patient
    def tag(self, tag: str, version: str | None = None) -> str:
        """Give a version (the newest by default) a permanent name; return the version.

        Raises
        ------
        InputError
            If the tag is taken, the name has other characters, or there is no such version.
        """
        self.check_tag(tag)
        repository = self._opened()
        with self._explained("tagged"):
            chosen = self._session(repository, version).snapshot_id
            repository.create_tag(tag, chosen)
        return str(chosen)

    @patient
    def check_tag(self, tag: str) -> None:
        """Raise InputError if a tag cannot be given to a version: the name is taken, or has other characters."""
        check_name(tag, "tag")
        if not self.exists():
            return
        repository = self._opened()
        with self._explained("tagged"):
            if tag in repository.list_tags():
                raise InputError(
                    f"{self.where}: the tag {tag!r} already names {repository.lookup_tag(tag)}; expected another name"
                )

    @patient
    def clean(self, older_than: float, *, dry_run: bool = False) -> tuple[int, int]:
        """Remove what no version refers to: chunks of writers that were killed or lost a race.

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
            removed = repository.garbage_collect(before, dry_run=dry_run)
        kinds = ("chunks", "manifests", "snapshots", "attributes", "transaction_logs")
        return sum(int(getattr(removed, f"{kind}_deleted")) for kind in kinds), int(removed.bytes_deleted)

    # The repository ----------------------------------------------------------------------------

    def _opened(self) -> Any:
        if not self.exists():
            raise InputError(
                f"{self.where}: no such cube; "
                f"{did_you_mean(self.name, self.objects.folders(FOLDER), 'none yet; jobs/cube.py write creates one')}"
            )
        return self._open()

    def _open(self) -> Any:
        with self._explained("opened"):
            return icechunk.Repository.open(self._storage(), self._config())

    def _session(self, repository: Any, version: str | None = None, tag: str | None = None) -> Any:
        """Return a session that reads a version or a tag, by default the newest version."""
        if tag is not None:
            return repository.readonly_session(tag=tag)
        if version is None:
            return repository.readonly_session(BRANCH)
        known = [entry.id for entry in repository.ancestry(branch=BRANCH) if "__root" not in entry.metadata]
        if version not in known:
            raise InputError(f"{self.where}: no version {shown(version)}; available: {listed(known)}")
        return repository.readonly_session(snapshot_id=version)

    def _read_state(self, session: Any) -> State | None:
        return read_state(session.store, session.snapshot_id, self.where)

    def _storage(self) -> Any:
        if self.objects.local:
            return icechunk.local_filesystem_storage(self._folder())
        bucket, _, prefix = self.objects.root.partition("/")
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        return icechunk.s3_storage(
            bucket=bucket,
            prefix="/".join(part for part in (prefix, FOLDER, self.name) if part),
            # Other services have no regions, but the signature needs one.
            region=region or ("us-east-1" if endpoint else None),
            endpoint_url=endpoint,
            allow_http=bool(endpoint and endpoint.startswith("http://")),
            force_path_style=bool(endpoint),
            from_env=True,
            network_stream_timeout_seconds=max(int(self.objects.timeout), 1),
        )

    @staticmethod
    def _config() -> Any:
        # Bounded waits, as for the tables of the store.
        retries = icechunk.StorageRetriesSettings(max_tries=5, initial_backoff_ms=100, max_backoff_ms=5000)
        return icechunk.RepositoryConfig(storage=icechunk.StorageSettings(retries=retries))

    def _folder(self) -> str:
        return self.objects.path(f"{FOLDER}/{self.name}")

    def _make_folder(self) -> None:
        if self.objects.local:
            Path(self._folder()).mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Let one process at a time move the branch of a folder; a bucket has conditional writes for that."""
        if not self.objects.local:
            yield
            return
        lock = Path(self.objects.path(f"{FOLDER}/.{self.name}.lock"))
        with self._explained("locked"):
            lock.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(lock, os.O_CREAT | os.O_RDWR, 0o666)
        try:
            # The system releases the lock when the process dies, but not when it is stopped.
            lasting(lambda: _locked(handle), f"another writer of {self.where}", self.objects.timeout)
            yield
        finally:
            os.close(handle)

    @contextlib.contextmanager
    def _explained(self, done: str) -> Iterator[None]:
        try:
            yield
        except GeomobError:
            raise
        except _ERRORS as error:
            raise (StoreFailedError if _failed(error) else StoreError)(
                f"{self.where}: cannot be {done} ({_reason(error)}); expected a cube of this package in a store that "
                "can be reached and written (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY for a bucket)"
            ) from error


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def cube_names(store: Store) -> list[str]:
    """Return the names of the cubes of a store, sorted."""
    return store.objects.folders(FOLDER)


def open_cube(store: Store | str, name: str, *, version: str | None = None, tag: str | None = None) -> xr.Dataset:
    """Return a cube lazily: only its axes are read before values are computed.

    Parameters
    ----------
    store : Store or str
        The store or its URL.
    name : str
    version, tag : str, optional
        A commit or a tag of the cube's history; the newest commit by default.

    Returns
    -------
    Dataset
        Dimensions year (ascending), tract or region, and measure; variables estimate, flag and, if the product has
        them, moe, se, lower, upper (in the units of the measure; NaN where there is none) and quality (0: no grade);
        columns of text as variables of year and tract. Dask chunks of one year and a block of tracts.

    Raises
    ------
    InputError
        If there is no such cube, version or tag.
    StoreError
        If the cube cannot be read, or a newer version of the package wrote it.
    """
    return Cube(Store(store) if isinstance(store, str) else store, name).dataset(version, tag)


# What Icechunk says where storage fails: it has one class of errors for all.
_FAILURE = re.compile(
    r"no space|read-only|permission denied|timed? ?out|dispatch failure|connection|service error|streaming"
    r"|internal error|slow ?down|unavailable|too large|quota|input/output",
    re.IGNORECASE,
)


def _failed(error: BaseException) -> bool:
    """Return whether storage failed in the middle of a run, rather than holding something else than a cube."""
    if isinstance(error, OSError):
        return not isinstance(error, (FileNotFoundError, NotADirectoryError, IsADirectoryError))
    return isinstance(error, icechunk.IcechunkError) and bool(_FAILURE.search(str(error)))


def _reason(error: BaseException) -> str:
    # The library appends its context to the message, line by line.
    lines = [line.strip(" |x`->\t") for line in str(error).splitlines()]
    messages = [line for line in lines if line and not re.match(r"(context:|\d+: |at |with )", line)]
    return "; ".join(dict.fromkeys(messages)) or type(error).__name__
