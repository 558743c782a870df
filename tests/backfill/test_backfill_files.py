"""Where the files are that a backfill file names, and what a file that is none says."""

import pytest

from geomob_dask.errors import DefinitionError
from geomob_dask.runs.backfill.file import read_backfill

INDEX = "name: {name}\ndomains: {{income: [{{measure: pay}}]}}\n"
BRACKETS = "name: {name}\ntitle: Two\nbrackets: [{{column: low}}, {{column: high}}]\n"
NIGHT = """
name: night
products:
  index: {job: opportunity, dataset: acs, definition: index.yaml}
  mixed: {job: mixing, dataset: acs, brackets: more/two.yaml}
  apart: {job: segregation, dataset: acs, groups: more/two.yaml}
  shipped: {job: mixing, dataset: acs, brackets: b19001}
  columns: {job: segregation, dataset: acs, groups: "own.ers,rent/ers"}
  moved: {job: harmonize, dataset: acs, to: 2020, kinds: kinds.yaml, crosswalk: /links.csv, prices: cpi_u}
  guessed: {job: mobility_applied, dataset: acs, model: results/mobility/zones/2-classes-1a2b3c4d/elastic_net}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return the folder of a backfill file; the current folder is another one."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    folder = tmp_path / "night"
    (folder / "more").mkdir(parents=True)
    (folder / "night.yaml").write_text(NIGHT)
    (folder / "index.yaml").write_text(INDEX.format(name="beside"))
    (folder / "more" / "two.yaml").write_text(BRACKETS.format(name="two"))
    (folder / "kinds.yaml").write_text("a: count\n")
    return folder


def options_of(folder, name):
    return read_backfill(str(folder / "night.yaml")).products[name].options(2020)


def test_files_are_those_beside_the_file_that_names_them(folder, monkeypatch):
    assert options_of(folder, "index").definition.name == "beside"
    assert options_of(folder, "mixed").brackets.name == "two"
    assert options_of(folder, "apart").groups.name == "two"
    assert options_of(folder, "moved").kinds == str(folder / "kinds.yaml")
    monkeypatch.chdir(folder)
    assert read_backfill("night.yaml").products["index"].options(2020).definition.name == "beside"


def test_what_names_no_file_stays_as_it_is(folder):
    assert options_of(folder, "shipped").brackets.name == "b19001"
    assert [group.label for group in options_of(folder, "columns").groups.groups] == ["own.ers", "rent/ers"]
    moved = options_of(folder, "moved")
    assert (moved.crosswalk, moved.prices) == ("/links.csv", "cpi_u")
    assert options_of(folder, "guessed").model.startswith("results/mobility/")


def test_a_file_of_the_current_folder_is_used_where_there_is_none_beside(folder):
    (folder.parent / "here" / "index.yaml").write_text(INDEX.format(name="current"))
    assert options_of(folder, "index").definition.name == "beside"
    (folder / "index.yaml").unlink()
    assert options_of(folder, "index").definition.name == "current"


def test_a_file_that_is_nowhere_is_named_with_those_that_are_shipped(folder):
    (folder / "index.yaml").unlink()
    (folder / "night.yaml").write_text(NIGHT.replace("index.yaml", "smaple.yaml"))
    with pytest.raises(DefinitionError, match=r"night/smaple\.yaml': no such file.*did you mean 'sample'"):
        options_of(folder, "index")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: n\nproducts: [a]", ["products"]),
        ("name: n\nproducts: {a: [b]}", ["products.a"]),
        ("name: n\nproducts: {a: {job: [b], dataset: d}}", ["products.a.job"]),
        ("name: n\nproducts: {a: {job: mixin, dataset: d}}", ["'mixin'", "did you mean 'mixing'"]),
        ("name: n\nproducts: {a: {job: mixing, dataset: ../d}}", ["dataset", "expected a name"]),
        ("name: n\nproducts: {../a: {job: mixing, dataset: d}}", ["products.", "expected a name"]),
        ("name: n\nproducts: {a: {job: mixing, dataset: d, cube: a/b}}", ["cube", "expected a name"]),
        ("name: n\nyears: 0001-9999\nproducts: {a: {job: mixing, dataset: d}}", ["1790 to 2100"]),
        ("name: n\nproducts: {a: {job: mixing, dataset: d}, a: {job: mixing, dataset: e}}", ["line 2", "'a' twice"]),
    ],
)
def test_a_backfill_that_cannot_be_meant_is_refused(folder, text, words):
    (folder / "night.yaml").write_text(text)
    with pytest.raises(DefinitionError) as refused:
        read_backfill(str(folder / "night.yaml"))
    assert str(refused.value).startswith(str(folder / "night.yaml"))
    assert all(word in str(refused.value) for word in words), str(refused.value)
