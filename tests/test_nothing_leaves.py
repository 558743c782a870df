"""Nothing outside of the store is made, read or asked for, whatever names a user gives and whatever files say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from fuzz import samples
from hostile_files import SECRET, write_all, write_canary
from mobility_sample import write_files

from geomob_dask.store import Store

OUT = "../../escape"
INDEX = ["--year", "2020", "--definition", "sample", "--cluster", "serial"]
ORDINARY = [
    "ingest sample",
    "neighbors --vintage sample --cluster serial",
    f"opportunity --dataset sample {' '.join(INDEX)}",
    "cube write made --results results/opportunity/sample/sample/{year}/all-selected --years 2020 --cluster serial",
    "store list",
    "store verify --cluster serial",
    "store clean --older-than 2d",
]
ORDINARY_FILES = [
    "ingest measures m.csv --dataset d --year 2020 --vintage 2020",
    "ingest measures m.xlsx --dataset e --year 2020 --vintage 2020",
    "ingest tracts p.gpkg --vintage 2020",
    "ingest tracts p.shp.zip --vintage 2022",
    "ingest regions r.csv --name cbsa --vintage 2020",
    "ingest acs --file a.csv --year 2020",
    "ingest brackets j.zip --dataset income --year 2018 --vintage 2010",
    "ingest zones book.xlsx --county-zones cz.csv --counties counties.geojson",
    "ingest atlas atlas.csv",
    "backfill night.yaml --cluster serial",
]
NAMES = [
    f"ingest measures m.csv --dataset {OUT} --year 2020 --vintage 2020",
    f"ingest measures m.csv --dataset d --year 2020 --vintage {OUT}",
    f"ingest tracts p.gpkg --vintage {OUT}",
    f"ingest regions r.csv --name {OUT} --vintage 2020",
    f"ingest regions r.csv --name r --vintage {OUT}",
    f"ingest acs --file a.csv --year 2020 --dataset {OUT}",
    f"ingest brackets j.zip --dataset {OUT} --year 2018 --vintage 2010",
    f"ingest zones book.xlsx --county-zones cz.csv --vintage {OUT}",
    f"ingest atlas atlas.csv --dataset {OUT}",
    f"ingest join d e --as {OUT} --years 2020",
    f"neighbors --vintage {OUT} --cluster serial",
    f"opportunity --dataset {OUT} {' '.join(INDEX)}",
    f"exposure --dataset d --year 2020 --by {OUT} --cluster serial",
    f"harmonize --dataset d --years 2020 --to {OUT} --cluster serial",
    f"cube write {OUT} --results measures/sample/{{year}} --years 2020 --cluster serial",
    f"cube write c --results {OUT}/{{year}} --years 2020 --cluster serial",
    f"cube tag made {OUT}",
    f"cube history {OUT}",
    "backfill escape.yaml --cluster serial",
    f"store list {OUT}",
    f"store verify {OUT} --cluster serial",
]
NIGHT = "name: {name}\nyears: 2020\nproducts:\n  index: {{job: opportunity, dataset: sample, definition: sample}}\n"


class Server:
    """A server on loopback that keeps what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_error(404)

            do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.stop()


def write_inputs(folder: Path) -> None:
    folder.mkdir()
    for file in ("m.csv", "m.xlsx"):
        samples.MEASURES_FILES[file](folder / file)
    for file in ("p.gpkg", "p.shp.zip"):
        samples.POLYGON_FILES[file](folder / file)
    samples.REGION_FILES["r.csv"](folder / "r.csv")
    samples.ACS_FILES["a.csv"](folder / "a.csv")
    samples.BRACKET_FILES["j.zip"](folder / "j.zip")
    samples.text(samples.ATLAS)(folder / "atlas.csv")
    write_files(folder)
    (folder / "night.yaml").write_text(NIGHT.format(name="night"))
    (folder / "escape.yaml").write_text(NIGHT.format(name=OUT))


def run_watched(around: Path, lines: list[list[str]]) -> list[dict[str, Any]]:
    """Run jobs in a process of their own, in the folder of inputs; return how each ended and what it touched."""
    for name in ("home", "temporary"):
        (around / name).mkdir()
    variables = {
        **os.environ,
        "HOME": str(around / "home"),
        "TMPDIR": str(around / "temporary"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "NO_PROXY": "*",
    }
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("watched.py"))],
        input=json.dumps(lines), capture_output=True, text=True, cwd=around / "inputs", env=variables, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(lines)
    return found


def files_in(around: Path, but: Path) -> set[str]:
    return {str(path) for path in around.rglob("*") if but not in (path, *path.parents)}


def touched(found: dict[str, Any], kind: str) -> set[str]:
    return {what for one, what in found["events"] if one == kind}


