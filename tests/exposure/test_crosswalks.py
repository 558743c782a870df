import numpy as np
import pandas as pd
import pytest

from geomob_dask.errors import InputError
from geomob_dask.sources.geocorr import check_years_agree, read_geocorr

HEADER = '"county","tract","state","placefp","pop10","afact","AFACT2"'
LABELS = (
    '"County code","Tract","State code","Place code","Population",'
    '"tract-to-placefp allocation factor","placefp-to-tract allocation factor"'
)
ROWS = ['"39001","0001.00","39","00100",80,0.8,0.25 ', '"39001","0001.00","39","99999",20,0.2,0.1 ']


def saved(tmp_path, *lines, name="geocorr.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return path


def test_labels_are_taken_out_wherever_they_stand(tmp_path):
    table = read_geocorr(saved(tmp_path, HEADER, LABELS, ROWS[0], LABELS, ROWS[1]), complete=True)
    assert table.to_dict("list") == {
        "geoid": ["39001000100"] * 2,
        "region": ["", "3900100"],
        "afact": [0.2, 0.8],
        "afact2": [0.1, 0.25],
    }


@pytest.mark.parametrize(
    ("written", "read"), [("0001.00", "000100"), ("201.02", "020102"), ("000100", "000100"), ("12", "001200")]
)
def test_tract_numbers_are_six_digits(tmp_path, written, read):
    row = ROWS[0].replace("0001.00", written)
    assert read_geocorr(saved(tmp_path, HEADER, row))["geoid"][0] == f"39001{read}"


def test_names_in_latin_1_are_no_hindrance(tmp_path):
    path = saved(tmp_path, HEADER + ',"PlaceName"', ROWS[0] + ',"Cañon City, CO"', encoding="latin-1")
    assert read_geocorr(path)["region"].tolist() == ["3900100"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([HEADER, ROWS[0].replace("0.8", "1.8")], r"column afact: crosswalk, 39001000100: found the share 1.8"),
        (
            [HEADER, ROWS[0], ROWS[1].replace("0.2", "0.3")],
            r"afact: crosswalk, 39001000100: shares sum to 1.1, expected 1",
        ),
        ([HEADER, ROWS[0]], r"afact: crosswalk, 39001000100: shares sum to 0.8, expected 1 \(1 of 1"),
        (
            [HEADER, ROWS[0].replace('"39","00100"', '"53","00100"')],
            r"place 5300100 is linked to 39001000100, which lies in",
        ),
        ([HEADER, ROWS[0], ROWS[0]], r"39001000100 and region 3900100 are linked twice"),
        ([HEADER, LABELS], r"found 1 row of labels and none of shares"),
        ([HEADER, ROWS[0].replace("0.8", "most")], r"column afact, row 1: found 'most', expected a number"),
        (
            [HEADER, LABELS, ROWS[0], LABELS, ROWS[1].replace("0.2", "suppressed")],
            r"column afact, row 4: found 'suppressed', expected a number",
        ),
        (
            [HEADER, LABELS, ROWS[0], ROWS[1].replace("0.1", "suppressed")],
            r"column AFACT2, row 3: found 'suppressed', expected a number",
        ),
        ([HEADER, LABELS, ROWS[0], ROWS[1].replace("0.2", "")], r"column afact, row 3: found '', expected a share"),
        (
            [HEADER, LABELS, ROWS[0], ROWS[1].replace("0001.00", "BLK")],
            r"column tract, row 3: found 'BLK', expected a tract of",
        ),
        (
            [HEADER, LABELS, ROWS[0], ROWS[1].replace('"39001"', '"39,001"')],
            r"column county, row 3: found '39,001', expected a county",
        ),
        ([HEADER, ROWS[0].replace("0.8", "?")], r"column afact, row 1: found '\?', expected a number"),
        ([HEADER, ROWS[0], ROWS[1].replace("0.2", "80%")], r"column afact, row 2: found '80%', expected a number"),
        ([HEADER, ROWS[0], ROWS[1].replace("0.2", "NA")], r"column afact, row 2: found 'NA', expected a share"),
        ([HEADER, ROWS[0].replace("0.8", "1e999")], r"column afact, row 1: found inf, expected a finite number"),
        ([HEADER, ROWS[0].replace("0001.00", "BLK")], r"column tract, row 1: found 'BLK', expected a tract of"),
        ([HEADER.replace("afact", "share", 1), ROWS[0]], r"found the columns .*, expected afact"),
        ([HEADER.replace("placefp", "zcta"), ROWS[0]], r"expected place or placefp"),
        (
            [HEADER, LABELS.replace("tract-to-placefp", "placefp-to-tract"), *ROWS],
            r"afact is labeled 'placefp-to-tract alloc",
        ),
        ([""], r"is empty"),
    ],
)
def test_a_crosswalk_that_does_not_add_up_is_named(tmp_path, lines, message):
    with pytest.raises(InputError, match=rf"geocorr\.csv.*{message}"):
        read_geocorr(saved(tmp_path, *lines), complete=True)


def test_a_place_in_too_many_tracts_is_named(tmp_path):
    rows = [ROWS[0].replace("0001.00", tract).replace("0.25", "0.7") for tract in ("0001.00", "0002.00")]
    with pytest.raises(InputError, match=r"column afact2: crosswalk, 3900100: shares sum to 1.4, expected 1 at most"):
        read_geocorr(saved(tmp_path, HEADER, *rows))


def crosswalk():
    return pd.DataFrame(
        {
            "geoid": ["39001000100", "39001000100", "39001000200", "53001000100"],
            "region": ["", "3900100", "3900100", "5300100"],
            "afact": [0.2, 0.8, 1.0, 1.0],
            "afact2": [np.nan, 0.25, 0.75, 1.0],
        }
    )


def test_a_crosswalk_of_another_year_is_named():
    check_years_agree(crosswalk(), np.array(["39001000100", "39001000200"]), "places and acs 2018")
    with pytest.raises(
        InputError, match=r"places and acs 2018: 1 of 2 tracts of the crosswalk are not in the table \(39001000200"
    ):
        check_years_agree(crosswalk(), np.array(["39001000100", "39001000201"]), "places and acs 2018")
    with pytest.raises(InputError, match=r"0 of 0 tracts .* \(none of these states\)"):
        check_years_agree(crosswalk(), np.array(["01001000100"]), "places and acs 2018")
