"""Map of an opportunity index and its domains."""

from collections.abc import Sequence

import geopandas as gpd
import pandas as pd

from geomob_dask.definition import Definition, Range
from geomob_dask.outputs import maps
from geomob_dask.outputs.palette import DEPRIVATION, OPPORTUNITY

_DETAILS = {
    "filled_domains": "Domains filled from neighbors",
    "imputed_direct": "Imputed from neighbors",
    "imputed_once_removed": "Imputed from neighbors once removed",
    "reason": "Reason for no index",
}


def opportunity_map(
    polygons: gpd.GeoDataFrame, table: pd.DataFrame, definition: Definition, *, title: str, subtitle: str
) -> str:
    """Return a page with a map of the index and of each of its domains.

    Parameters
    ----------
    polygons : GeoDataFrame
        By geoid, for display.
    table : DataFrame
        By geoid: ``opportunity``, ``deprivation``, the domains, ``filled_domains``, ``imputed_direct``,
        ``imputed_once_removed``, ``reason``.
    """
    parameters = definition.parameters

    def layer(
        column: str, label: str, within: Range, explanation: str, palette: Sequence[str] = DEPRIVATION
    ) -> maps.Layer:
        low, high = maps.spread(table[column], within.step, none=(within.low or 0.0, within.high or 1.0))
        return maps.Layer(column, label, within.text, palette, low, high, explanation)

    layers = [
        layer("opportunity", "Opportunity", parameters.opportunity_range, "higher: more opportunity", OPPORTUNITY),
        layer("deprivation", "Deprivation", parameters.deprivation_range, "higher: more deprivation"),
        *(
            layer(name, name, parameters.domain_range, f"deprivation in {', '.join(item.measure for item in items)}")
            for name, items in definition.domains.items()
        ),
    ]
    return maps.index_map(
        polygons,
        table,
        layers,
        title=title,
        subtitle=subtitle,
        missing_note="without a value; hover for the reason",
        details=_DETAILS,
        tolerance=0,
    )
