"""Lists of regions as people have them: by year and state, codes with their state's beside them."""

from pathlib import Path

import numpy as np
import pytest

from geomob_dask.errors import InputError
from geomob_dask.sources.region_rows import read_region_codes
from geomob_dask.sources.reported import read_reported_groups

CITIES = """year,state,place,place_name,population
2018,01,03076,Auburn,60258
2018,39,18000,Columbus,892553
2018,1,7000,Birmingham,212247
2020,39,18000,Columbus,898553
"""


def saved(folder: Path, text: str) -> Path:
    path = folder / "r.csv"
    path.write_text(text)
    return path


def test_codes_of_places_have_their_states_and_are_of_the_year(tmp_path: Path) -> None:
    file = saved(tmp_path, CITIES)
    assert read_region_codes(file, "place", 2018) == ("0103076", "0107000", "3918000")
    assert read_region_codes(file, "place", 2018, states=("39", "53")) == ("3918000",)
    assert read_region_codes(file, "place") == ("0103076", "0107000", "3918000")


def test_codes_stand_as_they_are_where_they_are_whole(tmp_path: Path) -> None:
    file = saved(tmp_path, "region,state\n10500.0,13\n12060,13\n10500,13\n")
    assert read_region_codes(file, "cbsa") == ("10500", "12060")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("city\n18000\n", r"found the columns city, expected place or region"),
        ("place\n", r"r\.csv: .*(rows|empty|header)"),
        ("place\n3918000\nNA\n", r"column place, row 2: found 'NA', expected a region"),
        (CITIES.replace("2018", "2019"), r"no rows of 2018; found 2019, 2020"),
        (CITIES.replace(",39,", ",02,"), r"no regions of the states 39; found those of 01, 02"),
    ],
)
def test_what_is_no_list_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_region_codes(saved(tmp_path, text), "place", 2018, states=("39",))


def test_reported_people_of_groups_are_those_of_their_columns(tmp_path: Path) -> None:
    file = saved(tmp_path, "county,people,black,white_count,white\n39001,9,4,,2\n39003,7,1,5,2\n")
    found = read_reported_groups(file, "county", groups=("black", "white", "other"))
    assert list(found) == ["people", "black", "white"]
    assert found.loc["39003"].tolist() == [7.0, 1.0, 5.0]
    np.testing.assert_array_equal(found.loc["39001"], [9.0, 4.0, np.nan])
    with pytest.raises(InputError, match=r"column black, region 39003: found '-1', expected people"):
        read_reported_groups(
            saved(tmp_path, "county,people,black\n39001,9,4\n39003,7,-1\n"), "county", groups=("black",)
        )
