"""An index of two years on the small country of backfills, with bounds, grades and reasons, for tests of its page."""

import numpy as np
import pandas as pd

from geomob_dask.explore.geometry import prepare
from geomob_dask.store import Provenance, Store

YEARS = (2019, 2020)
# Tracts of Ohio: one with a value, one whose value is made from its neighbors, and those of which there is none.
KNOWN, IMPUTED, SUPPRESSED, MISSING = "39001000005", "39001000006", "39001000007", "39001000009"


def put_index(store: Store) -> None:
    """Write the index: 30 and more in Ohio, and 5 more a year later; from 2 less to 3 more, of fair quality."""
    domains = {"income": [{"measure": "poverty_pct", "direction": 1}]}
    definition = {"name": "made_index", "title": "Made-up index", "population": "people", "domains": domains}
    tracts = store.snapshot("tracts/toy")
    for year in YEARS:
        name, parts = f"results/opportunity/made_index/made/{year}/all-selected", {}
        for state, part in tracts.parts.items():
            keys = store.read(part, ["aland"]).index
            table = pd.DataFrame({"opportunity": np.arange(len(keys)) + int(state) - 9.0}, index=keys)
            table += 5 * (year - YEARS[0])
            table["deprivation"] = 100 - table["opportunity"]
            table["opportunity_lb"], table["opportunity_ub"] = table["opportunity"] - 2, table["opportunity"] + 3
            table["opportunity_quality"] = 2.0
            reasons = {SUPPRESSED: "fewer than 50 people: suppressed", MISSING: "nobody lives here"}
            table["reason"] = pd.array([reasons.get(key, "") for key in keys], dtype="str")
            table["imputed_direct"] = pd.array(["opportunity" if key == IMPUTED else "" for key in keys], dtype="str")
            table.loc[table["reason"] != "", table.select_dtypes("number").columns] = np.nan
            parts[state] = store.put(name, state, table)
        about = {"definition": definition, "norm": "selected"}
        store.commit(name, parts, Provenance("opportunity", {"tracts": "toy"}, about), {"vintage": "toy"})
    prepare(store, "toy")
