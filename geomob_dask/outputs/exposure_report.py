"""Report of exposures.

The report has the plots of the source document: exposure against the group's share of its region, coefficient of
variation against the group's count, interpolated against reported people if these are known, quality by group, overlap
of regions and tracts, and the precision of single tracts' counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import ColumnDataSource, FixedTicker, NumeralTickFormatter

from geomob_dask.frames.exposure_tables import points
from geomob_dask.messages import counted
from geomob_dask.metrics.exposure_terms import Mode
from geomob_dask.metrics.quality import FAIR_CV, FAIR_ERROR, GOOD_CV, GOOD_ERROR
from geomob_dask.outputs.exposure_overlap import overlap_section
from geomob_dask.outputs.exposure_plots import HIGHEST_CV, against_count, against_share
from geomob_dask.outputs.exposure_reported import reported_section
from geomob_dask.outputs.exposure_tracts import tract_sections
from geomob_dask.outputs.names import group_labels, kind_nouns, labels_of_regions, region_names
from geomob_dask.outputs.page import Figure, Section, report, sortable, write_page
from geomob_dask.outputs.palette import CATEGORIES, MISSING
from geomob_dask.outputs.plots import hover, plain_figure, wrapped_rows
from geomob_dask.outputs.provenance import record_of
from geomob_dask.outputs.ranking import Estimates, Measure, Ranking
from geomob_dask.outputs.result import report as stored_report
from geomob_dask.outputs.result import result
from geomob_dask.products.exposure import CELLS, Details, Options, title
from geomob_dask.products.product import Prepared
from geomob_dask.sources.tables import file_checksums
from geomob_dask.store import Store

_QUALITY = {
    "1": ("Quality of the count 1: CV below 0.2", CATEGORIES[0]),
    "2": ("Quality of the count 2: CV below 0.4", CATEGORIES[1]),
    "3": ("Quality of the count 3: CV of 0.4 or more", CATEGORIES[3]),
    "?": ("Value known, error unknown", CATEGORIES[4]),
    "missing": ("No value", MISSING),
}
_ACCURACY = {
    "1": (f"Accuracy of the exposure 1: within {GOOD_ERROR * 100:g} points of 100", CATEGORIES[0]),
    "2": (f"Accuracy of the exposure 2: within {FAIR_ERROR * 100:g} points", CATEGORIES[1]),
    "3": ("Accuracy of the exposure 3: less", CATEGORIES[3]),
    "?": _QUALITY["?"],
    "missing": _QUALITY["missing"],
}
_GRADES = {1.0: "1, good", 2.0: "2, fair", 3.0: "3, poor"}
_MODES = {
    Mode.CORRECTED: "tracts are counted by their share in the region, variances by its square",
    Mode.PUBLISHED: "tracts are counted by their share in the region, variances by that share too "
    "(as published since 2023): standard errors are too wide",
    Mode.PUBLISHED_2023: "whole tracts are counted in every region they touch (as published in 2023): "
    "regions that share tracts are overcounted",
}
_FOOTER = (
    "Method: Williams and Pancini (2023), Race/Ethnicity Exposure. Bounds are those of a 90% interval, with "
    "independent errors of the groups' counts. {} Accuracy: half the width of the bounds, and the size of the "
    "correction."
)
_CORRECTED = (
    "Exposures are corrected for the bias that noise in the tracts' counts gives them, to second order, and bounds lie "
    "around the corrected ones."
)
_CORRECTED_TABLE = ", corrected for noise in the tracts' counts"
_UNCORRECTED = (
    "Exposures are those of the counts as they are, and bounds lie around them: noise in the counts lowers both."
)


def write_report(store: Store, prepared: Prepared, file: str) -> None:
    """Write the report on one result of the store.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    options: Options = prepared.options
    details: Details = prepared.details
    text = report_page(
        region_names(store, prepared).named(result(store, prepared)),
        group_labels(details.labels),
        stored_report(store, prepared),
        by=options.by,
        title=title(options),
        subtitle=f"{details.grouping.title}. Mode {options.mode}: {_MODES[Mode(options.mode)]}."
        + ("" if options.regions is None else f" {counted(len(options.regions), 'chosen region')} alone.")
        + f" Regions: {details.weights.line}.",
        year=options.year,
        source=f"{options.dataset} {options.year}, groups {details.grouping.name}",
        cells=result(store, prepared, CELLS),
        reported=details.reported_people,
        outside="in no region" if options.regions is None else "outside the chosen regions",
    )
    compared_with = {} if options.reported is None else file_checksums([options.reported])
    write_page("--report", file, text, record_of(store, [prepared], option="--report", inputs=compared_with))


