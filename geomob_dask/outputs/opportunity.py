"""Output of an opportunity index: the summary, the exported table, the map, the validation table."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from geomob_dask.definition import Definition
from geomob_dask.errors import InputError
from geomob_dask.frames.drawn_measures import EXACT
from geomob_dask.messages import counted
from geomob_dask.outputs.days import days_stored
from geomob_dask.outputs.names import named_regions, states_in_words, with_counties
from geomob_dask.outputs.opportunity_tables import description_table, fit_lines, fits_of
from geomob_dask.outputs.provenance import record_of
from geomob_dask.outputs.provenance_words import source_line
from geomob_dask.outputs.result import (
    LABELS,
    LAYER,
    MAP_HELP,
    TITLE,
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
from geomob_dask.outputs.tables import MAPS, TABLES
from geomob_dask.outputs.validation import Against, validation_lines, validation_table
from geomob_dask.products import intervals
from geomob_dask.products.opportunity import Options
from geomob_dask.products.product import Prepared
from geomob_dask.runs.display import display_polygons
from geomob_dask.runs.planning import Request
from geomob_dask.sources.measure_names import definition_labels, label_of
from geomob_dask.sources.states import state_name
from geomob_dask.store import Store

_SHOWN_STATES = 60


class OpportunityOutputs(Outputs):
    """Summary, export, map and validation table of an index."""

    flags: Mapping[str, Flag] = {
        **Outputs.flags,
        "labels": LABELS,
        "map": Flag(MAP_HELP.format("one per year"), files=MAPS, polygons=True),
        "layer": LAYER,
        "title": TITLE,
        "validation": Flag(
            "Write the variance explained by each domain, and correlations, as a table (.csv, .parquet); one per year.",
            files=TABLES,
        ),
        "fits": Flag(
            "Write the multiple regression of each column of --against on all domains, as a table (.csv, .parquet); "
            "one per year.",
            files=TABLES,
        ),
        "describe": Flag(
            "Write descriptive statistics of measures, domains and index, as a table (.csv, .parquet); one per year.",
            files=TABLES,
        ),
        "draws": Flag(
            "Number of draws of the measures; adds 90 % intervals of the index and its rank.", int, decides=()
        ),
        "seed": Flag("Seed of the draws.", int, 0, decides=()),
        "against": Flag(
            "Correlate with DATASET:YEAR or DATASET:YEAR:COLUMN,… of the store, and fit on domains; may be repeated.",
            tuple,
            decides=("validation", "fits"),
        ),
    }

    def check(self, given: Flags) -> None:
        """Raise InputError if a file cannot be written or `--against` cannot be read."""
        super().check(given)
        for text in given.get("against") or ():
            Against.of(text)
        if given.get("fits") and not given.get("against"):
            raise InputError(f"--fits {given['fits']}: found no outcomes, expected --against DATASET:YEAR:COLUMN")

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
        """Write export, map and the tables beside them."""
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
            self.write_table(done, "export", with_counties(table), results=[*index, *drawn])
        if done.given.get("map"):
            for item, file in files_of(done.given["map"], index):
                map_result(done, item, file, drawn, bounds[0] if bounds else None)
            lines += written_lines(done.given["map"], index)
        if done.given.get("validation") or done.given.get("against"):
            lines += self._validate(done, index)
        if done.given.get("describe"):
            for item, file in files_of(done.given["describe"], index):
                self.write_table(done, "describe", description_table(done.store, item), file, results=[item])
            lines += written_lines(done.given["describe"], index)
        return lines

    def _validate(self, done: Done, index: Sequence[Prepared]) -> list[str]:
        """Write the validation table and the regressions of each index, if asked for; return them in short."""
        against = [Against.of(text) for text in done.given.get("against") or ()]
        asked, fits = done.given.get("validation"), done.given.get("fits")
        inputs = {one.collection: done.store.snapshot(one.collection).checksum() for one in against}
        others = {f"{one.dataset} {one.year}": one.read(done.store) for one in against}
        lines = []
        files = zip(*(files_of(name or "", index) for name in (asked, fits)), strict=True)
        for (item, file), (_, fits_file) in files:
            found = result(done.store, item)
            table = validation_table(done.store, item, found, others)
            lines += [f"  {item.options.year}:"] if len(index) > 1 else []
            lines += validation_lines(table)
            if asked:
                self.write_table(done, "validation", table, file, results=[item], inputs=inputs)
            if against:
                fitted = fits_of(found, list(item.options.definition.domains), others)
                lines += fit_lines(fitted)
                if fits:
                    self.write_table(done, "fits", fitted, fits_file, results=[item], inputs=inputs)
        for name in filter(None, (asked, fits)):
            lines += written_lines(name, index)
        return lines


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
    """Return the width of intervals, complete and imputed tracts apart, and what was assumed of errors."""
    known = bounds[bounds["reason"] == ""]
    imputed = known["cells_imputed"] > 0
    lines = [f"  90 % intervals of {counted(len(known), 'tract')}, about opportunity_corrected and rank_corrected"]
    for rows, what in ((known[~imputed], "without"), (known[imputed], "with")):
        if len(rows):
            widths = [_widths(rows, name) for name in ("opportunity", "rank")]
            lines.append(
                f"    {counted(len(rows), 'tract')} {what} imputed measures, width at the quartiles: "
                f"opportunity {widths[0]}; rank (0 to 1) {widths[1]}"
            )
    beyond = ((known["rank"] < known["rank_lb"]) | (known["rank"] > known["rank_ub"])).sum()
    lines.append(f"    {counted(int(beyond), 'tract')} whose published rank lies outside its interval")
    unknown = Counter(name for names in bounds["without_margin"] for name in names.split("; ") if name)
    own = definition_labels(definition)
    exact = [measure for measure in definition.measures if measure not in margins or f"{measure}{EXACT}" in unknown]
    modeled = {name: count for name, count in sorted(unknown.items()) if not name.endswith(EXACT)}
    if modeled:
        cells = "; ".join(f"{label_of(name, own).text} {count:,}" for name, count in modeled.items())
        lines.append(f"  values without a margin, drawn with a high error of the measure: {cells}")
    if exact:
        named = "; ".join(label_of(name, own).text for name in exact)
        lines.append(f"  without margins, treated as exact: {named}")
    return lines


def _widths(rows: pd.DataFrame, name: str) -> str:
    width = (rows[f"{name}_ub"] - rows[f"{name}_lb"]).quantile([0.25, 0.5, 0.75])
    return ", ".join(f"{value:.2g}" for value in width)


def title(options: Options) -> str:
    """Return the title of an index."""
    return options.definition.title or f"Opportunity index {options.definition.name}"


def map_result(
    done: Done, prepared: Prepared, file: str, drawn: Sequence[Prepared], intervals: pd.DataFrame | None
) -> None:
    """Write the map of a result of the store, with its intervals if they were drawn."""
    store = done.store
    options: Options = prepared.options
    snapshot = store.snapshot(prepared.collection)
    vintage = snapshot.attributes["vintage"]
    # What draws takes a while to import: only maps need it.
    from geomob_dask.outputs.map_files import write_map
    from geomob_dask.outputs.opportunity_map import opportunity_map

    record = record_of(store, [prepared, *drawn], option="--map", choices={"layer": done.given.get("layer")})
    content = opportunity_map(
        display_polygons(store, vintage, list(snapshot.parts), done.client, done.console),
        result(store, prepared),
        options.definition,
        title=title(options),
        subtitle=f"{options.dataset} {options.year}, {states_in_words(snapshot.parts)}, tracts of vintage {vintage}, "
        f"definition “{options.definition.name}”, {_norm_in_words(options.norm)}",
        source=source_line(record, days_stored(store, record)),
        regions=named_regions(store, vintage, list(snapshot.parts)),
        intervals=intervals,
    )
    write_map(content, file, record, layer=done.given.get("layer"))


def _norm_in_words(norm: str) -> str:
    """Return which tracts a tract is compared with."""
    words = {"selected": "these states together", "state": "each state by itself", "nation": "all states of the store"}
    return f"norm: {words.get(norm, norm.replace(':', ' at '))}"
