"""Commands of footers: of definitions of one's own, of draws, of what is not recorded."""

import shlex
from typing import Any

import pytest

from geomob_dask.outputs.provenance import NOT_RECORDED, record
from geomob_dask.outputs.repeating import commands
from geomob_dask.outputs.titles import using_title
from geomob_dask.products import intervals, opportunity


def made(product: str, options: Any) -> dict[str, Any]:
    return {"product": product, "options": options, "year": 2020}


def index(**changes: Any) -> dict[str, Any]:
    return opportunity.Options(dataset="mine", year=2020, definition="sample", **changes).plain()


def command(*results: dict[str, Any]) -> list[str]:
    return commands({"option": "--map", "results": list(results)})


def test_choices_that_are_not_the_usual_ones_are_flags() -> None:
    assert command(made("opportunity", index(norm="state", states=("39", "18")))) == [
        "python jobs/opportunity.py --dataset mine --year 2020 --states 18,39 --definition sample --norm state "
        "--map FILE"
    ]


def test_a_definition_of_ones_own_is_a_file() -> None:
    own = index()
    own["definition"]["title"] = "Another"
    (found,) = command(made("opportunity", own))
    assert "--definition DEFINITION.yaml" in found
    own["definition"]["name"] = "no_such_definition"
    assert command(made("opportunity", own)) == [found]


def test_draws_are_asked_of_the_job_of_the_index() -> None:
    drawn = intervals.Options(dataset="mine", year=2020, definition="sample", draws=7, seed=3).plain()
    assert command(made("opportunity", index()), made("intervals", drawn)) == [
        "python jobs/opportunity.py --dataset mine --year 2020 --definition sample --draws 7 --seed 3 --map FILE"
    ]


def test_the_layer_that_was_chosen_is_asked_for_again() -> None:
    record = {"option": "--map", "choices": {"layer": "Health care"}, "results": [made("opportunity", index())]}
    assert commands(record) == [
        "python jobs/opportunity.py --dataset mine --year 2020 --definition sample --map FILE --layer 'Health care'"
    ]


@pytest.mark.parametrize("options", [NOT_RECORDED, {**index(), "year": "of a later version"}])
def test_what_cannot_be_asked_for_has_no_command(options: Any) -> None:
    assert command(made("opportunity", options)) == []


def test_text_is_quoted() -> None:
    choices = {"cube": "made; rm", "measure": "$(x)", "version": "v"}
    record = {"option": "cube series --page", "choices": choices, "results": [made("cube", {})]}
    assert commands(record) == [
        "python jobs/cube.py series 'made; rm' --measure '$(x)' --years 2020 --version v --page FILE"
    ]


def test_a_view_of_any_result_is_asked_of_the_page() -> None:
    choices = {"result": "results/mixing/deciles/a b/2020/x", "year": 2020, "measure": "$(x)", "states": ["18", "39"]}
    record = {"option": "explore --snapshot", "choices": choices, "results": [made("mixing", {})]}
    asked = "python jobs/explore.py --result 'results/mixing/deciles/a b/2020/x' --year 2020 --measure '$(x)'"
    assert commands(record) == [f"{asked} --states 18,39 --snapshot FILE"]
    del choices["states"]
    assert commands(record) == [f"{asked} --snapshot FILE"]


@pytest.mark.parametrize("title", ["What's here", "-5 to 5", '$(x) `y` "z" \\ é'])
def test_the_title_is_asked_for_again_in_the_quotes_of_a_shell(title: str) -> None:
    with using_title(title):
        maps = [record([made("opportunity", index())], option=option) for option in ("--map", "--export")]
    (command, plain) = (found for one in maps for found in commands(one))
    assert shlex.split(command) == [*shlex.split(plain.replace("--export", "--map")), "--title", title]
    assert "title" not in plain


def test_a_cube_is_asked_for_its_years_layer_period_and_title() -> None:
    choices = {"cube": "c", "measure": "m", "version": "v", "period": 5, "layer": "sure", "title": "A b"}
    record = {"option": "cube change --map", "choices": choices, "results": [made("cube", {}), {"year": 2021}]}
    assert commands(record) == [
        "python jobs/cube.py change c --measure m --years 2020,2021 --version v --period 5 --map FILE --layer sure "
        "--title 'A b'"
    ]
