"""What checks make of answers: each level, the machine, both values and what to do."""

import datetime
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomob_dask.clusters.described import link_after
from geomob_dask.doctor import clocks, lifetimes, links, machines, memory
from geomob_dask.doctor.asked import NoAnswerError
from geomob_dask.doctor.clocks import Reading, reading
from geomob_dask.doctor.facts import facts_of_machine
from geomob_dask.doctor.findings import Finding, Level
from geomob_dask.doctor.memory import Largest
from geomob_dask.outputs.doctor import lines_of, summary
from geomob_dask.runs.journal import Took

A, B = "worker tcp://10.0.0.7:1", "worker tcp://10.0.0.8:2"
SCRATCH = {"folder": "/scratch", "free": 2**40, "total": 2**41, "writable": True, "kind": "ext4"}


def facts(**of_worker: object) -> dict:
    """Return what client, scheduler and a worker say of themselves; the worker's may differ."""
    here = facts_of_machine()()
    limits = {"memory_limit": 4 * 2**30, "pause": 0.8, "files": 65_536}
    known = {"scratch": SCRATCH, "threads": 1, "lifetime": None, **limits}
    client = {**here, "files": 65_536}
    return {"client": client, "scheduler tcp://10.0.0.1:8786": client, A: {**here, **known, **of_worker}}


def other(**packages: object) -> dict:
    return facts(packages={**facts_of_machine()()["packages"], **packages})


def levels(findings: list[Finding]) -> list[Level]:
    return [one.level for one in findings]


@pytest.mark.parametrize(
    ("name", "version", "level"),
    [
        ("geomob-dask", "0.0.1", "wrong"),
        ("numpy", "1.0", "wrong"),
        ("geos", "3.1.0", "wrong"),
        ("dask", "2024.1.0", "wrong"),
        ("scikit-learn", None, "wrong"),
        ("python", "3.10.9", "wrong"),
        ("python", "3.11.99", "warning"),
        ("s3fs", "1.0", "warning"),
        ("icechunk", None, "warning"),
    ],
)
def test_another_version_is_wrong_where_bytes_or_messages_would_differ(name, version, level):
    [finding] = machines.versions(other(**{name: version}))
    assert finding.level == level
    assert finding.where == A
    assert str(version or "not installed") in finding.found
    assert str(facts_of_machine()()["packages"][name]) in finding.expected
    assert finding.advice


def test_the_same_everywhere_is_one_line():
    for check in (machines.versions, machines.package, machines.scratch, machines.open_files):
        assert levels(check(facts())) == [Level.OK]
    assert "client, scheduler and 1 worker" in machines.versions(facts())[0].found


def test_a_worker_without_the_package_is_told_once():
    bare = other(**{"geomob-dask": None})
    bare[A] = {**bare[A], "imports": "ModuleNotFoundError: No module named 'geomob_dask'"}
    assert levels(machines.versions(bare)) == [Level.OK]
    [finding] = machines.package(bare)
    assert (finding.level, finding.where) == (Level.WRONG, A)


def test_who_does_not_answer_is_named():
    known, found = machines.answers({"client": {}, A: NoAnswerError("no answer within 3 s"), B: TypeError("code()")})
    assert list(known) == ["client"]
    assert [(one.where, one.level) for one in found] == [(A, Level.WRONG), (B, Level.WRONG)]
    assert "3 s" in found[0].found
    assert "code()" in found[1].found


@pytest.mark.parametrize(
    ("scratch", "told"),
    [
        ({"free": 2**20}, [Level.WRONG]),
        ({"free": 2**30}, [Level.WARNING]),
        ({"writable": False}, [Level.WRONG]),
        ({"error": "gone"}, [Level.WRONG]),
        ({"kind": "tmpfs"}, [Level.WARNING]),
        ({"kind": "tmpfs", "free": 2**20}, [Level.WRONG, Level.WARNING]),
    ],
)
def test_scratch_that_is_full_or_in_memory(scratch, told):
    found = machines.scratch(facts(scratch={**SCRATCH, **scratch}))
    assert levels(found) == told
    assert {one.where for one in found} == {A}


def test_few_open_files_and_another_environment_are_warnings():
    [finding] = machines.open_files(facts(files=256))
    assert (finding.level, finding.where) == (Level.WARNING, A)
    assert "ulimit -n" in finding.advice
    variables = {**facts_of_machine()()["variables"], "AWS_DEFAULT_REGION": "moon-1"}
    [finding] = machines.settings_of_buckets(facts(variables=variables))
    assert (finding.level, finding.where) == (Level.WARNING, A)
    assert "moon-1" in finding.found


@given(
    offset=st.floats(-1e6, 1e6),
    there=st.floats(0, 10),
    back=st.floats(0, 10),
)
def test_the_true_offset_lies_within_what_is_said(offset, there, back):
    sent = 1000.0
    one = reading(sent, sent + there + offset, sent + there + back)
    assert abs(one.offset - offset) <= one.within + 1e-6


