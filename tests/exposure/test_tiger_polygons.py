"""Polygons from a local server that answers, and fails, as the Bureau's does; then into the store."""

import io
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import geopandas as gpd
import pytest
import shapely

from geomob_dask.errors import InputError, RunError
from geomob_dask.runs.landing import ingest
from geomob_dask.settings import Limits, limits_in_use, using_limits
from geomob_dask.sources import tiger
from geomob_dask.sources.download import Downloader, Politeness
from geomob_dask.store import Store

PATH = "/GENZ2018/shp/cb_2018_{}_tract_500k.zip"


@pytest.fixture
def server(tmp_path):
    """Serve zipped shapefiles by path, after any answers scripted for a path."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            self.server.asked.append(self.path)
            script = self.server.script.get(self.path, [])
            code, body = script.pop(0) if script else self.server.files.get(self.path, (404, b"<title>no</title>"))
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.script, server.files = [], {}, {}
    for state in ("39", "53"):
        layer = gpd.GeoDataFrame(
            {"GEOID": [f"{state}001000100"], "ALAND": [1], "AWATER": [0]},
            geometry=[shapely.box(-83, 40, -82, 41)],
            crs="EPSG:4269",
        )
        layer.to_file(tmp_path / f"{state}.shp.zip", driver="ESRI Shapefile")
        server.files[PATH.format(state)] = (200, (tmp_path / f"{state}.shp.zip").read_bytes())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def ask(server, tmp_path):
    store = Store(str(tmp_path / "store"))
    (tmp_path / "polygons").mkdir()

    def ask(*states, **request):
        client = Downloader(Politeness(concurrency=1, attempts=3), sleep=lambda _: None)
        options = {"year": 2018, "states": states, "folder": str(tmp_path / "polygons"), **request}
        url = f"http://127.0.0.1:{server.server_port}"
        return tiger.fetch(tiger.Options.of(**options, base_url=url), store.objects, client)

    ask.store = store
    return ask


def test_files_come_once_and_go_into_the_store(ask, server, tmp_path):
    assert ask("39", "53")[0].startswith("2 files of cartographic tract polygons of 2018")
    files = sorted(str(file) for file in (tmp_path / "polygons").iterdir())
    done = ingest(ask.store, "tracts", files=files, vintage="2010")
    assert done.rows == {"39": 1, "53": 1}
    server.asked.clear()
    ask("39", "53")
    assert server.asked == []


def test_a_half_downloaded_file_is_asked_for_again(ask, server):
    whole = server.files[PATH.format("39")][1]
    server.script[PATH.format("39")] = [(200, whole[:-40]), (503, b"")]
    ask("39")
    assert len(server.asked) == 3


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (zipped(**{"a.txt": b"1"}), r"found a zip of a\.txt, expected a whole shapefile"),
        (zipped(), "found a zip of nothing, expected a whole shapefile"),
        (zipped(**{"../a.shp": b"1"}), r"member '\.\./a\.shp' leads outside"),
        (zipped(**{"a.shp": b"1234"}).replace(b"1234", b"1235"), r"member a\.shp: .*CRC"),
        (b"PK\x03\x04 and no more", "expected a whole shapefile"),
    ],
    ids=["no polygons", "nothing", "a path out", "changed", "cut"],
)
def test_an_answer_that_is_no_shapefile_is_refused_by_the_checks_of_every_zip(ask, server, data, message):
    server.script[PATH.format("39")] = [(200, data)] * 3
    with pytest.raises(RunError, match=rf"_39_tract_500k\.zip: .*{message}"):
        ask("39")


def test_it_goes_on_at_the_state_that_failed(ask, server):
    server.script[PATH.format("53")] = [(200, b"<html>busy</html>")] * 3
    with pytest.raises(RunError, match=r"_53_tract_500k.zip: .*found a web page \('<html>busy</html>'\), expected"):
        ask("39", "53")
    server.asked.clear()
    ask("39", "53")
    assert server.asked == [PATH.format("53")]


@pytest.mark.parametrize(
    ("states", "request_", "message"),
    [
        (("40",), {}, r"cb_2018_40_tract_500k.zip: the server knows no such thing \(status 404"),
        (("39",), {"year": 2009}, r"cartographic tract polygons of 2009: expected 2014 or later"),
        (("39",), {"layer": "block"}, r"layer: .*'block'"),
        (("39",), {"kind": "rough"}, r"kind: .*'rough'"),
    ],
)
def test_what_is_not_there_is_named(ask, states, request_, message):
    with pytest.raises(InputError, match=message):
        ask(*states, **request_)


def test_limits_of_a_job_hold_in_the_threads_that_download() -> None:
    """A zip is looked through there, before it is written."""
    with using_limits(Limits(bytes=1000)):
        assert Downloader().all([lambda: limits_in_use().bytes] * 3, "limits") == [1000] * 3
