"""Tables of a survey of the sample country: margins of error, groups of people by year, households by income.

Made up, like the country (`sources.sample`); every call returns the same numbers.
"""

import gzip
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd

from geomob_dask.sources.sample import SEED, TOWNS, sample_country

GROUPS = ("north", "south", "newcomers")
# Of a sample of one household in ten, with the spread that weights add.
_MARGIN = 1.645 * np.sqrt(1.5 * 9)
_METROS = ("Westport", "Eastport", "Southfield", "Highbury", "Lakeside", "Northam")


def country_by_geoid() -> tuple[gpd.GeoDataFrame, pd.DataFrame]:
    """Return the sample country as functions of frames take it.

    Returns
    -------
    tracts : GeoDataFrame
        Polygons in EPSG:5070, indexed by geoid.
    measures : DataFrame
        ``population`` and 16 measures by geoid, NaN where missing; of shares (``_pct``) and incomes also the margin of
        error at 90 % (``_moe``), in the unit of the measure.
    """
    tracts, measures = sample_country()
    measures = measures.set_index("GEOID").rename_axis("geoid")
    people = measures["population"].clip(lower=1)
    for name in [column for column in measures if column.endswith(("_pct", "_usd"))]:
        value = measures[name]
        if name.endswith("_usd"):
            margin = value * _MARGIN * 0.6 / np.sqrt(people)
        else:
            margin = 100 * _MARGIN * np.sqrt((value / 100 * (1 - value / 100)).clip(lower=0.002) / people)
        measures[f"{name}_moe"] = margin.round(1)
    return tracts.set_index("GEOID").rename_axis("geoid"), measures


def write_survey(folder: str | Path) -> Path:
    """Write the measures of `country_by_geoid` into a folder; return the file, ``sample_survey.csv.gz``."""
    file = Path(folder) / "sample_survey.csv.gz"
    # gzip's own date would make every file another one.
    file.write_bytes(gzip.compress(country_by_geoid()[1].to_csv().encode(), mtime=0))
    return file


def groups_of_people(year: int) -> pd.DataFrame:
    """Return people of three groups by tract as a survey of a year counts them.

    Parameters
    ----------
    year : int
        From year to year newcomers become more, and spread over more tracts.

    Returns
    -------
    DataFrame
        By geoid: ``north``, ``south``, ``newcomers`` (persons), their margins of error (``_moe``) and ``metro``, the
        name of the town nearby, or text without letters in the countryside.
    """
    tracts, measures = sample_country()
    random = np.random.default_rng([SEED, year])
    place = np.column_stack([tracts.centroid.x, tracts.centroid.y]) / 1000
    near, distance = _nearest_town(place)
    north = 1 / (1 + np.exp(-(place[:, 1] - 190) / 25))
    newcomers = 0.04 + 0.012 * (year - 2019) + 0.25 * np.exp(-distance / (6.0 + year - 2019))
    shares = np.column_stack([(1 - newcomers) * north, (1 - newcomers) * (1 - north), newcomers])
    people = measures["population"].to_numpy()
    true = people[:, None] * shares
    counts = np.clip(np.round(random.normal(true, _MARGIN / 1.645 * np.sqrt(true))), 0, None)
    table = pd.DataFrame(counts, columns=list(GROUPS), index=pd.Index(tracts["GEOID"], name="geoid"))
    for name in GROUPS:
        table[f"{name}_moe"] = np.round(_MARGIN * np.sqrt(np.maximum(table[name], 10)))
    return table.assign(metro=np.where(distance < 60, np.asarray(_METROS)[near], ""))


def households_by_income() -> pd.DataFrame:
    """Return households by income bracket and tract.

    Returns
    -------
    DataFrame
        By geoid: ``B19001_001E`` (all households), ``B19001_002E`` to ``B19001_017E`` (16 brackets), and ``metro``
        as in `groups_of_people`.
    """
    tracts, measures = sample_country()
    random = np.random.default_rng([SEED, 16])
    tops = np.array([10, 15, 20, 25, 30, 35, 40, 45, 50, 60, 75, 100, 125, 150, 200, 1e6])
    median = measures["median_income_usd"].fillna(measures["median_income_usd"].median()).to_numpy() / 1000
    # Incomes of a tract are about log-normal.
    steps = np.log(tops / median[:, None]) / 0.75
    upto = 1 / (1 + np.exp(-1.7 * steps))
    shares = np.diff(upto, axis=1, prepend=0.0)
    households = (measures["population"] / 2.5).round().astype(int)
    counts = np.array([random.multinomial(n, one / one.sum()) for n, one in zip(households, shares, strict=True)])
    table = pd.DataFrame(counts, columns=[f"B19001_{line:03d}E" for line in range(2, 18)])
    table.insert(0, "B19001_001E", counts.sum(axis=1))
    near, distance = _nearest_town(np.column_stack([tracts.centroid.x, tracts.centroid.y]) / 1000)
    table["metro"] = np.where(distance < 60, np.asarray(_METROS)[near], "")
    return table.set_index(pd.Index(tracts["GEOID"], name="geoid"))


def _nearest_town(place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the town nearest to each place in km, and its distance."""
    distances = np.hypot(*(place[:, None, :] - TOWNS[:, :2]).transpose(2, 0, 1))
    return distances.argmin(axis=1), distances.min(axis=1)
