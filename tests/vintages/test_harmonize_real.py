"""Real tables on one vintage: Connecticut's series has no hole; 2000 on the tracts of 2020."""

import numpy as np
import pandas as pd
import pytest
from stores import make

from geomob_dask.errors import InputError
from geomob_dask.outputs.result import report
from geomob_dask.products.harmonize import Options
from geomob_dask.runs.landing import ingest
from geomob_dask.store import Store

pytestmark = pytest.mark.real_data
YEARS = range(2020, 2025)
NEW_ENGLAND = ("09", "25")


def _some_states(real_data, folder, table, year):
    """Write the rows of a few states of a table, as published."""
    rows = pd.read_csv(real_data / "measures" / "acs5" / f"{table}_{year}.csv.gz", dtype=str, keep_default_na=False)
    file = folder / f"{table}_{year}.csv"
    rows[rows["GEO_ID"].str[9:11].isin(NEW_ENGLAND)].to_csv(file, index=False)
    return str(file)


@pytest.fixture(scope="module")
def store(real_data, tmp_path_factory):
    """Return a store with two states, five years, population, Gini index and family income."""
    folder = tmp_path_factory.mktemp("acs")
    store = Store(str(folder / "store"))
    for table in ("B01003", "B19083", "B19113"):
        for year in YEARS:
            ingest(store, "acs", file=_some_states(real_data, folder, table, year), year=year, table=table)
    return store


def _series(store, dataset, states=None):
    return {year: store.frame(f"measures/{dataset}/{year}", states=states).compute() for year in YEARS}


@pytest.mark.parametrize("to", ["2020", "2022"])
@pytest.mark.parametrize("table", ["B01003", "B19083", "B19113"])
def test_connecticuts_series_has_no_hole(store, table, to):
    dataset = f"acs5_{table.lower()}"
    make(store, "harmonize", *(Options(dataset=dataset, year=year, to=to) for year in YEARS))
    series = _series(store, f"{dataset}_{to}", ["09"])
    land = [frame.index[~frame.index.str[5:].str.startswith("99")] for frame in series.values()]
    assert {len(index) for index in land} == {879}
    assert all(index.equals(land[0]) for index in land)
    for year, frame in series.items():
        found = store.frame(f"measures/{dataset}/{year}", states=["09"]).compute()
        # The same numbers, to the last bit, under other codes; water has none.
        by_tract = [one[~one.index.str[5:].str.startswith("99")] for one in (frame, found)]
        by_tract = [one.set_axis(one.index.str[5:]).sort_index() for one in by_tract]
        pd.testing.assert_frame_equal(by_tract[0], by_tract[1])


def test_reasons_move_with_their_numbers(store):
    make(store, "harmonize", Options(dataset="acs5_b19113", year=2021, to="2022", new="moved"))
    old, new = (
        store.read(store.snapshot(f"reasons/{name}/2021").parts["09"]).reset_index()
        for name in ("acs5_b19113", "moved")
    )
    old, new = (one[~one["geoid"].str[5:].str.startswith("99")] for one in (old, new))
    assert len(new) == len(old) > 0
    pairs = [sorted(zip(one["geoid"].str[5:], one["column"], one["reason"], strict=True)) for one in (old, new)]
    assert pairs[0] == pairs[1]


def test_dollars_of_one_year(store):
    make(store, "harmonize", *(Options(dataset="acs5_b19113", year=year, to="2022", dollars=2023) for year in YEARS))
    for year, frame in _series(store, "acs5_b19113_2022_usd_2023").items():
        found = store.frame(f"measures/acs5_b19113/{year}").compute()
        assert list(frame.columns) == ["B19113_001E_usd_2023", "B19113_001M_usd_2023"]
        ratio = {2020: 304.702 / 258.811, 2023: 1.0, 2024: 304.702 / 313.689}.get(year)
        massachusetts = frame.index[frame.index.str[:2] == "25"]
        if ratio:
            np.testing.assert_allclose(
                frame.loc[massachusetts].to_numpy(), ratio * found.loc[massachusetts].to_numpy(), rtol=1e-12
            )


def test_people_of_2000_on_tracts_of_2020(real_data, tmp_path):
    """In part of the published file, codes of four digits were padded on the left: they are put right here."""
    rows = pd.read_csv(real_data / "tracts" / "census_2000_race_counts.csv.gz", dtype={"GEOID": str})
    links = pd.read_parquet(real_data / "crosswalks" / "tract_2000_to_2020.parquet")
    state = "10"
    mine = rows[rows["GEOID"].str[:2] == state].copy()
    known = set(links["from_census_tract"])
    mine["GEOID"] = [key if key in known else key[:5] + key[7:] + "00" for key in mine["GEOID"]]
    mine.to_csv(tmp_path / "race.csv", index=False)
    store = Store(str(tmp_path / "store"))
    ingest(
        store,
        "measures",
        file=str(tmp_path / "race.csv"),
        dataset="race",
        year=2000,
        vintage="2000",
        columns=["pop2000", "nh.white"],
    )
    crosswalk = str(real_data / "crosswalks" / "tract_2000_to_2020.parquet")
    (tmp_path / "kinds.yaml").write_text("pop2000: count\nnh.white: count\n")
    kinds = str(tmp_path / "kinds.yaml")
    plan = make(store, "harmonize", Options(dataset="race", year=2000, to="2020", crosswalk=crosswalk, kinds=kinds))
    balance = report(store, plan.groups[0].prepared)["balance"]["pop2000"]
    # Delaware had 783,600 people in 2000.
    assert balance["before"] == 783_600
    assert balance["after"] + balance["withheld"] == pytest.approx(783_600, abs=1e-6)
    table = store.frame("measures/race_2020/2000").compute()
    assert table["pop2000"].sum() == pytest.approx(balance["after"], rel=1e-12)
    # By plain sums: each source's housing units shared out.
    here = links[links["from_census_tract"].str[:2] == state].fillna({"housing_units_2000": 0.0})
    total = here.groupby("from_census_tract")["housing_units_2000"].transform("sum")
    size = here.groupby("from_census_tract")["housing_units_2000"].transform("size")
    share = np.where(total > 0, here["housing_units_2000"] / total.where(total > 0, 1), 1 / size)
    people = mine.set_index("GEOID")["pop2000"].astype(float).reindex(here["from_census_tract"]).to_numpy()
    expected = pd.Series(share * people, index=here["to_census_tract"].to_numpy()).groupby(level=0).sum(min_count=1)
    known_targets = table["pop2000"].dropna()
    np.testing.assert_allclose(known_targets, expected.reindex(known_targets.index), rtol=1e-9)


def test_null_targets_are_people_lost(real_data, tmp_path):
    """Part of 06037134902 lies in no tract of 2020 in the published table."""
    store = Store(str(tmp_path / "store"))
    links = pd.read_parquet(real_data / "crosswalks" / "tract_2000_to_2020.parquet")
    sources = links.loc[links["from_census_tract"].str[:2] == "06", "from_census_tract"].unique()
    pd.DataFrame({"GEOID": sources, "people_count": 1000.0}).to_csv(tmp_path / "ca.csv", index=False)
    ingest(store, "measures", file=str(tmp_path / "ca.csv"), dataset="ca", year=2000, vintage="2000")
    crosswalk = str(real_data / "crosswalks" / "tract_2000_to_2020.parquet")
    wanted = Options(dataset="ca", year=2000, to="2020", crosswalk=crosswalk)
    with pytest.raises(InputError, match=r"column people_count: .* lie in no target.*06037"):
        make(store, "harmonize", wanted)
