"""Tables of measures through the command line: every form gives the same dataset, and what cannot be read is said."""

import io
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stores import build_graph, contents, ingest_sample

from geomob_dask.sources.sample import write_sample
from geomob_dask.store import Store

INDEX = "results/opportunity/sample/{}/2020/all-selected"
MISSING = ("91001000300", "91001000700")


@pytest.fixture(scope="module")
def filled(tmp_path_factory) -> Store:
    folder = tmp_path_factory.mktemp("tables")
    store = ingest_sample(str(folder / "store"), folder)
    build_graph(store)
    return store


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> pd.DataFrame:
    return pd.read_csv(write_sample(tmp_path_factory.mktemp("sample")).measures, dtype={"GEOID": str})


def landed(job, file: Path, store: Store, dataset: str, *more: object):
    where = ("--dataset", dataset, "--year", 2020, "--vintage", "sample", "--store", store.url)
    return job("ingest", "measures", file, *where, *more)


def zipped(data: bytes) -> bytes:
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder/measures.csv", data)
    return buffer.getvalue()


def excel(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_excel(buffer, index=False)
    return buffer.getvalue()


def views(frame: pd.DataFrame) -> bytes:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    key = table.column_names.index("GEOID")
    buffer = io.BytesIO()
    pq.write_table(table.set_column(key, "GEOID", table["GEOID"].cast(pa.string_view())), buffer)
    return buffer.getvalue()


FORMS = {
    "tab.csv": lambda frame: frame.to_csv(index=False, sep="\t").encode(),
    "tab.tsv": lambda frame: frame.to_csv(index=False, sep="\t").encode("utf-16"),
    "semicolon.csv": lambda frame: frame.to_csv(index=False, sep=";", decimal=",").encode(),
    "sheet.xlsx": excel,
    "one.zip": lambda frame: zipped(frame.to_csv(index=False).encode()),
    "views.parquet": views,
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_dataset(job, filled, sample, tmp_path, name):
    (tmp_path / name).write_bytes(FORMS[name](sample))
    done = landed(job, tmp_path / name, filled, "form")
    assert done.code == 0, done.err
    pd.testing.assert_frame_equal(
        filled.frame("measures/form/2020").compute(), filled.frame("measures/sample/2020").compute()
    )


def test_declared_missing_values_give_the_index_of_empty_cells(job, filled, sample, tmp_path):
    coded = sample.astype({"poverty_pct": float})
    coded.loc[sample["GEOID"].isin(MISSING), "poverty_pct"] = -999
    coded.to_csv(tmp_path / "a.csv", index=False)
    coded.replace(-999, float("nan")).to_csv(tmp_path / "b.csv", index=False)
    before = contents(filled)
    refused = landed(job, tmp_path / "a.csv", filled, "coded")
    assert refused.code == 2
    assert all(word in refused.err for word in ("poverty_pct", MISSING[0], "-999", "2 of", "--missing -999"))
    assert contents(filled) == before
    assert landed(job, tmp_path / "a.csv", filled, "coded", "--missing", "-888,-999.0").code == 0
    assert landed(job, tmp_path / "b.csv", filled, "empty").code == 0
    for dataset in ("coded", "empty"):
        index = ("--definition", "sample", "--dataset", dataset, "--year", 2020, "--cluster", "serial")
        assert job("opportunity", *index, "--store", filled.url).code == 0
    found = [filled.frame(INDEX.format(dataset)).compute() for dataset in ("coded", "empty")]
    pd.testing.assert_frame_equal(*found)


def refusals() -> dict[str, tuple[bytes, list[str]]]:
    keys = ["91001000100", "91001000200"]
    damaged = bytearray(views(pd.DataFrame({"GEOID": keys, "a": [1.0, 2.0]})))
    footer = len(damaged) - 8 - int.from_bytes(damaged[-8:-4], "little")
    damaged[footer] ^= 0xFF
    return {
        "thousands.csv": (b'GEOID,pop\n91001000100,"1,100"\n', ["'pop'", "91001000100", "'1,100'"]),
        "percent.csv": (b"GEOID,rate\n91001000100,5.0%\n", ["'rate'", "91001000100", "'5.0%'"]),
        "dollars.csv": (b"GEOID,inc\n91001000100,$5100\n", ["'inc'", "91001000100", "'$5100'"]),
        "overflow.csv": (b"GEOID,a\n91001000100,1e308\n", ["'a'", "91001000100", "1e+308"]),
        "negative.csv": (b"GEOID,people_count\n91001000100,-4\n", ["'people_count'", "91001000100", "-4"]),
        "share.csv": (b"GEOID,poor_share\n91001000100,10000\n", ["'poor_share'", "91001000100", "10000"]),
        "ragged.csv": (b"GEOID,a\n91001000100,1,2\n", ["row 1", "3 values"]),
        "other.csv": (b"TRACT_ID,a\n91001000100,1\n", ["'TRACT_ID'", "--key-column"]),
        "footer.parquet": (bytes(damaged), ["footer.parquet"]),
        "half.xlsx": (excel(pd.DataFrame({"GEOID": keys, "a": [1, 2]}))[:900], ["half.xlsx"]),
    }


@pytest.mark.parametrize("name", refusals())
def test_what_cannot_be_read_leaves_the_store_as_it_was(job, filled, tmp_path, name):
    data, words = refusals()[name]
    (tmp_path / name).write_bytes(data)
    before = contents(filled)
    done = landed(job, tmp_path / name, filled, "refused")
    assert done.code == 2, done
    assert done.err.count("\n") == 1
    assert all(word in done.err for word in (name, *words)), done.err
    assert contents(filled) == before


def test_limits_of_the_cluster_file_of_a_job(job, filled, sample, tmp_path):
    sample.to_csv(tmp_path / "m.csv.gz", index=False)
    (tmp_path / "small.yaml").write_text("limits: {bytes: 1kB}")
    done = landed(job, tmp_path / "m.csv.gz", filled, "limited", "--config", tmp_path / "small.yaml")
    assert done.code == 2
    assert all(word in done.err for word in ("m.csv.gz", "1,000", "GEOMOB_LIMIT_BYTES"))
    (tmp_path / "large.yaml").write_text("limits: {bytes: 1MB}")
    assert landed(job, tmp_path / "m.csv.gz", filled, "limited", "--config", tmp_path / "large.yaml").code == 0


# Regions in a column of text -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def with_regions(filled, sample, tmp_path_factory) -> Store:
    from geomob_dask.runs.landing import ingest

    folder = tmp_path_factory.mktemp("regions")
    people = sample["population"]
    table = sample.assign(
        msa=[f"Area {tract[4]}{place % 3}" for place, tract in enumerate(sample["GEOID"])],
        area=[f"0{place % 3}" for place in range(len(sample))],
        poor_count=people // 3,
        rich_count=people - people // 3,
    )
    table.to_csv(folder / "m.csv", index=False)
    ingest(filled, "measures", file=str(folder / "m.csv"), dataset="areas", year=2020, vintage="sample")
    return filled


def test_text_of_regions_is_kept(with_regions):
    stored = with_regions.frame("measures/areas/2020").compute()
    assert sorted(stored["area"].unique()) == ["00", "01", "02"]
    assert stored["msa"].str.startswith("Area ").all()


@pytest.mark.parametrize("by", ["msa", "area"])
def test_segregation_by_a_column_of_text(job, with_regions, by):
    where = ("--dataset", "areas", "--year", 2020, "--by", by, "--cluster", "serial", "--store", with_regions.url)
    done = job("segregation", *where, "--groups", "poor_count,rich_count")
    assert done.code == 0, done.err
    (name,) = (one for one in with_regions.collections("results/segregation") if f"/{by}-" in one)
    (part,) = with_regions.snapshot(name).parts.values()
    expected = with_regions.frame("measures/areas/2020").compute()[by].unique()
    assert sorted(with_regions.read(part).index) == sorted(expected)


def test_the_index_of_a_dataset_with_text_is_that_without(job, with_regions):
    for dataset in ("areas", "sample"):
        index = ("--definition", "sample", "--dataset", dataset, "--year", 2020, "--cluster", "serial")
        assert job("opportunity", *index, "--store", with_regions.url).code == 0
    found = [with_regions.frame(INDEX.format(dataset)).compute() for dataset in ("areas", "sample")]
    pd.testing.assert_frame_equal(*found)
