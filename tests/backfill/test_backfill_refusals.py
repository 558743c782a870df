"""A backfill of which nothing can run ends with 2; every reason can be seen, however many there are."""

import pytest
from backfill_country import fill, write_file

from geomob_dask.outputs.backfill import result_lines
from geomob_dask.runs.backfill.file import read_backfill
from geomob_dask.runs.backfill.plan import Asked, plan_backfill
from geomob_dask.runs.engine import Result
from geomob_dask.runs.journal import Journal
from geomob_dask.runs.planning import Plan, Standing
from geomob_dask.store import Store

YEARS = ("--years", "2019:2021")


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    """Return a store without neighbors: every index is refused."""
    folder = tmp_path_factory.mktemp("country")
    return fill(str(folder / "store"), folder, years=(2018, 2019, 2020, 2021), graph=False)


@pytest.mark.parametrize("dry_run", [("--dry-run",), ()])
def test_nothing_that_can_run_ends_with_two(job, store, tmp_path, dry_run) -> None:
    before = [found.key for found in store.objects.listing()]
    done = job("backfill", write_file(tmp_path, "index"), *YEARS, "--store", store.url, *dry_run)
    assert done.code == 2
    assert all(word in done.err for word in ("error: backfill", "all of its outputs (9)", "index 2021", "neighbors"))
    assert ("index 2019: refused" in done.out) == bool(dry_run)
    assert [found.key for found in store.objects.listing()] == before


def test_a_dry_run_says_how_many_are_refused(job, store, tmp_path) -> None:
    done = job("backfill", write_file(tmp_path, "index", "mixed"), *YEARS, "--store", store.url, "--dry-run")
    assert (done.code, done.err) == (0, "")
    assert "refused: 9 of 18 outputs" in done.out


def test_reasons_of_earlier_failures_are_listed_in_part_or_in_full(job, store, tmp_path) -> None:
    file = write_file(tmp_path, "mixed", "counties")
    plan = plan_backfill(store, read_backfill(str(file)), Asked(years=(2018, 2019, 2020, 2021)))
    names = [group.name(place) for group in plan.groups for place in range(len(group.states))]
    journal = Journal(store, plan.name)
    for name in names:
        journal.fail(name, "0", f"reason of {name}", 1)
    arguments = ("backfill", file, "--years", "2018:2021", "--store", store.url, "--dry-run")
    short, every = job(*arguments), job(*arguments, "--reasons")
    for name in names:
        journal.succeed(name)
    assert len(names) == 24
    assert (short.code, every.code) == (0, 0)
    assert short.out.count("\nfailed before: ") == 20
    assert "and 4 more" in short.out
    assert f"{store.url}/backfills/{plan.name}/failed" in short.out
    assert all(f"failed before: {name}: reason of {name}\n" in every.out for name in names)
    assert "more" not in every.out


def test_reasons_of_a_run_name_the_journal(store) -> None:
    plan = Plan((), name="night")
    few = Result(failed={f"a-2020-{k}": "the same" for k in range(3)})
    assert result_lines(store, plan, few) == ["failed: a-2020-0, a-2020-1, a-2020-2: the same"]
    many = Result(failed={f"a-2020-{k}": f"reason {k}" for k in range(264)})
    lines = result_lines(store, plan, many)
    assert len(lines) == 21
    assert f"{store.url}/backfills/night/failed" in lines[-1]
    assert result_lines(store, plan, many, every=True) == [f"failed: a-2020-{k}: reason {k}" for k in range(264)]
    assert Standing.REFUSED not in plan.counts()
