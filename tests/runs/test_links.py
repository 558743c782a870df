"""Which workers are asked for their links, and which are closed; links that are really cut are in tests/clusters."""

import pytest

from geomob_dask.runs import watchdog
from geomob_dask.runs.links import Cut, Links, to_close
from geomob_dask.sections import Waits


def worker(**counts: int) -> dict:
    return {"metrics": {"task_counts": counts}}


def asked(*looks: dict, silent: tuple[str, ...] = ()) -> list[str]:
    """Return the workers that are asked after these looks."""
    links = Links(None)
    for workers in looks:
        links._observe(workers)
    return links._suspects(looks[-1], silent)


@pytest.mark.parametrize(
    ("workers", "expected"),
    [
        ({"a": worker(flight=1, waiting=1), "b": worker(executing=1)}, ["a"]),
        ({"a": worker(missing=1), "b": worker(memory=1)}, ["a", "b"]),
        # Data may be on their way between workers without a task that waits for them.
        ({"a": worker(memory=2), "b": worker()}, ["a", "b"]),
        # One long computation, and nothing that waits for data.
        ({"a": worker(executing=1, ready=3), "b": worker()}, []),
        ({"a": worker(flight=1)}, ["a"]),
    ],
)
def test_workers_that_do_not_move_are_asked(workers, expected):
    assert asked(*[workers] * 4) == expected
    assert asked(*[workers] * 3) == []
    assert asked(*[workers] * 4, silent=("a",)) == []


def test_a_worker_whose_tasks_move_is_not_asked():
    before = [{"a": worker(flight=1, memory=number), "b": worker(executing=1)} for number in range(6)]
    assert asked(*before) == []


def test_the_worker_of_most_links_is_closed():
    cuts = [Cut("a", "b", "t"), Cut("c", "b", "t"), Cut("b", "d", "t"), Cut("e", "f", "t")]
    assert to_close(cuts, {"e": 5, "f": 1}) == ["b", "f"]


def test_links_that_closing_workers_does_not_mend_are_given_up():
    links = Links(None)
    cut = Cut("tcp://10.0.0.1:1", "tcp://10.0.0.2:1", "task")
    # Workers of the same hosts, at other ports each time.
    links._closed[Cut("tcp://10.0.0.2:7", "tcp://10.0.0.1:9", "").hosts] = 3
    assert links._mend([cut], {}) == []
    assert links.hopeless == [cut]


def test_tasks_that_wait_while_none_computes(monkeypatch):
    monkeypatch.setattr(watchdog, "_STILL", 0.0)
    waits, still = Waits(progress=7.0), {"a": worker(waiting=2, flight=1), "b": worker(memory=1)}
    watch = watchdog._Stillness()
    assert watch.look(still, waits) is None
    found = watch.look(still, waits)
    assert (found.setting, found.patience) == ("progress", 7.0)
    assert "3 wait on worker a" in found.what
    # Fetched again and again, data are missing for a moment.
    assert watch.look({**still, "a": worker(waiting=2, missing=1)}, waits) is not None
    assert watch.look({**still, "b": worker(executing=1)}, waits) is None
    assert watch.look({"a": worker(memory=1), "b": worker()}, waits) is None
    assert watch.look({"a": worker(memory=1), "b": worker()}, waits) is None
