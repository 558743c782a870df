import pytest

from geomob_dask.definition import Definition, read_definition, shipped_definitions
from geomob_dask.errors import DefinitionError
from geomob_dask.sources.sample import sample_definition

GOOD = """
name: test
population: people
domains:
  income: [{measure: poverty}, {measure: pay, direction: -1}]
  health: [{measure: insured, direction: -1}]
parameters: {reverse: minmax}
"""


def write(tmp_path, text, name="definition.yaml"):
    path = tmp_path / name
    path.write_text(text)
    return str(path)


def test_yaml(tmp_path):
    definition = read_definition(write(tmp_path, GOOD))
    assert definition.measures == ("poverty", "pay", "insured")
    assert definition.directions == (1, -1, -1)
    assert definition.domain_of == (0, 0, 1)
    assert definition.parameters.reverse == "minmax"
    assert definition.parameters.scale == 23


def test_csv_and_population_by_flag(tmp_path):
    text = "measure,domain,direction\npoverty,income,1\ninsured,health,-1\npay,income,-1\n"
    definition = read_definition(write(tmp_path, text, "my index.csv"), population="Pop")
    assert definition.name == "my-index"
    assert definition.population == "Pop"
    assert definition.measures == ("poverty", "pay", "insured")
    assert definition.directions == (1, -1, -1)
    without = read_definition(write(tmp_path, "domain,measure\nincome,poverty\n", "plain.csv"))
    assert without.directions == (1,)
    assert without.population == "population"


def test_shipped_definitions_can_be_read():
    assert "sample" in shipped_definitions()
    for name in shipped_definitions():
        assert read_definition(name).name == name


def test_the_sample_country_is_defined_once():
    assert shipped_definitions()["sample"].read_text(encoding="utf-8") == sample_definition()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("name: test", "name: a b"), "name: expected a name of .*found 'a b'"),
        (("direction: -1}]\n  health", "direction: 2}]\n  health"), r"domains\.income\.1\.direction: .*found 2"),
        (("[{measure: insured, direction: -1}]", "[]"), r"domains\.health: .*at least 1 item"),
        (
            ("measure: insured", "measure: pay"),
            "measure 'pay': found in the domains 'income' and 'health'; expected it once",
        ),
        (("health:", "opportunity:"), "domain 'opportunity': a column of the result has this name"),
        (("population: people", "population: pay"), "population column 'pay': is also a measure"),
        (("reverse: minmax", "reverse: both"), "parameters.reverse: .*found 'both'"),
        (("parameters:", "parametres:"), "unknown key 'parametres'; did you mean 'parameters'"),
        (
            ("{measure: poverty}", "{measur: poverty}"),
            r"domains\.income\.0: unknown key 'measur'; did you",
        ),
    ],
)
def test_a_wrong_definition_is_explained(tmp_path, change, message):
    assert change[0] in GOOD
    with pytest.raises(DefinitionError, match=message):
        read_definition(write(tmp_path, GOOD.replace(*change)))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("d.csv", "measure,direction\na,1\n", "found the columns measure, direction; expected measure, domain"),
        ("d.csv", "measure,domain,direction\na,x,up\n", "row 2: measure 'a': direction 'up', expected 1 or -1"),
        ("d.csv", "measure,domain\na,x\n,x\n", "row 3: found no measure or no domain"),
        ("d.csv", "", "found the columns none; expected measure, domain"),
        ("d.yaml", "name: [", r"d\.yaml: line 2: not YAML"),
        ("d.yaml", "- a", "found a list, expected the keys name, domains"),
        ("d.txt", "", r"d\.txt': expected a file \(\.yaml, \.yml, \.csv\) or a shipped definition"),
    ],
)
def test_a_file_of_another_form_is_explained(tmp_path, name, text, message):
    with pytest.raises(DefinitionError, match=message):
        read_definition(write(tmp_path, text, name))


def test_an_unknown_name_lists_those_there_are():
    with pytest.raises(DefinitionError, match=r"definition 'nowhere': expected a file .*available: sample"):
        read_definition("nowhere")
    for misspelled in ("smaple", "smaple.yaml"):
        with pytest.raises(DefinitionError, match=f"{misspelled}': .*did you mean 'sample'"):
            read_definition(misspelled)


def test_a_definition_without_people(tmp_path):
    assert read_definition(write(tmp_path, GOOD.replace("population: people", "population: null"))).population is None
    weighted = {"recipe": "weighted_principal_component"}
    with pytest.raises(ValueError, match="population: found none, expected a column"):
        Definition(name="d", population=None, domains={"one": [{"measure": "a"}]}, parameters=weighted)
