"""Output of segregation: the summary, the exported tables, the report."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from geomob_dask.frames.sampling import COMPLETE
from geomob_dask.messages import counted
from geomob_dask.metrics.segregation_catalog import INDICES
from geomob_dask.outputs.names import region_names, with_counties
from geomob_dask.outputs.result import EXPORT_TABLE, LABELS, TITLE, Done, Flag, Flags, Outputs, report, result
from geomob_dask.outputs.tables import PAGES, SUFFIXES
from geomob_dask.products.product import Prepared
from geomob_dask.products.segregation import Options
from geomob_dask.store import Store

_SHOWN_COLUMNS = 12


class SegregationOutputs(Outputs):
    """Summary, exports and report of segregation."""

    flags: Mapping[str, Flag] = {
        **Outputs.flags,
        "labels": LABELS,
        "export": EXPORT_TABLE,
        "local": Flag("Also write scores of single tracts: local divergence, location quotients.", files=SUFFIXES),
        "title": TITLE,
        "report": Flag("Write a report (.html): curves, indices, years side by side.", files=PAGES),
    }

    def options(self, given: Flags) -> dict[str, Any]:
        """Return that scores of single tracts are kept too, where they are to be written."""
        return {"local": bool(given.get("local"))}

    def lines(self, store: Store, prepared: Prepared) -> list[str]:
        """Return regions, what was left out, and quartiles of indices."""
        return summary_lines(store, prepared)

    def named(self, store: Store, prepared: Prepared, table: pd.DataFrame) -> pd.DataFrame:
        """Return regions with their names, or tracts with those of their regions and counties."""
        named = region_names(store, prepared).named(table)
        return with_counties(named) if "region" in table else named

    def write(self, done: Done) -> list[str]:
        """Write exports and report."""
        # Bokeh takes a while to import: only pages need it.
        from geomob_dask.outputs.segregation_report import write_report

        lines = super().write(done)
        if done.given.get("local"):
            self.write_table(done, "local", self.table(done.store, done.prepared, "local"), role="local")
        if done.given.get("report"):
            write_report(done.store, done.prepared, done.given["report"])
        return lines


def summary_lines(store: Store, prepared: Prepared) -> list[str]:
    """Return the summary of a result in the store, one text per line."""
    options: Options = prepared.options
    table, found = result(store, prepared), report(store, prepared)
    lines = [
        f"{options.groups.title or options.groups.name}, {options.dataset} {options.year}, "
        f"by {options.by}: "
        f"{counted(len(table), 'region')}, {counted(int(table['units'].sum()), 'tract')}, "
        f"{table['people'].sum():,.0f} counted"
    ]
    if found["sampled"]:
        lines += sampling_lines(options, table, found["sampled"])
    if found["nowhere"]:
        lines.append(f"  left out: {counted(found['nowhere'], 'tract')} in no region")
    if found["unknown"]:
        named = ", ".join(found["first_unknown"])
        lines.append(f"  left out: {counted(found['unknown'], 'tract')} without one of their counts ({named}, …)")
    single = table.index[table["units"] == 1]
    if len(single):
        first = region_names(store, prepared).label(str(single[0]))
        lines.append(f"  regions of one tract, which is like itself: {len(single):,} ({first}, …)")
    for reason, names in _by_reason(found["left_out"]).items():
        lines.append(f"  not computed: {', '.join(names)}: {reason}")
    shown = [name for name in headline_columns(table) if table[name].notna().any()]
    lines.append("  quartiles over regions")
    for name in with_corrected(table, shown[:_SHOWN_COLUMNS]):
        low, middle, high = table[name].quantile([0.25, 0.5, 0.75])
        lines.append(f"    {name:<36} {low:8.4f} {middle:8.4f} {high:8.4f}")
    if len(shown) > _SHOWN_COLUMNS:
        lines.append(f"    … and {len(shown) - _SHOWN_COLUMNS} more; --export and --report have all of them")
    return [*lines, f"  in {store.url}/{prepared.collection}"]


def sampling_lines(options: Options, table: pd.DataFrame, words: str) -> list[str]:
    """Return how the counts were taken, what of it draws leave aside, and which option says otherwise."""
    kind = table["sampled"].iloc[0] if len(table) else COMPLETE
    if kind == COMPLETE:
        return [
            f"  {words}: p-values, intervals and corrections leave the error of a sample out (--sampled names margins, "
            "a rate or a column of interviews)"
        ]
    people, interviews = table["people"].sum(), table["interviews"].sum()
    each = f", {people / interviews:,.1f} people behind each of {interviews:,.0f} interviews" if interviews > 0 else ""
    lines = [f"  {words}{each}"]
    aside = [
        f"--{name} {value}"
        for name, value, full in (
            ("null", options.null, ("persons", "units")),
            ("interval", options.interval, ("persons", "units")),
        )
        if value in full
    ]
    if aside:
        lines.append(f"  {' and '.join(aside)}: what is drawn takes the counts as complete")
    return lines


def _by_reason(left_out: dict[str, str]) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        reasons.setdefault(reason, []).append(name)
    return reasons


def with_corrected(table: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Return the columns of indices, each with the one that is corrected behind it where there is one."""
    return [one for name in names for one in (name, f"{name}_corrected") if one in table]


def headline_columns(table: pd.DataFrame) -> list[str]:
    """Return the columns with one value per region; those of groups if there are no others."""
    single = [name for name in table.columns if name in INDICES and INDICES[name].shape == "region"]
    suffixes = ("p", "null", "excess", "corrected", "corrected_lower", "corrected_upper", "bias")
    drawn = {f"{name}_{suffix}" for name in table.columns for suffix in suffixes}
    return single or [
        name for name in table.columns if any(name.startswith(f"{index}_") for index in INDICES) and name not in drawn
    ]
