"""The command as the shell runs it: killed, interrupted once and twice, bereft of its scheduler, and told nonsense."""

import os
import random
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from backfill_country import command, fill, receipts_in, run_command, shown, write_file
from cluster_processes import processes
from stores import with_processes

from geomob_dask.store import Store

YEARS = ("--years", "2019:2020")
# So many outputs that a run is not done when it is disturbed after the first of them.
NIGHT = ("--years", "2013:2020")
PRODUCTS = ("mixed", "index", "counties")


@pytest.fixture(scope="module")
def country(tmp_path_factory) -> Path:
    """Return the folder of a store that nothing is computed in."""
    folder = tmp_path_factory.mktemp("country")
    fill(str(folder / "store"), folder, years=tuple(range(2013, 2021)))
    return folder / "store"


@pytest.fixture(scope="module")
def undisturbed(country, tmp_path_factory):
    """Return what an undisturbed run shows."""
    folder = tmp_path_factory.mktemp("undisturbed")
    store = Store(str(shutil.copytree(country, folder / "store")))
    done = run_command(command(write_file(folder, *PRODUCTS), store.url, *NIGHT))
    assert done.returncode == 0, done.stderr
    return shown(store)


@pytest.fixture
def store(country, tmp_path) -> Store:
    return Store(str(shutil.copytree(country, tmp_path / "store")))


