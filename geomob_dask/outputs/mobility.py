"""Output of mobility models: the summary, the exported table, report, map, model files, and predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import distributed
import geopandas as gpd
import numpy as np
import pandas as pd
from rich.console import Console

from geomob_dask.errors import InputError
from geomob_dask.messages import counted
from geomob_dask.models.model_card import over_folds
from geomob_dask.outputs.days import days_stored
from geomob_dask.outputs.mobility_attributes import cut_text, elbow_text
from geomob_dask.outputs.mobility_report import write_map, write_report
from geomob_dask.outputs.names import feature_labels, with_counties
from geomob_dask.outputs.provenance import record_of
from geomob_dask.outputs.provenance_words import source_line
from geomob_dask.outputs.result import LABELS, LAYER, MAP_HELP, TITLE, Done, Flag, Flags, Outputs, option_of, result
from geomob_dask.outputs.tables import MAPS, PAGES, WITH_GEOMETRY, check_folder, written_whole
from geomob_dask.products.mobility import Mobility, Options
from geomob_dask.products.mobility_applied import Options as AppliedOptions
from geomob_dask.products.mobility_result import Result, read_result
from geomob_dask.products.product import Prepared, Product
from geomob_dask.runs.engine import run
from geomob_dask.runs.planning import Request, make_plan
from geomob_dask.sources.place_names import tract_name
from geomob_dask.sources.years import dataset_year
from geomob_dask.store import Store

KEY = {"zones": "zone", "tracts": "geoid"}
MODEL_SUFFIX = ".model"
_APPLIED = "mobility_applied"


class MobilityOutputs(Outputs):
    """Summary, export, report, map and model files of a study; predictions of its models, or of a model file."""

    flags: Mapping[str, Flag] = {
        "apply": Flag("Also apply the fitted models to tracts of a dataset, NAME:YEAR.", decides=()),
        "with_model": Flag("With --apply: a model file; nothing is trained.", decides=()),
        "save": Flag("Also write model files and cards to a folder.", decides=()),
        "title": TITLE,
        "report": Flag("Also write a report (.html), for offline use.", files=PAGES),
        "map": Flag(MAP_HELP.format("of actual and predicted classes"), files=MAPS),
        "layer": LAYER,
        **Outputs.flags,
        "labels": LABELS,
    }

    def check(self, given: Flags) -> None:
        """Raise InputError if a file cannot be written, or a model file is named without a dataset."""
        super().check(given)
        if given.get("save"):
            check_folder("--save", f"{given['save']}/file")
        if given.get("with_model") and not given.get("apply"):
            raise InputError("--with-model: found no --apply; expected a dataset, such as --apply opportunity:2018")
        for name in ("report", "map", "save") if given.get("with_model") else ():
            if given.get(name):
                raise InputError(
                    f"--{name} {given[name]}: found --with-model, which trains nothing to show or save; expected "
                    "--export, or a study without --with-model"
                )

    def check_results(self, store: Store, prepared: Sequence[Prepared], given: Flags) -> None:
        """Raise InputError if the store has no polygons to draw, or a dataset lacks a feature."""
        for item in prepared:
            if item.product == _APPLIED:
                super().check_results(store, [item], given)
                continue
            for name in ("map", "export"):
                file = given.get(name) or ""
                if file.endswith((*MAPS, *WITH_GEOMETRY)) and not item.options.universe.has_polygons(store):
                    raise InputError(f"--{name} {file}: the store has no polygons of these {item.options.study}")
            if given.get("apply"):
                check_target(store, item, given["apply"])

    def requests(self, product: Product, options: Sequence[Any], given: Flags) -> list[Request]:
        """Return the study, or the application of a model file."""
        if given.get("with_model"):
            return [Request(_APPLIED, applied_options(given["with_model"], given["apply"]))]
        return super().requests(product, options, given)

    def more(self, store: Store, prepared: Sequence[Prepared], given: Flags) -> list[Request]:
        """Refuse what would fail late: of zones, folds that cannot be made."""
        for item in prepared:
            if item.product == Mobility.name and item.options.study == "zones" and not _is_done(store, item):
                Mobility().design(store, item)
        return []

    def needs_cluster(self, given: Flags) -> bool:
        """Return whether models are applied."""
        return bool(given.get("apply"))

    def lines(self, store: Store, prepared: Prepared) -> list[str]:
        """Return scores and the most informative features of a study, or the predicted classes."""
        if prepared.product == _APPLIED:
            return applied_lines(store, prepared)
        return summary_lines(store, prepared, read_result(store, prepared.collection))

    def write(self, done: Done) -> list[str]:
        """Apply models, and write export, report, map and model files."""
        (item,) = done.prepared
        if item.product == _APPLIED:
            if done.given.get("export"):
                self.write_table(done, "export", with_counties(result(done.store, item)))
            return []
        found = read_result(done.store, item.collection)
        lines = (
            []
            if not done.given.get("apply")
            else apply_models(done.store, item, found, done.given["apply"], done.client, done.console)
        )
        if done.given.get("save"):
            lines += [f"  wrote {file}" for file in save_models(done.store, found, done.given["save"])]
        if done.given.get("export"):
            geometry = partial(_geometry, done.store, item, found, done.given["export"])
            self.write_table(done, "export", exported(found), geometry=geometry)
        layer = done.given.get("layer")
        for flag, write in (("report", write_report), ("map", partial(write_map, layer=layer))):
            if done.given.get(flag):
                choices = {"layer": layer} if flag == "map" else {}
                record = record_of(done.store, [item], option=option_of(flag), choices=choices)
                source = source_line(record, days_stored(done.store, record))
                write(found, polygons(done.store, item, found), done.given[flag], record, source)
        return lines


def applied_options(model: str, target: str) -> AppliedOptions:
    """Return the options that apply a model to a dataset, NAME:YEAR."""
    dataset, year = dataset_year(target, "--apply")
    return AppliedOptions(model=model, dataset=dataset, year=year, states=None)


def check_target(store: Store, prepared: Prepared, target: str) -> None:
    """Refuse a dataset that the models of a study could not be applied to; no rows are read.

    Raises
    ------
    InputError
        If it is not in the store, or lacks a feature.
    """
    dataset, year = dataset_year(target, "--apply")
    source = store.snapshot(f"measures/{dataset}/{year}")
    names = prepared.options.universe.feature_names(store, prepared.whole)
    columns = store.columns(source)
    absent = [name for name in names if name not in columns]
    if absent:
        raise InputError(
            f"--apply {target}: {source.collection}: no column {absent[0]!r}, which the models are fitted on "
            f"(absent: {len(absent)} of {counted(len(names), 'feature')}); expected all of them"
        )


def _is_done(store: Store, prepared: Prepared) -> bool:
    snapshot = store.find(prepared.collection)
    return snapshot is not None and {part.run for part in snapshot.parts.values()} == {prepared.provenance.identity}


def apply_models(
    store: Store, prepared: Prepared, found: Result, target: str, client: distributed.Client | None, console: Console
) -> list[str]:
    """Apply every model of a study to a dataset; return what to say of it."""
    lines = []
    # What is committed here is to be seen here.
    store = Store(store.url, store.objects.timeout)
    for name in found.models:
        options = applied_options(f"{prepared.collection}/{name}", target)
        plan = make_plan(store, [Request(_APPLIED, options)])
        run(store, plan, client, console)
        lines += [line for group in plan.groups if group.prepared for line in applied_lines(store, group.prepared)]
    return lines


def summary_lines(store: Store, prepared: Prepared, found: Result) -> list[str]:
    """Return the summary of a study in the store, one text per line."""
    about, scores = found.about, found.tables["scores"]
    counts = ", ".join(f"{name} {count:,}" for name, count in about["class_counts"].items())
    edges = ", ".join(f"{edge:.5g}" for edge in about["edges"])
    lines = [f"{about['outcome']}, {about['units']:,} {about['study']}: {counts} (cut at {edges})"]
    lines += [f"  {line}" for line in about["data"]]
    titles = {**about["models"], **about["baselines"]}
    width = max(len(title) for title in titles.values())
    test = scores[scores["sample"] == "test"]
    for folds, title in about["folds"].items():
        lines.append(f"  {title}:")
        for model, name in titles.items():
            rows = test[(test["model"] == model) & (test["folds"] == folds)].set_index("score")
            texts = [
                f"{score} {_with_interval(rows.loc[score])}" for score in ("accuracy", "auc") if score in rows.index
            ]
            lines.append(f"    {name:<{width}}  {'  '.join(texts)}")
    top, of_title = found.tables["ranking"].head(3), feature_labels(about)
    labels = {one["name"]: of_title[one["title"]] for one in about["features"]}
    lines.append(
        "  mutual information's first: "
        + "; ".join(f"{labels[str(name)]} {value:.3f}" for name, value in top["mutual_information"].items())
    )
    lines.append(f"  {_strongest(found.tables['ranking'], labels)}")
    lines.append(f"  {cut_text(about, found.tables['cuts']).rstrip('.')}")
    elbow = elbow_text(found.tables["elbow"])
    lines.append(f"  clusters: {elbow[0].lower()}{elbow[1:].rstrip('.')}")
    return [*lines, f"  in {store.url}/{prepared.collection}"]


def _strongest(ranking: pd.DataFrame, labels: Mapping[str, str]) -> str:
    """Return the attribute that correlates most with the outcome, with its unadjusted and adjusted p-value."""
    known = ranking.dropna(subset=["pearson"])
    if known.empty:
        return "no attribute correlates with the outcome"
    row = known.loc[known["pearson"].abs().idxmax()]
    text = (
        f"strongest correlation: {labels[str(row.name)]}, r {row['pearson']:.3f} of {int(row['units']):,} units, "
        f"unadjusted p {row['pearson_p_unadjusted']:.2g}; "
    )
    if pd.isna(row["pearson_effective_units"]):
        return f"{text}not adjusted for dependence in space (no polygons)"
    interval = f"{row['pearson_lower_adjusted']:.3f} to {row['pearson_upper_adjusted']:.3f}"
    return (
        f"{text}adjusted for dependence in space: {row['pearson_effective_units']:.1f} effective units, p "
        f"{row['pearson_p_adjusted']:.2g}" + ("" if pd.isna(row["pearson_lower_adjusted"]) else f", {interval}")
    )


def _with_interval(row: pd.Series) -> str:
    if pd.isna(row["value"]):
        return "—"
    return (
        f"{row['value']:.3f}"
        + ("" if pd.isna(row["lower"]) else f" ({row['lower']:.3f} to {row['upper']:.3f})")
        + over_folds(row)
    )


def exported(found: Result) -> pd.DataFrame:
    """Return one row per unit: its outcome and class, and the predictions of each model while it was held out.

    Returns
    -------
    DataFrame
        Index ``zone`` or ``geoid``; ``name``, ``state``, the outcome, ``actual_class``, and for each model and kind of
        folds ``<model>_<folds>_class`` and ``<model>_<folds>_<class>_probability``.
    """
    about, units = found.about, found.tables["units"]
    names = np.array(about["classes"], dtype=object)
    columns = {
        "name": units["label"] if about["study"] == "zones" else units.index.map(tract_name),
        "state": units["state"],
        about["outcome_name"]: units["outcome"],
        "actual_class": pd.Series(names[units["actual"]], units.index, dtype="str"),
    }
    for (model, folds), rows in found.tables["predictions"].groupby(["model", "folds"], sort=False):
        what = f"{model}_{str(folds).replace(':', '_')}"
        columns[f"{what}_class"] = pd.Series(names[rows["predicted"]], rows.index, dtype="str")
        for number, name in enumerate(names):
            columns[f"{what}_{name}_probability"] = rows[f"p_{number}"]
    return pd.DataFrame(columns).rename_axis(KEY[about["study"]])


def polygons(store: Store, prepared: Prepared, found: Result) -> gpd.GeoDataFrame | None:
    """Return polygons by unit, None if the store has none."""
    options: Options = prepared.options
    return options.universe.polygons(store, list(found.tables["units"].index))


def _geometry(store: Store, prepared: Prepared, found: Result, file: str) -> gpd.GeoSeries:
    shapes = polygons(store, prepared, found)
    if shapes is None:
        raise InputError(f"--export {file}: the store has no polygons of these {found.about['study']}")
    return shapes.geometry


def save_models(store: Store, found: Result, folder: str) -> list[str]:
    """Write each model file and its card to a folder; return what was written.

    Raises
    ------
    InputError
        If the folder does not exist, or a file cannot be written.
    """
    written = []
    for name, part in found.models.items():
        files = {f"{name}{MODEL_SUFFIX}": store.objects.get(part.key), f"{name}.md": found.cards[name].encode()}
        for file, data in files.items():
            target = Path(folder) / file
            with written_whole("--save", target, target.suffix) as temporary:
                temporary.write_bytes(data)
            written.append(str(target))
    return written


def applied_lines(store: Store, prepared: Prepared) -> list[str]:
    """Return the number of tracts by predicted class."""
    found = result(store, prepared)["predicted_class"]
    counts = ", ".join(f"{name} {count:,}" for name, count in found[found != ""].value_counts().items())
    without = int((found == "").sum())
    return [
        f"{prepared.details.read().title} applied to {prepared.options.measures}: {counts}"
        + (f"; {counted(without, 'tract')} without any of its attributes" if without else ""),
        f"  in {store.url}/{prepared.collection}",
    ]
