"""Model cards: what a fitted model is, its scores, and its limits.

The order follows Mitchell et al. (2019), "Model Cards for Model Reporting". A card is Markdown made from the tables of
a run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from geomob_dask.messages import counted

# What starts code, emphasis, a link, an image or a tag; an underscore inside a name starts nothing.
_MARKDOWN = re.compile(r"[\\`*\[]|<(?=[A-Za-z/!?])|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_LIMITS = (
    "It describes places, not people: an area's class does not determine the outcome of a child who grows up there.",
    "Its weights are associations, not causal effects: a policy that changes an attribute need not change mobility "
    "accordingly.",
    "Attributes and outcome are from past years.",
    "Nearby units are alike. Scores under random folds measure interpolation between known neighbors; scores under "
    "folds of whole states, or of blocks with a buffer, measure prediction where nothing nearby is known.",
    "Correlated attributes share their importance: a small importance does not mean that an attribute is irrelevant. "
    "The importance of a whole domain is more reliable.",
)
_FOR = (
    "Finding which attributes of communities are associated with the mobility of their children, and how strongly.",
    "Comparing prediction methods, with intervals, against naive rules.",
)
_NOT_FOR = (
    "Decisions about persons or families.",
    "Ranking places for funding without examining what a prediction rests on.",
    "Units of another kind or country, or attributes that were measured in another way.",
)


def model_card(model: str, about: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> str:
    """Return the card of one model of a run, as Markdown.

    Parameters
    ----------
    model : str
        Its name in the catalog.
    about : mapping
        Description of the run; see `products.mobility_result.Result`.
    tables : mapping of str to DataFrame
        The run's tables.
    """
    parts = [
        f"# Model card: {about['models'][model]}, {counted(len(about['classes']), 'class', 'classes')}, "
        f"{about['study']}",
        *_section("Model", _of_model(model, about, tables)),
        *_section("Intended use", _FOR),
        *_section("Not for", _NOT_FOR),
        *_section("Data", _of_data(about)),
        "## Features",
        markdown_table(("Feature", "Domain", "Unit", "Missing"), _features(about)),
        *_section("Folds", about["folds"].values()),
        "## Scores",
        "Means over the folds, with 95% intervals. *Test*: held-out units; *train*: units that the model was fitted "
        "on. Imputation, scaling, selection and settings were fitted inside the folds; classes are cut by all units, "
        "those held out too, as the cut defines the target.",
        markdown_table(("Folds", "Sample", "Score", "Value", "Interval"), _scores(tables["scores"], [model])),
        "## Scores of naive rules",
        markdown_table(("Rule", "Folds", "Score", "Value", "Interval"), _baselines(tables["scores"], about)),
        *_section("Calibration", _calibration(model, about, tables["calibration"])),
        *_section("Limits", _LIMITS),
        *_section("Provenance", _provenance(about)),
    ]
    return "\n\n".join(parts) + "\n"


def _section(title: str, lines: Iterable[str]) -> tuple[str, str]:
    return f"## {title}", "\n".join(f"- {line}" for line in lines)


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table as Markdown, with the text of its cells as text."""
    every = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(_as_text(cell).replace("|", "\\|") for cell in cells) + " |" for cells in every)


def _as_text(text: str) -> str:
    """Return text of data, such as the title of a feature, so that no Markdown in it is taken for one."""
    return _MARKDOWN.sub(r"\\\g<0>", " ".join(text.split()))


def _of_model(model: str, about: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> list[str]:
    settings = about["settings"][model]
    chosen = ", ".join(f"{name} = {value}" for name, value in settings.items()) or "none"
    return [
        f"Kind: {about['models'][model]}. The model imputes missing attributes and scales them.",
        f"Predicts: {_as_text(about['outcome'])} in classes {', '.join(about['classes'])}; {_edges(about)}.",
        f"Settings, selected by search on all units: {chosen}.",
        f"Seed: {about['seed']}.",
    ]


def _edges(about: Mapping[str, Any]) -> str:
    edges = ", ".join(f"{edge:.6g}" for edge in about["edges"])
    rule = "the mean of the units" if len(about["classes"]) == 2 else "quantiles of the units"
    return f"separated at {rule}: {edges}"


def _of_data(about: Mapping[str, Any]) -> list[str]:
    counts = ", ".join(f"{name} {count:,}" for name, count in about["class_counts"].items())
    features = f"{counted(len(about['features']), 'feature')}, listed below."
    return [*map(_as_text, about["data"]), f"Units by class: {counts}.", features]


def _features(about: Mapping[str, Any]) -> list[list[str]]:
    return [
        [feature["title"], feature["domain"], feature["unit"] or "—", f"{feature['missing']:.1%}"]
        for feature in about["features"]
    ]


def _interval(row: Any) -> str:
    known = "—" if pd.isna(row.lower) else f"{row.lower:.3f} to {row.upper:.3f}"
    return known + over_folds(row._asdict())


def over_folds(row: Mapping[str, Any] | pd.Series) -> str:
    """Return a note if a score is a mean over some of the folds: AUC needs all classes in a fold."""
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
            f"{folds}: predicted probabilities of held-out units differ from observed shares by {mean:.3f} on average "
            f"(over {len(rows)} bins, weighted by predictions), by {gaps.max():.3f} at most."
        )
    return lines


def _provenance(about: Mapping[str, Any]) -> list[str]:
    inputs = [f"{name}: SHA-256 {checksum}" for name, checksum in about["inputs"].items()]
    versions = ", ".join(f"{name} {found}" for name, found in about["versions"].items())
    return [f"Run {about['run']} of the job mobility.", *inputs, f"Versions: {versions}."]
