"""Model cards: what a fitted model is, how well it does, and what it is not for.

The order follows Mitchell et al. (2019), "Model Cards for Model Reporting". A card is Markdown made from the finished
tables of a run; every number in it stands in one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

_LIMITS = (
    "It describes places, not people: an area's class says nothing certain about any child who grows up there.",
    "It finds what goes along with mobility, not what causes it: a policy that moved an attribute need not move "
    "mobility as the model's weights suggest.",
    "The attributes and the outcome are of past years; the model knows nothing of what came after.",
    "Units near each other are alike. Scores under random folds tell how well it fills gaps between known "
    "neighbours; scores under folds of whole states or of blocks with a buffer tell how well it carries over to "
    "places it knows nothing about.",
    "Attributes that go together share their importance: a small one of a single attribute does not mean that it is "
    "of no account. That of a whole domain is the safer reading.",
)
_FOR = (
    "To see which attributes of communities go along with the mobility of their children, and how far they tell it.",
    "To compare ways of predicting it, with intervals, against naive rules.",
)
_NOT_FOR = (
    "Decisions about persons or families.",
    "Ranking places for funds without looking at what stands behind a prediction.",
    "Units of another kind or another country, or attributes measured in another way.",
)


def model_card(model: str, about: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> str:
    """Return the card of one model of a run, as Markdown.

    Parameters
    ----------
    model : str
        Its name in the catalogue.
    about : mapping
        What the run says of itself; see `runs.mobility.Result`.
    tables : mapping of str to DataFrame
        The run's tables.
    """
    parts = [
        f"# Model card: {about['models'][model]}, {len(about['classes'])} classes, {about['study']}",
        *_section("Model", _of_model(model, about, tables)),
        *_section("Intended use", _FOR),
        *_section("Not for", _NOT_FOR),
        *_section("Data", _of_data(about)),
        "## Features",
        _table(("Feature", "Domain", "Unit", "Missing"), _features(about)),
        *_section("Folds", about["folds"].values()),
        "## Scores",
        "Means over the folds, with intervals of 95 %. *Test* is on units held out, *train* on those fitted on; all "
        "that learns (fill, scale, select, settings) was fitted inside the folds.",
        _table(("Folds", "Sample", "Score", "Value", "Interval"), _scores(tables["scores"], [model])),
        "## Naive rules beside it",
        _table(("Rule", "Folds", "Score", "Value", "Interval"), _baselines(tables["scores"], about)),
        *_section("Calibration", _calibration(model, about, tables["calibration"])),
        *_section("Limits", _LIMITS),
        *_section("Where it comes from", _provenance(about)),
    ]
    return "\n\n".join(parts) + "\n"


def _section(title: str, lines: Iterable[str]) -> tuple[str, str]:
    return f"## {title}", "\n".join(f"- {line}" for line in lines)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    every = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |" for cells in every)


def _of_model(model: str, about: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> list[str]:
    settings = about["settings"][model]
    chosen = ", ".join(f"{name} = {value}" for name, value in settings.items()) or "none to choose"
    return [
        f"Kind: {about['models'][model]}. Missing attributes are filled and scaled by the model itself.",
        f"Predicts: {about['outcome']} in classes {', '.join(about['classes'])}; {_edges(about)}.",
        f"Settings, chosen by search on all units: {chosen}.",
        f"Seed: {about['seed']}.",
    ]


def _edges(about: Mapping[str, Any]) -> str:
    edges = ", ".join(f"{edge:.6g}" for edge in about["edges"])
    rule = "the mean of the units" if len(about["classes"]) == 2 else "quantiles of the units"
    return f"cut at {rule}: {edges}"


def _of_data(about: Mapping[str, Any]) -> list[str]:
    counts = ", ".join(f"{name} {count:,}" for name, count in about["class_counts"].items())
    return [*about["data"], f"Units by class: {counts}.", f"{len(about['features'])} features, listed below."]


def _features(about: Mapping[str, Any]) -> list[list[str]]:
    return [
        [feature["title"], feature["domain"], feature["unit"] or "—", f"{feature['missing']:.1%}"]
        for feature in about["features"]
    ]


def _interval(row: Any) -> str:
    known = "—" if pd.isna(row.lower) else f"{row.lower:.3f} to {row.upper:.3f}"
    return known + over_folds(row._asdict())


def over_folds(row: Mapping[str, Any] | pd.Series) -> str:
    """Return a note where a score is a mean over fewer folds than there are: AUC needs all classes in a fold."""
    scored, every = int(row["scored_folds"]), int(row["all_folds"])
    return f", {scored} of {every} folds" if 0 < scored < every else ""


def _scores(scores: pd.DataFrame, models: Sequence[str]) -> list[list[str]]:
    rows = scores[scores["model"].isin(models)]
    return [[row.folds, row.sample, row.score, f"{row.value:.3f}", _interval(row)] for row in rows.itertuples()]


def _baselines(scores: pd.DataFrame, about: Mapping[str, Any]) -> list[list[str]]:
    rows = scores[scores["model"].isin(list(about["baselines"])) & (scores["sample"] == "test")]
    return [
        [about["baselines"][row.model], row.folds, row.score, f"{row.value:.3f}", _interval(row)]
        for row in rows.itertuples()
        if not pd.isna(row.value)
    ]


def _calibration(model: str, about: Mapping[str, Any], table: pd.DataFrame) -> list[str]:
    lines = []
    for folds in about["folds"]:
        rows = table[(table["model"] == model) & (table["folds"] == folds)]
        if rows.empty:
            continue
        gaps = (rows["predicted"] - rows["observed"]).abs()
        mean = float((gaps * rows["units"]).sum() / rows["units"].sum())
        lines.append(
            f"{folds}: predicted probabilities of held-out units and shares that are so differ by {mean:.3f} on "
            f"average (over {len(rows)} bins, weighted by predictions), by {gaps.max():.3f} at most."
        )
    return lines


def _provenance(about: Mapping[str, Any]) -> list[str]:
    inputs = [f"{name}: SHA-256 {checksum}" for name, checksum in about["inputs"].items()]
    versions = ", ".join(f"{name} {found}" for name, found in about["versions"].items())
    return [f"Run {about['run']} of the job mobility.", *inputs, f"Versions: {versions}."]
