"""Measures on the tracts of another vintage: the same bits in any partitions, balanced, and what is refused."""

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from geomob_dask.errors import InputError
from geomob_dask.frames.harmonize import conversion, harmonize, harmonized, links_between
from geomob_dask.frames.own_rows import value_of

# Ohio's first tract is split, its second and third become one, the fourth keeps its key; one link crosses into Indiana.
LINKS = pd.DataFrame(
    [
        ("18001000100", "18001000100", 1.0),
        ("39001000100", "39001000101", 0.75),
        ("39001000100", "39001000102", 0.25),
        ("39001000200", "39001000500", 1.0),
        ("39001000300", "39001000500", 1.0),
        ("39001000400", "18001000100", 0.1),
        ("39001000400", "39001000400", 0.9),
    ],
    columns=["source", "target", "weight"],
)
MEASURES = pd.DataFrame(
    {
        "people_count": [800.0, 4000, 1000, 500, 2000],
        "people_moe": [12.0, 40, 30, 40, 20],
        "poor_count": [80.0, 1000, 100, 300, 200],
        "poverty": [10.0, 25, 10, 60, 10],
        "income_usd": [80000.0, 50000, 60000, 20000, 70000],
    },
    index=["18001000100", "39001000100", "39001000200", "39001000300", "39001000400"],
)
KINDS = {
    "poverty": {"kind": "share", "of": ["poor_count", "people_count"], "scale": 100},
    "income_usd": {"kind": "median", "unit": "usd"},
}
OPTIONS = {"source": "2010", "to": "2020", "links": LINKS, "kinds": KINDS, "medians": "missing"}


def computed(frame):
    return frame.compute(scheduler="synchronous")


def test_counts_are_split_shares_made_of_them_and_medians_left_out():
    found = harmonize(MEASURES, year=2018, dollars=2023, **OPTIONS)
    assert found["people_count"].to_dict() == {
        "18001000100": 1000,
        "39001000101": 3000,
        "39001000102": 1000,
        "39001000400": 1800,
        "39001000500": 1500,
    }
    assert found["people_moe"]["18001000100"] == pytest.approx(np.hypot(12, 2))
    assert found["poverty"]["39001000500"] == pytest.approx(100 * 400 / 1500)
    assert found["income_usd_2023"].isna().all()


@pytest.mark.parametrize("partitions", [1, 2, 5])
def test_any_partitions_give_the_bits_of_the_whole(partitions):
    how, links = conversion(list(MEASURES), "2010", "2020", KINDS), links_between("2010", "2020", LINKS)
    told = pd.DataFrame(
        {"column": ["people_count", "income_usd"], "reason": ["too few", "top-coded"]},
        index=pd.Index(["39001000300", "39001000400"], dtype="str", name="geoid"),
    )
    whole = harmonized(MEASURES, how, links, reasons=told, medians="missing")
    lazy = harmonized(dd.from_pandas(MEASURES, npartitions=partitions), how, links, reasons=told, medians="missing")
    for found, expected in ((lazy.table, whole.table), (lazy.reasons, whole.reasons)):
        pd.testing.assert_frame_equal(found._meta, expected.iloc[:0])
        pd.testing.assert_frame_equal(computed(found), expected, check_exact=True)
    assert value_of(computed(lazy.report)) == value_of(whole.report)


def test_codes_of_the_same_tracts_move_between_partitions_and_keep_their_bits():
    connecticut = pd.DataFrame(
        {"B19113_001E": [91000.25, 50000.5, 1.0]}, index=["09001010101", "09013528100", "39001000100"]
    )
    expected = {"09110528100": 50000.5, "09190010101": 91000.25, "39001000100": 1.0}
    for frame in (connecticut, *(dd.from_pandas(connecticut, npartitions=number) for number in (1, 2, 3))):
        found = harmonize(frame, source="2020", to="2022")
        found = found if frame is connecticut else computed(found)
        assert found["B19113_001E"].to_dict() == expected
        back = harmonize(dd.from_pandas(found, npartitions=2), source="2022", to="2020")
        pd.testing.assert_frame_equal(computed(back), connecticut.rename_axis("geoid"))


def test_older_codes_of_sources_are_found_in_whatever_partition():
    links = pd.DataFrame({"source": ["46102940500"], "target": ["46102940501"], "weight": [1.0]})
    measures = pd.DataFrame({"people_count": [5.0, 7.0]}, index=pd.Index(["46099940500", "46113940500"], dtype="str"))
    links = pd.concat([links, links.assign(source="46099940500", target="46099940500")], ignore_index=True)
    for partitions in (1, 2):
        found = harmonize(dd.from_pandas(measures, npartitions=partitions), source="2010", to="2020", links=links)
        assert computed(found)["people_count"].to_dict() == {"46099940500": 5.0, "46102940501": 7.0}


def test_integer_keys_are_taken_for_geoids():
    measures = pd.DataFrame({"people_count": [3.0]}, index=[9013528100])
    assert harmonize(measures, source="2020", to="2022")["people_count"].to_dict() == {"09110528100": 3.0}


def test_states_of_the_result_can_be_chosen_and_the_rest_is_elsewhere():
    how, links = conversion(list(MEASURES), "2010", "2020", KINDS), links_between("2010", "2020", LINKS)
    ohio = harmonized(MEASURES, how, links, states=["39"], medians="missing")
    whole = harmonized(MEASURES, how, links, medians="missing")
    pd.testing.assert_frame_equal(ohio.table, whole.table[whole.table.index.str[:2] == "39"], check_exact=True)
    assert value_of(ohio.report)["elsewhere"]["people_count"] == 200
    assert value_of(ohio.report)["sources"] == 4


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"links": None}, "2010.*2020"),
        ({"medians": "refuse"}, "income_usd"),
        ({"medians": "average"}, "average"),
        ({"lost": 1.0}, "1.0"),
        ({"dollars": 2023}, "2023"),
        ({"kinds": {}}, "poverty"),
        ({"links": LINKS.assign(target="")}, "people_count"),
        ({"links": LINKS.assign(weight=0.9)}, "39001000100"),
        ({"links": LINKS[LINKS["source"] == "39001000100"]}, "18001000100"),
    ],
)
@pytest.mark.parametrize("partitions", [None, 2])
def test_what_cannot_be_converted(change, named, partitions):
    frame = MEASURES if partitions is None else dd.from_pandas(MEASURES, npartitions=partitions)
    with pytest.raises(InputError, match=named):
        dask.compute(harmonize(frame, **{**OPTIONS, **change}), scheduler="synchronous")


def test_a_tract_under_both_of_its_codes_is_named():
    both = pd.DataFrame({"people_count": [1.0, 2.0]}, index=["09013528100", "09110528100"])
    for frame in (both, dd.from_pandas(both, npartitions=2)):
        with pytest.raises(InputError, match="09013528100"):
            computed(harmonize(frame, source="2020", to="2022"))


def test_a_column_of_text_is_carried_over_where_a_tract_stays_whole():
    measures = pd.DataFrame(
        {"people_count": [1200.0], "msa": pd.array(["Hartford"], dtype="str")}, index=["09013528100"]
    )
    found = harmonize(measures, source="2020", to="2022")
    assert found.loc["09110528100"].to_dict() == {"people_count": 1200.0, "msa": "Hartford"}
    with pytest.raises(InputError, match="columns rate: unknown kind"):
        harmonize(measures.assign(rate=0.5), source="2020", to="2022")
