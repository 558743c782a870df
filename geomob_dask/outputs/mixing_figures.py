"""Figures of income mixing of one region at a time: scatters of indices, pairs of tracts that an index confuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import ColumnDataSource, DataRange1d, FactorRange, NumeralTickFormatter
from bokeh.plotting import figure
from bokeh.transform import dodge

from geomob_dask.frames.mixing import CLASSES
from geomob_dask.metrics.composition import QUINTILES, composition_divergence, relative_composition
from geomob_dask.metrics.contrasts import contrasting_pairs
from geomob_dask.metrics.counts import Floats, shares
from geomob_dask.metrics.entropy import entropy
from geomob_dask.outputs.mixing_map import BRACKETS, SOURCE, Tables, by_people, class_codes, option_of_region
from geomob_dask.outputs.names import RegionNames
from geomob_dask.outputs.page import Choices, Figure, Script, Section, sortable
from geomob_dask.outputs.palette import CATEGORIES, INCOMES, INK, MISSING, SOFT
from geomob_dask.outputs.plots import hover, plain_figure
from geomob_dask.outputs.polygons import pack

Counts = Mapping[int, Mapping[str, pd.DataFrame]]
# Regions to draw, those with most people; `--regions` chooses others.
_DRAWN = 25
_PAIRS = 3
# Values are alike within this share of the distance between their quartiles.
_ALIKE = 0.02
# Tracts with fewer people than this share of the region's median tract differ by sampling error alone.
_SMALL = 0.5
_D, _W = "divergence", "wasserstein"
_PAIRED = {_D: _W, _W: _D}
_LETTER = {_D: "D", _W: "W"}
_TITLES = {
    _D: "D",
    "divergence_quintiles": "D of fifths",
    "entropy_index": "H",
    _W: "W",
    "modal_class": "most frequent class",
}
_COLORS = CATEGORIES[:2]
_LIST = "figures-region"
_QUINTILES = ("lowest fifth", "second", "third", "fourth", "highest fifth")


def drawn_regions(tables: Tables) -> dict[int, list[str]]:
    """Return the regions of each year whose figures are drawn: those with most people."""
    return {year: by_people(table)[:_DRAWN] for year, table in tables.items()}


def figure_sections(
    tables: Tables,
    counts: Counts,
    cuts: Sequence[float],
    *,
    distance: str = BRACKETS,
    region_names: RegionNames | None = None,
) -> list[Section]:
    """Return scatters of D, H and W, and pairs of tracts that D or W holds for alike, of one region at a time.

    Parameters
    ----------
    tables : mapping of year to DataFrame
        By tract: ``region``, ``people``, indices, ``low``, ``middle``, ``high``, ``modal_class``.
    counts : mapping of year to mapping of region to DataFrame
        Of the regions that `drawn_regions` names: counts by tract (all tracts of the region) and bracket.
    cuts : (lower, upper)
        Quantiles of the region's incomes between low, middle and high.
    distance : str
        The unit of W.
    region_names : RegionNames, optional
        Of the regions to choose from.
    """
    known = region_names or RegionNames("")
    options: dict[str, dict[str, Any]] = {}
    pairs: dict[str, list[pd.DataFrame]] = {name: [] for name in _PAIRED}
    correlations: dict[tuple[str, int], dict[str, float]] = {}
    labels: list[str] = []
    for year, regions in counts.items():
        table = tables[year]
        for region, brackets in regions.items():
            tracts = table[(table["region"] == region) & table[_D].notna()]
            tracts = tracts[tracts.index.isin(brackets.index)]
            if tracts.empty:
                continue
            labels = _told_apart([str(label) for label in brackets.columns])
            found = {name: region_pairs(tracts, name, _PAIRED[name]) for name in _PAIRED}
            for name, chosen in found.items():
                pairs[name].append(_named(tracts, chosen, known.label(region), year))
            options[option_of_region(known, region, year)] = _of_region(tracts, brackets, found, cuts)
            correlations[known.label(region), year] = _correlations(tracts)
    if not options:
        return []
    listed = Choices("Region and year", _LIST, list(options), together="region")
    most = max(len(regions) for regions in counts.values())
    few = f" Those of the {most} regions with most people; --regions chooses others." if most == _DRAWN else ""
    data = {
        "regions": options,
        "colors": [*INCOMES, MISSING],
        "names": [*CLASSES, "—"],
        "pairs": _PAIRS,
        "list": _LIST,
    }
    return [
        Section("Figures of one region", f"The figures below are of one region and year.{few}", [listed]),
        _scatters(correlations, distance, Script("mixing_figures", data)),
        *(_pairs(name, labels, pd.concat(pairs[name])) for name in _PAIRED),
    ]


def _told_apart(labels: Sequence[str]) -> list[str]:
    """Return labels, numbered where some are the same: an axis shows each once."""
    if len(set(labels)) == len(labels):
        return list(labels)
    return [f"{number}: {label}" for number, label in enumerate(labels, 1)]


# Scatters ------------------------------------------------------------------------------------


def _scatters(correlations: Mapping[tuple[str, int], Mapping[str, float]], distance: str, script: Script) -> Section:
    # The script gives the tracts of a region; without any, plots would have no range at first.
    source = ColumnDataSource({name: [0.0] for name in ("D", "D5", "D3", "H", "W")} | {"geoid": [""], "class": [""]})
    source.data["color"] = [SOFT]
    source.name = "points"
    fine = _scatter("D of the brackets (nats)", "D of fewer classes (nats)")
    _line(fine, "diagonal", line_dash="dashed")
    for name, label, color in (("D5", "quintiles", CATEGORIES[0]), ("D3", "low, middle, high", CATEGORIES[1])):
        dots = fine.scatter("D", name, source=source, size=4, color=color, alpha=0.5)
        hover(fine, dots, ("tract", "@geoid"), ("D", "@D{0.000}"), (f"of {label}", f"@{name}{{0.000}}"))
    entropies = _scatter("D, divergence (nats)", "H, entropy index")
    _line(entropies, "even", line_dash="dashed")
    distances = _scatter("D, divergence (nats)", f"W ({distance})")
    for plot, name in ((entropies, "H"), (distances, "W")):
        dots = plot.scatter("D", name, source=source, size=4, color="color", alpha=0.6)
        values = ("D", "@D{0.000}"), (name, f"@{name}{{0.000}}"), ("most frequent", "@class")
        hover(plot, dots, ("tract", "@geoid"), *values)
    for name, dash in ((_D, "solid"), (_W, "dotted")):
        ends = ColumnDataSource({"xs": [], "ys": []}, name=f"{name} in W")
        distances.multi_line("xs", "ys", source=ends, color=INK, line_width=2, line_dash=dash)
    numbers = {"geoid": "Tract", "D": "D", "D5": "D of quintiles", "D3": "D of three classes", "H": "H", "W": "W"}
    classes = dict(zip((f"most frequent class: {CLASSES[0]}", *CLASSES[1:]), INCOMES, strict=True))
    figures = [
        Figure(
            fine,
            "",
            title="D of brackets, quintiles and three classes",
            keys={"quintiles": CATEGORIES[0], "low, middle, high": CATEGORIES[1]},
            numbers=numbers,
            sources=[source],
            id="figure-fine",
        ),
        Figure(entropies, "", title="D and H", keys=classes, id="figure-entropy"),
        Figure(distances, "", title="D and W", keys=classes, id="figure-distance"),
    ]
    table = pd.DataFrame(list(correlations.values()))
    table.index = pd.MultiIndex.from_tuples([(region, str(year)) for region, year in correlations])
    table.index.names = ["region", "year"]
    return Section(
        "D of fewer classes, D against H, D against W",
        "Every dot is a tract; r is the correlation over tracts, each counted once. Left: D of the brackets against D "
        "after regrouping to the region's quintiles and to low, middle and high; a bracket that straddles a cut is "
        "shared out. Regrouping never raises D: no dot is above the diagonal. Middle: the closer the region's own "
        "incomes are to even over the brackets, the closer tracts are to the dashed line, H = D / entropy of the "
        "region. Right: lines join the pairs of tracts below, alike in D (solid) and in W (dotted). Colors of the "
        "middle and right: the class that most people of the tract are in, which D sees and H does not. "
        f"After {SOURCE}: the scatters of deciles against quintiles, of the KL-divergence against the H-index "
        "(colored by the class with most people) and against the W-index.",
        figures,
        table=sortable(table, places=3),
        script=script,
    )


def _scatter(x: str, y: str) -> figure:
    return plain_figure(height=340, x_axis_label=x, y_axis_label=y)


def _line(plot: figure, name: str, **options: Any) -> None:
    """Draw a line whose ends the script knows."""
    source = ColumnDataSource({"x": [0.0, 1e-9], "y": [0.0, 1e-9]}, name=name)
    plot.line("x", "y", source=source, color=SOFT, **options)


def _correlations(tracts: pd.DataFrame) -> dict[str, float]:
    """Return the number of tracts, correlations of indices over them, and how much of D quintiles keep."""
    D, fifths = tracts[_D].to_numpy(), tracts["divergence_quintiles"].to_numpy()
    H, W = tracts["entropy_index"].to_numpy(), tracts[_W].to_numpy()
    return {
        "tracts": float(len(tracts)),
        "r of D and its quintiles": correlation(D, fifths),
        "mean D": float(D.mean()),
        "mean D of quintiles": float(fifths.mean()),
        "r of D and H": correlation(D, H),
        "r of D and W": correlation(D, W),
        "r of H and W": correlation(H, W),
    }


def correlation(x: Floats, y: Floats) -> float:
    """Return Pearson's correlation of the units that have both; NaN with fewer than three, or where one is constant."""
    both = np.isfinite(x) & np.isfinite(y)
    if both.sum() < 3 or np.ptp(x[both]) == 0 or np.ptp(y[both]) == 0:
        return np.nan
    return float(np.corrcoef(x[both], y[both])[0, 1])


