"""Options of products: one frozen model is the flags of a job, the keys of a backfill file, and the provenance."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from geomob_dask.definition import read_definition
from geomob_dask.names import Name, Year, is_name
from geomob_dask.options import FILE, Listed, Options, Text, texts
from geomob_dask.sources.region_rows import is_table_file, read_region_codes
from geomob_dask.sources.states import StateCodes, state_codes
from geomob_dask.sources.years import parsed_years
from geomob_dask.store.provenance import sha256


def _years(value: Any) -> Any:
    if value is None or isinstance(value, tuple):
        return value
    # Without the name of a flag: in a backfill file it is a key, and the model knows which.
    return parsed_years(",".join(texts(value)))


def _sorted(value: Any) -> Any:
    return tuple(sorted(set(texts(value))))


Codes = Annotated[tuple[Text, ...], BeforeValidator(_sorted), Field(min_length=1)]
Years = Annotated[tuple[int, ...] | None, BeforeValidator(_years)]
States = StateCodes | None


class ByYear(Options):
    """Options of a product that is made from the measures of one dataset and year."""

    dataset: Name = Field(description="Name under which the measures were ingested.")
    year: Year = Field(description="A year, several separated by commas, or a span such as 2017-2023.")
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


def piece(text: str) -> str:
    """Return a name as it is, and any other text (of a column, say) as one that a path can hold."""
    return text if is_name(text) else slug(text)


def slug(text: str) -> str:
    """Return a short text that a path can hold."""
    return text if re.fullmatch(r"[A-Za-z0-9_]{1,24}", text) else sha256(text.encode())[:8]


class WithDefinition(Options):
    """Options with a `definition` and a `population`; a file or a name is read, with the population column in it."""

    @model_validator(mode="before")
    @classmethod
    def _read_definition(cls, given: Any) -> Any:
        if isinstance(given, dict) and isinstance(given.get("definition"), str):
            definition = read_definition(given["definition"], population=given.get("population"))
            return {**given, "definition": definition, "population": None}
        return given


class SomeRegions(Options):
    """Options with a choice of `regions`, beside ``by``, ``year`` and ``states``; a table of codes is read.

    What is kept is the codes, sorted: a result does not depend on how they were named.
    """

    regions: Annotated[Codes | None, FILE] = Field(
        None, description="Only these: codes separated by commas, or a .csv with a column of them. [default: all]"
    )

    @model_validator(mode="before")
    @classmethod
    def _read_regions(cls, given: Any) -> Any:
        named = given.get("regions") if isinstance(given, dict) else None
        if not isinstance(named, str) or not is_table_file(named):
            return given
        by, year, states = (given.get(name) for name in ("by", "year", "states"))
        by = cls.model_fields["by"].default if by is None else by
        if not isinstance(by, str):
            # Validation of the other options follows, and says what is wrong with them.
            return given
        of_year = int(year) if str(year).isdigit() else None
        of_states = None if states is None else state_codes(",".join(texts(states)))
        codes = read_region_codes(named, by, of_year, of_states)
        return {**given, "regions": codes}


# Of these regions it is known that none crosses a state line.
WITHIN_STATES = ("county", "state", "place")


class ByRegion(ByYear):
    """Options of a product with regions."""

    by: Text = Field("cbsa", description="Regions: county, state, regions in the store, or a column of the measures.")


__all__ = [
    "WITHIN_STATES",
    "ByRegion",
    "ByYear",
    "Codes",
    "Listed",
    "Options",
    "SomeRegions",
    "States",
    "Text",
    "WithDefinition",
    "Years",
    "piece",
    "plain_states",
    "slug",
    "states_named",
]
