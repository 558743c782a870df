"""Location quotients of a dataset and year: the share of each group in a tract over its share in the region."""

from collections.abc import Mapping
from typing import Annotated, Any

import pandas as pd
from pydantic import BeforeValidator, Field

from geomob_dask.frames.local_segregation import local
from geomob_dask.frames.notes import left_out_notes, overlap_notes, together
from geomob_dask.frames.own_rows import empty_of, own_rows
from geomob_dask.frames.reduction import reduced_rows
from geomob_dask.frames.units import People, left_out
from geomob_dask.options import FILE
from geomob_dask.products.options import ByRegion, Text, piece, states_named
from geomob_dask.products.product import NOTES, Frames, Prepared, RegionProduct, Target
from geomob_dask.products.reader import Reader
from geomob_dask.products.regions import read_by, region_inputs, regions_frame
from geomob_dask.sources.attributes import period_in
from geomob_dask.sources.brackets import categories_of
from geomob_dask.store import Store


class Options(ByRegion):
    """Options of location quotients."""

    groups: Annotated[Any, BeforeValidator(categories_of), FILE] = Field(
        description="Shipped brackets or groups, a .yaml file, or columns separated by commas, one group each."
    )
    missing: Text = Field("refuse", description="A tract without one of its counts: refuse, or leave-out.")


class LocationQuotients(RegionProduct):
    """The share of each group in a tract over its share in the region: above 1 where it is overrepresented."""

    name = "location_quotients"
    title = "Location quotients: the share of each group in a tract over its share in the region."
    options = Options

    def prepare(self, store: Store, options: Options, *, by_state: bool = False) -> Prepared:
        """Return the inputs and targets of a run; see `Product.prepare`."""
        people = People(options.groups, options.year, missing=options.missing)
        found = region_inputs(store, options, people.columns)
        name = f"{states_named(options.states, by_state)}-{piece(options.by)}"
        where = f"results/location_quotients/{options.groups.name}/{options.dataset}/{options.year}/{name}"
        return Prepared(
            self.name,
            options,
            found.inputs,
            {"result": Target(where)},
            states=tuple(found.measures.parts),
            written=tuple(store.chosen(found.measures, options.states)),
            attributes={
                "vintage": found.vintage,
                "by": options.by,
                **period_in(found.measures.attributes, found.columns),
            },
            details=found.columns,
            by_state=by_state,
        )

    def compute(self, read: Reader, prepared: Prepared) -> Frames:
        """Return the quotients of every tract, by state."""
        options: Options = prepared.options
        measures = read.frame("measures", prepared.details)
        where = regions_frame(read, options.by, measures)
        people = People(options.groups, options.year, missing=options.missing)
        scores = local(
            measures,
            groups=options.groups,
            by=read_by(read, options.by),
            year=options.year,
            missing=options.missing,
        )
        rest = reduced_rows(left_out_notes, left_out(measures, where, people))
        return {
            "result": own_rows(_quotients, scores, meta=_quotients(empty_of(scores))),
            NOTES: together(overlap_notes(measures, where, people), rest),
        }

    def summarize(self, role: str, table: pd.DataFrame, prepared: Prepared) -> Mapping[str, Any]:
        """Return the numbers of rows, of regions, and of rows by the reason why their quotients are missing."""
        without = table["reason"][table["reason"] != ""]
        return {
            "rows": len(table),
            "regions": sorted(table["region"].unique().tolist()),
            "reasons": {str(why): len(rows) for why, rows in without.groupby(without)},
        }


def _quotients(scores: pd.DataFrame) -> pd.DataFrame:
    return scores.drop(columns="local_divergence")
