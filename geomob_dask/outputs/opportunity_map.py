"""Map of an opportunity index and its domains."""

from collections.abc import Sequence

import geopandas as gpd
import pandas as pd

from geomob_dask.definition import Definition
from geomob_dask.outputs import maps
from geomob_dask.outputs.palette import DEPRIVATION, OPPORTUNITY

_UNITS = {
    "opportunity": "0 to 100",
    "svi": "percentile rank, 0 to 1",
    "z_mean": "standard deviations",
    "principal_component": "0 to 1",
    "weighted_principal_component": "0 to 1",
}
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
    unit = _UNITS[definition.parameters.recipe]

    def layer(column: str, label: str, explanation: str, palette: Sequence[str] = DEPRIVATION) -> maps.Layer:
        low, high = maps.spread(table[column], step=definition.parameters.top / 20 or 0.1)
        return maps.Layer(column, label, unit, palette, low, high, explanation)

    layers = [
        layer("opportunity", "Opportunity", "higher: more opportunity", OPPORTUNITY),
        layer("deprivation", "Deprivation", "higher: more deprivation"),
        *(
            layer(name, name, f"deprivation in {', '.join(item.measure for item in items)}")
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
