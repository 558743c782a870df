"""The output of a job: lines, a table, further files; products extend it."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import distributed
import geopandas as gpd
import pandas as pd
from rich.console import Console

from geomob_dask.errors import InputError, SettingsError
from geomob_dask.messages import counted, listed
from geomob_dask.names import nearest_code
from geomob_dask.outputs import tables
from geomob_dask.outputs.csv_text import CSV_TEXT_HELP, CSV_TEXTS
from geomob_dask.outputs.names import region_names
from geomob_dask.outputs.provenance import parts_of, record_of
from geomob_dask.outputs.tables import SUFFIXES, TABLES, WITH_GEOMETRY, check_file
from geomob_dask.outputs.titles import TITLE_HELP
from geomob_dask.products.product import NOTES, Prepared, Product
from geomob_dask.products.reader import Reader
from geomob_dask.products.regions import regions_frame
from geomob_dask.runs.planning import Request
from geomob_dask.sources.measure_names import LABELS_HELP
from geomob_dask.store import Snapshot, Store

# Of regions that a message repeats as they were typed.
_FEW = 6


@dataclass(frozen=True)
class Flag:
    """A flag of a job besides the options of its product.

    Parameters
    ----------
    help : str
    kind : type
        bool, int, float or str; a tuple of str may be given several times.
    default : any
    files : sequence of str
        Suffixes of the file that it names: suffix and folder are checked before anything runs.
    polygons : bool
        Whether the file shows polygons: there must be some before anything runs.
    choices : sequence of str
        Its values, where it has no others.
    decides : sequence of str, optional
        Flags whose files hold something else with another value of it, which belongs to their provenance; all by
        default.
    """

    help: str
    kind: Any = str
    default: Any = None
    files: Sequence[str] = ()
    polygons: bool = False
    choices: Sequence[str] = ()
    decides: Sequence[str] | None = None


Flags = Mapping[str, Any]
EXPORT = Flag("Also write the result as one table: .csv, .parquet, .gpkg or .geojson.", files=SUFFIXES)
EXPORT_TABLE = Flag("Also write the result as one table: .csv or .parquet.", files=TABLES)
CSV_TEXT = Flag(CSV_TEXT_HELP, default="safe", choices=CSV_TEXTS)
# The file itself is among the inputs of what shows its labels.
LABELS = Flag(LABELS_HELP, decides=())
# The title is in the file itself.
TITLE = Flag(TITLE_HELP, decides=())
LAYER = Flag("Layer that the map opens with, and that a picture shows: its column or label.", decides=("map",))
MAP_HELP = "Write a map: interactive, for offline use (.html), or a picture of one layer (.png, .svg); {}."


@dataclass(frozen=True)
class Done:
    """What a job has computed, and the files that are asked of it.

    Parameters
    ----------
    store : Store
        It holds the results.
    prepared : sequence of Prepared
        The runs of the results.
    given : mapping of str to any
        Values of flags.
    client : distributed.Client or None
        Of the job's cluster, if it has one.
    console : Console
        For progress.
    """

    store: Store
    prepared: Sequence[Prepared]
    given: Flags
    client: distributed.Client | None
    console: Console


class Outputs:
    """The output of a job for results of one product.

    Attributes
    ----------
    flags : mapping of str to Flag
        By name, without the dashes.
    """

    flags: Mapping[str, Flag] = {"export": EXPORT, "csv_text": CSV_TEXT}

    def check(self, given: Flags) -> None:
        """Raise an error if a flag has a value that it cannot have, or names a file that cannot be written."""
        for name, flag in self.flags.items():
            value = given.get(name)
            if value and flag.files:
                check_file(option_of(name), value, flag.files)
            if flag.choices and value not in flag.choices:
                raise SettingsError(f"{option_of(name)} {value}: expected {' or '.join(flag.choices)}")

    def check_results(self, store: Store, prepared: Sequence[Prepared], given: Flags) -> None:
        """Raise InputError if the results, once computed, could not be shown as flags ask for.

        Called with the plan, also of a dry run: columns, datasets and polygons are looked up. No rows are read, but
        the regions of tracts where some regions are chosen.
        """
        check_regions(store, prepared)
        for name, flag in self.flags.items():
            file = given.get(name)
            with_geometry = bool(file and flag.files) and str(file).endswith(WITH_GEOMETRY)
            if with_geometry or (file and flag.polygons):
                check_polygons(store, prepared, f"{option_of(name)} {file}")
            if with_geometry:
                check_one_vintage(prepared, f"{option_of(name)} {file}")

    def options(self, given: Flags) -> dict[str, Any]:
        """Return options of the product that flags imply."""
        return {}

    def requests(self, product: Product, options: Sequence[Any], given: Flags) -> list[Request]:
        """Return the requests of a command: one per options of its product."""
        return [Request(product.name, one) for one in options]

    def more(self, store: Store, prepared: Sequence[Prepared], given: Flags) -> list[Request]:
        """Return further requests that follow from flags and need these results."""
        return []

    def needs_cluster(self, given: Flags) -> bool:
        """Return whether files are computed on the cluster."""
        return False

    def lines(self, store: Store, prepared: Prepared) -> list[str]:
        """Return the summary of a result in the store, one text per line."""
        snapshot = store.snapshot(prepared.collection)
        rows = sum(part.rows for part in snapshot.parts.values())
        return [f"{prepared.product}: {counted(rows, 'row')}", f"  in {store.url}/{prepared.collection}"]

    def write(self, done: Done) -> list[str]:
        """Write the files that flags name; return lines about them."""
        if done.given.get("export"):
            self.write_table(done, "export", self.table(done.store, done.prepared))
        return []

    def write_table(
        self,
        done: Done,
        name: str,
        table: pd.DataFrame,
        file: str | None = None,
        *,
        results: Sequence[Prepared] | None = None,
        role: str | None = None,
        inputs: Mapping[str, str] | None = None,
        geometry: Callable[[], gpd.GeoSeries] | None = None,
    ) -> None:
        """Write the table of a flag with its provenance.

        Parameters
        ----------
        name : str
            Of the flag.
        file : str, optional
            By default the one that the flag names.
        results : sequence of Prepared, optional
            Those in the table; all by default.
        role : str, optional
            Of the target in the table; the result itself by default.
        inputs : mapping of str to str, optional
            What the table is made from besides, with SHA-256.
        geometry : callable, optional
            Returns the polygons by the table's index; those of the tracts by default.
        """
        shown = done.prepared if results is None else results
        with_polygons = self.flags[name].files == SUFFIXES
        tables.export(
            table,
            file or done.given[name],
            (geometry or (lambda: polygons(done.store, done.prepared))) if with_polygons else None,
            option=option_of(name),
            csv_text=done.given["csv_text"],
            record=record_of(
                done.store,
                shown,
                option=option_of(name),
                role=role,
                choices=self.choices(done.given, name, file),
                inputs=inputs,
            ),
        )

    def choices(self, given: Flags, name: str, file: str | None = None) -> dict[str, Any]:
        """Return the values of flags on which the content of the file of another flag depends."""
        found = {
            other: given.get(other)
            for other, flag in self.flags.items()
            if not flag.files and (flag.decides is None or name in flag.decides)
        }
        if not str(file or given[name]).endswith(tables.CSV):
            found.pop("csv_text", None)
        return found

    def table(self, store: Store, prepared: Sequence[Prepared], role: str | None = None) -> pd.DataFrame:
        """Return the results, or other targets, as one table; with several years, the first column is the year."""
        found = {
            getattr(item.options, "year", 0): self.named(store, item, result(store, item, role)) for item in prepared
        }
        if len(found) == 1:
            return next(iter(found.values()))
        return pd.concat([_with_year(table, year) for year, table in found.items()])

    def named(self, store: Store, prepared: Prepared, table: pd.DataFrame) -> pd.DataFrame:
        """Return a result with the names of its regions and counties, which it does not have in the store."""
        return table


def _with_year(table: pd.DataFrame, year: int) -> pd.DataFrame:
    table = table.copy()
    table.insert(0, "year", year)
    return table


def result(store: Store, prepared: Prepared, role: str | None = None) -> pd.DataFrame:
    """Return a result in the store as one frame in memory."""
    target = prepared.targets[role] if role else next(iter(prepared.targets.values()))
    parts = parts_of(store.snapshot(target.collection), prepared)
    return pd.concat([store.read(part) for part in parts.values()])


def report(store: Store, prepared: Prepared) -> dict[str, Any]:
    """Return the report of a run without its notes, from the provenance of its result."""
    whole: dict[str, Any] = {}
    for found in _reports(store.snapshot(prepared.collection), prepared):
        whole |= {key: value for key, value in found.items() if key != NOTES}
    return whole


def notes(store: Store, prepared: Prepared) -> list[str]:
    """Return the notes of a run, each once; see `frames.notes`."""
    snapshot = store.find(prepared.collection)
    reports = [] if snapshot is None else _reports(snapshot, prepared)
    return list(dict.fromkeys(line for found in reports for line in found.get(NOTES, [])))


def notes_of_years(store: Store, results: Sequence[Prepared]) -> list[str]:
    """Return the notes of the runs of several years, for one page: with the year where not all years have them."""
    years = {str(item.options.year): notes(store, item) for item in results}
    of_line = {
        line: [year for year, lines in years.items() if line in lines] for found in years.values() for line in found
    }
    return [line if len(found) == len(years) else f"{', '.join(found)}: {line}" for line, found in of_line.items()]


def _reports(snapshot: Snapshot, prepared: Prepared) -> list[Mapping[str, Any]]:
    runs = {part.run: snapshot.runs[part.run] for part in parts_of(snapshot, prepared).values()}
    return [run.get("report", {}) for run in runs.values()]


def option_of(name: str) -> str:
    """Return how a flag is typed."""
    return f"--{name.replace('_', '-')}"


def files_of(file: str, prepared: Sequence[Prepared]) -> list[tuple[Prepared, str]]:
    """Return each result with the file of its own page: where there are several, what tells them apart is in the name.

    Parameters
    ----------
    file : str
        Of one result: ``page.html``. Of the results of two kinds of regions: ``page-county.html``, ``page-state.html``.
        None of its own where it is empty, for a file that nobody asked for.
    """
    if not file:
        return [(item, "") for item in prepared]
    path = Path(file)
    values = {name: [getattr(item.options, name, None) for item in prepared] for name in ("by", "year")}
    differing = [[str(value) for value in found] for found in values.values() if len(set(found)) > 1]
    endings = ["".join(f"-{_in_a_name(part)}" for part in parts) for parts in zip(*differing, strict=True)]
    names = [str(path.with_name(f"{path.stem}{ending}{path.suffix}")) for ending in endings] or [file] * len(prepared)
    return list(zip(prepared, names, strict=True))


def _in_a_name(text: str) -> str:
    return re.sub("[^A-Za-z0-9_]+", "_", text)


def written_lines(file: str, prepared: Sequence[Prepared]) -> list[str]:
    """Return the names of the files of several results; none for one result, which has the name that was given."""
    return [f"  wrote {name}" for _, name in files_of(file, prepared) if len(prepared) > 1]


def check_polygons(store: Store, prepared: Sequence[Prepared], what: str) -> None:
    """Raise InputError if the store has no polygons for the tracts of a result; `what` names the option and file."""
    for item in prepared:
        vintage = item.attributes["vintage"]
        tracts = store.find(f"tracts/{vintage}")
        if tracts is None or not set(item.written) & tracts.parts.keys():
            raise InputError(
                f"{what}: the store has no polygons of vintage {vintage} in the states {listed(item.written)}; "
                f"expected them from: jobs/ingest.py tracts FILE --vintage {vintage}"
            )


def check_regions(store: Store, prepared: Sequence[Prepared]) -> None:
    """Raise InputError if regions that ``--regions`` names hold no tract; the regions of the tracts alone are read."""
    for item in prepared:
        chosen = getattr(item.options, "regions", None)
        if chosen:
            there = _regions_of(store, item)
            absent = [region for region in chosen if region not in there]
            if absent:
                given = ",".join(chosen) if len(chosen) <= _FEW else f"{len(chosen):,} regions"
                close, names = nearest_code(absent[0], sorted(there)), region_names(store, item)
                guess = "" if close is None else f"; the nearest is {names.label(close)}"
                raise InputError(
                    f"--regions {given}: no tract of {item.options.measures} lies in {listed(absent)}{guess}; expected "
                    f"some of the regions by {item.options.by}: {listed(sorted(there), 12)}"
                )


def reader(store: Store, prepared: Prepared) -> Reader:
    """Return what gives the inputs of a run as frames in memory."""
    return Reader(store, prepared.inputs, prepared.whole, prepared.states, lazy=False)


def _regions_of(store: Store, prepared: Prepared) -> set[str]:
    """Return the regions in which tracts of a run lie."""
    read = reader(store, prepared)
    columns, by = store.columns(prepared.inputs["measures"]), prepared.options.by
    measures = read.frame("measures", [by] if by in columns else columns[:1])
    return {str(region) for region in regions_frame(read, by, measures)["region"].dropna() if region != ""}


def check_one_vintage(prepared: Sequence[Prepared], what: str) -> None:
    """Raise InputError if results are on tracts of several vintages; `what` names the option and file."""
    vintages = sorted({str(item.attributes["vintage"]) for item in prepared})
    if len(vintages) > 1:
        raise InputError(f"{what}: found years on tracts of the vintages {', '.join(vintages)}, expected one")


def polygons(store: Store, prepared: Sequence[Prepared]) -> gpd.GeoSeries:
    """Return the polygons of the tracts of results on one vintage; those without one are absent."""
    tracts = store.snapshot(f"tracts/{store.snapshot(prepared[0].collection).attributes['vintage']}")
    # Not the parts of the result, which may be one for all states.
    states = sorted({state for item in prepared for state in item.written})
    there = [state for state in states if state in tracts.parts]
    return store.frame(tracts, states=there, columns=["geometry"]).compute(scheduler="threads").geometry


def reason_lines(every: Iterable[Mapping[str, Any]], lead: str) -> list[str]:
    """Return lines about tracts without a value: each reason with its tracts, the most frequent first.

    Parameters
    ----------
    every : iterable of mapping
        Summaries of parts, whose ``reasons`` have the number of tracts and the first of them.
    lead : str
        What precedes each line.
    """
    counts: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}
    for item in every:
        for reason, (count, first) in item["reasons"].items():
            counts[reason] += count
            examples.setdefault(reason, []).extend(first)
    return [
        f"  {lead}: {counted(count, 'tract')}, {reason} ({listed(examples[reason], 3, total=count)})"
        for reason, count in counts.most_common()
    ]
