"""A country of five years, and a folder in which jobs are submitted."""

import subprocess
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from backfill_country import command, fill, run_command, shown, write_file
from waits import await_that

from geomob_dask.settings import load_settings
from geomob_dask.store import Store
from geomob_dask.submissions.records import Records
from geomob_dask.submissions.submitting import prepared, submit

ROOT = Path(__file__).parents[2]
YEARS = (2017, 2018, 2019, 2020, 2021)
SECRET = "a-secret-of-a-test"
# An output a second; what is there is not made again.
SLOW = """
import signal, sys, time
from pathlib import Path
from geomob_dask import activity
def stop(*_):
    print("error: interrupted", file=sys.stderr, flush=True)
    sys.exit(1)
signal.signal(signal.SIGTERM, stop)
for number in range(45):
    file = Path(f"output-{number}")
    if not file.exists():
        time.sleep(1)
        file.touch()
        activity.completed()
        print(f"{number + 1} of 45", flush=True)
"""


@pytest.fixture(scope="session")
def country(tmp_path_factory) -> tuple[str, str, dict[str, str]]:
    """Return a store of five years, its backfill file, and the bytes that a run without interruption shows."""
    folder = tmp_path_factory.mktemp("country")
    store = fill(str(folder / "store"), folder, years=YEARS)
    file = write_file(folder)
    undisturbed = copied(store.url, folder / "undisturbed")
    done = run_command(command(file, undisturbed, "--years", "2017:2021"))
    assert done.returncode == 0, done.stderr
    return store.url, file, shown(Store(undisturbed))


def copied(store: str, to: Path) -> str:
    subprocess.run(["cp", "-r", store, str(to)], check=True)
    return str(to)


@pytest.fixture
def here(tmp_path, monkeypatch, country):
    """Work in a folder of this test's own; return the URL of a store with the country, and end what is left there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    store = copied(country[0], tmp_path / "store")
    monkeypatch.setenv("GEOMOB_STORE", store)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    yield store
    left = [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(str(tmp_path) in word for word in process.info["cmdline"] or [])
    ]
    for process in left:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, timeout=10)
    written = [*tmp_path.glob("store/submissions/*/*"), *tmp_path.glob("geomob-logs/*")]
    assert [file for file in written if SECRET in file.read_text()] == []


@pytest.fixture
def slow(here, tmp_path):
    """Return a function that submits a job of 45 seconds on the section `node`.

    It returns the records, when the first output is there.
    """

    def submitted() -> Records:
        (tmp_path / "slow.py").write_text(SLOW)
        settings = load_settings(cluster="node")
        asked, place = prepared("slow", tmp_path / "slow.py", [], settings, Store.of(settings), None)
        submit(Store(here), asked, place, settings.section)
        await_that(lambda: Path("output-0").exists())
        return Records(Store(here).objects, asked.id)

    return submitted
