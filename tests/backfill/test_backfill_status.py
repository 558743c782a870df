"""The status of a backfill: from its file and from its name, while it runs and after, and its exit codes."""

import json
import os
import time
from pathlib import Path

import pandas as pd
import pytest
from backfill_country import QUIET, backfill_of, fill, ingest_year, write_definitions, write_file
from stores import build_graph

from geomob_dask.errors import InputError
from geomob_dask.outputs.backfill import status_lines, status_table
from geomob_dask.runs.backfill.plan import Asked, check_runnable, plan_backfill
from geomob_dask.runs.backfill.status import State, status_of_name, status_of_plan
from geomob_dask.runs.engine import execute
from geomob_dask.runs.journal import SILENT, Journal
from geomob_dask.store import Provenance, Store

YEARS = ("--years", "2019:2020")
ASKED = Asked(years=(2019, 2020))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    write_definitions(tmp_path)
    return fill(str(tmp_path / "store"), tmp_path, years=(2019, 2020), graph=False)


def states_of(status) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for output in status.outputs:
        found.setdefault(output.status.value, set()).add(output.name)
    return found


def test_a_backfill_from_nothing_to_all_done(job, store, tmp_path) -> None:
    file = write_file(tmp_path, "mixed")
    given = ("--store", store.url)
    before = job("backfill", "status", file, *YEARS, *given)
    assert before.code == 3
    assert "0 of 6 outputs done, 6 to do" in before.out
    assert "no run has left a note" in before.out
    assert job("backfill", "status", "night", *given).code == 2
    assert job("backfill", file, *YEARS, *given, "--cluster", "serial").code == 0
    for what in ((file, *YEARS), ("night",)):
        done = job("backfill", "status", *what, *given)
        assert done.code == 0, done.out
        assert "6 of 6 outputs done\n" in done.out
        assert "ended" in done.out
    more = job("backfill", "status", file, "--years", "2019:2020", "--states", "17", *given)
    assert "2 of 2 outputs done" in more.out


def test_every_failure_has_its_reason_and_where_it_is_recorded(job, store, tmp_path) -> None:
    file = write_file(tmp_path, "mixed")
    given = ("--store", store.url)
    assert job("backfill", file, *YEARS, *given, "--cluster", "serial").code == 0
    ingest_year(store, tmp_path, 2020, seed=5)
    stale = job("backfill", "status", file, *YEARS, *given)
    assert stale.code == 3
    assert "3 of 6 outputs done, 3 stale" in stale.out
    # What the newest run planned is there: that measures changed since is not seen without the file.
    assert job("backfill", "status", "night", *given).code == 0
    journal = Journal(store, "night")
    names = sorted(output.name for output in status_of_name(store, "night").outputs if output.year == 2020)
    for number, name in enumerate(names):
        journal.fail(name, "0", f"reason {number}", 1)
    failed = job("backfill", "status", file, *YEARS, *given, "--export", str(tmp_path / "status.csv"))
    assert failed.code == 1
    assert all(f"failed: {name}: reason {number}\n" in failed.out for number, name in enumerate(names))
    assert f"{store.url}/backfills/night/failed" in failed.out
    assert "night" in job("store", "provenance", str(tmp_path / "status.csv")).out
    table = pd.read_csv(tmp_path / "status.csv", dtype=str).set_index(["product", "year", "state"])
    assert table["status"].value_counts().to_dict() == {"done": 3, "failed": 3}
    row = table[table["status"] == "failed"].iloc[0]
    assert row["reason"].startswith("reason ")
    assert Path(row["recorded_in"]).is_file()
    assert table["state_name"].notna().all()


def test_the_name_tells_what_the_file_tells_of_outputs_that_others_have_changed(store, tmp_path) -> None:
    """A part is replaced, a part is there that does not belong, a further collection is of another run."""
    build_graph(store, vintage="toy")
    backfill = backfill_of(tmp_path, "nation", "areas", "mixed", areas={"interactions": True})
    plan = plan_backfill(store, backfill, ASKED)
    assert execute(store, plan, None, QUIET).fine
    assert set(states_of(status_of_name(store, "night"))) == {"done"}
    written = {(group.product, group.year): group.collections for group in plan.groups}
    replaced, more, by_state = (written[one][-1] for one in (("nation", 2019), ("nation", 2020), ("mixed", 2019)))
    further, _ = written["areas", 2019]
    part = store.snapshot(replaced).parts["17"]
    changed = {
        replaced: {"17": part},
        more: {"99": part},
        by_state: {"17": store.snapshot(by_state).parts["17"]},
        further: store.snapshot(further).parts,
    }
    for collection, parts in changed.items():
        attributes = store.snapshot(collection).attributes
        store.commit(collection, parts, Provenance("other", {}), attributes, keep_others=True)
    of_file = states_of(status_of_plan(store, plan_backfill(store, backfill, ASKED)))
    assert of_file["stale"] == {"areas-2019-all", "mixed-2019-17", "nation-2019-all", "nation-2020-all"}
    assert states_of(status_of_name(store, "night")) == of_file


