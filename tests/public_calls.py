"""Every public function of frames on the sample country, as a user calls it; for scripts, notebooks and clusters."""

import pandas as pd

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
        "mixing": gd.mixing(measures, brackets=GROUPS, by="metro"),
        "segregation": gd.segregation(measures, groups=GROUPS, by="metro", draws=5),
        "local": gd.local(measures, groups=GROUPS, by="metro"),
    }
