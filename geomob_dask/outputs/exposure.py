"""Output of exposures: the summary, exported tables, the long form, report and map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.frames.exposure_tables import LOW_OVERLAP, OVERLAP_STATISTICS, long_table
from geomob_dask.frames.tract_precision import ALL_MARGINS, USED, poor_share
from geomob_dask.messages import counted
from geomob_dask.metrics.exposure_terms import Mode
from geomob_dask.metrics.quality import FAIR_CV, SPREAD
from geomob_dask.outputs.names import RegionNames, group_labels, region_names
from geomob_dask.outputs.result import (
    EXPORT_TABLE,
    LABELS,
    LAYER,
    MAP_HELP,
    TITLE,
    Done,
    Flag,
    Flags,
    Outputs,
    files_of,
    report,
    result,
    written_lines,
)
from geomob_dask.outputs.tables import MAPS, PAGES, TABLES
from geomob_dask.products.exposure import Details, Options, title
from geomob_dask.products.product import Prepared
from geomob_dask.sources.region_weights import Weights
from geomob_dask.store import Store

_LONG = ("county", "place")
_CORRECTED = ", corrected for noise in the tracts' counts"


class ExposureOutputs(Outputs):
    """Summary, exported tables, long form, report and map of exposures."""

    flags: Mapping[str, Flag] = {
        **Outputs.flags,
        "labels": LABELS,
        "export": EXPORT_TABLE,
        "long": Flag("Also write the published long form (county, place).", files=TABLES),
        "interactions": Flag(
            "Also write the share of each group around the average member of each group.", files=TABLES
        ),
        "map": Flag(MAP_HELP.format("one per year and kind of region"), files=MAPS, polygons=True),
        "layer": LAYER,
        "title": TITLE,
        "report": Flag(
            "Also write a one-page report (.html), for offline use; one per year and kind of region.", files=PAGES
        ),
    }

    def options(self, given: Flags) -> dict[str, Any]:
        """Return that interactions are computed where they are written, and tracts' precision where it is drawn."""
        precision = {"precision": True} if given.get("report") else {}
        return {"interactions": bool(given.get("interactions")), **precision}

    def check_results(self, store: Store, prepared: Sequence[Prepared], given: Flags) -> None:
        """Raise InputError if files or totals do not fit the results."""
        super().check_results(store, prepared, given)
        for by in (item.options.by for item in prepared):
            if given.get("long") and by not in _LONG:
                raise InputError(
                    f"--long {given['long']}: found --by {by}, expected the published form's county or place"
                )
        reported = prepared[0].options.reported
        if reported and len(prepared) > 1:
            raise InputError(
                f"--reported {reported}: found {len(prepared)} results, expected one: totals are those of one year and "
                "kind of region, so run the job once for each, with its own file"
            )

    def needs_cluster(self, given: Flags) -> bool:
        """Return whether polygons are simplified for a map."""
        return bool(given.get("map"))

    def lines(self, store: Store, prepared: Prepared) -> list[str]:
        """Return the summary of a result in the store, after its check against reported totals."""
        details: Details = prepared.details
        if details.reported is not None:
            details.reported.check(result(store, prepared)["people_count"])
        return summary_lines(store, prepared)

    def write(self, done: Done) -> list[str]:
        """Write the files that flags ask for."""
        for flag, role in (("export", "result"), ("interactions", "interactions")):
            if done.given.get(flag):
                table = joined([(item, named_result(done.store, item, role)) for item in done.prepared])
                self.write_table(done, flag, table, role=role)
        if done.given.get("long"):
            self.write_table(done, "long", _long_form(done.store, done.prepared))
        lines = []
        if done.given.get("report"):
            for item, file in files_of(done.given["report"], done.prepared):
                # Bokeh takes a while to import: only pages need it.
                from geomob_dask.outputs.exposure_report import write_report

                write_report(done.store, item, file)
            lines += written_lines(done.given["report"], done.prepared)
        if done.given.get("map"):
            for item, file in files_of(done.given["map"], done.prepared):
                from geomob_dask.outputs.exposure_map import map_result

                map_result(done, item, file)
            lines += written_lines(done.given["map"], done.prepared)
        return lines


