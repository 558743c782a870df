"""Definition of an opportunity index: measures, directions, domains and parameters, as data.

A definition is a YAML file::

    name: ohio
    title: Opportunity index
    population: population
    domains:
      income:
        - {measure: povP, direction: 1, label: Poverty, unit: "%"}    # higher = more deprivation
        - {measure: median_income, direction: -1}  # higher = less
    parameters: {reverse: complement}

or a CSV file with the columns measure, domain and, where not all are 1, direction; perhaps label and unit too.
"""

import csv
import io
import os
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, ValidationError, model_validator

from geomob_dask.checked import Checked, explain
from geomob_dask.errors import DefinitionError
from geomob_dask.messages import LONGEST_PATH, listed, shown
from geomob_dask.names import Name, did_you_mean
from geomob_dask.yaml_text import mapping_of, read_text, read_yaml

_SUFFIXES = (".yaml", ".yml", ".csv")
_WORDS = ("label", "unit")
_COLUMNS = ("measure", "domain", "direction", *_WORDS)
_WHAT = "the definition of an index"

RESULT_COLUMNS = (
    "deprivation",
    "opportunity",
    "population_zero",
    "imputed_direct",
    "imputed_once_removed",
    "filled_domains",
    "reason",
    "flagged",
)


class Measure(Checked):
    """A measure and its direction: 1 where higher means more deprivation, -1 where it means less.

    ``label`` and ``unit`` are for readers. No result depends on them, so they are no part of what it is made from.
    """

    measure: Annotated[str, Field(min_length=1)]
    direction: Literal[-1, 1] = 1
    label: str = Field("", exclude=True)
    unit: str = Field("", exclude=True)


class Range(NamedTuple):
    """Least and greatest value that numbers can have, both None where there are none, and their unit."""

    low: float | None
    high: float | None
    unit: str = ""

    @property
    def text(self) -> str:
        """Return the range in words."""
        bounds = "" if self.low is None else f"{self.low:g} to {self.high:g}"
        return ", ".join(part for part in (self.unit, bounds) if part)

    @property
    def step(self) -> float:
        """Return a round part of the range."""
        return 0.1 if self.low is None or self.high is None else (self.high - self.low) / 20


_POINTS, _RANKS = Range(0.0, 100.0), Range(0.0, 1.0, "percentile rank")
_DEVIATIONS, _PARTS = Range(None, None, "standard deviations"), Range(None, None, "part of the component")
Recipe = Literal["opportunity", "svi", "z_mean", "principal_component", "weighted_principal_component"]


class Parameters(Checked):
    """How the index is made, and what the method leaves open.

    Parameters
    ----------
    recipe : str
        ``opportunity``: z-scores summed by domain, ranked, transformed exponentially, averaged. ``svi``: percentile
        ranks of measures, of their sums by domain, and of the sum of those sums (CDC's Social Vulnerability Index).
        ``z_mean``: z-scores averaged by domain, domains averaged. ``principal_component``: the first one of the
        complete rows, scaled to 0…1; ``weighted_…`` by people.
    impute, fill : bool, optional
        Whether missing values, and domains without a score, are filled from neighbors. By default
        in the recipe ``opportunity`` only.
    contiguity : {"queen", "rook"}
        Which neighbors fill missing values and holes.
    tie_tolerance : float
        Domain sums closer than this, relative to the largest magnitude in the domain, are ties.
    scale : float
        s of the exponential transform.
    reverse : {"complement", "minmax"}
        Opportunity as the most deprivation there can be (100; 1 for ranks and components; 0 for z-scores) less
        deprivation, or as deprivation mirrored and stretched over 0…100.
    """

    recipe: Recipe = "opportunity"
    impute: bool | None = None
    fill: bool | None = None
    contiguity: Literal["queen", "rook"] = "queen"
    tie_tolerance: Annotated[float, Field(ge=0, lt=0.01)] = 1e-12
    scale: Annotated[float, Field(gt=0)] = 23.0
    reverse: Literal["complement", "minmax"] = "complement"

    @property
    def imputes(self) -> bool:
        """Return whether missing values are filled from neighbors."""
        return self.recipe == "opportunity" if self.impute is None else self.impute

    @property
    def fills(self) -> bool:
        """Return whether domains without a score are filled from neighbors."""
        return self.recipe == "opportunity" if self.fill is None else self.fill

    @property
    def uses_neighbors(self) -> bool:
        """Return whether a tract's neighbors count: if not, tracts without a polygon take part as well."""
        return self.imputes or self.fills

    @property
    def top(self) -> float:
        """Return the most deprivation there can be; 0, the middle, where there is no such bound."""
        return self.deprivation_range.high or 0.0

    @property
    def domain_range(self) -> Range:
        """Return the range of the domains' scores."""
        return {"opportunity": _POINTS, "svi": _RANKS, "z_mean": _DEVIATIONS}.get(self.recipe, _PARTS)

    @property
    def deprivation_range(self) -> Range:
        """Return the range of deprivation."""
        return Range(0.0, 1.0) if self.domain_range is _PARTS else self.domain_range

    @property
    def opportunity_range(self) -> Range:
        """Return the range of opportunity."""
        return _POINTS if self.reverse == "minmax" else self.deprivation_range


