import numpy as np
import pandas as pd
import pytest

from geomob_dask.errors import CountsError, DefinitionError
from geomob_dask.frames.groups import group_counts
from geomob_dask.sources.acs_tables import query
from geomob_dask.sources.groups import find_edition, find_grouping, load_grouping, shipped_groupings

TRACTS = ["39001000100", "39001000200"]


def plain_table():
    """Columns of the ten-state file."""
    return pd.DataFrame(
        {
            "totraceE": [100.0, 50.0],
            "totraceM": [10.0, np.nan],
            "WhiteE": [60.0, 50.0],
            "WhiteM": [6.0, 5.0],
            "BlackE": [20.0, 0.0],
            "BlackM": [4.0, 12.0],
            "LatinxE": [5.0, 0.0],
            "LatinxM": [2.0, np.nan],
        }
    )


def coded_table():
    edition = load_grouping("b03002_four").editions[0]
    table = pd.DataFrame(0.0, index=range(2), columns=edition.columns)
    table["B03002_003E"] = [60.0, 40.0]
    table["B03002_006E"] = [10.0, 0.0]
    table["B03002_006M"] = [3.0, 7.0]
    table["B03002_008M"] = [4.0, 9.0]
    table["B03002_009M"] = [2.0, 12.0]
    table["B03002_001E"] = [70.0, 40.0]
    return table


def write(tmp_path, text):
    path = tmp_path / "groups.yaml"
    path.write_text(text)
    return str(path)


def test_shipped_groupings_are_those_of_known_variables():
    """Every column of a shipped grouping made of the Bureau's codes is one that the registry asks for in that year."""
    for name in shipped_groupings():
        for edition in load_grouping(name).editions:
            if "_" not in edition.total[0]:
                continue
            table = edition.total[0].split("_")[0]
            first, last = edition.years
            for year in (first, last or 2024):
                assert set(edition.columns) <= set(query(table, year).variables)


def test_groupings_are_found_from_columns():
    assert find_grouping(plain_table().columns)[0].name == "b03002_four"
    assert find_grouping(coded_table().columns)[1].total == ("B03002_001E", "B03002_001M")
    races = load_grouping("b02001_races").editions[0].columns
    assert find_grouping(races)[0].name == "b02001_races"
    assert find_grouping([*races, *coded_table().columns])[0].name == "b03002_four"
    codes_2021 = load_grouping("dp05_four").editions[1].columns
    assert find_grouping(codes_2021, 2021)[0].name == "dp05_four"


def test_the_profiles_codes_need_their_year():
    columns = [column for edition in load_grouping("dp05_four").editions for column in edition.columns]
    grouping = load_grouping("dp05_four")
    assert find_edition(grouping, columns, 2021).groups[1].parts == (("DP05_0071E", "DP05_0071M"),)
    assert find_edition(grouping, columns, 2024).groups[3].parts == (("DP05_0096E", "DP05_0096M"),)
    with pytest.raises(DefinitionError, match=r"dp05_four: the columns fit the editions of .* expected a year"):
        find_edition(grouping, columns)
    with pytest.raises(DefinitionError, match=r"dp05_four: no edition for 2009; there are 2010 to 2016"):
        find_edition(grouping, columns, 2009)


def test_collapsed_margins_count_the_largest_zero_once():
    found = group_counts(coded_table(), load_grouping("b03002_four").editions[0], TRACTS)
    assert found.names == ("black_nh", "hispanic", "other_nh", "white_nh")
    assert found.counts[:, 2].tolist() == [10, 0]
    assert found.moes[:, 2].tolist() == [5.0, 12.0]
    assert found.total.tolist() == [70, 40]


def test_what_is_left_of_the_total_is_the_last_group():
    found = group_counts(plain_table(), load_grouping("b03002_four").editions[1], TRACTS)
    assert found.counts[:, 2].tolist() == [15, 0]
    assert found.moes[0, 2] == pytest.approx(np.sqrt(10**2 + 6**2 + 4**2 + 2**2))
    # A blank margin in that file is a controlled estimate's.
    assert found.moes[1].tolist() == [12.0, 0.0, 13.0, 5.0]


