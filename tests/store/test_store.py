import json
import os
import runpy
import subprocess
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import boto3
import dask_geopandas
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import s3fs
import shapely

from geomob_dask.errors import InputError, StoreError
from geomob_dask.store import Commit, Provenance, Receipt, Store
from geomob_dask.store.objects import Objects

FAULTY_STORAGE = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks/faulty_storage.py"))["FaultyStorage"]
PROVENANCE = Provenance("test", {"input": "0"})


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path) -> Store:
    return Store(str(tmp_path / "store") if request.param == "folder" else request.getfixturevalue("bucket"))


def table(state: str, n: int = 3, value: float = 1.0) -> pd.DataFrame:
    keys = pd.Index([f"{state}001{number:06d}" for number in range(n)], name="geoid")
    return pd.DataFrame({"people": np.arange(n, dtype=float), "share": value, "name": "tract"}, index=keys)


def polygons(state: str, n: int = 3) -> gpd.GeoDataFrame:
    frame = table(state, n)[["people"]]
    x = np.arange(n) + 10.0 * int(state)
    return gpd.GeoDataFrame(frame, geometry=shapely.box(x, 0, x + 1, 1), crs="EPSG:5070")


def commit(store: Store, collection: str, frames: dict[str, pd.DataFrame], **options):
    return store.commit(
        collection,
        {state: store.put(collection, state, frame) for state, frame in frames.items()},
        PROVENANCE,
        **options,
    )


def test_frames_come_back_by_state(store: Store):
    commit(store, "measures/x/2020", {state: table(state) for state in ("39", "18")})
    frame = store.frame("measures/x/2020")
    assert frame.divisions == ("18", "39", "~")
    pd.testing.assert_frame_equal(frame.compute(), pd.concat([table("18"), table("39")]), check_names=True)
    only = store.frame("measures/x/2020", states=["39"], columns=["share"])
    assert only.npartitions == 1
    pd.testing.assert_frame_equal(only.compute(), table("39")[["share"]])


def test_a_failure_leaves_what_receipts_of_any_collection_list(tmp_path):
    """A receipt lies beside the result, and lists parts of further collections too."""
    store = Store(str(tmp_path))
    names = ("reasons/x/2020", "measures/x/2020")

    def write() -> None:
        with store.all_or_nothing(*names):
            kept = [store.put(name, "18", table("18")) for name in names]
            store.put(names[0], "39", table("39"))
            commits = [Commit(name, {"18": part}, PROVENANCE) for name, part in zip(names, kept, strict=True)]
            store.objects.put(f"{names[1]}/_outputs/18-0.json", Receipt("18", commits).to_bytes())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    left = [name.split("-")[0] for collection in names for name in store.objects.names(collection) if "parquet" in name]
    assert left == ["18", "18"]


def test_frames_of_a_vintage_share_their_divisions(store: Store):
    commit(store, "tracts/2020", {state: polygons(state) for state in ("18", "39")})
    commit(store, "measures/x/2020", {"39": table("39")}, attributes={"vintage": "2020"})
    tracts, measures = store.frame("tracts/2020"), store.frame("measures/x/2020")
    assert tracts.divisions == measures.divisions == ("18", "39", "~")
    assert len(measures.partitions[0].compute()) == 0
    assert measures.partitions[0].compute().dtypes.equals(measures.dtypes)
    assert measures.loc["39001000001"].compute().index.tolist() == ["39001000001"]
    assert measures.loc["39001000001"].npartitions == 1
    letters = store.frame("measures/x/2020", states=["OH", "in"])
    assert letters.divisions == tracts.divisions
    assert tracts.spatial_partitions.bounds.to_numpy().tolist() == [[180, 0, 183, 1], [390, 0, 393, 1]]
    with pytest.raises(InputError, match="54"):
        store.frame("measures/x/2020", states=["54"])


