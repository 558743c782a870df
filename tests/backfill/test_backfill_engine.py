"""Backfills run to their end, on a cluster and without one: what is committed, kept, retried and refused."""

import os
import signal
import threading
import time
from dataclasses import replace

import dask
import distributed
import pytest
from backfill_country import QUIET, backfill_of, command, fill, ingest_year, receipts_in, run_command, shown, write_file

from geomob_dask.errors import InputError, StoreError
from geomob_dask.outputs.backfill import result_table
from geomob_dask.products.catalog import product_named
from geomob_dask.runs import engine, output
from geomob_dask.runs.backfill.plan import Asked, plan_backfill
from geomob_dask.runs.engine import execute
from geomob_dask.runs.journal import Journal
from geomob_dask.runs.planning import Request, Standing, make_plan
from geomob_dask.store import Provenance, Store, receipts
from geomob_dask.store.objects import Objects

ASKED = Asked(years=(2019, 2020))


def run(store, backfill, client=None, asked=ASKED, **options):
    return execute(store, plan_backfill(store, backfill, asked), client, QUIET, retry_wait=0.01, **options)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Return what an undisturbed run of all products shows."""
    folder = tmp_path_factory.mktemp("undisturbed")
    store = fill(str(folder / "store"), folder)
    assert run(store, backfill_of(folder)).fine
    return shown(store)


def test_the_same_bytes_on_a_cluster_and_nothing_left_behind(undisturbed, client, tmp_path):
    store = fill(str(tmp_path / "store"), tmp_path)
    result = run(store, backfill_of(tmp_path), client)
    assert result.fine
    assert len(result.computed) == len(result.committed) == 28
    assert shown(store) == undisturbed
    assert receipts_in(store) == []
    again = run(store, backfill_of(tmp_path), client)
    assert (again.computed, again.committed, again.up_to_date) == ([], [], 28)


@pytest.mark.parametrize("workers", [1, 3])
def test_the_same_bytes_with_any_number_of_workers(undisturbed, tmp_path, workers):
    store = fill(str(tmp_path / "store"), tmp_path)
    with (
        distributed.LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0", memory_limit=0
        ) as cluster,
        distributed.Client(cluster) as one,
    ):
        assert run(store, backfill_of(tmp_path), one, max_active=2 * workers).fine
    assert shown(store) == undisturbed


def test_the_same_bytes_in_a_bucket(undisturbed, client, bucket, tmp_path):
    store = fill(bucket, tmp_path, years=(2019, 2020), graph=False)
    assert run(store, backfill_of(tmp_path, "mixed", "areas"), client).fine
    found = shown(store)
    assert found == {key: undisturbed[key] for key in found}
    assert len(found) == 2 * (1 + 3 + 1 + 1)


def test_outputs_of_all_states_are_those_of_the_job(undisturbed, tmp_path):
    """What a backfill of the scope `all` commits is what the job commits, provenance and all."""
    store = fill(str(tmp_path / "store"), tmp_path)
    backfill_of(tmp_path)
    given = {"dataset": "made", "year": 2020, "by": "area", "groups": str(tmp_path / "tenure.yaml")}
    request = Request("exposure", product_named("exposure").options.of(**given))
    engine.run(store, make_plan(store, [request]), None, QUIET)
    found = shown(store)
    assert found == {key: undisturbed[key] for key in found}
    plan = plan_backfill(store, backfill_of(tmp_path, "areas"), replace(ASKED, years=(2020,)))
    assert not list(plan.due())


def test_a_state_by_itself_has_the_rows_that_the_job_has(tmp_path):
    store = fill(str(tmp_path / "store"), tmp_path)
    backfill = backfill_of(tmp_path, "mixed")
    assert run(store, backfill).fine
    [group] = plan_backfill(store, backfill, replace(ASKED, years=(2020,))).groups
    plan = make_plan(store, [replace(group.request, by_state=False, only=None)])
    engine.run(store, plan, None, QUIET)
    whole, each = store.snapshot(plan.groups[0].collection), store.snapshot(group.collection)
    assert {s: part.sha256 for s, part in whole.parts.items()} == {s: part.sha256 for s, part in each.parts.items()}
    assert len({part.run for part in each.parts.values()}) == 3


def failing(where, error, times=10**9):
    """Return a `frame_of` that fails for outputs of some states."""
    real, failed = output.frame_of, []

    def frame_of(store, prepared, identity, *, lazy, attempt=1):
        state = prepared.part
        if state in where and len(failed) < times:
            failed.append(state)
            raise error
        return real(store, prepared, identity, lazy=lazy)

    return frame_of, failed


def test_bad_data_fail_their_output_once_and_no_other(tmp_path, monkeypatch):
    store = fill(str(tmp_path / "store"), tmp_path)
    frame_of, failed = failing({"18"}, InputError("tract 18001000001: found -1, expected people"))
    monkeypatch.setattr(output, "frame_of", frame_of)
    result = run(store, backfill_of(tmp_path, "mixed"))
    assert set(result.failed) == {"mixed-2019-18", "mixed-2020-18"}
    assert len(failed) == 2
    assert Journal(store, "night").reason("mixed-2019-18") == "tract 18001000001: found -1, expected people"
    assert set(store.snapshot("results/mixing/deciles/made/2020/each-county").parts) == {"17", "39"}
    monkeypatch.undo()
    result = run(store, backfill_of(tmp_path, "mixed"))
    assert sorted(result.computed) == ["mixed-2019-18", "mixed-2020-18"]
    assert result.fine
    assert Journal(store, "night").failed() == set()


def test_storage_errors_are_tried_again_within_a_budget(tmp_path, monkeypatch):
    store = fill(str(tmp_path / "store"), tmp_path)
    frame_of, failed = failing({"18"}, StoreError("503 slow down"), times=3)
    monkeypatch.setattr(output, "frame_of", frame_of)
    assert run(store, backfill_of(tmp_path, "mixed"), asked=replace(ASKED, years=(2020,))).fine
    assert len(failed) == 3
    frame_of, failed = failing({"17", "18", "39"}, OSError("no route to host"))
    monkeypatch.setattr(output, "frame_of", frame_of)
    result = run(store, backfill_of(tmp_path, "mixed"), asked=replace(ASKED, years=(2019,)))
    assert len(result.failed) == 3
    assert len(failed) == 3 * 4


def test_a_program_error_on_a_worker_is_a_failure_of_its_output(tmp_path, monkeypatch):
    store = fill(str(tmp_path / "store"), tmp_path)
    monkeypatch.setattr(output, "frame_of", failing({"18"}, ZeroDivisionError("division by zero"))[0])
    result = run(store, backfill_of(tmp_path, "mixed"), asked=replace(ASKED, years=(2020,)))
    assert result.failed == {"mixed-2020-18": "ZeroDivisionError: division by zero"}


def test_a_killed_worker_loses_nothing(undisturbed, tmp_path):
    """Workers are killed while outputs run; Dask runs these again elsewhere."""
    store = fill(str(tmp_path / "store"), tmp_path)
    with (
        # On a busy machine a worker takes longer to start again than Dask waits by default.
        dask.config.set({"distributed.deploy.lost-worker-timeout": "300s"}),
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            memory_limit="1GiB",
            silence_logs="CRITICAL",
        ) as cluster,
        distributed.Client(cluster) as one,
    ):
        killed = []

        def kill_some():
            while len(killed) < 2 and not done.wait(0.5):
                nanny = cluster.workers[len(killed)]
                if nanny.pid:
                    os.kill(nanny.pid, signal.SIGKILL)
                    killed.append(nanny.pid)

        done = threading.Event()
        killer = threading.Thread(target=kill_some)
        killer.start()
        result = run(store, backfill_of(tmp_path, "mixed", "apart", "index"), one)
        done.set()
        killer.join()
    assert killed
    assert result.fine
    found = shown(store)
    assert len(found) == 2 * 3 * 4
    assert found == {key: undisturbed[key] for key in found}


def test_receipts_are_picked_up_and_not_computed_again(undisturbed, tmp_path, monkeypatch):
    """A run that ends before its commits leaves receipts; the next one needs no cluster, and computes nothing."""
    store = fill(str(tmp_path / "store"), tmp_path)
    backfill = backfill_of(tmp_path)
    monkeypatch.setattr(engine, "commit_states", lambda *a, **k: (_ for _ in ()).throw(StoreError("storage is down")))
    result = run(store, backfill)
    assert len(result.failed) == 28
    assert shown(store) == {}
    assert len(receipts_in(store)) == 28
    monkeypatch.undo()
    plan = plan_backfill(store, backfill, replace(ASKED, reprocess="none"))
    assert not plan.computes
    result = execute(store, plan, None, QUIET)
    assert (len(result.computed), len(result.kept), len(result.committed)) == (0, 28, 28)
    assert shown(store) == undisturbed
    assert receipts_in(store) == []


def test_a_damaged_receipt_or_a_lost_part_is_computed_again(tmp_path, monkeypatch):
    store = fill(str(tmp_path / "store"), tmp_path)
    backfill, asked = backfill_of(tmp_path, "mixed"), replace(ASKED, years=(2020,))
    monkeypatch.setattr(engine, "commit_states", lambda *a, **k: (_ for _ in ()).throw(StoreError("storage is down")))
    run(store, backfill, asked=asked)
    monkeypatch.undo()
    first, second, _ = receipts_in(store)
    store.objects.put(first, store.objects.get(first)[:-20])
    lost = receipts.read(store.objects, second).commits[0].parts
    store.objects.delete(next(iter(lost.values())).key)
    result = run(store, backfill, asked=asked)
    assert result.fine
    assert (len(result.computed), len(result.kept)) == (2, 1)


def test_receipts_left_after_their_commit_are_removed(tmp_path, monkeypatch):
    """A run killed just after a commit leaves receipts of what is visible: the next run removes them."""
    store = fill(str(tmp_path / "store"), tmp_path)
    backfill, asked = backfill_of(tmp_path, "mixed"), replace(ASKED, years=(2020,))
    with monkeypatch.context() as patch:
        patch.setattr(Objects, "delete", lambda self, key: None)
        assert run(store, backfill, asked=asked).fine
    assert len(receipts_in(store)) == 3
    assert run(store, backfill, asked=asked).computed == []
    assert receipts_in(store) == []


def test_all_computes_everything_anew_to_the_same_bytes(tmp_path):
    store = fill(str(tmp_path / "store"), tmp_path)
    backfill = backfill_of(tmp_path, "mixed", "areas")
    run(store, backfill)
    before = shown(store)
    result = run(store, backfill, asked=replace(ASKED, reprocess="all"))
    assert len(result.computed) == 8
    assert shown(store) == before


def test_two_backfills_at_once_do_each_other_no_harm(undisturbed, client, tmp_path):
    """Two runs of overlapping products over one store, at the same time: both fine, all there, same bytes."""
    store = fill(str(tmp_path / "store"), tmp_path)
    one = backfill_of(tmp_path, "mixed", "index", "areas", name="one")
    two = backfill_of(tmp_path, "apart", "mixed", "areas", name="two")
    plans = [plan_backfill(store, one, ASKED), plan_backfill(store, two, ASKED)]
    found = []
    threads = [
        threading.Thread(target=lambda plan=plan: found.append(execute(Store(store.url), plan, client, QUIET)))
        for plan in plans
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.fine for result in found] == [True, True]
    now = shown(store)
    assert len(now) == 2 * (3 * 4 + 2)
    assert now == {key: undisturbed[key] for key in now}
    assert receipts_in(store) == []


def test_backfills_of_different_states_at_once_merge(tmp_path):
    store = fill(str(tmp_path / "store"), tmp_path)
    backfill, asked = backfill_of(tmp_path, "mixed"), replace(ASKED, years=(2020,))
    plans = [plan_backfill(store, backfill, replace(asked, states=states)) for states in (("17",), ("18", "39"))]
    for plan in plans:
        assert execute(store, plan, None, QUIET).fine
    assert set(store.snapshot("results/mixing/deciles/made/2020/each-county").parts) == {"17", "18", "39"}


def test_two_definitions_under_one_name_at_once_are_refused(tmp_path):
    """Both plans are made before either commits: the second one must not overwrite what the first committed."""
    store = fill(str(tmp_path / "store"), tmp_path)
    asked = replace(ASKED, years=(2020,))
    plans = [
        plan_backfill(store, backfill_of(tmp_path, "mixed", mixed={"missing": missing}), asked)
        for missing in ("refuse", "leave-out")
    ]
    assert execute(store, plans[0], None, QUIET).fine
    before = shown(store)
    result = execute(store, plans[1], None, QUIET)
    assert set(result.failed) == {"mixed-2020-17", "mixed-2020-18", "mixed-2020-39"}
    identities = [plan.groups[0].identities[0] for plan in plans]
    message = next(iter(result.failed.values()))
    assert all(identity in message for identity in identities)
    assert "another definition or other inputs under the same name" in message
    assert shown(store) == before
    # Planned anew, it is what the user wants now.
    second = plan_backfill(store, backfill_of(tmp_path, "mixed", mixed={"missing": "leave-out"}), asked)
    result = execute(store, second, None, QUIET)
    assert (len(result.kept), result.fine) == (3, True)
    assert {part.run for part in store.snapshot(second.groups[0].collection).parts.values()} == set(
        second.groups[0].identities
    )


def test_inputs_changed_during_a_run_do_not_mix_into_it(tmp_path, monkeypatch):
    store = fill(str(tmp_path / "store"), tmp_path)
    other = fill(str(tmp_path / "other"), tmp_path)
    backfill = backfill_of(tmp_path, "mixed", "index")
    plan = plan_backfill(store, backfill, ASKED)
    # The measures of both years change after the plan is made: that is during its run.
    for year in ASKED.years:
        ingest_year(store, tmp_path, year, seed=77)
    assert execute(store, plan, None, QUIET).fine
    assert run(other, backfill).fine
    assert shown(store) == shown(other)
    again = plan_backfill(store, backfill, ASKED)
    assert {str(how) for group in again.groups for how in group.standings} == {"stale"}


def test_the_second_interrupt_stops_a_serial_run_at_once(tmp_path, monkeypatch):
    store = fill(str(tmp_path / "store"), tmp_path)
    seen = []
    real = output.frame_of

    def frame_of(store, prepared, identity, *, lazy, attempt=1):
        seen.append(prepared.part)
        if len(seen) == 4:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        return real(store, prepared, identity, lazy=lazy)

    monkeypatch.setattr(output, "frame_of", frame_of)
    result = run(store, backfill_of(tmp_path, "mixed"))
    assert result.stopped.startswith("interrupted twice")
    assert (len(result.computed), result.left) == (3, 3)
    monkeypatch.undo()
    assert len(run(store, backfill_of(tmp_path, "mixed")).computed) == 3


def test_each_state_against_the_frozen_norms_of_all(tmp_path):
    """Scope `state` with `norm: frozen:2019` needs the norms of that year, and is stale when they change."""
    store = fill(str(tmp_path / "store"), tmp_path, years=(2019, 2020))
    frozen = {"definition": "nation.yaml", "norm": "frozen:2019", "scope": "state"}
    backfill, asked = backfill_of(tmp_path, "index", index=frozen), replace(ASKED, years=(2020,))
    result = run(store, backfill, asked=asked)
    assert len(result.failed) == 3
    assert "norms/opportunity/nation/made/2019" in result.failed["index-2020-17"]
    assert run(store, backfill_of(tmp_path, "nation", name="first"), asked=replace(ASKED, years=(2019,))).fine
    assert run(store, backfill, asked=asked).fine
    each = store.snapshot("results/opportunity/nation/made/2020/each-frozen-2019")
    assert set(each.parts) == {"17", "18", "39"}
    assert all("norms/opportunity/nation/made/2019/all-selected" in run["inputs"] for run in each.runs.values())
    ingest_year(store, tmp_path, 2019, seed=5)
    assert run(store, backfill_of(tmp_path, "nation", name="first"), asked=replace(ASKED, years=(2019,))).fine
    plan = plan_backfill(store, backfill, asked)
    assert {str(how) for group in plan.groups for how in group.standings} == {"stale"}


def test_refused_results_leave_their_norms_alone(tmp_path):
    """Norms are committed before the index; what is refused in one collection is committed in none."""
    store = fill(str(tmp_path / "store"), tmp_path, years=(2020,))
    asked = replace(ASKED, years=(2020,))
    early = plan_backfill(store, backfill_of(tmp_path, "nation"), asked)
    ingest_year(store, tmp_path, 2020, seed=5)
    assert run(store, backfill_of(tmp_path, "nation"), asked=asked).fine
    before = shown(store)
    result = execute(store, early, None, QUIET)
    assert set(result.failed) == {"nation-2020-all"}
    assert shown(store) == before


def test_an_index_with_norms_of_another_run_is_not_done(tmp_path):
    store = fill(str(tmp_path / "store"), tmp_path, years=(2020,))
    backfill, asked = backfill_of(tmp_path, "nation"), replace(ASKED, years=(2020,))
    assert run(store, backfill, asked=asked).fine
    before = shown(store)
    norms = "norms/opportunity/nation/made/2020/all-selected"
    other = Provenance("opportunity", {}, {"by": "another run"})
    store.commit(norms, store.snapshot(norms).parts, other, store.snapshot(norms).attributes)
    [group] = plan_backfill(store, backfill, asked).groups
    assert group.standings == (Standing.STALE,)
    assert run(store, backfill, asked=asked).fine
    assert shown(store) == before


def test_what_another_backfill_has_committed_meanwhile_is_not_computed_again(undisturbed, tmp_path, monkeypatch):
    """Its receipts are gone with its commit; outputs of a state and of all, with interactions and norms."""
    store = fill(str(tmp_path / "store"), tmp_path)
    backfill = backfill_of(tmp_path)
    late = plan_backfill(store, backfill, ASKED)
    assert run(store, backfill).fine
    monkeypatch.setattr(output, "frame_of", failing({"17", "18", "39"}, InputError("computed again"))[0])
    result = execute(store, late, None, QUIET)
    assert (result.failed, len(result.kept), len(result.committed)) == ({}, 28, 28)
    assert shown(store) == undisturbed


def test_outputs_that_failed_before_and_are_left_are_not_up_to_date(tmp_path, monkeypatch):
    store = fill(str(tmp_path / "store"), tmp_path)
    backfill = backfill_of(tmp_path, "mixed")
    monkeypatch.setattr(output, "frame_of", failing({"18"}, InputError("its data are bad"))[0])
    run(store, backfill, asked=replace(ASKED, years=(2020,)))
    monkeypatch.undo()
    ingest_year(store, tmp_path, 2019)
    assert run(store, backfill, asked=replace(ASKED, years=(2019,))).fine
    ingest_year(store, tmp_path, 2019, seed=5)
    plan = plan_backfill(store, backfill, replace(ASKED, reprocess="none"))
    result = execute(store, plan, None, QUIET)
    assert (result.up_to_date, result.as_they_are, result.failed_before) == (2, 4, 1)
    assert not result.fine
    assert result_table(plan, result)[-1].split() == ["all", "-", "-", "2", "4", "-", "-"]
    done = run_command(command(write_file(tmp_path, "mixed"), store.url, "--years", "2019:2020", "--reprocess", "none"))
    assert done.returncode == 1
    assert "1 that failed before are left as they are (--reprocess failed)" in done.stderr
    # Stale ones that nobody wants anew are no failure.
    result = run(store, backfill, asked=replace(ASKED, reprocess="failed"))
    assert (result.computed, result.as_they_are, result.fine) == (["mixed-2020-18"], 3, True)


def test_a_failed_state_of_an_old_vintage_leaves_and_holds_nobody_up(tmp_path, monkeypatch):
    store = fill(str(tmp_path / "store"), tmp_path)
    backfill, asked = backfill_of(tmp_path, "counties"), replace(ASKED, years=(2020,))
    assert run(store, backfill, asked=asked).fine
    ingest_year(store, tmp_path, 2020, vintage="other")
    monkeypatch.setattr(output, "frame_of", failing({"18"}, InputError("its data are bad"))[0])
    result = run(store, backfill, asked=asked)
    assert set(result.failed) == {"counties-2020-18"}
    [group] = plan_backfill(store, backfill, asked).groups
    for collection in group.collections:
        assert set(store.snapshot(collection).parts) == {"17", "39"}
        assert store.snapshot(collection).attributes["vintage"] == "other"
    monkeypatch.undo()
    assert run(store, backfill, asked=asked).computed == ["counties-2020-18"]
    assert set(store.snapshot(group.collection).parts) == {"17", "18", "39"}
