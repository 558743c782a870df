"""Names and years: what is one, what is refused, and what a message says of it."""

import pytest
from pydantic import ValidationError

from geomob_dask.checked import Checked, explain
from geomob_dask.errors import InputError
from geomob_dask.names import LONGEST_NAME, Name, Year, check_name, check_year, did_you_mean, is_name
from geomob_dask.products.catalog import CATALOG, product_named
from geomob_dask.products.options import piece
from geomob_dask.runs import places
from geomob_dask.runs.sources import SOURCES
from geomob_dask.sources import tiger
from geomob_dask.sources.years import dataset_year, years_of

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


# Every option of every command ---------------------------------------------------------------------

MODELS = [
    *(source.options for source in SOURCES.values()),
    *(product_named(name).options for name in CATALOG),
    places.Options,
    tiger.Options,
]
NAMED = ("dataset", "datasets", "vintage", "name", "to", "source", "new", "table", "cube")
OF_YEARS = ("year", "since", "dollars")
OF_EACH = [(model, field) for model in MODELS for field in model.model_fields if field in (*NAMED, *OF_YEARS)]


def errors_of(model, given):
    with pytest.raises(ValidationError) as invalid:
        model.model_validate(given)
    return {error["loc"][0]: error["type"] for error in invalid.value.errors() if error["loc"]}


@pytest.mark.parametrize(("model", "field"), OF_EACH, ids=lambda one: getattr(one, "__module__", one))
def test_every_option_that_becomes_a_path_is_checked(model, field):
    if field in OF_YEARS:
        # Several years are text with a parser of its own.
        for year in (-5, 9999, 99_999_999):
            assert errors_of(model, {field: year})[field] in ("year", "value_error")
    else:
        assert errors_of(model, {field: "../../esc"})[field] == "name"
        assert errors_of(model, {field: "_snapshots"})[field] == "name"


def test_texts_that_hold_names_and_years_are_checked():
    for text in ("../acs:2018", ":2018", "acs:", "acs:99999999", "acs:0", "acs"):
        with pytest.raises(InputError, match="--measures"):
            dataset_year(text, "--measures")
    assert dataset_year("acs:2018", "--measures") == ("acs", 2018)
    for text in ("0000-9999", "9999", "0001"):
        with pytest.raises(InputError, match=r"--years .*1790 to 2100"):
            years_of(text)


def test_a_column_that_no_path_can_hold_is_shortened():
    assert piece("cbsa-2020") == "cbsa-2020"
    assert is_name(piece("../x"))
    assert is_name(piece("Metro area/2020"))
    assert piece("a/b") != piece("a b")
