"""Output of an opportunity index: the summary, the exported table, the map, the validation table."""

from collections.abc import Mapping, Sequence
from typing import Any

import distributed
import pandas as pd
from rich.console import Console

from geomob_dask.definition import Definition
from geomob_dask.errors import InputError
from geomob_dask.messages import counted
from geomob_dask.outputs.opportunity_map import opportunity_map
from geomob_dask.outputs.page import write_page
from geomob_dask.outputs.provenance import record_of
from geomob_dask.outputs.result import (
    Done,
    Flag,
    Flags,
    Outputs,
    files_of,
    reason_lines,
    report,
    result,
    written_lines,
)
from geomob_dask.outputs.tables import PAGES, TABLES
from geomob_dask.outputs.validation import Against, validation_lines, validation_table
from geomob_dask.products import intervals
from geomob_dask.products.opportunity import Options
from geomob_dask.products.product import Prepared
from geomob_dask.runs.display import display_polygons
from geomob_dask.runs.planning import Request
from geomob_dask.sources.states import state_name
from geomob_dask.store import Store

_SHOWN_STATES = 60


class OpportunityOutputs(Outputs):
    """Summary, export, map and validation table of an index."""

    flags: Mapping[str, Flag] = {
        **Outputs.flags,
        "map": Flag("Write an interactive map (.html), for offline use; one per year.", files=PAGES, polygons=True),
        "validation": Flag(
            "Write the variance explained by each domain, and correlations, as a table (.csv, .parquet); one per year.",
            files=TABLES,
        ),
        "draws": Flag(
            "Number of draws from margins of error; adds 90 % intervals of the index and its rank.", int, decides=()
        ),
        "seed": Flag("Seed of the draws.", int, 0, decides=()),
        "against": Flag(
            "Correlate with DATASET:YEAR or DATASET:YEAR:COLUMN,… of the store; may be repeated.",
            tuple,
            decides=("validation",),
        ),
    }

    def check(self, given: Flags) -> None:
        """Raise InputError if a file cannot be written or `--against` cannot be read."""
        super().check(given)
        for text in given.get("against") or ():
            Against.of(text)

    def check_results(self, store: Store, prepared: Sequence[Prepared], given: Flags) -> None:
        """Raise InputError if there is no dataset to correlate with, or draws are of several years."""
        super().check_results(store, prepared, given)
        for text in given.get("against") or ():
            for item in prepared:
                Against.of(text).check(store, item.written)
        if given.get("draws") is not None and len(prepared) > 1:
            raise InputError(f"--draws {given['draws']}: found {len(prepared)} years, expected one")

    def more(self, store: Store, prepared: Sequence[Prepared], given: Flags) -> list[Request]:
        """Return the intervals of each index, if draws are asked for."""
        if given.get("draws") is None:
            return []
        drawn = {"draws": given["draws"], "seed": given["seed"]}
        return [Request("intervals", intervals.Options(**dict(item.options), **drawn)) for item in prepared]

    def needs_cluster(self, given: Flags) -> bool:
        """Return whether polygons are simplified for a map."""
        return bool(given.get("map"))

    def lines(self, store: Store, prepared: Prepared) -> list[str]:
        """Return the number of tracts with an index, the reasons of the others, and quartiles by state."""
        return summary_lines(store, prepared)

    def write(self, done: Done) -> list[str]:
        """Write export, map and validation table."""
        lines = []
        index = [item for item in done.prepared if item.product == "opportunity"]
        drawn = [item for item in done.prepared if item.product == "intervals"]
        bounds = [result(done.store, item) for item in drawn]
        for item, table in zip(drawn, bounds, strict=True):
            lines += interval_lines(table, item.found["margins"], item.options.definition)
        if done.given.get("export"):
            table = self.table(done.store, index)
            if bounds:
                table = table.join(bounds[0].rename(columns={"reason": "interval_reason"}))
            self.write_table(done, "export", table, results=[*index, *drawn])
        if done.given.get("map"):
            for item, file in files_of(done.given["map"], index):
                map_result(done.store, item, file, done.client, done.console)
            lines += written_lines(done.given["map"], index)
        if done.given.get("validation") or done.given.get("against"):
            lines += self._validate(done, index)
        return lines

    def _validate(self, done: Done, index: Sequence[Prepared]) -> list[str]:
        """Write the validation table of each index, if it is asked for; return the tables in short."""
        against = [Against.of(text) for text in done.given.get("against") or ()]
        asked = done.given.get("validation")
        lines = []
        for item, file in files_of(asked or "", index):
            table = validation_table(done.store, item, against)
            lines += [f"  {item.options.year}:"] if len(index) > 1 else []
            lines += validation_lines(table)
            if asked:
                inputs = {one.collection: done.store.snapshot(one.collection).checksum() for one in against}
                self.write_table(done, "validation", table, file, results=[item], inputs=inputs)
        return lines + (written_lines(asked, index) if asked else [])


