"""Intervals of an opportunity index from margins of error and from what imputing leaves open."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import Field

from geomob_dask.errors import InputError
from geomob_dask.frames.draws import intervals, margins_of
from geomob_dask.products import opportunity
from geomob_dask.products.product import Frames, Prepared, Product, Target
from geomob_dask.products.reader import Reader
from geomob_dask.sources.attributes import kinds_in, plain_kinds
from geomob_dask.sources.kinds import Kind
from geomob_dask.store import Store

# What is assumed of errors; see docs/opportunity.md.
MODEL = {
    "interval": "90 % of draws, about opportunity_corrected and rank_corrected",
    "observed_measures": "posterior of the true value: normal errors, normal truth about the neighbors' mean",
    "imputed_measures": "drawn as tracts scatter about their neighbors' mean",
    "unknown_margins": "95th percentile of the measure's standard errors",
    "dependence": "sampling errors independent between measures and tracts; true deviations of one tract correlated",
}


class Options(opportunity.Options):
    """An index, and how often its measures are drawn."""

    draws: int = Field(description="Number of draws of the measures, observed and imputed: 90 % intervals.")
    seed: int = Field(0, description="Seed of the draws.")

    def collection(self, kind: str = "intervals", *, by_state: bool = False, year: int | None = None) -> str:
        """Return the collection of the intervals, or that of the index."""
        name = super().collection(kind, by_state=by_state, year=year)
        return f"{name}-{self.draws}-{self.seed}" if kind == "intervals" else name


class Intervals(Product):
    """90 % intervals of an index and of its rank among all tracts."""

    name = "intervals"
    title = "Intervals of an opportunity index from margins of error and from what imputing leaves open."
    options = Options

    def prepare(self, store: Store, options: Options, *, by_state: bool = False) -> Prepared:
        """Return the inputs and targets of a run; see `Product.prepare`."""
        if options.draws < 2:
            raise InputError(f"--draws {options.draws}: expected 2 or more")
        if options.norm != "selected":
            raise InputError(f"--draws: found --norm {options.norm}, expected selected: its moments are drawn as well")
        index = opportunity.Opportunity().prepare(store, options)
        measures = index.inputs["measures"]
        columns = store.columns(measures)
        kinds = kinds_in(measures.attributes, columns)
        margins = margins_of(options.definition, columns, kinds)
        of_measures = {name: kind for name, kind in kinds.items() if name in options.definition.measures}
        return replace(
            index,
            product=self.name,
            targets={"result": Target(options.collection())},
            attributes={**index.attributes, "model": MODEL},
            found={"margins": margins, "measures": plain_kinds(of_measures)},
        )

    def compute(self, read: Reader, prepared: Prepared) -> Frames:
        """Return the intervals of every tract that takes part."""
        options: Options = prepared.options
        margins: Mapping[str, str] = prepared.found["margins"]
        tracts, measures, edges = opportunity.inputs_of(read, prepared, [*margins.values()])
        return {
            "result": intervals(
                tracts,
                measures,
                edges,
                options.definition,
                draws=options.draws,
                seed=options.seed,
                year=options.year,
                kinds={
                    **{name: Kind.model_validate(kind) for name, kind in prepared.found["measures"].items()},
                    **{column: Kind(kind="moe", of=(measure,)) for measure, column in margins.items()},
                },
            )
        }

    def check_scope(self, options: Any, by_state: bool) -> None:
        """Raise InputError for outputs per state: ranks are those of all states."""
        if by_state:
            raise InputError("scope: found state for intervals, which are those of all states; expected the scope all")
