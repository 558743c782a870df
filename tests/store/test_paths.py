"""Addresses of stores and paths in them: none leads out, and what earlier versions wrote stays readable."""

import os
from pathlib import Path

import pandas as pd
import pytest
from stores import contents, rename

from geomob_dask.errors import InputError, StoreError
from geomob_dask.store import Provenance, Store
from geomob_dask.store.address import parse_address
from geomob_dask.store.cleaning import unreferenced
from geomob_dask.store.listing import html_of, listing, text_of
from geomob_dask.store.objects import Objects


def commit(store: Store, collection: str, job: str, states=("18", "39"), n: int = 3) -> None:
    parts = {}
    for state in states:
        keys = pd.Index([f"{state}001{number:06d}" for number in range(n)], name="geoid", dtype="str")
        parts[state] = store.put(collection, state, pd.DataFrame({"people": range(n)}, index=keys))
    store.commit(collection, parts, Provenance(job, {}), {}, keep_others=True)


OUT = ("../escape", "a/../../escape", "/etc/escape", "a//b", "a/./b", "a/..", "nul\0", "line\nbreak", "a" * 300)


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path) -> Store:
    return Store(str(tmp_path / "store") if request.param == "folder" else request.getfixturevalue("bucket"))


# Addresses -----------------------------------------------------------------------------------------