def summary_lines(store: Store, prepared: Prepared) -> list[str]:
    """Return the summary of a result in the store, one text per line."""
    options: Options = prepared.options
    by_state: dict[str, dict[str, Any]] = report(store, prepared)
    every = list(by_state.values())
    within = options.definition.parameters.opportunity_range
    decimals = 1 if within.step > 1 else 3

    def total(name: str) -> int:
        return sum(item[name] for item in every)

    lines = [
        f"{title(options)}, {options.dataset} {options.year}, norm {options.norm}: "
        f"{total('computed'):,} of {counted(total('tracts'), 'tract')} have an index",
        f"  imputed cells: {total('imputed_direct'):,} from direct neighbors, "
        f"{total('imputed_once_removed'):,} from those once removed",
        f"  tracts where nobody lives: {total('empty'):,}; tracts with a domain score filled from neighbors: "
        f"{total('filled'):,}",
        *reason_lines(every, "no index"),
        f"  opportunity by state ({within.text}; higher: more opportunity): first quartile, median, third quartile",
    ]
    shown = sorted(by_state.items(), key=lambda item: -(item[1]["quartiles"] or [0, -1])[1])
    for state, item in shown[:_SHOWN_STATES]:
        quartiles = (
            "  ".join(f"{value:{decimals + 4}.{decimals}f}" for value in item["quartiles"])
            if item["quartiles"]
            else "  no tract with an index"
        )
        lines.append(f"    {state} {state_name(state):<32} {item['computed']:>6,} tracts  {quartiles}")
    return [*lines, f"  in {store.url}/{prepared.collection}"]


def interval_lines(bounds: pd.DataFrame, margins: Mapping[str, str], definition: Definition) -> list[str]:
    """Return the width of intervals, and the measures that were treated as exact."""
    known = bounds.dropna()
    exact = [measure for measure in definition.measures if measure not in margins]
    width = (known["opportunity_ub"] - known["opportunity_lb"]).quantile([0.25, 0.5, 0.75])
    ranks = (known["rank_ub"] - known["rank_lb"]).quantile([0.25, 0.5, 0.75])
    lines = [
        f"  90 % intervals of {counted(len(known), 'tract')}, width at the quartiles: opportunity "
        f"{', '.join(f'{value:.2g}' for value in width)}; rank (0 to 1) {', '.join(f'{value:.2g}' for value in ranks)}"
    ]
    if exact:
        lines.append(f"  without margins, treated as exact: {', '.join(exact)}")
    return lines


def title(options: Options) -> str:
    """Return the title of an index."""
    return options.definition.title or f"Opportunity index {options.definition.name}"


def map_result(
    store: Store, prepared: Prepared, file: str, client: distributed.Client | None, console: Console
) -> None:
    """Write the interactive map of a result of the store."""
    options: Options = prepared.options
    snapshot = store.snapshot(prepared.collection)
    vintage = snapshot.attributes["vintage"]
    page = opportunity_map(
        display_polygons(store, vintage, list(snapshot.parts), client, console),
        result(store, prepared),
        options.definition,
        title=title(options),
        subtitle=f"{options.dataset} {options.year}, tracts of vintage {vintage}, "
        f"definition “{options.definition.name}”, norm: {options.norm}",
    )
    write_page("--map", file, page, record_of(store, [prepared], option="--map"))