# Pairs ---------------------------------------------------------------------------------------


def region_pairs(tracts: pd.DataFrame, alike: str, different: str) -> list[tuple[int, int]]:
    """Return pairs of a region's tracts that are alike in one index and differ most in another, as rows.

    Tracts with less than half the people of the median tract are left out, and values are alike within 2 % of the
    distance between their quartiles; see `metrics.contrasts.contrasting_pairs`.
    """
    people = tracts["people"].to_numpy()
    enough = people >= _SMALL * np.median(people)
    same = np.where(enough, tracts[alike].to_numpy(), np.nan)
    low, high = np.nanpercentile(same, [25, 75])
    keys = [str(key) for key in tracts.index]
    found = contrasting_pairs(same, tracts[different].to_numpy(), keys, _ALIKE * (high - low), _PAIRS)
    return [(int(first), int(second)) for first, second in found]


def _named(tracts: pd.DataFrame, pairs: Sequence[tuple[int, int]], region: str, year: int) -> pd.DataFrame:
    """Return the tracts of pairs as rows of a table."""
    rows = tracts.iloc[[place for pair in pairs for place in pair]]
    shown = (
        rows[[_D, "divergence_quintiles", "entropy_index", _W, *CLASSES, "modal_class", "people"]]
        .rename_axis("tract")
        .reset_index()
    )
    shown.insert(0, "pair", np.repeat(np.arange(1, len(pairs) + 1), 2))
    shown.insert(0, "year", str(year))
    shown.insert(0, "region", region)
    return shown