def test_addresses_have_one_form(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.chdir(tmp_path)
    forms = {
        "~/data/": "/home/someone/data",
        "data": f"{tmp_path}/data",
        "data/": f"{tmp_path}/data",
        "/a/b//": "/a/b",
        "file:///a/b/": "/a/b",
        "file:///a/../b": "/b",
        "s3://bucket": "s3://bucket",
        "s3://bucket/a/b/": "s3://bucket/a/b",
        "S3://my.bucket_1/a": "s3://my.bucket_1/a",
        "year:2020": f"{tmp_path}/year:2020",
    }
    for given, url in forms.items():
        assert parse_address(given).url == url
        assert parse_address(url) == parse_address(given)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", " store", "store ", "a\nb", "a\0b", "file:/x", "file:x", "file://x/y", "s3:/bucket", "s3:bucket", "s3://",
        "s3:///a", "s3://b", "s3://bucket//a", "s3://bucket/../a", "s3://bucket/a/./b", "gs://bucket", "http://host/a",
        "~nobody-of-this-name/x", "s3://bu cket/a", "s3://-b/a", None, 5, b"store", "memory::s3://bucket/a",
    ],
)  # fmt: skip
def test_an_address_of_no_store_is_refused_with_what_is_expected(text):
    with pytest.raises(StoreError, match="expected") as refused:
        Objects(text)
    assert refused.value.exit_code == 2
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "s3://user:hunter2@bucket/a",
        "s3://user:hunt/er2@bucket/a",
        "s3://:hunter2@bucket",
        "s3://user:hunter2",
        "s3:/user:hunter2@bucket",
        "http://user:hunter2@host/bucket",
        "s3://u@v:hunter2@bucket/a",
        "simplecache::s3://user:hunter2@bucket/a",
    ],
)
def test_a_password_in_an_address_is_refused_and_not_repeated(text, job, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cluster.yaml").write_text(f"store: '{text}'\n")
    given = [("--store", text), ()]
    for arguments in given:
        done = job("store", "list", *arguments)
        assert done.code == 2
        assert "hunt" not in done.err + done.out
        assert "expected" in done.err
    monkeypatch.setenv("GEOMOB_STORE", text)
    done = job("ingest", "sample", "--config", "cluster.yaml")
    assert done.code == 2
    assert "hunt" not in done.err + done.out
    assert os.listdir(tmp_path) == ["cluster.yaml"]


def test_a_password_is_repeated_by_no_other_flag_either(tmp_path, job, monkeypatch):
    monkeypatch.chdir(tmp_path)
    secret = "s3://user:hunter2@bucket/m.csv"
    measures = ("ingest", "measures", secret, "--dataset", "d", "--year", "2020", "--vintage", "2020")
    exported = ("opportunity", "--definition", "sample", "--dataset", "d", "--year", "2020", "--export", secret)
    for arguments in (measures, exported):
        done = job(*arguments, "--store", tmp_path / "store")
        assert done.code == 2
        assert "@bucket/m.csv" in done.err
        assert "hunter2" not in done.err + done.out


def test_a_path_is_an_address_and_a_file_is_none(tmp_path, job):
    assert Store(tmp_path / "store").url == str(tmp_path / "store")
    (tmp_path / "file.csv").write_text("GEOID\n")
    with pytest.raises(StoreError, match=r"file\.csv.*found a file") as refused:
        Store(tmp_path / "file.csv")
    assert refused.value.exit_code == 2
    assert job("store", "list", "--store", tmp_path / "file.csv").code == 2


def test_an_empty_flag_is_not_an_absent_one(tmp_path, job, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for flag in ("--store", "--cluster", "--config"):
        done = job("store", "verify", flag, "")
        assert done.code == 2, flag
        assert f"{flag.strip('-')} ''" in done.err
    assert os.listdir(tmp_path) == []


# Keys ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", OUT)
def test_no_key_leads_out_of_a_store(store: Store, tmp_path, key):
    (tmp_path / "escape").write_text("secret")
    objects = store.objects
    acts = [
        lambda: objects.get(key),
        lambda: objects.find(key),
        lambda: objects.put(key, b"1"),
        lambda: objects.create(key, b"1"),
        lambda: objects.delete(key),
        lambda: objects.exists(key),
        lambda: objects.names(key),
        lambda: objects.folders(key),
        lambda: objects.listing(key),
        lambda: objects.modified(key),
        lambda: objects.open(key).__enter__(),
        lambda: store.snapshot(key),
    ]
    for act in acts:
        with pytest.raises(InputError, match="path ") as refused:
            act()
        assert str(refused.value).isprintable()
    assert (tmp_path / "escape").read_text() == "secret"
    assert objects.listing() == []


@pytest.mark.parametrize("name", ["../../esc", "", ".", "a b", "<b>", "a*", "_snapshots", "x" * 300])
def test_no_collection_of_another_name_is_written(store: Store, name):
    frame = pd.DataFrame({"a": [1.0]}, index=pd.Index(["18001000100"], name="geoid"))
    collection = f"measures/{name}/2020"
    with pytest.raises(InputError, match=r"collection .*expected a kind and names"):
        store.put(collection, "18", frame)
    part = store.put("measures/good/2020", "18", frame)
    with pytest.raises(InputError, match=r"collection .*expected a kind and names"):
        store.commit(collection, {"18": part}, Provenance("test", {}))
    assert store.collections() == []


# Stores of earlier versions ------------------------------------------------------------------------


def test_names_of_earlier_versions_are_read_verified_and_said(store: Store, job):
    commit(store, "measures/v1.2/2020", "ingest")
    for name in ("my data", "<b>bold", "_own"):
        commit(store, "measures/acs/2020", "ingest")
        rename(store, "measures/acs/2020", f"measures/{name}/2020")
    there = ["measures/<b>bold/2020", "measures/_own/2020", "measures/my data/2020", "measures/v1.2/2020"]
    assert store.collections("measures") == there
    assert len(store.frame("measures/my data/2020").compute()) == 6
    before = contents(store)
    for arguments in (("list",), ("verify", "--cluster", "serial"), ("clean", "--older-than", "0s")):
        done = job("store", *arguments, "--store", store.url)
        assert done.code == 0, done.err
        assert "'measures/my data/2020', 'measures/<b>bold/2020'" not in done.out
        assert "'measures/<b>bold/2020', 'measures/_own/2020', 'measures/my data/2020'; they are read" in done.out
    assert contents(store) == before


def test_what_was_written_by_a_way_around_stays_readable(tmp_path, job):
    store = Store(str(tmp_path / "store"))
    commit(store, "measures/acs/2020", "ingest")
    rename(store, "measures/acs/2020", "measures/../measures/acs/2020")
    assert sorted(path.name for path in Path(store.url).iterdir()) == ["measures"]
    assert store.snapshot("measures/acs/2020").parts["18"].rows == 3
    assert len(store.frame("measures/acs/2020").compute()) == 6
    for arguments in (("list",), ("verify", "--cluster", "serial"), ("clean", "--older-than", "0s", "--history")):
        done = job("store", *arguments, "--store", store.url)
        assert done.code == 0, done.err
    commit(store, "measures/acs/2020", "ingest", n=4)
    assert store.snapshot("measures/acs/2020").parts["18"].key.startswith("measures/acs/2020/18-")


def test_paths_of_a_bucket_that_lead_out_are_left_alone(bucket: str, job):
    store = Store(bucket)
    commit(store, "measures/good/2020", "ingest")
    commit(store, "measures/acs/2020", "ingest")
    rename(store, "measures/acs/2020", "measures/../x/2020")
    listed = listing(store)
    assert listed["collection"].tolist() == ["measures/good/2020"]
    assert "measures/../x/2020" in listed.attrs["notes"][0]
    assert unreferenced(store.objects, older_than=0).removable == ()
    for arguments in (("list",), ("verify", "--cluster", "serial"), ("clean", "--older-than", "0s")):
        done = job("store", *arguments, "--store", store.url)
        assert done.code == 0, done.err
        assert "paths that lead out of the store: 'measures/../x/2020/" in done.out
    assert "good (2020)" in text_of(store)


# Collections ---------------------------------------------------------------------------------------


def test_collections_below_every_prefix(store: Store):
    commit(store, "tracts/2020", "ingest")
    commit(store, "measures/acs.v2/2020", "ingest")
    commit(store, "results/opportunity/a/acs/2020/all", "opportunity")
    store.objects.put("cubes/made/chunks/QWERTY", b"12345")
    store.objects.put("cubes/made/repo", b"123")
    store.objects.put("backfills/night/failed/a.json", b"{}")
    store.objects.put("acs/2020/B01003/39.json", b"{}")
    every = ["measures/acs.v2/2020", "results/opportunity/a/acs/2020/all", "tracts/2020"]
    assert store.collections("") == store.collections() == store.collections("/") == every
    for prefix, there in {
        "measures": every[:1],
        "measures/": every[:1],
        "measures/acs.v2/2020": every[:1],
        "results/opportunity": every[1:2],
        "cubes": [],
        "cubes/made": [],
        "cubes/made/chunks": [],
        "cubes/made/repo": [],
        "nothing": [],
        "tracts/2020/_snapshots": [],
    }.items():
        assert store.collections(prefix) == there, prefix
    assert store.list()["collection"].tolist() == ["cubes/made", *every]
    assert store.list("cubes")["collection"].tolist() == ["cubes/made"]
    assert store.list("cubes/made/")["size"].tolist() == [8]
    assert store.list("measures/")["collection"].tolist() == every[:1]
    assert store.list("nothing").empty
    for text in (text_of(store), html_of(store)):
        assert "made" in text
        assert "acs.v2 (2020)" in text


def test_a_misspelled_name_is_answered_with_the_nearest(store: Store):
    for name in ("opportunity", *(f"acs5_b{number}" for number in range(20))):
        commit(store, f"measures/{name}/2018", "ingest", ("18",), 1)
    with pytest.raises(InputError) as refused:
        store.snapshot("measures/oportunity/2018")
    message = str(refused.value)
    assert "no dataset 'oportunity' of measures; did you mean 'opportunity'? Available: acs5_b0, " in message
    assert "(21 in total)" in message
    assert len(message) < 400
