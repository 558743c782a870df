"""jobs/submit.py on real Grid Engine, which hands no variables on, in a folder whose name has a space."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from backfill_country import shown

from geomob_dask.store import Store
from geomob_dask.submissions.queues import PLACES
from geomob_dask.submissions.records import Records

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture
def study(here, sge, tmp_path, monkeypatch):
    """Work in a folder with a space, whose section `node` is one process in a job of Grid Engine; end what is left."""
    folder = tmp_path / "my study"
    folder.mkdir()
    monkeypatch.chdir(folder)
    # Limits of Grid Engine are of addresses, of which libraries reserve many.
    driver = {"kind": "sge", "memory": "40GiB", "walltime": "10 minutes", "setup": [f"export PYTHONPATH={ROOT}"]}
    section = {"kind": "serial", "driver": driver}
    Path("cluster.yaml").write_text(yaml.safe_dump({"clusters": {"node": section}}))
    yield folder
    subprocess.run(["qdel", "-u", "*"], capture_output=True)


def test_a_driver_on_grid_engine_is_followed_and_done(study, here, country, job):
    done = job("submit", "--follow", "backfill", country[1], "--years", "2017:2021", "--cluster", "node")
    assert done.code == 0, done.err
    assert shown(Store(here)) == country[2]
    (id,) = re.findall(r"^submitted (\S+): SGE job \d+$", done.out, re.MULTILINE)
    assert Records(Store(here).objects, id).known().of("ended")[1]["outcome"] == "done"
    assert "nation 2019: 1 output in results/opportunity/nation" in (study / "geomob-logs" / f"{id}.log").read_text()


def test_a_driver_on_grid_engine_ends_in_order_where_it_is_cancelled(study, slow, job):
    """Grid Engine has no signal for it: the driver finds the record in the store, within seconds."""
    records = slow()
    known = records.known()
    assert PLACES["sge"].there(known.asked, ()) == known.number, "its table cuts the name off"
    assert PLACES["sge"].there(known.asked, (known.number,)) == ""
    cancelled = job("submit", "--cancel", records.id)
    assert cancelled.code == 0, cancelled.err
    assert f"{records.id}: cancelled at" in cancelled.out
    ended = records.known().of("ended")[1]
    assert (ended["outcome"], ended["error"]) == ("cancelled", "interrupted")
    assert 0 < ended["completed"] < 45
