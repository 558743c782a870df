"""Output of income mixing: the summary, the exported table, the map, the report."""

from collections.abc import Mapping

import pandas as pd

from geomob_dask.messages import counted
from geomob_dask.outputs.names import region_names, with_counties
from geomob_dask.outputs.result import (
    LABELS,
    LAYER,
    MAP_HELP,
    TITLE,
    Done,
    Flag,
    Outputs,
    reason_lines,
    report,
    result,
    written_lines,
)
from geomob_dask.outputs.tables import MAPS, PAGES, PICTURES
from geomob_dask.products.mixing import Options
from geomob_dask.products.product import Prepared
from geomob_dask.store import Store


class MixingOutputs(Outputs):
    """Summary, export, map and report of mixing."""

    flags: Mapping[str, Flag] = {
        **Outputs.flags,
        "labels": LABELS,
        "map": Flag(MAP_HELP.format("of three colors; a picture per year"), files=MAPS, polygons=True),
        "layer": LAYER,
        "title": TITLE,
        "report": Flag("Write a report (.html) with map and tables.", files=PAGES),
    }

    def lines(self, store: Store, prepared: Prepared) -> list[str]:
        """Return the number of tracts with D, the reasons of the others, and quartiles."""
        return summary_lines(store, prepared)

    def named(self, store: Store, prepared: Prepared, table: pd.DataFrame) -> pd.DataFrame:
        """Return a result with the names of its regions and counties."""
        return with_counties(region_names(store, prepared).named(table))

    def write(self, done: Done) -> list[str]:
        """Write export, map and report."""
        # Bokeh takes a while to import: only pages need it.
        from geomob_dask.outputs.mixing_report import write_maps, write_report

        lines = super().write(done)
        if done.given.get("map"):
            write_maps(done)
            if done.given["map"].endswith(PICTURES):
                lines += written_lines(done.given["map"], done.prepared)
        if done.given.get("report"):
            write_report(done.store, done.prepared, done.given["report"])
        return lines


def summary_lines(store: Store, prepared: Prepared) -> list[str]:
    """Return the summary of a result in the store, one text per line."""
    options: Options = prepared.options
    every = list(report(store, prepared).values())
    table = result(store, prepared)
    known = table[table["divergence"].notna()]
    units = known.groupby("region").size()
    lines = [
        f"{options.brackets.title}, {options.dataset} {options.year}, by {options.by}: "
        f"{sum(item['computed'] for item in every):,} of {counted(sum(item['tracts'] for item in every), 'tract')} in "
        f"{counted(len(units), 'region')}",
    ]
    lines += reason_lines(every, "without")
    single = units.index[units == 1]
    if len(single):
        first = region_names(store, prepared).label(str(single[0]))
        lines.append(f"  regions of one tract, which is like itself (D = 0): {len(single):,} ({first}, …)")
    for column in ("divergence", "entropy_index", "wasserstein", "wasserstein_signed"):
        low, middle, high = known[column].quantile([0.25, 0.5, 0.75])
        lines.append(f"  {column}: quartiles {low:.4f}  {middle:.4f}  {high:.4f}, largest {known[column].max():.4f}")
    return [*lines, f"  in {store.url}/{prepared.collection}"]
