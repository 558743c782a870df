"""A map in a file: an interactive page, or a picture for print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import geopandas as gpd
import pandas as pd

from geomob_dask.outputs.maps import Layer, Level, first_layer, map_page
from geomob_dask.outputs.page import write_page
from geomob_dask.outputs.print_map import write_print
from geomob_dask.outputs.provenance import Record
from geomob_dask.outputs.tables import PAGES
from geomob_dask.outputs.titles import title_or


@dataclass(frozen=True)
class MapContent:
    """What a map shows, whatever it is drawn with; see `maps.map_page` for what each part is.

    Attributes
    ----------
    hint : str
        What a page adds to the note about missing values, such as where the reason is; a picture has no tooltips.
    areas : str, optional
        Column of text: areas whose borders a picture draws; by default states, where keys begin with them.
    """

    shapes: gpd.GeoDataFrame
    table: pd.DataFrame
    layers: Sequence[Layer]
    title: str
    missing_note: str
    hint: str = ""
    subtitle: str = ""
    source: str = ""
    notes: Sequence[str] = ()
    details: Mapping[str, str] = field(default_factory=dict)
    regions: Mapping[str, pd.DataFrame] | None = None
    level: Level = "tract"
    tolerance: float | None = 0
    names: Mapping[str, str] | None = None
    areas: str | None = None

    def page(self) -> str:
        """Return an interactive page."""
        return map_page(
            self.shapes,
            self.table,
            self.layers,
            title=self.title,
            subtitle=self.subtitle,
            source=self.source,
            notes=self.notes,
            missing_note=self.missing_note,
            hint=self.hint,
            details=self.details,
            regions=self.regions,
            level=self.level,
            tolerance=self.tolerance,
            names=self.names,
        )


def write_map(
    content: MapContent, file: str, record: Record, *, option: str = "--map", layer: str | None = None
) -> None:
    """Write a map with its provenance: a page of all layers, or a picture of the first.

    Parameters
    ----------
    file : str
        With a suffix of `tables.MAPS`.
    layer : str, optional
        That comes first; see `maps.first_layer`.
    """
    content = replace(content, layers=first_layer(content.layers, layer), title=title_or(content.title))
    if file.endswith(PAGES):
        write_page(option, file, content.page(), record)
    else:
        write_print(option, file, content, record)
