"""Several datasets of one vintage and year as one: a definition or a grouping reads columns of a single dataset."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from geomob_dask.errors import InputError
from geomob_dask.frames.conversion import no_reasons
from geomob_dask.frames.join import join, joined_reasons, refuse_same_columns
from geomob_dask.frames.own_rows import own_rows
from geomob_dask.messages import listed
from geomob_dask.names import Name, Year
from geomob_dask.options import Names
from geomob_dask.options import Options as AnyOptions
from geomob_dask.products.measures import reasons_of
from geomob_dask.products.product import Frames, Prepared, Product, Target
from geomob_dask.products.reader import Reader
from geomob_dask.sources.attributes import joined, money_of
from geomob_dask.store import Snapshot, Store


class Options(AnyOptions):
    """What is joined."""

    datasets: Names = Field(
        description="Names of datasets in the store, two or more.", json_schema_extra={"argument": True}
    )
    name: Name = Field(alias="as", description="Name of the dataset that holds the columns of all.")
    year: Year = Field(description="A year, several separated by commas, or a span such as 2020-2024.")

    @field_validator("datasets")
    @classmethod
    def _several(cls, datasets: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(datasets)) < max(2, len(datasets)):
            raise InputError(f"datasets {listed(datasets)}: expected two or more, each once")
        return datasets

    @model_validator(mode="after")
    def _another_name(self) -> Self:
        if self.name in self.datasets:
            raise InputError(f"--as {self.name}: is one of the datasets; expected another name")
        return self


class Join(Product):
    """Join datasets of one vintage by tract: a definition reads its measures from a single dataset."""

    name = "join"
    title = "Several datasets of one vintage as one."
    options = Options

    def prepare(self, store: Store, options: Options, *, by_state: bool = False) -> Prepared:
        """Return the inputs and targets of a run; see `Product.prepare`."""
        measures = [store.snapshot(f"measures/{dataset}/{options.year}") for dataset in options.datasets]
        _refuse_vintages(measures, options.year)
        empty = {one.collection: store.empty(one) for one in measures}
        refuse_same_columns(empty)
        columns = {name: list(map(str, frame.columns)) for name, frame in empty.items()}
        found = [store.find(reasons_of(one.collection)) for one in measures]
        reasons = [one for one in found if one is not None]
        states = tuple(sorted({state for one in measures for state in one.parts}))
        collection = f"measures/{options.name}/{options.year}"
        targets = {"result": Target(collection)}
        # Reasons of an earlier join of that name must not stay beside numbers that have none.
        if reasons or store.find(reasons_of(collection)) is not None:
            targets["reasons"] = Target(reasons_of(collection))
        return Prepared(
            self.name,
            options,
            {one.collection: one for one in (*measures, *reasons)},
            targets,
            states=states,
            written=states,
            attributes={
                "vintage": measures[0].attributes["vintage"],
                **_money(measures),
                **joined([(one.attributes, columns[one.collection]) for one in measures]),
            },
        )

    def compute(self, read: Reader, prepared: Prepared) -> Frames:
        """Return the columns of all datasets and, where there are any, their reasons in the order of the datasets."""
        measures = [name for name in prepared.inputs if name.startswith("measures/")]
        tables = [read.frame(name) for name in measures]
        frames = {"result": join(*tables, names=measures)}
        if "reasons" in prepared.targets:
            reasons = [read.frame(name) for name in prepared.inputs if name.startswith("reasons/")]
            frames["reasons"] = own_rows(_reasons, tables[0], *reasons, meta=no_reasons)
        return frames


def _reasons(_: Any, *reasons: Any) -> Any:
    return joined_reasons(no_reasons(), *reasons)


def _refuse_vintages(measures: Sequence[Snapshot], year: int) -> None:
    vintages = {str(one.attributes["vintage"]): one.collection for one in measures}
    if len(vintages) > 1:
        (first, one), (second, other) = list(vintages.items())[:2]
        raise InputError(
            f"{one} is on tracts of vintage {first}, {other} on those of {second}; expected one vintage: "
            f"jobs/harmonize.py --dataset NAME --years {year} --to {second}"
        )


def _money(measures: Sequence[Snapshot]) -> Mapping[str, Any]:
    """Return the dollars of money; a dataset that names none has no money, or names the year in its columns."""
    named = [(one.collection, money_of(one.attributes)) for one in measures]
    named = [(collection, money) for collection, money in named if money]
    for collection, money in named[1:]:
        first, expected = named[0]
        for key in expected:
            if expected[key] != money.get(key):
                raise InputError(
                    f"{first} has money in {key} {expected[key]!r}, {collection} in {money.get(key)!r}; expected "
                    f"dollars of one year: jobs/harmonize.py --dataset NAME --dollars {expected['dollars']}"
                )
    return named[0][1] if named else {}
