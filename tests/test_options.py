"""Options of commands: fields, flags and what is recorded."""

from typing import Annotated, Any, Literal, get_args

import pytest
import typer
from pydantic import Field
from typer.testing import CliRunner

from geomob_dask import cli
from geomob_dask.errors import InputError
from geomob_dask.options import Listed, Options, argument, unrecorded
from geomob_dask.products.options import Codes, Years
from geomob_dask.sources.states import StateCodes
from geomob_dask.sources.years import years_of


class Made(Options):
    """Made up."""

    files: tuple[str, ...] = argument("Files. [any]")
    year: int = Field(description="A year.")
    states: StateCodes | None = Field(None, description="States. [default: all]")
    names: Listed | None = Field(None, description="Names.")
    kind: Literal["round", "square"] = Field("round", description="Kind.")
    rate: float | None = Field(None, description="Rate.")
    loud: bool = Field(False, description="Loud.")
    server: str = unrecorded("here", "Server.", env="MADE_SERVER")


def test_text_and_lists_are_the_same_options() -> None:
    one = Made.of(files=["a"], year="2020", states="oh, 18", names="x,y")
    assert one == Made.of(files=("a",), year=2020, states=[39, "IN"], names=["x", "y"])
    assert one.states == ("18", "39")
    assert one.plain() == {
        "year": 2020,
        "states": ["18", "39"],
        "names": ["x", "y"],
        "kind": "round",
        "rate": None,
        "loud": False,
    }


class WithYears(Made):
    """With years and codes."""

    years: Years = None
    codes: Codes | None = None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kind": "flat"}, ["--kind", "'flat'", "round"]),
        ({"states": "XX"}, ["states", "XX"]),
        ({"states": [["OH"]]}, ["--states", "[['OH']]"]),
        ({"states": False}, ["--states", "False"]),
        ({"years": {"2020": 1}}, ["--years", "{'2020': 1}"]),
        ({"years": [2020, [2021]]}, ["--years", "[2020, [2021]]"]),
        ({"codes": [["a"], "b"]}, ["--codes", "[['a'], 'b']"]),
        ({"size": 3}, ["--size"]),
        ({"year": "last"}, ["--year", "'last'"]),
    ],
)
def test_wrong_options_name_the_flag(options: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InputError) as error:
        WithYears.of(**{"files": ["a"], "year": 2020, **options})
    assert all(word in str(error.value) for word in words)


def test_a_command_has_a_flag_for_each_option() -> None:
    seen: dict[str, Any] = {}

    def run(values: Any, *, quiet: bool) -> None:
        seen.update(options=Made.of(**values), quiet=quiet)

    app = typer.Typer()
    app.command()(cli.command(Made, run, quiet=(Annotated[bool, typer.Option("--quiet")], False)))
    arguments = ["a", "b", "--year", "2020", "--states", "OH", "--kind", "square", "--loud", "--quiet"]
    done = CliRunner().invoke(app, arguments, env={"MADE_SERVER": "there"})
    assert done.exit_code == 0, done.output
    assert seen["quiet"]
    assert seen["options"] == Made(
        files=("a", "b"), year=2020, states=("39",), kind="square", loud=True, server="there"
    )
    help_text = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).output
    assert "round|square" in help_text
    assert "[default: all]" in help_text
    assert CliRunner().invoke(app, ["--year", "2020"]).exit_code == 2


def test_flags_of_fields() -> None:
    kinds = {name: get_args(cli.field_flag(name, field)[0])[0] for name, field in Made.model_fields.items()}
    assert kinds == {
        "files": list[str],
        "year": int,
        "states": str | None,
        "names": str | None,
        "kind": str,
        "rate": float | None,
        "loud": bool,
        "server": str,
    }


@pytest.mark.parametrize("text", ["20x8", "2019-2018", "", "2018,,2019", "18"])
def test_years_that_are_none_name_the_option(text: str) -> None:
    with pytest.raises(InputError, match="--year "):
        years_of(text, "--year")


@pytest.mark.parametrize(
    ("text", "twice"),
    [("2018,2018", "2018"), ("2010-2014,2012-2020", "2012-2014"), ("2010,2009-2011", "2010")],
)
def test_a_year_named_twice_is_refused(text: str, twice: str) -> None:
    with pytest.raises(InputError, match=f"--years .*{twice} twice"):
        years_of(text)
