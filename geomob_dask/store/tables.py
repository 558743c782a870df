"""Tables by state: frames in, frames out.

Collections::

    tracts/<vintage>                            polygons: geoid, geometry, aland, awater
    neighbors/<vintage>                         edges: focal, neighbor, rook, overlap, rule
    measures/<dataset>/<year>                   one row per tract
    results/<product>/<name>/<dataset>/<year>   one row per tract or region
    display/<unit>/<vintage>                    polygons packed for the page in the dashboard
"""

import builtins
import contextlib
import io
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import IO, Any, Self

import dask
import dask.dataframe as dd
import dask_geopandas
import geopandas as gpd
import pandas as pd
import pyarrow.lib
import pyarrow.parquet as pq
import shapely

from geomob_dask.errors import InputError, StoreError
from geomob_dask.messages import listed, one_line
from geomob_dask.settings import Settings
from geomob_dask.sources.states import state_codes
from geomob_dask.store import receipts, snapshots
from geomob_dask.store.contents import committed
from geomob_dask.store.listing import absent_message, html_of, listing, text_of
from geomob_dask.store.objects import Objects
from geomob_dask.store.paths import check_collection
from geomob_dask.store.plotting import drawn
from geomob_dask.store.provenance import Provenance, sha256
from geomob_dask.store.snapshots import Part, Snapshot


