"""Sections of the mobility report on attributes and outcome: importance, correlations, distribution, clusters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from geomob_dask.outputs.mobility_plots import cumulative_plot, distribution_plot, heat_map, intervals_of, line_plot
from geomob_dask.outputs.page import Column, Section, sortable
from geomob_dask.outputs.ranking import Estimates, Measure, Ranking

Tables = Mapping[str, pd.DataFrame]
About = Mapping[str, Any]


def importance_section(about: About, tables: Tables) -> Section:
    """Return the section on accuracy lost when attributes are shuffled, and on impurity in trees."""
    table, impurity = tables["importance"], tables.get("impurity")
    chosen: dict[str, pd.DataFrame] = {}
    for kind in ("domain", "feature"):
        for model, title in about["models"].items():
            rows = table[(table["model"] == model) & (table["kind"] == kind)].set_index("title")
            if len(rows):
                chosen[f"{title}: accuracy lost, by {kind}"] = rows
            trees = None if impurity is None or kind == "domain" else impurity[impurity["model"] == model]
            if trees is not None and len(trees):
                chosen[f"{title}: share of the decrease of impurity, by feature"] = trees.set_index("title")
    names = list(dict.fromkeys(str(name) for rows in chosen.values() for name in rows.index))
    measures = [
        Measure(title, [intervals_of(rows, names)], zero=True, compares=False, by_size=True)
        for title, rows in chosen.items()
    ]
    folds = table["folds"].iloc[0] if len(table) else next(iter(about["folds"]))
    text = (
        "Loss of accuracy on held-out units when the attributes of a domain (all together), or a single attribute, are "
        f"shuffled: means and 95% intervals over the {folds} folds. Correlated attributes have a small importance one "
        "by one: read the domains first."
    )
    if impurity is not None:
        text += (
            " For a forest, also by feature: the share of the decrease of Gini impurity in its trees, measured on "
            "the units that it was fitted on, which favors attributes with many different values."
        )
    ranking = Ranking(("attribute", "attributes"), names, measures, label="Shown", level="95%") if measures else None
    return Section("Permutation importance", text, ranking=ranking)


def _feature_titles(about: About) -> dict[str, str]:
    return {feature["name"]: feature["title"] for feature in about["features"]}


def ranking_section(about: About, tables: Tables) -> Section:
    """Return the section on attributes one at a time: mutual information, and correlation with the outcome."""
    ranking, titles = tables["ranking"], _feature_titles(about)
    named = ranking.set_axis([titles[str(name)] for name in ranking.index])

    adjusted = bool(named["pearson_effective_units"].notna().any())
    kind = "adjusted" if adjusted else "unadjusted"
    columns = {
        "Mutual information with the class (nats)": (
            "mutual_information",
            "mutual_information_lower",
            "mutual_information_upper",
        ),
        f"Correlation with the outcome (r), {kind} intervals": (
            "pearson",
            f"pearson_lower_{kind}",
            f"pearson_upper_{kind}",
        ),
    }
    measures = [
        Measure(
            title,
            [Estimates(*(named[name].to_numpy(np.float64) for name in three))],
            zero=True,
            compares=False,
            by_size=True,
        )
        for title, three in columns.items()
    ]
    shown = Ranking(("attribute", "attributes"), list(named.index), measures, level="95%")
    text = (
        "Without a model: mutual information of attribute and class (nearest neighbors, Ross 2014; intervals from "
        "random halves), and correlation of attribute and outcome (Pearson's r, intervals of 95% by Fisher's z). "
        "Unadjusted p-values and intervals take the units "
        "for independent, which near ones are not; "
    ) + (
        "adjusted ones take the effective number of units, by the autocorrelation of both over distance "
        "(Clifford, Richardson & Hémon 1989; Dutilleul 1993)."
        if adjusted
        else "they are not adjusted here, as no polygons of the units are known."
    )
    return Section("Attributes one at a time", text, table=_correlations(named, adjusted=adjusted), ranking=shown)


def _correlations(ranking: pd.DataFrame, *, adjusted: bool) -> list[Column]:
    """Return r of each attribute with its p-values and intervals, the largest first."""
    found = ranking.dropna(subset=["pearson"]).sort_values("pearson", key=abs, ascending=False, kind="stable")
    table = pd.DataFrame({"r": found["pearson"].round(3), "Units": found["units"].astype(int)}, index=found.index)
    columns = sortable(table.rename_axis("Attribute"), places=3)
    for kind in ("unadjusted", "adjusted") if adjusted else ("unadjusted",):
        if kind == "adjusted":
            columns += sortable(found[["pearson_effective_units"]].round(1), places=1)[1:]
            columns[-1] = replace(columns[-1], title="Effective units")
        p = found[f"pearson_p_{kind}"]
        columns.append(Column(f"p, {kind}", [_p(value) for value in p], [f"{value:.17g}" for value in p.fillna(2.0)]))
        bounds = zip(found[f"pearson_lower_{kind}"], found[f"pearson_upper_{kind}"], strict=True)
        texts = ["—" if np.isnan(lower) else f"{lower:.3f} to {upper:.3f}" for lower, upper in bounds]
        columns.append(Column(f"95% interval, {kind}", texts))
    return columns


def _p(value: float) -> str:
    if np.isnan(value):
        return "—"
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"


def correlation_section(about: About, tables: Tables) -> Section:
    """Return the section on correlations between attributes."""
    titles = {**_feature_titles(about), about["outcome_name"]: about["outcome"]}
    text = (
        "Pearson's r of each pair of attributes, and of each with the outcome (first row), over units that have both."
    )
    return Section("Correlations between attributes", text, [heat_map(tables["correlations"], titles)])


def outcome_section(about: About, tables: Tables) -> Section:
    """Return the section on the distribution of the outcome."""
    bins = tables["histogram"]
    edges = np.append(bins["left"].to_numpy(), bins["right"].to_numpy()[-1])
    cuts = ", ".join(f"{edge:.4g}" for edge in about["edges"])
    rule = "mean" if len(about["classes"]) == 2 else "quantiles"
    text = (
        f"Dashed lines separate the classes, at the {rule} ({cuts}). A value on a line is in the lower class. "
        "The curve is the density (normal kernels, Scott's width) on the scale of the bars. "
        f"{cut_text(about, tables['cuts'])}"
    )
    plots = [
        distribution_plot(
            edges, bins["units"].to_numpy(), about["edges"], about["classes"], about["outcome"], tables["density"]
        ),
        cumulative_plot(tables["cumulative"], about["edges"], about["outcome"]),
    ]
    return Section("Distribution of the outcome", text, plots)


def cluster_section(tables: Tables) -> Section:
    """Return the section on clusters of units."""
    clusters = tables["clusters"]
    plots = [
        line_plot(clusters, "clusters", "inertia", "clusters", "inertia"),
        line_plot(clusters.dropna(subset=["silhouette"]), "clusters", "silhouette", "clusters", "silhouette"),
    ]
    best = clusters.loc[clusters["silhouette"].idxmax()]
    text = (
        "K-means on the imputed and scaled attributes, without the outcome; the models do not use these clusters. "
        f"The silhouette is largest, {best['silhouette']:.3f}, at {int(best['clusters'])} clusters; values near 0 mean "
        "that there are no distinct clusters. "
        f"{elbow_text(tables['elbow'])} The table has the elbow for each range: where the curve of inertia is farthest "
        "below the line between its ends."
    )
    table = tables["elbow"].pivot_table(index="fewest", columns="most", values="knee", aggfunc="first")
    table.columns = [f"at most {most}" for most in table.columns]
    shown = table.map(lambda knee: "" if pd.isna(knee) else f"{knee:.0f}").rename_axis("Clusters tried: at least")
    return Section("Clusters of units", text, plots, table=sortable(shown))


def elbow_text(elbow: pd.DataFrame) -> str:
    """Return where the elbow is over all numbers of clusters, and over some of them."""
    if elbow.empty:
        return "The elbow needs three numbers of clusters."
    whole = elbow.loc[(elbow["most"] - elbow["fewest"]).idxmax()]
    same = elbow[elbow["fewest"] == whole["fewest"]]["knee"]
    start, knees = whole["fewest"], elbow["knee"]
    return (
        f"The elbow is at {whole['knee']} when {start} to {whole['most']} clusters are tried, at {same.min()} to "
        f"{same.max()} when fewer are from {start} on, and at {knees.min()} to {knees.max()} over all ranges: it "
        "depends on the range."
    )


def cut_text(about: About, cuts: pd.DataFrame) -> str:
    """Return that classes are cut by all units, not inside the folds, and what a cut inside them would change."""
    rule = "mean" if len(about["classes"]) == 2 else "quantiles"
    names = [str(name) for name in cuts if str(name).startswith("edge_")]
    edges = " and ".join(f"{cuts[name].min():.4g} to {cuts[name].max():.4g}" for name in names)
    counts = cuts.groupby("folds", sort=False)[["moved_units", "test_units"]].sum()
    moved = ", ".join(f"{row.moved_units:,} of {row.test_units:,} ({row.Index})" for row in counts.itertuples())
    return (
        f"Exception to what is learned inside the folds: classes are cut at the {rule} of all units, held-out ones "
        f"too, as in the published study, because the cut defines the target. The training units of a fold alone would "
        f"cut at {edges}, and put {moved} held-out units, all repeats together, into another class."
    )