class Definition(Checked):
    """An index: its domains, the measures in each, the population column and the parameters.

    Where no population is known (``population: null``), every tract counts as lived in.
    """

    name: Name
    title: str = ""
    population: Annotated[str, Field(min_length=1)] | None = "population"
    domains: Annotated[dict[str, Annotated[tuple[Measure, ...], Field(min_length=1)]], Field(min_length=1)]
    parameters: Parameters = Parameters()

    @model_validator(mode="after")
    def _names_are_told_apart(self) -> Self:
        seen: dict[str, str] = {}
        for domain, measures in self.domains.items():
            if domain in RESULT_COLUMNS or domain == "geoid":
                raise ValueError(f"domain {domain!r}: a column of the result has this name; expected another")
            for item in measures:
                if item.measure in seen:
                    raise ValueError(
                        f"measure {item.measure!r}: found in the domains {seen[item.measure]!r} and {domain!r}; "
                        "expected it once"
                    )
                seen[item.measure] = domain
        if self.parameters.fills and self.parameters.recipe not in ("opportunity", "z_mean"):
            raise ValueError(f"parameters.fill: the recipe {self.parameters.recipe!r} leaves no holes, expected false")
        if self.population in seen:
            raise ValueError(f"population column {self.population!r}: is also a measure; expected another column")
        if self.population is None and self.parameters.recipe == "weighted_principal_component":
            raise ValueError("population: found none, expected a column: the recipe weights tracts by their people")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns that are read: all measures, and the population where there is one."""
        return self.measures if self.population is None else (*self.measures, self.population)

    @property
    def measures(self) -> tuple[str, ...]:
        """Return all measures, domain by domain."""
        return tuple(item.measure for measures in self.domains.values() for item in measures)

    @property
    def directions(self) -> tuple[int, ...]:
        """Return the direction of each measure."""
        return tuple(item.direction for measures in self.domains.values() for item in measures)

    @property
    def domain_of(self) -> tuple[int, ...]:
        """Return the number of each measure's domain."""
        return tuple(number for number, measures in enumerate(self.domains.values()) for _ in measures)


def shipped_definitions() -> dict[str, Path]:
    """Return the definitions that come with the package, by name."""
    folder = resources.files("geomob_dask") / "definitions" / "opportunity"
    if not folder.is_dir():
        return {}
    return {Path(str(item)).stem: Path(str(item)) for item in sorted(folder.iterdir(), key=str)}


def read_definition(name_or_file: str, *, population: str | None = None) -> Definition:
    """Return a definition from a YAML or CSV file, or one that comes with the package by its name.

    Parameters
    ----------
    population : str, optional
        The population column, where the file does not name it (a CSV cannot).

    Raises
    ------
    DefinitionError
        Naming the file, the key or row, what was found and what was expected.
    """
    path = _file(name_or_file)
    plain = _read_csv(path) if path.suffix == ".csv" else _read_yaml(path)
    if population is not None:
        plain["population"] = population
    try:
        return Definition.model_validate(plain)
    except ValidationError as error:
        raise DefinitionError(f"{path}: {explain(error)}") from error


def _file(name_or_file: str) -> Path:
    shipped = shipped_definitions()
    path = Path(name_or_file)
    if name_or_file in shipped:
        return shipped[name_or_file]
    named, choice = f"definition {shown(name_or_file, LONGEST_PATH)}", did_you_mean(path.stem, shipped)
    if path.suffix not in _SUFFIXES:
        raise DefinitionError(f"{named}: expected a file ({', '.join(_SUFFIXES)}) or a shipped definition; {choice}")
    if not os.path.lexists(path):
        raise DefinitionError(f"{named}: no such file; expected one, or a shipped definition; {choice}")
    return path


def _read_yaml(path: Path) -> dict[str, Any]:
    plain = read_yaml(path, DefinitionError, _WHAT)
    return mapping_of(plain, str(path), DefinitionError, "the keys name, domains, …")


def _read_csv(path: Path) -> dict[str, Any]:
    text = read_text(path, DefinitionError, _WHAT)
    try:
        rows = [row for row in csv.reader(io.StringIO(text), skipinitialspace=True, strict=True) if any(row)]
    except csv.Error as error:
        raise DefinitionError(f"{path}: cannot be read as a definition ({error}); expected a .csv table") from error
    columns = [name.strip() for name in rows[0]] if rows else []
    if len(set(columns)) < len(columns) or not {"measure", "domain"} <= set(columns) <= set(_COLUMNS):
        raise DefinitionError(
            f"{path}: found the columns {listed(columns, 12) or 'none'}; expected measure, domain and perhaps "
            "direction, label and unit"
        )
    domains: dict[str, list[dict[str, Any]]] = {}
    for number, values in enumerate(rows[1:], start=2):
        if len(values) != len(columns):
            raise DefinitionError(f"{path}: row {number}: found {len(values)} cells, expected {len(columns)}")
        row = dict(zip(columns, (value.strip() for value in values), strict=True))
        if not row["measure"] or not row["domain"]:
            raise DefinitionError(f"{path}: row {number}: found no measure or no domain, expected both")
        found = row.get("direction", "1")
        if found not in ("1", "+1", "-1"):
            raise DefinitionError(
                f"{path}: row {number}: measure {shown(row['measure'])}: direction {shown(found)}, expected 1 or -1"
            )
        words = {name: row[name] for name in _WORDS if name in row}
        domains.setdefault(row["domain"], []).append({"measure": row["measure"], "direction": int(found), **words})
    name = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "_-") else "-" for letter in path.stem)
    return {"name": name, "domains": domains}