class Store:
    """A folder or bucket of collections.

    Parameters
    ----------
    url : str or path
        A folder or ``s3://bucket/prefix``.
    timeout : float, optional
        Seconds that a request to a bucket may take; see `Objects`.
    """

    def __init__(self, url: str | os.PathLike[str], timeout: float | None = None) -> None:
        self.objects = Objects(url, timeout)
        self.url = self.objects.url

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the store that the settings name."""
        return cls(settings.store, settings.store_timeout)

    def __reduce__(self) -> tuple[type["Store"], tuple[str, float]]:
        return type(self), (self.url, self.objects.timeout)

    def __repr__(self) -> str:
        return text_of(self)

    def _repr_html_(self) -> str:
        return html_of(self)

    def list(self, prefix: str = "") -> pd.DataFrame:
        """Return the contents of the store, one row per collection; see `listing.listing`."""
        return listing(self, prefix.strip("/"))

    def plot(self, collection: str, column: str, *, states: builtins.list[str] | None = None, **options: Any) -> Any:
        """Draw a column of a collection on the polygons of its vintage; options as of `GeoDataFrame.plot`.

        Raises
        ------
        SettingsError
            If matplotlib is not installed: it comes with the extra ``plot``.
        """
        return drawn("plot", self, collection, column, states, **options)

    def explore(self, collection: str, column: str, *, states: builtins.list[str] | None = None, **options: Any) -> Any:
        """Return an interactive map of a column of a collection; options as of `GeoDataFrame.explore`.

        Raises
        ------
        SettingsError
            If folium is not installed: it comes with the extra ``plot``.
        """
        return drawn("explore", self, collection, column, states, **options)

    def put(self, collection: str, state: str, frame: pd.DataFrame) -> Part:
        """Write the rows of one state; no reader sees them before `commit`.

        Parameters
        ----------
        frame : DataFrame or GeoDataFrame
            Sorted by its index; the index is the key.
        """
        buffer = io.BytesIO()
        frame.to_parquet(buffer, compression="zstd")
        data = buffer.getvalue()
        checksum = sha256(data)
        key = f"{check_collection(collection)}/{state}-{checksum[:16]}.parquet"
        # Also where it is already: left by a writer that was killed, it would look old and be cleaned away before
        # this one's commit.
        self.objects.put(key, data)
        bounds = None
        if isinstance(frame, gpd.GeoDataFrame) and len(frame):
            xmin, ymin, xmax, ymax = (float(value) for value in frame.total_bounds)
            bounds = (xmin, ymin, xmax, ymax)
        first, last = (str(frame.index[0]), str(frame.index[-1])) if len(frame) else ("", "")
        return Part(key, checksum, len(data), len(frame), first, last, bounds)

    def commit(
        self,
        collection: str,
        parts: Mapping[str, Part],
        provenance: Provenance,
        attributes: Mapping[str, Any] | None = None,
        *,
        keep_others: bool = False,
    ) -> Snapshot:
        """Make parts visible, all at once; see `snapshots.commit`."""
        return snapshots.commit(self.objects, collection, parts, provenance, attributes or {}, keep_others=keep_others)

    @contextlib.contextmanager
    def all_or_nothing(self, *collections: str) -> Iterator[None]:
        """Remove what was written to these collections and not committed, if the block fails."""
        before = {collection: set(self.objects.names(collection)) for collection in collections}
        try:
            yield
        except BaseException:
            # The failure itself is what the user must see, also where the store is out of reach by now.
            with contextlib.suppress(StoreError):
                self._discard(before)
            raise

    def _discard(self, before: Mapping[str, Set[str]]) -> None:
        """Remove the parts that were not there before and that neither a receipt nor a snapshot lists."""
        fresh = {
            f"{collection}/{name}"
            for collection, names in before.items()
            for name in set(self.objects.names(collection)) - names
            if not name.startswith("_")
        }
        # A receipt lists parts of several collections, and is removed only after its commit: receipts come first.
        listed = {key for collection in before for key in receipts.parts_of(self.objects, collection)}
        for collection in before:
            current = self.find(collection)
            listed |= {part.key for part in current.parts.values()} if current else set()
        for key in sorted(fresh - listed):
            self.objects.delete(key)

    def find(self, collection: str) -> Snapshot | None:
        """Return the newest snapshot of a collection, None where nothing was committed."""
        return snapshots.newest(self.objects, collection)[1]

    def snapshot(self, collection: str) -> Snapshot:
        """Return the newest snapshot of a collection.

        Raises
        ------
        InputError
            If there is none, naming what there is.
        """
        found = self.find(collection)
        if found is None:
            raise InputError(self.absent(collection))
        return found

    def absent(self, collection: str) -> str:
        """Return the message about a collection that is not there: the nearest name, and those there are."""
        # Where no year of a dataset is there, another dataset may have been meant.
        there = self.collections(collection.rsplit("/", 1)[0]) or self.collections(collection.split("/", 1)[0])
        return absent_message(self.url, collection, there)

    def columns(self, snapshot: Snapshot, states: Sequence[str] | None = None) -> builtins.list[str]:
        """Return the columns of a collection, from the footer of the first part with rows; none where all are empty."""
        first = next((part for part in self.chosen(snapshot, states).values() if part.rows), None)
        return [] if first is None else self._columns(first)

    def _columns(self, part: Part) -> builtins.list[str]:
        return list(map(str, self._no_rows(part, None).columns))

    def pinned(self) -> "Store":
        """Return the same store with fixed snapshots: a collection is looked up once.

        A plan of thousands of outputs looks each collection up once, and all its outputs see the same one. On a
        worker it is an ordinary store.
        """
        return _Pinned(self.url, self.objects.timeout)

    def collections(self, prefix: str = "") -> builtins.list[str]:
        """Return the committed collections below a prefix (all by default), sorted; cubes are none."""
        return committed(self.objects, prefix.strip("/"))

    def read(self, part: Part, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return one part as a frame in memory; only the columns asked for travel."""
        with self._opened(part) as stream:
            return _read_parquet(stream, pq.read_schema(stream), columns, f"{self.url}/{part.key}")

    def _no_rows(self, part: Part, columns: Sequence[str] | None) -> pd.DataFrame:
        """Return the columns and types of a part, from its footer alone."""
        with self._opened(part) as stream:
            schema = pq.read_schema(stream)
        empty = io.BytesIO()
        pq.write_table(schema.empty_table(), empty)
        return _read_parquet(empty, schema, columns, f"{self.url}/{part.key}")

    @contextlib.contextmanager
    def _opened(self, part: Part) -> Iterator[IO[bytes]]:
        try:
            with self.objects.open(part.key) as stream:
                yield stream
        except StoreError:
            raise
        except (pyarrow.lib.ArrowInvalid, OSError) as error:
            reason = one_line(error)
            raise StoreError(f"{self.url}/{part.key}: {reason}; expected the part that its snapshot lists") from error

    def frame(
        self,
        collection: str | Snapshot,
        *,
        states: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
    ) -> dd.DataFrame:
        """Return a collection as a lazy frame: one partition per state, known divisions, known bounds.

        Frames of one vintage have the same divisions whatever they hold (tracts, edges, measures, results): partition i
        of one belongs to partition i of another, without a shuffle. A state without rows is an empty partition.

        Parameters
        ----------
        collection : str or Snapshot
            Its name, or a snapshot found earlier.
        states : sequence of str, optional
            Codes or letters of states, such as ``["18", "OH"]``; by default those of the vintage's polygons together
            with the collection's own.
        columns : sequence of str, optional
            Columns to read; they may be narrowed later, and only those are read.

        Returns
        -------
        dask DataFrame or dask_geopandas GeoDataFrame
            Indexed by key. Divisions are the codes of the states.

        Raises
        ------
        InputError
            If there is no such collection, state or column.
        """
        snapshot = collection if isinstance(collection, Snapshot) else self.snapshot(collection)
        if not all(len(name) == 2 and name.isdigit() for name in snapshot.parts):
            return self._frame_of_parts(snapshot, columns)
        if states is None:
            names = sorted({*snapshot.parts, *self._states_of_vintage(snapshot)})
        else:
            names = self._known_states(snapshot, states)
        return self.aligned(snapshot, names, columns)

    def aligned(
        self, snapshot: Snapshot, states: Sequence[str], columns: Sequence[str] | None = None, *, attempt: int = 1
    ) -> dd.DataFrame:
        """Return a snapshot as a lazy frame of some states, sorted; see `frame`.

        Parameters
        ----------
        attempt : int
            Tasks of another attempt have other names: a scheduler may remember those that failed.
        """
        parts = [snapshot.parts.get(state) for state in states]
        # A state that others hold and this one lacks, or holds without rows, is an empty partition.
        parts = [part if part is not None and part.rows else None for part in parts]
        boxes = [shapely.box(*part.bounds) if part and part.bounds else shapely.Polygon() for part in parts]
        return self._lazy(snapshot, parts, (*states, "~"), boxes, columns, attempt)

    def _frame_of_parts(self, snapshot: Snapshot, columns: Sequence[str] | None) -> dd.DataFrame:
        parts = [part for part in snapshot.parts.values() if part.rows]
        ordered = all(one.last < other.first for one, other in itertools.pairwise(parts))
        divisions = (*(part.first for part in parts), parts[-1].last) if ordered else (None,) * (len(parts) + 1)
        return self._lazy(snapshot, parts, divisions, None, columns)

    def _lazy(
        self,
        snapshot: Snapshot,
        parts: Sequence[Part | None],
        divisions: tuple[str | None, ...],
        boxes: Sequence[Any] | None,
        columns: Sequence[str] | None,
        attempt: int = 1,
    ) -> dd.DataFrame:
        meta = self.empty(snapshot, columns)
        # Text stays pandas' own: the frame then holds what was stored, dtype for dtype.
        with dask.config.set({"dataframe.convert-string": False}):
            frame = dd.from_map(
                _read,
                list(parts),
                store=self,
                empty=meta,
                columns=None if columns is None else list(columns),
                attempt=attempt,
                meta=meta,
                divisions=divisions,
                label=f"read-{snapshot.collection.split('/', 1)[0]}",
            )
        if boxes is not None and isinstance(frame, dask_geopandas.GeoDataFrame):
            frame.spatial_partitions = gpd.GeoSeries(list(boxes), crs=meta.crs)
        return frame

    def empty(self, snapshot: Snapshot, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the columns and types of a collection as a frame without rows, from the footer of one part."""
        parts = list(snapshot.parts.values())
        if not parts:
            raise InputError(f"store {self.url}: {snapshot.collection} holds no states; expected at least one")
        meta = self._no_rows(next((part for part in parts if part.rows), parts[0]), columns)
        # Attributes read from one file of several make dask-geopandas compare them, and fail.
        meta.attrs = {}
        return meta

    def _states_of_vintage(self, snapshot: Snapshot) -> builtins.list[str]:
        kind, _, name = snapshot.collection.partition("/")
        vintage = name if kind in ("tracts", "neighbors") else snapshot.attributes.get("vintage")
        tracts = self.find(f"tracts/{vintage}") if vintage else None
        return [] if tracts is None else list(tracts.parts)

    def _known_states(self, snapshot: Snapshot, states: Sequence[str]) -> builtins.list[str]:
        names = sorted(state_codes(",".join(states)))
        absent = [state for state in names if state not in snapshot.parts]
        if absent and set(absent) - set(self._states_of_vintage(snapshot)):
            self.chosen(snapshot, absent)
        return names

    def chosen(self, snapshot: Snapshot, states: Sequence[str] | None) -> dict[str, Part]:
        """Return the parts of some states (all by default), sorted by state.

        Raises
        ------
        InputError
            If a state is not there.
        """
        if states is None:
            return dict(snapshot.parts)
        absent = [state for state in states if state not in snapshot.parts]
        if absent:
            raise InputError(
                f"{self.url}/{snapshot.collection}: no state {', '.join(absent)}; "
                f"expected one of: {', '.join(snapshot.parts)}"
            )
        return {state: snapshot.parts[state] for state in sorted(states)}


class _Pinned(Store):
    """A store that remembers snapshots and columns."""

    def __init__(self, url: str, timeout: float | None = None) -> None:
        super().__init__(url, timeout)
        self._found: dict[str, Snapshot | None] = {}
        self._named: dict[str, list[str]] = {}

    def __reduce__(self) -> tuple[type[Store], tuple[str, float]]:
        return Store, (self.url, self.objects.timeout)

    def find(self, collection: str) -> Snapshot | None:
        if collection not in self._found:
            self._found[collection] = super().find(collection)
        return self._found[collection]

    def _columns(self, part: Part) -> list[str]:
        if part.key not in self._named:
            self._named[part.key] = super()._columns(part)
        return self._named[part.key]


def _read_parquet(
    stream: IO[bytes], schema: pyarrow.lib.Schema, columns: Sequence[str] | None, where: str
) -> pd.DataFrame:
    absent = [column for column in columns or () if column not in schema.names]
    if absent:
        raise InputError(f"{where}: no column {absent[0]!r}; expected one of: {listed(schema.names, 40)}")
    is_geo = b"geo" in (schema.metadata or {}) and (columns is None or "geometry" in columns)
    stream.seek(0)
    reader = gpd.read_parquet if is_geo else pd.read_parquet
    return reader(stream, columns=None if columns is None else list(columns))


def _read(
    part: Part | None, *, store: Store, empty: pd.DataFrame, attempt: int, columns: list[str] | None = None
) -> pd.DataFrame:
    if part is None:
        return empty if columns is None else empty[list(columns)]
    frame = store.read(part, columns)
    frame.attrs = {}
    return frame
