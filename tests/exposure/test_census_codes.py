import numpy as np
import pandas as pd
import pytest

from geomob_dask.errors import InputError
from geomob_dask.sources.census_codes import decode, decode_table
from geomob_dask.sources.special_codes import SPECIAL_CODES, CodeReason

CODES = [-222222222, -333333333, -555555555, -666666666, -888888888, -999999999]


def test_every_code_of_the_api_is_in_the_table_once():
    assert sorted(special.code for special in SPECIAL_CODES) == sorted(CODES)
    assert len({special.annotation for special in SPECIAL_CODES}) == len(CODES)
    assert len({special.reason for special in SPECIAL_CODES}) == len(CODES)


@pytest.mark.parametrize("column", [CODES, [str(code) for code in CODES], [float(code) for code in CODES]])
def test_only_a_controlled_estimates_margin_is_a_number(column):
    margins, reasons = decode(column, "moe", "M")
    assert (
        margins.tolist() == [pytest.approx(np.nan, nan_ok=True)] * 2 + [0.0] + [pytest.approx(np.nan, nan_ok=True)] * 3
    )
    estimates, same = decode(column, "estimate", "E")
    assert np.isnan(estimates).all()
    assert reasons.tolist() == same.tolist()
    assert len(set(reasons.tolist())) == len(CODES)


def test_annotations_mean_what_the_codes_mean():
    texts = [special.annotation for special in SPECIAL_CODES]
    for role in ("estimate", "moe"):
        np.testing.assert_array_equal(decode(texts, role, "x")[0], decode(CODES, role, "x")[0])
        assert decode(texts, role, "x")[1].tolist() == [special.reason for special in SPECIAL_CODES]


def test_plain_numbers_blanks_and_thousands():
    values, reasons = decode(["12", " 3.5 ", "1,234", "", "null", None, "-40"], "estimate", "x")
    np.testing.assert_array_equal(values, [12, 3.5, 1234, np.nan, np.nan, np.nan, -40])
    assert [CodeReason(reason) for reason in reasons[3:6]] == [CodeReason.NOT_GIVEN] * 3
    assert reasons[[0, 1, 2, 6]].tolist() == [0, 0, 0, 0]


def test_open_ended_medians_are_the_apis_numbers():
    texts, texts_why = decode(["250,000+", "2,500-"], "estimate", "x")
    numbers, numbers_why = decode([250001, 2499], "estimate", "x", annotations=["250,000+", "2,500-"])
    assert texts.tolist() == numbers.tolist() == [250001, 2499]
    assert texts_why.tolist() == numbers_why.tolist() == [CodeReason.TOP_CODED, CodeReason.BOTTOM_CODED]


@pytest.mark.parametrize(
    ("annotation", "number", "reason"),
    [
        ("1939-", 1938, CodeReason.BOTTOM_CODED),
        ("2,500-", 2499, CodeReason.BOTTOM_CODED),
        ("250,000+", 250001, CodeReason.TOP_CODED),
        ("9.0+", 9.1, CodeReason.TOP_CODED),
    ],
)
@pytest.mark.parametrize("given", [0, 250001, "0", None, ""])
def test_an_open_ended_estimate_is_the_number_of_its_annotation(annotation, number, reason, given):
    values, reasons = decode([1960, given], "estimate", "x", annotations=[None, annotation])
    assert values.tolist() == decode([1960, annotation], "estimate", "x")[0].tolist() == [1960, number]
    assert reasons.tolist() == [CodeReason.NONE, reason]


def test_a_blank_number_has_the_reason_of_its_annotation():
    values, reasons = decode(["", "-222222222"], "moe", "x", annotations=["*****", "**"])
    np.testing.assert_array_equal(values, [0, np.nan])
    assert reasons.tolist() == [CodeReason.CONTROLLED, CodeReason.TOO_FEW_FOR_MOE]


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("spell", [np.float32, lambda code: f"{code:.2e}", lambda code: f"{code:.4E}", "{}.0".format])
def test_rounded_codes_are_codes(code, spell):
    for role in ("estimate", "moe"):
        found, exact = decode([spell(code)], role, "x"), decode([code], role, "x")
        np.testing.assert_array_equal(found[0], exact[0])
        assert found[1].tolist() == exact[1].tolist()


@pytest.mark.parametrize("text", ["\u00b19", "+/-9", "+/- 9", "\u00c2\u00b19", "+-9", " \u00b1 9 "])
def test_margins_may_have_their_sign(text):
    assert decode([text, "\u00b11,234", "\u00b1***"], "moe", "x")[0][:2].tolist() == [9, 1234]
    with pytest.raises(InputError, match=r"x, row 1: found"):
        decode([text], "estimate", "x")


@pytest.mark.parametrize(
    ("cells", "role", "message"),
    [
        (["1", "n.a. "], "estimate", r"B1_001E, row 2: found 'n.a.', expected a number or one of the annotations"),
        (["1", "250,000+"], "moe", r"row 2: found '250,000\+'"),
        (["1", "-777777777"], "estimate", r"row 2: found -777777777, expected a number or one of the codes"),
        ([1, -5], "moe", r"row 2: found -5, expected a number"),
        ([1.0, np.inf], "estimate", r"row 2: found inf"),
        (["1", "inf"], "estimate", r"row 2: found 'inf'"),
    ],
)
def test_what_is_in_no_table_is_refused(cells, role, message):
    with pytest.raises(InputError, match=message):
        decode(cells, role, "B1_001E")


def test_a_table_keeps_its_reasons_beside_it_and_drops_its_annotations():
    table = pd.DataFrame(
        {
            "geoid": ["39001000100", "39001000200"],
            "X_001E": ["250001", "-666666666"],
            "X_001EA": ["250,000+", "-"],
            "X_001M": ["-333333333", "-222222222"],
        }
    )
    found = decode_table(table, {"X_001E": "estimate", "X_001M": "moe"}, source="file")
    assert list(found.table) == ["geoid", "X_001E", "X_001M"]
    np.testing.assert_array_equal(found.table["X_001E"], [250001, np.nan])
    assert found.table["X_001M"].isna().all()
    assert found.reasons["column"].tolist() == ["X_001E", "X_001E", "X_001M", "X_001M"]
    assert found.reasons["geoid"].tolist() == table["geoid"].tolist() * 2
    assert found.reasons["reason"].str.contains("top-coded").tolist() == [True, False, False, False]
    assert table["X_001E"].tolist() == ["250001", "-666666666"]


@pytest.mark.parametrize("spell", [float, str])
@pytest.mark.parametrize("value", [-999, -99, -888, -9999999])
def test_what_others_write_for_a_missing_value_is_refused_with_its_tract_and_column(value, spell):
    numbers = [spell(number) for number in (1200, value, 31, value)]
    table = pd.DataFrame({"geoid": [f"3900100010{row}" for row in range(4)], "B19013_001E": numbers})
    with pytest.raises(InputError) as refused:
        decode_table(table, {"B19013_001E": "estimate"}, source="a.csv")
    for said in ("a.csv: column B19013_001E", "tract 39001000101", f"found {value} (2 of 4", f"--missing {value}"):
        assert said in str(refused.value)


def test_negative_estimates_among_others_are_numbers():
    # Aggregate losses of the self-employed: dollars below zero.
    column = [-1200.0, 15_000.0, -999.0, -40.0]
    assert decode(column, "estimate", "x")[0].tolist() == column