def report_page(
    table: pd.DataFrame,
    groups: Mapping[str, str],
    found: Mapping[str, Any],
    *,
    by: str,
    title: str,
    subtitle: str,
    year: int,
    source: str,
    cells: pd.DataFrame,
    reported: pd.DataFrame | None = None,
    outside: str = "in no region",
) -> str:
    """Return the report as HTML.

    Parameters
    ----------
    table : DataFrame, index: regions
        ``region_name``, ``people_count``, ``overlap``, and columns of every group as
        `frames.exposure_tables.exposure_table` returns them.
    groups : mapping of name to label
    by : str
        The kind of the regions.
    found : mapping
        Summary: ``regions``, ``tracts``, ``people``, ``people_outside``, ``overlap`` (see `overlap_summary`),
        ``tract_cv`` (see `frames.tract_precision`), and by group in ``groups``: ``known``, ``quality``,
        ``accuracy``, ``quartiles``, ``correction``, ``reasons``.
    year : int
    source : str
        What the counts are, for captions.
    cells : DataFrame
        See `frames.tract_precision.TractPrecision`.
    reported : DataFrame, optional
        Reported people by region: ``people``, and perhaps groups.
    outside : str
        Where people are who are in none of the regions.
    """
    sources = {group: _points(table, group) for group in groups}
    unknown = any(found["groups"][group]["known"] > sum(found["groups"][group]["quality"]) for group in groups)
    keys = dict(words for grade, words in _QUALITY.items() if grade in "123" or (grade == "?" and unknown))
    quality, accuracy = _graded(found, groups, "quality"), _graded(found, groups, "accuracy")
    corrected = bool((table["bounds_of"] == "exposure_corrected").any())
    sections = [
        Section(
            "Regions by exposure to everybody else",
            "Share of all other groups around the average member of the group (0 to 1): 1 where a member lives among "
            f"others only. Data: {source}.",
            ranking=_ranking(table, groups, by, corrected),
        ),
        Section(
            "Exposure to everybody else",
            "Share of all other groups around the average member of the group, across regions (0 to 1)"
            f"{_CORRECTED_TABLE if corrected else ''}. Data: {source}.",
            table=sortable(_summary(found, groups), places=3),
        ),
        Section(
            "Exposure against the group's share of the region",
            "The dashed line is the exposure of a group that lives evenly everywhere: one minus its share. The further "
            "below it, the more the group lives among itself. Both are shares from 0 to 1, a point is a region. "
            f"Reproduces the plots of step 6 of the method. Data: {source}.",
            plots=[against_share(one, groups[group]) for group, one in sources.items()],
            keys=keys,
        ),
        Section(
            "Coefficient of variation against the group's count",
            "CV: the standard error of the region's count divided by the count. Dashed lines at "
            f"{GOOD_CV:g} and {FAIR_CV:g} separate the three grades of the count; values above {HIGHEST_CV:g} are "
            f"drawn at {HIGHEST_CV:g}. Suppressed groups have no value and are not drawn. Reproduces the plots of step "
            f"7.2 of the method. Data: {source}.",
            plots=[against_count(one, groups[group]) for group, one in sources.items()],
            keys=keys,
        ),
        Section(
            "Quality of counts by group",
            "Regions by grade of the group's count, as published. Gray: no value, because nobody or too few of the "
            "group live there, or a tract's count is missing. Reproduces the counts of step 7.3 of the method. "
            f"Data: {source}.",
            plots=[_grade_bars(quality, list(groups.values()), _QUALITY)],
            keys=_keys(quality, _QUALITY),
        ),
        Section(
            "Accuracy of exposures by group",
            "Regions by grade of the exposure: its 90% margin and the size of its correction together. The count of a "
            "group can be good where its exposure is not, since that depends on the counts of single tracts. "
            f"Data: {source}.",
            plots=[_grade_bars(accuracy, list(groups.values()), _ACCURACY)],
            keys=_keys(accuracy, _ACCURACY),
        ),
        *([] if reported is None else [reported_section(table, reported, groups, source=source)]),
        *([] if found["overlap"] is None else [overlap_section(table, found["overlap"], source=source)]),
        *tract_sections(found["tract_cv"], cells, groups, year=year, source=source),
    ]
    people = found["people"]
    facts = [
        (f"{found['regions']:,}", "regions"),
        (f"{found['tracts']:,}", "tracts"),
        (f"{people:,.0f}", "people"),
        (f"{found['people_outside'] / people if people else 0:.1%}", f"of them {outside}"),
    ]
    footer = _FOOTER.format(_CORRECTED if corrected else _UNCORRECTED)
    return report(title, subtitle, sections, facts=facts, footer=footer)


