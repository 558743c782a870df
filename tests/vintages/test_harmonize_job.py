"""Measures brought to other tracts, from store to store: what comes out, on any cluster, and what is refused."""

import math
import re

import pandas as pd
import pytest
from relationship_file import relationship
from stores import QUIET, contents, make, plan_of
from stores import done as up_to_date

from geomob_dask.errors import InputError
from geomob_dask.products.harmonize import Options
from geomob_dask.runs.engine import run
from geomob_dask.runs.landing import ingest
from geomob_dask.store import Store

SHARE = "source,target,weight\n"
# Ohio's first tract is split, its second and third become one, the fourth keeps its key; one link crosses into Indiana.
CROSSWALK = SHARE + (
    "39001000100,39001000101,0.75\n39001000100,39001000102,0.25\n39001000200,39001000500,1\n39001000300,39001000500,1\n"
    "39001000400,39001000400,0.9\n39001000400,18001000100,0.1\n18001000100,18001000100,1\n"
)
TABLE = (
    "GEOID,people_count,people_moe,poor_count,poor_moe,poverty,income_usd,gini\n"
    "39001000100,4000,40,1000,30,25,50000,0.4\n"
    "39001000200,1000,30,100,8,10,60000,0.5\n"
    "39001000300,500,40,300,6,60,20000,0.3\n"
    "39001000400,2000,20,200,10,10,70000,0.45\n"
    "18001000100,800,12,80,9,10,80000,0.35\n"
)
KINDS = """
poverty: {kind: share, of: [poor_count, people_count], scale: 100}
income_usd: {kind: median, unit: usd}
gini: index
"""


@pytest.fixture
def country(tmp_path):
    """Return a store with the table, and the folder of the files."""
    for name, text in (("measures.csv", TABLE), ("crosswalk.csv", CROSSWALK), ("kinds.yaml", KINDS)):
        (tmp_path / name).write_text(text)
    store = Store(str(tmp_path / "store"))
    ingest(store, "measures", file=str(tmp_path / "measures.csv"), dataset="mine", year=2018, vintage="2010")
    return store, tmp_path


def options(folder, **more):
    """Return the options of the made-up table."""
    files = {"crosswalk": str(folder / "crosswalk.csv"), "kinds": str(folder / "kinds.yaml")}
    return Options(dataset="mine", year=2018, to="2020", medians="missing", **files, **more)


def _command(country, *more, crosswalk="crosswalk.csv", kinds="kinds.yaml"):
    store, folder = country
    files = ["--crosswalk", folder / crosswalk] if crosswalk else []
    files += ["--kinds", folder / kinds] if kinds else []
    options = ["--dataset", "mine", "--years", "2018", "--to", "2020", "--cluster", "serial", "--store", store.url]
    return ["harmonize", *options, *files, *more]


def test_a_table_by_hand(country, job):
    out = country[1] / "out.csv"
    done = job(*_command(country, "--medians", "missing", "--dollars", "2023", "--export", out))
    assert done.code == 0, done.err
    table = pd.read_csv(out, dtype={"geoid": str}).set_index("geoid")
    assert list(table.index) == ["18001000100", "39001000101", "39001000102", "39001000400", "39001000500"]
    assert table["people_count"].to_list() == [1000.0, 3000.0, 1000.0, 1800.0, 1500.0]
    assert table["people_moe"]["39001000500"] == 50.0
    assert table["people_moe"]["18001000100"] == pytest.approx(math.hypot(12, 2))
    assert table["poverty"]["39001000500"] == pytest.approx(100 * 400 / 1500)
    assert table["poverty"]["39001000101"] == 25
    # Medians: no tract stayed one tract. The name says whose dollars they would be.
    assert table["income_usd_2023"].isna().all()
    snapshot = country[0].snapshot("measures/mine_2020_usd_2023/2018")
    assert snapshot.attributes["vintage"] == "2020"
    assert snapshot.attributes["dollars"] == 2023
    assert "people_count: 8,300 before, 8,300 after" in done.out
    told = country[0].snapshot("reasons/mine_2020_usd_2023/2018")
    reasons = country[0].read(told.parts["39"]).loc["39001000500"]
    assert set(reasons["reason"]) == {"made of 2 tracts or parts: no such number of theirs tells it"}


def test_nothing_is_done_twice_and_a_dry_run_does_nothing(country, job):
    command = _command(country, "--medians", "missing")
    assert "to be computed" in job(*command, "--dry-run").out
    assert country[0].find("measures/mine_2020/2018") is None
    assert job(*command).code == 0
    assert "up to date" in job(*command, "--dry-run").out
    before = country[0].objects.names("measures/mine_2020/2018/_snapshots")
    assert job(*command).code == 0
    assert country[0].objects.names("measures/mine_2020/2018/_snapshots") == before


