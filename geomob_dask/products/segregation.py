"""Segregation of regions of a dataset and year."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import pandas as pd
from pydantic import BeforeValidator, Field

from geomob_dask.errors import InputError
from geomob_dask.frames.halo import near_partitions
from geomob_dask.frames.local_segregation import local
from geomob_dask.frames.notes import overlap_notes, together
from geomob_dask.frames.own_rows import no_value, one_value, own_rows
from geomob_dask.frames.reduction import reduced_rows
from geomob_dask.frames.region_draws import Inference
from geomob_dask.frames.region_table import RegionTable
from geomob_dask.frames.sampling import AUTO, COMPLETE
from geomob_dask.frames.segregation import segregation
from geomob_dask.frames.units import NOWHERE, UNKNOWN, People, counts_of, left_out, units_of
from geomob_dask.messages import counted
from geomob_dask.metrics.segregation_catalog import suited
from geomob_dask.metrics.segregation_concentration import READ_OTHERWISE, READ_OTHERWISE_NOTE
from geomob_dask.metrics.segregation_units import CUTOFF_KM
from geomob_dask.names import Year
from geomob_dask.options import FILE
from geomob_dask.products.options import ByRegion, Listed, SomeRegions, Text, piece
from geomob_dask.products.product import NOTES, Frames, Prepared, RegionProduct, Summaries, Target
from geomob_dask.products.reader import Reader
from geomob_dask.products.regions import read_by, region_columns, region_table, regions_frame
from geomob_dask.sources.attributes import period_in
from geomob_dask.sources.brackets import categories_of
from geomob_dask.store import Snapshot, Store
from geomob_dask.store.provenance import canonical_json, sha256

_LEVEL = "level "
# Reasons are many where groups are.
_NOTES = 8


class Options(SomeRegions, ByRegion):
    """Options of segregation."""

    groups: Annotated[Any, BeforeValidator(categories_of), FILE] = Field(
        description="Shipped brackets or groups, a .yaml file, or columns separated by commas, one group each."
    )
    indices: Listed = Field(("all",), description="all, or names of the catalog separated by commas.")
    merge: Text | None = Field(
        None, description="Merge brackets: a named rule, a number of equal classes, or classes 0,0,1,1,…"
    )
    missing: Text = Field("refuse", description="A tract without one of its counts: refuse, or leave-out.")
    draws: int = Field(0, description="Number of random draws for p-values and intervals.")
    null: Text = Field(
        "evenness", description="What is drawn for p-values: evenness, or units or persons that change places."
    )
    interval: Text = Field(
        "sampled",
        description="What is drawn for intervals: sampled (as the counts were), persons or units that are resampled, "
        "moe (each count from its margin of error), or none.",
    )
    sampled: Text = Field(
        AUTO,
        description="How the counts were taken, for all that is drawn: auto (margins of error where every group has "
        "them, else complete), margins, complete, a share of people interviewed such as 0.1, or a column of numbers of "
        "interviews.",
    )
    seed: int = Field(0, description="Seed of the draws; the same seed gives the same draws on any cluster.")
    cutoff: float = Field(CUTOFF_KM, description="Spatial proximity: pairs further apart, in km, are left out.")
    levels: Listed = Field(
        ("state", "county"), description="Nested indices: areas between region and tract, from wide to narrow."
    )
    since: Year | None = Field(None, description="A year since when the change of M and H is decomposed.")
    change: bool = Field(False, description="Decompose the change of M and H from each year to the next.")
    local: bool = Field(False, description="Whether scores of single tracts are kept too.")

    @property
    def people(self) -> People:
        """Return who is counted."""
        sampled = self.sampled if self.draws else COMPLETE
        return People(self.groups, self.year, self.merge, self.missing, self.inference.margins, self.regions, sampled)

    @property
    def inference(self) -> Inference:
        """Return which random draws are made."""
        return Inference(self.draws, self.null, self.interval, self.seed, self.year)

    def plain(self) -> dict[str, Any]:
        """Return the options as plain data."""
        drawn = self.draws > 0
        plain = {
            "categories": self.groups.model_dump(mode="json"),
            "dataset": self.dataset,
            "year": self.year,
            "by": self.by,
            "regions": list(self.regions) if self.regions else "all",
            "merge": self.merge,
            "missing": self.missing,
            "indices": list(self.indices),
            "draws": self.draws,
            "null": self.null if drawn else None,
            "interval": self.interval if drawn else None,
            **({"sampled": self.sampled} if drawn else {}),
            "seed": self.seed if drawn else None,
            "cutoff_km": self.cutoff,
            "levels": list(self.levels),
            "since": self.since,
        }
        return {**plain, "states": list(self.states)} if self.states else plain

    def collection(self, by_state: bool, product: str = "segregation") -> str:
        """Return the collection of the result; the last part of its name is a checksum of all options."""
        plain = self.plain()
        if by_state:
            # The same name in every year.
            plain.pop("year")
            plain.pop("states", None)
        name = f"{'each-' if by_state else ''}{piece(self.by)}-{sha256(canonical_json(plain))[:8]}"
        return f"results/{product}/{self.groups.name}/{self.dataset}/{self.year}/{name}"


class Segregation(RegionProduct):
    """Indices of segregation of every region."""

    name = "segregation"
    title = "Segregation of regions: two-group, multi-group, ordinal, rank-order, nested and spatial indices."
    options = Options

    def prepare(self, store: Store, options: Options, *, by_state: bool = False) -> Prepared:
        """Return the inputs and targets of a run; see `Product.prepare`."""
        measures = store.snapshot(options.measures)
        available, vintage = store.columns(measures), str(measures.attributes["vintage"])
        sampling = options.people.sampling(available)
        columns = options.people.columns(available)
        found = options.people.counts(store.empty(measures, columns))
        regions = region_table(store, options.by, vintage, available, nation=True)
        tracts, edges = store.find(f"tracts/{vintage}"), store.find(f"neighbors/{vintage}")
        indices, not_computed = suited(
            options.indices,
            ordered=options.groups.ordered,
            n_groups=len(found.names),
            lacking=_lacking(options.by, vintage, regions, tracts, edges),
        )
        RegionTable(indices, options.inference, found.names, cutoff=options.cutoff)
        needed = {need for index in indices for need in index.strategy.inputs}
        levels = options.levels if "levels" in needed else ()
        areas = {
            f"{_LEVEL}{level}": region_table(store, level, vintage, available, option="--levels") for level in levels
        }
        tables = {options.by: regions, **{level: areas[f"{_LEVEL}{level}"] for level in levels}}
        named = [name for by, table in tables.items() for name in region_columns(by, table, available)]
        inputs = {
            "measures": measures,
            "regions": regions,
            **areas,
            "tracts": tracts if "polygons" in needed else None,
            "edges": edges if "neighbors" in needed else None,
            "earlier": None if options.since is None else _earlier(store, options, vintage),
        }
        targets = {"result": Target(options.collection(by_state), by_state=False)}
        if options.local:
            targets["local"] = Target(options.collection(by_state, "segregation-local"))
        states = tuple(store.chosen(measures, options.states))
        return Prepared(
            self.name,
            options,
            {role: one for role, one in inputs.items() if one is not None},
            targets,
            states=states,
            written=states,
            attributes={
                "vintage": vintage,
                **({"sampled": sampling.text} if options.draws else {}),
                **period_in(measures.attributes, columns),
            },
            details={
                "columns": list(dict.fromkeys([*columns, *named])),
                "indices": tuple(index.name for index in indices),
                "left_out": not_computed,
                "groups": list(found.names),
                "labels": list(found.labels),
                "sampled": sampling.words if options.draws else "",
            },
            by_state=by_state,
        )

    def compute(self, read: Reader, prepared: Prepared) -> Frames:
        """Return indices of all regions, what was left out and, if wanted, the scores of tracts by state."""
        options: Options = prepared.options
        measures = read.frame("measures", prepared.details["columns"])
        by = read_by(read, options.by)
        shared = {
            "groups": options.groups,
            "by": by,
            "year": options.year,
            "merge": options.merge,
            "regions": options.regions,
            "missing": options.missing,
        }
        since = edges = tracts = near = None
        if "earlier" in read.inputs:
            before = People(options.groups, options.since or 0)
            available = read.store.columns(read.inputs["earlier"])
            named = region_columns(options.by, read.inputs.get("regions"), available)
            since = read.frame("earlier", list(dict.fromkeys([*before.columns(available), *named])))
        if "tracts" in read.inputs:
            tracts = read.frame("tracts", ["aland", "geometry"])
        if "edges" in read.inputs:
            edges = read.frame("edges", ["neighbor"])
            near = near_partitions(read.inputs["edges"].attributes["reach"], prepared.states)
        table = segregation(
            measures,
            indices=prepared.details["indices"],
            tracts=tracts,
            edges=edges,
            levels={level: read_by(read, level, f"{_LEVEL}{level}") for level in options.levels},
            draws=options.draws,
            null=options.null,
            interval=options.interval,
            sampled=options.sampled,
            seed=options.seed,
            since=since,
            since_year=options.since,
            cutoff=options.cutoff,
            near=near,
            **shared,
        )
        where = regions_frame(read, options.by, measures)
        rest = left_out(measures, where, options.people)
        noted = own_rows(_notes, table, meta=no_value, indices=prepared.details["indices"])
        frames = {
            "result": table,
            "left_out": reduced_rows(_reasons, rest),
            NOTES: together(overlap_notes(measures, where, options.people), noted),
        }
        return {**frames, "local": local(measures, **shared)} if options.local else frames

    def summarize(self, role: str, table: pd.DataFrame, prepared: Prepared) -> Mapping[str, Any]:
        """Return the number of tracts in regions."""
        return {"units": int(table["units"].sum())} if role == "result" else {"rows": len(table)}

    def report(self, prepared: Prepared, summaries: Summaries, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the numbers of units and people, what was left out, and the groups."""
        (counted,) = summaries["result"].values()
        about = {name: prepared.details[name] for name in ("left_out", "groups", "labels", "sampled")}
        return {**counted, **values["left_out"], **about}

    def of_year(self, years: Sequence[int], place: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the year and, for changes, the one before."""
        if not given.get("change"):
            return {"year": years[place]}
        if given.get("since") is not None:
            raise InputError(f"--change: found --since {given['since']} too, expected one of them")
        if len(years) < 2:
            raise InputError(f"--change: found the year {years[place]} alone, expected two or more")
        return {"year": years[place], "since": years[place - 1] if place else None}


def region_counts(read: Reader, prepared: Prepared, regions: Sequence[str]) -> dict[str, Any]:
    """Return the counts of the tracts of some regions, by region: arrays of shape (n_tracts, n_groups)."""
    options: Options = prepared.options
    people = People(options.groups, options.year, options.merge, options.missing, regions=tuple(regions))
    measures = read.frame("measures", prepared.details["columns"])
    units = units_of(measures, regions_frame(read, options.by, measures), people)
    counts, region = counts_of(units), units["region"].to_numpy(object)
    return {name: counts[region == name] for name in regions}


def _notes(table: pd.DataFrame, *, indices: Sequence[str]) -> pd.DataFrame:
    """Return notes on indices that other programs read otherwise, and on regions without values."""
    lines = []
    read_otherwise = [name for name in indices if name in READ_OTHERWISE]
    if read_otherwise:
        lines.append(f"{', '.join(read_otherwise)}: {READ_OTHERWISE_NOTE}")
    without = table["reason"][table["reason"] != ""]
    for reason, regions in without.groupby(without):
        few = f"{regions.index[0]}" + (", …" if len(regions) > 1 else "")
        lines.append(f"values missing in {len(regions):,} of {counted(len(table), 'region')} ({few}): {reason}")
    return one_value(lines[:_NOTES] + ([f"… and {len(lines) - _NOTES} more reasons"] if len(lines) > _NOTES else []))


def _lacking(
    by: str, vintage: str, regions: Snapshot | None, tracts: Snapshot | None, edges: Snapshot | None
) -> dict[str, str]:
    lacking = {}
    if tracts is None:
        lacking["polygons"] = f"needs polygons of vintage {vintage}: jobs/ingest.py tracts FILE --vintage {vintage}"
    if edges is None or (tracts is not None and edges.attributes["tracts"] != tracts.checksum()):
        why = "needs neighbors" if edges is None else "needs neighbors of the polygons that the store holds now"
        lacking["neighbors"] = f"{why}, vintage {vintage}: jobs/neighbors.py --vintage {vintage}"
    elif regions is not None and regions.attributes["key"] == "tract":
        lacking["neighbors"] = f"needs every tract in one region; {by} shares tracts out"
    return lacking


def _earlier(store: Store, options: Options, vintage: str) -> Snapshot:
    earlier = store.snapshot(f"measures/{options.dataset}/{options.since}")
    if str(earlier.attributes["vintage"]) != vintage:
        raise InputError(
            f"--change: {options.since} is on tracts of {earlier.attributes['vintage']}, {options.year} on those of "
            f"{vintage}; expected years of one vintage"
        )
    return earlier


def _reasons(parts: Sequence[pd.DataFrame]) -> dict[str, Any]:
    rest = pd.concat(parts)
    unknown = rest.index[(rest["reason"] == UNKNOWN).to_numpy()]
    return {
        "nowhere": int((rest["reason"] == NOWHERE).sum()),
        "unknown": len(unknown),
        "first_unknown": [str(key) for key in unknown[:3]],
    }
