"""Many ACS tables and years in one call: which files are read, as which year, and all or nothing in the store."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from census_server import rows_for, serving
from stores import contents

from geomob_dask.errors import GeomobError, InputError, RunError
from geomob_dask.runs.landing import ingest, ingest_all
from geomob_dask.runs.sources import find_source
from geomob_dask.sources.acs_choice import ChosenFile, chosen_files, year_of_file
from geomob_dask.sources.tables import file_checksums
from geomob_dask.store import Store


def table(name: str, people: int, tract: str = "39001000100") -> str:
    return f"GEO_ID,{name}_001E,{name}_001M\n1400000US{tract},{people},5\n"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of two tables and two years, and of what else lies there."""
    folder = tmp_path / "acs5"
    folder.mkdir()
    for name in ("B01003", "B25001"):
        for year in (2020, 2021, 2022):
            (folder / f"{name}_{year}.csv").write_text(table(name, year))
    (folder / "README.md").write_text("Tables of the Bureau.")
    return folder


@pytest.mark.parametrize(
    ("name", "years", "year"),
    [
        ("B01003_2020.csv.gz", (2020, 2021), 2020),
        ("ACSDT5Y2018.B02001-Data.csv", (2017, 2018), 2018),
        ("2019/B01003_2020.csv", (2019, 2020), 2020),
        ("people.csv", (2020,), 2020),
        ("B20201_2021.csv", (2020, 2021), 2021),
    ],
)
def test_a_file_is_of_the_year_in_its_name(name: str, years: tuple[int, ...], year: int) -> None:
    assert year_of_file(name, years) == year


@pytest.mark.parametrize(
    ("name", "found"),
    [("people.csv", "no year"), ("B01003_2019.csv", "2019"), ("acs_2020_in_2021_dollars.csv", "2020, 2021")],
)
def test_a_name_that_does_not_tell_its_year_is_refused(name: str, found: str) -> None:
    with pytest.raises(InputError, match=rf"{name}: found {found} in its name, expected one of the years 2020, 2021"):
        year_of_file(name, (2020, 2021))


def test_folders_and_patterns_give_the_files_of_the_years_and_tables(folder: Path) -> None:
    names = ["B01003_2020.csv", "B01003_2021.csv", "B25001_2020.csv", "B25001_2021.csv"]
    files = [ChosenFile(str(folder / name), int(name[7:11])) for name in names]
    assert chosen_files([str(folder)], (2020, 2021))[0] == files
    assert chosen_files([f"{folder}/*_202[01].csv"], (2020, 2021)) == (files, [])
    chosen, lines = chosen_files([f"{folder}/*.csv"], (2020,), ("B01003",))
    assert chosen == files[:1]
    assert "B25001_2022.csv" in lines[0]


