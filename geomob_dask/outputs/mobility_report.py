"""Report and map of mobility models: scores, predictions, importance, calibration, and the models' cards."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import replace
from importlib import resources
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from markdown_it import MarkdownIt
from markupsafe import Markup

from geomob_dask.errors import InputError
from geomob_dask.messages import counted
from geomob_dask.models.model_card import over_folds
from geomob_dask.outputs import map_files, maps
from geomob_dask.outputs.classes import categories, even, quantiles
from geomob_dask.outputs.map_files import MapContent
from geomob_dask.outputs.mobility_attributes import (
    About,
    Tables,
    cluster_section,
    correlation_section,
    importance_section,
    outcome_section,
    ranking_section,
)
from geomob_dask.outputs.mobility_map import actual_and_predicted
from geomob_dask.outputs.mobility_plots import calibration_plot, confusion_plot, score_ranking
from geomob_dask.outputs.names import feature_labels, unit_labels
from geomob_dask.outputs.page import Choice, Section, report, sortable, write_page
from geomob_dask.outputs.palette import CLASSES, OPPORTUNITY
from geomob_dask.outputs.provenance import Record
from geomob_dask.outputs.tables import PAGES
from geomob_dask.products.mobility_result import Result

_SCORES = {
    "accuracy": "Accuracy",
    "auc": "AUC",
    "log_loss": "Log loss (lower is better)",
    "brier": "Brier score (lower is better)",
}
_UNITS = {"zones": "commuting zones", "tracts": "tracts"}


def write_report(
    result: Result,
    shapes: gpd.GeoDataFrame | None,
    file: str,
    record: Record | None = None,
    source: str = "",
) -> None:
    """Write the report on a run, with its provenance; see `report_page`.

    Raises
    ------
    InputError
        If the file cannot be written, or no unit has a polygon.
    """
    write_page("--report", file, report_page(result.about, result.tables, result.cards, shapes, source), record)


def write_map(
    result: Result,
    shapes: gpd.GeoDataFrame | None,
    file: str,
    record: Record,
    source: str = "",
    *,
    layer: str | None = None,
) -> None:
    """Write the map of a run, with its provenance: a page of zones has two maps, all else is as `map_content` has it.

    Parameters
    ----------
    layer : str, optional
        That comes first; see `maps.first_layer`.

    Raises
    ------
    InputError
        If there are no polygons, or the file cannot be written.
    """
    if shapes is None:
        raise InputError(f"--map {file}: the store has no polygons of these {result.about['study']}")
    if result.about["study"] == "zones" and file.endswith(PAGES) and not layer:
        write_page("--map", file, map_page(result.about, result.tables, shapes, source), record)
    else:
        content = map_content(result.about, result.tables, shapes, source)
        map_files.write_map(content, file, record, layer=layer)


def report_page(
    about: About, tables: Tables, cards: Mapping[str, str], shapes: gpd.GeoDataFrame | None, source: str = ""
) -> str:
    """Return the report as HTML.

    Parameters
    ----------
    about : mapping
        Titles of models, folds, classes and features, counts and settings; see `products.mobility_result.Result`.
    tables : mapping of str to DataFrame
        ``units``, ``predictions``, ``scores``, ``importance``, ``ranking``, ``correlations``, ``histogram``,
        ``cumulative``, ``density``, ``calibration``, ``confusion``, ``clusters``, ``elbow``, ``cuts``, and perhaps
        ``impurity`` and ``leakage``.
    cards : mapping of model to str
        Model cards, Markdown.
    shapes : GeoDataFrame, optional
        Polygons by unit; without them there is no map.
    source : str
        A line below the maps.
    """
    about, tables = _readable(about), _titled(about, tables)
    sections = [
        *_score_sections(about, tables),
        *([] if shapes is None else [_map_section(about, tables, shapes, source)]),
        importance_section(about, tables),
        ranking_section(about, tables),
        correlation_section(about, tables),
        outcome_section(about, tables),
        _calibration_section(about, tables),
        _confusion_section(about, tables),
        cluster_section(tables),
        *([_leakage_section(tables)] if "leakage" in tables else []),
        Section(
            "Model cards",
            "What each fitted model is, and its limits.",
            cards={about["models"][model]: card_html(card) for model, card in cards.items()},
        ),
    ]
    counts = ", ".join(f"{name} {count:,}" for name, count in about["class_counts"].items())
    return report(
        f"Predictors of mobility in {about['units']:,} {_UNITS[about['study']]}",
        f"{about['outcome']}, {counted(len(about['classes']), 'class', 'classes')} ({counts}), from "
        f"{counted(len(about['features']), 'attribute')}. Imputation, scaling, selection and settings were fitted "
        f"inside the folds; classes are cut by all units.",
        sections,
    )


def map_page(about: About, tables: Tables, shapes: gpd.GeoDataFrame, source: str = "") -> str:
    """Return the map of zones as HTML: actual beside predicted classes; see `report_page` for parameters."""
    about, tables = _readable(about), _titled(about, tables)
    return report(_map_title(about), about["outcome"], [_map_section(about, tables, shapes, source)])


def map_content(about: About, tables: Tables, shapes: gpd.GeoDataFrame, source: str = "") -> MapContent:
    """Return the map of a study: of zones actual classes and those of every model, of tracts those of the first model.

    Parameters
    ----------
    about, tables, source
        As those of `report_page`.
    shapes : GeoDataFrame
        Polygons by unit.
    """
    about, tables = _readable(about), _titled(about, tables)
    found = _tract_map(about, tables, shapes) if about["study"] == "tracts" else _zone_map(about, tables, shapes)
    return replace(found, source=source)


def _map_title(about: About) -> str:
    return f"Mobility of {about['units']:,} {_UNITS[about['study']]}"


def _readable(about: About) -> dict[str, Any]:
    """Return the run's description with spaces in the names of classes, and the labels of features."""
    names = [name.replace("_", " ") for name in about["classes"]]
    counts = {name.replace("_", " "): count for name, count in about["class_counts"].items()}
    titles = feature_labels(about)
    features = [{**one, "title": titles[one["title"]]} for one in about["features"]]
    return {**about, "classes": names, "class_counts": counts, "features": features}


