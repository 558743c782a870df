"""An index of two years on the small country of backfills, with intervals, grades and reasons, for its page."""

import numpy as np
import pandas as pd

from geomob_dask.explore.geometry import prepare
from geomob_dask.store import Provenance, Store

YEARS = (2019, 2020)
# Tracts of Ohio: one with a value, one whose value is made from its neighbors, and those of which there is none.
KNOWN, IMPUTED, SUPPRESSED, MISSING = "39001000005", "39001000006", "39001000007", "39001000009"


def put_index(store: Store) -> None:
    """Write the index: 30 and more in Ohio, and 5 more a year later; 2 less to 3 more about 1 more, of fair quality."""
    domains = {"income": [{"measure": "poverty_pct", "direction": 1}]}
    definition = {"name": "made_index", "title": "Made-up index", "population": "people", "domains": domains}
    tracts = store.snapshot("tracts/toy")
    for year in YEARS:
        path = f"opportunity/made_index/made/{year}/all-selected"
        name, parts = f"results/{path}", {}
        drawn, bounds = f"intervals/{path}-100-0", {}
        for state, part in tracts.parts.items():
            keys = store.read(part, ["aland"]).index
            table = pd.DataFrame({"opportunity": np.arange(len(keys)) + int(state) - 9.0}, index=keys)
            table += 5 * (year - YEARS[0])
            table["deprivation"] = 100 - table["opportunity"]
            table["opportunity_quality"] = 2.0
            reasons = {SUPPRESSED: "fewer than 50 people: suppressed", MISSING: "nobody lives here"}
            table["reason"] = pd.array([reasons.get(key, "") for key in keys], dtype="str")
            table["imputed_direct"] = pd.array(["opportunity" if key == IMPUTED else "" for key in keys], dtype="str")
            table.loc[table["reason"] != "", table.select_dtypes("number").columns] = np.nan
            parts[state] = store.put(name, state, table)
            about_it = {"opportunity_corrected": 1, "opportunity_lb": -2, "opportunity_ub": 3}
            more = {column: table["opportunity"] + by for column, by in about_it.items()}
            bounds[state] = store.put(drawn, state, pd.DataFrame(more))
        about = {"definition": definition, "norm": "selected"}
        store.commit(name, parts, Provenance("opportunity", {"tracts": "toy"}, about), {"vintage": "toy"})
        store.commit(drawn, bounds, Provenance("intervals", {"tracts": "toy"}, about), {"vintage": "toy"})
    prepare(store, "toy")
