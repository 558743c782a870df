"""A job leaves without the interpreter's teardown: what it printed is whole, its code kept, nothing stays behind."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from geomob_dask import ending

ARROW = """
    import geomob_dask.ending as ending
    import io, threading, time
    import pyarrow as pa, pyarrow.parquet as pq

    class Slow(io.BytesIO):
        def read(self, *size):
            started.set()
            time.sleep(0.02)
            return super().read(*size)

    def read_on():
        file = io.BytesIO()
        pq.write_table(pa.table({"a": list(range(1000))}), file)
        while True:
            pq.read_table(pa.PythonFile(Slow(file.getvalue()), "r"))

    started = threading.Event()
    for _ in range(4):
        threading.Thread(target=read_on, daemon=True).start()
    started.wait()
    print("result")
    ending.leave(0)
"""
KEPT = """
    import geomob_dask.ending as ending
    import atexit, multiprocessing, sys, tempfile, time

    if __name__ == "__main__":
        folder = tempfile.TemporaryDirectory()
        child = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(300,))
        child.start()
        print(folder.name, child.pid, end=" ")
        print("at the end", end="", file=sys.stderr)
        atexit.register(lambda: print("registered", end=""))
        ending.leave(3)
"""
TWICE = """
    import geomob_dask.ending as ending
    import signal, time

    with ending.interruptible():
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.raise_signal(signal.SIGINT)
            time.sleep(100)
"""
CLUSTER = """
    import geomob_dask.ending as ending
    import distributed

    if __name__ == "__main__":
        quiet = {"dashboard_address": "127.0.0.1:0", "silence_logs": "CRITICAL"}
        cluster = distributed.LocalCluster(n_workers=1, host="127.0.0.1", local_directory=FOLDER, **quiet)
        print(*(nanny.pid for nanny in cluster.workers.values()))
        ending.leave(0)
"""


@pytest.fixture
def run(tmp_path):
    def run(text: str, **options) -> subprocess.CompletedProcess[str]:
        script = tmp_path / "script.py"
        script.write_text(textwrap.dedent(text))
        line = [sys.executable, str(script)]
        return subprocess.run(line, text=True, check=False, timeout=120, **{"capture_output": True, **options})

    return run


def test_threads_inside_arrow_do_not_abort_a_job_that_has_ended(run):
    """The interpreter's teardown would unwind them there: exit code 134 in most runs."""
    done = run(ARROW)
    assert (done.returncode, done.stdout, done.stderr) == (0, "result\n", "")


def test_what_a_job_leaves(run):
    done = run(KEPT)
    folder, pid, last = done.stdout.split()
    assert (done.returncode, last, done.stderr) == (3, "registered", "at the end")
    assert not Path(folder).exists()
    assert not psutil.pid_exists(int(pid))


def test_a_cluster_that_was_not_closed_ends_with_its_job(run, tmp_path):
    done = run(f"FOLDER = {str(tmp_path)!r}\n" + textwrap.dedent(CLUSTER))
    assert (done.returncode, done.stderr) == (0, "")
    assert not psutil.pid_exists(int(done.stdout))


def test_a_second_interrupt_does_not_wait_for_what_is_cleaned_up(run):
    done = run(TWICE)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: interrupted twice: stopped at once")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_output_that_is_not_whole_fails_the_job(run):
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    script = "import geomob_dask.ending as ending\nprint(1)\nending.leave(0)"
    with open("/dev/full", "w") as full:
        done = run(script, stdout=full, capture_output=False, stderr=subprocess.PIPE, env=buffered)
    assert done.returncode == 1
    assert "error: <stdout>: [Errno 28]" in done.stderr


def test_a_driver_without_memory_says_so(run):
    """No traceback, not even where a thread cannot be started."""
    done = run(
        """
        import geomob_dask.ending
        import resource, threading, time
        from geomob_dask import cli

        app = cli.application("Nothing.", "nothing")

        @app.command()
        def grow() -> None:
            used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used, used))
            while True:
                threading.Thread(target=time.sleep, args=(300,), daemon=True).start()

        cli.main(app)
        """
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: this process has no memory left")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("act", "end"), [("cli._explain", "InputError('no such year')"), ("ending.leave", "SystemExit")]
)
def test_an_interrupt_of_a_job_that_leaves_is_one_line(run, act, end):
    """It comes while an error is explained, or after the last line of the job."""
    where, name = act.split(".")
    done = run(
        f"""
        import geomob_dask.ending as ending
        import signal
        from geomob_dask import cli
        from geomob_dask.errors import InputError

        app, act = cli.application("Nothing.", "nothing"), {act}

        def interrupted(*given, **more):
            {where}.{name} = act
            signal.raise_signal(signal.SIGINT)
            act(*given, **more)

        {where}.{name} = interrupted

        @app.command()
        def only() -> None:
            raise {end}

        cli.main(app)
        """
    )
    assert done.returncode == ending.INTERRUPTED
    assert done.stderr.startswith("error: interrupted; ")
    assert done.stderr.count("\n") == 1
