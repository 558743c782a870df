"""The file of a backfill: which products, of which datasets, in which scope.

::

    name: night
    years: 2009-2023
    products:
      counties: {job: exposure, dataset: acs5_b03002, by: county}
      metros: {job: segregation, dataset: acs5_b19001, groups: b19001, by: cbsa}
      deprivation: {job: opportunity, dataset: acs, definition: my_index.yaml, scope: state}

The keys of a product are the words of its job's flags.
"""

from collections.abc import Hashable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from geomob_dask.errors import DefinitionError, InputError
from geomob_dask.metrics.quality import SUPPRESSION_THRESHOLD
from geomob_dask.settings import explain
from geomob_dask.sources.states import state_codes
from geomob_dask.sources.years import years_of

# Of these it is known that none crosses a state line.
WITHIN_STATES = ("county", "state", "place")
Scope = Literal["state", "all"]


def _text(value: Any) -> Any:
    # YAML reads 5 and 2018 as numbers, and an option may be either.
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _listed(value: Any) -> Any:
    """Return a tuple of a list, or of texts separated by commas."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(","))
    return tuple(_text(one) for one in value) if isinstance(value, list) else value


def _years(value: Any) -> Any:
    if value is None:
        return None
    return years_of(",".join(_listed([value] if isinstance(value, int) else value)))


def _states(value: Any) -> Any:
    return None if value is None else state_codes(",".join(_listed(value)))


Text = Annotated[str, BeforeValidator(_text), Field(min_length=1)]
Listed = Annotated[tuple[Text, ...], BeforeValidator(_listed), Field(min_length=1)]
Years = Annotated[tuple[int, ...] | None, BeforeValidator(_years)]
States = Annotated[tuple[str, ...] | None, BeforeValidator(_states)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_]*$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Entry(_Frozen):
    """What all products have.

    Parameters
    ----------
    dataset : str
        Name under which the measures were ingested.
    scope : {"state", "all"}, optional
        An output a state, of its own tracts alone, or one output of all states. By default the first where regions
        keep within states (`WITHIN_STATES`), the second elsewhere.
    years : optional
        Of the years of the backfill, those that this product has; all by default.
    cube : str, optional
        Name of a cube that its years are brought into, once they are committed.
    """

    dataset: Text
    scope: Scope | None = None
    years: Years = None
    cube: Name | None = None

    @property
    def of_states(self) -> bool:
        """Tell whether there is an output a state."""
        return self.scope == "state" or (self.scope is None and self._within_states())

    def _within_states(self) -> bool:
        raise NotImplementedError


class _ByRegion(_Entry):
    by: Text

    def _within_states(self) -> bool:
        return self.by in WITHIN_STATES

    @model_validator(mode="after")
    def _regions_do_not_cross(self) -> Self:
        if self.scope == "state" and self.by not in WITHIN_STATES:
            raise ValueError(
                f"scope: found state for regions by {self.by}, which may cross state lines; expected all, or by one "
                f"of {', '.join(WITHIN_STATES)}"
            )
        if self.of_states and getattr(self, "regions", None) is not None:
            raise ValueError("regions: found a choice of regions in the scope state, expected the scope all")
        return self


class OpportunityEntry(_Entry):
    """An index; see ``jobs/opportunity.py --help``."""

    job: Literal["opportunity"]
    definition: Text
    population: Text | None = None
    norm: Text | None = None
    steps: bool = False

    def _within_states(self) -> bool:
        return self.norm == "state"

    @property
    def chosen_norm(self) -> str:
        """Return the norm; by default each state's own in the scope ``state``, that of all selected elsewhere."""
        return self.norm or ("state" if self.of_states else "selected")

    @model_validator(mode="after")
    def _norm_fits_the_scope(self) -> Self:
        if self.of_states and self.chosen_norm != "state" and not self.chosen_norm.startswith("frozen:"):
            raise ValueError(
                f"norm: found {self.norm}, which is of several states; expected state or frozen:YEAR, or the scope all"
            )
        return self


class ExposureEntry(_ByRegion):
    """Exposures; see ``jobs/exposure.py --help``."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    job: Literal["exposure"]
    groups: Text | None = None
    mode: Text = Field(default="corrected", alias="as")
    threshold: float = SUPPRESSION_THRESHOLD
    interactions: bool = False


class MixingEntry(_ByRegion):
    """Income mixing; see ``jobs/mixing.py --help``."""

    job: Literal["mixing"]
    by: Text = "cbsa"
    brackets: Text = "b19001"
    positions: Text = "unit"
    merge: Text | None = None
    weight: float = 0.5
    regions: Listed | None = None
    missing: Text = "refuse"


class SegregationEntry(_ByRegion):
    """Segregation; see ``jobs/segregation.py --help``."""

    job: Literal["segregation"]
    by: Text = "cbsa"
    groups: Text
    indices: Listed = ("all",)
    merge: Text | None = None
    regions: Listed | None = None
    missing: Text = "refuse"
    draws: int = 0
    null: Text = "evenness"
    interval: Text = "persons"
    seed: int = 0
    cutoff: float | None = None
    levels: Listed | None = None


Entry = OpportunityEntry | ExposureEntry | MixingEntry | SegregationEntry


class Backfill(_Frozen):
    """What a file asks for.

    Parameters
    ----------
    name : str
        Of its journal in the store, ``backfills/<name>``.
    products : mapping of str to Entry
    years, states : optional
        Unless flags say otherwise. Outputs of the scope ``all`` are then of these states together.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    products: Annotated[dict[Name, Annotated[Entry, Field(discriminator="job")]], Field(min_length=1)]
    years: Years = None
    states: States = None

    @model_validator(mode="after")
    def _a_cube_each(self) -> Self:
        of: dict[str, str] = {}
        for product, entry in self.products.items():
            if entry.cube is not None:
                other = of.setdefault(entry.cube, product)
                if other != product:
                    raise ValueError(f"cube {entry.cube}: found for {other} and {product}, expected a cube each")
        return self

    def chosen(self, names: tuple[str, ...] | None) -> dict[str, Entry]:
        """Return some products, all by default.

        Raises
        ------
        InputError
            If one is not in the file.
        """
        absent = [name for name in names or () if name not in self.products]
        if absent:
            raise InputError(f"--products {','.join(absent)}: expected some of {', '.join(self.products)}")
        return {name: entry for name, entry in self.products.items() if names is None or name in names}


class _OneOfEachKey(yaml.SafeLoader):  # type: ignore[misc]
    """YAML in which a key that stands twice is refused: of two products of one name the first would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.YAMLError(f"line {key.start_mark.line + 1}: found {key.value!r} twice, expected it once")
            seen.add(key.value)
        return dict(super().construct_mapping(node, deep))


def read_backfill(file: str) -> Backfill:
    """Return what a file asks for.

    Raises
    ------
    DefinitionError
        Naming the file, the key, what was found and what was expected.
    """
    path = Path(file)
    try:
        plain = yaml.load(path.read_text(encoding="utf-8"), Loader=_OneOfEachKey)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DefinitionError(f"{path}: cannot be read as a backfill ({' '.join(str(error).split())})") from error
    if not isinstance(plain, dict):
        raise DefinitionError(f"{path}: found a {type(plain).__name__}, expected the keys name, products, …")
    try:
        return Backfill.model_validate(plain)
    except ValidationError as error:
        raise DefinitionError(f"{path}: {explain(error)}") from error
    except InputError as error:
        raise DefinitionError(f"{path}: {error}") from error