def test_clocks_of_machines_and_of_storage():
    good, late = Reading(0.01, 0.02), Reading(1200.0, 0.5)
    assert levels(clocks.clocks({A: good}, None)) == [Level.OK]
    # Without a bucket nobody checks signatures.
    assert levels(clocks.clocks({A: good, B: late}, None)) == [Level.WARNING]
    assert [(one.where, one.level) for one in clocks.clocks({A: good, B: late}, good)] == [(B, Level.WRONG)]
    # The client's own clock may be the one that is off.
    wrong = clocks.clocks({A: good, B: late}, late)
    assert {(one.where, one.level) for one in wrong if one.level is Level.WRONG} == {
        ("client", Level.WRONG),
        (A, Level.WRONG),
    }
    # A long way to a machine says little of its clock.
    assert levels(clocks.clocks({A: Reading(8.0, 8.0)}, None)) == [Level.OK]


def test_memory_for_one_task_and_for_as_many_as_threads():
    large = Largest("measures/acs/2020", "06", 2**28, 6 * 2**30)
    [finding] = memory.memory(facts(), large)
    assert (finding.level, finding.where) == (Level.WRONG, A)
    assert re.search(r"4\.0 GiB", finding.found)
    assert "06" in finding.expected
    small = Largest("measures/acs/2020", "06", 2**25, 2**30)
    assert levels(memory.memory(facts(), small)) == [Level.OK]
    [finding] = memory.memory(facts(threads=8), small)
    assert finding.level is Level.WARNING
    assert "threads_per_worker" in finding.advice
    assert levels(memory.memory(facts(), None)) == [Level.SKIPPED]
    # What is left below the limit is for each worker's own setting to say; it may start tasks up to the limit itself.
    between = Largest("measures/acs/2020", "06", 2**26, 3 * 2**30)
    for pause, level in ((0.8, Level.WRONG), (0.85, Level.WRONG), (0.9, Level.OK), (False, Level.OK), (None, Level.OK)):
        assert levels(memory.memory(facts(pause=pause), between)) == [level]
    # Without a limit, the machine's memory is what there is.
    assert levels(memory.memory(facts(memory_limit=None, memory=2**30), large)) == [Level.WRONG]


@pytest.mark.parametrize(
    ("life", "walltime", "level"),
    [
        (None, None, "ok"),
        (3600.0, None, "ok"),
        (150.0, None, "warning"),
        (60.0, None, "wrong"),
        (3600.0, 50.0, "wrong"),
    ],
)
def test_workers_live_longer_than_the_longest_output(life, walltime, level):
    [finding] = lifetimes.lifetimes(facts(lifetime=life), Took("night: index-2020-06", 100.0), walltime)
    assert finding.level == level
    assert level == "ok" or "night: index-2020-06" in finding.expected


def test_a_lifetime_without_earlier_runs_is_not_judged():
    assert levels(lifetimes.lifetimes(facts(lifetime=60.0), None, None)) == [Level.SKIPPED]


def test_who_can_reach_the_cluster():
    now = datetime.datetime.now(datetime.UTC)
    for address, level in (
        ("tcp://127.0.0.1:8786", "ok"),
        ("tcp://[::1]:8786", "ok"),
        ("inproc://10.0.0.1/1/1", "ok"),
        ("tcp://10.0.0.1:8786", "warning"),
        ("ws://10.0.0.1:8786", "warning"),
        ("tls://10.0.0.1:8786", "ok"),
    ):
        assert levels(links.encryption(address, None, "section", now)) == [level], address
    assert levels(links.dashboard("http://127.0.0.1:1/status", ())) == [Level.SKIPPED]
    forwarded = link_after("http://127.0.0.1:1/status", "ssh -i /home/me/key -N -L 1:127.0.0.1:1 node1")
    # It is not asked before the tunnel is there.
    (there,) = links.dashboard(forwarded, [("127.0.0.1", 1)])
    assert (there.level, "after ssh -i" in there.found) == (Level.OK, True)
    found = links.dashboard("http://127.0.0.1:1/status", [("0.0.0.0", 1)])
    assert levels(found) == [Level.WARNING, Level.WARNING]
    assert "0.0.0.0:1" in found[0].found
    assert "ssh -L" in found[1].advice


def test_the_same_finding_on_several_machines_is_one_line_unless_all_are_asked_for():
    one = Finding("versions", Level.WRONG, "numpy 1.0", "2.0", "install it", A)
    two = Finding("versions", Level.WRONG, "numpy 1.0", "2.0", "install it", B)
    [line] = lines_of([one, two])
    assert A in line
    assert B in line
    assert len(lines_of([one, two], verbose=True)) == 2
    assert summary([one, two]) == "0 warnings, 2 wrong, 0 ok"
