"""Bad input through the command line: exit code 2, what and where it is, and an untouched store."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pytest
import shapely
from stores import build_graph, build_index, contents, ingest_sample

from geomob_dask.store import Store

GOOD = ("18001000100", "18001000200", "39001000100")


def polygons(keys=GOOD, crs="EPSG:5070", **columns) -> gpd.GeoDataFrame:
    shapes = [shapely.box(k, 0, k + 1, 1) for k in range(len(keys))]
    return gpd.GeoDataFrame({"GEOID": list(keys), **columns}, geometry=shapes, crs=crs)


@pytest.fixture(scope="module")
def filled(tmp_path_factory) -> Store:
    folder = tmp_path_factory.mktemp("filled")
    store = ingest_sample(str(folder / "store"), folder)
    build_graph(store)
    build_index(store)
    return store


@pytest.fixture
def refused(job, filled, tmp_path, monkeypatch):
    """Run a job; return its message after checking exit code, form and that the store is as before."""
    monkeypatch.chdir(tmp_path)
    before = contents(filled)

    def run(name: str, *arguments: object, store: str | None = None) -> str:
        done = job(name, *arguments, "--store", store or filled.url)
        assert done.code == 2, done
        assert done.err.startswith("error: "), done.err
        assert done.err.count("\n") == 1, "one line"
        assert "Traceback" not in done.err
        assert contents(filled) == before
        return done.err

    return run


def tracts(*files: object) -> tuple[object, ...]:
    return ("tracts", *files, "--vintage", "new")


def measures(file: object) -> tuple[object, ...]:
    return ("measures", file, "--dataset", "new", "--year", 2020, "--vintage", "sample")


INDEX = ("--definition", "sample", "--dataset", "sample", "--year", 2020)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


# Polygons ----------------------------------------------------------------------------------


def test_missing_file(refused, tmp_path):
    message = refused("ingest", *tracts(tmp_path / "nowhere.gpkg"))
    assert "nowhere.gpkg" in message


def test_file_that_is_no_table(refused, tmp_path):
    message = refused("ingest", *tracts(write(tmp_path / "notes.gpkg", "these are notes")))
    assert "notes.gpkg" in message


def test_polygons_without_a_key_column(refused, tmp_path):
    path = tmp_path / "tracts.parquet"
    polygons().rename(columns={"GEOID": "id"}).to_parquet(path)
    message = refused("ingest", *tracts(path))
    assert "tracts.parquet" in message
    assert "GEOID" in message
    assert "id" in message


@pytest.mark.parametrize("key", ["1800100010", "180010001000", "1800100010X"])
def test_key_of_another_length(refused, tmp_path, key):
    path = tmp_path / "tracts.parquet"
    polygons((*GOOD[:2], key)).to_parquet(path)
    message = refused("ingest", *tracts(path))
    assert key in message
    assert "11 digits" in message


def test_no_coordinate_system(refused, tmp_path):
    path = tmp_path / "tracts.parquet"
    polygons(crs=None).to_parquet(path)
    message = refused("ingest", *tracts(path))
    assert "tracts.parquet" in message
    assert "coordinate" in message.lower() or "CRS" in message


def test_mixed_coordinate_systems(refused, tmp_path):
    polygons(GOOD[:2]).to_parquet(tmp_path / "one.parquet")
    polygons(GOOD[2:], crs="EPSG:4269").to_parquet(tmp_path / "two.parquet")
    message = refused("ingest", *tracts(tmp_path / "one.parquet", tmp_path / "two.parquet"))
    assert "EPSG:5070" in message
    assert "EPSG:4269" in message


def test_polygons_of_another_system_than_the_vintage(refused, tmp_path):
    polygons(("18001000100",), crs="EPSG:4269").to_parquet(tmp_path / "tracts.parquet")
    message = refused("ingest", "tracts", tmp_path / "tracts.parquet", "--vintage", "sample")
    assert "EPSG:4269" in message
    assert "EPSG:5070" in message


def test_empty_geometry(refused, tmp_path):
    frame = polygons()
    frame.loc[1, "geometry"] = shapely.Polygon()
    frame.to_parquet(tmp_path / "tracts.parquet")
    message = refused("ingest", *tracts(tmp_path / "tracts.parquet"))
    assert GOOD[1] in message


def test_points_for_polygons(refused, tmp_path):
    frame = polygons()
    frame.geometry = frame.centroid
    frame.to_parquet(tmp_path / "tracts.parquet")
    message = refused("ingest", *tracts(tmp_path / "tracts.parquet"))
    assert "Point" in message
    assert GOOD[0] in message


def test_polygon_that_cannot_be_made_valid(refused, tmp_path):
    frame = polygons()
    frame.loc[2, "geometry"] = shapely.Polygon([(0, 0), (1, 1), (2, 2), (0, 0)])
    frame.to_parquet(tmp_path / "tracts.parquet")
    message = refused("ingest", *tracts(tmp_path / "tracts.parquet"))
    assert GOOD[2] in message


def test_same_tract_twice_with_overlapping_polygons(refused, tmp_path):
    frame = pd.concat([polygons(), polygons()], ignore_index=True)
    frame.loc[3, "geometry"] = shapely.box(0, 0, 1, 0.9)
    frame.to_parquet(tmp_path / "tracts.parquet")
    message = refused("ingest", *tracts(tmp_path / "tracts.parquet"))
    assert GOOD[0] in message


def test_only_unknown_states(refused, tmp_path):
    polygons(("99001000100", "99001000200")).to_parquet(tmp_path / "tracts.parquet")
    message = refused("ingest", *tracts(tmp_path / "tracts.parquet"))
    assert "99" in message


def test_archive_without_polygons(refused, tmp_path):
    with zipfile.ZipFile(tmp_path / "tracts.zip", "w") as archive:
        archive.writestr("readme.txt", "nothing here")
    message = refused("ingest", *tracts(tmp_path / "tracts.zip"))
    assert "tracts.zip" in message


# Measures ----------------------------------------------------------------------------------


def test_same_tract_twice_with_different_values(refused, tmp_path):
    path = write(tmp_path / "m.csv", "GEOID,poverty\n18001000100,1\n18001000100,2\n")
    message = refused("ingest", *measures(path))
    assert "m.csv" in message
    assert "18001000100" in message
    assert "poverty" in message


def test_text_in_a_number_column(refused, tmp_path):
    path = write(tmp_path / "m.csv", "GEOID,poverty\n18001000100,1\n18001000200,high\n")
    message = refused("ingest", *measures(path))
    assert "poverty" in message
    assert "18001000200" in message
    assert "high" in message


def test_infinite_value(refused, tmp_path):
    path = write(tmp_path / "m.csv", "GEOID,poverty\n18001000100,1\n18001000200,inf\n")
    message = refused("ingest", *measures(path))
    assert "poverty" in message
    assert "18001000200" in message
    assert "inf" in message


def test_empty_table(refused, tmp_path):
    assert "m.csv" in refused("ingest", *measures(write(tmp_path / "m.csv", "")))


def test_two_columns_of_one_name(refused, tmp_path):
    path = write(tmp_path / "m.csv", "GEOID,a,a\n18001000100,1,2\n")
    assert "m.csv" in refused("ingest", *measures(path))


def test_measures_without_a_key_column(refused, tmp_path):
    message = refused("ingest", *measures(write(tmp_path / "m.csv", "zone,a\n18001000100,1\n")))
    assert "GEOID" in message
    assert "--key-column" in message
    assert "zone" in message


# The index ---------------------------------------------------------------------------------


def definition(tmp_path, text: str) -> tuple[object, ...]:
    return ("--definition", write(tmp_path / "d.yaml", text), *INDEX[2:])


def test_measure_without_variance(job, refused, filled, tmp_path):
    table = filled.frame("measures/sample/2020").compute().assign(poverty_pct=5.0)
    table.to_csv(tmp_path / "flat.csv")
    assert (
        job(
            "ingest",
            "measures",
            tmp_path / "flat.csv",
            "--dataset",
            "flat",
            "--year",
            2020,
            "--vintage",
            "sample",
            "--store",
            filled.url,
        ).code
        == 0
    )
    before = contents(filled)
    done = job(
        "opportunity",
        "--definition",
        "sample",
        "--dataset",
        "flat",
        "--year",
        2020,
        "--store",
        filled.url,
        "--cluster",
        "serial",
    )
    assert done.code == 2
    assert "measure without variance" in done.err
    assert "poverty_pct" in done.err
    assert contents(filled) == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: d\ndomains: {income: [{measure: wealth}]}", ["wealth", "poverty_pct"]),
        ("name: d\ndomains: {income: []}", ["income", "at least 1"]),
        ("name: d\ndomains: {income: [{measure: poverty_pct, direction: 0}]}", ["direction", "found 0"]),
        ("name: d\npopulation: heads\ndomains: {income: [{measure: poverty_pct}]}", ["heads", "population"]),
    ],
)
def test_definition_that_does_not_fit(refused, tmp_path, text, words):
    message = refused("opportunity", *definition(tmp_path, text), "--cluster", "serial")
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((*INDEX, "--states", "XX"), ["XX"]),
        ((*INDEX, "--states", "18"), ["no state 18", "91"]),
        ((*INDEX[:-1], 1999), ["1999 of measures/sample", "2020"]),
        ((*INDEX, "--norm", "county"), ["--norm county", "selected, state, nation or frozen:YEAR"]),
        ((*INDEX, "--norm", "frozen:1999"), ["1999 of norms/opportunity/sample/sample"]),
        ((*INDEX, "--export", "index.xlsx"), ["index.xlsx", ".csv"]),
        ((*INDEX, "--export", "no/such/folder/index.csv"), ["no/such/folder"]),
        ((*INDEX, "--cluster", "huge"), ["huge", "local"]),
    ],
)
def test_flags_that_name_nothing(refused, arguments, words):
    message = refused("opportunity", *arguments)
    assert all(word in message for word in words), message


def test_graph_of_other_polygons(job, refused, filled, tmp_path):
    store = Store(str(tmp_path / "other"))
    ingest_sample(store.url, tmp_path)
    done = job("opportunity", *INDEX, "--store", store.url)
    assert done.code == 2
    assert "no neighbors of vintage sample" in done.err
    assert "jobs/neighbors.py --vintage sample" in done.err
    build_graph(store)
    fewer = store.frame("tracts/sample", states=["91"]).compute().iloc[1:].reset_index()
    fewer.rename(columns={"geoid": "GEOID"}).to_parquet(tmp_path / "fewer.parquet")
    assert job("ingest", "tracts", tmp_path / "fewer.parquet", "--vintage", "sample", "--store", store.url).code == 0
    done = job("opportunity", *INDEX, "--store", store.url)
    assert done.code == 2
    assert "built from other polygons" in done.err


# Settings and stores -----------------------------------------------------------------------


def test_unknown_key_in_cluster_yaml(refused, tmp_path):
    write(tmp_path / "cluster.yaml", "clusters: {local: {kind: local, wokers: 2}}")
    message = refused("opportunity", *INDEX)
    assert "cluster.yaml" in message
    assert "wokers" in message


def test_store_that_is_a_file(job, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "store", "not a folder")
    done = job("ingest", "sample", "--store", tmp_path / "store")
    assert done.code == 2
    assert str(tmp_path / "store") in done.err
    assert (tmp_path / "store").read_text() == "not a folder"


def test_unwritable_store(job, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # /proc takes no new folder from anybody, root included.
    done = job("ingest", "sample", "--store", "/proc/store")
    assert done.code == 2
    assert "/proc/store" in done.err


def test_full_disk(job, tmp_path, monkeypatch):
    """A disk of 200 KiB: what was written before it was full is gone again, and the reason is told."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", disk], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no right to mount a small disk here")
    monkeypatch.chdir(tmp_path)
    try:
        done = job("ingest", "sample", "--store", disk)
        assert done.code == 1
        assert "No space left on device" in done.err
        assert str(disk) in done.err
        assert [path for path in disk.rglob("*") if path.is_file()] == []
    finally:
        subprocess.run(["umount", disk], check=True)


