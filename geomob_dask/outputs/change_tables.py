"""Changes between two years of a cube, and a measure over all years, as tables."""

from __future__ import annotations

from collections.abc import Sequence

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from geomob_dask.errors import InputError
from geomob_dask.messages import listed
from geomob_dask.sources.attributes import ACS_PERIOD, period_in
from geomob_dask.sources.kinds import kinds_of
from geomob_dask.sources.measure_names import label_of
from geomob_dask.store import Snapshot, Store
from geomob_dask.store.cube_form import NO_ROW
from geomob_dask.transforms.change import KNOWN_NOT, beyond_margin, change_moe, shared_sample
from geomob_dask.transforms.margins_of_error import margin_of_error

# Quartiles of numbers as large as this are whole.
_LARGE = 1000.0


def measure_of(cube: xr.Dataset, name: str) -> xr.Dataset:
    """Return one measure of a cube, lazily.

    Raises
    ------
    InputError
        If the cube has none of this name.
    """
    there = cube["measure"].to_numpy().tolist()
    if name not in there:
        raise InputError(f"--measure {name}: not in the cube; expected one of: {listed(there, 40)}")
    return cube.sel(measure=name)


def check_change(cube: xr.Dataset, name: str, years: Sequence[int]) -> None:
    """Raise InputError if the change of a measure between two years cannot be computed; no values are read."""
    measure = measure_of(cube, name)
    if len(years) != 2:
        raise InputError(f"--years: found {len(years)} ({', '.join(map(str, years))}), expected two")
    for year in years:
        _refuse_absent(measure, year)


def _refuse_absent(measure: xr.Dataset, year: int) -> None:
    there = measure["year"].to_numpy().tolist()
    if year not in there:
        raise InputError(f"--years {year}: not in the cube; expected one of: {', '.join(map(str, there))}")


def _year(measure: xr.Dataset, year: int) -> xr.Dataset:
    _refuse_absent(measure, year)
    names = [name for name in ("estimate", "moe", "se", "lower", "upper", "flag") if name in measure]
    return measure[names].sel(year=year).load()


def margins(one: xr.Dataset) -> NDArray[np.float64]:
    """Return the 90% margins of a measure: those of the cube, else 1.645 SE, else half its interval.

    Returns
    -------
    array of the shape of the estimates
        NaN if unknown.
    """
    found = np.full(one["estimate"].shape, np.nan)
    half = (one["upper"] - one["lower"]).to_numpy() / 2 if "upper" in one and "lower" in one else found
    errors = margin_of_error(one["se"].to_numpy()) if "se" in one else found
    published = one["moe"].to_numpy() if "moe" in one else found
    for known in (published, errors, half):
        found = np.where(np.isnan(found), known, found)
    return found


