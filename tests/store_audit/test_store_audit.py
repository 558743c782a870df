"""A store judged from outside: exactly the damaged object is named, exactly the orphans go."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from stores import QUIET, build_graph, build_index, contents, ingest_sample

from geomob_dask.errors import InputError, NewerStoreError, StoreError
from geomob_dask.runs import verify as runs
from geomob_dask.store import Commit, Provenance, Receipt, Store, checks, cleaning, receipts
from geomob_dask.store.provenance import sha256
from geomob_dask.store.snapshots import snapshot_key

MEASURES, RESULT = "measures/x/2020", "results/made/x/2020/all"
STATES = ("18", "39", "72")
LATE = Provenance("made", {}, {"value": "late"})


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path) -> Store:
    where = getattr(request, "param", "folder")
    return Store(str(tmp_path / "store") if where == "folder" else request.getfixturevalue("bucket"))


# Most of it is the same wherever the objects lie; these go to the bucket as well.
in_both = pytest.mark.parametrize("store", ["folder", "bucket"], indirect=True)


def table(state: str, value: float = 1.0, n: int = 5) -> pd.DataFrame:
    keys = pd.Index([f"{state}001{number:06d}" for number in range(n)], name="geoid", dtype="str")
    return pd.DataFrame({"people": np.arange(n, dtype=float), "share": value}, index=keys)


def commit(store: Store, collection: str, provenance: Provenance, value: float = 1.0, states=STATES, **options):
    parts = {state: store.put(collection, state, table(state, value)) for state in states}
    return store.commit(collection, parts, provenance, {"vintage": "x"}, **options)


def measures(store: Store, value: float = 1.0, states=STATES):
    return commit(store, MEASURES, Provenance("ingest", {"file.csv": "0"}), value, states, keep_others=True)


def result(store: Store, value: float = 2.0):
    inputs = {MEASURES: store.snapshot(MEASURES).checksum()}
    return commit(store, RESULT, Provenance("made", inputs, {"value": value}), value)


def filled(store: Store) -> Store:
    """Return a store with two commits of measures and one of a result of them."""
    measures(store, 0.5, ("18",))
    measures(store)
    result(store)
    return store


def verified(store: Store, client=None, **options) -> runs.Verified:
    return runs.verify(store, client, QUIET, **options)


def damage(found: runs.Verified) -> list[tuple[str, str]]:
    return [(finding.kind, finding.key) for finding in found.damage]


def age(store: Store, seconds: float, *keys: str) -> None:
    """Make objects of a folder look older."""
    for key in keys or contents(store):
        then = time.time() - seconds
        os.utime(store.objects.path(key), (then, then))


def cleaned(store: Store, **options) -> set[str]:
    """Clean, and return what is gone."""
    before = set(everything(store))
    found = cleaning.unreferenced(store.objects, **options)
    told = {one.key for one in found.removable}
    assert cleaning.remove(store.objects, found) == len(told)
    gone = before - set(everything(store))
    assert gone == told
    return gone


def everything(store: Store) -> list[str]:
    return [found.key for found in store.objects.listing()]


# Verify -----------------------------------------------------------------------------------------


@in_both
def test_a_whole_store_passes(store: Store):
    found = verified(filled(store))
    assert (found.damage, found.stale) == ((), ())
    assert (found.collections, found.snapshots, found.parts, found.outside) == (2, 3, 6, 1)
    assert found.size == sum(part.size for name in (MEASURES, RESULT) for part in store.snapshot(name).parts.values())
    assert "0 damaged, 0 stale" in found.lines()[0]


def flipped(data: bytes) -> bytes:
    place = len(data) // 2
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@in_both
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (flipped, "found the checksum"),
        (lambda data: data[:-7], "cut off"),
        (lambda _: b"", "found 0 bytes"),
        (lambda data: data + b"\0", "longer"),
        (None, "found no object"),
    ],
    ids=["a bit", "cut off", "empty", "longer", "gone"],
)
def test_exactly_the_damaged_part_is_named(store: Store, change: Callable[[bytes], bytes] | None, says: str):
    part = filled(store).snapshot(RESULT).parts["39"]
    if change is None:
        store.objects.delete(part.key)
    else:
        store.objects.put(part.key, change(store.objects.get(part.key)))
    found = verified(store)
    assert damage(found) == [(checks.MISSING if change is None else checks.CHANGED, part.key)]
    assert found.damage[0].states == ("39",)
    assert says in found.damage[0].what
    assert verified(store, prefix="measures").damage == ()


@pytest.mark.parametrize("field", ["rows", "first", "last"])
def test_a_snapshot_that_lies_about_rows_or_keys_is_found(store: Store, field: str):
    part = store.put(MEASURES, "18", table("18"))
    lie = replace(part, **{field: 4 if field == "rows" else "18999"})
    store.commit(MEASURES, {"18": lie}, Provenance("ingest", {}))
    assert damage(verified(store)) == [(checks.CHANGED, part.key)]


@pytest.mark.parametrize(
    "frame",
    [
        table("18").iloc[:0],
        pd.DataFrame({"x": [1.0, 2.0]}, index=pd.RangeIndex(4, 8, 2)),
        pd.DataFrame({"x": [1.0, 2.0]}, index=pd.Index([7, 9], name="n")),
        pd.DataFrame({"x": [1.0, 2.0]}, index=pd.Index(["a", "b"])),
    ],
    ids=["empty", "range", "numbers", "no name"],
)
def test_every_index_that_can_be_stored_passes(store: Store, frame: pd.DataFrame):
    store.commit(MEASURES, {"18": store.put(MEASURES, "18", frame)}, Provenance("ingest", {}))
    assert verified(store).damage == ()


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("change", [flipped, lambda data: data[:-40], lambda _: b"", lambda _: b"{}"])
def test_exactly_the_damaged_snapshot_is_named(store: Store, number: int, change: Callable[[bytes], bytes]):
    key = snapshot_key(MEASURES, number)
    filled(store).objects.put(key, change(store.objects.get(key)))
    assert damage(verified(store)) == [(checks.UNREADABLE, key)]
    assert not verified(store).stale, "nothing is said of inputs that cannot be read"


def test_a_snapshot_in_the_wrong_place_is_named(store: Store):
    filled(store).objects.put(snapshot_key(RESULT, 2), store.objects.get(snapshot_key(MEASURES, 2)))
    found = verified(store)
    assert damage(found) == [(checks.UNREADABLE, snapshot_key(RESULT, 2))]
    assert f"a snapshot of {MEASURES}" in found.damage[0].what


def test_a_lost_snapshot_in_between_is_named(store: Store):
    measures(filled(store), 3.0)
    store.objects.delete(snapshot_key(MEASURES, 2))
    found = verified(store)
    assert damage(found) == [(checks.MISSING, snapshot_key(MEASURES, 2))]
    assert found.unlisted == len(STATES)


@in_both
def test_a_lost_newest_snapshot_shows_in_what_was_made_from_it(store: Store):
    filled(store).objects.delete(snapshot_key(MEASURES, 2))
    found = verified(store)
    assert found.damage == ()
    assert [(one.key, one.what) for one in found.stale] == [(RESULT, f"its input {MEASURES} has changed since")]
    assert found.unlisted == len(STATES)
    store.objects.delete(snapshot_key(MEASURES, 1))
    assert [one.what for one in verified(store).stale] == [f"its input {MEASURES} is gone"]


def test_a_part_of_an_older_commit_that_is_gone_is_named_with_it(store: Store):
    first = measures(store, 0.5, ("18",))
    measures(store)
    store.objects.delete(first.parts["18"].key)
    found = verified(store)
    assert damage(found) == [(checks.MISSING, snapshot_key(MEASURES, 1))]
    assert first.parts["18"].key in found.damage[0].what


@in_both
def test_a_newer_version_is_told_and_nothing_is_removed(store: Store):
    newer = filled(store).snapshot(RESULT).to_bytes().replace(b'"format": 1', b'"format": 2')
    store.objects.put(snapshot_key(RESULT, 2), newer)
    store.put(RESULT, "18", table("18", 9.0))
    found = verified(store)
    assert damage(found) == [(checks.NEWER, snapshot_key(RESULT, 2))]
    assert "written in format 2 by a newer version" in found.damage[0].what
    with pytest.raises(NewerStoreError, match="newer version; expected 1 or older; nothing was removed"):
        cleaning.unreferenced(store.objects, older_than=0)


def test_a_part_with_fields_of_a_newer_version_stops_cleaning(store: Store):
    key = snapshot_key(RESULT, 1)
    plain = json.loads(filled(store).objects.get(key))
    del plain["sha256"]
    plain["parts"]["18"]["codec"] = "new"
    store.objects.put(key, json.dumps(plain).encode())
    assert damage(verified(store)) == [(checks.UNREADABLE, key)]
    with pytest.raises(StoreError, match=r"codec.*nothing was removed"):
        cleaning.unreferenced(store.objects, older_than=0)


def test_what_was_made_from_other_inputs_is_stale_and_whole(store: Store):
    measures(filled(store), 7.0, ("39",))
    found = verified(store)
    assert found.damage == ()
    assert [(one.kind, one.key, one.states) for one in found.stale] == [(checks.STALE, RESULT, STATES)]
    result(store)
    assert verified(store).stale == ()


def test_an_input_of_some_states_is_stale_only_if_those_change(store: Store):
    measures(store)
    inputs = {MEASURES: store.snapshot(MEASURES).checksum(["18", "39"])}
    commit(store, RESULT, Provenance("made", inputs, {"states": ["18", "39"]}), states=("18", "39"))
    measures(store, 7.0, ("72",))
    assert verified(store).stale == ()
    measures(store, 7.0, ("39",))
    assert [one.key for one in verified(store).stale] == [RESULT]


@in_both
def test_a_kept_download_is_an_input_too(store: Store):
    store.objects.put("acs/2020/B1/18.json", b"answer")
    inputs = {"acs/2020/B1/18.json": sha256(b"answer")}
    commit(store, MEASURES, Provenance("ingest", inputs))
    assert verified(store).stale == ()
    store.objects.put("acs/2020/B1/18.json", b"another")
    assert [one.what for one in verified(store).stale] == ["its input acs/2020/B1/18.json has changed since"]


def test_an_empty_store_or_prefix_is_bad_input(store: Store):
    store.put(MEASURES, "18", table("18"))
    with pytest.raises(InputError, match="found no commit among 1 object"):
        verified(store)
    measures(store)
    with pytest.raises(InputError, match="no collection below 'measures/y'; did you mean 'measures/x/2020'"):
        verified(store, prefix="measures/y")


@pytest.mark.parametrize("change", [None, flipped])
def test_a_cluster_finds_what_this_process_finds(store: Store, client, change):
    part = filled(store).snapshot(RESULT).parts["72"]
    if change:
        store.objects.put(part.key, change(store.objects.get(part.key)))
    assert verified(store, client) == verified(store)


def test_real_runs_are_current_until_their_input_changes(tmp_path):
    store = ingest_sample(str(tmp_path / "store"), tmp_path)
    build_graph(store)
    build_index(store)
    found = verified(store)
    assert (found.damage, found.stale) == ((), ())
    snapshot = store.snapshot("measures/sample/2020")
    state, part = next(iter(snapshot.parts.items()))
    changed = store.read(part)
    changed.iloc[0, 0] += 1
    store.commit(
        snapshot.collection,
        {state: store.put(snapshot.collection, state, changed)},
        Provenance("ingest", {}),
        snapshot.attributes,
        keep_others=True,
    )
    stale = {one.key.split("/")[0]: one.what for one in verified(store).stale}
    assert stale == dict.fromkeys(("norms", "results"), "its input measures/sample/2020 has changed since")


# Clean ------------------------------------------------------------------------------------------


def receipt(store: Store, parts, provenance: Provenance = LATE) -> str:
    """Write the receipt of an output that waits for its commit; return its key."""
    state = next(iter(parts))
    key = receipts.key_of(RESULT, state, provenance.identity)
    store.objects.put(key, Receipt(state, (Commit(RESULT, parts, provenance, {"vintage": "x"}),)).to_bytes())
    return key


def test_nothing_goes_from_a_store_without_orphans(store: Store):
    assert cleaned(filled(store), older_than=0) == set()


@in_both
def test_exactly_the_orphans_go(store: Store):
    filled(store)
    kept = contents(store)
    orphans = {
        store.put(RESULT, "18", table("18", 9.0)).key,
        store.put("results/never/x/2020/all", "18", table("18")).key,
    }
    assert cleaned(store, older_than=3600) == set(), "a running job may be about to commit them"
    found = cleaning.unreferenced(store.objects)
    assert ({one.key for one in found.young}, found.future) == (orphans, ())
    assert cleaned(store, older_than=0) == orphans
    assert contents(store) == kept
    assert verified(store).damage == ()


@in_both
def test_cubes_journals_downloads_and_strangers_stay(store: Store):
    first = measures(store, 0.5, ("18",))
    filled(store)
    strangers = {
        "cubes/deprivation/chunks/18-0123456789abcdef.parquet",
        "cubes/deprivation/.x.0123456789abcdef0123456789abcdef",
        "backfills/night/failed/18-0123456789abcdef.json",
        "backfills/night/18-0123456789abcdef.parquet",
        "acs/2020/B1/18.json",
        "acs/2020/B1/18.json.about",
        "tiger/2020/tl_18.zip",
        "models/zones/forest.zip",
        "notes.txt",
        f"{RESULT}/mine.parquet",
        f"{RESULT}/18-0123456789abcdef.csv",
    }
    for key in strangers:
        store.objects.put(key, b"mine")
    gone = cleaned(store, older_than=0, history=True, uncommitted=True)
    assert gone == {snapshot_key(MEASURES, 1), first.parts["18"].key}
    assert strangers <= set(everything(store))
    assert verified(store).cubes == ("deprivation",)


@in_both
def test_history_goes_only_when_asked_for_and_not_what_was_newest_a_moment_ago(store: Store):
    first = measures(store, 0.5)
    second = measures(store, 1.5, ("18",))
    assert cleaned(store, older_than=0) == set()
    assert cleaned(store, older_than=3600, history=True) == set()
    gone = cleaned(store, older_than=0, history=True)
    assert gone == {snapshot_key(MEASURES, 1), first.parts["18"].key}
    assert store.snapshot(MEASURES) == second
    assert damage(verified(store)) == []
    # The next commit goes on from there.
    measures(store, 2.5)
    assert store.objects.names(f"{MEASURES}/_snapshots") == ["00000002.json", "00000003.json"]


@in_both
def test_an_output_that_waits_for_its_commit_stays_until_it_is_given_up(store: Store):
    filled(store)
    waits = {"18": store.put(RESULT, "18", table("18", 9.0))}
    key = receipt(store, waits)
    assert cleaned(store, older_than=0) == set()
    assert [one.key for one in cleaning.unreferenced(store.objects, older_than=0).waiting] == [key]
    assert cleaned(store, older_than=3600, uncommitted=True) == set()
    assert cleaned(store, older_than=0, uncommitted=True) == {key, waits["18"].key}


@in_both
def test_receipts_of_no_use_go(store: Store):
    filled(store)
    commit(store, RESULT, LATE, 2.0)
    committed = receipt(store, {"18": store.snapshot(RESULT).parts["18"]})
    gone = store.put(RESULT, "39", table("39", 9.0))
    store.objects.delete(gone.key)
    broken = receipt(store, {"39": gone})
    nonsense = f"{RESULT}/_outputs/72-0.json"
    store.objects.put(nonsense, b"{")
    assert sorted(damage(verified(store))) == [(checks.MISSING, broken), (checks.UNREADABLE, nonsense)]
    assert cleaned(store, older_than=0) == {committed, broken, nonsense}
    assert verified(store).damage == ()


def test_a_receipt_of_another_run_with_the_same_rows_still_waits(store: Store):
    part = filled(store).snapshot(RESULT).parts["18"]
    receipt(store, {"18": part})
    assert cleaned(store, older_than=0) == set()


def test_a_receipt_of_a_newer_version_stops_cleaning(store: Store):
    filled(store)
    key = receipt(store, {"18": store.put(RESULT, "18", table("18", 9.0))})
    store.objects.put(key, store.objects.get(key).replace(b'"format": 1', b'"format": 2'))
    assert damage(verified(store)) == [(checks.NEWER, key)]
    with pytest.raises(NewerStoreError, match="nothing was removed"):
        cleaning.unreferenced(store.objects, older_than=0)


def test_a_damaged_snapshot_stops_cleaning(store: Store):
    filled(store)
    store.objects.put(snapshot_key(RESULT, 1), b"{")
    before = contents(store)
    with pytest.raises(StoreError, match="nothing was removed, because what it lists is not known"):
        cleaning.unreferenced(store.objects, older_than=0)
    assert contents(store) == before


@in_both
def test_what_is_committed_or_written_again_after_the_listing_stays(store: Store):
    filled(store)
    frames = {state: table(state, 9.0) for state in ("18", "39")}
    parts = {state: store.put(RESULT, state, frame) for state, frame in frames.items()}
    found = cleaning.unreferenced(store.objects, older_than=0)
    assert {one.key for one in found.parts} == {part.key for part in parts.values()}
    store.commit(RESULT, {"18": parts["18"]}, LATE, {"vintage": "x"}, keep_others=True)
    assert cleaning.remove(store.objects, found) == 1
    assert verified(store).damage == ()


def test_a_part_that_a_job_writes_again_looks_fresh(tmp_path):
    store = filled(Store(str(tmp_path)))
    part = store.put(RESULT, "18", table("18", 9.0))
    age(store, 7200)
    found = cleaning.unreferenced(store.objects)
    assert [one.key for one in found.parts] == [part.key]
    store.put(RESULT, "18", table("18", 9.0))
    assert cleaning.remove(store.objects, found) == 0
    store.commit(RESULT, {"18": part}, LATE, {"vintage": "x"}, keep_others=True)
    assert verified(store).damage == ()


def test_age_is_the_storages_and_a_clock_set_back_removes_nothing(tmp_path):
    store = filled(Store(str(tmp_path)))
    keys = [store.put(RESULT, state, table(state, 9.0)).key for state in STATES]
    age(store, 7200, keys[0])
    age(store, 3000, keys[1])
    age(store, -86400, keys[2])
    found = cleaning.unreferenced(store.objects)
    assert [one.key for one in found.removable] == [keys[0]]
    assert {one.key for one in found.young} == {keys[1], keys[2]}
    assert [one.key for one in found.future] == [keys[2]]
    assert cleaned(store, older_than=0) == {keys[0], keys[1]}


def test_unfinished_objects_of_a_folder_go_once_they_are_old(tmp_path):
    store = filled(Store(str(tmp_path)))
    left = [
        f"{RESULT}/.18-0123456789abcdef.parquet.{'0' * 32}",
        f"{RESULT}/_snapshots/.00000002.json.{'1' * 32}",
        f"acs/2020/.18.json.{'2' * 32}",
    ]
    for key in left:
        store.objects.put(key, b"half")
    assert cleaned(store) == set()
    age(store, 7200, *left)
    assert cleaned(store) == set(left)


@in_both
def test_two_cleanings_at_once_do_no_harm(store: Store):
    filled(store)
    store.put(RESULT, "18", table("18", 9.0))
    one, other = (cleaning.unreferenced(store.objects, older_than=0) for _ in range(2))
    assert cleaning.remove(store.objects, one) == 1
    assert cleaning.remove(store.objects, other) == 0


# The job ----------------------------------------------------------------------------------------


@in_both
def test_the_job_tells_by_its_exit_code(store: Store, job):
    filled(store)
    there = ("--store", store.url)
    serial = (*there, "--cluster", "serial")
    done = job("store", "verify", *serial)
    assert (done.code, done.err) == (0, "")
    assert "read 6 parts" in done.out
    assert f"{RESULT}  " in job("store", "list", *there).out
    orphan = store.put(RESULT, "18", table("18", 9.0)).key
    assert "to be removed: 0 objects" in job("store", "clean", *there).out
    assert orphan in job("store", "clean", "--older-than", "0s", "--dry-run", *there).out
    assert orphan in everything(store)
    assert "removed 1 object" in job("store", "clean", "--older-than", "0s", *there).out
    assert orphan not in everything(store)
    part = store.snapshot(RESULT).parts["18"].key
    store.objects.delete(part)
    done = job("store", "verify", *serial)
    assert done.code == 1
    assert f"missing: {part}: found no object" in done.out
    assert done.err.startswith(f"error: store {store.url}: 1 damaged object, the first missing: {part}")


@pytest.mark.parametrize("text", ["1", "h", "-1h", "1w", "", "1h30m"])
def test_no_duration_is_bad_usage(tmp_path, job, text: str):
    done = job("store", "clean", f"--older-than={text}", "--store", tmp_path)
    assert done.code == 2
    assert f"--older-than {text}: expected a number and one of s, m, h, d" in done.err


def snapshots_of_five(store: Store) -> list[str]:
    for value in range(5):
        measures(store, float(value))
    return [snapshot_key(MEASURES, number) for number in range(1, 6)]


def test_odd_times_leave_no_gap_between_commits(store: Store):
    """The third commit looks younger than those after it: the second was the newest until then, as far as one knows."""
    keys = snapshots_of_five(store)
    age(store, 7200)
    age(store, 0, keys[2])
    assert cleaned(store, history=True) & set(keys) == {keys[0]}
    assert damage(verified(store)) == []


def test_a_cleaning_that_is_stopped_leaves_no_gap_between_commits(store: Store, monkeypatch):
    keys = snapshots_of_five(store)
    found = cleaning.unreferenced(store.objects, older_than=0, history=True)
    real = store.objects.delete

    def stops(key: str) -> None:
        if key == keys[1]:
            raise StoreError("storage is down")
        real(key)

    monkeypatch.setattr(store.objects, "delete", stops)
    with pytest.raises(StoreError, match="storage is down"):
        cleaning.remove(store.objects, found)
    assert set(everything(store)) & set(keys) == set(keys[1:])
    assert damage(verified(store)) == []
    # One that was written again since the listing stays, and so do those after it.
    monkeypatch.undo()
    age(store, -60, keys[2])
    cleaning.remove(store.objects, found)
    assert set(everything(store)) & set(keys) == set(keys[2:])


def test_lock_files_of_cubes_are_no_cubes(store: Store):
    filled(store)
    store.objects.put("cubes/one/repo", b"x")
    for name in (".one.lock", ".lock"):
        store.objects.put(f"cubes/{name}", b"")
    assert verified(store).cubes == ("one",)