def _titled(about: About, tables: Tables) -> Tables:
    """Return tables with the labels of features where they have titles, and of units."""
    titles = feature_labels(about)
    tables = {**tables, "units": tables["units"].assign(label=unit_labels(about, tables["units"]))}
    return {
        name: table.assign(title=table["title"].replace(titles)) if "title" in table and len(table) else table
        for name, table in tables.items()
    }


# Scores --------------------------------------------------------------------------------------


def published_scores(classes: int) -> pd.DataFrame:
    """Return the scores that `sources/mobility_models.txt` publishes for a number of classes.

    Returns
    -------
    DataFrame
        ``model``, ``score``, ``sample`` (train, test, cross-validated), ``value``, ``what``.
    """
    path = resources.files("geomob_dask").joinpath("definitions", "mobility", "published.csv")
    table = pd.read_csv(io.StringIO(path.read_text(encoding="utf-8")))
    return table[table["classes"] == classes].reset_index(drop=True)


def _score_sections(about: About, tables: Tables) -> list[Section]:
    scores, titles = tables["scores"], {**about["models"], **about["baselines"]}
    published = published_scores(len(about["classes"]))
    if differs_from_published(about):
        published = published.iloc[:0]
    ranking = score_ranking(scores, published, titles, _SCORES)
    text = (
        "On held-out units, with 95% intervals. Random folds measure interpolation between known neighbors; folds of "
        "whole states, or of blocks with a buffer, measure prediction where nothing nearby is known."
    )
    sections = [
        Section("Cross-validated scores", text, table=sortable(_score_table(scores, titles, "test")), ranking=ranking)
    ]
    if len(published):
        sections.append(
            Section(
                "Comparison with published scores",
                "Published scores come from one unseeded split, or one cross-validation, of 478 zones, with scaling "
                "and imputation fitted before it. Training scores measure fit, not prediction.",
                table=sortable(_beside_published(scores, published, titles)),
            )
        )
    return sections


