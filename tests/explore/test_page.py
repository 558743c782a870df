"""The page in the dashboard: its addresses on a real scheduler, and what nobody may ask of it."""

import gzip
import json
from collections.abc import Iterator

import dask
import distributed
import pytest
from backfill_country import QUIET, backfill_of, fill, write_definitions
from dashboard_site import Site

from geomob_dask.clusters.page import PRELOAD
from geomob_dask.explore.board import kept_backfills
from geomob_dask.explore.serving import Explorer, Request
from geomob_dask.runs.backfill.plan import Asked, plan_backfill
from geomob_dask.runs.engine import execute
from geomob_dask.runs.journal import Journal
from geomob_dask.store import Store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("country")
    write_definitions(folder)
    return fill(str(folder / "store"), folder, years=(2019, 2020), graph=False)


@pytest.fixture(scope="module")
def client(store) -> Iterator[distributed.Client]:
    settings = {"distributed.scheduler.preload": [PRELOAD], "geomob.store": store.url}
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": False, "dashboard_address": "127.0.0.1:0"}
    with (
        dask.config.set(settings),
        distributed.LocalCluster(**options) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture
def site(client) -> Site:
    return Site(f"http://127.0.0.1:{client.cluster.scheduler.http_server.port}/")


def test_the_page_is_in_the_bar_of_every_page(site) -> None:
    for path in ("geomob", "status", "workers"):
        status, _, body = site.get(path)
        assert status == 200
        assert b'<a href="geomob">' in body
    policy = site.get("geomob")[1]["Content-Security-Policy"]
    assert "'unsafe-inline'" not in policy.split("style-src")[0]


def test_answers_are_compressed_and_asked_for_again_by_their_checksum(site) -> None:
    status, headers, plain = site.get("geomob/static/shell.js")
    assert status == 200
    assert "Content-Encoding" not in headers
    _, packed_headers, packed = site.get("geomob/static/shell.js", Accept_Encoding="gzip")
    assert packed_headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed) == plain
    assert packed_headers["ETag"] != headers["ETag"]
    status, _, body = site.get("geomob/static/shell.js", If_None_Match=headers["ETag"])
    assert (status, body) == (304, b"")
    assert site.get("geomob/static/shell.js", "HEAD")[2] == b""
    assert site.get("geomob/static/bokeh.min.js", Accept_Encoding="gzip")[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "geomob/nothing",
        "geomob/",
        "geomob/static/..%2f..%2fserving.py",
        "geomob/static/serving.py",
        "geomob/static/shell.js/",
        "geomob/runs/kept/..%2f..%2fmeasures/plan",
        "geomob/runs/kept/nobody/plan",
        "geomob/runs/live/nobody/now",
        "geomob/runs/kept?store=/etc",
        "geomob/runs/kept?store=s3://elsewhere/x",
    ],
)
def test_what_is_not_there_is_not_found(site, path) -> None:
    assert "error" in site.json(path, 404)


def test_parameters_are_bounded(site) -> None:
    assert "printable" in site.json(f"geomob/runs/kept?store={'a' * 1000}", 400)["error"]
    assert "characters" in site.json(f"geomob/runs/kept?store={'a' * 5000}", 400)["error"]
    assert "expected one" in site.json("geomob/runs/kept?store=a&store=b", 400)["error"]
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        status, headers, _ = site.get("geomob/about", method)
        assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_the_newest_note_of_a_backfill_is_read_once_for_all_pages(tmp_path, monkeypatch) -> None:
    store, explorer = Store(str(tmp_path / "store")), Explorer(None)
    explorer.add_store(store.url)
    for run in ("1", "2", "3"):
        Journal(store, "night").note_run(run, {"began": f"2026-01-0{run}T00:00:00Z"})
    monkeypatch.setattr("geomob_dask.explore.board._FRESH", 1e9)
    read = []
    original = Journal._read
    monkeypatch.setattr(Journal, "_read", lambda self, name: read.append(name) or original(self, name))
    for _ in range(2):
        assert [one["run"] for one in json.loads(kept_backfills(Request(explorer)).plain())] == ["3"]
    assert read == ["runs/3.json"]


def test_a_run_is_shown_as_it_was_told_and_as_the_journal_has_it(site, client, store, tmp_path) -> None:
    plan = plan_backfill(store, backfill_of(tmp_path, "mixed", "counties"), Asked(years=(2019, 2020)))
    assert execute(store, plan, client, QUIET).fine
    newest = site.json("geomob/runs/live")[0]
    assert (newest["title"], newest["outputs"], newest["outcome"]) == ("night", 12, "all done")
    assert site.json("geomob/runs/kept")[0]["run"] == newest["name"]
    boards = [f"geomob/runs/live/{newest['name']}", "geomob/runs/kept/night"]
    live, kept = (site.json(f"{board}/plan") for board in boards)
    assert live["groups"] == kept["groups"]
    assert live["states"] == {"17": ["IL", "Illinois"], "18": ["IN", "Indiana"], "39": ["OH", "Ohio"]}
    for board in boards:
        now = site.json(f"{board}/now")
        assert now["counts"] == {"done": 12}
        assert now["letters"] == ["ddd"] * 4
        output = site.json(f"{board}/output?group=1&place=2")
        assert (output["product"], output["year"], output["state_name"]) == ("counties", 2020, "Ohio")
        assert output["seconds"] > 0
        assert site.json(f"{board}/failures")["failures"] == []
        assert "whole number" in site.json(f"{board}/output?group=9&place=0", 400)["error"]
