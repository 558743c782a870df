"""Report on income mixing: maps, figures of the source, means of regions and distributions, years side by side."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from bokeh.models import ColumnDataSource

from geomob_dask.outputs.days import days_stored
from geomob_dask.outputs.map_files import write_map
from geomob_dask.outputs.mixing_figures import drawn_regions, figure_sections
from geomob_dask.outputs.mixing_map import BRACKETS, POSITIONS, Tables, map_sections, picture
from geomob_dask.outputs.names import RegionNames, kind_nouns, region_names
from geomob_dask.outputs.page import Figure, Section, report, sortable, write_page
from geomob_dask.outputs.palette import categories
from geomob_dask.outputs.plots import plain_figure
from geomob_dask.outputs.provenance import Record, record_of
from geomob_dask.outputs.provenance_words import source_line
from geomob_dask.outputs.ranking import Estimates, Measure, Ranking
from geomob_dask.outputs.result import Done, files_of, notes, notes_of_years, polygons, reader, result
from geomob_dask.outputs.tables import PAGES
from geomob_dask.products.mixing import Options, bracket_counts
from geomob_dask.products.product import Prepared
from geomob_dask.runs.display import display_polygons
from geomob_dask.store import Store

_MEANS = {
    "divergence": "D, divergence (nats): M of the region",
    "entropy_index": "H, entropy index",
    "wasserstein": "W, Wasserstein index",
    "mixture": "Mixture",
}


def write_maps(done: Done) -> None:
    """Write the three-color map of results of the store, with the class and indices of tracts as further layers.

    A page has all years, and a picture one: each year has its own.
    """
    store, results, layer = done.store, done.prepared, done.given.get("layer")
    tables, title = _tables(store, results), _titles(results)[0]
    about = partial(record_of, store, option="--map", choices={"layer": layer})
    if done.given["map"].endswith(PAGES):
        record, names = about(results), region_names(store, results[-1])
        sections = _stored_maps(store, results, tables, names, _source(store, record), layer=layer)
        page = report(*_titles(results), sections, notes=notes_of_years(store, results))
        return write_page("--map", done.given["map"], page, record)
    for item, file in files_of(done.given["map"], results):
        record, vintage = about([item]), item.attributes["vintage"]
        content = picture(
            display_polygons(store, vintage, list(item.written), done.client, done.console),
            tables,
            item.options.year,
            item.options.brackets.cuts,
            distance=_distance(item.options),
            title=title,
            subtitle=_titles([item])[1],
            source=_source(store, record),
            notes=notes(store, item),
        )
        write_map(content, file, record, layer=layer)
    return None


def _source(store: Store, record: Record) -> str:
    return source_line(record, days_stored(store, record))


def write_report(store: Store, results: Sequence[Prepared], file: str) -> None:
    """Write the report on results of the store, with maps if the store has polygons."""
    tables, record = _tables(store, results), record_of(store, results, option="--report")
    vintages = {store.snapshot(item.collection).attributes["vintage"] for item in results}
    drawn = all(store.find(f"tracts/{vintage}") is not None for vintage in vintages)
    regions, names = drawn_regions(tables), region_names(store, results[-1])
    counts = {
        item.options.year: bracket_counts(reader(store, item), item, regions[item.options.year]) for item in results
    }
    sections = [
        means_section(tables, names),
        *(_stored_maps(store, results, tables, names, _source(store, record), beside=True) if drawn else []),
        *figure_sections(
            tables,
            counts,
            results[0].options.brackets.cuts,
            distance=_distance(results[0].options),
            region_names=names,
        ),
        spread_section(tables),
    ]
    page = report(*_titles(results), sections, notes=notes_of_years(store, results))
    write_page("--report", file, page, record)


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


def _stored_maps(
    store: Store,
    results: Sequence[Prepared],
    tables: Tables,
    names: RegionNames,
    source: str,
    *,
    beside: bool = False,
    layer: str | None = None,
) -> list[Section]:
    shapes = {item.options.year: polygons(store, [item]) for item in results}
    options: Options = results[0].options
    return map_sections(
        tables,
        shapes,
        options.brackets.cuts,
        distance=_distance(options),
        beside=beside,
        region_names=names,
        source=source,
        layer=layer,
    )


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


def means_section(tables: Tables, known: RegionNames | None = None) -> Section:
    """Return the regions ranked by the means of their tracts, and a table of all means, years side by side."""
    known = known or RegionNames("")
    by_year = {year: region_means(tables[year]) for year in sorted(tables)}
    several = len(by_year) > 1
    table = pd.concat(
        [means.add_suffix(f" {year}") if several else means for year, means in by_year.items()], axis=1
    ).rename_axis("region")
    if several:
        names = [name for means in by_year.values() for name in means.columns]
        table = table[[f"{name} {year}" for name in dict.fromkeys(names) for year in by_year]]
    table.insert(0, "name", known.column(table.index).to_numpy())
    regions = [str(region) for region in table.index]
    shades = categories(len(by_year))
    measures = [
        Measure(
            title,
            [
                Estimates(means[name].reindex(table.index).to_numpy(np.float64), label=str(year), color=color)
                for (year, means), color in zip(by_year.items(), shades, strict=True)
            ],
        )
        for name, title in _MEANS.items()
    ]
    ranking = Ranking(
        kind_nouns(known.by), [known.of(region) or region for region in regions], measures, codes=regions, places=4
    )
    return Section(
        "Means by region" + (", years side by side" if several else ""),
        "Means over the people of a region. The mean of D is the region's mutual information M; the mean of H is how "
        "much less diverse tracts are than their region. Counts are taken as complete: these means have no intervals.",
        table=sortable(table),
        ranking=ranking,
    )


def spread_section(tables: Tables) -> Section:
    """Return histograms of the measures of tracts, years as lines."""
    figures = []
    labels = {"divergence": "D", "entropy_index": "H", "wasserstein_signed": "W (poorer −, richer +)"}
    shades = categories(len(tables))
    for name, label in labels.items():
        plot = plain_figure(height=260, x_axis_label=label, y_axis_label="share of tracts")
        known = {year: table[name].dropna() for year, table in tables.items()}
        every = pd.concat(list(known.values()))
        edges = np.linspace(every.quantile(0.005), every.quantile(0.995), 41)
        sources = []
        for (year, values), color in zip(known.items(), shades, strict=True):
            heights = np.histogram(values, bins=edges)[0] / max(len(values), 1)
            middle = (edges[:-1] + edges[1:]) / 2
            source = ColumnDataSource({"middle": middle, "share": heights, "year": [str(year)] * len(middle)})
            plot.step("middle", "share", source=source, mode="center", line_width=2, color=color)
            sources.append(source)
        medians = "; ".join(f"{year} {values.median():.3f}" for year, values in known.items())
        numbers = {"year": "Year", "middle": label, "share": "Share of tracts"}
        figures.append(Figure(plot, f"median {medians}.", title=label, numbers=numbers, sources=sources))
    return Section(
        "Distribution over tracts",
        "The lowest and highest 0.5% of tracts are not shown.",
        figures,
        keys=dict(zip(map(str, tables), shades, strict=True)) if len(tables) > 1 else {},
    )
