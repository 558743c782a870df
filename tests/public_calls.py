"""Every public function of frames on the sample country, as a user calls it; for scripts, notebooks and clusters."""

import geopandas as gpd
import pandas as pd
import shapely

import geomob_dask as gd
from geomob_dask.sources.sample import sample_country

GROUPS = ["poor_people", "other_people"]


def country() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return polygons and measures of the sample country, with groups of people and a region that crosses states."""
    tracts, measures = sample_country()
    tracts = tracts.set_index("GEOID").sort_index().rename_axis("geoid")
    measures = measures.set_index("GEOID").sort_index().rename_axis("geoid")
    measures["poor_people"] = (measures["population"] * measures["poverty_pct"].fillna(0.0) / 100).round()
    measures["other_people"] = measures["population"] - measures["poor_people"]
    measures["metro"] = pd.Series(measures.index.str[4].astype(int) % 3, measures.index).map({0: "a", 1: "b", 2: "c"})
    return tracts, measures


def halves() -> gpd.GeoDataFrame:
    """Return the western and the eastern half of the sample country as regions."""
    tracts, _ = sample_country()
    west, south, east, north = tracts.total_bounds
    middle = (west + east) / 2
    boxes = [shapely.box(west, south, middle, north), shapely.box(middle, south, east, north)]
    return gpd.GeoDataFrame(geometry=boxes, index=["west", "east"], crs=tracts.crs)


def calls(tracts, measures) -> dict[str, object]:
    """Return the result of each function, lazy where the frames are."""
    edges = gd.neighbors(tracts)
    definition = gd.read_definition("sample")
    index = gd.opportunity(tracts, measures, edges, definition)
    return {
        "neighbors": edges,
        "opportunity": index,
        "validation": gd.validation(index, list(definition.domains)),
        "exposure": gd.exposure(measures, groups=GROUPS, by="metro"),
        "interactions": gd.interactions(measures, groups=GROUPS, by="metro"),
        "interpolate": gd.interpolate(measures, gd.area_weights(tracts, halves()), extensive=GROUPS),
        "harmonize": gd.harmonize(measures[GROUPS], source="2020", to="2022", kinds=dict.fromkeys(GROUPS, "count")),
        "join": gd.join(measures[["population"]], measures[["poverty_pct"]]),
        "intervals": gd.intervals(tracts, measures.assign(poverty_pct_moe=3.0), edges, definition, draws=2),
        "mixing": gd.mixing(measures, brackets=GROUPS, by="metro"),
        "segregation": gd.segregation(measures, groups=GROUPS, by="metro", draws=5),
        "local": gd.local(measures, groups=GROUPS, by="metro"),
    }