def test_a_plan_of_an_earlier_version_is_held_against_all_parts(store, tmp_path) -> None:
    assert execute(store, plan_backfill(store, backfill_of(tmp_path, "areas", "mixed"), ASKED), None, QUIET).fine
    journal = Journal(store, "night")
    plan = journal.plan()
    for group in plan["groups"]:
        del group["parts"], group["keep_others"]
    journal.keep_plan(plan)
    assert set(states_of(status_of_name(store, "night"))) == {"done"}


def test_refused_outputs_fail_with_their_reason(job, store, tmp_path) -> None:
    file = write_file(tmp_path, "mixed", "index")
    done = job("backfill", "status", file, *YEARS, "--store", store.url)
    assert done.code == 1
    assert "refused: index-2019" in done.out.replace("failed: ", "")
    assert "neighbors" in done.out


def test_what_runs_is_known_from_its_signs(store, tmp_path) -> None:
    plan = plan_backfill(store, backfill_of(tmp_path, "mixed"), ASKED)
    execute(store, plan, None, QUIET)
    journal = Journal(store, "night")
    assert [(run.outcome, run.done, run.left, run.alive) for run in journal.runs()] == [("all done", 6, 0, False)]
    other = plan_backfill(store, backfill_of(tmp_path, "counties"), ASKED)
    names = [group.name(0) for group in other.groups]
    note = {"began": "2026-01-01 00:00:00", "seconds": 60.0, "done": 2, "failed": 0, "left": 4, "running": names[:1]}
    journal.note_run("99990101T000000Z-0", note)
    status = status_of_plan(store, other)
    assert states_of(status)["running"] == {names[0]}
    assert status.exit_code == 3
    text = "\n".join(status_lines(status))
    assert "running since 2026-01-01 00:00:00 UTC: 2 of 6 outputs ended, 1 running; about 2 min left" in text
    table = status_table(status)
    assert table.loc[table["status"] == "running", "running_since"].tolist() == ["2026-01-01 00:00:00"]
    # A driver that was killed has left no end: it is silent.
    file = Path(store.url, "backfills", "night", "runs", "99990101T000000Z-0.json")
    old = time.time() - 10 * SILENT
    os.utime(file, (old, old))
    status = status_of_plan(store, other)
    assert State.RUNNING not in {output.status for output in status.outputs}
    assert "has not ended, and its last sign of life was 15 min ago" in "\n".join(status_lines(status))


def test_notes_that_are_damaged_or_cannot_be_written_stop_nothing(store, tmp_path, monkeypatch) -> None:
    plan = plan_backfill(store, backfill_of(tmp_path, "mixed"), ASKED)

    def refuse(*given: object) -> None:
        raise OSError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "note_run", refuse)
        assert execute(store, plan, None, QUIET).fine
    store.objects.put("backfills/night/runs/20260101T000000Z-0.json", b'{"began": ')
    assert Journal(store, "night").runs() == []
    assert status_of_name(store, "night").exit_code == 0


def test_notes_of_old_runs_are_removed(store, tmp_path) -> None:
    journal = Journal(store, "night")
    for number in range(30):
        journal.note_run(f"2026010{number // 10}T00000{number % 10}Z-0", {"began": "then"})
    execute(store, plan_backfill(store, backfill_of(tmp_path, "mixed"), ASKED), None, QUIET)
    names = store.objects.names("backfills/night/runs")
    assert len(names) == 20
    assert json.loads(store.objects.get("backfills/night/plan.json"))["run"] == max(names).removesuffix(".json")


def test_direct_jobs_leave_no_notes(job, store, tmp_path) -> None:
    options = ("--dataset", "made", "--year", 2019, "--by", "county", "--brackets", "deciles")
    assert job("mixing", *options, "--store", store.url, "--cluster", "serial").code == 0
    assert not store.objects.folders("backfills")


@pytest.mark.parametrize("option", [("--years", "2019"), ("--products", "mixed"), ("--skip-missing",)])
def test_options_of_a_file_are_refused_with_a_name(job, store, option) -> None:
    done = job("backfill", "status", "night", *option, "--store", store.url)
    assert done.code == 2
    assert option[0] in done.err


def test_a_dry_run_ends_with_2_where_nothing_can_run(job, store, tmp_path) -> None:
    given = (*YEARS, "--store", store.url)
    nation = write_file(tmp_path, "areas")
    alone = job("backfill", nation, *given, "--states", "17", "--dry-run")
    assert alone.code == 2
    both = write_file(tmp_path, "mixed", "index")
    assert job("backfill", both, *given, "--dry-run").code == 0
    assert job("backfill", both, *given, "--cluster", "serial").code == 1
    again = job("backfill", both, *given, "--dry-run")
    assert again.code == 2
    assert "nothing can be computed" in again.err


def test_an_empty_plan_is_refused(store, tmp_path) -> None:
    plan = plan_backfill(store, backfill_of(tmp_path, "mixed"), Asked(years=(2001,), skip_missing=True))
    with pytest.raises(InputError, match="no outputs"):
        check_runnable(plan)