def test_wrong_credentials(job, s3_endpoint, tmp_path, monkeypatch):
    """moto takes any key, so the refusal comes from a server that refuses everything, as S3 does."""
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    body = b"<Error><Code>InvalidAccessKeyId</Code><Message>The key you provided does not exist.</Message></Error>"

    class Refuse(BaseHTTPRequestHandler):
        def refuse(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_PUT = do_HEAD = do_POST = refuse  # noqa: N815 - names that http.server calls

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Refuse)
    Thread(target=server.serve_forever, daemon=True).start()
    environment = {**os.environ, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}"}
    script = Path(__file__).parents[2] / "jobs" / "ingest.py"
    done = subprocess.run(
        [sys.executable, script, "sample", "--store", "s3://bucket/x"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    server.shutdown()
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: cannot ")
    assert "s3://bucket/x" in done.stderr
    assert "AWS_ACCESS_KEY_ID" in done.stderr


def test_no_scheduler_at_the_address(job, filled, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = json.dumps({"clusters": {"far": {"kind": "address", "address": "tcp://127.0.0.1:9", "timeout": 1}}})
    write(tmp_path / "cluster.yaml", text)
    done = job("opportunity", *INDEX, "--force", "--cluster", "far", "--store", filled.url)
    assert done.code == 2
    assert "tcp://127.0.0.1:9" in done.err
    assert "expected a running Dask scheduler" in done.err
