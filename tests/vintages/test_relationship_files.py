"""Tables of tracts in tracts: the Census Bureau's relationship file, and others."""

import numpy as np
import pandas as pd
import pytest
from relationship_file import relationship

from geomob_dask.errors import DefinitionError, InputError
from geomob_dask.frames.relations import link_shares
from geomob_dask.sources.kinds import Kind, kinds_of, read_kinds
from geomob_dask.sources.prices import read_prices
from geomob_dask.sources.relationships import RelationColumns, is_water, plain_codes, read_relation

ROWS = [
    ("39001000101", "39001000100", 300, 0),
    ("39001000102", "39001000100", 100, 50),
    ("39001000200", "39001000200", 500, 0),
    ("39001000200", "39001000300", 80, 0),
    ("39001990000", "39001990000", 0, 900),
    ("46102940500", "46113940500", 700, 0),
]


def _links(file, source, target, *, columns=None, least=0.0):
    return link_shares(read_relation(file, source, target, columns=columns), least=least)


def _weights(*args, **options):
    links, _ = _links(*args, **options)
    return {(row.source, row.target): row.weight for row in links.itertuples()}


def test_the_bureaus_file_both_ways(tmp_path):
    file = relationship(tmp_path / "tab20_tract20_tract10_st39.txt", ROWS)
    assert _weights(file, "2010", "2020") == {
        ("39001000100", "39001000101"): 0.75,
        ("39001000100", "39001000102"): 0.25,
        ("39001000200", "39001000200"): 1.0,
        ("39001000300", "39001000200"): 1.0,
        # Water: by the area of water. Shannon County: sources go by the newest code of their tract.
        ("39001990000", "39001990000"): 1.0,
        ("46102940500", "46102940500"): 1.0,
    }
    back = _weights(file, "2020", "census2010")
    assert back["39001000200", "39001000200"] == 500 / 580
    assert back["39001000200", "39001000300"] == 80 / 580
    assert back["46102940500", "46113940500"] == 1.0
    assert ("46102940500", "46102940500") in _weights(file, "2020", "2010")


def test_people_of_blocks_in_place_of_land(tmp_path):
    file = relationship(tmp_path / "with_people.txt", ROWS, "|POP_PART", [10, 30, 5, 5, 0, 8])
    weights = _weights(file, "2010", "2020", columns=RelationColumns(weight="POP_PART"))
    assert weights["39001000100", "39001000101"] == 0.25


def test_connecticut_of_2010_ends_on_planning_regions(tmp_path):
    file = relationship(tmp_path / "ct.txt", [("09013528100", "09013528100", 10, 0)])
    assert _weights(file, "2010", "2022") == {("09013528100", "09110528100"): 1.0}
    assert _weights(file, "2010", "2020") == {("09013528100", "09013528100"): 1.0}


def test_slivers_are_left_out_and_the_rest_scaled(tmp_path):
    file = relationship(
        tmp_path / "a.txt", [("39001000101", "39001000100", 999, 0), ("39001000200", "39001000100", 1, 0)]
    )
    assert _weights(file, "2010", "2020", least=0.01) == {("39001000100", "39001000101"): 1.0}


def test_nowhere_is_told_and_kept(tmp_path):
    file = relationship(tmp_path / "a.txt", [("39001000101", "39001000100", 3, 0), ("", "39001000100", 1, 0)])
    assert _weights(file, "2010", "2020") == {("39001000100", ""): 0.25, ("39001000100", "39001000101"): 0.75}
    _, lines = _links(file, "2010", "2020")
    assert "39001000100" in lines[-1]


