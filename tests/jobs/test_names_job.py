"""Names on the command line: none leads out of the store, and a misspelled one is answered with the nearest."""

import os

import pandas as pd
import pytest
from stores import contents, ingest_sample

from geomob_dask.store import Store

OUT = "../../escape"


@pytest.fixture(scope="module")
def filled(tmp_path_factory) -> Store:
    folder = tmp_path_factory.mktemp("filled")
    return ingest_sample(str(folder / "around" / "below" / "store"), folder)


@pytest.fixture
def refused(job, filled, tmp_path, monkeypatch):
    """Run a job; return its message after checking that nothing is written, in the store or around it."""
    monkeypatch.chdir(tmp_path)
    keys = pd.DataFrame({"GEOID": ["18001000100"], "a": [1], "region": ["x"]})
    keys.to_csv("table.csv", index=False)
    (tmp_path / "night.yaml").write_text("name: n\nproducts: {p: {job: mixing, dataset: smaple, by: county}}\n")
    around = os.path.dirname(os.path.dirname(filled.url))
    before, beside, here = contents(filled), sorted(os.walk(around)), sorted(os.listdir(tmp_path))

    def run(*arguments: object) -> str:
        done = job(*arguments, "--store", filled.url)
        assert done.code == 2, done
        assert done.err.startswith("error: "), done.err
        assert done.err.count("\n") == 1, "one line"
        assert contents(filled) == before
        assert sorted(os.walk(around)) == beside
        assert sorted(os.listdir(tmp_path)) == here
        return done.err

    return run


MEASURES = ("ingest", "measures", "table.csv", "--dataset", "a", "--year", 2020, "--vintage", "sample")


def changed(flag: str, value: object, command: tuple = MEASURES) -> tuple:
    place = command.index(flag)
    return (*command[: place + 1], value, *command[place + 2 :])


@pytest.mark.parametrize(
    "name", [OUT, "../measures/acs", "", ".", "..", "/abs", "a/b", "_snapshots", "a*", "a\nb", "<b>", "n" * 300, "CON"]
)
def test_a_dataset_that_is_no_name(refused, name):
    assert "--dataset: expected a name of" in refused(*changed("--dataset", name))


@pytest.mark.parametrize(
    ("command", "flag"),
    [
        (changed("--vintage", OUT), "--vintage"),
        (("ingest", "tracts", "table.csv", "--vintage", OUT), "--vintage"),
        (("ingest", "regions", "table.csv", "--name", OUT, "--vintage", "sample"), "--name"),
        (("ingest", "places", "table.csv", "--name", OUT, "--vintage", "sample", "--cluster", "serial"), "--name"),
        (("ingest", "join", "sample", "b", "--as", OUT, "--years", "2020"), "--as"),
        (("ingest", "join", "sample", OUT, "--as", "c", "--years", "2020"), "--datasets"),
        (("ingest", "atlas", "table.csv", "--dataset", OUT), "--dataset"),
        (("ingest", "acs", "--year", "2020", "--table", OUT), "--table"),
        (("harmonize", "--dataset", "sample", "--years", "2020", "--to", "2020", "--as", OUT), "--as"),
        (("harmonize", "--dataset", "sample", "--years", "2020", "--to", OUT), "--to"),
        (("neighbors", "--vintage", OUT), "--vintage"),
        (("opportunity", "--definition", "sample", "--dataset", OUT, "--years", "2020"), "--dataset"),
        (("mobility", "--study", "tracts", "--measures", f"{OUT}:2020"), "--measures"),
        (("cube", "write", OUT, "--results", "measures/sample/{year}", "--years", "2020"), "name"),
        (("cube", "write", "a", "--results", f"{OUT}/{{year}}", "--years", "2020"), "path"),
        (("cube", "history", OUT), "cube"),
        (("cube", "tag", "a", OUT), "tag"),
        (("store", "list", OUT), "path"),
        (("store", "verify", OUT, "--dry-run", "--cluster", "serial"), "path"),
    ],
)
def test_every_other_name(refused, command, flag):
    message = refused(*command)
    assert flag in message
    assert OUT in message


NEAREST = ["did you mean 'sample'?"]


@pytest.mark.parametrize("year", [-5, 0, 99999999, 1500])
def test_a_year_that_no_data_can_have(refused, year):
    message = refused(*changed("--year", year))
    assert "--year" in message
    assert "1790 to 2100" in message
    assert "--year" in refused("opportunity", "--definition", "sample", "--dataset", "sample", "--years", f"{year}")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (
            ("opportunity", "--definition", "sample", "--dataset", "smaple", "--years", "2020"),
            NEAREST,
        ),
        (
            ("opportunity", "--definition", "smaple", "--dataset", "sample", "--years", "2020"),
            NEAREST,
        ),
        (("mixing", "--brackets", "b19002", "--dataset", "sample", "--years", "2020"), ["did you mean 'b19001'?"]),
        (("neighbors", "--vintage", "smaple"), ["no vintage 'smaple' of tracts; did you mean 'sample'?"]),
        (("ingest", "join", "sample", "smaple", "--as", "c", "--years", "2020"), NEAREST),
        (
            (
                "segregation",
                "--by",
                "conty",
                "--dataset",
                "sample",
                "--years",
                "2020",
                "--groups",
                "population,poverty_pct",
            ),
            ["did you mean 'county'?"],
        ),
        (("backfill", "night.yaml", "--years", "2020"), NEAREST),
        (("opportunity", "--definition", "sample", "--dataset", "sample", "--years", "2019"), ["no year 2019", "2020"]),
    ],
)
def test_a_misspelled_name_is_answered_with_the_nearest(refused, command, words):
    message = refused(*command)
    assert all(word in message for word in words), message
