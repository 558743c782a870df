"""Report on income mixing: maps, figures of the source, means of regions and distributions, years side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from geomob_dask.outputs.mixing_figures import drawn_regions, figure_sections
from geomob_dask.outputs.mixing_map import BRACKETS, POSITIONS, Tables, map_sections
from geomob_dask.outputs.page import Section, report, sortable, write_page
from geomob_dask.outputs.palette import categories
from geomob_dask.outputs.plots import plain_figure
from geomob_dask.outputs.provenance import record_of
from geomob_dask.outputs.result import notes_of_years, polygons, reader, result
from geomob_dask.products.mixing import Options, bracket_counts
from geomob_dask.products.product import Prepared
from geomob_dask.store import Store


def write_map(store: Store, results: Sequence[Prepared], file: str) -> None:
    """Write the three-color map of results of the store, with the class and indices of tracts as further layers."""
    notes = notes_of_years(store, results)
    page = report(*_titles(results), _stored_maps(store, results, _tables(store, results)), notes=notes)
    write_page("--map", file, page, record_of(store, results, option="--map"))


def write_report(store: Store, results: Sequence[Prepared], file: str) -> None:
    """Write the report on results of the store, with maps if the store has polygons."""
    tables = _tables(store, results)
    vintages = {store.snapshot(item.collection).attributes["vintage"] for item in results}
    drawn = all(store.find(f"tracts/{vintage}") is not None for vintage in vintages)
    regions = drawn_regions(tables)
    counts = {
        item.options.year: bracket_counts(reader(store, item), item, regions[item.options.year]) for item in results
    }
    sections = [
        *(_stored_maps(store, results, tables, beside=True) if drawn else []),
        *figure_sections(tables, counts, results[0].options.brackets.cuts, distance=_distance(results[0].options)),
        means_section(tables),
        spread_section(tables),
    ]
    page = report(*_titles(results), sections, notes=notes_of_years(store, results))
    write_page("--report", file, page, record_of(store, results, option="--report"))


def _titles(results: Sequence[Prepared]) -> tuple[str, str]:
    options: Options = results[0].options
    years = ", ".join(str(item.options.year) for item in results)
    return (
        f"Income mixing: {options.brackets.title}",
        f"{options.dataset} {years}, tracts against their region (by {options.by})",
    )


def _tables(store: Store, results: Sequence[Prepared]) -> dict[int, pd.DataFrame]:
    """Return each year's result."""
    return {item.options.year: result(store, item) for item in results}


def _stored_maps(store: Store, results: Sequence[Prepared], tables: Tables, *, beside: bool = False) -> list[Section]:
    shapes = {item.options.year: polygons(store, [item]) for item in results}
    options: Options = results[0].options
    return map_sections(tables, shapes, options.brackets.cuts, distance=_distance(options), beside=beside)


def _distance(options: Options) -> str:
    """Return the unit of W."""
    return BRACKETS if options.positions == "unit" else POSITIONS


# Tables and distributions --------------------------------------------------------------------------------------


def region_means(table: pd.DataFrame) -> pd.DataFrame:
    """Return the means of each region, weighted by people: the mean of D is M of the region, of H its multi-group H.

    Parameters
    ----------
    table : DataFrame
        By tract: ``region``, ``people``, ``divergence``, ``entropy_index``, ``wasserstein``, ``mixture``.
    """
    known = table[table["divergence"].notna() & (table["people"] > 0)]
    people = known["people"]
    columns = ["divergence", "entropy_index", "wasserstein", "mixture"]
    weighted = known[columns].mul(people, axis=0).groupby(known["region"]).sum()
    total = people.groupby(known["region"]).sum()
    means = weighted.div(total, axis=0)
    means.insert(0, "people", total)
    means.insert(0, "tracts", known.groupby("region").size())
    return means.sort_values("people", ascending=False)


def means_section(tables: Tables) -> Section:
    """Return a table of the means of regions, years side by side."""
    by_year = {year: region_means(table) for year, table in tables.items()}
    several = len(by_year) > 1
    table = pd.concat(
        [means.add_suffix(f" {year}") if several else means for year, means in by_year.items()], axis=1
    ).rename_axis("region")
    if several:
        names = [name for means in by_year.values() for name in means.columns]
        table = table[[f"{name} {year}" for name in dict.fromkeys(names) for year in by_year]]
    return Section(
        "Means by region" + (", years side by side" if several else ""),
        "Means over the people of a region. The mean of D is the region's mutual information M; the mean of H is how "
        "much less diverse tracts are than their region.",
        table=sortable(table),
    )


def spread_section(tables: Tables) -> Section:
    """Return histograms of the measures of tracts, years as lines."""
    plots = []
    labels = {"divergence": "D", "entropy_index": "H", "wasserstein_signed": "W (poorer −, richer +)"}
    for name, label in labels.items():
        plot = plain_figure(
            width=375, height=260, sizing_mode="stretch_width", title=f"{label}: share of tracts", x_axis_label=label
        )
        known = {year: table[name].dropna() for year, table in tables.items()}
        every = pd.concat(list(known.values()))
        edges = np.linspace(every.quantile(0.005), every.quantile(0.995), 41)
        for (year, values), color in zip(known.items(), categories(len(known)), strict=True):
            heights = np.histogram(values, bins=edges)[0] / max(len(values), 1)
            middle = (edges[:-1] + edges[1:]) / 2
            plot.step(middle, heights, mode="center", line_width=2, color=color, legend_label=str(year))
        plot.legend.border_line_color = None
        plots.append(plot)
    return Section(
        "Distribution over tracts", "The lowest and highest 0.5% of tracts are not shown.", plots, stretch=True
    )