def _ranking(table: pd.DataFrame, groups: Mapping[str, str], by: str, corrected: bool) -> Ranking:
    """Return the regions by the exposure of one group at a time, each with its interval and accuracy."""
    measures = []
    for group, label in groups.items():
        grades = table[f"{group}_exposure_accuracy"].to_numpy(np.float64)
        value = points(table, group).to_numpy(np.float64)
        lower, upper = (table[f"{group}_exposure_{end}"].to_numpy(np.float64) for end in ("lb", "ub"))
        raw = table[f"{group}_exposure"].to_numpy(np.float64) if corrected else None
        flags = [
            _GRADES.get(grade, "" if np.isnan(one) else "error unknown")
            for grade, one in zip(grades, value, strict=True)
        ]
        missing = table[f"{group}_exposure_reason"].fillna("").tolist()
        measures.append(Measure(label, [Estimates(value, lower, upper, raw=raw, flags=flags)], missing=missing))
    names = table["region_name"].fillna("")
    return Ranking(
        kind_nouns(by),
        [name or str(code) for code, name in names.items()],
        measures,
        codes=[str(code) for code in table.index],
        label="Group",
        raw="before the correction for noise in the tracts' counts",
        flag="Accuracy",
    )


def _summary(found: Mapping[str, Any], groups: Mapping[str, str]) -> pd.DataFrame:
    rows = {}
    for group, label in groups.items():
        one = found["groups"][group]
        quartiles = one["quartiles"] or [np.nan] * 3
        rows[label] = {
            "Regions with a value": one["known"],
            **dict(zip(("First quartile", "Median", "Third quartile"), quartiles, strict=True)),
            "Median correction": np.nan if one["correction"] is None else one["correction"][0],
            "Regions without a value, or without its error": "; ".join(
                f"{count:,} {words}" for words, (count, _) in one["reasons"].items()
            )
            or "none",
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("Group")


def _points(table: pd.DataFrame, group: str) -> ColumnDataSource:
    """Return the regions that have a value of the group."""
    given = table[table[f"{group}_exposure"].notna()]
    grade = given[f"{group}_exposure_quality"].map({1.0: "1", 2.0: "2", 3.0: "3"}).fillna("?")
    return ColumnDataSource(
        {
            "label": labels_of_regions(given),
            "exposure": points(given, group).to_numpy(),
            "uncorrected": given[f"{group}_exposure"].to_numpy(),
            "accuracy": given[f"{group}_exposure_accuracy"].map("{:.0f}".format).to_numpy(object),
            "lower": given[f"{group}_exposure_lb"].to_numpy(),
            "upper": given[f"{group}_exposure_ub"].to_numpy(),
            "share": (given[f"{group}_count"] / given["people_count"]).to_numpy(),
            "count": given[f"{group}_count"].to_numpy(),
            "cv": given[f"{group}_count_cv"].to_numpy(),
            "cv_shown": given[f"{group}_count_cv"].clip(upper=HIGHEST_CV).to_numpy(),
            "color": [_QUALITY[one][1] for one in grade],
        }
    )


def _graded(found: Mapping[str, Any], groups: Mapping[str, str], kind: str) -> dict[str, list[int]]:
    """Return the regions of each quality or accuracy, group by group."""
    counts: dict[str, list[int]] = {grade: [] for grade in _QUALITY}
    for group in groups:
        one = found["groups"][group]
        graded = [*one[kind], one["known"] - sum(one[kind]), found["regions"] - one["known"]]
        for grade, count in zip(_QUALITY, graded, strict=True):
            counts[grade].append(count)
    return counts


def _keys(counts: Mapping[str, list[int]], words: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    return {words[grade][0]: words[grade][1] for grade, column in counts.items() if any(column)}


def _grade_bars(counts: Mapping[str, list[int]], names: list[str], words: Mapping[str, tuple[str, str]]) -> Figure:
    shown = [grade for grade in counts if any(counts[grade])]
    rows = [-row for row in range(len(names))]
    labels = wrapped_rows(names)
    source = ColumnDataSource({"row": rows, "group": names, **counts})
    plot = plain_figure(
        y_range=(0.6 - len(names), 0.6),
        x_range=(0, max(sum(column[0] for column in counts.values()), 1)),
        x_axis_label="Regions",
        height=70 + 30 * len(names) + 11 * sum(text.count("\n") for text in labels.values()),
    )
    bars = plot.hbar_stack(shown, y="row", height=0.62, color=[words[grade][1] for grade in shown], source=source)
    for bar, grade in zip(bars, shown, strict=True):
        hover(plot, bar, ("", "@group"), (words[grade][0], f"@{{{grade}}}{{0,0}} regions"))
    plot.yaxis.ticker = FixedTicker(ticks=rows)
    plot.yaxis.major_label_overrides = labels
    plot.xaxis.formatter = NumeralTickFormatter(format="0,0")
    plot.ygrid.grid_line_color = None
    best = [
        counts["1"][place] / max(sum(column[place] for column in counts.values()), 1) for place in range(len(names))
    ]
    finding = "; ".join(
        f"{name}: {share:.0%} of the regions have grade 1" for name, share in zip(names, best, strict=True)
    )
    numbers = {"group": "Group", **{grade: words[grade][0] for grade in shown}}
    return Figure(plot, f"{finding}.", numbers=numbers, sources=[source])