def test_a_single_file_may_have_any_name_and_one_of_another_year_is_told(tmp_path: Path) -> None:
    chosen, lines = chosen_files(["of_2019.csv"], (2020,))
    assert chosen == [ChosenFile("of_2019.csv", 2020)]
    assert lines == ["of_2019.csv is read as numbers of 2020 (--year), but its name holds 2019"]
    assert chosen_files(["of_2020_as_of_2022.csv"], (2020,))[1] == []
    odd = tmp_path / "odd[1].csv"
    odd.write_text(table("B01003", 1))
    assert chosen_files([str(odd)], (2020,))[0] == [ChosenFile(str(odd), 2020)]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["{}/*.xml"], ["*.xml", "no file"]),
        (["{}/B01003_2020.csv", "{}/B01003_20*.csv"], ["B01003_2020.csv", "twice"]),
        (["{}/B01003_2022.csv"] * 2, ["B01003_2022.csv", "2020, 2021"]),
        (["{}/*_2022.csv"], ["B01003_2022.csv", "2020, 2021"]),
    ],
)
def test_files_that_cannot_be_chosen_are_named(folder: Path, given: list[str], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        chosen_files([name.format(folder) for name in given], (2020, 2021))
    assert [word for word in words if word not in str(caught.value)] == []


def test_years_without_a_file_are_named(folder: Path) -> None:
    with pytest.raises(InputError, match=r"no file of 2023, 2024; found B01003_2020\.csv"):
        chosen_files([str(folder)], range(2020, 2025))


def test_all_tables_and_years_are_collections_of_their_own(store: Store, folder: Path) -> None:
    done = ingest_all(store, "acs", file=str(folder), year="2020-2021")
    assert [one.collection for one in done] == [
        f"measures/acs5_{name}/{year}" for name in ("b01003", "b25001") for year in (2020, 2021)
    ]
    for one, (name, year) in zip(done, [(n, y) for n in ("B01003", "B25001") for y in (2020, 2021)], strict=True):
        frame = store.frame(one.collection).compute()
        assert frame[f"{name}_001E"].tolist() == [year]
        (run,) = store.snapshot(one.collection).runs.values()
        assert run["inputs"] == file_checksums([folder / f"{name}_{year}.csv"])
        assert run["options"] == {"table": name, "year": year, "vintage": "2020"}


def test_one_file_in_error_leaves_the_store_as_it_was(store: Store, folder: Path) -> None:
    (folder / "B25001_2021.csv").write_text(table("B25001", 1).replace("5\n", "five\n"))
    with pytest.raises(InputError, match=r"B25001_2021\.csv: column B25001_001M"):
        ingest_all(store, "acs", file=str(folder), year="2020-2022")
    assert contents(store) == {}


def test_a_dry_run_of_files_names_all_and_writes_nothing(store: Store, folder: Path) -> None:
    done = ingest_all(store, "acs", file=[f"{folder}/B01003_*.csv"], year=[2020, 2021], dry_run=True)
    assert [one.collection for one in done] == ["measures/acs5_b01003/2020", "measures/acs5_b01003/2021"]
    assert contents(store) == {}


def test_a_file_of_several_tables_gives_each_or_those_that_are_named(store: Store, tmp_path: Path) -> None:
    text = "GEOID,B01003_001E,B01003_001M,B19013_001E\n39001000100,10,5,-666666666\n"
    (tmp_path / "wide.csv").write_text(text)
    done = ingest_all(store, "acs", file=str(tmp_path / "wide.csv"), year=2020)
    assert [one.collection for one in done] == ["measures/acs5_b01003/2020", "measures/acs5_b19013/2020"]
    assert list(store.frame(done[0].collection).columns) == ["B01003_001E", "B01003_001M"]
    assert store.frame("reasons/acs5_b19013/2020").compute()["column"].tolist() == ["B19013_001E"]
    one = ingest(store, "acs", file=str(tmp_path / "wide.csv"), year=2020, table="B19013", dataset="income")
    assert one.collection == "measures/income/2020"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dataset": "mine"}, ["--dataset mine", "B01003", "B25001"]),
        ({"table": "B01003,B99999"}, ["--table B99999", "B01003_2020.csv"]),
        ({"year": "2019"}, ["2019"]),
        ({"year": "soon"}, ["year", "soon"]),
        ({"file": None}, ["--table"]),
        ({"file": None, "table": "B01003,B00000"}, ["B00000"]),
        ({"file": None, "table": "B01003", "dataset": "x", "year": "2020,1999"}, ["1999"]),
    ],
)
def test_options_that_fit_no_table_are_refused(
    store: Store, folder: Path, options: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(GeomobError) as caught:
        ingest_all(store, "acs", **{"file": str(folder), "year": "2020-2021", **options})
    assert [word for word in words if word not in str(caught.value)] == []
    assert caught.value.exit_code == 2
    assert contents(store) == {}


def test_files_of_single_states_are_one_table(store: Store, folder: Path, tmp_path: Path) -> None:
    more = tmp_path / "indiana.csv"
    more.write_text("GEO_ID,B01003_001M,B01003_001E\n1400000US18001000100,*****,7\n0400000US18,1,2\n")
    files = [str(folder / "B01003_2020.csv"), str(more)]
    (one,) = ingest_all(store, "acs", file=files, year=2020)
    frame = store.frame(one.collection).compute()
    assert frame["B01003_001E"].to_dict() == {"18001000100": 7.0, "39001000100": 2020.0}
    assert frame["B01003_001M"].to_dict() == {"18001000100": 0.0, "39001000100": 5.0}
    assert store.frame("reasons/acs5_b01003/2020").compute()["column"].to_dict() == {"18001000100": "B01003_001M"}
    (run,) = store.snapshot(one.collection).runs.values()
    assert run["inputs"] == file_checksums(files)
    # States that were asked for may be in different files.
    (one,) = ingest_all(store, "acs", file=files, year=2020, states="18,39", dataset="both")
    assert len(store.frame(one.collection)) == 2
    with pytest.raises(InputError, match=r"B01003_2020\.csv, .*indiana\.csv: no tract of state 55; found 18, 39"):
        ingest_all(store, "acs", file=files, year=2020, states="55")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            table("B01003", 1),
            r"more_2020\.csv: table B01003, tract 39001000100: is in .*B01003_2020\.csv too; expected each tract",
        ),
        (
            "GEO_ID,B01003_001E\n1400000US18001000100,1\n",
            r"more_2020\.csv: table B01003 has no column B01003_001M, which .*B01003_2020\.csv has",
        ),
        (
            "GEO_ID,B01003_001E,B01003_001M,B01003_002E\n1400000US18001000100,1,1,1\n",
            r"B01003_2020\.csv: table B01003 has no column B01003_002E, which .*more_2020\.csv has",
        ),
    ],
    ids=["tract twice", "fewer columns", "more columns"],
)
def test_files_that_make_no_table_together_are_refused(store: Store, folder: Path, text: str, message: str) -> None:
    (folder / "more_2020.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        ingest_all(store, "acs", file=str(folder), year="2020-2021")
    assert contents(store) == {}


def test_a_country_is_the_sum_of_the_files_of_its_states(store: Store, tmp_path: Path) -> None:
    country = "0100000US,30,1\n"
    (tmp_path / "one.csv").write_text(table("B01003", 10) + country)
    (tmp_path / "two.csv").write_text(table("B01003", 20, "18001000100") + country)
    (one,) = ingest_all(store, "acs", file=str(tmp_path / "*.csv"), year=2020)
    assert store.frame(one.collection).compute()["B01003_001E"].sum() == 30
    with pytest.raises(InputError, match=r"two\.csv: column B01003_001E: tracts sum to 20, expected the country's 30"):
        ingest_all(store, "acs", file=str(tmp_path / "two.csv"), year=2020)


def test_what_describes_the_tables_of_a_folder_is_left_out(store: Store, tmp_path: Path) -> None:
    (tmp_path / "ACSDT5Y2020.B01003-Data.csv").write_text(table("B01003", 10))
    (tmp_path / "ACSDT5Y2020.B01003-Column-Metadata.csv").write_text("Column Name,Label\nGEO_ID,Geography\n")
    (tmp_path / "ACSDT5Y2020.B01003-Table-Notes.txt").write_text("Notes")
    (tmp_path / "B25001_2020.tsv").write_text(table("B25001", 10).replace(",", "\t"))
    done = ingest_all(store, "acs", file=str(tmp_path), year=2020)
    assert [one.collection for one in done] == ["measures/acs5_b01003/2020", "measures/acs5_b25001/2020"]


def test_a_function_that_returns_one_collection_names_the_one_for_several(store: Store, folder: Path) -> None:
    with pytest.raises(InputError, match=r"acs: found measures/acs5_b01003/2020.*ingest_all"):
        ingest(store, "acs", file=str(folder), year="2020-2021")


def fails_for_the_last(handler: Any) -> None:
    """Answer as the API does, but not for the last table and year."""
    query = {name: values[0] for name, values in parse_qs(urlsplit(handler.path).query).items()}
    if "/2021/" in handler.path and "B25001" in query["get"]:
        return handler.reply(500, b"")
    return handler.reply(200, json.dumps(rows_for(query, {"state": "53", "county": "*"})).encode())


def test_the_api_is_asked_for_all_tables_and_years(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CENSUS_API_KEY", raising=False)
    with serving() as server:
        options = {"table": "B01003,B25001", "year": "2020-2021", "states": "53", "base_url": server.url, "budget": 0}
        plan = find_source("acs").planned(options, store.objects)
        assert plan is not None
        assert len([line for line in plan if line.startswith("acs: ")]) == 4
        server.failures = {"53": [fails_for_the_last] * 4}
        with pytest.raises(RunError, match=r"B25001 2021, state 53: .*status 500"):
            ingest_all(store, "acs", **options)
        assert store.collections("measures") == []
        server.failures, server.asked = {}, []
        done = ingest_all(store, "acs", **options)
        assert [(path, query["get"][:6]) for path, _, query in server.asked] == [("/data/2021/acs/acs5", "B25001")]
    assert [one.collection for one in done] == [
        f"measures/acs5_{name}/{year}" for name in ("b01003", "b25001") for year in (2020, 2021)
    ]


def test_the_command_takes_files_again_and_again(job: Any, tmp_path: Path, folder: Path) -> None:
    files = [word for name in ("B01003_2020.csv", "B25001_2021.csv") for word in ("--file", folder / name)]
    command = ("ingest", "acs", *files, "--year", "2020-2021", "--store", tmp_path / "store")
    plan = job(*command, "--dry-run")
    assert plan.code == 0, plan.err
    assert "would be in" in plan.out
    assert "measures/acs5_b25001/2021" in plan.out
    export = job(*command, "--export", tmp_path / "all.csv")
    assert export.code == 2
    assert [word for word in ("--export", "measures/acs5_b01003/2020") if word not in export.err] == []
    assert contents(Store(str(tmp_path / "store"))) == {}
    done = job(*command)
    assert done.code == 0, done.err
    there = Store(str(tmp_path / "store")).collections("measures")
    assert there == ["measures/acs5_b01003/2020", "measures/acs5_b25001/2021"]