def test_polygons_come_back_with_bounds_and_crs(store: Store):
    commit(store, "tracts/2020", {state: polygons(state) for state in ("18", "39")})
    frame = store.frame("tracts/2020")
    assert isinstance(frame, dask_geopandas.GeoDataFrame)
    assert frame.crs == "EPSG:5070"
    assert frame.spatial_partitions.bounds.to_numpy().tolist() == [[180, 0, 183, 1], [390, 0, 393, 1]]
    assert frame.compute().geometry.geom_equals(pd.concat([polygons("18"), polygons("39")]).geometry).all()
    # Keys alone are read without a polygon.
    assert not isinstance(frame[["people"]].compute(), gpd.GeoDataFrame)


def test_only_the_columns_asked_for_are_read(tmp_path):
    store = Store(str(tmp_path))
    wide = pd.DataFrame(
        {f"c{k}": np.random.default_rng(k).random(4000) for k in range(50)},
        index=pd.Index([f"18001{number:06d}" for number in range(4000)], name="geoid"),
    )
    snapshot = commit(store, "measures/x/2020", {"18": wide})
    part = snapshot.parts["18"]
    # Destroy the bytes of all columns but the first and the index: reading the first must not notice.
    import pyarrow.parquet as pq

    path = store.objects.path(part.key)
    group = pq.ParquetFile(path).metadata.row_group(0)
    chunks = {group.column(k).path_in_schema: group.column(k) for k in range(group.num_columns)}
    with open(path, "r+b") as stream:
        for name, chunk in chunks.items():
            if name not in ("c0", "geoid"):
                stream.seek(chunk.dictionary_page_offset or chunk.data_page_offset)
                stream.write(b"\xff" * chunk.total_compressed_size)
    pd.testing.assert_frame_equal(store.frame("measures/x/2020", columns=["c0"]).compute(), wide[["c0"]])
    pd.testing.assert_frame_equal(store.frame("measures/x/2020")[["c0"]].compute(), wide[["c0"]])
    with pytest.raises(StoreError, match="expected the part that its snapshot lists"):
        store.frame("measures/x/2020", columns=["c1"]).compute()


def test_what_is_not_committed_is_not_seen(store: Store):
    store.put("measures/x/2020", "18", table("18"))
    assert store.find("measures/x/2020") is None
    with pytest.raises(InputError, match="no measures/x/2020"):
        store.snapshot("measures/x/2020")
    commit(store, "measures/x/2020", {"18": table("18")})
    store.put("measures/x/2020", "39", table("39"))
    assert list(store.snapshot("measures/x/2020").parts) == ["18"]


def test_states_are_added_and_replaced(store: Store):
    commit(store, "measures/x/2020", {"18": table("18"), "39": table("39")}, keep_others=True)
    commit(store, "measures/x/2020", {"39": table("39", value=2.0)}, keep_others=True)
    found = store.frame("measures/x/2020").compute()
    assert found.groupby(found.index.str[:2])["share"].first().to_dict() == {"18": 1.0, "39": 2.0}
    commit(store, "measures/x/2020", {"39": table("39")})
    assert list(store.snapshot("measures/x/2020").parts) == ["39"]


def test_attributes_of_kept_states_must_agree(store: Store):
    commit(store, "tracts/2020", {"18": polygons("18")}, attributes={"crs": "EPSG:5070"}, keep_others=True)
    with pytest.raises(StoreError, match=r"holds states 18 with crs EPSG:5070, found crs EPSG:4269 for 39"):
        commit(store, "tracts/2020", {"39": polygons("39")}, attributes={"crs": "EPSG:4269"}, keep_others=True)
    assert list(store.snapshot("tracts/2020").parts) == ["18"]


def test_same_input_same_bytes(store: Store, tmp_path):
    other = Store(str(tmp_path / "other"))
    for where in (store, other):
        commit(where, "measures/x/2020", {"18": table("18")})
        commit(where, "measures/x/2020", {"18": table("18")})
    names = store.objects.names("measures/x/2020/_snapshots")
    assert names == ["00000001.json"], "a commit of what is there already is none"
    key = "measures/x/2020/_snapshots/00000001.json"
    assert store.objects.get(key) == other.objects.get(key)