def faults_of(line: list[str], found: dict[str, Any], store: Path, around: Path, given: tuple[Path, ...]) -> list[str]:
    """Return what a job touched besides the store, the files it was given, and what Python itself reads."""
    temporary = around / "temporary"
    # Libraries look for their settings in the user's folder.
    own = (Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parents[1], around / "home")
    system = [Path(name) for name in ("/proc", "/sys", "/dev", "/usr", "/lib", "/etc/localtime", "/etc/mime.types")]
    faults = [
        *(f"writes {path}" for path in outside(touched(found, "write"), store, temporary, Path("/dev/null"))),
        *(f"reads {path}" for path in outside(touched(found, "read"), store, temporary, *given, *own, *system)),
        *(f"asks {address}" for address in touched(found, "ask")),
        *(f"runs {command}" for command in touched(found, "run")),
    ]
    return [f"{' '.join(line)}: {fault}" for fault in faults]


def outside(paths: set[str], *allowed: Path) -> list[str]:
    return sorted(path for path in paths if not any(Path(path).is_relative_to(one) for one in allowed))


def test_jobs_touch_only_the_store_and_the_files_they_are_given(tmp_path: Path, server: Server) -> None:
    around = tmp_path / "around"
    inputs, store, canary = (around / name for name in ("inputs", "a/b/store", "canary"))
    store.parent.mkdir(parents=True)
    write_inputs(inputs)
    write_canary(canary)
    (around / "hostile").mkdir()
    hostile = write_all(around / "hostile", canary, server.port)
    options = {
        "measures": "--dataset hostile --year 2020 --vintage 2020",
        "tracts": "--vintage hostile",
        "regions": "--name hostile --vintage 2020",
    }
    address = f"http://127.0.0.1:{server.port}/asked"
    addresses = [
        f"ingest measures {address}.csv {options['measures']}",
        f"ingest tracts {address}.geojson {options['tracts']}",
        f"ingest tracts /vsicurl/{address}.geojson {options['tracts']}",
        f"ingest tracts p.gpkg --crs {address}.prj {options['tracts']}",
        f"ingest tracts p.gpkg --crs +init={canary}/canary.csv:1 {options['tracts']}",
        f"ingest measures {canary} {options['measures']}",
    ]
    ordinary = [line.split() for line in [*ORDINARY[:3], *ORDINARY_FILES, *ORDINARY[3:]]]
    by_name = [line.split() for line in [*NAMES, *addresses]]
    by_file = [["ingest", *kind, file, *options[kind[0]].split()] for file, kind in hostile.items()]
    before = files_in(around, store)
    lines = [[*line, "--store", str(store)] for line in [*ordinary, *by_name, *by_file]]
    found = run_watched(around, lines)

    given = (inputs, around / "hostile")
    pairs = list(zip(lines, found, strict=True))
    faults = [fault for line, one in pairs for fault in faults_of(line, one, store, around, given)]
    wrong = [
        f"{' '.join(line)}: exit code {one['code']}: {one['said']}"
        for line, one in pairs
        if one["code"] != (0 if line[:-2] in ordinary else 2) and "external.xlsx" not in " ".join(line)
    ]
    assert faults + wrong == []
    made = files_in(around, store) - before
    assert made == {str(around / name) for name in ("home", "temporary")}
    assert list((around / "temporary").iterdir()) == list((around / "home").iterdir()) == []
    assert [path.name for path in tmp_path.rglob("*escape*")] == ["escape.yaml"]
    assert server.asked == []
    assert_no_secret(Store(str(store)))


def test_the_watch_hears_what_is_read_and_written_elsewhere(tmp_path: Path) -> None:
    around = tmp_path / "around"
    around.mkdir()
    write_inputs(around / "inputs")
    canary = write_canary(around / "canary")
    line = f"ingest measures {canary}/canary.csv --dataset d --year 2020 --vintage 2020 --store {around}/other".split()
    (found,) = run_watched(around, [line])
    faults = faults_of(line, found, around / "store", around, (around / "inputs",))
    assert any(f"reads {canary}/canary.csv" in fault for fault in faults)
    assert any(f"writes {around}/other" in fault for fault in faults)


def assert_no_secret(store: Store) -> None:
    for collection in ("measures/hostile/2020", "tracts/hostile", "regions/hostile/2020"):
        snapshot = store.find(collection)
        for part in [] if snapshot is None else snapshot.parts.values():
            table = store.read(part)
            assert SECRET not in table.to_csv()


def test_no_key_of_a_bucket_is_outside_of_its_prefix(tmp_path: Path, bucket: str) -> None:
    around = tmp_path / "around"
    around.mkdir()
    write_inputs(around / "inputs")
    lines = [[*line.split(), "--store", bucket] for line in [*ORDINARY, *NAMES]]
    found = run_watched(around, lines)
    for line, one in zip(lines, found, strict=True):
        told = f"{' '.join(line)}: {one['said']}"
        assert one["code"] == (0 if " ".join(line[:-2]) in ORDINARY else 2), told
        port = os.environ["AWS_ENDPOINT_URL"].rsplit(":", 1)[1].strip("/")
        assert all(f"{port}" in asked for asked in touched(one, "ask")), told
    name, prefix = bucket.removeprefix("s3://").split("/")
    pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=name)
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    assert len(keys) > len(ORDINARY)
    assert [key for key in keys if not key.startswith(f"{prefix}/") or ".." in key] == []
