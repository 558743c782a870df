"""Exposure between groups by region, of a dataset and year."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import pandas as pd
from pydantic import Field, field_validator

from geomob_dask.errors import SettingsError
from geomob_dask.frames.exposure import Reported, exposures
from geomob_dask.frames.regions import chosen_regions
from geomob_dask.frames.tract_precision import tract_precision
from geomob_dask.metrics.exposure_terms import Mode
from geomob_dask.metrics.quality import SUPPRESSION_THRESHOLD
from geomob_dask.options import FILE, Text, unrecorded
from geomob_dask.products.options import ByYear, SomeRegions, piece, slug, states_named
from geomob_dask.products.product import Frames, Prepared, RegionProduct, Summaries, Target
from geomob_dask.products.reader import Reader
from geomob_dask.products.regions import region_columns, region_table, region_weights, regions_frame
from geomob_dask.sources.attributes import period_in
from geomob_dask.sources.groups import Edition, Grouping, find_edition, find_grouping, load_grouping
from geomob_dask.sources.region_weights import Weights
from geomob_dask.sources.reported import read_reported_groups
from geomob_dask.store import Store

# The role of the table behind the scatter plots of tracts.
CELLS = "cells"


class Options(SomeRegions, ByYear):
    """Options of exposures."""

    by: Text = Field(
        description="county, state, regions in the store (cbsa, place, …) or a column; several separated by commas."
    )
    # The grouping that is found is recorded, whatever its file.
    groups: Annotated[Text | None, FILE] = unrecorded(
        None, "A .yaml file or a shipped grouping. [default: found from the columns]"
    )
    mode: str = Field(
        Mode.CORRECTED.value,
        alias="as",
        description="How tracts partly in a region count: corrected (bounds are those of the value corrected for noise "
        "in the counts), published, published-2023.",
    )
    threshold: float = Field(
        float(SUPPRESSION_THRESHOLD), description="Groups of this many people or fewer are suppressed."
    )
    interactions: bool = unrecorded(False, "Also compute the share of each group around each other.")
    precision: bool = unrecorded(False, "Also keep how precise the counts of tracts are, for the report.")
    reported: Annotated[Text | None, FILE] = unrecorded(
        None, "A .csv of regions and reported people, perhaps by group; a large difference of people fails the run."
    )
    tolerance: float = unrecorded(0.05, "Largest relative difference from reported people.")
    least: float = unrecorded(0.0, "Only regions of this many reported people are compared.")

    @field_validator("mode")
    @classmethod
    def _known(cls, mode: str) -> str:
        if mode not in list(Mode):
            raise SettingsError(f"--as {mode}: expected one of {', '.join(Mode)}")
        return mode

    @field_validator("threshold")
    @classmethod
    def _people(cls, threshold: float) -> float:
        if not threshold >= 0:
            raise SettingsError(f"--threshold {threshold}: expected zero or more people")
        return threshold

    def collection(self, grouping: str, kind: str = "exposure", *, by_state: bool = False) -> str:
        """Return the collection of exposures, or of interactions, of a grouping."""
        name = f"{states_named(self.states, by_state)}-{piece(self.by)}-{self.mode}-{self.threshold:g}"
        if self.regions is not None:
            name += f"-regions-{slug(','.join(self.regions))}"
        return f"results/{kind}/{grouping}/{self.dataset}/{self.year}/{name}"


@dataclass(frozen=True)
class Details:
    """What exposures are computed from besides frames.

    Attributes
    ----------
    grouping : Grouping
    edition : Edition
        Columns of the groups in the year.
    columns : list of str
        Columns of the measures that are read.
    reported : Reported, optional
    weights : Weights
        What shares of tracts in regions are shares of.
    reported_people : DataFrame, optional
        By region: ``people``, and the groups that the file of totals has.
    """

    grouping: Grouping
    edition: Edition
    columns: list[str]
    reported: Reported | None
    weights: Weights
    reported_people: pd.DataFrame | None = None

    @property
    def labels(self) -> dict[str, str]:
        """Return the label of each group, by its name."""
        return {group.name: group.label for group in self.edition.groups}


def title(options: Options) -> str:
    """Return the title of a result."""
    return f"Exposure by {options.by}, {options.dataset} {options.year}"


class Exposure(RegionProduct):
    """Compute exposures between groups by region, and check them."""

    name = "exposure"
    title = "Exposure of each group to everybody else in each region, with errors, bounds, quality and reasons."
    options = Options
    several = ("by",)

    def prepare(self, store: Store, options: Options, *, by_state: bool = False) -> Prepared:
        """Return the inputs and targets of a run; see `Product.prepare`."""
        measures = store.snapshot(options.measures)
        parts = store.chosen(measures, options.states)
        states = tuple(state for state, part in parts.items() if part.rows or not by_state)
        columns = store.columns(measures, states)
        if options.groups is None:
            grouping, edition = find_grouping(columns, options.year)
        else:
            grouping = load_grouping(options.groups)
            edition = find_edition(grouping, columns, options.year)
        table = region_table(store, options.by, str(measures.attributes["vintage"]), columns)
        reported = people = None
        if options.reported is not None:
            names = [group.name for group in edition.groups]
            people = read_reported_groups(options.reported, options.by, options.year, names)
            reported = Reported(people["people"], options.tolerance, options.least)
        read = list(dict.fromkeys([*edition.columns, *region_columns(options.by, table, columns)]))
        weights = region_weights(table)
        targets = {"result": Target(options.collection(grouping.name, by_state=by_state), by_state=False)}
        if options.interactions:
            where = options.collection(grouping.name, "interaction", by_state=by_state)
            targets["interactions"] = Target(where, by_state=False)
        if options.precision:
            targets[CELLS] = Target(
                options.collection(grouping.name, "exposure-tracts", by_state=by_state), by_state=False
            )
        return Prepared(
            self.name,
            options,
            {"measures": measures} | ({} if table is None else {"regions": table}),
            targets,
            states=states,
            written=states,
            attributes={
                "vintage": measures.attributes["vintage"],
                "by": options.by,
                "mode": options.mode,
                **weights.attributes,
                **period_in(measures.attributes, edition.columns),
            },
            found={"grouping": grouping.name, "edition": edition.model_dump(mode="json")},
            details=Details(grouping, edition, read, reported, weights, people),
            by_state=by_state,
        )

    def compute(self, read: Reader, prepared: Prepared) -> Frames:
        """Return exposures by region, what was found in the checks and, if asked for, interactions."""
        options: Options = prepared.options
        details: Details = prepared.details
        measures = read.frame("measures", details.columns)
        found = exposures(
            measures,
            chosen_regions(regions_frame(read, options.by, measures), options.regions),
            details.edition,
            mode=options.mode,
            threshold=options.threshold,
            interactions=options.interactions,
            reported=details.reported,
            weights=details.weights.kind,
        )
        precision = tract_precision(measures, details.edition)
        frames = {"result": found.table, "report": found.report, "tract_cv": precision.report}
        frames |= {"interactions": found.interactions} if options.interactions else {}
        return frames | ({CELLS: precision.cells} if options.precision else {})

    def report(self, prepared: Prepared, summaries: Summaries, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the summary of exposures (see `ExposureFrames`), with that of their tracts in ``tract_cv``."""
        return {**values["report"], "tract_cv": values["tract_cv"]}
