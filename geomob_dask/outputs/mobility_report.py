"""Report and map of mobility models: scores, predictions, importance, calibration, and the models' cards."""

from __future__ import annotations

import io
from collections.abc import Mapping
from importlib import resources
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from bokeh.layouts import row
from markdown_it import MarkdownIt
from markupsafe import Markup

from geomob_dask.errors import InputError
from geomob_dask.messages import counted
from geomob_dask.models.model_card import over_folds
from geomob_dask.outputs import maps
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
from geomob_dask.outputs.mobility_plots import calibration_plot, confusion_plot, score_plot
from geomob_dask.outputs.page import Section, report, sortable, write_page
from geomob_dask.outputs.palette import OPPORTUNITY
from geomob_dask.outputs.plots import choose_plot
from geomob_dask.outputs.provenance import Record
from geomob_dask.products.mobility_result import Result

_SCORES = {
    "accuracy": "Accuracy",
    "auc": "AUC",
    "log_loss": "Log loss (lower is better)",
    "brier": "Brier score (lower is better)",
}
_UNITS = {"zones": "commuting zones", "tracts": "tracts"}


def write_report(result: Result, shapes: gpd.GeoDataFrame | None, file: str, record: Record | None = None) -> None:
    """Write the report on a run, with its provenance; see `report_page`.

    Raises
    ------
    InputError
        If the file cannot be written, or no unit has a polygon.
    """
    write_page("--report", file, report_page(result.about, result.tables, result.cards, shapes), record)


def write_map(result: Result, shapes: gpd.GeoDataFrame | None, file: str, record: Record | None = None) -> None:
    """Write the map of a run, with its provenance; see `map_page`.

    Raises
    ------
    InputError
        If there are no polygons, or the file cannot be written.
    """
    if shapes is None:
        raise InputError(f"--map {file}: the store has no polygons of these {result.about['study']}")
    write_page("--map", file, map_page(result.about, result.tables, shapes), record)


def report_page(about: About, tables: Tables, cards: Mapping[str, str], shapes: gpd.GeoDataFrame | None) -> str:
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
    """
    about = _readable(about)
    sections = [
        *_score_sections(about, tables),
        *([] if shapes is None else [_map_section(about, tables, shapes)]),
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


def map_page(about: About, tables: Tables, shapes: gpd.GeoDataFrame) -> str:
    """Return the map as HTML: of zones actual beside predicted classes, of tracts one large map of the first model.

    Parameters
    ----------
    about, tables
        As those of `report_page`.
    shapes : GeoDataFrame
        Polygons by unit.
    """
    about = _readable(about)
    if about["study"] == "tracts":
        return _tract_map(about, tables, shapes)
    title = f"Mobility of {about['units']:,} {_UNITS[about['study']]}"
    return report(title, about["outcome"], [_map_section(about, tables, shapes)])


def _readable(about: About) -> dict[str, Any]:
    """Return the run's description with spaces in the names of classes."""
    names = [name.replace("_", " ") for name in about["classes"]]
    counts = {name.replace("_", " "): count for name, count in about["class_counts"].items()}
    return {**about, "classes": names, "class_counts": counts}


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
    plots = [score_plot(scores, published, titles, score, _SCORES[score]) for score in ("accuracy", "auc")]
    text = (
        "On held-out units, with 95% intervals. Random folds measure interpolation between known neighbors; folds of "
        "whole states, or of blocks with a buffer, measure prediction where nothing nearby is known."
    )
    sections = [Section("Cross-validated scores", text, plots, table=sortable(_score_table(scores, titles, "test")))]
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


def _map_section(about: About, tables: Tables, shapes: gpd.GeoDataFrame) -> Section:
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
    drawing, script = actual_and_predicted(shapes, units, chosen, about["classes"], about["outcome"])
    return Section("Actual and predicted classes", " ".join(notes), [drawing], script=script)


def _tract_map(about: About, tables: Tables, shapes: gpd.GeoDataFrame) -> str:
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
        maps.Layer("outcome", about["outcome"], "as measured", OPPORTUNITY, low, high),
        maps.Layer(
            "expected", "Predicted class, held out", f"{ends}: weighted by probabilities", OPPORTUNITY, 0.0, float(top)
        ),
        maps.Layer("actual", "Actual class", ends, OPPORTUNITY, 0.0, float(top)),
    ]
    return maps.index_map(
        shapes[shapes.index.isin(units.index)],
        values,
        layers,
        title=f"Mobility: {about['models'][model]}",
        subtitle=f"{counted(about['units'], 'tract')}; {about['folds'][folds]}",
        missing_note="without a value",
        details={"actual_class": "Actual", "predicted_class": "Predicted, held out"},
    )


def _step(values: pd.Series) -> float:
    """Return a round step, about a tenth of the spread of the values."""
    spread = float(values.quantile(0.98) - values.quantile(0.02))
    return float(10.0 ** np.floor(np.log10(spread / 5))) if spread > 0 else 1.0


# Predictions ---------------------------------------------------------------------------------


def _calibration_section(about: About, tables: Tables) -> Section:
    table = tables["calibration"].replace({"class": r"_"}, {"class": " "}, regex=True)
    plots = {title: calibration_plot(_of(table, pair), title) for title, pair in _pairs(about, table).items()}
    text = (
        "Observed shares against predicted probabilities of held-out units; on the diagonal, probabilities are "
        "calibrated. Each prediction is by the model of one fold; repeats are pooled, and each unit counts once in the "
        "95% intervals (Wilson), which treat the units of a bin as independent."
    )
    return Section("Calibration", text, [choose_plot("Model and folds", plots)])


def _confusion_section(about: About, tables: Tables) -> Section:
    table = tables["confusion"].replace({"actual": r"_", "predicted": r"_"}, " ", regex=True)
    plots = {}
    for model, title in about["models"].items():
        found = {folds: _of(table, (model, folds)) for folds in about["folds"]}
        plots[title] = row(*[confusion_plot(rows, about["classes"], f) for f, rows in found.items() if len(rows)])
    text = "Held-out units by actual and predicted class (a mean over repeats), and their share of the actual class."
    return Section("Confusion matrices", text, [choose_plot("Model", plots)])


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
    return Markup(MarkdownIt("commonmark", {"html": False}).enable("table").render(card))
