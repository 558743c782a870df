"""Outputs that exceed a worker's share of memory are spread over the cluster, and their bytes stay the same."""

import math

import pytest
from rich.console import Console
from scripts import benchmark

from geomob_dask.messages import tell
from geomob_dask.products.catalog import product_named
from geomob_dask.runs.carriers import InThisProcess, OnCluster
from geomob_dask.runs.engine import execute
from geomob_dask.runs.planning import Request, make_plan
from geomob_dask.runs.watchdog import watched
from geomob_dask.sections import LocalSection
from geomob_dask.store import Store

QUIET = Console(quiet=True)
YEARS = 2


@pytest.fixture(scope="module")
def made():
    """Return the module of the made-up nation."""
    return benchmark("nation")


@pytest.fixture(scope="module")
def nation(made):
    """Return some 1,500 cells in 12 partitions of unequal size."""
    return made.Nation(1500, 12)


@pytest.fixture(scope="module")
def written(made, nation, tmp_path_factory):
    """Return the URL of its store, with its graph computed in memory, in this process."""
    url = str(tmp_path_factory.mktemp("nation") / "store")
    store = made.write(nation, url, years=YEARS)
    plan = make_plan(store, [Request("neighbors", product_named("neighbors").options.of(vintage=made.VINTAGE))])
    assert execute(store, plan, None, QUIET).fine
    return url


def requests(made, folder):
    """Return every kind of national product of all years."""
    definition, groups, brackets = (
        str(file(folder)) for file in (made.definition_file, made.groups_file, made.brackets_file)
    )
    indices = "dissimilarity,information_theory"
    given = {
        "opportunity": {"definition": definition},
        "exposure": {"by": "metro", "groups": groups},
        "segregation": {"by": "state", "groups": groups, "indices": indices},
        "mixing": {"by": "metro", "brackets": brackets},
    }
    return [
        Request(name, product_named(name).options.of(dataset=made.DATASET, year=made.YEAR + after, **options))
        for after in range(YEARS)
        for name, options in given.items()
    ]


def bytes_of(store, plan):
    """Return the checksum of every part that a plan has committed."""
    names = [name for group in plan.groups for name in group.collections]
    return {name: {key: part.sha256 for key, part in store.snapshot(name).parts.items()} for name in names}


class Watched(OnCluster):
    """A carrier that notes how many outputs were spread, in all and at once."""

    def __init__(self, client):
        super().__init__(client)
        self.now, self.most, self.names, self.tasks = set(), 0, [], 0

    def submit(self, *args):
        self.tasks += 1
        super().submit(*args)

    def spread(self, output, label, build):
        self.now.add(output)
        self.names.append(label[0])
        self.most = max(self.most, len(self.now))
        super().spread(output, label, build)

    def ended(self, seconds):
        found = super().ended(seconds)
        self.now -= {output for output, _, _ in found}
        return found


def run_on(client, store, plan, share, monkeypatch):
    """Execute a plan on a cluster whose section says what is large; return the carrier."""
    carriers = []

    def carrier(client):
        carriers.append(Watched(client))
        return carriers[0]

    monkeypatch.setattr("geomob_dask.runs.engine.OnCluster", carrier)
    with watched(client, LocalSection(spread_above=share), tell):
        result = execute(store, plan, client, QUIET)
    assert result.fine, result.failed
    return carriers[0]


def test_national_products_have_the_same_bytes_in_one_task_and_spread(made, written, tmp_path, client, monkeypatch):
    store = Store(written)
    plan = make_plan(store, requests(made, tmp_path), reprocess="all")
    in_memory = execute(store, plan, None, QUIET)
    assert in_memory.fine, in_memory.failed
    expected = bytes_of(store, plan)
    few = run_on(client, store, plan, 1.0, monkeypatch)
    assert (few.tasks, few.names) == (4 * YEARS, [])
    assert bytes_of(store, plan) == expected
    many = run_on(client, store, plan, 1e-9, monkeypatch)
    assert many.tasks == 0
    assert sorted(many.names) == sorted(["exposure", "mixing", "opportunity", "segregation"] * YEARS)
    # Each of them is larger than the workers hold together: one after the other.
    assert many.most == 1
    assert bytes_of(store, plan) == expected


def test_so_many_are_spread_at_once_as_the_workers_hold(made, written, tmp_path, client, monkeypatch):
    store = Store(written)
    asked = [one for one in requests(made, tmp_path) if one.product == "exposure"]
    plan = make_plan(store, asked, reprocess="all")
    (size,) = {group.sizes[0] for group in plan.groups[:1]}
    # One task holds a little less than an output; two threads hold one output.
    memory = 2 * 2**30
    assert run_on(client, store, plan, 0.9 * size / memory, monkeypatch).most == 1
    # Four threads hold three of them, and there are two.
    monkeypatch.setattr(Watched, "width", lambda self: 4)
    assert run_on(client, store, plan, 0.9 * size / memory, monkeypatch).most == 2


def test_a_thread_of_a_worker_has_a_share_of_its_memory(client):
    carrier = OnCluster(client)
    assert carrier.width() == 2
    assert carrier.one_task() == pytest.approx(0.03 * 2 * 2**30)
    with watched(client, LocalSection(spread_above=0.5), tell):
        assert OnCluster(client).one_task() == 2**30
    assert InThisProcess().one_task() == math.inf


def test_the_graph_is_that_of_the_lattice_in_any_partitions(made, nation, written, tmp_path, client, monkeypatch):
    store = Store(written)
    graph = store.frame(f"neighbors/{made.VINTAGE}").compute(scheduler="synchronous")
    assert len(graph) == 2 * nation.pairs()
    request = Request("neighbors", product_named("neighbors").options.of(vintage=made.VINTAGE))
    plan = make_plan(store, [request], reprocess="all")
    expected = bytes_of(store, plan)
    spread = run_on(client, store, plan, 1e-9, monkeypatch)
    assert spread.names == ["neighbors"]
    assert bytes_of(store, plan) == expected
    other = made.write(made.Nation(nation.cells, 1), str(tmp_path / "store"))
    run_on(client, other, make_plan(other, [request]), 1e-9, monkeypatch)
    assert len(other.frame(f"neighbors/{made.VINTAGE}").compute(scheduler="synchronous")) == 2 * nation.pairs()
