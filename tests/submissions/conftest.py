"""A country of five years, and a folder in which jobs are submitted."""

import subprocess
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from backfill_country import command, fill, run_command, shown, write_file

from geomob_dask.store import Store

ROOT = Path(__file__).parents[2]
YEARS = (2017, 2018, 2019, 2020, 2021)
SECRET = "a-secret-of-a-test"


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
