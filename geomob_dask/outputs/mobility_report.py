"""Mobility models on one page: where they are right, what they rest on, and how far their probabilities hold."""

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

from geomob_dask.errors import InputError
from geomob_dask.models.model_card import over_folds
from geomob_dask.outputs import maps
from geomob_dask.outputs.mobility_map import actual_and_predicted
from geomob_dask.outputs.mobility_plots import (
    FOLDS_COLORS,
    calibration_plot,
    confusion_plot,
    cumulative_plot,
    distribution_plot,
    heat_map,
    interval_bars,
    line_plot,
    one_of,
    score_plot,
)
from geomob_dask.outputs.segregation_page import Section, page, sortable, write_page
from geomob_dask.runs.mobility import Result

_SCORES = {
    "accuracy": "Accuracy",
    "auc": "AUC",
    "log_loss": "Log loss (lower is better)",
    "brier": "Brier score (lower is better)",
}
_SHOWN = 25


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


def write_report(result: Result, shapes: gpd.GeoDataFrame | None, file: str) -> None:
    """Write the report on a run.

    Parameters
    ----------
    result : Result
    shapes : GeoDataFrame, optional
        Polygons by unit; without them there is no map.
    file : str
        Ends in .html.

    Raises
    ------
    InputError
        If the file cannot be written, or no unit has a polygon.
    """
    about, tables = _readable(result.about), result.tables
    sections = [
        *_score_sections(about, tables),
        *([] if shapes is None else [_map_section(about, tables, shapes)]),
        _importance_section(about, tables),
        _ranking_section(about, tables),
        _correlation_section(about, tables),
        _outcome_section(about, tables),
        _calibration_section(about, tables),
        _confusion_section(about, tables),
        _cluster_section(tables),
        *([_leakage_section(tables)] if "leakage" in tables else []),
        _cards_section(result),
    ]
    counts = ", ".join(f"{name} {count:,}" for name, count in about["class_counts"].items())
    text = page(
        f"What tells the mobility of {about['units']:,} {about['study']}",
        f"{about['outcome']}, {len(about['classes'])} classes ({counts}), from {len(about['features'])} attributes. "
        "All that learns was fitted inside the folds.",
        sections,
    )
    write_page("--report", file, text)


