"""Coverage of the intervals of segregation, and its p-values in an even world, on simulated surveys.

Regions are made up, their households sampled and weighted, and margins of error computed as the American Community
Survey publishes them; the indices of the estimates, with their intervals, are compared with those of all people.

    python benchmarks/coverage_segregation.py
    python benchmarks/coverage_segregation.py --interval persons --sampled complete
"""

import argparse
import time

import dask
import numpy as np
import pandas as pd
from scipy.stats import kstest

from geomob_dask import segregation
from geomob_dask.metrics.counts import Floats
from geomob_dask.metrics.segregation_catalog import INDICES
from geomob_dask.transforms.margins_of_error import Z_90

NAMES = {
    "mutual_information": "M",
    "information_theory": "H",
    "dissimilarity": "D",
    "isolation": "isolation",
}
GROUPS = ("black_nh", "hispanic", "other_nh", "white_nh")
COLUMNS = ("B03002_004", "B03002_012", "B03002_005", "B03002_003")
_SHARES = (0.15, 0.18, 0.07, 0.6)
# Persons of a household, and how often.
_SIZES = np.arange(1, 7)
_OFTEN = np.array([0.28, 0.35, 0.15, 0.13, 0.06, 0.03])
# One household in ten answers; weights differ by 30 % besides.
_RATE, _WEIGHTS = 0.1, 0.3
# How far weights are controlled to the people of the tract: 1 wholly, 0 not at all.
_CONTROL = 0.5
# Margin of a cell in which nobody answered.
_EMPTY = 12.0
_REPLICATES = 80


def world(rng: np.random.Generator, region: np.ndarray, spread: np.ndarray) -> Floats:
    """Return the share of each group among the households of each tract, shape (n_tracts, n_groups).

    Parameters
    ----------
    rng : Generator
    region : shape (n_tracts,), codes from 0
    spread : shape (n_regions,)
        Standard deviation of log shares among the tracts of a region; 0: even.
    """
    alike = rng.dirichlet(12 * np.array(_SHARES), len(spread))[region]
    logs = np.log(alike) + spread[region, None] * rng.standard_normal((len(region), len(GROUPS)))
    shares = np.exp(logs)
    return shares / shares.sum(axis=1, keepdims=True)


def surveyed(rng: np.random.Generator, shares: Floats, *, even: bool = False) -> tuple[Floats, Floats, Floats, Floats]:
    """Return all people by tract and group, their estimates, the margins of these, and that of each tract's people."""
    households = np.maximum(rng.lognormal(7.2, 0.45, len(shares)), 120.0)
    of_group = np.rint(households[:, None] * shares) if even else rng.poisson(households[:, None] * shares)
    by_size = rng.multinomial(of_group.astype(np.int64), _OFTEN)
    people = (by_size * _SIZES).sum(axis=2).astype(np.float64)
    answered = rng.binomial(by_size, _RATE)
    shape = 1.0 / _WEIGHTS**2
    weighted = rng.gamma(np.maximum(answered, 1e-9) * shape) / (shape * _RATE) * (answered > 0)
    estimates = (weighted * _SIZES).sum(axis=2)
    squares = (answered * _SIZES**2).sum(axis=2) * (1.0 - _RATE + _WEIGHTS**2) / _RATE**2
    total = estimates.sum(axis=1, keepdims=True)
    share = estimates / np.maximum(total, 1.0)
    # Weights are raised where too few people answered, lowered where too many.
    estimates = estimates * (people.sum(axis=1, keepdims=True) / np.maximum(total, 1.0)) ** _CONTROL
    others = squares.sum(axis=1, keepdims=True) - squares
    variances = squares * (1.0 - _CONTROL * share) ** 2 + (_CONTROL * share) ** 2 * others
    of_total = (1.0 - _CONTROL) ** 2 * squares.sum(axis=1)
    noise = rng.chisquare(_REPLICATES, (*variances.shape,)) / _REPLICATES
    estimates = np.rint(estimates)
    margins = np.where(estimates > 0, Z_90 * np.sqrt(variances * noise), _EMPTY)
    of_total = Z_90 * np.sqrt(of_total * rng.chisquare(_REPLICATES, len(of_total)) / _REPLICATES)
    return people, estimates, np.rint(margins), np.rint(of_total)


def as_published(estimates: Floats, margins: Floats, of_total: Floats, region: np.ndarray) -> pd.DataFrame:
    """Return estimates and margins as a table of B03002, with a column of regions."""
    columns = {"B03002_001E": estimates.sum(axis=1), "B03002_001M": of_total}
    for place, name in enumerate(COLUMNS):
        columns |= {f"{name}E": estimates[:, place], f"{name}M": margins[:, place]}
    for line in ("006", "007", "008", "009"):
        columns |= {f"B03002_{line}E": 0.0, f"B03002_{line}M": 0.0}
    keys = pd.Index([f"{number:011d}" for number in range(1, len(estimates) + 1)], dtype="str", name="geoid")
    return pd.DataFrame(columns, index=keys).assign(region=[f"r{code:05d}" for code in region])