def test_any_number_of_workers_gives_the_same_bytes(country, client):
    store, folder = country
    parts = []
    for name, workers in (("one", None), ("two", client)):
        make(store, "harmonize", options(folder, new=name), client=workers)
        parts.append([part.sha256 for part in store.snapshot(f"measures/{name}/2018").parts.values()])
    assert parts[0] == parts[1]


def test_a_run_computes_from_the_inputs_of_its_plan(country, client):
    store, folder = country
    plan = plan_of(store, options(folder, new="planned"), "harmonize")
    (folder / "measures.csv").write_text(TABLE.replace("39001000100,4000,", "39001000100,6000,"))
    (folder / "crosswalk.csv").write_text(CROSSWALK.replace("0.75", "0.5").replace("0.25", "0.5"))
    ingest(store, "measures", file=str(folder / "measures.csv"), dataset="mine", year=2018, vintage="2010")
    run(store, plan, client, QUIET)
    found = store.frame("measures/planned/2018").compute()["people_count"]
    assert found["39001000101"] == 3000.0
    assert not up_to_date(plan_of(store, options(folder, new="planned"), "harmonize"))


def test_one_state_alone_is_as_in_all(country, job):
    for name, more in (("all", []), ("ohio", ["--states", "OH"])):
        assert job(*_command(country, "--medians", "missing", "--as", name, *more)).code == 0
    both = [country[0].snapshot(f"measures/{name}/2018").parts for name in ("all", "ohio")]
    assert list(both[1]) == ["39"]
    assert both[0]["39"].sha256 == both[1]["39"].sha256


def test_a_chosen_state_leaves_the_others_as_they_are(country, job):
    store, folder = country
    assert job(*_command(country, "--medians", "missing")).code == 0
    (folder / "measures.csv").write_text(TABLE.replace("39001000100,4000,", "39001000100,6000,"))
    ingest(store, "measures", file=str(folder / "measures.csv"), dataset="mine", year=2018, vintage="2010")
    before = {name: store.snapshot(f"{name}/mine_2020/2018").parts for name in ("measures", "reasons")}
    out = folder / "out.csv"
    ohio = _command(country, "--medians", "missing", "--states", "OH", "--export", out)
    done = job(*ohio)
    assert done.code == 0, done.err
    for name, parts in before.items():
        after = store.snapshot(f"{name}/mine_2020/2018").parts
        assert list(after) == ["18", "39"]
        assert after["18"] == parts["18"]
        assert after["39"].run != parts["39"].run
    assert store.frame("measures/mine_2020/2018").compute()["people_count"]["39001000101"] == 4500.0
    assert "people_count: 9,300 before" in done.out  # of Ohio, not of the run that Indiana is of
    assert pd.read_csv(out, dtype={"geoid": str})["geoid"].str[:2].unique().tolist() == ["39"]
    assert "up to date" in job(*ohio, "--dry-run").out
    assert "to be computed" in job(*_command(country, "--medians", "missing"), "--dry-run").out


def test_a_missing_source_makes_its_targets_missing_and_says_which(country, job):
    (country[1] / "measures.csv").write_text(TABLE.replace("39001000300,500,40,", "39001000300,,,"))
    ingest(country[0], "measures", file=str(country[1] / "measures.csv"), dataset="mine", year=2018, vintage="2010")
    done = job(*_command(country, "--medians", "missing"))
    assert done.code == 0, done.err
    assert "people_count: 7,800 before, 6,800 after, 1,000 in targets that lack another of their sources" in done.out
    parts = country[0].snapshot("reasons/mine_2020/2018").parts
    told = country[0].read(parts["39"]).loc[["39001000500"]]
    assert "not given for one of its 2 sources" in set(told.loc[told["column"] == "people_count", "reason"])


def test_recoding_alone_needs_no_file_and_carries_medians_to_the_bit(tmp_path, job):
    store = Store(str(tmp_path / "store"))
    (tmp_path / "ct.csv").write_text(
        "GEOID,B19113_001E,B19113_001M,B19083_001E\n09013528100,91000,7000,0.41\n09009990000,,,\n39001000100,50000,800,0.5\n"
    )
    ingest(store, "measures", file=str(tmp_path / "ct.csv"), dataset="acs5_x", year=2021, vintage="2020")
    options = ["--dataset", "acs5_x", "--years", "2021", "--store", store.url, "--cluster", "serial"]
    assert job("harmonize", *options, "--to", "2022", "--as", "new").code == 0
    table = store.frame("measures/new/2021").compute()
    assert list(table.index) == ["09110528100", "09170990000", "39001000100"]
    assert table.loc["09110528100"].to_list() == [91000, 7000, 0.41]
    options[1] = "new"
    assert job("harmonize", *options, "--to", "2020", "--as", "back").code == 0
    pd.testing.assert_frame_equal(
        store.frame("measures/back/2021").compute(), store.frame("measures/acs5_x/2021").compute()
    )
    done = job("harmonize", *options, "--to", "2020", "--as", "usd", "--dollars", "2023")
    assert done.code == 0
    money = store.frame("measures/usd/2021").compute()
    assert list(money.columns) == ["B19113_001E_usd_2023", "B19113_001M_usd_2023", "B19083_001E"]
    assert money["B19113_001E_usd_2023"]["09013528100"] == pytest.approx(91000 * 304.702 / 270.970)
    assert money["B19113_001M_usd_2023"]["09013528100"] == pytest.approx(7000 * 304.702 / 270.970)