def intervals(one: xr.Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lower and upper bounds of a measure: those of the cube, else estimate ∓ margin; NaN if unknown."""
    estimate, margin = one["estimate"].to_numpy(), margins(one)
    low, high = estimate - margin, estimate + margin
    if "upper" in one and "lower" in one:
        lower, upper = one["lower"].to_numpy(), one["upper"].to_numpy()
        low, high = np.where(np.isnan(lower), low, lower), np.where(np.isnan(upper), high, upper)
    return low, high


def change_table(cube: xr.Dataset, measure: str, first: int, last: int, *, period: int = 1) -> pd.DataFrame:
    """Return the change of a measure between two years; only those two are read.

    Parameters
    ----------
    cube : Dataset
        As `open_cube` returns it.
    measure : str
    first, last : int
        Years of the cube.
    period : int
        Years that an estimate spans (5 for the ACS 5-year estimates): two samples that overlap differ less by chance.

    Returns
    -------
    DataFrame
        By tract or region, sorted: before, after, change (after − before), margin (90%, of the change; NaN if one of
        the two is unknown), beyond (1: more than the margin, 0: within, −1: unknown), reason (why there is no change).

    Raises
    ------
    InputError
        If measure or year is not in the cube, or the two years are the same.
    """
    if first == last:
        raise InputError(f"years {first} and {last}: found the same year twice, expected two")
    chosen = measure_of(cube, measure)
    before, after = _year(chosen, first), _year(chosen, last)
    unit = cube.attrs["unit"]
    table = pd.DataFrame(index=pd.Index(cube[unit].to_numpy().astype(str), name="geoid" if unit == "tract" else unit))
    table["before"], table["after"] = before["estimate"].to_numpy(), after["estimate"].to_numpy()
    table["change"] = table["after"] - table["before"]
    table["margin"] = change_moe(margins(before), margins(after), shared_sample(first, last, period))
    table["beyond"] = beyond_margin(table["change"], table["margin"])
    reasons = np.array(cube["flag"].attrs["flag_reasons"], dtype=object)
    why = [
        np.where(np.isnan(one["estimate"].to_numpy()), f"{year}: " + reasons[one["flag"].to_numpy()], "")
        for year, one in ((first, before), (last, after))
    ]
    table["reason"] = [", ".join(filter(None, pair)) for pair in zip(*why, strict=True)]
    here = (before["flag"].to_numpy() != NO_ROW) | (after["flag"].to_numpy() != NO_ROW)
    return table[here].sort_index()


def change_summary(table: pd.DataFrame, measure: str, first: int, last: int) -> list[str]:
    """Return a summary of a change."""
    change = table["change"].dropna()
    lines = [f"{label_of(measure).whole}, {first} to {last}: change known for {len(change):,} of {len(table):,}"]
    if len(change):
        low, middle, high = np.quantile(change, [0.25, 0.5, 0.75])
        lines.append(f"  first quartile, median, third quartile: {low:+.4g}, {middle:+.4g}, {high:+.4g}")
        lines.append(f"  rose in {int((change > 0).sum()):,}, fell in {int((change < 0).sum()):,}")
    known = table["beyond"] != KNOWN_NOT
    if known.any():
        lines.append(
            f"  larger than its 90% margin of error: {int((table['beyond'] == 1).sum()):,} of "
            f"{int(known.sum()):,} with a known margin"
        )
    else:
        lines.append("  no margin of error is known, so no change can be distinguished from sampling error")
    return lines


def period_of(cube: xr.Dataset, measure: str, first: int, last: int) -> tuple[int, str]:
    """Return the years that an estimate spans, and how they are known.

    Those of the cube, which has them from its datasets; for datasets that do not say, 5 if both years come from
    datasets ``acs5`` or ``acs5_…``, else 1.
    """
    known = period_in(cube.attrs, [measure]).get("period")
    if known is not None:
        return known, "as its dataset says"
    names = [str(cube["collection"].sel(year=year).item()) for year in (first, last) if year in cube["year"]]
    five = [any(piece.split("_")[0] == "acs5" for piece in name.split("/")) for name in names]
    return (ACS_PERIOD, "because the dataset is named acs5") if five and all(five) else (1, "")


def change_notes(cube: xr.Dataset, measure: str, first: int, last: int, *, period: int, why: str = "") -> list[str]:
    """Return assumptions of a change: the years of a sample, where there is a reason, and dollars of two years."""
    lines = []
    if why:
        years = "1 year" if period == 1 else f"{period} years"
        lines.append(f"  an estimate spans {years}, {why} (--period changes this)")
    one = measure_of(cube, measure)
    if int(one["measure_dollars_of"]) == 0 and (str(one["measure_units"].item()) == "USD" or _is_money(measure)):
        lines.append(
            f"  amounts are in dollars of {first} and of {last}, so part of the change is inflation; "
            "jobs/harmonize.py --dollars converts them to dollars of one year"
        )
    return lines


def _is_money(measure: str) -> bool:
    try:
        return kinds_of([measure])[measure].unit == "usd"
    except InputError:
        return False


def check_polygons(store: Store, cube: xr.Dataset, what: str) -> None:
    """Raise InputError if the store has no polygons of a cube's tracts; `what` names the option and file."""
    if "geometry" not in cube.coords:
        raise InputError(f"{what}: a cube of regions has no polygons; expected a cube of tracts, or --export FILE.csv")
    polygons = store.find(str(cube.coords["geometry"].item()))
    if polygons is None or not _states_of(cube, polygons):
        vintage = cube.attrs["vintage"]
        raise InputError(
            f"{what}: the store has no polygons of vintage {vintage} in the states of the cube; expected them from: "
            f"jobs/ingest.py tracts FILE --vintage {vintage}"
        )


def _states_of(cube: xr.Dataset, polygons: Snapshot) -> list[str]:
    return sorted(set(cube["state"].to_numpy().tolist()) & set(polygons.parts))


def polygons_of(store: Store, cube: xr.Dataset) -> gpd.GeoSeries:
    """Return the polygons of a cube's vintage, for its states; see `check_polygons`."""
    polygons = store.snapshot(str(cube.coords["geometry"].item()))
    there = _states_of(cube, polygons)
    return store.frame(polygons.collection, states=there, columns=["geometry"]).compute(scheduler="threads").geometry


def quantiles_by_state(cube: xr.Dataset, measure: str) -> pd.DataFrame:
    """Return the quartiles of a measure by state and year, one year at a time in memory.

    Returns
    -------
    DataFrame
        Columns state (``all`` first: of all tracts), year, tracts (with a value), low, median, high.
    """
    chosen = measure_of(cube, measure)
    states = cube["state"].to_numpy().astype(str)
    rows = []
    for year in cube["year"].to_numpy().tolist():
        estimate = _year(chosen, year)["estimate"].to_numpy()
        groups = pd.Series(estimate).groupby(states)
        for state, values in [("all", pd.Series(estimate)), *([] if set(states) == {"all"} else groups)]:
            known = values.dropna()
            if len(known):
                rows.append((str(state), year, len(known), *np.quantile(known, [0.25, 0.5, 0.75]).tolist()))
    table = pd.DataFrame(rows, columns=["state", "year", "tracts", "low", "median", "high"])
    first = table["state"] != "all"
    if table["high"].abs().max() >= _LARGE:
        table[["low", "median", "high"]] = table[["low", "median", "high"]].round()
    return table.iloc[np.lexsort((table["year"], table["state"], first))].reset_index(drop=True)


def check_keys(cube: xr.Dataset, keys: Sequence[str]) -> None:
    """Raise InputError if a tract or region is not in a cube; no values are read."""
    unit = cube.attrs["unit"]
    there = pd.Index(cube[unit].to_numpy().astype(str))
    absent = [key for key in keys if key not in there]
    if absent:
        near = sorted(key for key in there if key[:5] == absent[0][:5])[:3]
        raise InputError(
            f"--tracts: {unit} {absent[0]!r} is not in the cube; expected one such as "
            f"{', '.join(near or list(there[:3]))}"
        )


def series_of(cube: xr.Dataset, measure: str, keys: Sequence[str]) -> pd.DataFrame:
    """Return a measure of some tracts or regions over all years, with its interval if known.

    Returns
    -------
    DataFrame
        Columns key, year, estimate, low, high, flag.

    Raises
    ------
    InputError
        If a key is not in the cube.
    """
    unit = cube.attrs["unit"]
    there = pd.Index(cube[unit].to_numpy().astype(str))
    check_keys(cube, keys)
    names = [name for name in ("estimate", "moe", "se", "lower", "upper", "flag") if name in cube]
    one = measure_of(cube, measure)[names].isel({unit: there.get_indexer(list(keys))}).transpose("year", unit).load()
    low, high = intervals(one)
    reasons = np.array(["", *cube["flag"].attrs["flag_reasons"][1:]], dtype=object)
    years, columns = np.indices(one["estimate"].shape)
    return pd.DataFrame(
        {
            "key": np.array(list(keys), object)[columns.T.ravel()],
            "year": one["year"].to_numpy()[years.T.ravel()],
            "estimate": one["estimate"].to_numpy().T.ravel(),
            "low": low.T.ravel(),
            "high": high.T.ravel(),
            "flag": reasons[one["flag"].to_numpy().T.ravel()],
        }
    )
