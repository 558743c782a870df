"""Income mixing of a dataset and year."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import pandas as pd
from pydantic import BeforeValidator, Field

from geomob_dask.frames.categories import merge_classes
from geomob_dask.frames.keys import to_text
from geomob_dask.frames.mixing import Mixture, mixing
from geomob_dask.frames.notes import overlap_notes
from geomob_dask.frames.units import COUNT, People, units_of
from geomob_dask.options import FILE
from geomob_dask.products.options import ByRegion, SomeRegions, Text, piece, slug, states_named
from geomob_dask.products.product import NOTES, Frames, Prepared, RegionProduct, Target
from geomob_dask.products.reader import Reader
from geomob_dask.products.regions import read_by, region_inputs, regions_frame
from geomob_dask.sources.attributes import period_in
from geomob_dask.sources.brackets import Brackets, brackets_of
from geomob_dask.store import Store


class Options(SomeRegions, ByRegion):
    """Options of mixing."""

    brackets: Annotated[Brackets, BeforeValidator(brackets_of), FILE] = Field(
        "b19001", validate_default=True, description="A .yaml file, or the name of one that is shipped."
    )
    positions: Text = Field(
        "unit", description="Where brackets lie, for W: unit (1 apart), middle, or numbers separated by commas."
    )
    merge: Text | None = Field(
        None, description="Merge brackets: a named rule, a number of equal classes, or classes 0,0,1,1,…"
    )
    weight: float = Field(0.5, description="Weight of D in the mixture of D and W, 0 to 1.")
    missing: Text = Field("refuse", description="A tract without one of its counts: refuse, or leave-out.")

    @property
    def people(self) -> People:
        """Return who is counted."""
        return People(self.brackets, self.year, self.merge, self.missing, regions=self.regions)

    def plain(self) -> dict[str, Any]:
        """Return the options as plain data."""
        return {
            "categories": self.brackets.model_dump(mode="json"),
            "dataset": self.dataset,
            "year": self.year,
            "by": self.by,
            "regions": list(self.regions) if self.regions else "all",
            "merge": self.merge,
            "missing": self.missing,
            "positions": self.positions,
            "weight": self.weight,
            "states": list(self.states or ()),
        }

    def collection(self, by_state: bool) -> str:
        """Return the collection of the result."""
        chosen = {
            "merge": self.merge,
            "positions": None if self.positions == "unit" else self.positions,
            "regions": ",".join(self.regions or ()),
            "weight": None if self.weight == 0.5 else str(self.weight),
        }
        more = "".join(f"-{name}-{slug(value)}" for name, value in chosen.items() if value)
        name = f"{states_named(self.states, by_state)}-{piece(self.by)}{more}"
        return f"results/mixing/{self.brackets.name}/{self.dataset}/{self.year}/{name}"


class Mixing(RegionProduct):
    """Divergence D, entropy index H, Wasserstein W, and low, middle and high shares of every tract."""

    name = "mixing"
    title = "Income mixing of each tract against its region: divergence D, entropy index H, Wasserstein W, composition."
    options = Options

    def prepare(self, store: Store, options: Options, *, by_state: bool = False) -> Prepared:
        """Return the inputs and targets of a run; see `Product.prepare`."""
        Mixture.of(options.brackets, options.merge, options.positions, options.weight)
        found = region_inputs(store, options, options.people.columns, nation=True)
        # Tracts of chosen states alone are written; their regions are those of all states in the store.
        written = tuple(store.chosen(found.measures, options.states))
        return Prepared(
            self.name,
            options,
            found.inputs,
            {"result": Target(options.collection(by_state))},
            states=tuple(sorted(found.measures.parts)),
            written=written,
            attributes={"vintage": found.vintage, **period_in(found.measures.attributes, found.columns)},
            details=found.columns,
            by_state=by_state,
        )

    def compute(self, read: Reader, prepared: Prepared) -> Frames:
        """Return the mixing of every tract, by state."""
        options: Options = prepared.options
        measures = read.frame("measures", prepared.details)
        found = mixing(
            measures,
            brackets=options.brackets,
            by=read_by(read, options.by),
            merge=options.merge,
            positions=options.positions,
            weight=options.weight,
            regions=options.regions,
            missing=options.missing,
        )
        where = regions_frame(read, options.by, measures)
        return {"result": found, NOTES: overlap_notes(measures, where, options.people)}

    def summarize(self, role: str, table: pd.DataFrame, prepared: Prepared) -> Mapping[str, Any]:
        """Return the number of tracts with D, and the reasons of the others."""
        without = table["reason"][table["reason"] != ""]
        reasons = {str(why): [len(rows), rows.index[:3].tolist()] for why, rows in without.groupby(without)}
        return {"tracts": len(table), "computed": int(table["divergence"].notna().sum()), "reasons": reasons}


def bracket_counts(read: Reader, prepared: Prepared, regions: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Return the counts of the tracts of some regions in each bracket, by region: a row a tract, a column a bracket.

    Parameters
    ----------
    read : Reader
        Of frames in memory.
    regions : sequence of str
        Each must have tracts.
    """
    options: Options = prepared.options
    people = People(options.brackets, options.year, options.merge, options.missing, regions=tuple(regions))
    measures = read.frame("measures", prepared.details)
    units = units_of(measures, regions_frame(read, options.by, measures), people)
    counts = units[[name for name in units.columns if str(name).startswith(COUNT)]]
    counts = counts.set_axis(bracket_labels(options.brackets, options.merge), axis=1)
    counts = counts.set_axis(to_text(counts.index))
    return {region: counts[(units["region"] == region).to_numpy()] for region in regions}


def bracket_labels(brackets: Brackets, merge: str | None) -> tuple[str, ...]:
    """Return the labels of brackets, merged where a rule is given."""
    if merge is None:
        return tuple(bracket.text for bracket in brackets.brackets)
    return brackets.class_labels(merge_classes(brackets, merge).tolist())