def test_money_in_dollars_of_a_year_is_restated_from_that_year(tmp_path, job):
    """By way of dollars of 2015, and without, money of 2020 is the same in dollars of 2023."""
    store = Store(str(tmp_path / "store"))
    (tmp_path / "rent.csv").write_text("GEOID,rent_usd,rent_usd_moe\n39001000100,50000,800\n")
    ingest(store, "measures", file=str(tmp_path / "rent.csv"), dataset="rent", year=2020, vintage="2020")
    kind = "{kind: median, unit: usd}\n"

    def run(dataset, name, column, *more):
        (tmp_path / "kinds.yaml").write_text(f"{column}: {kind}{column}_moe: {{kind: moe, of: {column}}}\n")
        if column != "rent_usd":
            margin = column.replace("rent_", "rent_usd_moe_")
            (tmp_path / "kinds.yaml").write_text(f"{column}: {kind}{margin}: {{kind: moe, of: {column}}}\n")
        options = ["--dataset", dataset, "--as", name, "--years", "2020", "--to", "2020", "--store", store.url]
        return job("harmonize", *options, "--cluster", "serial", "--kinds", tmp_path / "kinds.yaml", *more)

    for done in (
        run("rent", "direct", "rent_usd", "--dollars", "2023"),
        run("rent", "between", "rent_usd", "--dollars", "2015"),
        run("between", "twice", "rent_usd_2015", "--dollars", "2023"),
        run("between", "carried", "rent_usd_2015"),
    ):
        assert done.code == 0, done.err
    direct, twice, carried = (store.frame(f"measures/{name}/2020").compute() for name in ("direct", "twice", "carried"))
    assert list(twice.columns) == ["rent_usd_2023", "rent_usd_moe_usd_2023"]
    pd.testing.assert_frame_equal(twice, direct, rtol=1e-12)
    assert store.snapshot("measures/twice/2020").attributes["dollars"] == 2023
    # Without --dollars the money stays, and so does what is said of it.
    pd.testing.assert_frame_equal(carried, store.frame("measures/between/2020").compute())
    attributes = store.snapshot("measures/carried/2020").attributes
    assert (attributes["dollars"], attributes["prices"]) == (2015, "cpi_u")

    kind = "median\n"
    done = run("between", "unsaid", "rent_usd_2015", "--dollars", "2023")
    assert done.code == 2
    assert "rent_usd_2015: named as dollars of 2015, found a median without a unit" in done.err


def test_the_same_money_in_dollars_of_two_years_is_refused(tmp_path):
    store = Store(str(tmp_path / "store"))
    (tmp_path / "rent.csv").write_text("GEOID,rent_usd,rent_usd_2015\n39001000100,50000,800\n")
    ingest(store, "measures", file=str(tmp_path / "rent.csv"), dataset="rent", year=2020, vintage="2020")
    (tmp_path / "kinds.yaml").write_text(
        "".join(f"{name}: {{kind: median, unit: usd}}\n" for name in ("rent_usd", "rent_usd_2015"))
    )
    wanted = Options(dataset="rent", year=2020, to="2022", kinds=str(tmp_path / "kinds.yaml"), dollars=2023)
    with pytest.raises(InputError, match="rent_usd, rent_usd_2015: both would be rent_usd_2023"):
        plan_of(store, wanted, "harmonize")