def test_a_users_file_may_leave_blank_margins_unknown(tmp_path):
    text = """
        name: mine
        title: two groups
        subgroup_type: race
        editions:
          - total: [totraceE, totraceM]
            groups:
              - {name: white, label: White, parts: [[WhiteE, WhiteM]]}
              - {name: rest, label: Rest, remainder: true}
    """
    grouping = load_grouping(write(tmp_path, text))
    found = group_counts(plain_table(), find_edition(grouping, plain_table().columns), TRACTS)
    assert np.isnan(found.moes[1]).tolist() == [False, True]


def change(column, value):
    table = plain_table()
    table.loc[1, column] = value
    return table


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (change("BlackE", -3.0), r"tract 39001000200, column BlackE: found -3, expected zero or more"),
        (change("BlackE", 51.0), r"tract 39001000200, column BlackE: found 51 people, expected no more than the 50"),
        (change("LatinxM", -555555555.0), r"tract 39001000200, column LatinxM: found -5.55556e\+08"),
        (change("LatinxE", 2.0), r"tract 39001000200, other_nh \(what black_nh, .* leave of the total\): found -2"),
        (change("totraceE", -1.0), r"tract 39001000200, column totraceE: found -1"),
    ],
)
def test_counts_no_tract_can_have_are_named(table, message):
    with pytest.raises(CountsError, match=message):
        group_counts(table, load_grouping("b03002_four").editions[1], TRACTS)


def test_groups_that_do_not_sum_to_the_people_are_named():
    table = coded_table()
    table.loc[1, "B03002_001E"] = 45.0
    with pytest.raises(CountsError, match=r"tract 39001000200: groups .* sum to 40, expected its 45 people \(1 of 2"):
        group_counts(table, load_grouping("b03002_four").editions[0], TRACTS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2", r"not YAML"),
        (
            "name: x",
            r"title: found nothing, expected a value; subgroup_type: found nothing.*editions: found",
        ),
        (
            "{name: x, title: t, subgroup_type: s, editions: [{total: [a, b], groups: "
            "[{name: p, label: P, parts: [[c, d]]}]}]}",
            r"groups p: expected two or more",
        ),
        (
            "{name: x, title: t, subgroup_type: s, editions: [{total: [a, b], groups: "
            "[{name: p, label: P, parts: [[c, d]]}, {name: q, label: Q, parts: [[c, e]]}]}]}",
            r"columns c are used twice; groups must not overlap",
        ),
        (
            "{name: x, title: t, subgroup_type: s, editions: [{total: [a, b], groups: "
            "[{name: p, label: P, remainder: true}, {name: q, label: Q, remainder: true}]}]}",
            r"found several remainders",
        ),
        (
            "{name: x, title: t, subgroup_type: s, editions: [{total: [a, b], groups: "
            "[{name: p, label: P}, {name: q, label: Q, remainder: true}]}]}",
            r"group p: expected either parts or",
        ),
    ],
)
def test_a_definition_that_does_not_fit_itself_is_refused(tmp_path, text, message):
    with pytest.raises(DefinitionError, match=message):
        load_grouping(write(tmp_path, text))


def test_unknown_names_and_missing_columns_are_named(tmp_path):
    with pytest.raises(
        DefinitionError,
        match=r"groups 'b03002_for': neither a file nor groups that are shipped; did you mean 'b03002_four'",
    ):
        load_grouping("b03002_for")
    with pytest.raises(DefinitionError, match=r"b03002_four: the table has no column WhiteM; found BlackE"):
        find_edition(load_grouping("b03002_four"), set(plain_table().columns) - {"WhiteM"})
    with pytest.raises(DefinitionError, match=r"no grouping fits the columns WhiteE"):
        find_grouping(["WhiteE"])