def _score_table(scores: pd.DataFrame, titles: Mapping[str, str], sample: str) -> pd.DataFrame:
    rows = scores[(scores["sample"] == sample) & scores["value"].notna()]
    table = {}
    for (model, folds), part in rows.groupby(["model", "folds"], sort=False):
        values = part.set_index("score")
        table[(titles[str(model)], str(folds))] = {
            label: _with_interval(values.loc[score]) for score, label in _SCORES.items() if score in values.index
        }
    frame = pd.DataFrame.from_dict(table, orient="index")
    frame.index = pd.MultiIndex.from_tuples(list(table), names=["Model", "Folds"])
    return frame.fillna("—")


def _with_interval(of: pd.Series) -> str:
    if pd.isna(of["value"]):
        return "—"
    known = not pd.isna(of["lower"])
    text = f"{of['value']:.3f} ({of['lower']:.3f}–{of['upper']:.3f})" if known else f"{of['value']:.3f}"
    return text + over_folds(of)


def differs_from_published(about: About) -> bool:
    """Return whether a run differs from the published study: other units than its zones, or other features."""
    return about["study"] != "zones" or not about.get("as_published", False)


def _beside_published(scores: pd.DataFrame, published: pd.DataFrame, titles: Mapping[str, str]) -> pd.DataFrame:
    rows = []
    for one in published.itertuples():
        if one.model not in set(scores["model"]):
            continue
        sample = "train" if one.sample == "train" else "test"
        ours = scores[(scores["model"] == one.model) & (scores["score"] == one.score) & (scores["sample"] == sample)]
        rows.append(
            {
                "Model": titles[one.model],
                "Score": f"{_SCORES[one.score]}, {one.sample}",
                "Published": f"{one.value:.3f} ({one.what})",
                **{one_row.folds: _with_interval(pd.Series(one_row._asdict())) for one_row in ours.itertuples()},
            }
        )
    return pd.DataFrame(rows).fillna("—").set_index("Model") if rows else pd.DataFrame()


# Maps ----------------------------------------------------------------------------------------


