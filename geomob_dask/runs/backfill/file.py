"""The file of a backfill: products, their datasets and scopes.

::

    name: night
    years: 2009-2023
    products:
      counties: {job: exposure, dataset: acs5_b03002, by: county}
      metros: {job: segregation, dataset: acs5_b19001, groups: b19001, by: cbsa}
      deprivation: {job: opportunity, dataset: acs, definition: my_index.yaml, scope: state}

The keys of a product are the options of its job.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from geomob_dask.checked import Checked, explain
from geomob_dask.errors import DefinitionError, GeomobError, InputError
from geomob_dask.names import Name
from geomob_dask.options import FILE
from geomob_dask.products.catalog import CATALOG, product_named
from geomob_dask.products.options import States, Years
from geomob_dask.runs.planning import Request
from geomob_dask.yaml_text import mapping_of, read_yaml

_ANY_YEAR = 2000


class Entry(BaseModel):
    """A product of a backfill file.

    Parameters
    ----------
    job : str
        Name of the product in the catalog.
    scope : {"state", "all"}, optional
        An output per state, of its own tracts alone, or one output of all states. By default the first where the
        product's regions lie within states, the second elsewhere.
    years : optional
        Of the years of the backfill, those that this product has; all by default.
    cube : str, optional
        Name of a cube that its years are brought into, once they are committed.

    All other keys are options of the product.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    job: str
    scope: Literal["state", "all"] | None = None
    years: Years = None
    cube: Name | None = None

    @property
    def given(self) -> dict[str, Any]:
        """Return the product's options as the file gives them."""
        return dict(self.__pydantic_extra__ or {})

    @property
    def by_state(self) -> bool:
        """Return whether there is an output per state."""
        if self.scope is not None:
            return self.scope == "state"
        return product_named(self.job).scope_of_states(self.options(_ANY_YEAR))

    def options(self, year: int, states: Sequence[str] | None = None) -> Any:
        """Return the product's options for a year, validated."""
        product = product_named(self.job)
        defaults = {} if self.scope is None else product.scope_defaults(self.scope == "state")
        chosen = {} if states is None else {"states": list(states)}
        return product.options.model_validate({**defaults, **self.given, **chosen, "year": year})

    @model_validator(mode="after")
    def _fits(self) -> Self:
        product = product_named(self.job)
        if "year" not in product.options.model_fields:
            raise ValueError(f"job: found {self.job}, which has no years; expected a product of a dataset and year")
        absent = sorted({"year", "states"} & set(self.given))
        if absent:
            raise ValueError(f"{absent[0]}: expected it for all products: years, states, beside products")
        if self.given.get("change"):
            raise ValueError("change: found it in a backfill, whose years are apart; expected since: YEAR")
        try:
            product.check_scope(self.options(_ANY_YEAR), self.by_state)
        except ValidationError as error:
            raise ValueError(explain(error, root="")) from error
        return self


class Backfill(Checked):
    """The contents of a backfill file.

    Parameters
    ----------
    name : str
        Of its journal in the store, ``backfills/<name>``.
    products : mapping of str to Entry
    years, states : optional
        Unless flags name others. Outputs of the scope ``all`` then cover these states together.
    """

    name: Name
    products: Annotated[dict[Name, Entry], Field(min_length=1)]
    years: Years = None
    states: States = None

    @model_validator(mode="after")
    def _one_cube_per_product(self) -> Self:
        owner: dict[str, str] = {}
        for product, entry in self.products.items():
            if entry.cube is not None:
                other = owner.setdefault(entry.cube, product)
                if other != product:
                    raise ValueError(f"cube {entry.cube}: found for {other} and {product}, expected a cube each")
        return self

    def chosen(self, names: Sequence[str] | None) -> dict[str, Entry]:
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


@dataclass(frozen=True)
class Product:
    """One entry of a file, whose definitions are read once.

    Parameters
    ----------
    name : str
    entry : Entry
    together : tuple of str, optional
        The states that outputs of the scope ``all`` are made of; all of the store by default.
    """

    name: str
    entry: Entry
    by_state: bool
    options: Any

    @classmethod
    def of(cls, name: str, entry: Entry, together: tuple[str, ...] | None) -> Self:
        """Return an entry with its options read."""
        by_state = entry.by_state
        return cls(name, entry, by_state, entry.options(_ANY_YEAR, None if by_state else together))

    def measures(self, year: int) -> str:
        """Return the collection that outputs of a year are made from."""
        return str(self.options.model_copy(update={"year": year}).measures)

    def request(self, year: int, only: Sequence[str] | None) -> Request:
        """Return the request of a year."""
        options = self.options.model_copy(update={"year": year})
        return Request(self.entry.job, options, self.by_state, self.name, None if only is None else tuple(only))


def is_backfill_file(text: str) -> bool:
    """Return whether a text names a backfill's file, rather than a backfill.

    Examples
    --------
    >>> [is_backfill_file(text) for text in ("night.yaml", "plans/night", "night")]
    [True, True, False]
    """
    return text.lower().endswith((".yaml", ".yml")) or "/" in text or os.path.isfile(text)


def read_backfill(file: str) -> Backfill:
    """Return the contents of a backfill file.

    Files that it names (definitions, groups, brackets, kinds, crosswalks, prices, models) are looked for in its own
    folder; one that is only in the current folder is used too.

    Raises
    ------
    DefinitionError
        Naming the file, the key, what was found and what was expected.
    """
    path = Path(file)
    what = "a backfill: keys name, products, …"
    plain = mapping_of(read_yaml(path, DefinitionError, what), str(path), DefinitionError, what)
    try:
        return Backfill.model_validate(_beside(plain, path.parent))
    except ValidationError as error:
        raise DefinitionError(f"{path}: {explain(error)}") from error
    except GeomobError as error:
        raise DefinitionError(f"{path}: {error}") from error


_SUFFIXES = frozenset((".yaml", ".yml", ".csv", ".tsv", ".txt", ".gz", ".parquet", ".xls", ".xlsx", ".zip", ".model"))


def _beside(plain: Mapping[Any, Any], folder: Path) -> dict[Any, Any]:
    """Return the contents of a file with the files that its products name as paths from the current folder."""
    products = plain.get("products")
    if not isinstance(products, dict):
        return dict(plain)
    return {**plain, "products": {name: _with_files(entry, folder) for name, entry in products.items()}}


def _with_files(entry: Any, folder: Path) -> Any:
    job = entry.get("job") if isinstance(entry, dict) else None
    if not isinstance(job, str) or job not in CATALOG:
        return entry
    fields = product_named(job).options.model_fields
    named = {key for name, field in fields.items() if FILE in field.metadata for key in (name, field.alias)}
    return {key: _found(text, folder) if key in named else text for key, text in entry.items()}


def _found(text: Any, folder: Path) -> Any:
    """Return the path of a file, or the text as it is: a name that is shipped, columns, a study in the store."""
    # Shipped names have neither, and come before files.
    if not isinstance(text, str) or (not Path(text).suffix and "/" not in text):
        return text
    beside = os.path.join(folder, os.path.expanduser(text))
    is_file = Path(text).suffix in _SUFFIXES and not os.path.lexists(text)
    return beside if os.path.lexists(beside) or is_file else text