def _pairs(alike: str, labels: Sequence[str], table: pd.DataFrame) -> Section:
    """Return the section of the pairs that are alike in one index."""
    same, other = _LETTER[alike], _LETTER[_PAIRED[alike]]
    kinds = (
        ("brackets", labels, "share of people in each bracket"),
        ("quintiles", _QUINTILES, "share of people in each fifth of the region"),
    )
    figures = [
        _bars(f"{alike} {place} {kind}", names, f"Pair {place + 1}: {title}")
        for kind, names, title in kinds
        for place in range(_PAIRS)
    ]
    what = {
        _D: "D does not see the order of the brackets, W does. To make a tract of the first kind (lower W) like its "
        "region, people are moved between near brackets, in the second across the range; so regrouping to fifths tends "
        "to even out the first more, as D of fifths tells. "
        f"After {SOURCE}: three pairs of tracts with (almost) the same KL-divergence and different W-indices, and "
        "their regrouping to quintiles.",
        _W: "W counts how far people are moved, not how unlike the shares are. Of two tracts with the same W, the "
        "first (lower D) is spread over the brackets more as its region is. "
        f"After {SOURCE}: pairs of tracts with (almost) the same W-index and different D-index.",
    }
    return Section(
        f"Tracts alike in {same} that differ in {other}",
        f"{what[alike]} A pair for each third of the region's tracts by {same}: alike within {_ALIKE:.0%} of the "
        f"distance between the quartiles of {same}, with the largest difference in {other}. Tracts with less than half "
        "the people of the median tract are left out. Bars: shares of the tract's people; dashes: of the region.",
        figures,
        table=sortable(table.set_index("region"), _TITLES),
        keys={"first tract of a pair": _COLORS[0], "second tract": _COLORS[1], "region (dashes)": INK},
    )