def test_of_many_writers_none_is_lost(store: Store):
    states = [f"{number:02d}" for number in range(10, 22)]

    def write(state: str) -> None:
        commit(store, "measures/x/2020", {state: table(state)}, keep_others=True)

    with ThreadPoolExecutor(len(states)) as pool:
        list(pool.map(write, states))
    assert list(store.snapshot("measures/x/2020").parts) == states
    assert len(store.objects.names("measures/x/2020/_snapshots")) == len(states)


def test_nothing_is_below_an_object(store: Store):
    """As a bucket has it: names of files that were ingested may look like names of collections."""
    store.objects.put("files/44.json", b"{}")
    assert store.objects.names("files/44.json/_snapshots") == []
    assert store.find("files/44.json") is None


def test_create_has_one_winner(store: Store):
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda number: store.objects.create("marker", b"%d" % number), range(8)))
    assert won.count(True) == 1
    assert store.objects.get("marker") == b"%d" % won.index(True)


def test_a_failed_run_takes_its_parts_with_it(store: Store):
    commit(store, "measures/x/2020", {"18": table("18")})
    before = store.objects.names("measures/x/2020")

    def fail_half_way() -> None:
        with store.all_or_nothing("measures/x/2020"):
            store.put("measures/x/2020", "18", table("18"))
            store.put("measures/x/2020", "39", table("39"))
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        fail_half_way()
    assert store.objects.names("measures/x/2020") == before
    assert len(store.frame("measures/x/2020").compute()) == 3


def test_a_killed_writer_leaves_nothing_to_be_seen(tmp_path):
    """SIGKILL between the parts and the commit, and in the middle of a part."""
    code = """
    import os, signal, sys
    import pandas as pd
    from geomob_dask.store import Store
    store = Store(sys.argv[1])
    frame = pd.DataFrame({"a": [1.0]}, index=pd.Index(["18001000000"], name="geoid"))
    store.put("measures/x/2020", "18", frame)
    if sys.argv[2] == "part":
        os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
        store.put("measures/x/2020", "39", frame + 1)
    os.kill(os.getpid(), signal.SIGKILL)
    """
    for when in ("part", "commit"):
        done = subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(tmp_path), when], check=False)
        assert done.returncode == -9
        store = Store(str(tmp_path))
        assert store.find("measures/x/2020") is None
        assert all(
            name.endswith(".parquet") and name.startswith("18-") for name in store.objects.names("measures/x/2020")
        )


def test_a_newer_format_is_refused(store: Store):
    snapshot = commit(store, "measures/x/2020", {"18": table("18")})
    newer = snapshot.to_bytes().replace(b'"format": 1', b'"format": 2')
    assert store.objects.create("measures/x/2020/_snapshots/00000002.json", newer)
    with pytest.raises(StoreError, match="written in format 2 by a newer version; expected 1 or older"):
        store.snapshot("measures/x/2020")
    store.objects.put("measures/x/2020/_snapshots/00000002.json", b"{}")
    with pytest.raises(StoreError, match="not a snapshot of a store"):
        store.snapshot("measures/x/2020")


def test_unknown_state_and_column_are_named(store: Store):
    commit(store, "measures/x/2020", {"18": table("18")})
    with pytest.raises(InputError, match="no state 39; expected one of: 18"):
        store.frame("measures/x/2020", states=["18", "39"])
    with pytest.raises(InputError, match="no column 'gini'; expected one of: people, share, name"):
        store.frame("measures/x/2020", columns=["gini"])


@pytest.mark.parametrize(("url", "message"), [("", "expected a folder or s3"), ("gs://x/y", "found the protocol 'gs'")])
def test_a_store_is_a_folder_or_a_bucket(url: str, message: str):
    with pytest.raises(StoreError, match=message):
        Objects(url)


def test_a_missing_bucket_is_named(s3_endpoint: str):
    with pytest.raises(StoreError, match=r"no-such-bucket.*expected"):
        Store("s3://no-such-bucket/prefix").find("tracts/2020")
    with pytest.raises(StoreError, match=r"no-such-bucket.*expected"):
        Store("s3://no-such-bucket/prefix").put("tracts/2020", "18", table("18"))


