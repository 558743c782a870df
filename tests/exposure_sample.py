"""A small country of counts by group for tests of exposure: made up, with empty tracts, in states no real one is."""

from pathlib import Path

import numpy as np
import pandas as pd

LINES = ("003", "004", "005", "006", "007", "008", "009", "012")
STATES = ("91", "92", "93")


def race_table(seed: int = 0, counties: int = 4, tracts: int = 12) -> pd.DataFrame:
    """Return B03002 of three states, as the Bureau names its columns; index geoid, sorted."""
    random = np.random.default_rng(seed)
    geoids = [
        f"{state}{2 * county + 1:03d}{tract * 100:06d}"
        for state in STATES
        for county in range(counties)
        for tract in range(1, tracts + 1)
    ]
    columns: dict[str, np.ndarray] = {}
    scale = np.array([900, 400, 8, 120, 1, 15, 60, 300])
    counts = random.poisson(random.gamma(0.6, 1, size=(len(geoids), len(LINES))) * scale)
    counts[::17] = 0
    columns["B03002_001E"] = counts.sum(axis=1)
    columns["B03002_001M"] = np.full(len(geoids), 150)
    for number, line in enumerate(LINES):
        columns[f"B03002_{line}E"] = counts[:, number]
        columns[f"B03002_{line}M"] = 12 + np.round(2 * np.sqrt(counts[:, number])).astype(int)
    return pd.DataFrame(columns, index=pd.Index(geoids, name="GEOID")).astype(float)


def saved(table: pd.DataFrame, path: Path) -> str:
    """Write a table as csv and return its path."""
    table.to_csv(path)
    return str(path)


def metro_json() -> dict[str, dict[str, str]]:
    """Return counties of metropolitan areas, the first of them across a state line."""
    return {
        "91001": {"code": "10001", "name": "Twin Cities"},
        "92001": {"code": "10001", "name": "Twin Cities"},
        "92003": {"code": "10002", "name": "Second"},
        "93005": {"code": "10003", "name": "Third"},
    }
