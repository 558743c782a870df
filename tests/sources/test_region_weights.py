"""What shares of tracts in regions are shares of: from the file, the user, or nobody."""

import pandas as pd
import pytest

from geomob_dask.errors import InputError
from geomob_dask.sources.region_weights import Kind, Weights, weights_of_table
from geomob_dask.sources.regions import read_regions

PARTS = pd.DataFrame({"region": ["a", "b", ""], "afact": [0.25, 0.5, 0.25]})
WHOLE = pd.DataFrame({"region": ["a", ""], "afact": [1.0, 0.4]})


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ("pop10", "people"),
        ("POP20", "people"),
        ("hus20", "housing"),
        ("LandSQMI", "area"),
        ("AreaSQMI", "area"),
        ("stab", "not recorded"),
    ],
)
def test_a_crosswalk_of_geocorr_has_a_column_of_what_is_shared(column, kind):
    found = weights_of_table(PARTS, ["county", "tract", column, "afact"], geocorr=True)
    assert found.kind == kind
    assert found.source == ("" if kind == "not recorded" else column)
    # In another table such a column may be anything.
    assert weights_of_table(PARTS, ["GEOID", column, "afact"], geocorr=False).kind is Kind.NOT_RECORDED


def test_the_user_says_what_the_file_does_not_and_whole_tracts_nest():
    assert weights_of_table(PARTS, ["GEOID", "afact"], geocorr=False, named="area") == Weights(Kind.AREA)
    assert weights_of_table(WHOLE, ["GEOID"], geocorr=False, named="area") == Weights(Kind.NESTED)


def test_attributes_are_read_back_and_earlier_tables_have_none():
    for weights in (Weights(Kind.PEOPLE, "pop10"), Weights(Kind.AREA)):
        assert Weights.of({"key": "tract", **weights.attributes}) == weights
    assert Weights.of({"key": "tract"}) == Weights(Kind.NOT_RECORDED)
    assert "not recorded" in Weights.of({}).line
    with pytest.raises(InputError, match="weights 'land': expected one of nested, people"):
        Kind.of("land")


def test_a_file_of_counties_nests(tmp_path):
    file = tmp_path / "metro.csv"
    file.write_text("county_geoid,cbsa\n39001,10\n39003,10\n")
    table = read_regions(str(file), "cbsa")
    assert table.weights == Weights(Kind.NESTED)
    assert table.lines[-1] == "tracts lie in regions as a whole"
