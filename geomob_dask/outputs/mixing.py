"""Output of income mixing: the summary, the exported table, the map, the report."""

from collections.abc import Mapping

from geomob_dask.messages import counted
from geomob_dask.outputs.result import Done, Flag, Outputs, reason_lines, report, result
from geomob_dask.outputs.tables import PAGES
from geomob_dask.products.mixing import Options
from geomob_dask.products.product import Prepared
from geomob_dask.store import Store


class MixingOutputs(Outputs):
    """Summary, export, map and report of mixing."""

    flags: Mapping[str, Flag] = {
        **Outputs.flags,
        "map": Flag("Write the three-color map (.html), for offline use.", files=PAGES, polygons=True),
        "report": Flag("Write a report (.html) with map and tables.", files=PAGES),
    }

    def lines(self, store: Store, prepared: Prepared) -> list[str]:
        """Return the number of tracts with D, the reasons of the others, and quartiles."""
        return summary_lines(store, prepared)

    def write(self, done: Done) -> list[str]:
        """Write export, map and report."""
        # Bokeh takes a while to import: only pages need it.
        from geomob_dask.outputs.mixing_report import write_map, write_report

        lines = super().write(done)
        if done.given.get("map"):
            write_map(done.store, done.prepared, done.given["map"])
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
        lines.append(f"  regions of one tract, which is like itself (D = 0): {len(single):,} ({single[0]}, …)")
    for column in ("divergence", "entropy_index", "wasserstein", "wasserstein_signed"):
        low, middle, high = known[column].quantile([0.25, 0.5, 0.75])
        lines.append(f"  {column}: quartiles {low:.4f}  {middle:.4f}  {high:.4f}, largest {known[column].max():.4f}")
    return [*lines, f"  in {store.url}/{prepared.collection}"]