def _readable(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run says of itself, with spaces in the names of classes."""
    names = [name.replace("_", " ") for name in about["classes"]]
    counts = {name.replace("_", " "): count for name, count in about["class_counts"].items()}
    return {**about, "classes": names, "class_counts": counts}


# Scores --------------------------------------------------------------------------------------


def _titles(about: Mapping[str, Any]) -> dict[str, str]:
    return {**about["models"], **about["baselines"]}


def _score_sections(about: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> list[Section]:
    scores, titles = tables["scores"], _titles(about)
    published = published_scores(len(about["classes"]))
    if differs_from_published(about):
        published = published.iloc[:0]
    # One legend stands above the first plot; the second lines up with it by the models' names.
    plots = [
        score_plot(scores, published, titles, score, label, legend=True)
        for score, label in _SCORES.items()
        if score in ("accuracy", "auc")
    ]
    text = (
        "On units held out, with intervals of 95 %. Random folds fill gaps between neighbours that are known; folds of "
        "whole states, or of blocks with a buffer, tell of places that nothing near is known of."
    )
    sections = [Section("How well they tell", text, plots, table=sortable(_score_table(scores, titles, "test")))]
    if len(published):
        sections.append(
            Section(
                "Beside the published scores",
                "Published numbers come from one unseeded split, or one cross-validation, of 478 zones, with scalers "
                "and fills fitted before it; training scores say how closely a model fits what it was shown.",
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


def differs_from_published(about: Mapping[str, Any]) -> bool:
    """Tell whether a run studied anything but what the published scores are of: the cohort of zones, all features."""
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


def _pairs(about: Mapping[str, Any], table: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Return each model and kind of folds of a table, by a name for lists to choose from."""
    there = set(zip(table["model"], table["folds"], strict=True))
    return {
        f"{model} {folds}": (model, folds)
        for model in about["models"]
        for folds in about["folds"]
        if (model, folds) in there
    }


def _pair_titles(about: Mapping[str, Any], pairs: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    return {name: f"{about['models'][model]}, {folds}" for name, (model, folds) in pairs.items()}


def _of(table: pd.DataFrame, pair: tuple[str, str]) -> pd.DataFrame:
    return table[(table["model"] == pair[0]) & (table["folds"] == pair[1])]


def _map_section(about: Mapping[str, Any], tables: Mapping[str, pd.DataFrame], shapes: gpd.GeoDataFrame) -> Section:
    units, predictions = tables["units"], tables["predictions"]
    pairs = _pairs(about, predictions)
    chosen = {name: _of(predictions, pair) for name, pair in pairs.items()}
    absent = len(units.index.difference(shapes.index))
    notes = [
        "Left what is, right what a model says of units that it was not fitted on (the class of the "
        "mean probability over the repeats).",
        "Move and zoom one map and the other follows; under the pointer are the unit, its outcome and probabilities.",
    ]
    others = len(shapes) - (len(units) - absent)
    if others:
        notes.append(f"Grey: {others:,} that are not in the study.")
    if absent:
        notes.append(f"Not drawn, for want of a polygon: {absent:,}.")
    drawing = actual_and_predicted(
        shapes, units, chosen, _pair_titles(about, pairs), about["classes"], about["outcome"]
    )
    return Section("Where they are right", " ".join(notes), [drawing])


def write_page_of_units(result: Result, shapes: gpd.GeoDataFrame | None, file: str) -> None:
    """Write a map of its own: of zones, actual beside predicted classes; of tracts, one large map of the first model.

    Parameters
    ----------
    shapes : GeoDataFrame, optional
        Polygons by unit.

    Raises
    ------
    InputError
        If there are no polygons, or the file cannot be written.
    """
    about = _readable(result.about)
    if shapes is None:
        raise InputError(f"--map {file}: the store has no polygons of these {about['study']}")
    if about["study"] == "tracts":
        maps.write_map(file, _tract_map(about, result.tables, shapes))
        return
    section = _map_section(about, result.tables, shapes)
    write_page("--map", file, page(f"Mobility of {about['units']:,} zones", about["outcome"], [section]))


def _tract_map(about: Mapping[str, Any], tables: Mapping[str, pd.DataFrame], shapes: gpd.GeoDataFrame) -> str:
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
    palette = maps.OPPORTUNITY_PALETTE
    layers = [
        maps.Layer("outcome", about["outcome"], "as measured", palette, low, high),
        maps.Layer(
            "expected", "Predicted class, held out", f"{ends}: weighted by probabilities", palette, 0.0, float(top)
        ),
        maps.Layer("actual", "Actual class", ends, palette, 0.0, float(top)),
    ]
    return maps.index_map(
        shapes[shapes.index.isin(units.index)],
        values,
        layers,
        title=f"Mobility: {about['models'][model]}",
        subtitle=f"{about['units']:,} tracts; {about['folds'][folds]}",
        missing_note="without a value",
        details={"actual_class": "Actual", "predicted_class": "Predicted, held out"},
    )


def _step(values: pd.Series) -> float:
    """Return a round step of which the spread of the values holds about ten."""
    spread = float(values.quantile(0.98) - values.quantile(0.02))
    return float(10.0 ** np.floor(np.log10(spread / 5))) if spread > 0 else 1.0


# What they rest on ---------------------------------------------------------------------------


def _importance_section(about: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> Section:
    table = tables["importance"]
    plots: dict[str, Any] = {}
    titles = {}
    for kind, color in (("domain", FOLDS_COLORS[0]), ("feature", FOLDS_COLORS[2])):
        for model in about["models"]:
            rows = table[(table["model"] == model) & (table["kind"] == kind)].set_index("title")
            if rows.empty:
                continue
            rows = rows.loc[rows["value"].abs().sort_values(ascending=False).index[:_SHOWN]]
            name = f"{model} {kind}"
            plots[name] = interval_bars(rows, kind, "accuracy lost", color=color, width=860)
            titles[name] = f"{about['models'][model]}: by {kind}"
    folds = table["folds"].iloc[0] if len(table) else next(iter(about["folds"]))
    text = (
        "How much accuracy on held-out units is lost when a domain's attributes (or a single one) are shuffled among "
        f"them, all attributes of a domain together; means and intervals of 95 % over the {folds} folds. Attributes "
        "that stand in for each other look small one by one: read the domains first."
    )
    return Section("What they rest on", text, [one_of(titles, plots, "Shown")] if plots else [])


def _feature_titles(about: Mapping[str, Any]) -> dict[str, str]:
    return {feature["name"]: feature["title"] for feature in about["features"]}


def _ranking_section(about: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> Section:
    ranking, titles = tables["ranking"], _feature_titles(about)
    named = ranking.set_axis([titles[str(name)] for name in ranking.index])
    information = named[["mutual_information", "mutual_information_lower", "mutual_information_upper"]]
    information = information.set_axis(["value", "lower", "upper"], axis=1)
    correlation = named[["pearson", "pearson_lower", "pearson_upper"]].set_axis(["value", "lower", "upper"], axis=1)
    correlation = correlation.dropna(subset=["value"])
    plots = [
        interval_bars(
            information.nlargest(_SHOWN, "value"), "attribute", "nats", title="Mutual information with the class"
        ),
        interval_bars(
            correlation.loc[correlation["value"].abs().nlargest(_SHOWN).index],
            "attribute",
            "r",
            color=FOLDS_COLORS[1],
            title="Correlation with the outcome",
        ),
    ]
    text = (
        "Each attribute by itself, no model: the mutual information of attribute and class (nearest neighbours, Ross "
        "2014; intervals from random halves), and the correlation with the outcome (intervals by Fisher's z). "
        f"The {min(_SHOWN, len(ranking))} largest of {len(ranking)}."
    )
    return Section("Attributes one by one", text, plots)


def _correlation_section(about: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> Section:
    titles = {**_feature_titles(about), about["outcome_name"]: about["outcome"]}
    text = "Pearson's r of every two attributes, and of each with the outcome (first row), over units that have both."
    return Section("How attributes go together", text, [heat_map(tables["correlations"], titles)])


def _outcome_section(about: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> Section:
    bins = tables["histogram"]
    edges = np.append(bins["left"].to_numpy(), bins["right"].to_numpy()[-1])
    cuts = ", ".join(f"{edge:.4g}" for edge in about["edges"])
    rule = "mean" if len(about["classes"]) == 2 else "quantiles"
    text = f"Dashed: where the classes are cut, at the {rule} ({cuts}). A value on a cut is in the lower class."
    plots = [
        distribution_plot(edges, bins["units"].to_numpy(), about["edges"], about["classes"], about["outcome"]),
        cumulative_plot(tables["cumulative"], about["edges"], about["outcome"]),
    ]
    return Section("The outcome", text, plots)


# How far they hold ---------------------------------------------------------------------------


def _calibration_section(about: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> Section:
    table = tables["calibration"].replace({"class": r"_"}, {"class": " "}, regex=True)
    pairs = _pairs(about, table)
    titles = _pair_titles(about, pairs)
    plots = {name: calibration_plot(_of(table, pair), titles[name]) for name, pair in pairs.items()}
    text = (
        "Predicted probabilities of held-out units against the share that is so; on the diagonal, a probability means "
        "what it says. Each is what one fold's model said; repeats are pooled and a unit counts once in the "
        "intervals of 95 % (Wilson), which take the units of a bin as independent."
    )
    return Section("Calibration", text, [one_of(titles, plots, "Model and folds")])


def _confusion_section(about: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> Section:
    table = tables["confusion"].replace({"actual": r"_", "predicted": r"_"}, " ", regex=True)
    plots = {}
    for model in about["models"]:
        found = {folds: _of(table, (model, folds)) for folds in about["folds"]}
        plots[model] = row(*[confusion_plot(rows, about["classes"], f) for f, rows in found.items() if len(rows)])
    text = "Actual against predicted classes of held-out units: units (a mean over repeats) and their share of the row."
    return Section("What is taken for what", text, [one_of(about["models"], plots, "Model")])


def _cluster_section(tables: Mapping[str, pd.DataFrame]) -> Section:
    clusters = tables["clusters"]
    plots = [
        line_plot(clusters, "clusters", "inertia", "clusters", "inertia"),
        line_plot(clusters.dropna(subset=["silhouette"]), "clusters", "silhouette", "clusters", "silhouette"),
    ]
    best = clusters.loc[clusters["silhouette"].idxmax()]
    text = (
        "K-means on the attributes alone, filled and scaled: the outcome is never shown to it, and no model here uses "
        f"its clusters. The silhouette is largest, {best['silhouette']:.3f}, at {int(best['clusters'])} clusters; "
        "near 0 there are no clear groups."
    )
    return Section("Groups of units", text, plots)


def _leakage_section(tables: Mapping[str, pd.DataFrame]) -> Section:
    text = (
        "The published study appended cluster labels fitted on a table that held the outcome, fitted its scaler before "
        "the split, and scored one unseeded split. Each was repeated here and scored on the same folds; what it is "
        "worth is the difference from the clean way."
    )
    return Section(
        "What leaked in the source, and how much it was worth", text, table=sortable(tables["leakage"].round(4))
    )


def _cards_section(result: Result) -> Section:
    cards = "".join(
        f"<details><summary>{result.about['models'][model]}</summary>{card_html(card)}</details>"
        for model, card in result.cards.items()
    )
    return Section("Model cards", "What each fitted model is, and what it is not for.", table=f"<div>{cards}</div>")


def card_html(card: str) -> str:
    """Return a model card as HTML; markup in the text is escaped."""
    return str(MarkdownIt("commonmark", {"html": False}).enable("table").render(card))