def _pairs(about: About, table: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Return the pairs of model and kind of folds in a table, by title."""
    there = set(zip(table["model"], table["folds"], strict=True))
    return {
        f"{title}, {folds}": (model, folds)
        for model, title in about["models"].items()
        for folds in about["folds"]
        if (model, folds) in there
    }


def _of(table: pd.DataFrame, pair: tuple[str, str]) -> pd.DataFrame:
    return table[(table["model"] == pair[0]) & (table["folds"] == pair[1])]


def _map_section(about: About, tables: Tables, shapes: gpd.GeoDataFrame, source: str) -> Section:
    units, predictions = tables["units"], tables["predictions"]
    chosen = {title: _of(predictions, pair) for title, pair in _pairs(about, predictions).items()}
    absent = len(units.index.difference(shapes.index))
    notes = [
        "Left: actual classes. Right: classes predicted by a model that was not fitted on the unit (by the mean "
        "probability over the repeats). The maps pan and zoom together; hover for a unit's outcome and probabilities."
    ]
    others = len(shapes) - (len(units) - absent)
    if others:
        notes.append(f"Gray: {counted(others, 'unit')} not in the study.")
    if absent:
        notes.append(f"Not drawn (no polygon): {absent:,}.")
    parts, script = actual_and_predicted(shapes, units, chosen, about["classes"], about["outcome"])
    return Section("Actual and predicted classes", " ".join(notes), parts, script=script, source=source)


def _zone_map(about: About, tables: Tables, shapes: gpd.GeoDataFrame) -> MapContent:
    units, predictions, classes = tables["units"], tables["predictions"], about["classes"]
    values = units[["outcome", "state"]].assign(actual=units["actual"].astype("float64"))
    scale = categories(CLASSES[len(classes)], classes)
    layers = [maps.Layer("actual", "Actual class", about["outcome"], scale)]
    for title, (model, folds) in _pairs(about, predictions).items():
        column = f"{model}_{folds.replace(':', '_')}"
        values[column] = _of(predictions, (model, folds))["predicted"].reindex(units.index).astype("float64")
        layers.append(maps.Layer(column, f"Predicted, held out: {title}", about["outcome"], scale, always=False))
    layers.append(maps.Layer("outcome", about["outcome"], "as measured", quantiles(values["outcome"], OPPORTUNITY)))
    return MapContent(
        shapes,
        values,
        layers,
        title=_map_title(about),
        subtitle=f"{counted(len(classes), 'class', 'classes')} of {about['outcome']}",
        missing_note="not in the study",
        level="region",
        tolerance=None,
        names=units["label"].to_dict(),
        areas="state",
    )


def _tract_map(about: About, tables: Tables, shapes: gpd.GeoDataFrame) -> MapContent:
    units, classes = tables["units"], about["classes"]
    model, folds = next(iter(about["models"])), next(iter(about["folds"]))
    predicted = _of(tables["predictions"], (model, folds)).reindex(units.index)
    names, top = np.array(classes, dtype=object), len(classes) - 1
    shares = predicted[[f"p_{number}" for number in range(len(classes))]].to_numpy()
    values = pd.DataFrame(
        {
            "outcome": units["outcome"],
            "expected": shares @ np.arange(len(classes)),
            "actual": units["actual"].astype("float64"),
            "actual_class": names[units["actual"]],
            "predicted_class": names[predicted["predicted"].to_numpy(dtype=np.int64)],
        },
        index=units.index,
    )
    low, high = maps.spread(values["outcome"], step=_step(values["outcome"]))
    ends = f"0 = {classes[0]}, {top} = {classes[-1]}"
    layers = [
        maps.Layer("outcome", about["outcome"], "as measured", even(OPPORTUNITY, low, high)),
        maps.Layer(
            "expected",
            "Predicted class, held out",
            f"{ends}: weighted by probabilities",
            even(OPPORTUNITY, 0.0, float(top)),
        ),
        maps.Layer("actual", "Actual class", ends, even(OPPORTUNITY, 0.0, float(top))),
    ]
    return MapContent(
        shapes[shapes.index.isin(units.index)],
        values,
        layers,
        title=f"Mobility: {about['models'][model]}",
        subtitle=f"{counted(about['units'], 'tract')}; {about['folds'][folds]}",
        missing_note="without a value",
        details={"actual_class": "Actual", "predicted_class": "Predicted, held out"},
        tolerance=None,
    )


def _step(values: pd.Series) -> float:
    """Return a round step, about a tenth of the spread of the values."""
    spread = float(values.quantile(0.98) - values.quantile(0.02))
    return float(10.0 ** np.floor(np.log10(spread / 5))) if spread > 0 else 1.0


# Predictions ---------------------------------------------------------------------------------


def _calibration_section(about: About, tables: Tables) -> Section:
    table = tables["calibration"].replace({"class": r"_"}, {"class": " "}, regex=True)
    plots = {title: [calibration_plot(_of(table, pair), title)] for title, pair in _pairs(about, table).items()}
    text = (
        "Observed shares against predicted probabilities of held-out units; on the diagonal, probabilities are "
        "calibrated. Each prediction is by the model of one fold; repeats are pooled, and each unit counts once in the "
        "95% intervals (Wilson), which treat the units of a bin as independent."
    )
    return Section("Calibration", text, [Choice("Model and folds", plots)])


def _confusion_section(about: About, tables: Tables) -> Section:
    table = tables["confusion"].replace({"actual": r"_", "predicted": r"_"}, " ", regex=True)
    plots = {}
    for model, title in about["models"].items():
        found = {folds: _of(table, (model, folds)) for folds in about["folds"]}
        plots[title] = [confusion_plot(rows, about["classes"], f) for f, rows in found.items() if len(rows)]
    text = "Held-out units by actual and predicted class (a mean over repeats), and their share of the actual class."
    return Section("Confusion matrices", text, [Choice("Model", plots)])


def _leakage_section(tables: Tables) -> Section:
    text = (
        "The published study added labels of clusters fitted on a table with the outcome, fitted its scaler before the "
        "split, and scored one unseeded split. Each was repeated here and scored on the same folds; its effect is the "
        "difference from the score without it."
    )
    table = sortable(tables["leakage"].round(4))
    return Section("Effect of leakage in the published study", text, table=table)


def card_html(card: str) -> Markup:
    """Return a model card as HTML; markup in the text is escaped."""
    html = MarkdownIt("commonmark", {"html": False}).enable("table").render(card)
    # A card is inside of a section, whose heading is of the second level.
    return Markup(re.sub(r"<(/?)h([1-4])>", lambda found: f"<{found[1]}h{int(found[2]) + 2}>", html))
