"""Options of products: one frozen model is the flags of a job, the keys of a backfill file, and the provenance."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from geomob_dask.errors import InputError
from geomob_dask.settings import explain
from geomob_dask.sources.states import state_codes
from geomob_dask.sources.years import distinct_years


def _text(value: Any) -> Any:
    # YAML reads 5 and 2018 as numbers, and an option may be either.
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _listed(value: Any) -> Any:
    """Return a tuple of a list, or of texts separated by commas."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return tuple(_text(item) for item in value) if isinstance(value, (list, tuple)) else value


def _years(value: Any) -> Any:
    if value is None or isinstance(value, tuple):
        return value
    return distinct_years(",".join(_listed(str(value) if isinstance(value, int) else value)))


def _states(value: Any) -> Any:
    return None if value is None else state_codes(",".join(_listed(value)))


def _sorted(value: Any) -> Any:
    codes = _listed(value)
    return tuple(sorted(set(codes))) if isinstance(codes, tuple) else codes


Text = Annotated[str, BeforeValidator(_text), Field(min_length=1)]
Listed = Annotated[tuple[Text, ...], BeforeValidator(_listed), Field(min_length=1)]
Codes = Annotated[tuple[Text, ...], BeforeValidator(_sorted), Field(min_length=1)]
Years = Annotated[tuple[int, ...] | None, BeforeValidator(_years)]
States = Annotated[tuple[str, ...] | None, BeforeValidator(_states)]


class Options(BaseModel):
    """What is asked of a product. A field's description is the help of its flag; its alias is the flag's name."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @classmethod
    def of(cls, **given: Any) -> "Options":
        """Return validated options.

        Raises
        ------
        InputError
            Naming the flag, what was found and what was expected.
        """
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise InputError(f"--{explain(error)}") from error

    def plain(self) -> dict[str, Any]:
        """Return the options as plain data: what the provenance keeps."""
        return self.model_dump(mode="json")


class ByYear(Options):
    """Options of a product that is made from the measures of one dataset and year."""

    dataset: Text = Field(description="Name under which the measures were ingested.")
    year: int = Field(description="A year, several separated by commas, or a span such as 2017-2023.")
    states: States = Field(None, description="Codes or letters of states, such as 18,39 or IN,OH. [default: all]")

    @property
    def measures(self) -> str:
        """Return the collection of the measures."""
        return f"measures/{self.dataset}/{self.year}"


def states_named(states: tuple[str, ...] | None, by_state: bool) -> str:
    """Return how the name of a collection tells its states."""
    return "each" if by_state else "-".join(states) if states else "all"


def plain_states(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain options in which no choice of states reads ``all``."""
    return {**options, "states": options.get("states") or "all"}


# Of these regions it is known that none crosses a state line.
WITHIN_STATES = ("county", "state", "place")


class ByRegion(ByYear):
    """Options of a product with regions."""

    by: Text = Field("cbsa", description="Regions: county, state, regions in the store, or a column of the measures.")
