"""States: their codes and how a user names them."""

import pytest

from geomob_dask.errors import InputError
from geomob_dask.sources import sample
from geomob_dask.sources.states import STATES, state_codes, state_name


def test_there_are_fifty_states_the_district_and_the_island_areas() -> None:
    real = {code for code in STATES if not code.startswith("9")}
    assert len(real) == 50 + 1 + 5
    assert {"60", "66", "69", "72", "78"} <= real
    assert not {"03", "07", "14", "43", "52"} & real


def test_codes_letters_and_names_are_each_once() -> None:
    assert len({state.letters for state in STATES.values()}) == len(STATES)
    assert len({state.name for state in STATES.values()}) == len(STATES)


def test_the_sample_country_has_codes_that_say_so() -> None:
    made_up = {code for code, state in STATES.items() if "(made up)" in state.name}
    assert made_up == set(sample.STATES)


@pytest.mark.parametrize("text", ["18,39", "39,18", "IN,OH", "in, oh", "OH,18,39,,IN", " 18 ,39"])
def test_states_are_named_by_code_or_letters(text: str) -> None:
    assert state_codes(text) == ("18", "39")


def test_a_code_may_lack_its_leading_zero() -> None:
    assert state_codes("6") == ("06",)


@pytest.mark.parametrize("text", ["", " ", ",,"])
def test_no_state_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"states: found .*expected .*18,39 or IN,OH"):
        state_codes(text)


@pytest.mark.parametrize("wrong", ["99", "QQ", "Ohio", "018", "3.9", "-1"])
def test_an_unknown_state_is_named(wrong: str) -> None:
    with pytest.raises(InputError, match=rf"unknown state '{wrong}'; expected .*18,39 or IN,OH"):
        state_codes(f"18,{wrong}")


def test_names() -> None:
    assert state_name("11") == "District of Columbia"
    with pytest.raises(InputError, match="'00'"):
        state_name("00")