def test_without_credentials_the_message_says_what_is_needed(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    code = "from geomob_dask.store import Store; Store('s3://some-bucket/x').find('tracts/2020')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert "StoreError: cannot list s3://some-bucket/x" in done.stderr
    assert "AWS_ACCESS_KEY_ID" in done.stderr


def test_provenance_knows_equal_runs():
    assert PROVENANCE.identity == Provenance("test", {"input": "0"}).identity
    assert PROVENANCE.identity == replace(PROVENANCE, report={"rows": 3}).identity
    for other in (
        replace(PROVENANCE, inputs={"input": "1"}),
        replace(PROVENANCE, options={"norm": "state"}),
        replace(PROVENANCE, versions={**PROVENANCE.versions, "numpy": "1"}),
    ):
        assert other.identity != PROVENANCE.identity


def test_a_snapshot_that_was_changed_is_refused(store: Store):
    report = {"rows": {10: 1, 9: 2}}
    store.commit(
        "measures/x/2020",
        {"18": store.put("measures/x/2020", "18", table("18"))},
        Provenance("test", {}, report=report),
    )
    key = "measures/x/2020/_snapshots/00000001.json"
    data = store.objects.get(key)
    assert store.snapshot("measures/x/2020").parts["18"].rows == 3
    # A number of the report, which nothing else would notice.
    store.objects.put(key, data.replace(b'"10": 1', b'"10": 7'))
    with pytest.raises(StoreError, match=r"00000001\.json: its content does not have its checksum"):
        store.snapshot("measures/x/2020")
    old = json.loads(data)
    del old["sha256"]
    store.objects.put(key, json.dumps(old).encode())
    assert store.snapshot("measures/x/2020").parts["18"].rows == 3, "snapshots without a checksum stay readable"


def test_storage_that_does_not_answer_is_no_absence(store: Store, monkeypatch: pytest.MonkeyPatch):
    assert not store.objects.exists("a/b.json")
    store.objects.put("a/b.json", b"{}")
    assert store.objects.exists("a/b.json")
    assert not store.objects.exists("a")
    assert not store.objects.exists("a/b.json/c")

    def fails(*args, **kwargs):
        raise OSError("503 slow down")

    monkeypatch.setattr(store.objects._fs, "info", fails)
    with pytest.raises(StoreError, match=r"cannot look for .*a/b\.json: 503 slow down"):
        store.objects.exists("a/b.json")


class _Arriving(FAULTY_STORAGE):
    """A gateway that has an object from its n-th request on."""

    def __init__(self, upstream: str, n: int, arrive: Callable[[], None]) -> None:
        super().__init__(upstream, rate=0.0)
        self.n, self.arrive = n, arrive

    def draw(self) -> tuple[str, float]:
        self.n -= 1
        if self.n == 0:
            self.arrive()
        return super().draw()


@pytest.mark.parametrize("n", range(1, 7))
def test_an_object_that_comes_while_a_bucket_is_listed_is_there_or_not(bucket: str, s3_endpoint, monkeypatch, n: int):
    behind, arrived = Objects(bucket), []

    def arrive() -> None:
        # By a client of its own: that of the listing waits for this answer.
        name, prefix = bucket.removeprefix("s3://").split("/")
        boto3.client("s3", endpoint_url=s3_endpoint).put_object(Bucket=name, Key=f"{prefix}/a/b", Body=b"0")
        arrived.append("a/b")

    for look in ("listing", "names", "folders"):
        with _Arriving(s3_endpoint, n, arrive).running() as gateway:
            monkeypatch.setenv("AWS_ENDPOINT_URL", gateway.url)
            s3fs.S3FileSystem.clear_instance_cache()
            found = getattr(Objects(bucket), look)("")
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
        s3fs.S3FileSystem.clear_instance_cache()
        assert [getattr(one, "key", one) for one in found] in ([], ["a/b" if look == "listing" else "a"])
        behind.delete("a/b")
    assert n > 3 or arrived


def test_nothing_is_below_an_object_and_a_prefix_has_no_time(store: Store):
    store.objects.put("a/b", b"0")
    assert store.objects.names("a/b") == store.objects.folders("a/b") == store.objects.listing("a/b") == []
    assert store.objects.modified("a/c") is None
    assert store.objects.modified("a/b") > 0
