"""Cubes: the same arrays from any number of workers, one commit, nothing half-written, nothing lost."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import distributed
import numpy as np
import pytest
import xarray as xr
from cube_results import PRODUCT, QUIET, STATES, geoids, objects, put, put_year, scores, whole, write_cube
from distributed.diagnostics.plugin import SchedulerPlugin

import geomob_dask
from geomob_dask.errors import InputError, RunError, StoreError
from geomob_dask.store import Store
from geomob_dask.store.cube_changes import cube_change
from geomob_dask.store.cube_form import VARIABLES, form_of
from geomob_dask.store.cubes import Cube, cube_names, open_cube

YEARS = (2015, 2018)


def filled(url: str, years=YEARS, **options) -> tuple[Store, dict[int, str]]:
    store = Store(url)
    return store, {year: put_year(store, year, **options) for year in years}


def loaded(store: Store, name: str = "made", **options) -> xr.Dataset:
    cube = open_cube(store, name, **options).load()
    cube.attrs.pop("version")
    return cube


def test_a_cube_holds_what_the_results_hold(tmp_path) -> None:
    store, results = filled(str(tmp_path))
    done = write_cube(store, "made", results, None, QUIET, block=16)
    assert (done.tracts, done.chunks) == (60, 8)
    cube = open_cube(store, "made")
    assert cube_names(store) == ["made"]
    assert list(cube["year"]) == [2015, 2018]
    assert cube["tract"].values.tolist() == [key for state in STATES for key in geoids(state)]
    assert cube["measure"].values.tolist() == ["score", "rent_usd_2023", "households_count"]
    assert cube["measure_units"].values.tolist() == ["1", "USD", "1"]
    assert cube["measure_dollars_of"].values.tolist() == [0, 2023, 0]
    assert cube["geometry"].item() == "tracts/2010"
    assert cube["state"].sel(tract="18001000003").item() == "18"
    reasons = cube["flag"].attrs["flag_reasons"]
    assert len(cube["flag"].attrs["flag_meanings"].split()) == len(reasons) == len(cube["flag"].attrs["flag_values"])
    for year, collection in results.items():
        table = whole(store, collection)
        there = cube.sel(year=year, tract=table.index.tolist())
        assert there["collection"].item() == collection
        estimates = there["estimate"].to_numpy()
        np.testing.assert_array_equal(estimates, table[["score", "rent_usd_2023", "households_count"]].to_numpy(float))
        np.testing.assert_array_equal(there["moe"].sel(measure="score"), table["score_moe"])
        assert there["moe"].sel(measure="rent_usd_2023").isnull().all()
        np.testing.assert_array_equal(there["lower"].sel(measure="rent_usd_2023"), table["rent_usd_2023_lb"])
        np.testing.assert_array_equal(there["quality"].sel(measure="score"), table["score_quality"].fillna(0))
        assert there["region"].values.tolist() == table["region"].tolist()
        flags = there["flag"].sel(tract="39001000003").to_numpy().tolist()
        assert [reasons[code] for code in flags] == [
            "suppressed",
            "no value, and no reason given",
            "value as computed",
        ]
        assert reasons[there["flag"].sel(tract="39001000004", measure="score").values] == "nobody lives here"


def test_values_are_read_lazily(tmp_path) -> None:
    store, results = filled(str(tmp_path), n=200)
    write_cube(store, "made", results, None, QUIET, block=128)
    # Chunks of numbers are large ones; the axes stay.
    large = [chunk for chunk in (tmp_path / "cubes/made/chunks").iterdir() if chunk.stat().st_size > 1400]
    assert len(large) >= 10
    for chunk in large:
        chunk.unlink()
    cube = geomob_dask.open_cube(str(tmp_path), "made")
    assert cube["estimate"].chunks == ((1, 1), (128, 128, 128, 128, 88), (3,))
    assert all(cube[name].chunks for name in VARIABLES if name in cube)
    with pytest.raises(Exception, match=r"not found|does not exist|No such file"):
        cube["estimate"].sel(year=2018).load()


@pytest.mark.parametrize("workers", [1, 3])
def test_the_same_arrays_from_any_number_of_workers(tmp_path, workers) -> None:
    store, results = filled(str(tmp_path))
    write_cube(store, "made", results, None, QUIET, block=16)
    with (
        distributed.LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        done = write_cube(store, "other", results, client, QUIET, block=16)
    xr.testing.assert_identical(loaded(store), loaded(store, "other"))
    assert done.chunks == 2 * 4
    assert [one.message for one in Cube(store, "other").history()] == [done.message]


def test_the_same_arrays_in_a_bucket_from_two_workers(tmp_path, client, bucket) -> None:
    store, results = filled(str(tmp_path))
    write_cube(store, "made", results, None, QUIET, block=32)
    other, results = filled(bucket)
    write_cube(other, "made", {2018: results[2018]}, client, QUIET, block=32)
    write_cube(other, "made", {2015: results[2015]}, client, QUIET)
    assert write_cube(other, "made", results, client, QUIET).version is None
    # The years were added the other way round.
    xr.testing.assert_identical(loaded(store), loaded(other))
    assert cube_names(other) == ["made"]


def test_a_year_more_rewrites_no_other(tmp_path) -> None:
    store, results = filled(str(tmp_path), n=300)
    write_cube(store, "made", results, None, QUIET, block=256)
    before = objects(tmp_path / "cubes/made")
    old = loaded(store)
    more = {2013: put_year(store, 2013, n=300)}
    write_cube(store, "made", results | more, None, QUIET)
    after = objects(tmp_path / "cubes/made")
    assert before.items() <= after.items()
    cube = loaded(store)
    assert cube["year"].values.tolist() == [2013, 2015, 2018]
    np.testing.assert_array_equal(cube["estimate"].sel(year=[2015, 2018]), old["estimate"])
    # Reading the old years needs nothing of the new commit's chunks.
    for name in set(after) - set(before):
        (tmp_path / "cubes/made/chunks" / name).unlink()
    np.testing.assert_array_equal(open_cube(store, "made")["estimate"].sel(year=[2015, 2018]), old["estimate"])


def test_new_tracts_are_appended_and_move_none(tmp_path) -> None:
    store, results = filled(str(tmp_path), n=300)
    write_cube(store, "made", results, None, QUIET, block=256)
    before = objects(tmp_path / "cubes/made")
    more = {2019: put_year(store, 2019, states=("09", *STATES), n=301)}
    done = write_cube(store, "made", more, None, QUIET)
    assert "304 tracts added at the end" in done.message
    assert before.items() <= objects(tmp_path / "cubes/made").items()
    cube = loaded(store)
    assert cube["tract"].values.tolist()[900:] == sorted([*geoids("09", 301), *(geoids(s, 301)[-1] for s in STATES)])
    table = whole(store, more[2019])
    found = cube["estimate"].sel(year=2019, measure="score", tract=table.index.tolist())
    np.testing.assert_array_equal(found, table["score"])
    # There is no row of them in the years before.
    assert (cube["flag"].sel(year=2015, tract=geoids("09", 301)) == 1).all()
    assert cube["estimate"].sel(year=2015, tract=geoids("09", 301)).isnull().all()


def test_only_what_changed_is_written_and_nothing_is_committed_without_a_change(tmp_path) -> None:
    store, results = filled(str(tmp_path), n=300)
    write_cube(store, "made", results, None, QUIET, block=100)
    first = Cube(store, "made").history()
    again = write_cube(store, "made", results, None, QUIET)
    assert (again.version, again.chunks) == (None, 0)
    assert "nothing to do" in again.message
    assert Cube(store, "made").history() == first
    tables = {state: scores(state, 2018, 300) for state in STATES}
    tables["18"]["score"] += 1
    put(store, tables, results[2018], seed=0)
    snapshots = {year: store.snapshot(collection) for year, collection in results.items()}
    change = cube_change("made", snapshots, Cube(store, "made").state())
    assert {year: what.changed for year, what in change.todo.items()} == {2018: ("18",)}
    assert "2015: up to date" in "\n".join(change.lines())
    done = write_cube(store, "made", results, None, QUIET)
    assert done.chunks == 3
    old, new = loaded(store, version=first[0].id), loaded(store)
    np.testing.assert_array_equal(new["estimate"].sel(year=2015), old["estimate"].sel(year=2015))
    change = (new["estimate"] - old["estimate"]).sel(year=2018, measure="score")
    np.testing.assert_allclose(change.sel(tract=geoids("18", 300)).dropna("tract"), 1)
    assert (change.sel(tract=geoids("39", 300)).dropna("tract") == 0).all()


def test_a_state_that_a_year_no_longer_has_is_blanked(tmp_path) -> None:
    store, results = filled(str(tmp_path))
    write_cube(store, "made", results, None, QUIET, block=16)
    put_year(store, 2018, states=("17", "39"))
    done = write_cube(store, "made", results, None, QUIET)
    assert "1 part: 18 blanked" in done.message
    cube = loaded(store)
    assert (cube["flag"].sel(year=2018, tract=geoids("18")) == 1).all()
    assert cube["estimate"].sel(year=2018, tract=geoids("18")).isnull().all()
    assert (cube["region"].sel(year=2018, tract=geoids("18")) == "").all()
    np.testing.assert_array_equal(
        cube["estimate"].sel(year=2018, tract=geoids("17"), measure="score"), scores("17", 2018)["score"]
    )
    assert write_cube(store, "made", results, None, QUIET).version is None


def test_fewer_tracts_than_before_leave_no_old_value(tmp_path) -> None:
    store, results = filled(str(tmp_path))
    write_cube(store, "made", results, None, QUIET, block=4)
    put_year(store, 2018, n=13)
    write_cube(store, "made", results, None, QUIET)
    cube = loaded(store)
    for state in STATES:
        assert cube["estimate"].sel(year=2018, tract=geoids(state)[13:]).isnull().all()
        assert cube["estimate"].sel(year=2015, tract=geoids(state)[13:], measure="score").notnull().all()


# Versions -----------------------------------------------------------------------------------------


def test_versions_and_tags_stay_readable(tmp_path) -> None:
    store, results = filled(str(tmp_path))
    write_cube(store, "made", {2015: results[2015]}, None, QUIET)
    cube = Cube(store, "made")
    first = cube.tag("published")
    write_cube(store, "made", results, None, QUIET)
    put_year(store, 2015, seed=9)
    write_cube(store, "made", results, None, QUIET)
    assert [one.message.split(" (")[0] for one in cube.history()] == ["2015 rewritten", "2018 added", "2015 added"]
    assert cube.history()[-1].tags == ("published",)
    assert cube.history()[0].metadata["years"]["2015"]["written"] == list(STATES)
    by_tag, by_version = loaded(store, tag="published"), loaded(store, version=first)
    xr.testing.assert_identical(by_tag, by_version)
    np.testing.assert_array_equal(
        by_tag["estimate"].sel(year=2015, measure="score", tract=geoids("17")), scores("17", 2015)["score"]
    )
    np.testing.assert_array_equal(
        loaded(store)["estimate"].sel(year=2015, measure="score", tract=geoids("17")),
        scores("17", 2015, seed=9)["score"],
    )
    with pytest.raises(InputError, match="'published'"):
        cube.tag("published")
    with pytest.raises(InputError, match="no version 'NOPE'; available: "):
        cube.tag("other", "NOPE")
    with pytest.raises(InputError, match="no tag 'draft'; available: published"):
        open_cube(store, "made", tag="draft")
    with pytest.raises(InputError, match="expected one of them"):
        open_cube(store, "made", tag="published", version=first)


# Several writers ----------------------------------------------------------------------------------


def _add(url: str, year: int) -> None:
    store = Store(url)
    write_cube(store, "made", {year: f"{PRODUCT}/{year}/all-selected"}, None, QUIET)


def test_writers_at_once_lose_nothing(tmp_path) -> None:
    years = (2015, 2018)
    store, results = filled(str(tmp_path), years)
    write_cube(store, "whole", results, None, QUIET)
    # Spawned: the library runs threads that a forked process would not have.
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_add, args=(str(tmp_path), year)) for year in years]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    found, expected = loaded(store), loaded(store, "whole")
    xr.testing.assert_equal(found[["estimate", "moe", "region"]], expected[["estimate", "moe", "region"]])
    assert len(Cube(store, "made").history()) == 2


@pytest.mark.parametrize("where", ["folder", "bucket"])
def test_other_chunks_are_rebased_and_the_same_chunk_is_refused(tmp_path, request, where) -> None:
    url = str(tmp_path) if where == "folder" else request.getfixturevalue("bucket")
    store, results = filled(url)
    write_cube(store, "made", results, None, QUIET, block=32)
    cube = Cube(store, "made")
    state = cube.state()

    def written(year: int, score: float, tracts: slice):
        session = cube.session(state)
        import zarr

        array = zarr.open_group(session.store, mode="r+")["estimate"]
        array[state.years.index(year), tracts, 0] = score
        return session

    one, other, half = written(2015, 1, slice(0, 32)), written(2018, 2, slice(0, 32)), written(2018, 3, slice(20, 32))
    assert cube.commit(one, "one", {}) is not None
    assert cube.commit(other, "other", {}) is not None
    assert cube.commit(half, "half of the same chunk", {}) is None
    found = loaded(store)["estimate"].isel(tract=slice(0, 32), measure=0)
    assert (found.sel(year=2015) == 1).all()
    assert (found.sel(year=2018) == 2).all()


def test_a_writer_that_comes_second_looks_again(tmp_path, monkeypatch) -> None:
    store, results = filled(str(tmp_path))
    write_cube(store, "made", {2015: results[2015]}, None, QUIET)
    put_year(store, 2015, seed=1)
    commit, others = Cube.commit, [{2018: results[2018]}]

    def after_another(self, *arguments):
        if others:
            write_cube(store, "made", others.pop(), None, QUIET)
        return commit(self, *arguments)

    monkeypatch.setattr(Cube, "commit", after_another)
    write_cube(store, "made", {2015: results[2015]}, None, QUIET)
    cube = loaded(store)
    assert cube["year"].values.tolist() == [2015, 2018]
    for year, seed in ((2015, 1), (2018, 0)):
        found = cube["estimate"].sel(year=year, measure="score", tract=geoids("17"))
        np.testing.assert_array_equal(found, scores("17", year, seed=seed)["score"])
    monkeypatch.setattr(Cube, "commit", lambda *_: None)
    put_year(store, 2015, seed=2)
    with pytest.raises(RunError, match=r"made.*20 times"):
        write_cube(store, "made", {2015: results[2015]}, None, QUIET)


# Failures -----------------------------------------------------------------------------------------

# It never gets as far as its commit: there is time to kill it.
WRITER = """
import sys, time
from cube_results import QUIET, PRODUCT, write_cube
from geomob_dask.store import Store
from geomob_dask.store.cubes import Cube
Cube.commit = lambda *_: time.sleep(600)
years = {year: f"{PRODUCT}/{year}/all-selected" for year in map(int, sys.argv[2:])}
write_cube(Store(sys.argv[1]), "made", years, None, QUIET, block=64)
"""


def _grown(folder: Path, than: int) -> bool:
    return sum(1 for _ in folder.glob("*")) > than


@pytest.mark.parametrize("first", [False, True], ids=["a year more", "the first years"])
def test_a_writer_killed_half_way_is_never_seen(tmp_path, first) -> None:
    store, results = filled(str(tmp_path), n=400)
    write_cube(store, "whole", results, None, QUIET, block=1200)
    if not first:
        write_cube(store, "made", {2015: results[2015]}, None, QUIET, block=64)
    folder = tmp_path / "cubes/made"
    before = len(objects(folder))
    command = [sys.executable, "-c", WRITER, str(tmp_path), *(str(year) for year in results)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    writer = subprocess.Popen(command, env=environment)
    while not _grown(folder / "chunks", before + 4):
        assert writer.poll() is None
        time.sleep(0.001)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    if first:
        with pytest.raises(InputError, match="cubes/made: no year"):
            open_cube(store, "made")
    else:
        assert open_cube(store, "made")["year"].values.tolist() == [2015]
    write_cube(store, "made", results, None, QUIET, block=64)
    names = ["estimate", "moe", "lower", "quality", "region"]
    xr.testing.assert_equal(loaded(store)[names], loaded(store, "whole")[names])
    # What the killed writer left is no part of any version.
    chunks = len(objects(folder))
    assert Cube(store, "made").clean(3600.0) == (0, 0)
    wanted, size = Cube(store, "made").clean(0.0, dry_run=True)
    assert wanted > 0
    assert size > 0
    assert len(objects(folder)) == chunks
    assert Cube(store, "made").clean(0.0) == (wanted, size)
    assert len(objects(folder)) < chunks
    xr.testing.assert_equal(loaded(store)[names], loaded(store, "whole")[names])


class _Killer(SchedulerPlugin):
    """Kills the busiest worker once a first chunk is written; counts how often each task was handed to a worker."""

    def __init__(self, scheduler: distributed.Scheduler, pids: dict[str, int], chunks: Path) -> None:
        self.scheduler, self.pids, self.chunks = scheduler, pids, chunks
        self.killed = ""
        self.handed: Counter[object] = Counter()

    def transition(self, key: object, start: str, finish: str, *_: object, **__: object) -> None:
        self.handed[key] += finish == "processing"
        if finish == "memory" and not self.killed and _grown(self.chunks, 0):
            busiest = max(self.scheduler.workers.values(), key=lambda worker: len(worker.processing))
            self.killed = busiest.address
            os.kill(self.pids[self.killed], signal.SIGKILL)


def test_a_worker_killed_half_way_costs_a_second_try_and_nothing_else(tmp_path) -> None:
    store, results = filled(str(tmp_path), n=400)
    write_cube(store, "whole", results, None, QUIET, block=100)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        distributed.Client(cluster) as client,
    ):
        killer = _Killer(cluster.scheduler, client.run(os.getpid), tmp_path / "cubes/made/chunks")
        cluster.scheduler.add_plugin(killer, name="killer")
        write_cube(store, "made", results, client, QUIET, block=100)
    assert killer.killed
    assert max(killer.handed.values()) > 1
    names = ["estimate", "moe", "flag", "region"]
    xr.testing.assert_equal(loaded(store)[names], loaded(store, "whole")[names])
    assert len(Cube(store, "made").history()) == 1


# Bad input ----------------------------------------------------------------------------------------


def test_years_of_another_vintage_are_refused_with_the_way_out(tmp_path) -> None:
    store, results = filled(str(tmp_path))
    write_cube(store, "made", results, None, QUIET)
    later = put_year(store, 2021, vintage="2020")
    expected = r"vintage 2010, .*2021.* vintage 2020; .*harmonize.py --dataset counts --years 2021 --to 2010"
    with pytest.raises(InputError, match=expected):
        write_cube(store, "made", {2021: later}, None, QUIET)
    with pytest.raises(InputError, match=expected):
        write_cube(store, "new", results | {2021: later}, None, QUIET)
    assert open_cube(store, "made")["year"].values.tolist() == [2015, 2018]
    assert cube_names(store) == ["made"]


def test_years_with_other_codes_for_the_same_tracts_are_refused(tmp_path) -> None:
    """Shannon County became Oglala Lakota in 2015: of one vintage, yet no row of the two years would meet."""
    store = Store(str(tmp_path))

    def year(number, *keys):
        table = scores("46", 2014).iloc[: len(keys)].set_axis(list(keys)).rename_axis("geoid")
        return put(store, {"46": table}, f"measures/mine/{number}")

    older, newer = year(2014, "46001000100", "46113940500"), year(2015, "46001000100", "46102940500")
    expected = r"46113940500.*46102940500.*harmonize.py --dataset mine --years 2014,2015 --to 2010"
    with pytest.raises(InputError, match=expected):
        write_cube(store, "made", {2014: older, 2015: newer}, None, QUIET)
    assert cube_names(store) == []
    write_cube(store, "made", {2014: older}, None, QUIET)
    with pytest.raises(InputError, match=expected):
        write_cube(store, "made", {2015: newer}, None, QUIET)
    assert open_cube(store, "made")["tract"].values.tolist() == ["46001000100", "46113940500"]
    # No year that stays has the older codes: nothing to refuse.
    older = year(2014, "46001000100", "46102940500")
    write_cube(store, "made", {2014: older, 2015: newer}, None, QUIET)
    assert open_cube(store, "made")["estimate"].sel(tract="46102940500", measure="score").notnull().all()


def test_a_cube_of_another_product_is_refused(tmp_path) -> None:
    store, results = filled(str(tmp_path))
    write_cube(store, "made", results, None, QUIET)
    other = put(store, {"17": scores("17", 2020)}, "results/mixing/deciles/counts/2020/all-cbsa")
    with pytest.raises(InputError, match=r"'results/opportunity/made', .*2020.*'results/mixing/deciles'"):
        write_cube(store, "made", {2020: other}, None, QUIET)


@pytest.mark.parametrize("there", [False, True])
def test_columns_that_differ_are_named(tmp_path, there) -> None:
    store, results = filled(str(tmp_path))
    if there:
        write_cube(store, "made", results, None, QUIET)
    less = {"17": scores("17", 2020).drop(columns="score_moe")}
    less = put(store, less, f"{PRODUCT}/2020/all-selected")
    years = {2020: less} if there else {**results, 2020: less}
    with pytest.raises(InputError, match="no column 'score_moe'"):
        write_cube(store, "made", years, None, QUIET)
    more = {state: scores(state, 2020).assign(extra=1.0) for state in STATES}
    more = put(store, more, f"{PRODUCT}/2020/all-selected")
    with pytest.raises(InputError, match="column 'extra'"):
        write_cube(store, "made", {**results, 2020: more}, None, QUIET)


def test_a_tract_that_occurs_twice_is_named(tmp_path, client) -> None:
    store = Store(str(tmp_path))
    table = scores("17", 2020)
    twice = put(store, {"17": table.iloc[[0, 0, 1]]}, f"{PRODUCT}/2020/twice")
    with pytest.raises(InputError, match=r"2020/twice/17.*geoid '17001000001'"):
        write_cube(store, "made", {2020: twice}, client, QUIET)
    both = put(store, {"17": table, "all": table.iloc[3:5]}, f"{PRODUCT}/2020/both")
    with pytest.raises(InputError, match=r"2020/both/.*tract '17001000004'.*2020/both/"):
        write_cube(store, "made", {2020: both}, client, QUIET)
    with pytest.raises(InputError, match="cubes/made: no year"):
        open_cube(store, "made")


def test_other_bad_input(tmp_path) -> None:
    store, results = filled(str(tmp_path))
    with pytest.raises(InputError, match="found no year"):
        write_cube(store, "made", {}, None, QUIET)
    with pytest.raises(InputError, match=r"1999.*results/opportunity/made/counts"):
        write_cube(store, "made", {1999: f"{PRODUCT}/1999/all-selected"}, None, QUIET)
    with pytest.raises(InputError, match="expected a name"):
        write_cube(store, "../made", results, None, QUIET)
    with pytest.raises(InputError, match=r"no such cube; available: none yet"):
        open_cube(store, "made")
    assert cube_names(store) == []
    table = scores("17", 2020).rename(columns={"region": "state"})
    with pytest.raises(InputError, match=r"2020/x/17.*'state'"):
        write_cube(store, "made", {2020: put(store, {"17": table}, f"{PRODUCT}/2020/x")}, None, QUIET)
    empty = put(store, {"17": table.iloc[:0]}, f"{PRODUCT}/2020/empty")
    with pytest.raises(InputError, match="2020/empty: found no row"):
        write_cube(store, "made", {2020: empty}, None, QUIET)


def test_a_cube_of_a_newer_version_and_one_that_is_none(tmp_path) -> None:
    import icechunk
    import zarr

    store, results = filled(str(tmp_path))
    write_cube(store, "made", results, None, QUIET)
    repository = icechunk.Repository.open(icechunk.local_filesystem_storage(str(tmp_path / "cubes/made")))
    with repository.transaction("main", message="from the future") as writable:
        zarr.open_group(writable, mode="r+").attrs["geomob_format"] = 2
    for act in (lambda: open_cube(store, "made"), lambda: write_cube(store, "made", results, None, QUIET)):
        with pytest.raises(StoreError, match="written in format 2 by a newer version; expected 1 or older"):
            act()
    repository = icechunk.Repository.create(icechunk.local_filesystem_storage(str(tmp_path / "cubes/alien")))
    with repository.transaction("main", message="alien") as writable:
        zarr.create_group(writable)
    with pytest.raises(StoreError, match="not a cube of this package"):
        open_cube(store, "alien")
    (tmp_path / "cubes/made/refs/branch.main/ref.json").write_text("{")
    with pytest.raises(StoreError, match="cubes/made: cannot be"):
        open_cube(store, "made")


def test_a_bucket_that_is_not_there(s3_endpoint) -> None:
    with pytest.raises(StoreError, match="no-such-bucket-of-ours"):
        Cube(Store("s3://no-such-bucket-of-ours/x"), "made").create(form_of({"a": "number"}, "tract"), {})
