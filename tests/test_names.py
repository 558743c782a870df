"""Names and years: what is one, what is refused, and what a message says of it."""

import pytest
from pydantic import ValidationError

from geomob_dask.checked import Checked, explain
from geomob_dask.errors import InputError
from geomob_dask.names import LONGEST_NAME, Name, Year, check_name, check_year, did_you_mean, is_name

GOOD = (
    "acs5_b03002",
    "2010",
    "census2010",
    "MSA",
    "acs_2020_usd_2022",
    "b03002_four",
    "my-index",
    "v1.2",
    "a" * LONGEST_NAME,
)
# fmt: off
BAD = (
    "../../esc", "", ".", "..", "/abs", "a/b", "a\\b", "_snapshots", "a*", "a?", "a\nb", "a\n", "<b>", "a\0b", "~",
    "~a", "a b", " a", "a ", "é", "a" * (LONGEST_NAME + 1), "a:b", "a|b", 'a"b', "NUL", "con", "aux.csv", "LPT1",
    "a.", "-a", ".hidden", "$(ls)", "a;b", "a,b", "s3://a", "file:a", "%2e%2e", "\u202ea",
)
# fmt: on


class Made(Checked):
    """Made up."""

    name: Name
    year: Year = 2020


@pytest.mark.parametrize("text", GOOD)
def test_names(text):
    assert is_name(text)
    assert Made(name=text).name == check_name(text, "--dataset") == text


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_name_is_refused_by_what_it_names(text):
    assert not is_name(text)
    with pytest.raises(InputError, match=r"--dataset .*expected a name of") as refused:
        check_name(text, "--dataset")
    assert str(refused.value).isprintable()
    with pytest.raises(ValidationError) as invalid:
        Made(name=text)
    assert explain(invalid.value, flags=True).startswith("--name: expected a name of")
    assert explain(invalid.value).isprintable()


def test_yaml_reads_names_as_numbers():
    assert Made(name=2010).name == "2010"


@pytest.mark.parametrize("year", [-5, 0, 99999999, 1789, 2101])
def test_years_that_no_data_can_have(year):
    with pytest.raises(InputError, match=rf"--year {year}: expected a year from 1790 to 2100"):
        check_year(year, "--year")
    with pytest.raises(ValidationError) as invalid:
        Made(name="a", year=year)
    assert explain(invalid.value, flags=True) == f"--year: expected a year from 1790 to 2100, found {year}"


def test_the_nearest_name_comes_first_and_a_long_list_is_cut():
    known = [f"acs5_b{number}" for number in range(100)] + ["opportunity"]
    said = did_you_mean("Oportunity", known)
    assert said.startswith("did you mean 'opportunity'? Available: acs5_b0, ")
    assert said.endswith("(101 in total)")
    assert len(said) < 200
    assert did_you_mean("x", []) == "available: none yet"


def test_unknown_keys_are_one_error_however_many():
    many = {f"key{number}": 0 for number in range(100_000)}
    with pytest.raises(ValidationError) as invalid:
        Made.model_validate({"name": "a", "yaer": 2020, **many})
    said = explain(invalid.value)
    assert said.startswith("unknown keys 'yaer', 'key0', 'key1', … (100,001 in total); did you mean 'year'?")
    assert len(said) < 200


def test_many_errors_and_long_values_are_cut():
    class Several(Checked):
        items: tuple[Made, ...]

    with pytest.raises(ValidationError) as invalid:
        Several.model_validate({"items": [{"name": "../" * 10_000}] * 1000})
    said = explain(invalid.value)
    assert said.startswith("items.0.name: expected a name")
    assert said.endswith("(1,000 errors in total)")
    assert len(said) < 2000