def begun(store: Store, outputs: int = 1, seconds: float = 120.0) -> int:
    """Wait until so many outputs are there, as receipts or commits; return how many."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        # A listing sees files of a writer that is not done; those have other names.
        there = [found.key for found in store.objects.listing() if found.key.startswith("results/")]
        there = [key for key in there if re.search(r"(_outputs/|_snapshots/)[^.]", key)]
        if len(there) >= outputs:
            return len(there)
        time.sleep(0.02)
    raise AssertionError("nothing began")


def start(line: list[str], **options) -> subprocess.Popen:
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def test_a_killed_driver_goes_on_where_it_was(store, tmp_path, undisturbed):
    """SIGKILL at any moment, several times; in the end the store shows the same bytes."""
    line = command(write_file(tmp_path, *PRODUCTS), store.url, *NIGHT)
    rng = random.Random(6)
    for outputs in (1, 4):
        running = start(line)
        begun(store, outputs)
        time.sleep(rng.uniform(0, 0.1))
        running.kill()
        running.communicate()
        assert running.returncode == -signal.SIGKILL
    done = run_command(line)
    assert done.returncode == 0, done.stderr
    assert shown(store) == undisturbed
    assert receipts_in(store) == []


def test_one_interrupt_finishes_what_runs_and_commits_it(store, tmp_path, undisturbed):
    line = command(write_file(tmp_path, *PRODUCTS), store.url, *NIGHT)
    running = start(line)
    begun(store)
    running.send_signal(signal.SIGTERM)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 1
    assert "interrupted" in err
    assert "interrupt again" in out
    found = shown(store)
    assert found
    assert receipts_in(store) == []
    assert "Traceback" not in err
    done = run_command(line)
    assert done.returncode == 0, done.stderr
    assert shown(store) == undisturbed


@pytest.mark.parametrize("times", [1, 2])
def test_interrupts_of_a_cluster_from_the_terminal(store, tmp_path, undisturbed, times):
    """Ctrl-C goes to the driver and to its workers alike."""
    # One output at a time: the first interrupt finds all but the first of them still to be computed.
    line = command(write_file(tmp_path, *PRODUCTS), store.url, *NIGHT, "--max-active", 1, cluster="local")
    line += with_processes(tmp_path)
    running = start(line, start_new_session=True)
    begun(store)
    if times == 2:
        # What runs does not end between the two.
        for worker in workers_of(running.pid):
            worker.suspend()
    for _ in range(times):
        os.killpg(running.pid, signal.SIGINT)
        time.sleep(1.0)
    out, err = running.communicate(timeout=90)
    assert running.returncode == 1
    assert "interrupted" in err
    assert ("twice" in err) == (times == 2)
    assert "Traceback" not in err + out
    done = run_command(command(write_file(tmp_path, *PRODUCTS), store.url, *NIGHT))
    assert done.returncode == 0, done.stderr
    assert shown(store) == undisturbed
    assert receipts_in(store) == []


def workers_of(pid: int) -> list[psutil.Process]:
    """Return the worker processes of a driver."""
    return [child for child in psutil.Process(pid).children() if "spawn_main" in " ".join(child.cmdline())]


def test_a_lost_scheduler_ends_the_run_and_keeps_what_is_whole(store, tmp_path, undisturbed, monkeypatch):
    (tmp_path / "cluster.yaml").write_text("clusters:\n  address:\n    kind: address\n    patience: 4\n")
    with processes(tmp_path) as cluster:
        monkeypatch.setenv("GEOMOB_ADDRESS", cluster.address)
        running = start(command(write_file(tmp_path, *PRODUCTS), store.url, *NIGHT, cluster="address"), cwd=tmp_path)
        begun(store)
        cluster.scheduler.kill()
        _, err = running.communicate(timeout=90)
    assert running.returncode == 1
    assert "run the same command again" in err
    assert cluster.address in err
    assert "Traceback" not in err
    done = run_command(command(write_file(tmp_path, *PRODUCTS), store.url, *NIGHT))
    assert done.returncode == 0, done.stderr
    assert shown(store) == undisturbed


def test_a_scheduler_that_is_restarted_is_waited_for(store, tmp_path, undisturbed, monkeypatch):
    """What was lost with it is handed out again, to workers that came meanwhile."""
    with processes(tmp_path) as cluster:
        monkeypatch.setenv("GEOMOB_ADDRESS", cluster.address)
        running = start(command(write_file(tmp_path, *PRODUCTS), store.url, *NIGHT, cluster="address"))
        begun(store)
        assert running.poll() is None
        cluster.restart_scheduler()
        cluster.add_worker()
        out, err = running.communicate(timeout=120)
    assert running.returncode == 0, err + out
    assert "Traceback" not in err
    assert shown(store) == undisturbed
    assert receipts_in(store) == []


def test_a_dry_run_counts_and_estimates_and_writes_nothing(job, store, tmp_path):
    file = write_file(tmp_path, "mixed", "nation")
    before = [found.key for found in store.objects.listing()]
    done = job("backfill", file, *YEARS, "--store", store.url, "--dry-run")
    assert done.code == 0
    assert re.search(r"mixed +2020 +- +- +- +- +3 +- +3 +0\.0", done.out)
    assert "time: no estimate, as no earlier run of this backfill is known" in done.out
    assert [found.key for found in store.objects.listing()] == before
    assert job("backfill", file, *YEARS, "--store", store.url, "--cluster", "serial").code == 0
    before = [found.key for found in store.objects.listing()]
    done = job("backfill", file, *YEARS, "--store", store.url, "--dry-run", "--reprocess", "all")
    assert re.search(r"nation +2019 +1 +- +- +- +- +- +1 ", done.out)
    assert re.search(r"time: about \d+ s of work", done.out)
    assert [found.key for found in store.objects.listing()] == before
    done = job("backfill", file, *YEARS, "--store", store.url, "--cluster", "nowhere")
    assert done.code == 2
    done = job("backfill", file, *YEARS, "--store", store.url)
    assert done.code == 0
    assert "cluster" not in done.out
    assert re.search(r"all +- +- +8 +- +-", done.out)


def test_the_table_and_the_exit_code_tell_of_failures(job, tmp_path):
    store = fill(str(tmp_path / "store"), tmp_path, years=(2020,), graph=False)
    file = write_file(tmp_path, "mixed", "index")
    done = job("backfill", file, "--years", "2020", "--store", store.url, "--cluster", "serial")
    assert done.code == 1
    assert "error: 3 outputs failed" in done.err
    assert "failed: index-2020-17, index-2020-18, index-2020-39: store" in done.out
    assert "jobs/neighbors.py --vintage toy" in done.out
    assert re.search(r"mixed +3 +- +- +- +-", done.out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--years", "2009:2015,2012"), "--years 2009:2015,2012: found 2012 twice"),
        (("--years", "2020:2019"), "'2020:2019'"),
        (("--years", "recent"), "'recent'"),
        ((*YEARS, "--reprocess", "some"), "--reprocess some: expected none, failed, stale, all"),
        ((*YEARS, "--order", "random"), "--order random: expected newest, oldest"),
        ((*YEARS, "--max-active", "0"), "--max-active 0: expected 1 or more"),
        ((*YEARS, "--products", "mixed,other"), "--products other: expected some of mixed"),
        ((*YEARS, "--states", "ZZ"), "ZZ"),
        ((*YEARS, "--states", "06"), "no state 06"),
        (("--years", "2001:2002"), "mixed: no measures/made of 2001, 2002"),
        ((), "--years: found none there and none in the file"),
    ],
)
def test_bad_usage_is_refused_before_anything_starts(job, store, tmp_path, arguments, message):
    done = job("backfill", write_file(tmp_path, "mixed"), *arguments, "--store", store.url)
    assert done.code == 2
    assert message in done.err
    assert not store.objects.names("results")
    assert not store.objects.names("backfills")


def test_help_has_examples(job):
    done = job("backfill", "--help")
    assert done.code == 0
    assert "--years 2009:2023 --dry-run" in re.sub(r"\s+", " ", done.out)