BAD = {
    "loses people": (
        CROSSWALK.replace("39001000200,39001000500,1\n", "39001000200,,1\n"),
        [],
        "column people_count: 1,000 of 8,300 .*in no target.*39001000200 .1,000.",
    ),
    "leaves a tract out": (
        CROSSWALK.replace("39001000200,39001000500,1\n", ""),
        [],
        "1,000 of 8,300.*39001000200",
    ),
    "gives more than there is": (CROSSWALK.replace("0.25", "0.75"), [], "39001000100: shares sum to 1.5"),
    "is of other tracts": (
        SHARE + "39005000100,39005000100,1\n18001000100,18001000100,1\n",
        [],
        r"state 39: 4 of 4 tracts .* are not among the sources",
    ),
    "lacks a state": (SHARE + "18001000100,18001000100,1\n", [], "no tract of states 39"),
    "splits a median": (CROSSWALK, [], "column income_usd: a median cannot be split or merged, and 5 tracts"),
    "has no year of prices": (CROSSWALK, ["--dollars", "1990"], "no index for 1990"),
    "knows no such vintage": (CROSSWALK, ["--from", "1990"], "vintage '1990': not known; "),
    "would write over itself": (CROSSWALK, ["--as", "mine"], "is the dataset itself"),
    "tolerates all": (CROSSWALK, ["--lost", "1.5"], "--lost 1.5: expected a share"),
    "names a year twice": (CROSSWALK, ["--years", "2017-2018,2018"], "found 2018 twice"),
    "knows no such state": (CROSSWALK, ["--states", "OH,WY"], "--states 56"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_and_nothing_is_left(country, job, case):
    text, more, expected = BAD[case]
    (country[1] / "crosswalk.csv").write_text(text)
    before = contents(country[0])
    missing = [] if case == "splits a median" else ["--medians", "missing"]
    done = job(*_command(country, *missing, *more))
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert re.search(expected, done.err), done.err
    assert contents(country[0]) == before


def test_lost_people_within_what_is_tolerated_are_told(country, job):
    (country[1] / "crosswalk.csv").write_text(CROSSWALK.replace("39001000200,39001000500,1\n", "39001000200,,1\n"))
    done = job(*_command(country, "--medians", "missing", "--lost", "0.2"))
    assert done.code == 0, done.err
    assert "people_count: 8,300 before, 7,300 after, 1,000 in no target" in done.out


def test_other_tracts_without_a_table_and_columns_of_no_kind_are_refused(country, job):
    done = job(*_command(country, crosswalk=None))
    assert done.code == 2
    assert "measures/mine/2018" in done.err
    assert "--crosswalk" in done.err
    done = job(*_command(country, kinds=None))
    assert done.code == 2
    assert "columns poverty, income_usd, gini: unknown kind" in done.err


def test_a_tract_under_both_of_its_codes_is_refused(tmp_path):
    store = Store(str(tmp_path / "store"))
    (tmp_path / "sd.csv").write_text("GEOID,a_count\n46113940500,1\n46102940500,2\n")
    ingest(store, "measures", file=str(tmp_path / "sd.csv"), dataset="mine", year=2018, vintage="2010")
    with pytest.raises(InputError, match="tract 46113940500: found it under its other code 46102940500 too"):
        make(store, "harmonize", Options(dataset="mine", year=2018, to="2010", new="new"))


def test_a_relationship_file_takes_tables_of_either_code(tmp_path, job):
    """Shannon and Bedford City by newer codes; water of 36085008900 that newer tables do not list; classes as text."""
    rows = [
        ("46102940500", "46113940500", 700, 0),
        ("51019050101", "51515050100", 30, 0),
        ("51019050102", "51515050100", 10, 0),
        ("36085009700", "36085008900", 0, 60),
        ("36085009700", "36085009700", 90, 0),
    ]
    file = relationship(tmp_path / "tab20_tract20_tract10_natl.txt", rows)
    older = "GEOID,a_count,class\n46113940500,10,rural\n51515050100,80,town\n36085009700,7,city\n"
    newer = older.replace("46113940500", "46102940500").replace("51515050100", "51019050100")
    (tmp_path / "kinds.yaml").write_text("class: key\n")
    store = Store(str(tmp_path / "store"))
    tables = []
    for name, text in (("older", older), ("newer", newer)):
        (tmp_path / "m.csv").write_text(text)
        ingest(
            store,
            "measures",
            file=str(tmp_path / "m.csv"),
            dataset=name,
            year=2018,
            vintage="2010",
            columns=["a_count", "class"],
        )
        options = ["--dataset", name, "--years", "2018", "--to", "2022", "--store", store.url, "--cluster", "serial"]
        done = job("harmonize", *options, "--relationship", file, "--kinds", tmp_path / "kinds.yaml")
        assert done.code == 0, done.err
        tables.append(store.frame(f"measures/{name}_2022/2018").compute())
    pd.testing.assert_frame_equal(*tables)
    assert tables[0]["a_count"].to_dict() == {
        "36085009700": 7.0,
        "46102940500": 10.0,
        "51019050101": 60.0,
        "51019050102": 20.0,
    }
    assert tables[0]["class"].dropna().to_dict() == {"46102940500": "rural", "36085009700": "city"}