def _bars(name: str, labels: Sequence[str], title: str) -> Figure:
    """Return bars of two tracts beside each other, with dashes of their region; the script names the tracts."""
    plot = plain_figure(
        height=300 if len(labels) > len(_QUINTILES) else 220,
        x_range=FactorRange(*labels),
        y_range=DataRange1d(start=0),
    )
    # The tallest bars are of all parts that a page shows; labels must not take half of a narrow plot.
    plot.xaxis.major_label_orientation = 1.1
    plot.xaxis.major_label_text_font_size = "10px"
    plot.yaxis.formatter = NumeralTickFormatter(format="0%")
    source = ColumnDataSource({"label": list(labels), **{key: [0.0] * len(labels) for key in ("a", "b", "region")}})
    source.name = name
    for key, at, color in (("a", -0.2, _COLORS[0]), ("b", 0.2, _COLORS[1])):
        bars = plot.vbar(x=dodge("label", at, range=plot.x_range), top=key, width=0.36, source=source, color=color)
        hover(plot, bars, ("", "@label"), ("share", f"@{key}{{0.0%}}"), ("region", "@region{0.0%}"))
    plot.scatter("label", "region", source=source, marker="dash", size=14, color=INK, line_width=2)
    numbers = {"label": "Incomes", "a": "First tract", "b": "Second tract", "region": "Region"}
    return Figure(plot, title, title=title, numbers=numbers, sources=[source], id=f"figure-{name.replace(' ', '-')}")


# Data ----------------------------------------------------------------------------------------


def _of_region(
    tracts: pd.DataFrame, brackets: pd.DataFrame, pairs: Mapping[str, Sequence[tuple[int, int]]], cuts: Sequence[float]
) -> dict[str, Any]:
    """Return what ``static/mixing_figures.js`` shows of a region."""
    counts = brackets.to_numpy(dtype=np.float64)
    region = counts.sum(axis=0)
    own, fifths = shares(counts), relative_composition(counts, region[None], np.zeros(len(counts), np.int64), QUINTILES)
    known = {key: place for place, key in enumerate(brackets.index)}
    D, W, H = (tracts[name].to_numpy() for name in (_D, _W, "entropy_index"))
    three = composition_divergence(tracts[list(CLASSES)].to_numpy(), cuts)
    drawn = {"D": D, "D5": tracts["divergence_quintiles"].to_numpy(), "D3": three, "H": H, "W": W}

    def one(pair: tuple[int, int]) -> dict[str, Any]:
        at = [known[tracts.index[place]] for place in pair]
        return {
            "tracts": [str(tracts.index[place]) for place in pair],
            "D": [float(D[place]) for place in pair],
            "D5": [float(drawn["D5"][place]) for place in pair],
            "W": [float(W[place]) for place in pair],
            "brackets": own[at].round(5).tolist(),
            "quintiles": fifths[at].round(5).tolist(),
        }

    return {
        "geoid": [str(key) for key in tracts.index],
        "class": pack(class_codes(tracts["modal_class"])),
        "values": {name: pack(values.astype(np.float32)) for name, values in drawn.items()},
        "r": {"D5": _said(D, drawn["D5"]), "H": _said(D, H), "W": _said(D, W)},
        "entropy": float(entropy(region[None])[0]),
        "region": shares(region[None])[0].round(5).tolist(),
        "pairs": {name: [one(pair) for pair in found] for name, found in pairs.items()},
    }


def _said(x: Floats, y: Floats) -> str:
    r = correlation(x, y)
    return "—" if np.isnan(r) else f"{r:.3f}"
