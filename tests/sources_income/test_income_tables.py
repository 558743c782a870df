"""Archives of income brackets: both forms, and what is refused."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from geomob_dask.errors import CountsError, InputError
from geomob_dask.sources.income_tables import read_income

BRACKETS = list(range(1, 17))
ROW = ["39001961400", sum(BRACKETS), *BRACKETS]
OTHER = ["18001030100", 16, *[1] * 16]


def archive(folder: Path, files: dict[str, str]) -> Path:
    path = folder / "income.zip"
    with zipfile.ZipFile(path, "w") as target:
        for name, text in files.items():
            target.writestr(name, text)
    return path


def metro(keys: list[object], suffix: str = "18") -> str:
    uppers = [10, 15, 20, 25, 30, 35, 40, 45, 50, 60, 75, 100, 125, 150, 200, 201]
    table = pd.DataFrame(
        {f"I_{upper * 1000}_{suffix}": float(k + 1) for k, upper in enumerate(uppers)}, index=range(len(keys))
    )
    table[f"hh_{suffix}"] = table.sum(axis=1)
    table["FIPS"] = keys
    text = io.StringIO()
    table.to_csv(text)
    return text.getvalue()


def test_a_file_an_area(tmp_path: Path) -> None:
    table = read_income(archive(tmp_path, {"10100.json": json.dumps([ROW]), "20200.json": json.dumps([OTHER])}), 2023)
    assert table.area == "cbsa"
    assert table.rows.index.tolist() == ["18001030100", "39001961400"]
    assert table.rows["cbsa"].tolist() == ["20200", "10100"]
    assert table.rows.loc["39001961400", "B19001_001E"] == 136
    assert table.rows.loc["39001961400", [f"B19001_{k:03d}E" for k in range(2, 18)]].tolist() == BRACKETS
    assert "areas that cross state lines: 0" in table.lines[1]


def test_metros_of_one_year_with_keys_that_lost_their_zero(tmp_path: Path) -> None:
    files = {
        "Denvercensus_summ_2018.csv": metro([8001007801.0, 8001007802.0]),
        "Memphiscensus_summ_2018.csv": metro([47157000100.0, 28033070101.0]),
        "Memphiscensus_summ_2017.csv": metro([47157000100.0], "17"),
    }
    table = read_income(archive(tmp_path, files), 2018)
    assert table.area == "metro"
    assert table.rows["metro"].to_dict() == {
        "08001007801": "Denver",
        "08001007802": "Denver",
        "28033070101": "Memphis",
        "47157000100": "Memphis",
    }
    assert table.rows.iloc[0, :17].tolist() == [136, *BRACKETS]
    assert "areas that cross state lines: 1" in table.lines[1]


@pytest.mark.parametrize(
    ("files", "error", "message"),
    [
        ({"readme.txt": "hello"}, InputError, "found readme.txt; expected files named 31080.json"),
        ({}, InputError, "found no file"),
        ({"10100.json": "not json"}, InputError, "10100.json: cannot be read"),
        ({"10100.json": "{}"}, InputError, "row 1: found dict, expected 18"),
        ({"10100.json": json.dumps([ROW, ROW[:-1]])}, InputError, "10100.json, row 2: found 17 values, expected 18"),
        ({"10100.json": json.dumps([[*ROW[:-1], "many"]])}, InputError, "values that are no numbers"),
        ({"10100.json": json.dumps([[*ROW[:-1], None]])}, CountsError, "B19001_017E: found nan, expected a whole"),
        ({"10100.json": json.dumps([[*ROW[:-1], 16.5]])}, CountsError, "tract 39001961400, B19001_017E: found 16.5"),
        ({"10100.json": json.dumps([[*ROW[:-1], -1]])}, CountsError, "found -1"),
        ({"10100.json": json.dumps([[ROW[0], 100, *BRACKETS]])}, CountsError, "expected the 100"),
        ({"10100.json": json.dumps([ROW]), "20200.json": json.dumps([ROW])}, InputError, "is in cbsa 10100 and 20200"),
        ({"10100.json": json.dumps([["3900", *ROW[1:]]])}, InputError, "expected the 11 digits"),
        ({"Memphiscensus_summ_2017.csv": metro([47157000100], "17")}, InputError, "one of the years 2017"),
        ({"Memphiscensus_summ_2018.csv": metro([47157000100], "17")}, InputError, "expected hh_18"),
    ],
)
def test_archives_that_are_refused(tmp_path: Path, files: dict[str, str], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        read_income(archive(tmp_path, files), 2018)


def test_a_file_that_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "income.zip").write_text("text")
    with pytest.raises(InputError, match="cannot be read"):
        read_income(tmp_path / "income.zip", 2018)
    with pytest.raises(InputError, match="cannot be read"):
        read_income(tmp_path / "absent.zip", 2018)


@pytest.mark.real_data
def test_every_area_of_the_country(real_data: Path) -> None:
    file = real_data / "income" / "B19001_2023_by_cbsa_json.zip"
    table = read_income(file, 2023)
    assert (len(table.rows), table.rows["cbsa"].nunique()) == (78_142, 935)
    with zipfile.ZipFile(file) as source:
        plain = {name[:5]: json.loads(source.read(name)) for name in source.namelist()}
    for area in ("35620", "31080", "47260"):
        expected = np.array([row[1:] for row in plain[area]]).sum(axis=0)
        rows = table.rows[table.rows["cbsa"] == area]
        np.testing.assert_array_equal(rows.drop(columns="cbsa").sum().to_numpy(), expected)
    assert "areas that cross state lines: 59" in table.lines[1]


@pytest.mark.real_data
def test_metros_of_two_years(real_data: Path) -> None:
    file = real_data / "income" / "metro_acs_2017_2018.zip"
    first, second = read_income(file, 2017), read_income(file, 2018)
    assert sorted(first.rows["metro"].unique()) == ["Atlanta", "Chicago", "Denver", "Memphis"]
    assert (len(first.rows), len(second.rows), second.rows["metro"].nunique()) == (3_671, 12_759, 13)
    assert second.rows.index.str.len().unique().tolist() == [11]