def test_any_csv_by_its_columns(tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text("old,new,part\n1001000100,1001000101,0.4\n1001000100,1001000102,0.6\n")
    columns = RelationColumns("old", "new", "part")
    assert _weights(file, "2010", "2020", columns=columns) == {
        ("01001000100", "01001000101"): 0.4,
        ("01001000100", "01001000102"): 0.6,
    }
    amounts = RelationColumns("old", "new", "part", amounts=True)
    file.write_text("old,new,part\n1001000100,1001000101,40\n1001000100,1001000102,10\n")
    assert _weights(file, "2010", "2020", columns=amounts)["01001000100", "01001000101"] == 0.8


BAD = {
    "overlap": ("source,target,weight\n39001000100,39001000101,0.8\n39001000100,39001000102,0.8\n", "sum to 1.6"),
    "weight": ("source,target,weight\n39001000100,39001000101,much\n", "'much', expected a number"),
    "negative": ("source,target,weight\n39001000100,39001000101,-1\n", "found the share -1"),
    "no weight": ("source,target,weight\n39001000100,39001000101,\n", "found nothing, expected a share"),
    "key": ("source,target,weight\n3900100010,39001000101,1\n39001000100,39001000101,1\n", "10 digits"),
    "short": ("source,target,weight\n390010001,39001000101,1\n", "expected the 11 digits"),
    "twice": ("source,target,weight\n39001000100,39001000101,0.5\n39001000100,39001000101,0.5\n", "linked twice"),
    "years": (
        "from_census_tract,from_census_yr,to_census_tract,to_census_yr,hu\n39001000100,2000,39001000101,2020,3\n",
        "found 2000, expected 2010",
    ),
    "year": (
        "from_census_tract,from_census_yr,to_census_tract,to_census_yr,hu\n39001000100,then,39001000101,2020,3\n",
        "column from_census_yr, row 1: found 'then', expected a number",
    ),
    "columns": ("a,b\n1,2\n", "no column source, target"),
    "empty": ("source,target,weight\n", "no rows"),
    "null": ("source,target,weight\n,39001000101,1\n", "no tract in any row"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_used_says_why(tmp_path, case):
    text, expected = BAD[case]
    file = tmp_path / "bad.csv"
    file.write_text(text)
    with pytest.raises(InputError, match=expected) as told:
        _links(file, "2010", "2020")
    assert "bad.csv" in str(told.value)


def test_a_file_of_other_vintages_says_so(tmp_path):
    file = relationship(tmp_path / "a.txt", ROWS)
    with pytest.raises(InputError, match="no column geoid_tract_00, from vintage 2000 to 2020"):
        read_relation(file, "2000", "2020")
    with pytest.raises(InputError, match="cannot be read"):
        read_relation(tmp_path / "absent.txt", "2010", "2020")


def test_codes_and_water():
    assert list(plain_codes(pd.Index(["46113940500", "39001000100"]), "2010")) == ["46102940500", "39001000100"]
    np.testing.assert_array_equal(
        is_water(pd.Index(["39001990000", "36085008900", "39001000100"])), [True, True, False]
    )


# Kinds and prices --------------------------------------------------------------------------------


def test_kinds_by_table_by_name_and_by_file(tmp_path):
    file = tmp_path / "kinds.yaml"
    file.write_text("rate: {kind: share, of: [poor_count, all_count], scale: 100}\nmade: index\n")
    columns = ["B19083_001E", "B19083_001M", "P1_001N", "poor_count", "poor_moe", "all_count", "rate", "made"]
    kinds = kinds_of(columns, read_kinds(file))
    assert [kinds[column].kind for column in columns] == [
        "index",
        "moe",
        "count",
        "count",
        "moe",
        "count",
        "share",
        "index",
    ]
    assert kinds["poor_moe"].of == ("poor_count",)


@pytest.mark.parametrize(
    ("columns", "given", "expected"),
    [
        (["walkability"], {}, "columns walkability: unknown kind"),
        (["B99999_001E"], {}, "B99999_001E"),
        (["a_count"], {"b": Kind(kind="count")}, "no column b"),
        (["r", "B19013_001E"], {"r": Kind(kind="share", of=("B19013_001E", "B19013_001E"))}, "found a median"),
        (["B01003_001M"], {}, "no such column"),
    ],
)
def test_an_unknown_kind_names_the_column(columns, given, expected):
    with pytest.raises(InputError, match=expected):
        kinds_of(columns, given)


@pytest.mark.parametrize("text", ["x: sum\n", "x: {kind: share, of: [a]}\n", "- a\n", "x: {kind: moe}\n", "a: [\n"])
def test_a_file_of_kinds_that_is_none(tmp_path, text):
    (tmp_path / "k.yaml").write_text(text)
    with pytest.raises(DefinitionError, match=r"k\.yaml"):
        read_kinds(tmp_path / "k.yaml")


def test_prices_are_the_bureaus():
    """Annual averages: 172.2 in 2000, 218.056 in 2010, 258.811 in 2020 (series CUUR0000SA0)."""
    prices = read_prices()
    assert [prices.of(year) for year in (2000, 2010, 2020, 2024)] == [172.2, 218.056, 258.811, 313.689]
    assert sorted(prices.index) == list(range(2000, 2025))
    with pytest.raises(InputError, match="no index for 1999; found 2000 to 2024"):
        prices.of(1999)


@pytest.mark.parametrize(
    "text", ["year,index\n2020,1\n2020,2\n", "year,index\n2020,-1\n", "a,b\n1,2\n", "year,index\n"]
)
def test_a_table_of_prices_that_is_none(tmp_path, text):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(InputError, match=r"p\.csv"):
        read_prices(str(tmp_path / "p.csv"))


def test_keys_in_single_precision_are_refused(tmp_path):
    table = pd.DataFrame({"Source": [39001000101, 39001000102], "TARGET": [39001000100, 39001000100], "share": [1, 1]})
    table.astype({"TARGET": "float32"}).to_parquet(tmp_path / "links.parquet")
    with pytest.raises(InputError, match=r"links\.parquet: column 'TARGET', row 1: .* do not fit float32"):
        read_relation(tmp_path / "links.parquet", "2020", "2010")
