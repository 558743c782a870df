"""What a user sees of mobility models: the summary, the exported table, model files and cards."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.models.model_card import over_folds
from geomob_dask.outputs import tables
from geomob_dask.outputs.tables import written_whole
from geomob_dask.runs.mobility import Request, Result
from geomob_dask.runs.mobility_apply import Applied, applied_table
from geomob_dask.store import Store

KEY = {"zones": "zone", "tracts": "geoid"}
MODEL_SUFFIX = ".model"


def summary_lines(store: Store, request: Request, result: Result) -> list[str]:
    """Return what an analyst wants to know of a result in the store."""
    about, scores = result.about, result.tables["scores"]
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
            told = [
                f"{score} {_with_interval(rows.loc[score])}" for score in ("accuracy", "auc") if score in rows.index
            ]
            lines.append(f"    {name:<{width}}  {'  '.join(told)}")
    top = result.tables["ranking"].head(3)
    lines.append(
        "  mutual information's first: "
        + ", ".join(f"{name} {value:.3f}" for name, value in top["mutual_information"].items())
    )
    return [*lines, f"  in {store.url}/{request.collection}"]


def _with_interval(row: pd.Series) -> str:
    if pd.isna(row["value"]):
        return "—"
    return (
        f"{row['value']:.3f}"
        + ("" if pd.isna(row["lower"]) else f" ({row['lower']:.3f} to {row['upper']:.3f})")
        + over_folds(row)
    )


def exported(result: Result) -> pd.DataFrame:
    """Return one row a unit: its outcome and class, and what each model says of it while it is held out.

    Returns
    -------
    DataFrame
        Index ``zone`` or ``geoid``; ``name``, ``state``, the outcome, ``actual_class``, and for each model and kind of
        folds ``<model>_<folds>_class`` and ``<model>_<folds>_<class>_probability``.
    """
    about, units = result.about, result.tables["units"]
    names = np.array(about["classes"], dtype=object)
    columns = {
        "name": units["label"],
        "state": units["state"],
        about["outcome_name"]: units["outcome"],
        "actual_class": pd.Series(names[units["actual"]], units.index, dtype="str"),
    }
    for (model, folds), rows in result.tables["predictions"].groupby(["model", "folds"], sort=False):
        what = f"{model}_{str(folds).replace(':', '_')}"
        columns[f"{what}_class"] = pd.Series(names[rows["predicted"]], rows.index, dtype="str")
        for number, name in enumerate(names):
            columns[f"{what}_{name}_probability"] = rows[f"p_{number}"]
    return pd.DataFrame(columns).rename_axis(KEY[about["study"]])


def polygons(store: Store, request: Request, result: Result) -> gpd.GeoDataFrame | None:
    """Return polygons by unit, None where the store has none."""
    return request.universe.polygons(store, list(result.tables["units"].index))


def export_result(store: Store, request: Request, result: Result, file: str) -> None:
    """Write the predictions as one table; with polygons where the file can hold them."""

    def geometry() -> gpd.GeoSeries:
        found = polygons(store, request, result)
        if found is None:
            raise InputError(f"--export {file}: the store has no polygons of these {result.about['study']}")
        return found.geometry

    tables.export(exported(result), file, geometry)


def export_applied(store: Store, applied: Applied, file: str) -> None:
    """Write what a model says of a dataset as one table, without polygons."""
    tables.export(applied_table(store, applied), file)


def save_models(store: Store, result: Result, folder: str) -> list[str]:
    """Write each model file and its card to a folder; return what was written.

    Raises
    ------
    InputError
        If the folder does not exist, or a file cannot be written.
    """
    written = []
    for name, part in result.models.items():
        files = {f"{name}{MODEL_SUFFIX}": store.objects.get(part.key), f"{name}.md": result.cards[name].encode()}
        for file, data in files.items():
            target = Path(folder) / file
            with written_whole("--save", target, target.suffix) as temporary:
                temporary.write_bytes(data)
            written.append(str(target))
    return written


def applied_lines(store: Store, applied: Applied) -> list[str]:
    """Return what a model says of a dataset that it was applied to."""
    found = applied_table(store, applied)["predicted_class"]
    counts = ", ".join(f"{name} {count:,}" for name, count in found[found != ""].value_counts().items())
    without = int((found == "").sum())
    return [
        f"{applied.title} applied to {applied.measures}: {counts}"
        + (f"; {without:,} tracts have none of its attributes" if without else ""),
        f"  in {store.url}/{applied.collection}",
    ]
