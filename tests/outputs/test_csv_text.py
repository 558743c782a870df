"""Text in csv files is shown by a spreadsheet and not run by it; numbers are left alone."""

import csv
import gzip
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from geomob_dask.errors import SettingsError
from geomob_dask.outputs.csv_text import check_csv_text, for_csv
from geomob_dask.outputs.tables import export
from geomob_dask.sources.keys import tract_geoids

ROOT = Path(__file__).parents[2]
RUN = ["=1+1", "+cmd|'/C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1+1", "－1+1", "+", "- none"]
HARMLESS = ["-2.5", "+3", "-1e-5", "-1,234", "-12%", "-", "Ohio", "", "a=b", "'=quoted", "(−1)"]


@pytest.mark.parametrize("text", [text for text in RUN if text != "+"])
def test_text_that_would_be_run_has_an_apostrophe(text: str) -> None:
    assert for_csv(pd.DataFrame({"name": [text, "Ohio"]}))["name"].tolist() == [f"'{text}", "Ohio"]


def test_other_text_and_numbers_are_left_alone() -> None:
    table = pd.DataFrame({"text": [*HARMLESS, "+", None], "number": np.arange(len(HARMLESS) + 2) - 5.5})
    assert for_csv(table) is table


def test_index_titles_and_categories_are_text_too() -> None:
    table = pd.DataFrame(
        {"=title": pd.Categorical(["@x", "b"]), "plain": pd.array(["b", None], dtype="str")},
        index=pd.MultiIndex.from_tuples([("=k", -1), ("b", 2)], names=["@key", "number"]),
    )
    safe = for_csv(table)
    assert safe.to_csv() == "'@key,number,'=title,plain\n'=k,-1,'@x,b\nb,2,b,\n"
    assert table.index[0] == ("=k", -1), "the table itself is as it was"


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
@pytest.mark.parametrize(("csv_text", "expected"), [("safe", "'=1+1"), ("plain", "=1+1")])
def test_an_export_is_safe_unless_it_is_to_be_plain(tmp_path, suffix: str, csv_text: str, expected: str) -> None:
    file = tmp_path / f"t{suffix}"
    table = pd.DataFrame({"name": ["=1+1"], "share": [-0.5]}, index=pd.Index(["a"], name="key"))
    export(table, str(file), csv_text=csv_text)
    data = gzip.decompress(file.read_bytes()) if suffix == ".csv.gz" else file.read_bytes()
    assert list(csv.reader(data.decode().splitlines())) == [["key", "name", "share"], ["a", expected, "-0.5"]]


def test_parquet_keeps_text_as_it_is(tmp_path) -> None:
    export(pd.DataFrame({"name": ["=1+1"]}), str(tmp_path / "t.parquet"))
    assert pd.read_parquet(tmp_path / "t.parquet")["name"].tolist() == ["=1+1"]


def test_a_key_that_was_quoted_is_read_back() -> None:
    keys, _ = tract_geoids(["'01001020100", '="39001961400"'], file="a.csv", column="GEOID")
    assert keys.tolist() == ["01001020100", "39001961400"]


def test_values_of_the_option() -> None:
    check_csv_text("plain")
    with pytest.raises(SettingsError, match="--csv-text quoted"):
        check_csv_text("quoted")


def test_every_csv_is_written_by_one_function() -> None:
    """But made-up input files of the sample, and text that is only hashed."""
    others = {"csv_text.py", "sample.py", "sample_survey.py", "harmonize.py"}
    files = [*(ROOT / "geomob_dask").rglob("*.py"), *(ROOT / "jobs").glob("*.py")]
    writers = {path.name for path in files if re.search(r"\.to_csv\(|csv\.writer|DictWriter", path.read_text("utf-8"))}
    assert writers == others