def coverage(
    rng: np.random.Generator, regions: int, draws: int, sizes: tuple[int, int], options: dict[str, str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return whether each interval covers, by region and index, and the errors of raw and corrected indices."""
    tracts = np.exp(rng.uniform(np.log(sizes[0]), np.log(sizes[1] + 1), regions)).astype(np.int64)
    region = np.repeat(np.arange(regions), tracts)
    people, estimates, margins, of_total = surveyed(rng, world(rng, region, rng.uniform(0.2, 1.6, regions)))
    table = as_published(estimates, margins, of_total, region)
    with dask.config.set(scheduler="synchronous"):
        found = segregation(
            table, groups="b03002_four", by="region", indices=list(NAMES), draws=draws, year=2020, **options
        )
    rows, errors = {"tracts": tracts}, {"tracts": tracts}
    for name in NAMES:
        index = INDICES[name]
        truth = index(people, region).reshape(regions, -1)
        for place, column in enumerate(index.columns(GROUPS)):
            lower, upper = (found[f"{column}_corrected_{end}"].to_numpy() for end in ("lower", "upper"))
            rows[column] = (lower <= truth[:, place]) & (truth[:, place] <= upper)
            errors[column] = found[column].to_numpy() - truth[:, place]
            errors[f"{column}_corrected"] = found[f"{column}_corrected"].to_numpy() - truth[:, place]
    return pd.DataFrame(rows), pd.DataFrame(errors)


def by_decile(table: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over the groups of each index, by decile of the number of tracts."""
    size = pd.qcut(table["tracts"], 10, duplicates="drop")
    means = {
        label: table[[one for one in table if one == name or one.removeprefix(f"{name}_") in GROUPS]].mean(axis=1)
        for name, label in NAMES.items()
    }
    grouped = pd.DataFrame(means).groupby(size, observed=True).mean()
    return grouped.set_axis([f"{int(one.left) + 1} to {int(one.right)}" for one in grouped.index])


def even_p_values(rng: np.random.Generator, regions: int, tracts: int, draws: int, sampled: str) -> Floats:
    """Return p-values of H in regions whose tracts have equal shares, from their samples."""
    region = np.repeat(np.arange(regions), tracts)
    shares = world(rng, region, np.zeros(regions))
    _, estimates, margins, of_total = surveyed(rng, shares, even=True)
    table = as_published(estimates, margins, of_total, region)
    with dask.config.set(scheduler="synchronous"):
        found = segregation(
            table,
            groups="b03002_four",
            by="region",
            indices=["information_theory"],
            draws=draws,
            year=2020,
            interval="none",
            sampled=sampled,
        )
    return found["information_theory_p"].to_numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--regions", type=int, default=900)
    parser.add_argument("--draws", type=int, default=150)
    parser.add_argument("--sizes", default="5,300", help="fewest and most tracts of a region")
    parser.add_argument("--interval", default="sampled", help="as the job of segregation takes it")
    parser.add_argument("--sampled", default="auto", help="as the job of segregation takes it")
    parser.add_argument("--even", type=int, default=400, help="even regions for p-values")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    least, most = map(int, options.sizes.split(","))
    start = time.process_time()
    covered, errors = coverage(
        rng, options.regions, options.draws, (least, most), {"interval": options.interval, "sampled": options.sampled}
    )
    seconds = time.process_time() - start
    print(f"{options.regions} regions, {covered['tracts'].sum():,} tracts, {options.draws} draws, {seconds:.0f} CPU s")
    print("\nshare of nominal 90 % intervals that cover, by tracts of a region")
    print(by_decile(covered).round(3).to_string())
    for label, ending in (("raw", ""), ("corrected", "_corrected")):
        bias = {
            short: np.mean([errors[f"{one}{ending}"].mean() for one in INDICES[name].columns(GROUPS)])
            for name, short in NAMES.items()
        }
        print(f"\nmean error, {label}: " + ", ".join(f"{name} {value:+.4f}" for name, value in bias.items()))
    if options.even:
        p = even_p_values(rng, options.even, 40, 99, options.sampled)
        print(
            f"\np-values of H in {options.even} even regions of 40 tracts: {np.mean(p <= 0.05):.3f} are 0.05 or less, "
            f"{np.mean(p <= 0.1):.3f} 0.10 or less; Kolmogorov-Smirnov p = {kstest(p, 'uniform').pvalue:.2g}"
        )


if __name__ == "__main__":
    main()