def summary_lines(store: Store, prepared: Prepared) -> list[str]:
    """Return the summary of a result in the store, one text per line."""
    found = report(store, prepared)
    options: Options = prepared.options
    details: Details = prepared.details
    corrects = Mode.of(options.mode).corrects_noise
    unused = "" if corrects else ", not in these values nor in their bounds"
    lines = [
        f"{title(options)}: {counted(found['regions'], 'region')} from "
        f"{counted(found['tracts'] - found['tracts_outside'], 'tract')}, groups "
        f"{details.grouping.name}, mode {options.mode}",
        f"  {_nowhere(options)}: {counted(found['tracts_outside'], 'tract')} whole; "
        f"{found['people_outside']:,.0f} of {found['people']:,.0f} people",
        *_weight_lines(details.weights, found["people_shared"]),
        f"  exposure to everybody else{_CORRECTED if corrects else ''}: first quartile, median, third quartile of",
        "    regions; regions by quality 1, 2, 3 of the count (CV below 0.2, below 0.4, above); by accuracy 1, 2, 3 of",
        "    the exposure (margin and correction below 2 points of 100, below 5, above)",
    ]
    names, labels = region_names(store, prepared), group_labels(details.labels)
    width = max(map(len, labels.values()))
    for name, label in labels.items():
        group = found["groups"][name]
        quartiles = group["quartiles"]
        spread = "  ".join(f"{value:5.3f}" for value in quartiles) if quartiles else "no region has a value"
        grades = "   ".join(" / ".join(f"{count:,}" for count in group[name]) for name in ("quality", "accuracy"))
        lines.append(f"    {label:<{width}} {spread}   {grades}")
        if group["correction"]:
            middle, most = group["correction"]
            lines.append(f"      correction for noise: median {middle:+.4f}, largest {most:+.4f}{unused}")
        for words, (count, first) in group["reasons"].items():
            more = "; …" if count > len(first) else ""
            regions = names.listed(first)
            lines.append(f"      {count:,} {'region' if count == 1 else 'regions'}: {words} ({regions}{more})")
    lines += _overlap_lines(found["overlap"], names)
    lines += _tract_lines(found["tract_cv"], labels)
    lines.append("  checked: shares sum to 1, values within 0 to 1 and their bounds, missing exactly where there is a")
    lines.append("    reason, groups sum to the tract's people, people of regions and outside balance")
    return [*lines, f"  in {store.url}/{prepared.collection}"]


def _nowhere(options: Options) -> str:
    if options.regions is None:
        return "in no region"
    return f"outside the {counted(len(options.regions), 'chosen region')}"


def _overlap_lines(found: Mapping[str, Any] | None, names: RegionNames) -> list[str]:
    """Return the distribution of the overlap, where a crosswalk has told it."""
    if found is None:
        return []
    numbers = "  ".join(f"{found[name]:.4f}" for name in OVERLAP_STATISTICS)
    low = ""
    if found["low"]:
        first = "; ".join(f"{names.label(region)} {value:.3f}" for region, value in found["lowest"])
        more = "; …" if found["low"] > len(found["lowest"]) else ""
        low = f"; {counted(found['low'], 'region')} below {LOW_OVERLAP:g} ({first}{more})"
    return [
        "  overlap of regions and tracts, Σ afact·afact2: minimum, quartile, median, mean, quartile, maximum",
        f"    {numbers}{low}",
    ]


def _tract_lines(tallies: Sequence[Mapping[str, Any]], labels: Mapping[str, str]) -> list[str]:
    """Return the share of tracts with a poor count, of each group as it is used and with all margins."""
    used = {row["group"]: row for row in tallies if row["margin"] == USED}
    whole = {row["group"]: row for row in tallies if row["margin"] == ALL_MARGINS}
    lines = [f"  tracts with people whose count has a CV of {FAIR_CV:g} or more, by group"]
    width = max(map(len, labels.values()))
    for name, label in labels.items():
        share = f"{poor_share(used[name]):.3f}" if used[name]["with_cv"] else "no tract has a CV"
        more = f" ({poor_share(whole[name]):.3f} with the margins of all zero estimates)" if name in whole else ""
        lines.append(f"    {label:<{width}} {share}{more}")
    return lines


def _weight_lines(weights: Weights, shared: Sequence[int]) -> list[str]:
    """Return what shares of tracts are shares of, and in how many regions the accuracy is graded lower for it."""
    lines = [f"  weights: {weights.line}"]
    if shared[0] and not weights.kind.counts_people:
        lines.append(
            f"    accuracy is one grade lower in {counted(shared[0], 'region')}: more than {SPREAD:.0%} of the people "
            "live in tracts that lie there in part"
        )
    return lines


def named_result(store: Store, prepared: Prepared, role: str | None = None) -> pd.DataFrame:
    """Return a result by region, with the names that readers know regions by."""
    return region_names(store, prepared).named(result(store, prepared, role))


def joined(results: Sequence[tuple[Prepared, pd.DataFrame]]) -> pd.DataFrame:
    """Return results as one table indexed by region; several with columns ``year`` and ``by`` in front."""
    if len(results) == 1:
        item, table = results[0]
        return table.rename_axis(item.options.by)
    parts = []
    for item, table in results:
        part = table.copy()
        part.insert(0, "year", item.options.year)
        part.insert(1, "by", item.options.by)
        parts.append(part)
    return pd.concat(parts)


def _long_form(store: Store, prepared: Sequence[Prepared]) -> pd.DataFrame:
    """Return the published long form of all results."""
    parts = [
        long_table(
            result(store, item),
            item.options.by,
            item.details.labels,
            year=item.options.year,
            subgroup_type=item.details.grouping.subgroup_type,
        )
        for item in prepared
    ]
    index = pd.Index(np.concatenate([part["year"].to_numpy() for part in parts]), name="year")
    return pd.concat(parts).drop(columns="year").set_index(index)
