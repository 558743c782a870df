"""Brackets and groups as data: what is read, and what is refused by name."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from geomob_dask.errors import CountsError, DefinitionError
from geomob_dask.frames.categories import category_counts, merge_categories, merge_classes, read_positions
from geomob_dask.sources.brackets import load_brackets, load_categories, shipped_brackets

THREE = """
name: three
title: Three brackets
total: all
merges: {two: [0, 0, 1]}
brackets:
  - {column: poor, moe: poor_moe, from: 0, to: 10}
  - {column: middle, moe: middle_moe, from: 10, to: 30}
  - {column: rich, moe: rich_moe, from: 30, position: 50}
"""
HOMES = "name: p\ntitle: P\nbrackets: [{column: a}, {column: b}]\nparts: "
TABLE = pd.DataFrame(
    {"poor": [1.0, 2], "middle": [3.0, 4], "rich": [5.0, 6], "all": [9.0, 12], "rich_moe": [1.645, 0]},
    index=["39001961400", "39001961500"],
).assign(poor_moe=3.29, middle_moe=0.0)


def definition(folder: Path, text: str) -> str:
    path = folder / "definition.yaml"
    path.write_text(text)
    return str(path)


def test_shipped_brackets() -> None:
    assert shipped_brackets() == ["b19001", "deciles"]
    income = load_brackets("b19001")
    assert len(income.brackets) == 16
    assert merge_classes(income, "six").tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 3, 4, 4, 5, 5]
    labels = income.class_labels(merge_classes(income, "six").tolist())
    assert (labels[0], labels[-1]) == ("0 to 25,000", "150,000 and more")
    assert read_positions(income, "middle")[[0, 1, -1]].tolist() == [5_000, 12_500, 250_000]
    deciles = load_brackets("deciles")
    assert merge_classes(deciles, "quintiles").tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert merge_classes(deciles, "2").tolist() == [0] * 5 + [1] * 5
    assert read_positions(deciles, "unit") is None


def test_counts_errors_and_positions(tmp_path: Path) -> None:
    brackets = load_brackets(definition(tmp_path, THREE))
    assert brackets.columns(list(TABLE), 2020) == ["poor", "middle", "rich", "all"]
    people = category_counts(TABLE, brackets, 2020)
    np.testing.assert_array_equal(people.counts, [[1, 3, 5], [2, 4, 6]])
    assert people.standard_errors is None
    assert people.labels == ("0 to 10", "10 to 30", "30 and more")
    errors = category_counts(TABLE, brackets, 2020, margins=True).standard_errors
    np.testing.assert_allclose(errors, [[2, 0, 1], [2, 0, 0]])
    np.testing.assert_array_equal(read_positions(brackets, "middle"), [5, 20, 50])
    np.testing.assert_array_equal(read_positions(brackets, "1,2.5,4"), [1, 2.5, 4])


def test_parts_of_a_tract_add_up_to_its_brackets(tmp_path: Path) -> None:
    text = """
name: homes
title: Homes
brackets: [{column: low}, {column: high}]
parts:
  - {path: [houses], columns: [houses_low, houses_high]}
  - {path: [flats, tower], columns: [tower_low, tower_high]}
