"""Names that come with the package: counties of all years, metros, states; labels of measures."""

from pathlib import Path

import pytest

from geomob_dask.definition import read_definition
from geomob_dask.errors import InputError
from geomob_dask.sources.acs_tables import registry
from geomob_dask.sources.measure_names import Label, definition_labels, label_of, labels_in_use, using_labels
from geomob_dask.sources.place_names import (
    county_name,
    county_names,
    known_name,
    metro_name,
    metro_names,
    metro_of,
    tract_name,
)
from geomob_dask.sources.states import STATES
from geomob_dask.yaml_text import shipped_yaml


def test_every_state_that_is_real_has_counties() -> None:
    made_up = {code for code in STATES if code >= "91"}
    assert {code[:2] for code in county_names()} == set(STATES) - made_up
    assert all(name.endswith(STATES[code[:2]].name) for code, name in county_names().items())


def test_counties_that_ended_or_were_renamed_still_have_names() -> None:
    changes = shipped_yaml("mobility", "county_changes.yaml")
    codes = {code for change in changes for side in ("was", "now") for code in change[side]}
    assert not [code for code in sorted(codes) if not county_name(code)]
    assert county_name("46113") == "Shannon County, South Dakota"
    assert county_name("46102") == "Oglala Lakota County, South Dakota"


def test_connecticut_has_its_counties_and_its_planning_regions() -> None:
    assert county_name("09001") == "Fairfield County, Connecticut"
    assert county_name("09190") == "Western Connecticut Planning Region, Connecticut"
    assert sum(code.startswith("09") for code in county_names()) == 8 + 9


def test_letters_with_accents_are_kept() -> None:
    assert county_name("35013") == "Doña Ana County, New Mexico"
    assert county_name("72097") == "Mayagüez Municipio, Puerto Rico"
    assert sum(code.startswith("72") for code in county_names()) == 78


def test_counties_name_metros_that_are_there() -> None:
    assert {metro_of(code) for code in county_names()} - {""} <= set(metro_names())
    assert len(metro_names()) == 935 + 58
    assert (metro_name("18140"), metro_name("17460"), metro_name("17410")) == (
        "Columbus, OH",
        "Cleveland-Elyria, OH",
        "Cleveland, OH",
    )


def test_an_unknown_code_has_no_name() -> None:
    assert [known_name("00000", by) for by in ("county", "state", "cbsa", "tract", "ward")] == [""] * 5
    assert tract_name("3904900011") == tract_name("") == ""


def test_every_line_of_the_registry_has_a_label() -> None:
    tables = registry().tables
    for name, table in tables.items():
        line = next(iter(table.editions[0].lines))
        label = label_of(f"{name}_{line}E")
        assert label.text.startswith(table.title)
        assert label.unit == table.unit
    assert label_of("B19001_002E") == Label("Household income in the past 12 months: Less than $10,000", "households")
    assert label_of("B99999_001E").text == "B99999 001E"


def write(folder: Path, text: str, name: str = "labels.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_a_file_of_labels_wins_while_it_is_in_use(tmp_path: Path) -> None:
    file = write(tmp_path, "name,label,unit\nB01003_001E,Everybody,persons\nincome,Money,\n39049,Home,\n")
    with using_labels(file):
        assert label_of("B01003_001E") == Label("Everybody", "persons")
        assert label_of("income", {"income": Label("Income")}).text == "Money"
        assert list(labels_in_use().checksums)
    assert label_of("B01003_001E") == Label("Total population", "people")
    assert not labels_in_use().given


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,unit\na,b\n", ("labels.csv", "name, unit", "label")),
        ("name,label\na,A\na,B\n", ("labels.csv", "'a'", "twice")),
    ],
)
def test_labels_that_cannot_be_used_name_file_and_column(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as error, using_labels(write(tmp_path, text)):
        pass
    assert all(word in str(error.value) for word in words)


def test_a_definition_has_labels_that_no_result_depends_on(tmp_path: Path) -> None:
    plain = read_definition(str(write(tmp_path, "measure,domain\npovP,income\n", "a.csv")))
    named = read_definition(str(write(tmp_path, "measure,domain,label,unit\npovP,income,Poverty,%\n", "b.csv")))
    assert definition_labels(plain) == {}
    assert definition_labels(named) == {"povP": Label("Poverty", "%")}
    assert plain.model_dump(exclude={"name"}) == named.model_dump(exclude={"name"})
