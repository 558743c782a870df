"""Map of an opportunity index, its domains and its intervals."""

from collections.abc import Mapping, Sequence

import geopandas as gpd
import numpy as np
import pandas as pd

from geomob_dask.definition import Definition, Measure, Range
from geomob_dask.outputs.classes import Scale, categories, diverging, equal_steps, quantiles
from geomob_dask.outputs.map_files import MapContent
from geomob_dask.outputs.maps import Layer
from geomob_dask.outputs.palette import CHANGE, DEPRIVATION, NEUTRAL, OPPORTUNITY
from geomob_dask.sources.measure_names import definition_labels, label_of

_DETAILS = {
    "filled_domains": "Domains filled from neighbors",
    "imputed_direct": "Imputed from neighbors",
    "imputed_once_removed": "Imputed from neighbors once removed",
    "reason": "Reason for no index",
}
_BELOW, _NOT_TOLD, _ABOVE = 0, 1, 2
_SIDES = ("below the median", "not distinguishable from the median", "above the median")


def opportunity_map(
    polygons: gpd.GeoDataFrame,
    table: pd.DataFrame,
    definition: Definition,
    *,
    title: str,
    subtitle: str,
    source: str = "",
    regions: Mapping[str, pd.DataFrame] | None = None,
    intervals: pd.DataFrame | None = None,
) -> MapContent:
    """Return a map of the index and of each of its domains, and of its intervals where they are known.

    Parameters
    ----------
    polygons : GeoDataFrame
        By geoid, for display.
    table : DataFrame
        By geoid: ``opportunity``, ``deprivation``, the domains, ``filled_domains``, ``imputed_direct``,
        ``imputed_once_removed``, ``reason``.
    regions : mapping of str to DataFrame, optional
        See `maps.map_page`.
    intervals : DataFrame, optional
        By geoid, as the product ``intervals`` has them.
    """
    parameters = definition.parameters
    shown = table if intervals is None else _with_intervals(table, intervals)

    def layer(column: str, label: str, within: Range, explanation: str) -> Layer:
        palette = OPPORTUNITY if column == "opportunity" else DEPRIVATION
        note = "interval_note" if column == "opportunity" and intervals is not None else None
        scale, more = _scale(shown[column], within, palette, equal=column in ("opportunity", "deprivation"))
        return Layer(column, label, within.text, scale, f"{explanation}{more}", note=note)

    layers = [
        layer("opportunity", "Opportunity", parameters.opportunity_range, "darker blue: more opportunity"),
        *(_interval_layers(shown, parameters.opportunity_range) if intervals is not None else ()),
        layer("deprivation", "Deprivation", parameters.deprivation_range, "darker red: more deprivation"),
        *(
            layer(name, label_of(name).text, parameters.domain_range, f"deprivation in {_listed(items, definition)}")
            for name, items in definition.domains.items()
        ),
    ]
    return MapContent(
        polygons,
        shown,
        layers,
        title=title,
        subtitle=subtitle,
        source=source,
        missing_note="without a value",
        hint="the tooltip tells the reason",
        details=_DETAILS,
        regions=regions,
    )


def _scale(values: pd.Series, within: Range, palette: Sequence[str], *, equal: bool) -> tuple[Scale, str]:
    """Return classes of an index or domain, and what a reader should know of them."""
    if within.low is None:
        # Standard deviations have a middle. Blue is toward opportunity, so deprivation is mirrored.
        about_zero = CHANGE if palette is OPPORTUNITY else CHANGE[::-1]
        return diverging(values, about_zero, none="about average"), "; 0 is the average"
    if equal:
        return equal_steps(values, palette), ""
    return quantiles(values, palette), "; each class has about as many tracts"


def _with_intervals(table: pd.DataFrame, intervals: pd.DataFrame) -> pd.DataFrame:
    """Return a table with intervals, their width, the side of the median, and a text beside the published index."""
    names = [f"{one}_{end}" for one in ("opportunity", "rank") for end in ("corrected", "lb", "ub")]
    known = intervals[names].reindex(table.index)
    shown = table.join(known)
    shown["opportunity_width"] = shown["opportunity_ub"] - shown["opportunity_lb"]
    side = np.select([known["rank_ub"] < 0.5, known["rank_lb"] > 0.5], [_BELOW, _ABOVE], _NOT_TOLD).astype(float)
    shown["side"] = np.where(known["rank_lb"].isna() | known["rank_ub"].isna(), np.nan, side)
    ends = zip(*(known[f"opportunity_{end}"] for end in ("lb", "ub", "corrected")), strict=True)
    reasons = intervals["reason"].reindex(table.index).fillna("")
    shown["interval_note"] = [
        interval_text(low, high, middle) if not np.isnan(low) else (f"no interval: {why}" if why else "")
        for (low, high, middle), why in zip(ends, reasons, strict=True)
    ]
    return shown


def interval_text(low: float, high: float, middle: float) -> str:
    """Return an interval with the value that it lies about, which is not the published one that it stands beside."""
    return f"90% interval {low:.3g} to {high:.3g}, about {middle:.3g}"


def _interval_layers(table: pd.DataFrame, within: Range) -> list[Layer]:
    corrected, more = _scale(table["opportunity_corrected"], within, OPPORTUNITY, equal=True)
    return [
        Layer(
            "opportunity_corrected",
            "Opportunity, corrected for errors",
            within.text,
            corrected,
            f"median of draws of the measures, with its 90% interval; darker blue: more opportunity{more}",
            bounds=("opportunity_lb", "opportunity_ub"),
        ),
        Layer(
            "opportunity_width",
            "Width of the 90% interval",
            "points" if within.high == 100 else within.unit,
            quantiles(table["opportunity_width"], NEUTRAL, classes=5),
            "darker: less certain; each class has about as many tracts",
            always=False,
        ),
        Layer(
            "side",
            "Above or below the median",
            "by the 90% interval of the rank",
            categories((DEPRIVATION[4], CHANGE[3], OPPORTUNITY[5]), _SIDES),
            "of all tracts of the index: the interval of the rank, 0 to 1, lies on one side of 0.5, or holds it",
            always=False,
        ),
    ]


def _listed(measures: Sequence[Measure], definition: Definition) -> str:
    """Return measures by label and unit, separated by semicolons: labels have commas."""
    labels = definition_labels(definition)
    return "; ".join(label_of(one.measure, labels).whole for one in measures)