"""
    table = pd.DataFrame(
        {"houses_low": [1.0], "houses_high": [2.0], "tower_low": [3.0], "tower_high": [4.0]}, index=["a"]
    )
    people = category_counts(table, load_brackets(definition(tmp_path, text)), 2020)
    np.testing.assert_array_equal(people.counts, [[4, 6]])
    np.testing.assert_array_equal(people.leaves, [[[1, 2], [3, 4]]])


def test_merged_brackets_keep_errors_and_parts(tmp_path: Path) -> None:
    brackets = load_brackets(definition(tmp_path, THREE))
    counts = category_counts(TABLE, brackets, 2020, margins=True)
    leaves = np.stack([counts.counts / 2, counts.counts / 2], axis=1)
    merged = merge_categories(replace(counts, leaves=leaves), brackets, merge_classes(brackets, "two"))
    assert merged.names == ("class_1", "class_2")
    assert merged.labels == ("0 to 30", "30 and more")
    np.testing.assert_array_equal(merged.counts, [[4, 5], [6, 6]])
    np.testing.assert_allclose(merged.standard_errors, [[2, 1], [2, 0]])
    np.testing.assert_array_equal(merged.leaves, [[[2, 2.5]] * 2, [[3, 3]] * 2])


def test_groups_of_three_kinds(tmp_path: Path) -> None:
    listed = load_categories("owners,Renters %")
    assert [group.name for group in listed.groups] == ["owners", "renters__"]
    text = "name: tenure\ntitle: Tenure\ngroups:\n  - {name: own, columns: [a, b]}\n  - {name: rent, columns: [c]}\n"
    groups = load_categories(definition(tmp_path, text))
    assert not groups.ordered
    people = category_counts(pd.DataFrame({"a": [1.0], "b": [2.0], "c": [4.0]}, index=["x"]), groups, 2020)
    np.testing.assert_array_equal(people.counts, [[3, 4]])
    acs = load_categories("b03002_four")
    assert (acs.ordered, acs.name) == (False, "b03002_four")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("from: 10, to: 30", "from: 40, to: 50"), "nothing covers 10 to 40"),
        (("from: 10, to: 30", "from: 5, to: 30"), "begins at 5, before poor ends at 10"),
        (("{column: poor, moe: poor_moe, from: 0, to: 10}", "{column: poor, from: 30, to: 40}"), "low to high"),
        (("from: 0, to: 10", "from: 10, to: 0"), "from 10 to 0 is not rising"),
        (("column: middle", "column: poor"), "poor used twice; brackets must not overlap"),
        (("from: 10, to: 30", "from: 10"), "open at the top"),
        (("position: 50", "position: 5"), "expected rising numbers"),
        (("title: Three brackets", "titel: Three"), "unknown key 'titel'; did you mean 'title'"),
        (("name: three", "name: Three Brackets"), "name: expected a name of"),
        (("total: all", "cuts: [0.7, 0.3]"), "expected two numbers rising"),
    ],
)
def test_brackets_that_do_not_fit_themselves(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    assert change[0] in THREE
    with pytest.raises(DefinitionError, match=message):
        load_brackets(definition(tmp_path, THREE.replace(*change)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: one\ntitle: One\nbrackets: [{column: all}]", "found 1 bracket, expected two or more"),
        ("name: g\ngroups:\n - {name: a, columns: [x, y]}\n - {name: b, columns: [y]}", "y used twice; groups"),
        ("name: g\ngroups:\n - {name: a, columns: [x]}\n - {name: a, columns: [y]}", "a used twice"),
        ("name: g\ngroups:\n - {name: a, columns: [x]}", "found 1 group"),
        ("name: g\ngroups:\n - {name: a, columns: []}\n - {name: b, columns: [y]}", "at least 1 item"),
        ("- a\n- b", "found a list"),
        ("name: [", "not YAML"),
        (HOMES + "[{path: [x], columns: [c]}]", "1 columns, expected 2"),
        (HOMES + "[{path: [x], columns: [c, c]}]", "c used twice"),
    ],
)
def test_definitions_that_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        load_categories(definition(tmp_path, text))


def test_what_is_asked_of_brackets_must_fit(tmp_path: Path) -> None:
    brackets = load_brackets(definition(tmp_path, THREE))
    for ask, message in [
        (lambda: read_positions(brackets, "1,2"), "found 2 positions, expected one for each of 3"),
        (lambda: read_positions(brackets, "3,2,1"), "rising"),
        (lambda: read_positions(brackets, "near"), "expected unit, middle or numbers"),
        (lambda: read_positions(brackets, "middle", 2), "merged into 2"),
        (lambda: merge_classes(brackets, "2"), "3 brackets cannot be merged into 2"),
        (lambda: merge_classes(brackets, "quintiles"), "expected one of two, or numbers"),
        (lambda: merge_classes(brackets, "0,1"), "the rule has 2 brackets"),
        (lambda: merge_classes(brackets, "0,2,1"), "out of order"),
        (lambda: merge_classes(brackets, "1"), "leaves one bracket"),
        (lambda: merge_classes(brackets, "0,0.5,1"), "expected whole numbers"),
        (lambda: brackets.columns(["poor", "middle"], 2020), "no column rich; found middle, poor"),
        (lambda: load_categories("nothing"), "neither a file"),
        (lambda: load_brackets("owners,renters"), "without an order"),
        (
            lambda: load_categories("owners,renters").columns(["owners", "renters"], 2020, margins=True),
            "owners has no column of margins of error",
        ),
        (lambda: load_brackets("deciles").columns([f"decile_{k}" for k in range(1, 11)], 2020, margins=True), "moe"),
        (lambda: read_positions(load_brackets("deciles"), "1,2,3"), "3 positions"),
    ]:
        with pytest.raises(DefinitionError, match=message):
            ask()
    text = THREE.replace(", position: 50", "")
    with pytest.raises(DefinitionError, match="rich has neither both ends nor a position"):
        read_positions(load_brackets(definition(tmp_path, text)), "middle")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"poor": [1.0, np.nan]}, "tract 39001961500, column poor: found nan, expected a count"),
        ({"rich": [-5.0, 6]}, "tract 39001961400, column rich: found -5"),
        ({"rich": [5.0, np.inf]}, "found inf"),
        ({"all": [9.0, 13]}, "tract 39001961500: the brackets add up to 12, expected 13"),
    ],
)
def test_counts_that_are_refused(tmp_path: Path, change: dict[str, list[float]], message: str) -> None:
    with pytest.raises(CountsError, match=message):
        category_counts(TABLE.assign(**change), load_brackets(definition(tmp_path, THREE)), 2020)
    with pytest.raises(DefinitionError, match="holds text"):
        category_counts(TABLE.assign(rich=["a", "b"]), load_brackets(definition(tmp_path, THREE)), 2020)
